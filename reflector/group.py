"""One update group: members who are told the same, so that it is encoded once.

A flush turns changes of Loc-RIB into one run of octets for the whole group. A member is
not sent its own routes: what came from a member stands contiguously in that run, so that
the member's share is the run with one span cut out; nothing is encoded twice. Where a
member's own route replaced another's, that member alone is told to withdraw what it held.

There is no Adj-RIB-Out: what a member holds is what ``Export`` makes of Loc-RIB, as of the
last flush. A member that cannot keep up has its prefixes noted instead (newest wins, so its
memory is bounded by the table, never by time); a member that joins is a member with the
whole table noted, and members that join together share the catching up.

Sans-IO: octets are returned, nobody is called.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from reflector.rules import Export, Outgoing
from rib.family import Family
from rib.loc_rib import Change
from rib.nlri import Nlri
from rib.path import Path, Source
from rib.path_set import Entry, best_of, paths_of

PackAnnounce = Callable[[Family, bytes, bytes, Sequence[bytes], int], bytes]
PackWithdraw = Callable[[Family, Sequence[bytes], int], bytes]
ExportCall = Callable[[Path, Nlri | None], Outgoing | None]

CATCH_UP_SLICE: Final = 2048  # prefixes encoded in one go while somebody catches up
_MEMO_MAX: Final = 8192  # outgoing forms kept; a rewrite costs about 2 us


class Outbound:
    """One flush's octets for a group.

    Attributes:
        octets: Everything, in order.
        spans: Member source -> the part of ``octets`` that came from it.
        private: Member source -> octets for it alone.
    """

    __slots__ = ("octets", "private", "spans")

    def __init__(
        self,
        octets: bytes,
        spans: dict[Source, tuple[int, int]],
        private: dict[Source, bytes],
    ) -> None:
        self.octets = octets
        self.spans = spans
        self.private = private

    def share_of(self, source: Source) -> list[bytes]:
        """Return what one member is sent, as buffers to be written in order.

        A member whose routes are in the run gets slices of it, not a copy: the octets
        exist once for the whole group, however slowly its members read.
        """
        share: list[bytes] = []
        private = self.private.get(source)
        if private is not None:
            share.append(private)
        span = self.spans.get(source)
        if span is None:
            if self.octets:
                share.append(self.octets)
            return share
        view = memoryview(self.octets)
        start, end = span
        if start:
            share.append(view[:start])  # type: ignore[arg-type]  # written, never kept
        if end < len(view):
            share.append(view[end:])  # type: ignore[arg-type]
        return share


class _Batch:
    """What one flush will say, ordered by whose routes they are, then by attributes."""

    def __init__(self) -> None:
        self.announced: dict[Source | None, dict[Outgoing, list[bytes]]] = {}
        self.withdrawn: dict[Source | None, list[bytes]] = {}
        self.private: dict[Source, list[bytes]] = {}

    def announce(
        self, origin: Source | None, outgoing: Outgoing, pieces: Iterable[bytes]
    ) -> None:
        by_outgoing = self.announced.setdefault(origin, {})
        by_outgoing.setdefault(outgoing, []).extend(pieces)

    def withdraw(self, origin: Source | None, pieces: Iterable[bytes]) -> None:
        self.withdrawn.setdefault(origin, []).extend(pieces)

    def withdraw_from(self, member: Source, pieces: Iterable[bytes]) -> None:
        self.private.setdefault(member, []).extend(pieces)


class Member:
    """One peer in a group.

    Attributes:
        source: The peer, as the RIB knows it.
        missed: Prefixes that changed while it could not keep up, each with the entry
            it was last told.
        unseen: Prefixes of a catch-up it could not finish with the others.
        is_behind: It is told nothing directly; ``missed`` grows instead.
        needs_end_of_rib: It has the whole table, and has not been told so yet.
        last_words: Octets to send in the place of End-of-RIB after a refresh.
    """

    __slots__ = (
        "is_behind",
        "last_words",
        "missed",
        "needs_end_of_rib",
        "source",
        "unseen",
    )

    def __init__(self, source: Source) -> None:
        self.source = source
        self.missed: dict[Nlri, Entry | None] = {}
        self.unseen: list[Nlri] = []
        self.is_behind = False
        self.needs_end_of_rib = False
        self.last_words = b""


class CatchUp:
    """Members that joined together, on their way through a snapshot of the table."""

    __slots__ = ("_rest", "members")

    def __init__(self, members: list[Member], nlris: list[Nlri]) -> None:
        self.members = members
        self._rest: Iterator[Nlri] = iter(nlris)

    def next_slice(self) -> list[Nlri]:
        """Return the next prefixes; empty at the end."""
        return list(islice(self._rest, CATCH_UP_SLICE))

    def leave(self, member: Member) -> None:
        """Let a member that cannot keep up go on alone, from here."""
        self.members.remove(member)
        rest = list(self._rest)
        self._rest = iter(rest)
        member.is_behind = True
        member.unseen += rest


class UpdateGroup:
    """Members with one export outcome in one family.

    Args:
        export: What a path looks like to the members.
        pack_announce: Makes UPDATEs of prefixes with one outgoing form.
        pack_withdraw: Makes UPDATEs of withdrawn prefixes.
    """

    def __init__(
        self, export: Export, pack_announce: PackAnnounce, pack_withdraw: PackWithdraw
    ) -> None:
        self.export = export
        self.family = export.context.family
        self.members: dict[Source, Member] = {}
        self.unsent_count = 0  # routes that no message had room for
        self._pack_announce = pack_announce
        self._pack_withdraw = pack_withdraw
        self._memo: dict[Path, Outgoing | None] = {}
        self._path_ids: dict[tuple[Source, int], int] = {}
        self._add_path_max = export.context.add_path_max

    def join(self, source: Source) -> Member:
        """Add a member; it holds nothing until it was caught up."""
        member = self.members[source] = Member(source)
        return member

    def leave(self, source: Source) -> None:
        """Forget a member; no-op for others."""
        self.members.pop(source, None)

    def replace_export(self, export: Export) -> Export:
        """Use another policy from now on; return the one that members were told by."""
        before, self.export = self.export, export
        self._memo.clear()
        return before

    def note_missed(self, changes: Iterable[Change]) -> None:
        """Note a flush's prefixes for the members that are behind."""
        behind = [member for member in self.members.values() if member.is_behind]
        for member in behind:
            note = member.missed.setdefault
            for change in changes:
                old = change.old
                for nlri in change.nlris:
                    note(nlri, old)

    # hot: per flush
    def encode(
        self, changes: Iterable[Change], before: Export | None = None
    ) -> Outbound | None:
        """Return what members are told of ``changes``; ``None`` where it is nothing.

        Args:
            changes: From what members were told last to what they shall know. For members
                that hold nothing the old entry is ``None``.
            before: What members were told by, where that is not today's export: after a
                change of policy, with changes from each entry to itself.
        """
        batch = _Batch()
        held_by = self._outgoing if before is None else before
        if self._add_path_max is not None:
            for change in changes:
                self._put_add_path(batch, change, held_by)
        elif self.export.policy.needs_prefix or before is not None:
            for old, new, nlris in changes:
                for nlri in nlris:
                    self._put(batch, best_of(old), best_of(new), (nlri,), nlri, held_by)
        else:
            for old, new, nlris in changes:
                was, now = best_of(old), best_of(new)
                if was is not now:
                    self._put(batch, was, now, nlris, None, held_by)
        return self._finish(batch)

    def _put(
        self,
        batch: _Batch,
        old: Path | None,
        new: Path | None,
        nlris: Sequence[bytes],
        nlri: Nlri | None,
        held_by: ExportCall,
    ) -> None:
        told = None if new is None else self._outgoing(new, nlri)
        held = None if old is None else held_by(old, nlri)
        members = self.members
        if new is None or told is None:
            if old is not None and held is not None:
                origin = old.source
                batch.withdraw(origin if origin in members else None, nlris)
            return
        source = new.source
        if source not in members:
            if held != told or (old is not None and old.source in members):
                batch.announce(None, told, nlris)
            return
        if old is None or held is None:
            batch.announce(source, told, nlris)
            return
        if old.source is source:
            if held != told:
                batch.announce(source, told, nlris)
            return
        # The member's own route took over: it alone must forget the one it held.
        batch.announce(source, told, nlris)
        batch.withdraw_from(source, nlris)

    def _outgoing(self, path: Path, nlri: Nlri | None) -> Outgoing | None:
        if self.export.policy.needs_prefix:
            return self.export(path, nlri)
        memo = self._memo
        if path in memo:
            return memo[path]
        if len(memo) >= _MEMO_MAX:
            memo.clear()
        outgoing = memo[path] = self.export(path)
        return outgoing

    def _put_add_path(
        self, batch: _Batch, change: Change, held_by: ExportCall
    ) -> None:
        """Tell several paths of each prefix, each under a lasting identifier (RFC 7911)."""
        per_prefix = self.export.policy.needs_prefix
        runs = [(n, (n,)) for n in change.nlris] if per_prefix else [(None, change.nlris)]
        for nlri, nlris in runs:
            held = self._selection(change.old, nlri, held_by)
            told = self._selection(change.new, nlri, self._outgoing)
            for path_id, (path, outgoing) in told.items():
                before = held.get(path_id)
                if before is None or before[1] != outgoing:
                    origin = path.source if path.source in self.members else None
                    batch.announce(origin, outgoing, _with_id(path_id, nlris))
            for path_id, (path, _) in held.items():
                if path_id not in told:
                    origin = path.source if path.source in self.members else None
                    batch.withdraw(origin, _with_id(path_id, nlris))

    def _selection(
        self, entry: Entry | None, nlri: Nlri | None, told_by: ExportCall
    ) -> dict[int, tuple[Path, Outgoing]]:
        """Return the paths of an entry that are told, by their outgoing identifier."""
        selected: dict[int, tuple[Path, Outgoing]] = {}
        for path in paths_of(entry):
            if self._add_path_max and len(selected) >= self._add_path_max:
                break
            if not path.next_hop.is_reachable:
                continue
            outgoing = told_by(path, nlri)
            if outgoing is not None:
                selected[self._path_id(path)] = (path, outgoing)
        return selected

    def _path_id(self, path: Path) -> int:
        key = (path.source, path.path_id)
        return self._path_ids.setdefault(key, len(self._path_ids) + 1)

    def _finish(self, batch: _Batch) -> Outbound | None:
        """Encode a batch, keeping each member's own routes together."""
        if not (batch.announced or batch.withdrawn or batch.private):
            return None
        max_len = self.export.context.max_message_len
        parts: list[bytes] = []
        spans: dict[Source, tuple[int, int]] = {}
        at = 0
        for origin in dict.fromkeys((*batch.withdrawn, *batch.announced)):
            start = at
            pieces = batch.withdrawn.get(origin)
            if pieces:
                parts.append(self._pack_withdraw(self.family, pieces, max_len))
                at += len(parts[-1])
            for outgoing, told in batch.announced.get(origin, {}).items():
                parts.append(self._pack_one(outgoing, told, max_len))
                at += len(parts[-1])
            if origin is not None:
                spans[origin] = (start, at)
        private = {
            member: self._pack_withdraw(self.family, pieces, max_len)
            for member, pieces in batch.private.items()
        }
        return Outbound(b"".join(parts), spans, private)

    def _pack_one(self, outgoing: Outgoing, pieces: list[bytes], max_len: int) -> bytes:
        attributes, next_hop = outgoing
        try:
            return self._pack_announce(
                self.family, attributes, next_hop, pieces, max_len
            )
        except ValueError:
            # Attributes that fit a long message (RFC 8654 4) but not this group's: the
            # route cannot be told, and what was told before must not stay.
            self.unsent_count += len(pieces)
            return self._pack_withdraw(self.family, pieces, max_len)


def _with_id(path_id: int, nlris: Iterable[Nlri]) -> list[bytes]:
    prefix = path_id.to_bytes(4, "big")
    return [prefix + nlri for nlri in nlris]
