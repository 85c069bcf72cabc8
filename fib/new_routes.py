"""Many routes that are new to the kernel: by target, in the order in which they are written. Pure.

The kernel keeps IPv4 routes in a trie whose nodes hold 2^n children, and doubles a node
when half of its children would be in use. Prefixes that come in order fill one corner after the
other, and the nodes above are built again with each doubling: 100,000 neighbours take it half as long
again as the same ones spread evenly, where the upper nodes soon have their final size. No sorting
is needed for that: routes come in runs of neighbours, which are spread by taking every 64th of them,
or in no order, which stays so.

IPv6 routes are kept in a tree that is never built again, where neighbours are found in the caches: spread, they take
half as long again. So they stay as they come.

Those that lead to one target are written together, since their messages differ in the prefix alone.

Sources: Linux net/ipv4/fib_trie.c, ``resize`` and ``inflate``; net/ipv6/ip6_fib.c, ``fib6_add_1``.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_STEP_BITS: Final = 6
_STEP: Final = 1 << _STEP_BITS
# Each start halves a gap that those before it left: 0, 32, 16, 48, 8 ...
_STARTS: Final = tuple(
    int(f"{number:0{_STEP_BITS}b}"[::-1], 2) for number in range(_STEP)
)


# hot: per prefix
def spread(items: Sequence[T]) -> list[T]:
    """Return ``items`` so that neighbours are far apart; some 10 ns each."""
    return list(chain.from_iterable(items[start::_STEP] for start in _STARTS))


class NewRoutes(Generic[T]):
    """The prefixes of a batch, some milliseconds for 100,000.

    Args:
        wishes: Prefix -> where it leads. What leads nowhere is left out.
        spreads: The prefixes are IPv4's.

    Attributes:
        may_grow: More may be added to the batch; for whom it is.
    """

    def __init__(self, wishes: Mapping[bytes, T | None], *, spreads: bool) -> None:
        self.may_grow = True
        entries = list(wishes.values())
        by_entry: Mapping[T | None, list[bytes]]
        if entries and entries.count(entries[0]) == len(entries):
            by_entry = {entries[0]: [*wishes]}
        else:
            by_entry = defaultdict(list)
            for nlri, entry in wishes.items():
                by_entry[entry].append(nlri)
        self._groups = [
            (entry, spread(nlris) if spreads else nlris)
            for entry, nlris in by_entry.items()
            if entry is not None
        ]

    @property
    def next_entry(self) -> T | None:
        """Where those lead that ``take`` returns next; ``None`` if it returns none."""
        return self._groups[-1][0] if self._groups else None

    def take(self, max_count: int) -> list[bytes]:
        """Return up to so many prefixes, all of ``next_entry``."""
        _, nlris = self._groups[-1]
        taken = nlris[-max_count:]
        del nlris[-max_count:]
        if not nlris:
            self._groups.pop()
        return taken
