"""MRT files: compressed, complete under their names, and bounded in number and octets.

A file grows beside its place, under a name with a dot in front, and is renamed when it is complete:
a program that collects files sees complete ones alone. What a former run left unfinished counts among the
files that are kept, and goes when it is its turn. Everything here may wait for the disk: it is
for threads.
"""

import bz2
import contextlib
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from bgpd.texts.state_files import FILE_MODE

SUFFIXES: Final = {"none": "", "gzip": ".gz", "bzip2": ".bz2"}
"""By the word for a compression, how a file's name ends."""
_GZIP: Final = 31  # window bits: 15, and a header of gzip
_LEVEL: Final = 6
_UNFINISHED: Final = ".partial"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Compressor(Protocol):
    """Makes less of octets."""

    def compress(self, octets: bytes) -> bytes:
        """Take octets; return what is ready."""

    def sync(self) -> bytes:
        """Return all that was taken so far, if this compression can."""

    def flush(self) -> bytes:
        """Return the rest."""


class _Plain:
    def compress(self, octets: bytes) -> bytes:
        """See ``Compressor``."""
        return octets

    def sync(self) -> bytes:
        """See ``Compressor``."""
        return b""

    def flush(self) -> bytes:
        """See ``Compressor``."""
        return b""


class _Gzip:
    def __init__(self) -> None:
        made = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self.compress = made.compress
        self.flush = made.flush

    def sync(self) -> bytes:
        """See ``Compressor``."""
        return self.flush(zlib.Z_SYNC_FLUSH)


class _Bzip2:
    def __init__(self) -> None:
        made = bz2.BZ2Compressor()
        self.compress = made.compress
        self.flush = made.flush

    def sync(self) -> bytes:
        """See ``Compressor``."""
        return b""


_COMPRESSORS: Final[dict[str, Callable[[], Compressor]]] = {
    "none": _Plain,
    "gzip": _Gzip,
    "bzip2": _Bzip2,
}


class GrowingFile:
    """A file that is being written.

    Args:
        folder: Where; it must be there.
        name: Its name once it is complete.
        compression: A key of ``SUFFIXES``.

    Raises:
        OSError: It cannot be made.

    Attributes:
        octets: Written so far, compressed.
        given: Octets taken so far, before compression.
    """

    def __init__(self, folder: str, name: str, compression: str) -> None:
        self.octets = 0
        self.given = 0
        self._final = Path(folder, name)
        self._draft = Path(folder, f".{name}.{os.urandom(4).hex()}{_UNFINISHED}")
        self._compressor = _COMPRESSORS[compression]()
        self._descriptor = os.open(self._draft, _NEW, FILE_MODE)

    def write(self, octets: bytes) -> None:
        """Write octets.

        Raises:
            OSError: The disk is full, or broken.
        """
        self.given += len(octets)
        self._put(self._compressor.compress(octets))

    def sync(self) -> None:
        """Put all that was taken into the file, as far as the compression can."""
        self._put(self._compressor.sync())

    def _put(self, octets: bytes) -> None:
        left = memoryview(octets)
        while left:
            written = os.write(self._descriptor, left)
            self.octets += written
            left = left[written:]

    def has_vanished(self) -> bool:
        """Whether the file was taken away, so that what is written to it is lost."""
        try:
            here = self._draft.stat()
            return not os.path.samestat(here, os.fstat(self._descriptor))
        except OSError:
            return True

    def finish(self) -> Path:
        """Complete the file; return its path.

        Raises:
            OSError: It cannot be completed; what there is of it stays unfinished.
        """
        try:
            self._put(self._compressor.flush())
        finally:
            self._close()
        path, number = self._final, 0
        while path.exists():  # two in one second
            number += 1
            stem, dot, suffix = self._final.name.rpartition(".")
            name = f"{stem}-{number}.{suffix}" if dot else f"{suffix}-{number}"
            path = self._final.with_name(name)
        self._draft.rename(path)
        return path

    def abandon(self) -> None:
        """Leave what there is of it, unfinished; an empty one goes."""
        self._close()
        if not self.given:
            self.discard()

    def discard(self) -> None:
        """Remove what there is of it."""
        self._close()
        with contextlib.suppress(OSError):
            self._draft.unlink()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def name_at(kind: str, moment: float, compression: str) -> str:
    """Return the name of a file, such as ``updates.20261201.030500.gz``, in UTC.

    Args:
        kind: The first word.
        moment: Seconds since 1970.
        compression: A key of ``SUFFIXES``.
    """
    stamp = time.strftime("%Y%m%d.%H%M%S", time.gmtime(moment))
    return f"{kind}.{stamp}{SUFFIXES[compression]}"


def prune(folder: str, kind: str, most_files: int, most_octets: int) -> int:
    """Remove the oldest files of a kind until what is left fits; return how many went.

    Args:
        folder: Where.
        kind: The first word of their names.
        most_files: So many may stay.
        most_octets: So many octets in all may stay; the newest file stays in any case.

    Raises:
        OSError: The folder cannot be read, or a file not be removed.
    """
    found: list[tuple[float, str, int]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_draft = entry.name.startswith(f".{kind}.")
            is_draft = is_draft and entry.name.endswith(_UNFINISHED)
            if not (is_draft or entry.name.startswith(f"{kind}.")):
                continue
            with contextlib.suppress(FileNotFoundError):
                stat = entry.stat(follow_symlinks=False)
                found.append((stat.st_mtime, entry.path, stat.st_size))
    found.sort(reverse=True)
    octets = gone = 0
    for place, (_, path, size) in enumerate(found):
        octets += size
        if place >= most_files or (place and octets > most_octets):
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()
                gone += 1
    return gone
