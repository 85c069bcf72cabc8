"""Commands on a terminal of their own."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
_KEPT_OUT: Final = {
    "TERM",
    "COLUMNS",
    "LINES",
    "PAGER",
    "LESS",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
}
_STYLE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class OnTerminal:
    """``pybgpctl`` on a terminal.

    Args:
        words: Its arguments.
        size: Columns and lines that the terminal tells of itself.
        environment: Added to ours, without what terminals and pagers have there.
    """

    def __init__(
        self, *words: str, size: tuple[int, int] = (0, 0), **environment: str
    ) -> None:
        self._leader, follower = pty.openpty()
        columns, lines = size
        window = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(follower, termios.TIOCSWINSZ, window)
        kept = {k: v for k, v in os.environ.items() if k not in _KEPT_OUT}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bgpd.cli.control", *words],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=ROOT,
            env=kept | environment,
        )
        os.close(follower)
        self.output = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._leader)

    def until(self, text: str, times: int = 1, seconds: float = 30.0) -> None:
        """Read until ``text`` was printed so many times."""
        deadline = time.monotonic() + seconds
        while self.output.count(text) < times:
            assert time.monotonic() < deadline, self.output
            assert self._read(), self.output

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._leader, text.encode())

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def ended(self, seconds: float = 30.0) -> int:
        """Read to the end; return the exit code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, self.output
        return self.process.wait(seconds)

    @property
    def plain(self) -> str:
        """What was printed, without colours and moves of the cursor."""
        return _STYLE.sub("", self.output).replace("\r\n", "\n")

    def _read(self) -> bool:
        ready, _, _ = select.select([self._leader], [], [], 0.2)
        if not ready:
            return True
        try:
            piece = os.read(self._leader, 65536)
        except OSError:  # how a terminal says that it is over
            return False
        self.output += piece.decode(errors="replace")
        return bool(piece)


def printed(*words: str, size: tuple[int, int] = (0, 0), **environment: str) -> str:
    """Return what a command that must succeed prints on a terminal."""
    with OnTerminal(*words, size=size, **environment) as terminal:
        assert terminal.ended() == 0, terminal.output
        return terminal.output
