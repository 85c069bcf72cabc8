"""Membership in a prefix list, at a cost that does not grow with the list.

Entries of equal length and bounds are one set of network numbers; for each length a route
can have, the sets that admit it are listed. A test is one shift and one set look-up per
such set, however many entries there are.
"""

from collections.abc import Iterable, Sequence

from rib.family import ADDRESS_OCTETS
from rib.nlri import Nlri
from rib.policy.spec import PrefixEntry, PrefixMatch

_Rule = tuple[int, frozenset[int]]  # bits of a route to drop, and the networks left


class PrefixMatcher:
    """A ``PrefixMatch`` prepared for fast tests, for one address family."""

    __slots__ = ("_by_length", "_is_negated")

    def __init__(self, match: PrefixMatch, afi: int) -> None:
        self._is_negated = match.is_negated
        self._by_length = _by_length(
            [entry for entry in match.entries if entry.afi == afi],
            ADDRESS_OCTETS[afi] * 8,
        )

    # hot: per prefix
    def divide(self, nlris: Iterable[Nlri]) -> tuple[Sequence[Nlri], Sequence[Nlri]]:
        """Return the prefixes that match and those that do not, each in order."""
        by_length = self._by_length
        inside: list[Nlri] = []
        outside: list[Nlri] = []
        for nlri in nlris:
            number = int.from_bytes(nlri[1:], "big")
            for shift, networks in by_length[nlri[0]]:
                if number >> shift in networks:
                    inside.append(nlri)
                    break
            else:
                outside.append(nlri)
        return (outside, inside) if self._is_negated else (inside, outside)

    def matches(self, nlri: Nlri) -> bool:
        """Return whether one prefix matches."""
        return bool(self.divide((nlri,))[0])


def _by_length(
    entries: Iterable[PrefixEntry], longest: int
) -> tuple[tuple[_Rule, ...], ...]:
    """Return the rules for each prefix length from 0 to ``longest``."""
    networks: dict[tuple[int, int, int], set[int]] = {}
    for entry in entries:
        own = entry.nlri[0]
        number = int.from_bytes(entry.nlri[1:], "big") >> (-own % 8)
        low = max(own, entry.min_length_bits)
        networks.setdefault((own, low, entry.max_length_bits), set()).add(number)
    frozen = [(bounds, frozenset(numbers)) for bounds, numbers in networks.items()]
    return tuple(
        tuple(
            (length + -length % 8 - own, numbers)
            for (own, low, high), numbers in frozen
            if low <= length <= high
        )
        for length in range(longest + 1)
    )
