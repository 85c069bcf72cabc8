"""The claim to a control path: one daemon at a time, from before it does anything else.

A lock on a file beside the socket is held for as long as the process lives, however it
ends, and of two that start at once only one gets it. A daemon of a release without the lock
is found by its socket. Loads little: the start waits for it.
"""

import fcntl
import os
import socket
from pathlib import Path
from typing import Final

SUFFIX: Final = ".lock"
_HINT: Final = "choose another path with control.path or --control"
_ACCEPT_TIMEOUT: Final = 1.0  # seconds; a daemon that is alive but busy accepts in time


class ClaimError(Exception):
    """Another daemon has the path; the text says what to do."""


class Claim:
    """An exclusive claim to a control path.

    Args:
        control_path: Of the control socket; empty claims nothing.
        is_inherited: What listens there is ours, from the service manager.

    If the lock fails for a reason other than that another process has it, there is no
    claim: creating the socket reports why it fails.

    Raises:
        ClaimError: Another daemon has it.
    """

    def __init__(self, control_path: str, *, is_inherited: bool = False) -> None:
        self._descriptor = -1
        if not control_path:
            return
        file = Path(control_path).with_suffix(SUFFIX)
        title = f"control socket {control_path}"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            flags = (
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            self._descriptor = os.open(file, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            reason = (
                f"another daemon uses it and has locked {file}; stop it, or {_HINT}"
            )
            raise ClaimError(f"{title}: {reason}") from error
        except OSError:
            self.release()
        if not is_inherited and _is_served(control_path):
            self.release()
            reason = f"another daemon listens there; stop it, or {_HINT}"
            raise ClaimError(f"{title}: {reason}")

    def release(self) -> None:
        """Give it up. The file stays: were it removed, two daemons could have it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _is_served(path: str) -> bool:
    """Whether a process listens at ``path``; false if that cannot be determined."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ACCEPT_TIMEOUT)
        try:
            probe.connect(path)
        except (TimeoutError, BlockingIOError):
            return True  # its backlog is full: it is busy, and there
        except OSError:
            return False
    return True
