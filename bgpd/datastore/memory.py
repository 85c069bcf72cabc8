"""A datastore in memory: for tests, and the reference of what the others must do."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import replace

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.datastore.manifests import item_of, key_of
from bgpd.datastore.model import Manifest, Status


class MemoryDatastore:
    """Keys and values in a dictionary; datastore and writer at once."""

    def __init__(self, items: Mapping[str, bytes] | None = None) -> None:
        self._items = dict(items or {})
        self._revision = 1
        self._pending: dict[str, bytes | None] = {}
        self._is_compacted = True
        self._wake = asyncio.Event()
        self._status = Status(
            "memory", "memory", is_connected=True, since=time.monotonic()
        )

    @property
    def status(self) -> Status:
        """The state now."""
        return replace(self._status, server_revision=self._revision)

    def describe(self, key: str, field: str = "") -> str:
        """Return the key itself, and the field."""
        return f"{key} {field}".rstrip()

    def put(self, key: str, value: bytes) -> None:
        """Store one value."""
        self._items[key] = value
        self._note(key, value)

    def remove(self, key: str) -> None:
        """Delete one key; absent is fine."""
        if self._items.pop(key, None) is not None:
            self._note(key, None)

    def compact(self) -> None:
        """Lose continuity: the next event is a snapshot."""
        self._is_compacted = True
        self._wake.set()

    async def apply(self, manifests: Iterable[Manifest]) -> None:
        """Create or replace objects; see ``Writer``."""
        for key, value in [item_of(manifest) for manifest in manifests]:
            self.put(key, value)

    async def delete(self, manifests: Iterable[Manifest]) -> None:
        """Delete objects; see ``Writer``."""
        for manifest in manifests:
            self.remove(key_of(manifest))

    async def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield a snapshot, then what changed since the last event."""
        self._is_compacted = True
        while True:
            event = self._next()
            if event is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            yield event
            self._status = replace(self._status, applied_revision=event.revision)

    def _note(self, key: str, value: bytes | None) -> None:
        self._revision += 1
        self._pending[key] = value
        self._wake.set()

    def _next(self) -> DatastoreEvent | None:
        pending, self._pending = self._pending, {}
        if self._is_compacted:
            self._is_compacted = False
            snapshots = self._status.snapshots + 1
            self._status = replace(self._status, snapshots=snapshots)
            return Snapshot(self._revision, dict(self._items))
        if not pending:
            return None
        puts = {key: value for key, value in pending.items() if value is not None}
        return Changes(self._revision, puts, frozenset(pending.keys() - puts.keys()))
