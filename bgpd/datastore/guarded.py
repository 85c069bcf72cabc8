"""Any datastore, without implausible removals (``bgpd.calico.plausible``).

A task of its own reads the source, so that a hold can end while the source is silent. What
comes while the consumer is busy is judged together, and given to it as one event.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final

from bgpd.calico.events import DatastoreEvent
from bgpd.calico.plausible import EventGuard
from bgpd.calico.removal_inventory import Count
from bgpd.calico.removals import Cause, Note, RemovalGuard
from bgpd.datastore.coalesce import coalesced
from bgpd.datastore.model import Datastore, Status
from bgpd.worker.turns import in_turns

LATE: Final = 1.0  # seconds by which a deadline is missed after a standstill only
LISTEN: Final = 5.0
"""Seconds for which a hold goes on after a standstill: what has arrived counts before any
timer, and a watch that broke off meanwhile is made again."""
_WELL: Final = (Cause.RETURNED, Cause.NEARLY_RETURNED, Cause.UNUSED)

_log = logging.getLogger(__name__)


def log_notes(title: str, notes: list[Note]) -> None:
    """Log which holds began and ended, each as one line.

    Args:
        title: What lost the objects, such as ``datastore``.
        notes: What happened.
    """
    for note in notes:
        is_well = note.cause in _WELL
        _log.log(
            logging.INFO if is_well else logging.WARNING,
            "%(source)s: %(reason)s",
            {
                "event": "removal-held"
                if note.cause is Cause.IMPLAUSIBLE
                else "removal-hold-ended",
                "source": title,
                "reason": note,
                "count": note.size,
            },
        )


class GuardedDatastore:
    """Holds implausible removals of a datastore; see ``Datastore``.

    Args:
        source: What it reads.
        node: The own node's name.
        hold_time: Seconds for which they are held; 0 holds none.
        uses_pod_cidrs: The node's blocks are those of its Node object.
        clock: Monotonic seconds.
    """

    title: Final = "datastore"

    def __init__(
        self,
        source: Datastore,
        node: str,
        hold_time: float,
        *,
        uses_pod_cidrs: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._guard = EventGuard(node, hold_time, uses_pod_cidrs=uses_pod_cidrs)
        self._clock = clock
        self._applied_revision = 0
        self._inbox: DatastoreEvent | None = None
        self._news = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def status(self) -> Status:
        """The source's state now; what is applied is what the consumer has finished."""
        return replace(self._source.status, applied_revision=self._applied_revision)

    def describe(self, key: str, field: str = "") -> str:
        """Return where the value of ``key`` stands, for people."""
        return self._source.describe(key, field)

    @property
    def removals(self) -> RemovalGuard[bytes]:
        """What is kept apart."""
        return self._guard.removals

    def confirm(self) -> tuple[Count, ...]:
        """Apply all held removals; return what they are."""
        counts = self._guard.removals.confirm(self._clock())
        self._news.set()
        return counts

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time, also for objects already held."""
        self._guard.removals.set_hold_time(seconds)
        self._news.set()

    async def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield the source's events without their implausible removals."""
        self._inbox = None
        reader = asyncio.create_task(self._read(), name="datastore reader")
        reader.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                await self._wait()
                event = self._inbox
                if event is not None:
                    yield await in_turns(self._guard.taking(event, self._clock()))
                    self._applied_revision = event.revision
                    self._inbox = None
                    self._taken.set()
                elif reader.done():
                    reader.result()  # raises what it ended by
                    return
                released = self._guard.advance(self._clock())
                log_notes(self.title, self._guard.removals.drain_notes())
                if released is not None:
                    yield released
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self) -> None:
        async with aclosing(coalesced(self._source.events())) as events:
            async for event in events:
                self._inbox = event
                self._taken.clear()
                self._news.set()
                await self._taken.wait()

    async def _wait(self) -> None:
        """Wait for an event, a confirmation, or a deadline."""
        due = self._guard.removals.due
        timeout = None if due is None else max(0.0, due - self._clock())
        time = asyncio.get_running_loop().time
        until = time() + (timeout or 0.0)
        await self._wait_for_news(timeout)
        if timeout is not None and time() > until + LATE:
            # The process stood still: that all is back may be waiting to be read.
            await self._wait_for_news(LISTEN)
        self._news.clear()

    async def _wait_for_news(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
