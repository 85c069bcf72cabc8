"""Reading files that other programs write.

Only regular files within a limit are read. A FIFO, a device, a socket or a folder in a file's
place is reported at once; a file that grows while it is read, or has no size (``/proc``), is read
up to the limit. Links are followed: Kubernetes' mounted files are links.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from bgpd.texts.json_text import decode
from bgpd.texts.limits import LimitError

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_PIECE: Final = 1 << 20


class NoFileError(OSError):
    """It is not a regular file; another attempt will fail as well."""

    def __str__(self) -> str:
        """Return the problem; the caller adds the path."""
        return self.strerror or ""


def read_octets(path: Path | str, limit: int, *, follows: bool = True) -> bytes:
    """Return a file's octets.

    Args:
        path: Where.
        limit: Octets that are taken at most.
        follows: Follow a link instead of rejecting it.

    Raises:
        NoFileError: It is not a regular file.
        LimitError: It is larger.
        OSError: It cannot be read.
    """
    # Looked at first: to open a device may do something.
    look = os.stat(path, follow_symlinks=follows)  # noqa: PTH116  # text or path
    _check(look, path, limit)
    flags = _FLAGS if follows else _FLAGS | os.O_NOFOLLOW
    descriptor = os.open(path, flags)
    try:
        _check(os.fstat(descriptor), path, limit)
        pieces: list[bytes] = []
        left = limit + 1
        while left and (piece := os.read(descriptor, min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(descriptor)
    octets = b"".join(pieces)
    if len(octets) > limit:
        raise LimitError(f"has more than {limit} octets, which is the limit")
    return octets


def read_text(path: Path | str, limit: int, *, follows: bool = True) -> str:
    """Return a file's text.

    Raises:
        NoFileError: As ``read_octets``.
        TextError: It is larger than the limit, or not UTF-8.
        OSError: It cannot be read.
    """
    return decode(read_octets(path, limit, follows=follows))


def _check(found: os.stat_result, path: Path | str, limit: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kinds = (name for test, name in _KINDS if test(found.st_mode))
        text = f"is {next(kinds, 'not a file')}; expected a regular file"
        raise NoFileError(errno.EINVAL, text, str(path))
    if found.st_size > limit:
        raise LimitError(f"has {found.st_size} octets; the limit is {limit}")
