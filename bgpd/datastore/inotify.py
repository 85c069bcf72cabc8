"""Notice changes of folders by Linux' inotify; readable through the event loop.

It reports only *that* something changed: the reader compares the folder itself, so a queue
overflow or a coalesced event loses nothing.
"""

import asyncio
import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CLOSE_WRITE: Final = 0x008  # linux/inotify.h
_ATTRIB: Final = 0x004
_MOVED_FROM: Final = 0x040
_MOVED_TO: Final = 0x080
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_ONLYDIR: Final = 0x1000000
_MASK: Final = (
    _CLOSE_WRITE
    | _ATTRIB
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _ONLYDIR
)
_READ_OCTETS: Final = 65536


class Inotify:
    """One inotify instance on an event loop; sets ``changed`` on any event.

    Attributes:
        changed: Something happened in a watched folder.
        fault: Why nothing is reported any more; ``changed`` is set then, too.

    Raises:
        OSError: The kernel has no inotify, or the user's limit of instances is reached.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise OSError(errno.ENOSYS, "no inotify in the C library")
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self.changed = asyncio.Event()
        self.fault: OSError | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch ``folders``, not what is below them; those already watched cost nothing.

        Raises:
            OSError: The user's limit of watches is reached. A folder that is gone is none.
        """
        for folder in folders:
            path = os.fsencode(folder)
            if self._libc.inotify_add_watch(self._fd, path, _MASK) >= 0:
                continue
            number = ctypes.get_errno()
            if number not in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}:
                raise OSError(number, "inotify_add_watch", str(folder))

    def close(self) -> None:
        """Release the descriptor."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        try:
            os.read(self._fd, _READ_OCTETS)
        except BlockingIOError:
            return
        except OSError as error:
            # The loop would call again at once, and for ever.
            self._loop.remove_reader(self._fd)
            self.fault = error
        self.changed.set()
