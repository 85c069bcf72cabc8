"""Long-lived stale routes of a peer, marked as such (RFC 9494 4.2)."""

from collections.abc import Iterable, Iterator

from rib.adj_rib_in import SWEEP_SLICE, AdjRibIn
from rib.change import Change
from rib.nlri import Nlri
from rib.outcome import long_lived_path
from rib.path import Path
from rib.path_set import members_of

Marked = dict[Path, Path | None]
"""What each path has become; ``None`` for one that went."""


def make_long_lived(rib: AdjRibIn) -> Iterator[list[Change]]:
    """Mark stale routes with LLGR_STALE; with NO_LLGR they go. In slices."""
    marked: Marked = {}
    nlris, epoch = rib.own_nlris(), rib.source.epoch
    for start in range(0, len(nlris), SWEEP_SLICE):
        yield mark_long_lived(rib, nlris[start : start + SWEEP_SLICE], epoch, marked)


def mark_long_lived(
    rib: AdjRibIn, nlris: Iterable[Nlri], epoch: int, marked: Marked
) -> list[Change]:
    """Mark the peer's paths that are older than an epoch.

    Args:
        rib: The peer's table.
        nlris: Where to look.
        epoch: Paths that were announced before it.
        marked: What is known already; more is added.
    """
    batches: dict[Path, list[Nlri]] = {}
    for nlri in nlris:
        for path in members_of(rib.loc_rib.table.get(nlri)):
            if path.source is rib.source and path.epoch < epoch:
                batches.setdefault(path, []).append(nlri)
    changes: list[Change] = []
    for path, members in batches.items():
        if path not in marked:
            marked[path] = long_lived_path(path)
        after = marked[path]
        if after is None:
            changes += rib.withdraw(members, path.path_id)
        else:  # as many are stale as before
            changes += rib.loc_rib.announce(members, after)
    return changes
