"""A shell of its own namespaces, in which the commands of a page run one after the other.

It has its own mounts, network, processes and ``/run``: a page may name its network namespaces as
it likes, and all that it starts ends with the shell.
"""

import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.generated import ROOT

PATIENCE: Final = (
    60.0  # seconds for one command, or until its output is as it should be
)
# Nothing of a page may change the tree that is tested. FRR writes below the last two folders.
_PRIVATE: Final = (
    f"mount --bind -o ro {ROOT} {ROOT} || exit;"
    "for folder in /run /var/tmp /etc/frr; do"
    " if [ -d $folder ]; then mount -t tmpfs tmpfs $folder || exit; fi; done;"
    " ip link set lo up"
)
_UNSHARE: Final = (
    *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"),
    *("--mount-proc", "bash", "--noprofile", "--norc"),
)


class Shell:
    """A bash in namespaces of its own; needs root.

    Args:
        folder: Where it starts, which becomes the home folder.
        variables: Of its environment, beside ours.
    """

    def __init__(
        self, folder: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYBGPD_")}
        programs = Path(sys.executable).parent
        path = f"{programs}:{kept.get('PATH', '')}:/usr/sbin:/sbin"
        self._environment = kept | {
            "PATH": path,
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
        }
        self._environment |= variables or {}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            _UNSHARE,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        code, text = self.run(_PRIVATE)
        assert code == 0, text
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.send_signal(signal.SIGKILL)  # what it started ends with it
        process.wait(10)
        process.stdout.close()

    def run(self, command: str) -> tuple[int, str]:
        """Run a command; return its exit code and what it printed.

        Raises:
            AssertionError: It did not end in time, or ended the shell.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        mark = secrets.token_hex(8)
        # A background job reads nothing of what is typed later.
        script = f"{{ {command}\n}} </dev/null\nprintf '\\n{mark} %d\\n' $?\n"
        self._process.stdin.write(script.encode())
        self._process.stdin.flush()
        text, _, code = self._until(mark, command).rpartition(f"\n{mark} ")
        return int(code), text

    def _until(self, mark: str, command: str) -> str:
        assert self._process is not None
        pipe = self._process.stdout
        assert pipe is not None
        deadline = time.monotonic() + PATIENCE
        read = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not (mark.encode() in read and read.endswith(b"\n")):
                left = deadline - time.monotonic()
                assert selector.select(max(left, 0)), f"no end of {command}: {read!r}"
                piece = os.read(pipe.fileno(), 65536)
                assert piece, f"{command} ended the shell: {read.decode()}"
                read += piece
        return read.decode(errors="replace").rstrip("\n")
