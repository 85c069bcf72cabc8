"""Read a datastore in tests: the stream folded into the state it describes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from bgpd.calico.events import DatastoreEvent, Snapshot
from bgpd.datastore.model import Datastore


class Follower:
    """Follows a datastore in a task; ``items`` is what a consumer would know now."""

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore
        self.items: dict[str, bytes] = {}
        self.events: list[DatastoreEvent] = []
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def until(
        self, predicate: Callable[["Follower"], bool], within: float = 15.0
    ) -> None:
        """Wait until ``predicate`` holds, checked at every event and now and then."""
        async with asyncio.timeout(within):
            while not predicate(self):
                assert self._task is not None
                assert not self._task.done(), self._task.exception()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        async with self._changed:
                            await self._changed.wait()

    async def _follow(self) -> None:
        events = self.datastore.events()
        try:
            async for event in events:
                if isinstance(event, Snapshot):
                    self.items = dict(event.items)
                else:
                    assert not event.puts.keys() & event.deletes
                    self.items.update(event.puts)
                    for key in event.deletes:
                        self.items.pop(key, None)
                self.events.append(event)
                async with self._changed:
                    self._changed.notify_all()
        finally:
            await events.aclose()
