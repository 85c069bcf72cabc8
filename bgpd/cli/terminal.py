"""What standard output can show: how wide it is, whether in colour, and a pager for long output."""

import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from bgpd.cli.layout import Paint

if TYPE_CHECKING:
    import subprocess

COLOR_CHOICES: Final = ("auto", "always", "never")
META_COLOR: Final = "bgpd.color"  # key in click's context for the value of --color
_DUMB: Final = (None, "", "dumb", "unknown")
_WIDTH, _HEIGHT = 80, 24  # of a terminal that does not say
_DEFAULT_PAGER: Final = "less"
_DEFAULT_LESS: Final = (
    "FRX"  # ends where all fits, keeps colours, leaves its text there
)
_SGR: Final = {"title": "1", "good": "32", "waiting": "33", "bad": "31"}


class Terminal(NamedTuple):
    """What standard output can show.

    Attributes:
        width: Letters in a line; ``None`` for a pipe, and for a terminal that is not able
            to say (Emacs' shell, a serial console): their lines are whole.
        height: Lines on the screen; 0 without one.
        has_colour: Styles are shown as colours.
    """

    width: int | None
    height: int
    has_colour: bool

    @property
    def is_able(self) -> bool:
        """Whether it is a terminal that can move its cursor."""
        return self.width is not None

    def paint(self, style: str, text: str) -> str:
        """Return a text in a style."""
        code = _SGR.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if code and self.has_colour else text


def current_terminal() -> Terminal:
    """Return what standard output can show, with the command's ``--color``."""
    context = click.get_current_context(silent=True)
    choice = "auto" if context is None else context.meta.get(META_COLOR, "auto")
    return find_terminal(os.environ, choice, is_terminal=sys.stdout.isatty())


def find_terminal(
    environment: Mapping[str, str], choice: str, *, is_terminal: bool
) -> Terminal:
    """Return what an output can show.

    Args:
        environment: ``TERM``, ``COLUMNS``, ``LINES``; ``NO_COLOR`` (no-color.org),
            ``CLICOLOR`` and ``CLICOLOR_FORCE`` (bixense.com/clicolors).
        choice: One of ``COLOR_CHOICES``; ``auto`` asks the environment.
        is_terminal: It is one.
    """
    is_able = is_terminal and environment.get("TERM") not in _DUMB
    width, height = _size(environment) if is_able else (None, 0)
    return Terminal(width, height, _has_colour(environment, choice, is_able=is_able))


def _has_colour(environment: Mapping[str, str], choice: str, *, is_able: bool) -> bool:
    if choice != "auto":
        return choice == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return is_able and environment.get("CLICOLOR") != "0"


def _size(environment: Mapping[str, str]) -> tuple[int, int]:
    try:
        measured = os.get_terminal_size(sys.__stdout__.fileno())  # type: ignore[union-attr]  # a terminal is there
    except (AttributeError, ValueError, OSError):
        measured = os.terminal_size((0, 0))
    width = _number(environment.get("COLUMNS")) or measured.columns or _WIDTH
    height = _number(environment.get("LINES")) or measured.lines or _HEIGHT
    return width, height


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


NO_PAINT: Final[Paint] = Terminal(None, 0, has_colour=False).paint


class PagedOutput(io.TextIOBase):
    """Standard output that starts a pager once it is longer than the screen.

    Args:
        out: The terminal.
        height: Its lines.
        environment: ``PAGER`` names the pager; empty or ``cat`` is none.
    """

    def __init__(
        self, out: io.TextIOBase, height: int, environment: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._out = out
        self._left = height - 1  # a line for the prompt
        self._held: list[str] = []
        self._environment = environment
        self._is_through = False  # what comes now is written at once
        self._pager: subprocess.Popen[str] | None = None

    def isatty(self) -> bool:
        """Tell that a terminal is at the other end."""
        return True

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Write, or hold back while it may all fit on the screen.

        Raises:
            BrokenPipeError: The reader has left the pager.
            TypeError: It is not text; click tells text streams from others by that.
        """
        if not isinstance(text, str):
            raise TypeError("only text is written here")
        if self._is_through:
            self._target.write(text)
            return len(text)
        self._held.append(text)
        self._left -= text.count("\n")
        if self._left < 0:
            self._start_pager()
            self._write_held()
        return len(text)

    def flush(self) -> None:
        """Flush what is not held back."""
        if self._is_through:
            self._target.flush()

    def finish(self) -> None:
        """Write the rest, and wait until the reader leaves the pager."""
        try:
            self._write_held()
            if self._pager is not None and self._pager.stdin is not None:
                self._pager.stdin.close()
        except BrokenPipeError:
            pass  # the reader has left already
        while self._pager is not None and self._pager.returncode is None:
            with suppress(KeyboardInterrupt):  # it is the pager's to take
                self._pager.wait()

    @property
    def _target(self) -> io.TextIOBase:
        if self._pager is not None and self._pager.stdin is not None:
            return self._pager.stdin  # type: ignore[return-value]  # a text stream
        return self._out

    def _write_held(self) -> None:
        self._is_through = True
        held, self._held = self._held, []
        self._target.write("".join(held))
        self._target.flush()

    def _start_pager(self) -> None:
        import shlex  # noqa: PLC0415  # 10 ms, for long output only
        import shutil  # noqa: PLC0415
        import subprocess  # noqa: PLC0415

        named = self._environment.get("PAGER", _DEFAULT_PAGER)
        try:
            words = shlex.split(named)
        except ValueError:
            return
        if not words or words == ["cat"] or shutil.which(words[0]) is None:
            return
        self._pager = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={"LESS": _DEFAULT_LESS, **self._environment},
        )
