"""Tables as they are at one moment -> MRT, in slices (RFC 6396 4.3). Pure.

The snapshot is exact: entries of Loc-RIB are values that never change, so that two lists, of prefixes and
of entries, are the table at one moment, whatever happens to it while the records are made. A
million prefixes take 16 MB for as long as that, and a few milliseconds at once.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, NamedTuple

from bgpd.evidence.mrt_records import (
    MAX_PEERS,
    OURSELVES,
    TablePeer,
    count_of,
    peer_index_table,
    rib_entry,
    rib_record,
    table_attributes,
)
from rib.family import Family
from rib.loc_rib import LocRib
from rib.nlri import Nlri
from rib.path import Path, Source, SourceKind
from rib.path_set import Entry, members_of

SLICE: Final = 512  # prefixes between yield points, below a millisecond
CHUNK_OCTETS: Final = 1 << 16  # of records handed on in one piece
_MOST_KEPT: Final = 1 << 14  # entries whose records' tails are kept
_NOBODY: Final = b"\0\0\0\0"


class TooManyPeersError(ValueError):
    """There are more peers with routes than the format can tell apart."""


class Chunk(NamedTuple):
    """Some whole records.

    Attributes:
        octets: Of all of them.
        records: How many.
    """

    octets: bytes
    records: int


class _Tail(NamedTuple):
    """What the records of an entry end in: with path identifiers, and without."""

    plain: bytes
    identified: bytes


class TableDump:
    """The tables at the moment when this is made.

    Args:
        tables: Loc-RIBs.
        collector_id: Our BGP identifier, as an integer.
        asn: Our AS.
        at: Now, seconds since 1970.
        since: Now, on the clock of ``Path.made_at``.
        add_path: Whether a source sends path identifiers.

    Raises:
        TooManyPeersError: See there.

    Attributes:
        prefix_count: Prefixes in all tables.
    """

    def __init__(
        self,
        tables: Iterable[LocRib],
        collector_id: int,
        asn: int,
        *,
        at: float,
        since: float,
        add_path: Callable[[Source], bool],
    ) -> None:
        self._at = int(at)
        self._zero = at - since  # when the clock of paths began
        self._collector_id = collector_id
        self._add_path = add_path
        self._peers: list[TablePeer] = [TablePeer(collector_id, _NOBODY, asn)]
        self._places: dict[Source, int] = {}
        self._tables: list[tuple[Family, list[Nlri], list[Entry]]] = []
        known: dict[TablePeer, int] = {}
        for rib in tables:
            self._tables.append((rib.family, [*rib.table], [*rib.table.values()]))
            self._note(rib.path_counts, known)
        self.prefix_count = sum(len(nlris) for _, nlris, _ in self._tables)

    def _note(self, sources: Collection[Source], known: dict[TablePeer, int]) -> None:
        """Give each peer its place, once for all its families."""
        for source in sources:
            place = OURSELVES
            if source.kind not in (SourceKind.LOCAL, SourceKind.KERNEL):
                peer = TablePeer(
                    source.router_id, source.address or _NOBODY, source.asn
                )
                place = known.setdefault(peer, len(self._peers))
                if place == len(self._peers):
                    self._peers.append(peer)
            self._places[source] = place
        if len(self._peers) > MAX_PEERS:
            raise TooManyPeersError(
                f"{len(self._peers)} peers have routes, and MRT has room for {MAX_PEERS}"
            )

    def chunks(self) -> Iterator[Chunk | None]:
        """Yield all records, some at a time; ``None`` is a yield point.

        What was yielded is let go, so that this can be done once.
        """
        at, get = self._at, _Tails(self._tail_of).get
        waiting = [peer_index_table(at, self._collector_id, self._peers)]
        octets, sequence = len(waiting[0]), 0
        while self._tables:
            family, nlris, entries = self._tables.pop(0)
            for start in range(0, len(nlris), SLICE):
                stop = start + SLICE
                for nlri, entry in zip(
                    nlris[start:stop], entries[start:stop], strict=True
                ):
                    tail = get(entry)
                    for part, has_path_ids in (
                        (tail.plain, False),
                        (tail.identified, True),
                    ):
                        if part:
                            record = rib_record(
                                at,
                                family,
                                sequence,
                                nlri,
                                part,
                                has_path_ids=has_path_ids,
                            )
                            waiting.append(record)
                            octets += len(record)
                            sequence = (sequence + 1) & 0xFFFFFFFF
                if octets >= CHUNK_OCTETS:
                    yield Chunk(b"".join(waiting), len(waiting))
                    waiting, octets = [], 0
                yield None
        if waiting:
            yield Chunk(b"".join(waiting), len(waiting))

    def _tail_of(self, entry: Entry) -> _Tail:
        plain: list[bytes] = []
        identified: list[bytes] = []
        for path in members_of(entry):
            has_id = bool(path.path_id) or self._add_path(path.source)
            (identified if has_id else plain).append(self._entry(path, has_id=has_id))
        return _Tail(
            count_of(plain) if plain else b"",
            count_of(identified) if identified else b"",
        )

    def _entry(self, path: Path, *, has_id: bool) -> bytes:
        place = self._places.get(path.source)
        return rib_entry(
            OURSELVES if place is None else place,
            max(0, int(self._zero + path.made_at)),
            table_attributes(path.attributes),
            path.path_id if has_id else None,
        )


class _Tails:
    """What was made of entries, so that prefixes which share one share the work."""

    def __init__(self, make: Callable[[Entry], _Tail]) -> None:
        self._make = make
        self._known: dict[Entry, _Tail] = {}

    def get(self, entry: Entry) -> _Tail:
        """Return the tail of an entry."""
        tail = self._known.get(entry)
        if tail is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            tail = self._known[entry] = self._make(entry)
        return tail
