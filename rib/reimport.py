"""Re-evaluates routes of a peer when import policy or loop checks change.

Nothing is asked of the peer: accepted paths hold their attributes as received, and filtered
routes are kept. The work is a generator of slices. Between two of them the peer's own UPDATEs
are processed, so each slice checks that a route is still the one that it set out to judge.
"""

from collections.abc import Iterator

from rib.adj_rib_in import SWEEP_SLICE, AdjRibIn
from rib.attributes import PathAttributes
from rib.change import Change
from rib.import_checks import FilteredRoute, ImportChecks
from rib.long_lived import mark_long_lived
from rib.nlri import Nlri
from rib.outcome import Outcome, is_marked
from rib.path_set import members_of

_REIMPORT_COST = 32  # prefixes that one attribute set counts for

_Received = tuple[tuple[PathAttributes, int, int], list[Nlri]]


def reimport(rib: AdjRibIn, rules: ImportChecks) -> Iterator[list[Change]]:
    """Re-evaluate every route of a peer's table by other rules, from what was received.

    What is stale stays stale, and marked where it lives long. Call it to begin; each step
    of what it returns is a slice.
    """
    rib.ignored.follow(rib.rules, rules)
    rib.rules = rules
    rib.forget_outcomes()
    return _imported_again(rib, _received(rib))


def _imported_again(rib: AdjRibIn, work: list[_Received]) -> Iterator[list[Change]]:
    changes: list[Change] = []
    count = 0
    for (attributes, path_id, epoch), nlris in work:
        outcome = rib.outcomes.importer.evaluate(attributes, path_id)
        if not isinstance(outcome, FilteredRoute):
            outcome.epoch = epoch
        for start in range(0, len(nlris), SWEEP_SLICE):
            piece = nlris[start : start + SWEEP_SLICE]
            # Slices give way to the peer's own UPDATEs, which may have come between.
            left = [
                nlri
                for nlri in piece
                if _is_as_was(rib, nlri, attributes, path_id, epoch)
            ]
            left = rib.ignored.checked(left)
            changes += _evaluated(rib, outcome, left, path_id, epoch)
            count += _REIMPORT_COST + len(piece)
            if count >= SWEEP_SLICE:
                yield changes
                changes, count = [], 0
    if changes:
        yield changes
    yield from rib.let_in_all_blocked()


def _evaluated(
    rib: AdjRibIn, outcome: Outcome, nlris: list[Nlri], path_id: int, epoch: int
) -> list[Change]:
    """Apply the new outcome of prefixes that were advertised in an epoch."""
    if epoch == rib.source.epoch:
        return rib.announce(outcome, nlris, path_id)
    # What is stale stays unchanged or goes for good: no peer advertises it again.
    long_lived = [n for n in nlris if any(map(is_marked, rib.own(n, path_id)))]
    changes = rib.announce(outcome, nlris, path_id, is_counted=False)
    rib.no_longer_filtered(nlris, path_id)
    return changes + mark_long_lived(rib, long_lived, epoch + 1, {})


def _is_as_was(
    rib: AdjRibIn, nlri: Nlri, attributes: PathAttributes, path_id: int, epoch: int
) -> bool:
    """Return whether a route is still the one that was received then."""
    filtered = rib.filtered.get((nlri, path_id))
    if filtered is not None:
        return filtered.attributes is attributes
    return any(
        path.received is attributes and path.epoch == epoch
        for path in rib.own(nlri, path_id)
    )


def _received(rib: AdjRibIn) -> list[_Received]:
    """Return all routes, grouped by attributes as received, identifier and epoch."""
    work: dict[tuple[PathAttributes, int, int], list[Nlri]] = {}
    for nlri in rib.own_nlris():
        for path in members_of(rib.loc_rib.table.get(nlri)):
            if path.source is rib.source:
                key = (path.received, path.path_id, path.epoch)
                work.setdefault(key, []).append(nlri)
    for (nlri, path_id), why in rib.filtered.items():
        key = (why.attributes, path_id, rib.source.epoch)
        work.setdefault(key, []).append(nlri)
    return list(work.items())
