"""The embedded datastore: a folder of manifests, watched.

Every ``*.yaml``, ``*.yml`` and ``*.json`` below the folder is read; names beginning with a
dot are not (editors' temporary files, the ``..data`` of a mounted ConfigMap). Only files
whose size, inode or times changed are parsed again.

One bad file or document never blocks the others, nor does it delete: while a file has an
unreadable document, objects it held before and that are now missing stay in force. The
same holds for an unreadable file, for a link that leads nowhere, and for a folder that is
gone as a whole. A volume that is mounted empty looks like objects that were deleted: see
``bgpd.datastore.guarded``. Where two files name one object, the first path in order counts.

A change is taken when the folder has been still for ``debounce`` seconds, so that a file
being written in place is not read half.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import yaml

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.datastore.folder_watch import FolderWatch
from bgpd.datastore.inotify import Inotify
from bgpd.datastore.manifest_files import Listing, ManifestFiles, Stamps, list_folder
from bgpd.datastore.manifests import ManifestError, key_of
from bgpd.datastore.model import DatastoreError, Manifest, Status
from bgpd.texts.errors import text_of
from bgpd.texts.state_files import make_folder, write_file
from bgpd.worker.turns import in_turns

AUDIT_INTERVAL: Final = 30.0  # seconds; network file systems tell inotify nothing
POLL_INTERVAL: Final = 1.0  # seconds, without inotify
MAX_LINES: Final = 50  # logged of one change
_PLACE: Final = re.compile(r"(.+?):(\d+: .*)", re.DOTALL)  # file, then line and text
_COMPARED: Final = 512  # entries between yield points
_STILL_ATTEMPTS: Final = 20  # a folder that never rests is read anyway

_log = logging.getLogger(__name__)


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
        # Outlives ``events``: valid content stays for the next caller.
        self._files = ManifestFiles(str(self._root))
        self._places: dict[str, str] = {}
        self._revision = 0
        self._status = Status("folder", since=time.monotonic())

    @property
    def status(self) -> Status:
        """The state now."""
        return replace(self._status, server_revision=self._revision)

    def describe(self, key: str, field: str = "") -> str:
        """Return file and line of ``key``, or the key itself, and the field."""
        return f"{self._places.get(key, key)} {field}".rstrip()

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
                    fault = await self._files.refresh(stamps)
                    self._set_connected(error=fault)
                    if fault:
                        stamps = None  # what could not be read is tried again
                    items = await self._take()
                    event = await self._event(told, items)
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
            await self._files.close()

    async def _still_listing(self, watch: FolderWatch) -> Listing | None:
        """List the folder once it rests; None while it cannot be listed."""
        before: Stamps | None = None
        latest: Listing | None = None
        for _ in range(_STILL_ATTEMPTS):
            watch.clear()  # before listing, so that nothing is missed
            watch.watch((self._root,))
            try:
                listing = await asyncio.to_thread(list_folder, str(self._root))
            except Exception as error:  # noqa: BLE001  # it keeps its previous state last read
                self._set_connected(error=text_of(error))
                watch.watch((self._root.parent,))  # the folder may come back
                return None
            watch.watch(
                map(Path, listing.folders)
            )  # what appears in these, the next pass finds
            if listing.stamps == before:
                return listing
            before = listing.stamps
            latest = listing
            await asyncio.sleep(self._debounce)
        return latest

    async def _take(self) -> dict[str, bytes]:
        merged = await in_turns(self._files.merged())
        known = set(self._status.warnings)
        new = [text for text in merged.warnings if text not in known]
        for text in new[:MAX_LINES]:
            place = _PLACE.match(text)
            name, reason = place.groups() if place else ("", text)
            _log.warning(
                "%(file)s:%(reason)s" if place else "%(file)s/%(reason)s",
                {
                    "event": "manifest-warning",
                    "file": f"{self._root}/{name}" if place else self._root,
                    "reason": reason,
                },
            )
        if len(new) > MAX_LINES:
            _log.warning(
                "%(file)s: and %(count)d more problems",
                {
                    "event": "more-manifest-warnings",
                    "file": self._root,
                    "count": len(new) - MAX_LINES,
                },
            )
        self._status = replace(self._status, warnings=tuple(merged.warnings))
        self._places = merged.places
        return merged.items

    async def _event(
        self, told: dict[str, bytes] | None, items: dict[str, bytes]
    ) -> DatastoreEvent | None:
        if told is None:
            self._revision += 1
            self._status = replace(self._status, snapshots=self._status.snapshots + 1)
            return Snapshot(self._revision, items)
        puts, deletes = await in_turns(_difference(told, items))
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
            _log.warning(
                "datastore folder: %(reason)s; keeping what was read before",
                {
                    "event": "datastore-disconnected",
                    "reason": error,
                    "source": self._root,
                },
            )


def _difference(
    before: dict[str, bytes], after: dict[str, bytes]
) -> Generator[None, None, tuple[dict[str, bytes], frozenset[str]]]:
    """Return what is put and what is deleted."""
    puts: dict[str, bytes] = {}
    for number, (key, value) in enumerate(after.items()):
        if before.get(key) != value:
            puts[key] = value
        if number % _COMPARED == 0:
            yield
    return puts, frozenset(before.keys() - after.keys())


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
