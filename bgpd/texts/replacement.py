"""A file's next content, written beside it before it takes its place.

The owner of a configuration, its permissions and the links that lead to it stay: the file that
a link means is replaced, not the link.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE: Final = 0o600  # until it has the permissions of what it replaces


class Replacement:
    """A draft beside a file; ``put`` makes it the file.

    Args:
        file: To be replaced; it must be there.
        octets: The next content.

    Raises:
        OSError: The draft cannot be written; nothing has changed.
    """

    def __init__(self, file: Path, octets: bytes) -> None:
        self._file = Path(os.path.realpath(file))
        # One name: what a crash leaves is used again, and is not one more each time.
        self._draft = self._file.with_name(f".{self._file.name[:200]}.unconfirmed")
        found = self._file.stat()
        with contextlib.suppress(FileNotFoundError):
            self._draft.unlink()
        descriptor = os.open(self._draft, _NEW, _PRIVATE)
        try:
            with os.fdopen(descriptor, "wb") as draft:
                draft.write(octets)
                draft.flush()
                if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                    with contextlib.suppress(PermissionError):
                        os.fchown(draft.fileno(), found.st_uid, found.st_gid)
                os.fchmod(draft.fileno(), found.st_mode & 0o7777)
                os.fsync(draft.fileno())
        except BaseException:
            self.discard()
            raise

    def put(self) -> None:
        """Replace the file.

        Raises:
            OSError: It cannot be replaced, and is as it was.
        """
        self._draft.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # not every file system can
                os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Remove the draft."""
        with contextlib.suppress(OSError):
            self._draft.unlink()
