"""One family's way from Loc-RIB outwards: pending changes, update groups, flushes.

Changes gather until the event loop has served the sockets that were ready; then one flush
tells every group and every listener (the FIB): what arrives while a flush is told leaves in
the next. Where more has been received than a turn can take in, a flush waits for it.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from time import monotonic
from typing import Final

from bgpd.pipeline.advertisement_pacing import Pacing
from bgpd.pipeline.path_id_release import take_back
from bgpd.pipeline.transmit_queue import Telling, Write, write_share
from bgpd.runtime.event_loop import collect_made, has_many_young
from bgpd.runtime.fault_isolation import each, piecewise
from bgpd.runtime.work_queue import Jobs
from bgpd.wire.pack import pack_announce, pack_blocks, pack_withdraw
from bgpd.wire.update import end_of_rib
from reflector.export import Export, ExportContext
from reflector.flush import Outbound
from reflector.group import CATCH_UP_SLICE, CatchUp, Member, UpdateGroup
from reflector.path_ids import PathIds
from reflector.pending import PendingChanges
from rib.change import Change, changes_since
from rib.loc_rib import LocRib
from rib.nlri import Nlri
from rib.path import Source
from rib.path_set import Entry, members_of
from rib.policy import Policy, PrefixMatch
from rib.policy.prefixes import PrefixMatcher

FLUSH_LIMIT: Final = 16384  # prefixes told in one go, some 10 ms
FLUSH_MOST: Final = 4096  # changes; where each is of one prefix, some 10 ms, too
TELL_TIME = 0.008  # seconds of one turn for writing; not Final: tests change it
GATHER_TIME: Final = 0.05

_Outbounds = list[Outbound | None]
Listener = Callable[[Sequence[Change]], None]
Foreseer = Callable[[Mapping[Entry, Entry | None]], None]


class FamilyTables:
    """Loc-RIB of one family and everybody who is told of its changes.

    Args:
        loc_rib: The table.
        loop: For the time and for flushes.
        jobs: For catching up in slices.
        has_more: Tells whether something was received that is not taken in yet.

    Attributes:
        family: AFI and SAFI.
        groups: Who is told the same, by what makes it so.
        pacing: Tells them of changes, no prefix too often.
        listeners: Called with the changes of each flush.
        foreseers: Called with what entries will become, before many prefixes change.
        is_deferring: Those who keep our routes are told our own only: we restarted, and
            have not got the whole table (RFC 4724 4.1).
        withholds_end_of_rib: Nobody is told that it has the whole table.
    """

    def __init__(
        self,
        loc_rib: LocRib,
        loop: asyncio.AbstractEventLoop,
        jobs: Jobs,
        has_more: Callable[[], bool] = lambda: False,
    ) -> None:
        self.loc_rib = loc_rib
        self.family = loc_rib.family
        self.groups: dict[ExportContext, UpdateGroup] = {}
        self.listeners: list[Listener] = []
        self.foreseers: list[Foreseer] = []
        self.is_deferring = False
        self.withholds_end_of_rib = False
        self._pending = PendingChanges(loc_rib.table)
        self._writers: dict[Source, Write] = {}
        self._group_of: dict[Source, UpdateGroup] = {}
        self._loop = loop
        self._jobs = jobs
        self._has_more = has_more
        self._handle: asyncio.Handle | None = None
        self._flush_by = 0.0  # seconds, of what waits
        self._telling = Telling(self._writers)
        self.pacing = Pacing(loop, loc_rib, self.groups, self._telling, self._go_on)
        self._joining: dict[UpdateGroup, list[Member]] = {}
        self._catching_up: dict[UpdateGroup, CatchUp] = {}
        self._path_ids = PathIds()

    # hot: per batch
    def changed(self, changes: list[Change]) -> None:
        """Take in what a method of the tables returned, to be told soon."""
        if changes:
            self._pending.add(changes)
            if self._handle is None:
                self._flush_by = monotonic() + GATHER_TIME
                self._handle = self._loop.call_later(0, self._turn)

    def _go_on(self) -> None:
        """See to it that what is to be told is told soon."""
        is_busy = self._telling or self._pending or self.pacing.is_due
        if is_busy and self._handle is None:
            self._handle = self._loop.call_later(0, self._turn)

    @property
    def pending_count(self) -> int:
        """Prefixes that wait to be told."""
        return len(self._pending)

    def flush_now(self) -> None:
        """Tell everything that waits, at once (before what must come after it)."""
        self._telling.go_on(inf)
        while self._pending:
            self._flush()
            self._telling.go_on(inf)

    def _turn(self) -> None:
        """Go on with what is told, then flush what waits; milliseconds."""
        self._handle = None
        if self._telling:
            self._telling.go_on(TELL_TIME)
        elif self._pending or self.pacing.is_due:
            now = monotonic()
            is_full = len(self._pending) >= FLUSH_LIMIT
            if is_full or not self._has_more() or now >= self._flush_by:
                self._flush()
                left = TELL_TIME - (monotonic() - now)
                if left > 0:
                    self._telling.go_on(left)
                if has_many_young():
                    self._loop.call_later(0, collect_made, self._pending)
        self._go_on()

    def _flush(self) -> None:
        changes = self._pending.drain(FLUSH_LIMIT, FLUSH_MOST)
        self.pacing.flush(changes, is_all=not self._pending)
        for listener in self.listeners:
            piecewise(listener, changes)
        if self._path_ids.claim_sweep():
            self._jobs.add(take_back(self._path_ids, self))

    def _tell(self, outbound: Outbound | None, members: Iterable[Member]) -> None:
        """Write to members that keep up, at once; nothing waits to be told."""
        self._telling.add(outbound, members)
        self._telling.go_on(inf)

    def look_after(self) -> Iterator[None]:
        """Forget what nobody asks for any more, a slice for each step."""
        for _ in self.loc_rib.age():
            yield
        for group in tuple(self.groups.values()):
            group.export.age()
            yield

    # -- what is about to change --------------------------------------------------------

    def foresee(
        self, look: Callable[[LocRib], Mapping[Entry, Entry | None] | None]
    ) -> None:
        """Tell what entries are about to become, before prefixes do so in slices.

        Args:
            look: A method of the table that foresees; ``None`` where it cannot.
        """
        if not self.foreseers:
            return
        self.flush_now()
        after = look(self.loc_rib)
        if after is not None:
            each(lambda foreseer: foreseer(after), self.foreseers, "move")

    # -- who is told --------------------------------------------------------------------

    def join(
        self, source: Source, context: ExportContext, policy: Policy, write: Write
    ) -> None:
        """Add a session: it is told the whole table, then End-of-RIB (RFC 4724 2)."""
        member = self._enter(source, context, policy, write)
        member.closing = end_of_rib(self.family)
        self._gather(self._group_of[source], member)

    def _enter(
        self, source: Source, context: ExportContext, policy: Policy, write: Write
    ) -> Member:
        group = self.groups.get(context)
        if group is None:
            export = self._export(context, policy)
            group = UpdateGroup(
                export, pack_announce, pack_withdraw, pack_blocks, self._path_ids
            )
            group.pacer.interval = self.pacing.interval
            self.groups[context] = group
        self._writers[source] = write
        self._group_of[source] = group
        return group.join(source)

    def _export(self, context: ExportContext, policy: Policy) -> Export:
        own_only = self.is_deferring and context.keeps_ours
        return Export(context, policy, tells_own_only=own_only)

    def move(self, source: Source, context: ExportContext, policy: Policy) -> None:
        """Let a session that is up be told by another context, and only what differs."""
        group, was = self._group_of.get(source), self.member(source)
        if group is None or was is None or group.export.context == context:
            return
        self.flush_now()
        write = self._writers[source]
        self.leave(source)
        member = self._enter(source, context, policy, write)
        member.missed = {**self.loc_rib.table, **group.pacer.held, **was.missed}
        member.is_behind = member.is_in_doubt = True
        member.is_blocked = was.is_blocked
        member.closing, member.next_refresh = was.closing, was.next_refresh
        if not member.is_blocked:
            self._jobs.add(self._tell_missed(self._group_of[source], member))

    def leave(self, source: Source) -> None:
        """Forget a session; its group goes with its last member."""
        group = self._group_of.pop(source, None)
        self._writers.pop(source, None)
        self._telling.forget(source)
        if group is not None:
            group.leave(source)
            if not group.members:
                self.groups.pop(group.export.context, None)

    def member(self, source: Source) -> Member | None:
        """Return a session's membership, if it has one."""
        group = self._group_of.get(source)
        return None if group is None else group.members.get(source)

    def group_of(self, source: Source) -> UpdateGroup | None:
        """Return the group a session is in."""
        return self._group_of.get(source)

    # -- through the whole table --------------------------------------------------------

    def refresh(
        self, source: Source, *, before: bytes = b"", after: bytes = b""
    ) -> None:
        """Tell a member the whole table again (RFC 2918, RFC 7313).

        One that has not got the whole table yet is refreshed once it has: a refresh must
        not begin before End-of-RIB (RFC 7313 4), and end with all that it covers.

        Args:
            source: The member.
            before: Octets to send first: the beginning of an enhanced refresh.
            after: Octets to send last: its end.
        """
        group, member = self._group_of.get(source), self.member(source)
        if group is None or member is None:
            return
        if member.closing is not None:
            member.next_refresh = before, after
            return
        if before:
            self._writers[source]([before], 1)
        member.closing = after
        self._gather(group, member)

    def _gather(self, group: UpdateGroup, member: Member) -> None:
        """Let members catch up together that join in the same turn, or while others do.

        One at a time for a group: each holds a list of the whole table, and encodes it.
        """
        member.is_walking = True
        gathered = self._joining.get(group)
        if gathered is not None:
            gathered.append(member)
            return
        self._joining[group] = [member]
        if group not in self._catching_up:
            self._loop.call_soon(self._start_catch_up, group)

    def _start_catch_up(self, group: UpdateGroup) -> None:
        self.flush_now()  # what goes and comes back untold is told to nobody
        catch_up = CatchUp(list(self._joining.pop(group)), list(self.loc_rib.table))
        self._catching_up[group] = catch_up
        for member in tuple(catch_up.members):
            if member.is_behind:
                catch_up.leave(member)
        self._jobs.add(self._catch_up(group, catch_up))

    def _catch_up(self, group: UpdateGroup, catch_up: CatchUp) -> Iterator[None]:
        """Tell the members of ``catch_up`` the table, then its end, in slices."""
        try:
            while self._tell_slice(group, catch_up):
                yield
        finally:
            del self._catching_up[group]
            if group in self._joining:
                self._loop.call_soon(self._start_catch_up, group)
        for member in catch_up.members:
            member.is_walking = False
            self._close(group, member)

    def _tell_slice(self, group: UpdateGroup, catch_up: CatchUp) -> bool:
        """Tell the next prefixes of a catch-up; false at its end.

        What waits is told first: a change that is taken back while it waits is told to
        nobody, so nobody may have seen it. Members may fall behind while it is.
        """
        self.flush_now()
        catch_up.members = [m for m in catch_up.members if group.has(m)]
        nlris = catch_up.next_slice() if catch_up.members else []
        if group.outdated_count and nlris:
            catch_up.put_back(nlris)  # whoever falls behind by this takes them along
            self._update(group, nlris)
            nlris = catch_up.next_slice()
        table = group.pacer.view(self.loc_rib.table)
        changes = changes_since(table, ((nlri, None) for nlri in nlris))
        for outbound in piecewise(group.encode, changes):
            self._tell(outbound, catch_up.members)
        return bool(nlris)

    def _close(self, group: UpdateGroup, member: Member) -> None:
        """Tell a member that it has the whole table, once it has."""
        closing = member.closing
        if (
            closing is None
            or not member.has_everything
            or not group.has(member)
            or (closing and self.withholds_end_of_rib)
        ):
            return
        member.closing = None
        if closing:
            self._writers[member.source]([closing], 1)
        if member.next_refresh is not None:
            before, after = member.next_refresh
            member.next_refresh = None
            self.refresh(member.source, before=before, after=after)

    # -- after a restart of ours --------------------------------------------------------

    def defer(self, *, withholds_routes: bool = True) -> None:
        """Send no End-of-RIB before ``end_deferral``, nor routes before ``tell_all``."""
        self.is_deferring = withholds_routes
        self.withholds_end_of_rib = True

    def tell_all(self) -> None:
        """Tell the routes that were withheld."""
        self.is_deferring = False
        self.flush_now()
        for group in self.groups.values():
            if group.export.context.keeps_ours:
                self._replace_export(group, group.export.policy, self.loc_rib.table)

    def end_deferral(self) -> Iterator[None]:
        """Send the withheld End-of-RIBs, once all that they end has been told; a job."""
        while any(group.outdated_count for group in self.groups.values()):
            yield
        self.withholds_end_of_rib = False
        self.flush_now()
        for group in tuple(self.groups.values()):
            for member in tuple(group.members.values()):
                self._close(group, member)

    # -- those who cannot keep up -------------------------------------------------------

    def fell_behind(self, source: Source) -> None:
        """Stop telling a member directly: its socket is full."""
        group, member = self._group_of.get(source), self.member(source)
        if group is None or member is None:
            return
        member.is_blocked = True
        if member.is_behind:
            return
        self._telling.complete(source)  # what was not noted as missed
        member.is_behind = True
        member.is_in_doubt = group.outdated_count > 0
        catch_up = self._catching_up.get(group)
        if catch_up is not None and member in catch_up.members:
            catch_up.leave(member)

    def caught_breath(self, source: Source) -> None:
        """Tell a member what it missed, now that its socket has room again."""
        group, member = self._group_of.get(source), self.member(source)
        if group is not None and member is not None and member.is_blocked:
            member.is_blocked = False
            self._jobs.add(self._tell_missed(group, member))

    def _tell_missed(self, group: UpdateGroup, member: Member) -> Iterator[None]:
        """Tell a member what it missed; what changes meanwhile is noted as missed, too."""
        while member.is_behind and not member.is_blocked:
            self.flush_now()
            if not group.has(member):
                return
            outbounds = self._next_missed(group, member)
            if not member.missed and not member.unseen:
                member.is_behind = member.is_in_doubt = False
            for outbound in outbounds:
                if outbound:
                    write_share(outbound, member.source, self._writers[member.source])
            yield
        self._close(group, member)

    def _next_missed(self, group: UpdateGroup, member: Member) -> _Outbounds:
        missed, unseen = member.missed, member.unseen
        table = group.pacer.view(self.loc_rib.table)
        if not missed:
            some = unseen[-CATCH_UP_SLICE:]
            del unseen[-CATCH_UP_SLICE:]
            self._update(group, some)
            changes = changes_since(table, ((nlri, None) for nlri in some))
            return piecewise(group.encode, changes)
        told = [missed.popitem() for _ in range(min(CATCH_UP_SLICE, len(missed)))]
        is_in_doubt = member.is_in_doubt
        if group.outdated_count:
            self._update(group, [nlri for nlri, _ in told])
            for nlri, _ in told:
                missed.pop(nlri, None)
        changes = changes_since(table, told, has_equal=is_in_doubt)
        return piecewise(partial(group.encode, is_in_doubt=is_in_doubt), changes)

    # -- when what is told of unchanged routes changes ----------------------------------

    def replace_policy(
        self, name: str, policy: Policy, among: PrefixMatch | None = None
    ) -> None:
        """Let the groups that export by policy ``name`` do so by its new form.

        Args:
            name: The policy.
            policy: Its new form.
            among: The only prefixes that the two forms may judge differently; ``None``
                for all.
        """
        self.flush_now()
        groups = [g for g in self.groups.values() if g.export.context.policy == name]
        if not groups:
            return
        concerned: Iterable[Nlri] = self.loc_rib.table
        if among is not None:
            concerned, _ = PrefixMatcher(among, self.family.afi).divide(concerned)
        for group in groups:
            self._replace_export(group, policy, concerned)

    def _replace_export(
        self, group: UpdateGroup, policy: Policy, concerned: Iterable[Nlri]
    ) -> None:
        is_under_way = group.outdated_count > 0
        group.replace_export(self._export(group.export.context, policy), concerned)
        if not is_under_way:
            self._jobs.add(self._tell_again(group))

    def doubt_routes_of(self, source: Source) -> None:
        """Tell the routes of a source again, slice by slice.

        To be called before its place in reflection changes (``Source.is_client`` and the
        like), since the export of its routes does so with it.
        """
        self.flush_now()
        self.pacing.release_all()
        if source not in self.loc_rib.path_counts:
            return
        nlris = [
            nlri
            for nlri, entry in self.loc_rib.table.items()
            if any(path.source is source for path in members_of(entry))
        ]
        self.doubt(self.groups.values(), nlris)

    def doubt_devices(self, nlris: Sequence[Nlri]) -> None:
        """Tell prefixes again to whom is told by the device they lead out of."""
        asking = [g for g in self.groups.values() if g.export.policy.needs_interface]
        if asking and nlris:
            self.flush_now()
            self.pacing.release_all()
            self.doubt(asking, nlris)

    def doubt(self, groups: Iterable[UpdateGroup], nlris: Sequence[Nlri]) -> None:
        """Tell some prefixes again to some groups, whatever their members know of them."""
        for group in groups:
            is_under_way = group.outdated_count > 0
            group.doubt(nlris)
            if not is_under_way:
                self._jobs.add(self._tell_again(group))

    def _tell_again(self, group: UpdateGroup) -> Iterator[None]:
        """Tell members what another export of the same table changes."""
        while group.outdated_count and group.members:
            self.flush_now()
            self._update(group, group.next_outdated(CATCH_UP_SLICE))
            yield

    def _update(self, group: UpdateGroup, nlris: list[Nlri]) -> None:
        """Bring members up to date with today's export of some prefixes.

        Done for the whole group before one member is told of them for another reason: all
        that keep up know a prefix by the same export.
        """
        if group.outdated_count:
            outbound = group.tell_again(self.loc_rib.table, nlris)
            self._tell(outbound, group.members.values())
