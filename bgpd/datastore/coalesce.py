"""A datastore's events, so many at a time as there are.

What one command does to a cluster, such as a label for every node, comes as thousands of
events. They are taken in while the consumer is at work, and given to it as one: the newest
value of each key. So what waits is never larger than what the datastore holds.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.needed_nodes import NodeNeeds


class PendingEvents:
    """Events that the consumer has not taken yet, as one."""

    def __init__(self) -> None:
        self._revision = 0
        self._snapshot: dict[str, bytes] | None = None
        self._puts: dict[str, bytes] = {}
        self._deletes: set[str] = set()
        self._needs: NodeNeeds | None = None
        self._are_needs_new = False
        self._is_loss = False

    def add(self, event: DatastoreEvent) -> None:
        """Take one event; a snapshot makes whatever went before it void."""
        self._revision = event.revision
        self._are_needs_new = self._are_needs_new or event.needs != self._needs
        self._needs = event.needs
        if isinstance(event, Snapshot):
            self._snapshot = dict(event.items)
            self._puts, self._deletes, self._is_loss = {}, set(), False
            return
        if self._snapshot is not None:
            self._snapshot.update(event.puts)
            for key in event.deletes:
                self._snapshot.pop(key, None)
            return
        self._puts.update(event.puts)
        self._deletes.difference_update(event.puts)
        for key in event.deletes:
            self._puts.pop(key, None)
        self._deletes.update(event.deletes)
        self._is_loss = self._is_loss or event.is_loss

    def take(self) -> DatastoreEvent | None:
        """Return all that was added since the last time; ``None`` for nothing."""
        snapshot, puts, deletes = self._snapshot, self._puts, self._deletes
        is_loss, self._is_loss = self._is_loss, False
        self._snapshot, self._puts, self._deletes = None, {}, set()
        are_needs_new, self._are_needs_new = self._are_needs_new, False
        if snapshot is not None:
            return Snapshot(self._revision, snapshot, self._needs)
        if puts or deletes or are_needs_new:
            gone = frozenset(deletes)
            return Changes(self._revision, puts, gone, self._needs, is_loss)
        return None


async def coalesced(
    events: AsyncGenerator[DatastoreEvent, None],
) -> AsyncGenerator[DatastoreEvent, None]:
    """Yield what ``events`` gives, all that came since the last time as one.

    Raises:
        Exception: Whatever ``events`` raises, once what came before it was taken.
    """
    pending, news = PendingEvents(), asyncio.Event()

    async def read() -> None:
        async with aclosing(events):
            async for event in events:
                pending.add(event)
                news.set()

    reader = asyncio.get_running_loop().create_task(read())
    reader.add_done_callback(lambda _: news.set())
    try:
        while True:
            await news.wait()
            news.clear()
            event = pending.take()
            if event is not None:
                yield event
                if reader.done():
                    news.set()
            elif reader.done():
                reader.result()
                return
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
