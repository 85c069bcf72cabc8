"""Writes our own files, often as root, in folders where others may have placed something.

A file is created beside its place under an unpredictable name, and renamed: a reader sees
the old content or the new one, and a link that stands in the place is replaced, never
followed. A folder that others may change causes a warning, for there they can undo anything.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o644
FOLDER_MODE: Final = 0o755
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_file(path: Path | str, octets: bytes, mode: int = FILE_MODE) -> None:
    """Put a file in its place, whole; the folder must be there.

    Args:
        path: Where.
        octets: Its content.
        mode: Its permissions, less the process's mask.

    Raises:
        OSError: It cannot be written; what stood there is as it was.
    """
    path = Path(path)
    folder = os.open(path.parent, _FOLDER)
    try:
        draft = f".{path.name[:200]}.{os.urandom(8).hex()}"
        descriptor = os.open(draft, _NEW, mode, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
            os.rename(draft, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=folder)
            raise
    finally:
        os.close(folder)


def make_folder(path: Path | str) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        OSError: It cannot be made, or something else stands there.
    """
    Path(path).mkdir(FOLDER_MODE, parents=True, exist_ok=True)


def folder_fault(path: Path | str) -> str:
    """Return which folder on the way to ``path`` others may change; empty for none.

    Others may replace whatever stands in a folder that they may write to, unless its sticky
    bit is set; and so may the owner of a folder who is neither root nor this process's user.
    """
    trusted = {0, os.geteuid()}
    folder = Path(os.path.realpath(Path(path).parent))
    for each in (folder, *folder.parents):
        try:
            found = each.stat()
        except OSError:
            continue  # the writer reports it
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            return f"{each} is world-writable without the sticky bit"
        if found.st_uid not in trusted:
            return f"{each} belongs to user {found.st_uid}"
    return ""
