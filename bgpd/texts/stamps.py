"""What tells one version of a file from another."""

from collections.abc import Iterable
from pathlib import Path

Stamps = dict[Path, tuple[int, int, int] | None]


def stamps(files: Iterable[Path]) -> Stamps:
    """Return what tells one version of each file from another; ``None`` if it is gone."""
    found: Stamps = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            found[file] = None
        else:
            found[file] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return found
