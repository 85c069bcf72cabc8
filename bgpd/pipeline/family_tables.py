"""The parts of one family from Loc-RIB outwards.

Five parts, each of which knows those above it alone::

    RouteConsumers    the parts that follow the routes beside the peers, as the kernel
    Membership        which update group a session is in, and how it is written to
    FlushScheduler    when changes are flushed, and what was encoded is written
    ReExport          routes that did not change, but are exported differently
    CatchUp           members that are not sent every flush: newcomers and slow peers

What happens outside comes in by one method each, and goes to the part whose it is.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bgpd.pipeline.catch_up import CatchUp
from bgpd.pipeline.flush_scheduler import FlushScheduler
from bgpd.pipeline.membership import Membership
from bgpd.pipeline.propagation import Propagation
from bgpd.pipeline.re_export import ReExport
from bgpd.pipeline.route_consumers import RouteConsumers
from bgpd.pipeline.transmit_queue import Write
from bgpd.runtime.work_queue import WorkQueue
from reflector.export import ExportContext
from reflector.group import UpdateGroup
from reflector.member_fsm import Member
from rib.change import Change
from rib.loc_rib import LocRib
from rib.nlri import Nlri
from rib.path import Source
from rib.path_set import Entry
from rib.policy import Policy, PrefixMatch

# Theory
# ------
# Loc-RIB says what the routes are. What remains is to make every peer and every consumer know it,
# though they come at different times, read at different speeds and are exported differently.
#
#      UpdateReceiver, origins, next hops
#            |  changes: list of Change(old, new, prefixes)
#            v
#      FlushScheduler    gathers them until the sockets have been served
#            |  one flush
#            +--> RouteConsumers: the kernel and others that follow the routes
#            v
#      UpdateGroup, one for each form that routes are sent in  <-- Membership: who is in which
#            |  octets, encoded once                            <-- ReExport: the form changed
#            v
#      the sockets of members that keep up                      CatchUp: of all others, in slices
#
# Invariants:
#
# * Every change passes through exactly one flush, and every group sees every flush. A member gets
#   it at once or, while it is slow, has it noted; what that means in each situation is a table
#   (`reflector.member_fsm`).
# * Code that sends from the table flushes first. Otherwise a change that is undone
#   before its flush would be sent by the slice in between, and nothing would take it back.
# * Nothing is called back while members are written to: a write returns that a socket is full,
#   and the member's machine hears of it after the pass.
# * All work that grows with the table is a generator that the work queue steps, so that no size
#   of table holds up the loop.
#
# Deliberately not here: which path is best (`rib.loc_rib`), how a route looks to a group
# (`reflector.export`), and when the work queue runs (`bgpd.runtime.work_queue`). The parts are
# separate classes because each has its own reason to change; they share the groups alone.
#
# Sources: RFC 4271 9.2 (update-send process), RFC 4724 4.1 (deferral after a restart), RFC 2918.


class FamilyTables:
    """Loc-RIB of one family and everything that receives its changes.

    Args:
        loc_rib: The table.
        loop: For the time and for flushes.
        work_queue: For catching up in slices.
        consumers: The parts that follow the routes beside the peers.
        has_more: Tells whether something was received that is not processed yet.

    Attributes:
        family: AFI and SAFI.
        groups: The update groups, by what their members have in common.
        pacing: Holds back prefixes that keep changing.
    """

    def __init__(
        self,
        loc_rib: LocRib,
        loop: asyncio.AbstractEventLoop,
        work_queue: WorkQueue,
        consumers: RouteConsumers,
        has_more: Callable[[], bool] = lambda: False,
    ) -> None:
        self.loc_rib = loc_rib
        self.family = loc_rib.family
        self._membership = membership = Membership()
        self._consumers = consumers
        self._flushes = FlushScheduler(
            loc_rib,
            loop,
            work_queue,
            membership=membership,
            consumers=consumers,
            has_more=has_more,
        )
        self._re_export = ReExport(loc_rib, work_queue, membership, self._flushes)
        self._catch_up = CatchUp(
            loc_rib,
            loop,
            work_queue,
            membership=membership,
            flushes=self._flushes,
            re_export=self._re_export,
        )
        self.groups: Mapping[ExportContext, UpdateGroup] = membership.groups
        self.pacing = self._flushes.pacing

    # -- changes ------------------------------------------------------------------------

    # hot: per batch
    def changed(self, changes: list[Change], received_at: float | None = None) -> None:
        """Add changes that a method of the tables returned, to be flushed soon.

        Args:
            changes: In order.
            received_at: When the octets were found that they come from; monotonic seconds.
        """
        self._flushes.changed(changes, received_at)

    @property
    def propagation(self) -> Propagation | None:
        """How long changes take; ``None`` where nothing measures it."""
        return self._flushes.propagation

    def measure(self, propagation: Propagation | None) -> None:
        """Measure how long changes take from now on, or no longer."""
        self._flushes.propagation = propagation

    @property
    def pending_count(self) -> int:
        """Prefixes that wait to be flushed."""
        return self._flushes.pending_count

    def flush_now(self) -> None:
        """Flush and write everything that waits, at once, so that something can follow it."""
        self._flushes.flush_now()

    def predict(
        self, look: Callable[[LocRib], Mapping[Entry, Entry | None] | None]
    ) -> None:
        """Predict what entries will become, before prefixes change in slices.

        Args:
            look: A method of the table that foresees; ``None`` where it cannot.
        """
        if not self._consumers.are_foreseeing:
            return
        self.flush_now()
        after = look(self.loc_rib)
        if after is not None:
            self._consumers.predict(after)

    def look_after(self) -> Iterator[None]:
        """Forget unused memos, a slice for each step."""
        for _ in self.loc_rib.age():
            yield
        for group in tuple(self.groups.values()):
            group.export.age()
            yield

    # -- sessions -----------------------------------------------------------------------

    def join(
        self, source: Source, context: ExportContext, policy: Policy, write: Write
    ) -> None:
        """Add a session: it is sent the whole table, then End-of-RIB (RFC 4724 2)."""
        self._catch_up.join(source, context, policy, write)

    def move(self, source: Source, context: ExportContext, policy: Policy) -> None:
        """Move a session to another context, and send it what differs."""
        self._catch_up.move(source, context, policy)

    def leave(self, source: Source) -> None:
        """Forget a session; its group goes with its last member."""
        self._flushes.forget(source)
        self._membership.leave(source)

    def member(self, source: Source) -> Member | None:
        """Return a session's membership, if it has one."""
        return self._membership.member(source)

    def group_of(self, source: Source) -> UpdateGroup | None:
        """Return the group a session is in."""
        return self._membership.group_of(source)

    def refresh(
        self, source: Source, *, before: bytes = b"", after: bytes = b""
    ) -> None:
        """Send a session the whole table again (RFC 2918, RFC 7313).

        One that has not got the whole table yet is refreshed once it has: a refresh must
        not begin before End-of-RIB (RFC 7313 4), and end with all that it covers.

        Args:
            source: The session.
            before: Octets to send first: the beginning of an enhanced refresh.
            after: Octets to send last: its end.
        """
        self._catch_up.refresh(source, before, after)

    def writing_paused(self, source: Source) -> None:
        """Note changes for a session whose socket is full."""
        self._flushes.writing_paused(source)

    def writing_resumed(self, source: Source) -> None:
        """Send a session what was noted, now that its socket has room again."""
        self._catch_up.writing_resumed(source)

    # -- after our restart --------------------------------------------------------

    @property
    def defers_end_of_rib(self) -> bool:
        """Whether selection deferral holds End-of-RIB back."""
        return self._catch_up.defers_end_of_rib

    def defer(self, *, defers_routes: bool = True) -> None:
        """Send no End-of-RIB before ``end_deferral``, nor routes before ``send_deferred``."""
        self._membership.is_deferring = defers_routes
        self._catch_up.defers_end_of_rib = True

    def send_deferred(self) -> None:
        """Send the routes that were deferred."""
        self._re_export.send_deferred()

    def end_deferral(self) -> Iterator[None]:
        """Send the deferred End-of-RIBs, after all routes before them; a job."""
        return self._catch_up.allow_ends()

    # -- other exports of the same routes -----------------------------------------------

    def replace_policy(
        self, name: str, policy: Policy, among: PrefixMatch | None = None
    ) -> None:
        """Make groups export by the new form of a policy (``ReExport.replace_policy``)."""
        self._re_export.replace_policy(name, policy, among)

    def change_context(self, former: ExportContext, context: ExportContext) -> bool:
        """Make a whole group export by another context (``ReExport.change_context``)."""
        return self._re_export.change_context(former, context)

    def re_export_routes_of(self, source: Source) -> None:
        """Send a source's routes again: its place in reflection is about to change."""
        self._re_export.re_export_routes_of(source)

    def re_export_devices(self, nlris: Sequence[Nlri]) -> None:
        """Send prefixes again if their export depends on the outgoing interface."""
        self._re_export.re_export_devices(nlris)

    def mark_export_unknown(
        self, groups: Iterable[UpdateGroup], nlris: Sequence[Nlri]
    ) -> None:
        """Send some prefixes again to some groups, whatever their members know of them."""
        self._re_export.mark_export_unknown(groups, nlris)
