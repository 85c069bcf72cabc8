"""All the paths that compete for a prefix, as one interned, ranked value.

A prefix with a single usable path needs no set: the table then holds the ``Path`` itself,
so an ``Entry`` is either. ``best_of``, ``paths_of`` and their like read both.
"""

from typing import Final

from rib.decision import Ranking, Reason
from rib.path import Path


class PathSet:
    """The paths of one or more prefixes, ranked by the whole decision process.

    Attributes:
        best: The selected path, or ``None`` where none is eligible.
        ordered: Every path, best first.
        reasons: For each of ``ordered``, why it lost; ``Reason.BEST`` for the first.
        eligible: Those that may be used or announced, best first.
        multipath: Paths used together for forwarding, ``best`` included.
    """

    __slots__ = ("best", "eligible", "multipath", "ordered", "reasons")

    def __init__(self, ranking: Ranking) -> None:
        self.best = ranking.best
        self.ordered = ranking.ordered
        self.reasons = ranking.reasons
        self.eligible = ranking.eligible
        self.multipath = ranking.multipath

    def __repr__(self) -> str:
        return f"PathSet({self.ordered!r})"


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
    return (entry,) if isinstance(entry, Path) else entry.ordered


def eligible_of(entry: Entry | None) -> tuple[Path, ...]:
    """Return the paths of an entry that could be told when it was made, best first.

    What became of their next hops since is for the entry that takes its place.
    """
    if entry is None:
        return NO_PATHS
    return (entry,) if isinstance(entry, Path) else entry.eligible


def multipath_of(entry: Entry | None) -> tuple[Path, ...]:
    """Return the paths that forward together, the best one first; empty for none."""
    if entry is None:
        return NO_PATHS
    return (entry,) if isinstance(entry, Path) else entry.multipath


def reasons_of(entry: Entry) -> tuple[Reason, ...]:
    """Return why each of ``paths_of(entry)`` is not selected."""
    return (Reason.BEST,) if isinstance(entry, Path) else entry.reasons
