"""The embedded datastore: a folder of manifests, watched.

Every ``*.yaml``, ``*.yml`` and ``*.json`` below the folder is read; names beginning with a
dot are not (editors' temporary files, the ``..data`` of a mounted ConfigMap). Only files
whose size, inode or times changed are parsed again.

One bad file or document never blocks the others, nor does it delete: while a file has an
unreadable document, objects it held before and that are now missing stay as they were. The
same holds for an unreadable file, and for a folder that is gone as a whole (an unmounted
volume). Where two files name one object, the first path in order counts.

A change is taken when the folder has been still for ``debounce`` seconds, so that a file
being written in place is not read half.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import yaml

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.datastore.folder_watch import FolderWatch
from bgpd.datastore.inotify import Inotify
from bgpd.datastore.manifests import Entry, ManifestError, Parsed, key_of, parse
from bgpd.datastore.model import DatastoreError, Manifest, Status
from bgpd.texts.state_files import make_folder, write_file

SUFFIXES: Final = (".yaml", ".yml", ".json")
AUDIT_INTERVAL: Final = 30.0  # seconds; network file systems tell inotify nothing
POLL_INTERVAL: Final = 1.0  # seconds, without inotify
_STILL_ATTEMPTS: Final = 20  # a folder that never rests is read anyway

_LOG: Final = logging.getLogger(__name__)

Stamp = tuple[int, int, int, int]
Stamps = dict[Path, Stamp]
_UNREADABLE: Final[Stamp] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _File:
    stamp: Stamp
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Listing:
    folders: tuple[Path, ...]
    stamps: Stamps


def list_folder(root: Path) -> _Listing:
    """Return folders and manifest files below ``root`` with what tells a change.

    Raises:
        OSError: ``root`` itself cannot be listed.
    """
    folders: list[Path] = []
    stamps: Stamps = {}
    # What cannot be listed must not look like deleted, so one failure fails it all.
    for top, names, files in os.walk(root, onerror=_raise):
        names[:] = sorted(name for name in names if not name.startswith("."))
        folders.append(Path(top))
        for name in sorted(files):
            if name.startswith(".") or not name.endswith(SUFFIXES):
                continue
            path = Path(top, name)
            with suppress(FileNotFoundError):  # deleted since it was listed
                stamps[path] = _stamp(path)
    return _Listing(tuple(folders), dict(sorted(stamps.items())))


def _raise(error: OSError) -> None:
    raise error


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise
    except OSError:
        return _UNREADABLE  # reading it will say why
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class _Reader:
    """The files as last understood; runs in a worker thread, one call at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[Path, _File] = {}

    def refresh(self, stamps: Stamps) -> str:
        """Read what changed; return why something could not be read, empty if all could."""
        for path in self._files.keys() - stamps.keys():
            del self._files[path]
        for path, stamp in stamps.items():
            known = self._files.get(path)
            if known is None or known.stamp != stamp:
                self._files[path] = self._read(path, stamp, known)
        unread = (each for each in self._files.items() if each[1].stamp == _UNREADABLE)
        return next((f"{path.name}:{file.warnings[0]}" for path, file in unread), "")

    def entries(self) -> tuple[dict[str, tuple[Entry, str]], tuple[str, ...]]:
        """Return key to entry and place, and the warnings, in order of path."""
        merged: dict[str, tuple[Entry, str]] = {}
        warnings: list[str] = []
        for path, file in sorted(self._files.items()):
            name = str(path.relative_to(self._root))
            warnings.extend(f"{name}:{text}" for text in file.warnings)
            for entry in file.entries:
                place = f"{name}:{entry.line}"
                first = merged.setdefault(entry.key, (entry, place))
                if first[1] != place:
                    warnings.append(f"{place}: {entry.key} is already in {first[1]}")
        return merged, tuple(warnings)

    def _read(self, path: Path, stamp: Stamp, known: _File | None) -> _File:
        try:
            parsed = parse(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            parsed = Parsed((), ((1, f"cannot be read: {error}"),), is_whole=False)
            if isinstance(error, OSError):
                stamp = _UNREADABLE  # tried again at the next audit
        warnings = [f"{line}: {text}" for line, text in parsed.warnings]
        if parsed.is_whole or known is None:
            return _File(stamp, parsed.entries, tuple(warnings))
        found = {entry.key for entry in parsed.entries}
        kept = tuple(entry for entry in known.entries if entry.key not in found)
        if kept:
            keys = ", ".join(entry.key for entry in kept[:3])
            more = f" and {len(kept) - 3} more" if len(kept) > 3 else ""
            warnings.append(f"1: kept as last understood: {keys}{more}")
        return _File(stamp, parsed.entries + kept, tuple(warnings))


class FolderDatastore:
    """A watched folder of manifests.

    Args:
        path: The folder; it may appear later.
        debounce: Seconds without a change before a change is taken.
        uses_inotify: False polls every ``POLL_INTERVAL`` (also the fallback where the
            kernel refuses inotify).
    """

    def __init__(
        self, path: str | Path, *, debounce: float = 0.05, uses_inotify: bool = True
    ) -> None:
        self._root = Path(path)
        self._debounce = debounce
        self._uses_inotify = uses_inotify
        # Outlives ``events``: what was understood stays, whoever asks again.
        self._reader = _Reader(self._root)
        self._places: dict[str, str] = {}
        self._revision = 0
        self._status = Status("folder", since=time.monotonic())

    @property
    def status(self) -> Status:
        """The state now."""
        return replace(self._status, server_revision=self._revision)

    def describe(self, key: str) -> str:
        """Return file and line of ``key``, or the key itself."""
        return self._places.get(key, key)

    async def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield the folder's content, then its changes; see ``Datastore``."""
        told: dict[str, bytes] | None = None
        stamps: Stamps | None = None
        watch = FolderWatch(
            str(self._root),
            audit=AUDIT_INTERVAL,
            poll=POLL_INTERVAL,
            make=Inotify if self._uses_inotify else None,
        )
        try:
            while True:
                listing = await self._still_listing(watch)
                if listing is not None and listing.stamps != stamps:
                    stamps = listing.stamps
                    fault = await asyncio.to_thread(self._reader.refresh, stamps)
                    self._set_connected(error=fault)
                    if fault:
                        stamps = None  # what could not be read is tried again
                    items = self._take(self._reader)
                    event = self._event(told, items)
                    told = items
                    if event is not None:
                        yield event
                        self._status = replace(
                            self._status, applied_revision=event.revision
                        )
                elif listing is not None:
                    self._set_connected()
                await watch.wait(None if self._status.is_connected else POLL_INTERVAL)
        finally:
            watch.close()

    async def _still_listing(self, watch: FolderWatch) -> _Listing | None:
        """List the folder once it rests; None while it cannot be listed."""
        before: Stamps | None = None
        latest: _Listing | None = None
        for _ in range(_STILL_ATTEMPTS):
            watch.clear()  # before listing, so that nothing is missed
            watch.watch((self._root,))
            try:
                listing = await asyncio.to_thread(list_folder, self._root)
            except Exception as error:  # noqa: BLE001  # it stays as it was last read
                self._set_connected(error=str(error) or type(error).__name__)
                watch.watch((self._root.parent,))  # the folder may come back
                return None
            watch.watch(listing.folders)  # what appears in these, the next pass finds
            if listing.stamps == before:
                return listing
            before = listing.stamps
            latest = listing
            await asyncio.sleep(self._debounce)
        return latest

    def _take(self, reader: _Reader) -> dict[str, bytes]:
        merged, warnings = reader.entries()
        for text in warnings:
            if text not in self._status.warnings:
                _LOG.warning("%s/%s", self._root, text)
        self._status = replace(self._status, warnings=warnings)
        self._places = {key: place for key, (_, place) in merged.items()}
        return {key: entry.value for key, (entry, _) in merged.items()}

    def _event(
        self, told: dict[str, bytes] | None, items: dict[str, bytes]
    ) -> DatastoreEvent | None:
        if told is None:
            self._revision += 1
            self._status = replace(self._status, snapshots=self._status.snapshots + 1)
            return Snapshot(self._revision, items)
        puts = {key: value for key, value in items.items() if told.get(key) != value}
        deletes = frozenset(told.keys() - items.keys())
        if not puts and not deletes:
            return None
        self._revision += 1
        return Changes(self._revision, puts, deletes)

    def _set_connected(self, *, error: str = "") -> None:
        is_connected = not error
        if is_connected == self._status.is_connected and not error:
            return
        if error and error == self._status.last_error and not self._status.is_connected:
            return  # told before
        self._status = replace(
            self._status,
            source=str(self._root) if is_connected else "",
            is_connected=is_connected,
            last_error=error or self._status.last_error,
            since=time.monotonic(),
        )
        if error:
            _LOG.warning("datastore folder: %s; what was read stays in force", error)


class FolderWriter:
    """Writes one manifest per file, each replaced atomically; see ``Writer``.

    Objects that stand in files of another name are not touched: ``apply`` of such an
    object gives a duplicate, which the reader reports.
    """

    def __init__(self, path: str | Path) -> None:
        self._root = Path(path)

    async def apply(self, manifests: Iterable[Manifest]) -> None:
        """Create or replace objects; see ``Writer``."""
        named = [(self._file(manifest), manifest) for manifest in manifests]
        try:
            make_folder(self._root)
            for path, manifest in named:
                text = yaml.safe_dump(_plain(manifest), sort_keys=False)
                write_file(path, text.encode())
        except OSError as error:
            raise DatastoreError(f"{self._root}: {error}") from error

    async def delete(self, manifests: Iterable[Manifest]) -> None:
        """Delete objects; see ``Writer``."""
        for manifest in manifests:
            try:
                self._file(manifest).unlink(missing_ok=True)
            except OSError as error:
                raise DatastoreError(f"{self._root}: {error}") from error

    def _file(self, manifest: Manifest) -> Path:
        key = key_of(manifest)
        kind = str(manifest["kind"]).lower()
        # The digest keeps names apart that differ only in characters a file cannot have.
        digest = sha256(key.encode()).hexdigest()[:8]
        name = "".join(_letters(key.removeprefix("/calico/").rpartition("/")[2]))
        return self._root / f"{kind}-{name}-{digest}.yaml"


def _letters(text: str) -> Iterator[str]:
    for letter in text:
        yield letter if letter.isalnum() or letter in ".-_" else "_"


def _plain(value: Manifest) -> dict[str, object]:
    if "kind" not in value:
        raise ManifestError("kind is missing")
    return dict(value)
