"""Members of update groups on their way to the whole table: those that join, and slow peers.

Every event of ``reflector.member_fsm`` but WRITING_PAUSED and EXPORT_CHANGED is fed here, and every
output is carried out here: a member that must have the table takes part in a walk of its group, a
slow peer whose socket has room again is sent what was noted, in slices, on its own.

Each slice flushes first. A change that is undone while it waits is never flushed; a slice
that showed the state in between would leave a member with a route that nothing withdraws, or
without one that nothing sends.
"""

import asyncio
from collections.abc import Iterator
from functools import partial

from bgpd.pipeline.flush_scheduler import FlushScheduler
from bgpd.pipeline.membership import Membership
from bgpd.pipeline.re_export import ReExport
from bgpd.pipeline.transmit_queue import Write
from bgpd.runtime.fault_isolation import piecewise
from bgpd.runtime.work_queue import WorkQueue
from bgpd.wire.update import end_of_rib
from reflector import walks
from reflector.export import ExportContext
from reflector.flush import Outbound
from reflector.group import UpdateGroup
from reflector.member_fsm import Action, Member, Output, State
from reflector.walks import Walk
from rib.change import changes_since
from rib.loc_rib import LocRib
from rib.path import Source
from rib.policy import Policy


class CatchUp:
    """Brings members of one family's groups to the whole table, and keeps slow peers going.

    Args:
        loc_rib: The table.
        loop: For beginning a walk once all have joined that do so in one turn.
        work_queue: For slices.
        membership: The members.
        flushes: Writes.
        re_export: Sends what changed exports make of prefixes, before they are sent anyway.

    Attributes:
        defers_end_of_rib: We restarted, and have not got the whole table: End-of-RIB
            waits (RFC 4724 4.1).
    """

    def __init__(
        self,
        loc_rib: LocRib,
        loop: asyncio.AbstractEventLoop,
        work_queue: WorkQueue,
        *,
        membership: Membership,
        flushes: FlushScheduler,
        re_export: ReExport,
    ) -> None:
        self.defers_end_of_rib = False
        self._loc_rib = loc_rib
        self._loop = loop
        self._work_queue = work_queue
        self._membership = membership
        self._flushes = flushes
        self._re_export = re_export

    # -- events of sessions -------------------------------------------------------------

    def join(
        self, source: Source, context: ExportContext, policy: Policy, write: Write
    ) -> None:
        """Add a session: it is sent the whole table, then End-of-RIB (RFC 4724 2)."""
        member = self._membership.enter(source, context, policy, write)
        self._carry_out(member, member.joined(end_of_rib(self._loc_rib.family)))

    def move(self, source: Source, context: ExportContext, policy: Policy) -> None:
        """Move a session to another context, and send it what differs."""
        group, was = self._membership.group_of(source), self._membership.member(source)
        if group is None or was is None or group.export.context == context:
            return
        # From here on, what the peer holds is what the old export made of the table, and the
        # table is what it may hold: without Adj-RIB-Out this is the only record of it.
        self._flushes.flush_now()
        was_blocked = was.state is State.BLOCKED
        write = self._membership.writers[source]
        member = self._membership.enter(source, context, policy, write)
        outputs = member.moved(was, {**self._loc_rib.table, **group.pacer.held})
        # The machine starts as slow. A socket with room would report nothing, since nothing
        # was paused, so the event that lets it catch up is fed here.
        if not was_blocked:
            outputs += member.writing_resumed()
        self._membership.leave_group(group, source)
        self._carry_out(member, outputs)

    def refresh(self, source: Source, begin: bytes, end: bytes) -> None:
        """Send a session the whole table again, between two marks; empty for none."""
        member = self._membership.member(source)
        if member is not None:
            self._carry_out(member, member.refresh_asked(begin, end))

    def writing_resumed(self, source: Source) -> None:
        """Send a session what was noted for it, now that its socket has room again."""
        member = self._membership.member(source)
        if member is not None:
            self._carry_out(member, member.writing_resumed())

    def allow_ends(self) -> Iterator[None]:
        """Send the deferred End-of-RIBs, after all routes before them; a job."""
        # Deferred routes go out by re-export. End-of-RIB before them would make the peer
        # sweep exactly the routes that it kept for us (RFC 4724 4.1).
        while self._re_export.is_under_way:
            yield
        self.defers_end_of_rib = False
        self._flushes.flush_now()
        for group in tuple(self._membership.groups.values()):
            for member in tuple(group.members.values()):
                self._end(member)

    # -- what their machines want -------------------------------------------------------

    def _carry_out(self, member: Member, outputs: list[Output]) -> None:
        marks = []
        for action, octets in outputs:
            if action is Action.GATHER:
                self._gather(member)
            elif action is Action.CATCH_UP:
                self._work_queue.add(self._catch_up(member))
            else:
                marks.append(octets)
        # Last, since they may fill the socket: that is an event.
        self._flushes.write_messages(member.source, marks)

    def _end(self, member: Member) -> None:
        """Allow a member's end mark, unless selection deferral holds it back."""
        if not (member.end_mark and self.defers_end_of_rib):
            self._carry_out(member, member.end_allowed())

    # -- together -----------------------------------------------------------------------

    def _gather(self, member: Member) -> None:
        group = self._membership.group_of(member.source)
        # Only the first member schedules it: all that come up in this turn of the loop share
        # one walk, so a restarted reflector encodes its table once for a thousand clients.
        if group is not None and group.walks.gather(member):
            self._loop.call_soon(self._begin_walk, group)

    def _begin_walk(self, group: UpdateGroup) -> None:
        self._flushes.flush_now()
        walk = group.walks.begin(self._loc_rib.table)
        if walk is not None:
            self._work_queue.add(self._walk(group, walk))

    def _walk(self, group: UpdateGroup, walk: Walk) -> Iterator[None]:
        """Send the members of a walk the table, then its end, in slices; a job."""
        # Whatever happens to this walk, members that gathered meanwhile must get theirs.
        try:
            while self._send_slice(group, walk):
                yield
        finally:
            if group.walks.end():
                self._loop.call_soon(self._begin_walk, group)
        for member in walk.members:
            member.walk_finished()
            self._end(member)

    def _send_slice(self, group: UpdateGroup, walk: Walk) -> bool:
        """Send the next prefixes of a walk; return false when it is complete."""
        self._flushes.flush_now()
        # A prefix that the re-export has not reached yet is brought up to date for the whole
        # group first: all members that are not slow must know a prefix by one export.
        nlris = walk.next_slice()
        if group.pending_re_advertisement_count and nlris:
            walk.put_back(nlris)  # a member that this makes slow takes them along
            self._re_export.update(group, nlris)
            nlris = walk.next_slice()
        table = group.pacer.view(self._loc_rib.table)
        changes = changes_since(table, ((nlri, None) for nlri in nlris))
        self._flushes.write_now(piecewise(group.encode, changes), walk.members)
        return bool(nlris)

    # -- alone --------------------------------------------------------------------------

    def _catch_up(self, member: Member) -> Iterator[None]:
        """Send a slow peer its noted changes, with those that arrive meanwhile; a job."""
        while member.state is State.CATCHING_UP:
            self._flushes.flush_now()
            group = self._membership.group_of(member.source)
            if group is None:
                return
            pending = self._next_pending(group, member)
            is_writable = self._flushes.write_shares(member.source, pending)
            # Read after the write: it may have filled the socket, and changes may have been noted.
            if is_writable and not member.has_pending:
                self._carry_out(member, member.caught_up())
                self._end(member)
            yield

    def _next_pending(
        self, group: UpdateGroup, member: Member
    ) -> list[Outbound | None]:
        table, limit = group.pacer.view(self._loc_rib.table), walks.CATCH_UP_SLICE
        # Changes first: they are what the peer holds wrongly; the walk is what it lacks.
        if not member.pending_changes:
            some = member.take_walk(limit, self._loc_rib.table)
            self._re_export.update(group, some)
            changes = changes_since(table, ((nlri, None) for nlri in some))
            return piecewise(group.encode, changes)
        held = member.take_changes(limit)
        is_uncertain = member.has_uncertain_export
        if group.pending_re_advertisement_count:
            nlris = [nlri for nlri, _ in held]
            self._re_export.update(group, nlris)
            member.forget_changes(nlris)  # the update noted them for it
        # An entry that is back to what the peer holds needs no message, unless the export changed
        # meanwhile: then equal entries may look different to it.
        changes = changes_since(table, held, has_equal=is_uncertain)
        return piecewise(
            partial(group.encode, is_previous_unknown=is_uncertain), changes
        )
