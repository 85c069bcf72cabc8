"""All the paths that compete for a prefix, as one interned value.

A prefix with a single usable path needs no set: the table then holds the ``Path`` itself,
so an ``Entry`` is either. ``best_of``, ``paths_of`` and their like read both.

A set knows its best path. The order of the others, and why each lost, is worked out when
needed: that takes four times as long, and most sets of a reflector never need it.
"""

from typing import Final, NamedTuple

from rib.decision import DecisionOptions, HopStates, Ranking, Reason, rank
from rib.path import Path


class DecisionContext(NamedTuple):
    """What a decision depended on besides the paths; shared by many sets.

    Attributes:
        options: The operator's choices.
        hops: What was known of the next hops, parallel to the paths.
        oldest: The best path before; ``None`` where it has no say.
    """

    options: DecisionOptions
    hops: HopStates
    oldest: Path | None = None


class PathSet:
    """The paths of one or more prefixes.

    Args:
        members: The paths.
        best: What the decision process selects of them; ``None``: none is eligible.
        situation: To rank them by, as they were then.

    Attributes:
        best: The selected path, or ``None`` where none is eligible.
        members: Every path, in no particular order.
    """

    __slots__ = ("_ranking", "best", "members")

    def __init__(
        self, members: tuple[Path, ...], best: Path | None, situation: DecisionContext
    ) -> None:
        self.best = best
        self.members = members
        self._ranking: DecisionContext | Ranking = situation

    @property
    def ranking(self) -> Ranking:
        """The whole order; worked out once."""
        known = self._ranking
        if isinstance(known, DecisionContext):
            options, hops, oldest = known
            known = rank(self.members, options, oldest=oldest, hops=hops)
            self._ranking = known
            self.members = known.ordered
        return known

    def __repr__(self) -> str:
        return f"PathSet({self.members!r})"


Entry = Path | PathSet
NO_PATHS: Final[tuple[Path, ...]] = ()


def best_of(entry: Entry | None) -> Path | None:
    """Return the selected path of a table's entry."""
    if entry is None or type(entry) is Path:
        return entry
    return entry.best  # type: ignore[union-attr]  # the only other class there is


def paths_of(entry: Entry | None) -> tuple[Path, ...]:
    """Return every path of an entry, best first."""
    if entry is None:
        return NO_PATHS
    return (entry,) if isinstance(entry, Path) else entry.ranking.ordered


def members_of(entry: Entry | None) -> tuple[Path, ...]:
    """Return every path of an entry in no particular order, which is cheaper."""
    if entry is None:
        return NO_PATHS
    return (entry,) if isinstance(entry, Path) else entry.members


def eligible_of(entry: Entry | None) -> tuple[Path, ...]:
    """Return the paths of an entry that could be advertised when it was made, best first.

    What became of their next hops since is for the entry that takes its place.
    """
    if entry is None:
        return NO_PATHS
    return (entry,) if isinstance(entry, Path) else entry.ranking.eligible


def multipath_of(entry: Entry | None) -> tuple[Path, ...]:
    """Return the paths that forward together, the best one first; empty for none."""
    if entry is None:
        return NO_PATHS
    return (entry,) if isinstance(entry, Path) else entry.ranking.multipath


def reasons_of(entry: Entry) -> tuple[Reason, ...]:
    """Return why each of ``paths_of(entry)`` is not selected."""
    return (Reason.BEST,) if isinstance(entry, Path) else entry.ranking.reasons
