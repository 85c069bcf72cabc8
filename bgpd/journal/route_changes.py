"""Changes of best paths, flush by flush, kept in as little room as possible. Pure.

A full table makes a million changes within seconds, and perhaps no user ever asks for them. So
they are kept in columns as they come, and become rows for a reader.
"""

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, repeat
from operator import is_, itemgetter
from typing import Final, NamedTuple

from rib.change import Change
from rib.family import Family
from rib.nlri import Nlri, split
from rib.path import Path
from rib.path_set import Entry

# Theory
# ------
# A change is (old best path, new best path, prefixes). Kept as a `Change`, a prefix would cost
# 150 octets and the collector three objects, and its entries would hold all paths of a set of
# a thousand. Here a change costs 20 octets, a prefix 5 and a flush 20:
#
#       flush       starts   [ 0, 3, 4, ... ]           place of its first change
#                   ids      [ 17, 530, 531, ... ]      id of its first prefix's change
#                   times    [ ... ]                    seconds of the wall clock
#       change      olds     each a path or none
#                   news     each a path or none
#                   counts   [ 1, 512, ... ]            prefixes
#       prefix      octets   18 0a 00 80 18 0a ...      encoded as in an UPDATE (RFC 4271 4.3)
#
# Blocks of such columns are dropped whole, the oldest first, so that nothing is ever moved.
#
# Invariants:
#
# * The ids of a flush follow one another, one for each prefix, in the order of the columns.
# * A prefix is in a flush once at most (`reflector.pending`).
# * What is kept never exceeds `most` prefixes. Of a flush that is larger, the end is kept.
# * A path that is kept holds its attributes and its source, some 500 octets, and no prefixes;
#   there are two for each change at most. Sets of paths are not kept.
#
# The octets of a prefix may also occur where none begins. So a search in them only says that it is
# worth splitting a block.
#
# Deliberately not here: ids (`event_journal` counts them), and how a change is shown.

_FEWEST_BLOCKS: Final = 8  # so many are kept at least, so that few changes go at once
_BLOCK: Final = 4096  # prefixes of a block, unless one flush has more

_nlris_of: Final[Callable[[Change], Sequence[Nlri]]] = itemgetter(2)


class RouteChange(NamedTuple):
    """One prefix's best path changed.

    Attributes:
        event_id: Of this change.
        at: Seconds of the wall clock.
        nlri: The prefix.
        old: The best path before; ``None`` where there was none.
        new: The best path since.
    """

    event_id: int
    at: float
    nlri: Nlri
    old: Path | None
    new: Path | None


class _Block:
    """Columns of some flushes that followed one another.

    Attributes:
        count: Prefixes.
    """

    __slots__ = ("_counts", "_ids", "_news", "_octets", "_olds", "_starts", "_times", "count")  # fmt: skip

    def __init__(self) -> None:
        self.count = 0
        self._starts = array("Q")
        self._ids = array("Q")
        self._times = array("d")
        self._olds: list[Path | None] = []
        self._news: list[Path | None] = []
        self._counts = array("Q")
        self._octets = bytearray()

    # hot: per flush
    def add(
        self,
        first_id: int,
        at: float,
        olds: Sequence[Path | None],
        news: Sequence[Path | None],
        runs: Sequence[Sequence[Nlri]],
    ) -> None:
        """Add a flush: a run of prefixes for each pair of paths."""
        self._starts.append(len(self._olds))
        self._ids.append(first_id)
        self._times.append(at)
        self._olds += olds
        self._news += news
        self._counts.extend(map(len, runs))
        self._octets += b"".join(chain.from_iterable(runs))
        self.count += sum(map(len, runs))

    @property
    def last_id(self) -> int:
        """Of the last prefix's change."""
        return self._ids[-1] + sum(self._counts[self._starts[-1] :]) - 1

    @property
    def last_at(self) -> float:
        """Of the last flush, seconds of the wall clock."""
        return self._times[-1]

    def count_after(self, event_id: int) -> int:
        """Return how many prefixes' changes have an id above."""
        ends = [*self._starts[1:], len(self._olds)]
        count = 0
        for place in reversed(range(len(ends))):
            size = sum(self._counts[self._starts[place] : ends[place]])
            first = self._ids[place]
            if first <= event_id:
                return count + max(0, first + size - 1 - event_id)
            count += size
        return count

    def changes(self, afi: int, after: int) -> Iterator[RouteChange]:
        """Yield each prefix's change with an id above ``after``."""
        nlris = split(bytes(self._octets), afi)
        place = 0
        # Copies: the columns grow while a reader takes what there was.
        starts, ids, times = self._starts[:], self._ids[:], self._times[:]
        ends = [*starts[1:], len(self._olds)]
        for start, end, event_id, at in zip(starts, ends, ids, times, strict=True):
            next_id = event_id
            for number in range(start, end):
                count = self._counts[number]
                if next_id + count > after + 1:
                    old, new = self._olds[number], self._news[number]
                    for more in range(max(0, after + 1 - next_id), count):
                        nlri = nlris[place + more]
                        yield RouteChange(next_id + more, at, nlri, old, new)
                place += count
                next_id += count

    def of_prefix(self, afi: int, nlri: Nlri) -> Iterator[RouteChange]:
        """Yield a prefix's changes."""
        if nlri not in self._octets:
            return
        ends: list[int] = []
        place, nlris = -1, split(bytes(self._octets), afi)
        for _ in range(nlris.count(nlri)):
            ends = ends or [*accumulate(self._counts)]
            place = nlris.index(nlri, place + 1)
            number = bisect_right(ends, place)
            flush = bisect_right(self._starts, number) - 1
            first = ends[self._starts[flush] - 1] if self._starts[flush] else 0
            event_id = self._ids[flush] + place - first
            old, new = self._olds[number], self._news[number]
            yield RouteChange(event_id, self._times[flush], nlri, old, new)

    def times(self, afi: int) -> Iterator[tuple[Nlri, float]]:
        """Yield each prefix with the time of its change, the newest last."""
        starts, times = self._starts[:], self._times[:]  # they grow meanwhile
        ends = [*starts[1:], len(self._olds)]
        counts = [
            sum(self._counts[start:end])
            for start, end in zip(starts, ends, strict=True)
        ]
        every = chain.from_iterable(map(repeat, times, counts))
        return zip(split(bytes(self._octets), afi), every, strict=True)


class RouteChanges:
    """What is kept of one family's changes.

    Args:
        family: Of the prefixes.
        most: Prefixes kept; at least 1.

    Attributes:
        began_at: Seconds of the wall clock; earlier changes were not kept.
        count: Prefixes kept, once for each change.
        lost_id: Of the newest change that is not kept any more; 0 for none.
        lost_at: Its time, in seconds of the wall clock; 0 for none.
    """

    def __init__(self, family: Family, most: int) -> None:
        self.family = family
        self.began_at = 0.0
        self.count = 0
        self.lost_id = 0
        self.lost_at = 0.0
        self._blocks: deque[_Block] = deque()
        self.set_limit(most)

    def set_limit(self, most: int) -> None:
        """Change how many prefixes are kept; the newest that fit stay."""
        self._most = most
        self._block_size = max(1, min(_BLOCK, most // _FEWEST_BLOCKS))
        while self.count > most:
            self._drop_first()

    # hot: per flush
    def add(self, first_id: int, at: float, changes: Sequence[Change]) -> int:
        """Add what was flushed; return how many prefixes have another best path.

        Some 0.15 us a change and 0.03 us a prefix.

        Args:
            first_id: Of the first of these prefixes; the others' follow.
            at: Seconds of the wall clock.
            changes: Of this family's Loc-RIB.
        """
        olds = [_best(old) for old, _, _ in changes]
        news = [_best(new) for _, new, _ in changes]
        runs = [*map(_nlris_of, changes)]
        if any(map(is_, olds, news)):
            moved = [
                each
                for each in zip(olds, news, runs, strict=True)
                if each[0] is not each[1]
            ]
            if not moved:
                return 0
            olds, news, runs = map(list, zip(*moved, strict=True))
        count = sum(map(len, runs))
        kept, skipped = runs, count - self._most
        if skipped > 0:
            kept = _without_first(runs, skipped)
            olds, news = olds[-len(kept) :], news[-len(kept) :]
            self._note_lost(first_id + skipped - 1, at)
            count = self._most
        if not self._blocks or self._blocks[-1].count + count > self._block_size:
            self._blocks.append(_Block())
        self._blocks[-1].add(first_id + max(0, skipped), at, olds, news, kept)
        self.count += count
        while self.count > self._most:
            self._drop_first()
        return count + max(0, skipped)

    def _drop_first(self) -> None:
        gone = self._blocks.popleft()
        self.count -= gone.count
        self._note_lost(gone.last_id, gone.last_at)

    def _note_lost(self, event_id: int, at: float) -> None:
        self.lost_id, self.lost_at = max(event_id, self.lost_id), at

    def count_after(self, event_id: int) -> int:
        """Return how many changes with an id above are kept."""
        count = 0
        for block in reversed(self._blocks):
            if block.last_id <= event_id:
                break
            count += block.count_after(event_id)
        return count

    def changes(self, after: int) -> Iterator[RouteChange]:
        """Return each change with an id above ``after``, in order; milliseconds a block.

        Those of now, whatever comes or is dropped while they are gone through.
        """
        blocks = [block for block in self._blocks if block.last_id > after]
        afi = self.family.afi
        return chain.from_iterable(block.changes(afi, after) for block in blocks)

    def of_prefix(self, nlri: Nlri) -> Iterator[RouteChange]:
        """Yield a prefix's changes, in order; some 0.1 ms without any."""
        for block in [*self._blocks]:
            yield from block.of_prefix(self.family.afi, nlri)

    def times(self) -> Iterator[tuple[Nlri, float]]:
        """Yield each prefix with the time of its change, the newest last."""
        for block in [*self._blocks]:
            yield from block.times(self.family.afi)


def _best(entry: Entry | None) -> Path | None:
    # As ``best_of``, with the usual case first.
    if entry is None or type(entry) is Path:
        return entry
    return entry.best  # type: ignore[union-attr]  # the only other class there is


def _without_first(runs: Sequence[Sequence[Nlri]], number: int) -> list[Sequence[Nlri]]:
    """Return runs without their first prefixes, so many of them."""
    left = number
    for place, run in enumerate(runs):
        if left < len(run):
            return [run[left:], *runs[place + 1 :]]
        left -= len(run)
    return []
