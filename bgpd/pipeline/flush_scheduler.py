"""When to flush changes of Loc-RIB, and when to write what is encoded.

Changes gather until the event loop has served the sockets that were ready; then one flush
passes them to every update group and to every consumer (the FIB): what arrives while a flush is
written leaves in the next. Where more has been received than a turn can take in, a flush waits
for it, up to ``GATHER_TIME``.

A write may fill a socket. It returns that and calls nothing; ``_write`` hands the members that are full
to their machines after its pass, so that no loop over members or flushes sees them change under
it, and before the next flush, so that they note that one instead of being sent it.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from math import inf
from time import monotonic
from typing import Final

from bgpd.pipeline.advertisement_pacing import AdvertisementPacing
from bgpd.pipeline.membership import Membership
from bgpd.pipeline.path_id_release import release_path_ids
from bgpd.pipeline.propagation import Propagation
from bgpd.pipeline.route_consumers import RouteConsumers
from bgpd.pipeline.transmit_queue import TransmitQueue, write_share
from bgpd.runtime.event_loop import collect_made, has_many_young
from bgpd.runtime.work_queue import WorkQueue
from reflector.flush import Outbound
from reflector.member_fsm import Member
from reflector.pending import PendingChanges
from rib.change import Change
from rib.loc_rib import LocRib
from rib.path import Source

FLUSH_LIMIT: Final = 16384  # prefixes flushed in one go, some 10 ms
FLUSH_MOST: Final = 4096  # changes; where each is of one prefix, some 10 ms, too
WRITE_TIME = 0.008  # seconds of one turn for writing; not Final: tests change it
GATHER_TIME: Final = 0.05


class FlushScheduler:
    """Flushes one family's changes to its update groups, and writes what they encode.

    Args:
        loc_rib: Whose changes they are.
        loop: For the time and for flushes.
        work_queue: For taking back path identifiers in slices.
        membership: The groups, and how their members are written to.
        consumers: The parts that follow the family's routes beside its peers.
        has_more: Tells whether something was received that is not processed yet.

    Attributes:
        pacing: Holds back prefixes that keep changing.
        propagation: Measures how long changes take; ``None`` where nothing does.
    """

    def __init__(
        self,
        loc_rib: LocRib,
        loop: asyncio.AbstractEventLoop,
        work_queue: WorkQueue,
        *,
        membership: Membership,
        consumers: RouteConsumers,
        has_more: Callable[[], bool],
    ) -> None:
        self._loc_rib = loc_rib
        self._loop = loop
        self._work_queue = work_queue
        self._membership = membership
        self._consumers = consumers
        self._has_more = has_more
        self._pending = PendingChanges(loc_rib.table)
        self._queue = TransmitQueue(membership.writers)
        self.pacing = AdvertisementPacing(
            loop, loc_rib, membership, self._queue, self._wake
        )
        self.propagation: Propagation | None = None
        self._handle: asyncio.Handle | None = None
        self._flush_by = 0.0  # monotonic seconds, of what waits

    # hot: per batch
    def changed(self, changes: list[Change], received_at: float | None = None) -> None:
        """Add changes that a method of the tables returned, to be flushed soon.

        Args:
            changes: In order.
            received_at: When the octets were found that they come from; monotonic seconds.
        """
        if changes:
            self._pending.add(changes)
            if self.propagation is not None:
                self.propagation.note_decided(changes, received_at, monotonic())
            if self._handle is None:
                self._flush_by = monotonic() + GATHER_TIME
                # After the sockets that are ready in this turn, not at once: UPDATEs of several
                # peers about the same prefixes then make one message.
                self._handle = self._loop.call_later(0, self._turn)

    def _wake(self) -> None:
        """Schedule what is to be flushed or written."""
        is_busy = self._queue or self._pending or self.pacing.is_due
        if is_busy and self._handle is None:
            self._handle = self._loop.call_later(0, self._turn)

    @property
    def pending_count(self) -> int:
        """Prefixes that wait to be flushed."""
        return len(self._pending)

    def flush_now(self) -> None:
        """Flush and write everything that waits, at once, so that something can follow it."""
        # What is queued comes first: encoding assumes that members have all that was encoded
        # before.
        self._write(inf)
        while self._pending:
            self._flush()
            self._write(inf)

    def _turn(self) -> None:
        """Continue writing, then flush what waits; milliseconds."""
        self._handle = None
        # Never both in full: a turn must stay short, and what the members of a group were sent
        # must not lag behind what its export assumes that they know.
        if self._queue:
            self._write(WRITE_TIME)
        elif self._pending or self.pacing.is_due:
            now = monotonic()
            is_full = len(self._pending) >= FLUSH_LIMIT
            # While more arrives, each flush would repeat the work of the one before for prefixes
            # that change again; the time limit keeps a peer that never stops from holding it up.
            if is_full or not self._has_more() or now >= self._flush_by:
                self._flush()
                left = WRITE_TIME - (monotonic() - now)
                if left > 0:
                    self._write(left)
                # Here the changes are written and most of what was made for them is garbage, so a
                # collection finds the least to traverse.
                if has_many_young():
                    self._loop.call_later(0, collect_made, self._pending)
        self._wake()

    def _flush(self) -> None:
        changes = self._pending.drain(FLUSH_LIMIT, FLUSH_MOST)
        is_all, propagation = not self._pending, self.propagation
        if propagation is not None:
            propagation.begin_flush(changes, is_all=is_all)
        self.pacing.flush(changes, is_all=is_all)
        self._consumers.changed(changes)
        if propagation is not None:
            propagation.end_flush(is_queued=bool(self._queue))
        if self._membership.path_ids.claim_sweep():
            # A job, since it visits the whole table to learn which identifiers are in use.
            self._work_queue.add(self._release_path_ids())

    def _release_path_ids(self) -> Iterator[None]:
        self.flush_now()
        membership = self._membership
        groups = membership.groups.values()
        yield from release_path_ids(membership.path_ids, self._loc_rib.table, groups)

    # -- writing ------------------------------------------------------------------------

    def _write(self, seconds: float) -> None:
        # Once each, in order: several writes of one pass may have found the same socket full.
        for source in dict.fromkeys(self._queue.drain(seconds)):
            self.writing_paused(source)
        if self.propagation is not None and not self._queue:
            self.propagation.note_sent(monotonic())

    def writing_paused(self, source: Source) -> None:
        """Make a session's group note changes for it: its socket is full.

        What is queued for it is written first, since it was not noted.
        """
        group = self._membership.group_of(source)
        if group is not None:
            # The octets in the queue were encoded before the member became slow. Noting their
            # changes instead would need the entries that it held before each of them.
            self._queue.flush_member(source)
            group.writing_paused(source)

    def write_now(
        self, outbounds: Iterable[Outbound | None], members: Iterable[Member]
    ) -> None:
        """Write to those of ``members`` that are not slow, at once.

        To be called after ``flush_now``: it must not overtake what is queued.
        """
        # Read once for each batch of octets: an iterator would be spent after the first.
        members = list(members)
        for outbound in outbounds:
            self._queue.add(outbound, members)
        self._write(inf)

    def write_shares(
        self, source: Source, outbounds: Iterable[Outbound | None]
    ) -> bool:
        """Write to a slow peer; return whether it can take more. The queue has nothing for it."""
        write, is_writable = self._membership.writers[source], True
        for outbound in outbounds:
            if outbound is not None:
                is_writable = write_share(outbound, source, write)
        if not is_writable:
            self.writing_paused(source)
        return is_writable

    def write_messages(self, source: Source, messages: Iterable[bytes]) -> None:
        """Write messages to one session, each of a different type."""
        is_writable = True
        for message in messages:
            is_writable = self._membership.write(source, message)
        if not is_writable:
            self.writing_paused(source)

    def forget(self, source: Source) -> None:
        """Write nothing more to a session."""
        self._queue.forget(source)
