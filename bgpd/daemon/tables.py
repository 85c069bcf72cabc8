"""One family's way from Loc-RIB outwards: pending changes, update groups, flushes.

Changes gather until the event loop has served the sockets that were ready; then one flush
tells every group and every listener (the FIB). Under load flushes come no more often than
they cost, so that many small UPDATEs leave in one write; a single event is told at once.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from bgpd.daemon.jobs import Jobs
from bgpd.wire.pack import pack_announce, pack_withdraw
from bgpd.wire.update import end_of_rib
from reflector.group import CATCH_UP_SLICE, CatchUp, Member, Outbound, UpdateGroup
from reflector.pending import PendingChanges
from reflector.rules import Export, ExportContext
from rib.loc_rib import Change, LocRib
from rib.nlri import Nlri
from rib.path import Source
from rib.path_set import Entry
from rib.policy import Policy

FLUSH_LIMIT: Final = 16384  # prefixes told in one go, some 10 ms
MAX_FLUSH_GAP: Final = 0.05  # seconds; the longest that load may delay a flush

Write = Callable[[Sequence[bytes]], None]
Listener = Callable[[list[Change]], None]


class FamilyTables:
    """Loc-RIB of one family and everybody who is told of its changes.

    Args:
        loc_rib: The table.
        loop: For the time and for flushes.
        jobs: For catching up in slices.
    """

    def __init__(
        self, loc_rib: LocRib, loop: asyncio.AbstractEventLoop, jobs: Jobs
    ) -> None:
        self.loc_rib = loc_rib
        self.family = loc_rib.family
        self.groups: dict[ExportContext, UpdateGroup] = {}
        self.listeners: list[Listener] = []
        self._pending = PendingChanges(loc_rib.table)
        self._writers: dict[Source, Write] = {}
        self._group_of: dict[Source, UpdateGroup] = {}
        self._loop = loop
        self._jobs = jobs
        self._handle: asyncio.Handle | None = None
        self._not_before = 0.0
        self._joining: dict[UpdateGroup, list[Member]] = {}
        self._catching_up: dict[UpdateGroup, list[CatchUp]] = {}

    # hot: per batch
    def changed(self, changes: list[Change]) -> None:
        """Take in what a method of the tables returned, to be told soon."""
        if changes:
            self._pending.add(changes)
            if self._handle is None:
                wait = self._not_before - self._loop.time()
                self._handle = self._loop.call_later(max(0.0, wait), self._flush)

    @property
    def pending_count(self) -> int:
        """Prefixes that wait to be told."""
        return len(self._pending)

    def flush_now(self) -> None:
        """Tell everything that waits, at once (shutdown, tests)."""
        while self._pending:
            self._flush()

    def _flush(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        started = self._loop.time()
        changes = self._pending.drain(FLUSH_LIMIT)
        for group in self.groups.values():
            group.note_missed(changes)
            self._tell(group.encode(changes), group.members.values())
        for listener in self.listeners:
            listener(changes)
        ended = self._loop.time()
        self._not_before = ended + min(ended - started, MAX_FLUSH_GAP)
        if self._pending:
            self._handle = self._loop.call_later(0, self._flush)

    # hot: per member
    def _tell(
        self, outbound: Outbound | None, members: Iterable[Member]
    ) -> None:
        """Write one flush to the members that keep up."""
        if outbound is None:
            return
        writers, spans, private = self._writers, outbound.spans, outbound.private
        whole = [outbound.octets] if outbound.octets else []
        for member in members:
            if member.is_behind:
                continue
            source = member.source
            if source in spans or source in private:
                share = outbound.share_of(source)
                if share:
                    writers[source](share)
            elif whole:
                writers[source](whole)

    def join(
        self, source: Source, context: ExportContext, policy: Policy, write: Write
    ) -> None:
        """Add a session to the group of its context; it is told the whole table."""
        group = self.groups.get(context)
        if group is None:
            export = Export(context, policy)
            group = UpdateGroup(export, pack_announce, pack_withdraw)
            self.groups[context] = group
        self._writers[source] = write
        self._group_of[source] = group
        self._gather(group, group.join(source))

    def _gather(self, group: UpdateGroup, member: Member) -> None:
        """Let members that join in the same turn of the loop catch up together."""
        gathered = self._joining.get(group)
        if gathered is None:
            self._joining[group] = [member]
            self._loop.call_soon(self._start_catch_up, group)
        else:
            gathered.append(member)

    def _start_catch_up(self, group: UpdateGroup) -> None:
        members = [m for m in self._joining.pop(group, ()) if self._is_member(group, m)]
        if members:
            catch_up = CatchUp(members, list(self.loc_rib.table))
            self._catching_up.setdefault(group, []).append(catch_up)
            self._jobs.add(self._catch_up(group, catch_up))

    def _is_member(self, group: UpdateGroup, member: Member) -> bool:
        return group.members.get(member.source) is member

    def _catch_up(self, group: UpdateGroup, catch_up: CatchUp) -> Iterator[None]:
        """Tell the members of ``catch_up`` the table, then its end, in slices.

        What waits is told first: a change that is taken back while it waits is told to
        nobody, so nobody may have seen it.
        """
        while nlris := catch_up.next_slice():
            self.flush_now()
            changes = self._moves((nlri, None) for nlri in nlris)
            catch_up.members = [
                m for m in catch_up.members if self._is_member(group, m)
            ]
            if not catch_up.members:
                break
            self._tell(group.encode(changes), catch_up.members)
            yield
        self._catching_up[group].remove(catch_up)
        for member in catch_up.members:
            if self._is_member(group, member):
                member.needs_end_of_rib = True
                self._end_catch_up(member)

    def _end_catch_up(self, member: Member) -> None:
        if member.needs_end_of_rib and not member.is_behind:
            member.needs_end_of_rib = False
            self._writers[member.source]([member.last_words or end_of_rib(self.family)])
            member.last_words = b""

    def leave(self, source: Source) -> None:
        """Forget a session; its group goes with its last member."""
        group = self._group_of.pop(source, None)
        self._writers.pop(source, None)
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

    def refresh(
        self, source: Source, *, before: bytes = b"", after: bytes = b""
    ) -> None:
        """Tell a member the whole table again (RFC 2918, RFC 7313).

        Args:
            source: The member.
            before: Octets to send first: the beginning of an enhanced refresh.
            after: Octets to send last in the place of End-of-RIB.
        """
        group = self._group_of.get(source)
        member = self.member(source)
        if group is None or member is None:
            return
        if before:
            self._writers[source]([before])
        member.last_words = after
        self._gather(group, member)

    def fell_behind(self, source: Source) -> None:
        """Stop telling a member directly: its socket is full."""
        group, member = self._group_of.get(source), self.member(source)
        if group is None or member is None or member.is_behind:
            return
        member.is_behind = True
        for catch_up in self._catching_up.get(group, ()):
            if member in catch_up.members:
                catch_up.leave(member)
                member.needs_end_of_rib = True

    def caught_breath(self, source: Source) -> None:
        """Tell a member what it missed, now that its socket has room again."""
        group, member = self._group_of.get(source), self.member(source)
        if group is not None and member is not None and member.is_behind:
            member.is_behind = False
            self._jobs.add(self._tell_missed(group, member))

    def _tell_missed(self, group: UpdateGroup, member: Member) -> Iterator[None]:
        while (member.missed or member.unseen) and not member.is_behind:
            self.flush_now()
            if not self._is_member(group, member):
                return
            missed, unseen = member.missed, member.unseen
            some = [missed.popitem() for _ in range(min(CATCH_UP_SLICE, len(missed)))]
            if not some:
                some = [(nlri, None) for nlri in unseen[-CATCH_UP_SLICE:]]
                del unseen[-CATCH_UP_SLICE:]
            self._tell(group.encode(self._moves(some)), (member,))
            yield
        self._end_catch_up(member)

    def _moves(self, told: Iterable[tuple[Nlri, Entry | None]]) -> list[Change]:
        """Return the changes from what was told last to what the table has now."""
        get = self.loc_rib.table.get
        moves: dict[tuple[Entry | None, Entry | None], list[Nlri]] = {}
        for nlri, old in told:
            new = get(nlri)
            if new is not old:
                moves.setdefault((old, new), []).append(nlri)
        return [Change(old, new, nlris) for (old, new), nlris in moves.items()]

    def replace_policy(self, name: str, policy: Policy) -> None:
        """Let the groups that export by policy ``name`` do so by its new form."""
        for group in self.groups.values():
            if group.export.context.policy == name:
                before = group.replace_export(Export(group.export.context, policy))
                self._jobs.add(self._tell_again(group, before))

    def _tell_again(self, group: UpdateGroup, before: Export) -> Iterator[None]:
        """Tell members the difference between two exports of the same table."""
        nlris = list(self.loc_rib.table)
        get = self.loc_rib.table.get
        for start in range(0, len(nlris), CATCH_UP_SLICE):
            self.flush_now()
            entries: dict[Entry, list[Nlri]] = {}
            for nlri in nlris[start : start + CATCH_UP_SLICE]:
                entry = get(nlri)
                if entry is not None:
                    entries.setdefault(entry, []).append(nlri)
            changes = [Change(entry, entry, some) for entry, some in entries.items()]
            self._tell(group.encode(changes, before), group.members.values())
            yield
