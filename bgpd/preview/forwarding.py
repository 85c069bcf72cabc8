"""Kernel routes and best paths as they would be."""

from collections.abc import Sequence
from typing import NamedTuple

from bgpd.kernel.route_programmer import RouteProgrammer
from bgpd.preview.advertised import Pairs, RouteChange, RouteCounts
from bgpd.preview.shadow import SLICE, Steps, pieces
from fib.routes import Target
from rib.nlri import Nlri
from rib.path import Path
from rib.path_set import best_of


class Move(NamedTuple):
    """A prefix whose best path, or way in the kernel, would be another one.

    Attributes:
        nlri: The prefix.
        old: What holds now; ``None`` for nothing.
        new: What would hold; likewise.
    """

    nlri: Nlri
    old: Path | Target | None
    new: Path | Target | None


class Moves:
    """How many prefixes move, and the first of them.

    Args:
        most: So many are named.

    Attributes:
        counts: By kind of change.
        first: Those that are named, in no order.
    """

    def __init__(self, most: int) -> None:
        self.counts = RouteCounts(0)
        self.first: list[Move] = []
        self._most = most

    def add(
        self,
        nlris: Sequence[Nlri],
        old: Path | Target | None,
        new: Path | Target | None,
    ) -> None:
        """Count prefixes that go from one to the other."""
        kind = RouteChange.CHANGED
        if old is None or new is None:
            kind = RouteChange.GAINED if old is None else RouteChange.LOST
        self.counts.add(kind, nlris)
        room = max(0, self._most - len(self.first))
        self.first += [Move(nlri, old, new) for nlri in nlris[:room]]


def best_moves(pairs: Pairs, moves: Moves) -> Steps:
    """Find the prefixes whose best path would be another one."""
    for (before, after), nlris in pairs.items():
        old, new = best_of(before), best_of(after)
        if old is not new and _facts(old) != _facts(new):
            moves.add(nlris, old, new)
        yield


def _facts(path: Path | None) -> object:
    """Return what makes a best path another one for people."""
    if path is None:
        return None
    source = path.source.name, path.source.kind, path.source.address
    attributes = path.attributes
    return *source, path.path_id, attributes.octets, attributes.next_hop, path.weight


def kernel_moves(
    pairs: Pairs, now: RouteProgrammer, then: RouteProgrammer, moves: Moves
) -> Steps:
    """Find the prefixes whose kernel route would be another one."""
    for (before, after), nlris in pairs.items():
        for piece in pieces(nlris, SLICE):
            for old, some in now.divide(before, piece):
                for new, part in then.divide(after, some):
                    if old != new:
                        moves.add(part, old, new)
            yield
