"""The files of a folder of manifests, as last understood.

A change of a few small files is read in a thread, within limits that hold the interpreter for
some 15 ms in all. Whatever is more is read by a process of its own: parsing has the
interpreter's lock for seconds, and may take memory without end, or crash (ADR 0018).
"""

import asyncio
import os
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from bgpd.datastore.manifests import Entry, Parsed, parse
from bgpd.texts.files import NoFileError, read_text
from bgpd.texts.limits import MANIFESTS, LimitError, Limits, TextError
from bgpd.worker.worker import Worker, WorkerError

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_FILES: Final = 50_000
MAX_FOLDER_DEPTH: Final = 16
MAX_OCTETS: Final = 64 << 20  # of all files together
SMALL: Final = Limits(16 << 10, 1_000, 64)  # of all files that a thread reads at once
MAX_WARNINGS: Final = 500  # reported for one folder
_PIECE_ENTRIES: Final = 256
_PIECE_OCTETS: Final = 128 << 10  # a millisecond to take in
_MERGED: Final = 128  # entries between yield points

Stamp = tuple[int, int, int, int]  # inode, octets, times of change in ns
Stamps = dict[str, Stamp]
UNREADABLE: Final[Stamp] = (0, 0, 0, 0)


class FolderError(Exception):
    """A folder as a whole is more than is read; the text says why."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in a folder.

    Attributes:
        folders: It, and those below it.
        stamps: The manifest files in order of path, with what tells a change of each.
    """

    folders: tuple[str, ...]
    stamps: Stamps


def list_folder(root: str) -> Listing:
    """Return folders and manifest files below ``root``.

    Raises:
        OSError: A folder cannot be listed. That fails it all: what cannot be listed must
            not look like deleted.
        FolderError: There are more files, or folders in folders, than are read.
    """
    folders: list[str] = []
    stamps: Stamps = {}
    _list(root, 0, folders, stamps)
    return Listing(tuple(folders), stamps)


def _list(folder: str, depth: int, folders: list[str], stamps: Stamps) -> None:
    if depth > MAX_FOLDER_DEPTH:
        raise FolderError(
            f"{folder}: ignored, more than {MAX_FOLDER_DEPTH} levels deep"
        )
    if len(folders) >= MAX_FILES:
        raise FolderError(f"there are more than {MAX_FILES} folders; ignored the rest")
    folders.append(folder)
    with os.scandir(folder) as found:
        entries = [each for each in found if not each.name.startswith(".")]
    entries.sort(key=lambda each: each.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            _list(entry.path, depth + 1, folders, stamps)
        elif entry.name.endswith(SUFFIXES):
            if len(stamps) >= MAX_FILES:
                raise FolderError(
                    f"there are more than {MAX_FILES} files; ignored the rest"
                )
            try:
                stamps[entry.path] = _stamp(entry.stat())
            except FileNotFoundError:
                # A link may lead to a volume that is away; else it was deleted just now.
                if entry.is_symlink():
                    stamps[entry.path] = UNREADABLE
            except OSError:
                stamps[entry.path] = UNREADABLE  # reading it will say why


def _stamp(found: os.stat_result) -> Stamp:
    octets = found.st_size if stat.S_ISREG(found.st_mode) else 0
    return found.st_ino, octets, found.st_mtime_ns, found.st_ctime_ns


# -- reading, here or in a process of its own ---------------------------------------------


class Read(NamedTuple):
    """What came of one file.

    Attributes:
        parsed: Its objects, and what is wrong with it.
        may_change: It could not be opened: another attempt may find something else.
    """

    parsed: Parsed
    may_change: bool = False


def read_file(path: str, limits: Limits = MANIFESTS) -> Read:
    """Read one file; whatever is wrong with it is in the result."""
    try:
        return Read(parse(read_text(path, limits.octets), limits))
    except LimitError as error:
        nothing = _nothing(f"unreadable: {error.problem}")
        return Read(replace(nothing, is_cut=True))
    except TextError as error:
        return Read(_nothing(f"unreadable: {error.problem}", error.line or 1))
    except NoFileError as error:
        return Read(_nothing(f"unreadable: {error}"))
    except OSError as error:
        text = f"unreadable: {error.strerror or error}"
        return Read(_nothing(text), may_change=True)
    except Exception as error:  # noqa: BLE001  # one file never blocks the others
        return Read(_nothing(f"unreadable: {type(error).__name__}: {error}"))


def _nothing(text: str, line: int = 1) -> Parsed:
    return Parsed((), ((line, text),), is_whole=False)


def read_in_pieces(paths: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Read files, and yield the result of each in pieces.

    Yields:
        ``begin`` with a path before anything else happens with it; entries; ``end`` with
        the rest.
    """
    for path in paths:
        yield "begin", path
        read = read_file(path)
        yield from (("entries", piece) for piece in _cut(read.parsed.entries))
        parsed = read.parsed
        rest = Parsed((), parsed.warnings, parsed.is_whole, parsed.is_cut)
        yield "end", Read(rest, read.may_change)


def _cut(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    piece: list[Entry] = []
    octets = 0
    for entry in entries:
        piece.append(entry)
        octets += len(entry.value)
        if len(piece) >= _PIECE_ENTRIES or octets >= _PIECE_OCTETS:
            yield tuple(piece)
            piece, octets = [], 0
    if piece:
        yield tuple(piece)


# -- files as last understood -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _File:
    stamp: Stamp
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class Merged:
    """What all files say together.

    Attributes:
        items: Key to value.
        places: Key to file and line.
        warnings: What is wrong, in order of path.
    """

    items: dict[str, bytes] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class ManifestFiles:
    """The files of one folder.

    Args:
        root: The folder.
    """

    def __init__(self, root: str) -> None:
        self._prefix = len(root.rstrip("/")) + 1
        self._files: dict[str, _File] = {}
        self._worker = Worker()

    async def refresh(self, stamps: Stamps) -> str:
        """Read what changed; return why something could not be read, empty if all could.

        Args:
            stamps: Of all files there are, in order.
        """
        changed = {
            path: stamp
            for path, stamp in stamps.items()
            if path not in self._files or self._files[path].stamp != stamp
        }
        fault = await self._read(changed, self._refused(stamps))
        self._files = {
            path: self._files[path] for path in stamps if path in self._files
        }
        unread = (each for each in self._files.items() if each[1].stamp == UNREADABLE)
        first = (f"{self._name(path)}:{file.warnings[0]}" for path, file in unread)
        return fault or next(first, "")

    def _refused(self, stamps: Stamps) -> set[str]:
        """Return the files that are too much together with those before them."""
        refused: set[str] = set()
        total = 0
        for path, stamp in stamps.items():
            if stamp[1] <= MANIFESTS.octets:  # else it is refused by itself
                total += stamp[1]
                if total > MAX_OCTETS:
                    refused.add(path)
        return refused

    async def _read(self, changed: Stamps, refused: set[str]) -> str:
        for path in refused & changed.keys():
            text = (
                f"ignored: the files before it reach the limit of {MAX_OCTETS} octets"
            )
            self._take(path, changed[path], Read(_nothing(text)))
        left = {path: changed[path] for path in changed if path not in refused}
        if sum(stamp[1] for stamp in left.values()) <= SMALL.octets:
            left = await self._read_small(left)
        return await self._read_aside(left)

    async def _read_small(self, changed: Stamps) -> Stamps:
        """Read in a thread; return what turned out to be more."""
        more: Stamps = {}
        nodes = SMALL.nodes
        for path, stamp in changed.items():
            read = await asyncio.to_thread(read_file, path, SMALL._replace(nodes=nodes))
            nodes -= read.parsed.nodes
            if read.parsed.is_cut or nodes <= 0:
                more[path] = stamp
            else:
                self._take(path, stamp, read)
        return more

    async def _read_aside(self, changed: Stamps) -> str:
        """Read in a process of its own; one that a file ends is replaced for the others.

        Returns:
            Why there is no such process; empty where all is read.
        """
        left = list(changed)
        suspect = ""
        while left:
            reading = _Reading()
            try:
                await self._follow_worker(reading, left, changed)
            except WorkerError as error:
                if not reading.path:
                    return f"unreadable: {error}"
                if suspect != reading.path:
                    suspect = reading.path  # once more: memory may have been short
                    continue
                left.remove(suspect)
                read = Read(_nothing(f"unreadable: {error}"))
                self._take(suspect, changed[suspect], read)
        return ""

    async def _follow_worker(
        self, reading: "_Reading", left: list[str], changed: Stamps
    ) -> None:
        work = self._worker.pieces(read_in_pieces, tuple(left))
        async with aclosing(work) as pieces:
            async for kind, value in pieces:
                if kind == "begin":
                    reading.path, reading.entries = value, []
                elif kind == "entries":
                    reading.entries += value
                else:
                    entries = tuple(reading.entries)
                    read = value._replace(parsed=replace(value.parsed, entries=entries))
                    left.remove(reading.path)
                    self._take(reading.path, changed[reading.path], read)
                    reading.path = ""

    def _take(self, path: str, stamp: Stamp, read: Read) -> None:
        """Take the result of a file; a file with errors deletes nothing."""
        parsed, known = read.parsed, self._files.get(path)
        if read.may_change:
            stamp = UNREADABLE  # tried again
        warnings = [f"{line}: {text}" for line, text in parsed.warnings]
        entries = parsed.entries
        if known is not None and not parsed.is_whole:
            found = {entry.key for entry in entries}
            kept = tuple(entry for entry in known.entries if entry.key not in found)
            if kept:
                keys = ", ".join(entry.key for entry in kept[:3])
                more = f" and {len(kept) - 3} more" if len(kept) > 3 else ""
                warnings.append(f"1: keeping the last valid version: {keys}{more}")
            entries += kept
        self._files[path] = _File(stamp, entries, tuple(warnings))

    def merged(self) -> Generator[None, None, Merged]:
        """Return the objects of all files, in slices; an object in two files is the first one's."""
        merged = Merged()
        count = passed_over = 0
        for path, file in self._files.items():
            name = self._name(path)
            warnings = [f"{name}:{text}" for text in file.warnings]
            for entry in file.entries:
                count += 1
                if count % _MERGED == 0:
                    yield
                place = f"{name}:{entry.line}"
                if entry.key in merged.items:
                    first = merged.places[entry.key]
                    warnings.append(f"{place}: {entry.key} is already in {first}")
                else:
                    merged.items[entry.key] = entry.value
                    merged.places[entry.key] = place
            room = MAX_WARNINGS - len(merged.warnings)
            merged.warnings += warnings[:room]
            passed_over += len(warnings[room:])
        if passed_over:
            merged.warnings.append(f"and {passed_over} more problems")
        return merged

    def _name(self, path: str) -> str:
        return path[self._prefix :]

    async def close(self) -> None:
        """End what reads."""
        await self._worker.close()


@dataclass(slots=True)
class _Reading:
    """The file that a process reads now; empty between two."""

    path: str = ""
    entries: list[Entry] = field(default_factory=list)
