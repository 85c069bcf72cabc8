"""Which prefixes of a table contain an address or a prefix, or lie inside one.

Tables are dictionaries keyed by NLRI octets; a trie beside them would cost more memory
than the table. It is not needed: a table holds some twenty distinct prefix lengths, so the
longest match is a dictionary look-up for each, longest first, about 0.5 us apiece.
``PrefixLengths`` knows the lengths, kept up to date or counted when asked.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Final, TypeVar

from rib.nlri import Nlri, make_nlri

T = TypeVar("T")

_length_of = itemgetter(0)
_SCAN_COST: Final = (
    4  # trying one possible key costs as much as checking 4 present ones
)


class PrefixLengths:
    """How many prefixes of each length a table holds.

    Args:
        nlris: What the table holds already; about 50 ns each.
    """

    __slots__ = ("_counts", "_descending")

    def __init__(self, nlris: Iterable[Nlri] = ()) -> None:
        self._counts: Counter[int] = Counter()
        self._descending: tuple[int, ...] | None = None
        self.add(nlris)

    def add(self, nlris: Iterable[Nlri]) -> None:
        """Count prefixes that came into the table."""
        self._counts.update(map(_length_of, nlris))
        self._descending = None

    def remove(self, nlris: Iterable[Nlri]) -> None:
        """Uncount prefixes that left the table."""
        self._counts.subtract(map(_length_of, nlris))
        self._descending = None

    @property
    def descending(self) -> tuple[int, ...]:
        """The lengths that occur, longest first."""
        if self._descending is None:
            self._counts = +self._counts  # drops what fell to nothing
            self._descending = tuple(sorted(self._counts, reverse=True))
        return self._descending


def longest_match(
    table: Mapping[Nlri, T], address: bytes, lengths: PrefixLengths
) -> tuple[Nlri, T] | None:
    """Return the most specific prefix that contains ``address``, with its value.

    Args:
        table: Of one address family.
        address: 4 or 16 octets.
        lengths: Those of ``table``.
    """
    return next(covering(table, make_nlri(address, len(address) * 8), lengths), None)


def covering(
    table: Mapping[Nlri, T], nlri: Nlri, lengths: PrefixLengths
) -> Iterator[tuple[Nlri, T]]:
    """Yield ``nlri`` itself, if present, and all that contain it, most specific first."""
    own = nlri[0]
    octets = nlri[1:]
    for length_bits in lengths.descending:
        if length_bits <= own:
            key = make_nlri(octets, length_bits)
            value = table.get(key)
            if value is not None:
                yield key, value


def covered(
    table: Mapping[Nlri, T], nlri: Nlri, lengths: PrefixLengths
) -> Iterator[tuple[Nlri, T]]:
    """Yield ``nlri`` itself, if present, and all that lie inside it, in no order.

    Cost: a pass over the table, 0.1 us a prefix, or a look-up for each prefix that could
    exist, whichever is less. The table must not change meanwhile.
    """
    own = nlri[0]
    inside = [length_bits for length_bits in lengths.descending if length_bits >= own]
    possible = sum(1 << (length_bits - own) for length_bits in inside)
    if possible * _SCAN_COST < len(table):
        keys: Iterable[Nlri] = _possible_keys(nlri, inside)
    else:
        keys = _keys_inside(table, nlri)
    for key in keys:
        value = table.get(key)
        if value is not None:
            yield key, value


def _possible_keys(nlri: Nlri, lengths: Iterable[int]) -> Iterator[Nlri]:
    own = nlri[0]
    network = int.from_bytes(nlri[1:], "big") >> (-own % 8)
    for length_bits in lengths:
        octets = (length_bits + 7) >> 3
        pad = -length_bits % 8
        first = network << (length_bits - own)
        head = bytes((length_bits,))
        for number in range(first, first + (1 << (length_bits - own))):
            yield head + (number << pad).to_bytes(octets, "big")


def _keys_inside(table: Mapping[Nlri, T], nlri: Nlri) -> Iterator[Nlri]:
    own = nlri[0]
    whole, rest = divmod(own, 8)
    begin = nlri[1 : 1 + whole]
    if not rest:
        return (k for k in table if k[0] >= own and k.startswith(begin, 1))
    end = 1 + whole
    last = nlri[-1]
    mask = 0xFF00 >> rest & 0xFF
    return (
        key
        for key in table
        if key[0] >= own and key.startswith(begin, 1) and key[end] & mask == last
    )
