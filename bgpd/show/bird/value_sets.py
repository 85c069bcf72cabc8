"""Sets of values in expressions: what they hold is found by bisection, however long they are."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rib.nlri import Nlri

Interval = tuple[int, int]


class IntervalSet:
    """Whole numbers between bounds: AS numbers, or communities as numbers.

    Args:
        intervals: First and last of each; they may overlap.
    """

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(intervals):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __contains__(self, value: int) -> bool:
        at = bisect_right(self._firsts, value) - 1
        return at >= 0 and value <= self._lasts[at]

    def meets(self, values: Sequence[int]) -> bool:
        """Return whether any of ``values``, which are in order, is in the set."""
        for first, last in zip(self._firsts, self._lasts, strict=True):
            at = bisect_left(values, first)
            if at < len(values) and values[at] <= last:
                return True
        return False


class PrefixItem(NamedTuple):
    """One item of a prefix set.

    Attributes:
        octets: Of an address: 4 or 16.
        network: As a number.
        length: Of the prefix, bits.
        least: Shortest prefix that it holds, bits.
        most: Longest.
    """

    octets: int
    network: int
    length: int
    least: int
    most: int

    def holds(self, octets: int, number: int, length: int) -> bool:
        """Return whether a prefix is in it: inside it, or around it if it says so."""
        if octets != self.octets or not self.least <= length <= self.most:
            return False
        shift = octets * 8 - min(length, self.length)
        return number >> shift == self.network >> shift


class PrefixSet:
    """Prefixes by pattern, such as ``10.0.0.0/8{16,24}``.

    Args:
        items: The patterns.
    """

    def __init__(self, items: Iterable[PrefixItem]) -> None:
        self._items: Final = tuple(items)

    def holds(self, octets: int, number: int, length: int) -> bool:
        """Return whether a prefix is in the set."""
        return any(item.holds(octets, number, length) for item in self._items)


def numbers_of(nlri: Nlri, octets: int) -> tuple[int, int]:
    """Return the address of a prefix as a number, and its length in bits."""
    length = nlri[0]
    return int.from_bytes(nlri[1:].ljust(octets, b"\0")), length


class PathMask:
    """An AS path pattern: ``[= 65001 * 65010 =]``.

    All positions that a match may be at are one number, a bit each, so that a path costs one
    step for each of its AS numbers, whatever the pattern.

    Args:
        items: ``None`` for any number of AS numbers, else the set that one must be in.
    """

    def __init__(self, items: Iterable[IntervalSet | None]) -> None:
        self._sets: list[tuple[int, IntervalSet]] = []
        self._stars = 0
        bit = 1
        for item in items:
            if item is None:
                if self._stars & bit >> 1:
                    continue  # two stars are one
                self._stars |= bit
            else:
                self._sets.append((bit, item))
            bit <<= 1
        self._end = bit

    def matches(self, path: Sequence[int]) -> bool:
        """Return whether a whole path matches."""
        stars = self._stars
        state = 1 | (stars & 1) << 1
        known: dict[int, int] = {}
        for asn in path:
            bits = known.get(asn)
            if bits is None:
                bits = known[asn] = sum(bit for bit, some in self._sets if asn in some)
            state = (state & bits) << 1 | state & stars
            state |= (state & stars) << 1  # a star may stand for nothing more
            if not state:
                return False
        return bool(state & self._end)
