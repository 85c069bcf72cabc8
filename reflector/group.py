"""One update group: members that receive the same routes, which are encoded once.

A flush turns changes of Loc-RIB into one run of octets for the whole group. A member is
not sent its own routes: what came from a member stands contiguously in that run, so that
the member's share is the run with one span cut out; nothing is encoded twice. Where a
member's own route replaced another's, only that member gets a withdrawal of what it held.

There is no Adj-RIB-Out: what a member holds is what ``Export`` makes of Loc-RIB, as of the
last flush. A member that cannot keep up has its prefixes noted instead (newest wins, so its
memory is bounded by the table, never by time); members that join together share the
catching up. While a new export policy takes effect in slices, each prefix not sent yet remembers
the export that members know it by.

Sans-IO: it returns octets and calls nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from reflector.advertised_limit import AdvertisedLimit
from reflector.export import Export, ExportContext, Outgoing
from reflector.flush import Batch, Outbound
from reflector.member_fsm import Member
from reflector.pacing import Pacer
from reflector.path_ids import PathIds
from reflector.plain_reflection import put_reflected
from reflector.walks import Walks
from rib.change import Change
from rib.family import Family
from rib.nlri import Nlri
from rib.path import Path, Source
from rib.path_set import Entry, best_of, eligible_of

# Theory
# ------
# A reflector tells a thousand clients the same thing. The work that matters is therefore
# done once per change and group, and per client only what is cheap: a write of octets that
# exist already.
#
#       changes (old entry, new entry, prefixes)
#          |   what today's Export makes of the new, and of the old: announce, withdraw, nothing
#          v
#       Batch: prefixes by outgoing form, those of each member side by side
#          |   packed
#          v
#       octets of the group  [ .... | member A's own | .... | member B's own | .... ]
#                             A receives all but its own span, B all but its own
#
# The old entry matters because there is no Adj-RIB-Out to ask what a member holds: it holds
# what the export made of the old entry. Three things can break that sentence, and each has
# its remedy:
#
# * A member was slow, so it was not sent some changes. It remembers the entry that it knows
#   of each (`reflector.member_fsm`).
# * The export changed. `_advertised_by` remembers for each prefix not sent again yet by which
#   export members know it; the newest export is used for what is sent.
# * What made the old form is not known any more (a session's identity changed). Then
#   `_UnknownExport` stands for it: announce or withdraw in any case.
#
# Invariants:
#
# * After a flush each member that is not slow holds exactly what today's export makes of
#   Loc-RIB, without its own routes. The property in tests/property joins, blocks, refreshes
#   and leaves in any order and decodes what was sent.
# * A member is never sent its own route; where its own route replaces one that it held, it
#   alone gets a withdrawal.
# * Order within a prefix is kept: what waits for a slow member is the newest only.
# * The memory of a group does not depend on how many members it has, but for the slow ones.
#
# Deliberately not here: when flushes happen (`bgpd.pipeline.flush_scheduler`), sockets, and which
# session belongs to which group (`bgpd.pipeline.membership`).
#
# Sources: RFC 4271 9.1.3 and 9.2, RFC 4456 8; update groups are IOS's and FRR's term
# (bgpd/bgp_updgrp.c), where each subgroup keeps an Adj-RIB-Out.

PackAnnounce = Callable[[Family, bytes, bytes, Sequence[bytes], int], bytes]
PackWithdraw = Callable[[Family, Sequence[bytes], int], bytes]
PackBlocks = Callable[
    [Mapping[bytes, Sequence[bytes]], bytes, int],
    tuple[bytes, dict[bytes, Sequence[bytes]]],
]

_ANYTHING: Final = Outgoing(b"anything", b"")  # unequal to all that is ever told

# Paths, and what is advertised of each.
_Advertised = tuple[tuple[Path, Outgoing | None], ...]


class _UnknownExport:
    """Placeholder for an unknown previous export: assume that any path was advertised."""

    def divide(
        self, _path: Path, nlris: Sequence[Nlri]
    ) -> Sequence[tuple[Outgoing | None, Sequence[Nlri]]]:
        return ((_ANYTHING, nlris),)


_UNKNOWN_EXPORT: Final = _UnknownExport()
_NOTHING: Final = (None, None)
_Exporter = Export | _UnknownExport


class UpdateGroup:
    """Members with one export outcome in one family.

    Args:
        export: What a path looks like to the members.
        pack_announce: Makes UPDATEs of prefixes with one outgoing form.
        pack_withdraw: Makes UPDATEs of withdrawn prefixes.
        pack_blocks: Makes UPDATEs of many IPv4 routes, one of each block where that is
            enough, and returns the others.
        path_ids: Outgoing path identifiers (RFC 7911), shared by the groups of a family so
            that they last when a peer changes its group.

    Attributes:
        limit: Counts what the only member is advertised; ``None`` without a limit.
        members: By source.
        pacer: Holds back prefixes that change too often; off at first.
        walks: Members on their way through the whole table.
    """

    def __init__(
        self,
        export: Export,
        pack_announce: PackAnnounce,
        pack_withdraw: PackWithdraw,
        pack_blocks: PackBlocks,
        path_ids: PathIds | None = None,
    ) -> None:
        self.export = export
        self.pacer = Pacer(0.0, is_add_path=export.context.add_path_max is not None)
        self.members: dict[Source, Member] = {}
        self.walks = Walks()
        self.oversized_count = 0  # routes that no message had room for
        self._pack_announce = pack_announce
        self._pack_withdraw = pack_withdraw
        self._pack_blocks = pack_blocks
        self._id_of = (PathIds() if path_ids is None else path_ids).of
        self._add_path_max = export.context.add_path_max
        self.limit = _limit_of(export.context)
        # Prefixes that members know by another export than today's.
        self._advertised_by: dict[Nlri, _Exporter] = {}

    def join(self, source: Source) -> Member:
        """Add a member; its first event, JOINED or MOVED, is the caller's to feed."""
        member = self.members[source] = Member(source)
        return member

    def leave(self, source: Source) -> None:
        """Forget a member; no-op for others."""
        member = self.members.pop(source, None)
        if member is not None:
            member.left()

    def writing_paused(self, source: Source) -> None:
        """Note changes for a member whose socket is full; no-op for others.

        To be called when all that was encoded so far has been written to it: what is in
        flight is not noted.
        """
        member = self.members.get(source)
        if member is not None:
            member.writing_paused(self.walks.leave(member))
            if self._advertised_by:  # some was sent by another export
                member.export_changed()

    @property
    def family(self) -> Family:
        """AFI and SAFI."""
        return self.export.context.family

    @property
    def pending_re_advertisement_count(self) -> int:
        """Prefixes that members know by another export, for ``re_advertise``."""
        return len(self._advertised_by)

    def replace_export(self, export: Export, nlris: Iterable[Nlri]) -> None:
        """Use another policy from now on; ``re_advertise`` sends what it changes.

        Args:
            export: With the new policy.
            nlris: All prefixes of Loc-RIB that the new policy may judge differently;
                members have received all changes of them.
        """
        outdated: dict[Nlri, _Exporter] = dict.fromkeys(nlris, self.export)
        outdated.update(self._advertised_by)
        self._advertised_by = outdated
        self.export = export
        for member in self.members.values():
            member.export_changed()

    def mark_export_unknown(self, nlris: Iterable[Nlri]) -> None:
        """Assume nothing about what members know of some prefixes."""
        self._advertised_by.update(dict.fromkeys(nlris, _UNKNOWN_EXPORT))
        self.export.forget()
        for member in self.members.values():
            member.export_changed()

    def next_to_re_advertise(self, limit: int) -> list[Nlri]:
        """Return some of the outdated prefixes."""
        return list(islice(reversed(self._advertised_by), limit))

    def re_advertise(
        self, table: Mapping[Nlri, Entry], nlris: Iterable[Nlri]
    ) -> Outbound | None:
        """Return what today's export changes for those of ``nlris`` that are outdated."""
        pop, table = self._advertised_by.pop, self.pacer.view(table)
        moves: dict[tuple[_Exporter, Entry], list[Nlri]] = {}
        for nlri in nlris:
            before, entry = pop(nlri, None), table.get(nlri)
            if before is not None and entry is not None:
                moves.setdefault((before, entry), []).append(nlri)
        batch = Batch()
        for (before, entry), some in moves.items():
            changes = (Change(entry, entry, some),)
            self._note(changes)
            self._put_changes(batch, changes, before)
        return self._finish(batch)

    # hot: per flush
    def flush(self, changes: Sequence[Change]) -> Outbound | None:
        """Return what members that are not slow receive for new changes; note those of the others."""
        if any(member.is_slow for member in self.members.values()):
            self._note(self._relevant(changes))
        if not self._advertised_by:
            return self.encode(changes)
        batch = Batch()
        for change in self._relevant(changes):
            for before, nlris in self._by_former_export(change.nlris).items():
                part = change._replace(nlris=nlris)
                self._put_changes(batch, (part,), before)
        return self._finish(batch)

    def _by_former_export(
        self, nlris: Iterable[Nlri]
    ) -> dict[_Exporter | None, list[Nlri]]:
        pop = self._advertised_by.pop
        parts: dict[_Exporter | None, list[Nlri]] = {}
        for nlri in nlris:
            parts.setdefault(pop(nlri, None), []).append(nlri)
        return parts

    def _relevant(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Return changes without those that no member receives: of paths that are not best."""
        if self._add_path_max is not None:
            return changes
        return [c for c in changes if best_of(c.old) is not best_of(c.new)]

    def _note(self, changes: Iterable[Change]) -> None:
        for member in self.members.values():
            if member.is_slow:
                member.note(changes)

    # hot: per flush
    def encode(
        self, changes: Iterable[Change], *, is_previous_unknown: bool = False
    ) -> Outbound | None:
        """Return what members receive for ``changes``; ``None`` if nothing.

        Args:
            changes: From what members know to what they are to know. For members
                that hold nothing the old entry is ``None``.
            is_previous_unknown: What is held of the old entries is not what today's export says:
                advertise all, and withdraw what is no longer advertised.
        """
        batch = Batch()
        self._put_changes(
            batch, changes, _UNKNOWN_EXPORT if is_previous_unknown else None
        )
        return self._finish(batch, is_previous_unknown=is_previous_unknown)

    def _put_changes(
        self, batch: Batch, changes: Iterable[Change], before: _Exporter | None
    ) -> None:
        """Add changes to a batch.

        Args:
            batch: To be encoded.
            changes: As in ``encode``.
            before: The export that members know, if it is not today's.
        """
        advertised_by = self.export
        is_add_path = self._add_path_max is not None
        if before is None and not is_add_path and not advertised_by.policy.needs_prefix:
            if advertised_by.reflects_only:
                changes = put_reflected(
                    batch, changes, self.members, advertised_by.reflection_of
                )
            self._put_undivided(batch, changes)
            return
        held_by = advertised_by if before is None else before
        put = self._put_add_path if is_add_path else self._put
        for old, new, nlris in changes:
            if is_add_path:
                was, now = eligible_of(old), eligible_of(new)
            else:
                had, has = best_of(old), best_of(new)
                if had is has and before is None:
                    continue
                was, now = (had,) if had else (), (has,) if has else ()
            for advertised, some in _divide(advertised_by, now, nlris):
                for held, members in _divide(held_by, was, some):
                    put(batch, members, advertised, held)

    def _put_undivided(self, batch: Batch, changes: Iterable[Change]) -> None:
        """Add changes whose prefixes all have the same outcome."""
        outgoing_of, members = self.export.outgoing, self.members
        for old, new, nlris in changes:
            has = new if type(new) is Path else best_of(new)
            had = None if old is None else best_of(old)
            if had is has:
                continue
            advertised = None if has is None else outgoing_of(has)
            if had is not None:
                self._put_one(batch, nlris, (has, advertised), (had, outgoing_of(had)))
            elif advertised is not None:
                source = has.source  # type: ignore[union-attr]  # it was advertised
                batch.announce(source if source in members else None, advertised, nlris)

    def _put(
        self,
        batch: Batch,
        nlris: Sequence[Nlri],
        advertised: _Advertised,
        held: _Advertised,
    ) -> None:
        """Advertise prefixes that have at most one exportable path each."""
        now, was = (
            advertised[0] if advertised else _NOTHING,
            held[0] if held else _NOTHING,
        )
        self._put_one(batch, nlris, now, was)

    def _put_one(
        self,
        batch: Batch,
        nlris: Sequence[Nlri],
        now: tuple[Path | None, Outgoing | None],
        was: tuple[Path | None, Outgoing | None],
    ) -> None:
        members = self.members
        (new, advertised), (old, held) = now, was
        if new is None or advertised is None:
            if old is not None and held is not None:
                origin = old.source
                batch.withdraw(origin if origin in members else None, nlris)
            return
        source = new.source
        if source not in members:
            if held != advertised or (old is not None and old.source in members):
                batch.announce(None, advertised, nlris)
            return
        if old is None or held is None:
            batch.announce(source, advertised, nlris)
            return
        if old.source is source:
            if held != advertised:
                batch.announce(source, advertised, nlris)
            return
        # The member's own route took over: it alone must forget the one it held.
        batch.announce(source, advertised, nlris)
        batch.withdraw_from(source, nlris)

    def _put_add_path(
        self,
        batch: Batch,
        nlris: Sequence[Nlri],
        advertised: _Advertised,
        held: _Advertised,
    ) -> None:
        """Advertise several paths of each prefix, each under a lasting identifier (RFC 7911)."""
        members = self.members
        now, was = self._selection(advertised), self._selection(held)
        for path_id, (path, outgoing) in now.items():
            before = was.get(path_id)
            source = path.source
            is_same_source = before is None or before[0].source is source
            if before is None or before[1] != outgoing or not is_same_source:
                pieces = _with_id(path_id, nlris)
                origin = source if source in members else None
                batch.announce(origin, outgoing, pieces)
                if origin is not None and not is_same_source:
                    batch.withdraw_from(source, pieces)
        for path_id, (path, _) in was.items():
            if path_id not in now:
                origin = path.source if path.source in members else None
                batch.withdraw(origin, _with_id(path_id, nlris))

    def _selection(self, advertised: _Advertised) -> dict[int, tuple[Path, Outgoing]]:
        """Return the paths to advertise, by their outgoing identifier."""
        selected: dict[int, tuple[Path, Outgoing]] = {}
        most = self._add_path_max
        for path, outgoing in advertised:
            # The limit applies to what is advertised now, not to what was.
            if most and len(selected) >= most and outgoing is not _ANYTHING:
                break
            if outgoing is not None:
                selected[self._id_of(path)] = (path, outgoing)
        return selected

    def _finish(
        self, batch: Batch, *, is_previous_unknown: bool = False
    ) -> Outbound | None:
        """Encode a batch, keeping each member's own routes together."""
        if self.limit is not None:
            for member in self.members:
                self.limit.admit(batch, member, is_previous_unknown=is_previous_unknown)
        if not batch:
            return None
        family, max_len = self.family, self.export.context.max_message_len
        parts: list[bytes] = []
        append = parts.append
        spans: dict[Source, tuple[int, int]] = {}
        at = 0
        origins = (*batch.withdrawn, *batch.reflected, *batch.announced)
        for origin in dict.fromkeys(origins):
            start = at
            pieces = batch.withdrawn.get(origin)
            if pieces:
                append(octets := self._pack_withdraw(family, pieces, max_len))
                at += len(octets)
            for tail, routes in batch.reflected.get(origin, {}).items():
                octets, left = self._pack_blocks(routes, tail, max_len)
                append(octets)
                at += len(octets)
                for block, advertised in left.items():
                    append(octets := self._pack_alone(block, b"", advertised))
                    at += len(octets)
            for outgoing, advertised in batch.announced.get(origin, {}).items():
                append(octets := self._pack_alone(*outgoing, advertised))
                at += len(octets)
            if origin is not None:
                spans[origin] = (start, at)
        private = {
            member: self._pack_withdraw(self.family, pieces, max_len)
            for member, pieces in batch.private.items()
        }
        return Outbound(b"".join(parts), spans, private)

    def _pack_alone(
        self, attributes: bytes, next_hop: bytes, pieces: Sequence[bytes]
    ) -> bytes:
        """Return the messages for routes with one outgoing form.

        Attributes may leave no room for a prefix. They may fit a long message (RFC 8654 4),
        but not this group's: the routes cannot be advertised, and earlier ones must not
        stay.
        """
        max_len = self.export.context.max_message_len
        try:
            return self._pack_announce(
                self.family, attributes, next_hop, pieces, max_len
            )
        except ValueError:
            self.oversized_count += len(pieces)
            return self._pack_withdraw(self.family, pieces, max_len)


def _limit_of(context: ExportContext) -> AdvertisedLimit | None:
    if not context.alone:
        return None
    is_add_path = context.add_path_max is not None
    return AdvertisedLimit(context.max_advertised, is_add_path=is_add_path)


def _divide(
    exporter: _Exporter, paths: Sequence[Path], nlris: Sequence[Nlri]
) -> Iterable[tuple[_Advertised, Sequence[Nlri]]]:
    """Group prefixes that share some paths by the outgoing form of all of these."""
    groups: list[tuple[_Advertised, Sequence[Nlri]]] = [((), nlris)]
    for path in paths:
        groups = [
            ((*advertised, (path, outgoing)), part)
            for advertised, some in groups
            for outgoing, part in exporter.divide(path, some)
        ]
    return groups


def _with_id(path_id: int, nlris: Iterable[Nlri]) -> list[bytes]:
    prefix = path_id.to_bytes(4, "big")
    return [prefix + nlri for nlri in nlris]
