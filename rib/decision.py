"""Which of a prefix's paths is best, in which order the others follow, and why.

RFC 4271 9.1.2 in full, with RFC 4456 9 (ORIGINATOR_ID, CLUSTER_LIST), RFC 5004 (keep the
external best path), RFC 7311 4 (AIGP) and RFC 9494 4.3 (stale routes last). Pure: the
result depends on the paths and the options, never on the order of arrival. The one
exception is optional (``prefers_oldest_external``).

A path becomes one tuple of comparable values for the steps before MED and one for the
steps after it, in the order of ``BEFORE_MED`` and ``AFTER_MED``; the lower value wins
every step. MED stands between them because it is not an order: it compares only paths of one
neighbour AS, so "A before B before C before A" is possible, and asking in pairs would let
arrival order decide. We eliminate instead, as RFC 4271 9.1.2.2 (c) does: among paths
equal so far, each neighbour AS keeps those of its lowest MED.

The whole order is defined by repetition: the second is what would be best if the first
were gone, and so on. Merging one queue per neighbour AS (lowest MED at its head) gives
the same in n log n, since only heads of queues have survived the elimination.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

from rib.attributes import DecisionFields
from rib.path import NextHop, Path, SourceKind

DEFAULT_LOCAL_PREF: Final = 100  # what every maker assumes; RFC 4271 leaves it open
MAX_ECMP: Final = 16  # paths, as BIRD's "merge paths"

_AS_PATH: Final = 2  # type codes, RFC 4271 4.3
_AIGP: Final = b"\x1a"
_LLGR_STALE: Final = b"\xff\xff\x00\x06"  # RFC 9494 4.6
_LLGR_STALE_VALUE: Final = 0xFFFF0006
_NO_AIGP: Final = 1 << 66  # above any AIGP value plus any metric
_EBGP: Final = SourceKind.EBGP


class Reason(Enum):
    """The step at which a path lost against the best one, or why it never competed."""

    BEST = "best"
    LLGR_STALE = "long-lived stale"  # RFC 9494 4.3
    WEIGHT = "lower weight"
    LOCAL_ORIGIN = "not originated here"
    LOCAL_PREF = "lower LOCAL_PREF"  # RFC 4271 9.1.1
    AIGP = "higher AIGP metric"  # RFC 7311 4.1
    AS_PATH_LEN = "longer AS_PATH"  # RFC 4271 9.1.2.2 a
    ORIGIN = "higher ORIGIN"  # b
    MED = "higher MED"  # c
    IBGP = "internal against external"  # d
    INTERIOR_METRIC = "farther next hop"  # e
    NOT_OLDEST_EXTERNAL = "not the oldest external path"  # RFC 5004 3
    ROUTER_ID = "higher BGP identifier"  # f, RFC 4456 9
    CLUSTER_LIST_LEN = "longer CLUSTER_LIST"  # RFC 4456 9
    PEER_ADDRESS = "higher peer address"  # g
    PATH_ID = "higher path identifier"  # RFC 7911: several paths of one peer
    SOURCE_NAME = "later source name"  # local sources have no address to compare
    NEXT_HOP_UNREACHABLE = "next hop unreachable"  # RFC 4271 9.1.2.1


BEFORE_MED: Final = (
    Reason.LLGR_STALE,
    Reason.WEIGHT,
    Reason.LOCAL_ORIGIN,
    Reason.LOCAL_PREF,
    Reason.AIGP,
    Reason.AS_PATH_LEN,
    Reason.ORIGIN,
)
AFTER_MED: Final = (
    Reason.IBGP,
    Reason.INTERIOR_METRIC,
    Reason.NOT_OLDEST_EXTERNAL,
    Reason.ROUTER_ID,
    Reason.CLUSTER_LIST_LEN,
    Reason.PEER_ADDRESS,
    Reason.PATH_ID,
    Reason.SOURCE_NAME,
)
_EQUAL_COST: Final = 2  # the steps of AFTER_MED that ECMP members share


@dataclass(frozen=True, slots=True)
class DecisionOptions:
    """What an operator may choose about the decision.

    Attributes:
        always_compare_med: Compare MED across neighbour ASes too.
        uses_aigp: Honour AIGP (RFC 7311).
        default_local_pref: For paths without LOCAL_PREF.
        max_ecmp: Paths used at once; 1 means no ECMP.
        multipath_relax: ECMP members may differ in the content of AS_PATH, not in its
            length; BIRD's way and what RFC 7938 wants. Off demands equal AS_PATHs.
        prefers_oldest_external: RFC 5004. Off by default: what came first then decides.
        left_out: Steps that decide nothing, nor what ECMP members share.
    """

    always_compare_med: bool = False
    uses_aigp: bool = False
    default_local_pref: int = DEFAULT_LOCAL_PREF
    max_ecmp: int = MAX_ECMP
    multipath_relax: bool = True
    prefers_oldest_external: bool = False
    left_out: frozenset[Reason] = frozenset()

    def __reduce__(self) -> tuple[type["DecisionOptions"], tuple[object, ...]]:
        """Return what makes an equal one, for pickle.

        The options come from the process that reads the configuration. Without this, those
        of the compiled build cannot: a frozen dataclass that mypyc compiled has its state
        set by assignment.
        """
        values = tuple(getattr(self, field.name) for field in fields(self))
        return DecisionOptions, values


class Ranking(NamedTuple):
    """The outcome of one decision.

    Attributes:
        best: ``None`` when no path is eligible.
        ordered: All paths, best first, those that are not eligible last.
        reasons: Parallel to ``ordered``: why each lost against the best.
        multipath: ECMP members, best first, each through another next hop; at most
            ``max_ecmp``; empty without a best path.
    """

    best: Path | None
    ordered: tuple[Path, ...]
    reasons: tuple[Reason, ...]
    multipath: tuple[Path, ...]

    @property
    def eligible(self) -> tuple[Path, ...]:
        """The paths that may be used or announced, best first (as RFC 7911 needs)."""
        reasons = self.reasons
        count = len(reasons)
        while count and reasons[count - 1] is Reason.NEXT_HOP_UNREACHABLE:
            count -= 1
        return self.ordered[:count]


# An eligible path with the values its steps compare: (before, neighbour AS, MED, after,
# ordinal, path). A plain tuple, made so that sorting needs no key function; the ordinal
# keeps sort() from ever comparing two paths.
_Candidate = tuple[tuple[int, ...], int, int, tuple[int | bytes | str, ...], int, Path]
_Value = TypeVar("_Value", int, int | bytes | str)
_BEFORE: Final = 0
_GROUP: Final = 1
_AFTER: Final = 3
_PATH: Final = 5
_by_after = itemgetter(_AFTER)
_path_of = itemgetter(_PATH)
MED_FIELD: Final = 3  # of the decision fields of attributes
NEIGHBOUR_AS_FIELD: Final = 4

HopStates = tuple[tuple[bool, int], ...]
"""Whether each path's next hop is reachable, and at which metric."""

_REASON_MED: Final = Reason.MED
_ONLY_BEST: Final = (Reason.BEST,)
_ONLY_UNREACHABLE: Final = (Reason.NEXT_HOP_UNREACHABLE,)


def hops_of(paths: Iterable[Path]) -> HopStates:
    """Return the present state of each path's next hop."""
    return tuple(
        [(hop.is_reachable, hop.metric) for hop in [path.next_hop for path in paths]]
    )


def rank(
    paths: Sequence[Path],
    options: DecisionOptions,
    *,
    oldest: Path | None = None,
    hops: HopStates | None = None,
) -> Ranking:
    """Order the paths of one prefix (RFC 4271 9.1.2); n log n.

    Args:
        paths: At most one per source and path identifier, in any order.
        options: The operator's choices.
        oldest: The best path so far; looked at only with
            ``prefers_oldest_external``.
        hops: What ``hops_of`` said when it was decided; ``None`` for now.
    """
    if hops is None:
        hops = hops_of(paths)
    if len(paths) == 1:
        only = tuple(paths)
        if hops[0][0]:
            return Ranking(only[0], only, _ONLY_BEST, only)
        return Ranking(None, only, _ONLY_UNREACHABLE, ())
    if not options.prefers_oldest_external:
        oldest = None
    candidates = _candidates(paths, hops, options, oldest)
    candidates.sort()
    ordered = _interleave(candidates)
    everything = tuple(map(_path_of, ordered))
    lowest = _lowest_med(ordered)
    reasons = _reasons(ordered, lowest)
    if len(ordered) != len(paths):
        eligible = set(everything)
        unreachable = [path for path in paths if path not in eligible]
        unreachable.sort(key=_identity)
        everything += tuple(unreachable)
        reasons += _ONLY_UNREACHABLE * len(unreachable)
    return Ranking(
        everything[0] if ordered else None,
        everything,
        tuple(reasons),
        _multipath(ordered, lowest, options),
    )


def _candidates(
    paths: Sequence[Path],
    hops: HopStates,
    options: DecisionOptions,
    oldest: Path | None,
) -> list[_Candidate]:
    candidates: list[_Candidate] = []
    for path, (is_reachable, metric) in zip(paths, hops, strict=True):
        if not is_reachable:
            continue
        fields = path.attributes.decision_fields()
        before = steps_before_med(path, fields, options, metric)
        after = steps_after_med(path, fields, metric, oldest)
        if options.left_out:
            before = _without(options.left_out, BEFORE_MED, before)
            after = _without(options.left_out, AFTER_MED, after)
        candidates.append(
            (
                before,
                0 if options.always_compare_med else fields[NEIGHBOUR_AS_FIELD],
                # RFC 4271 9.1.2.2 c: a missing MED is the lowest possible value
                fields[MED_FIELD] or 0,
                after,
                len(candidates),
                path,
            )
        )
    return candidates


def _without(
    left_out: frozenset[Reason], steps: Sequence[Reason], values: tuple[_Value, ...]
) -> tuple[_Value | int, ...]:
    """Return the values of some steps, all equal where a step decides nothing."""
    return tuple(
        0 if step in left_out else value
        for step, value in zip(steps, values, strict=True)
    )


# hot: per path of each distinct set
def steps_before_med(
    path: Path, fields: DecisionFields, options: DecisionOptions, metric: int
) -> tuple[int, ...]:
    """Return the values of ``BEFORE_MED``."""
    local_pref, as_path_len, origin, _, _, _, _ = fields
    attributes, kind = path.attributes, path.source.kind
    octets = attributes.octets
    return (
        octets.find(_LLGR_STALE) >= 0 and _LLGR_STALE_VALUE in attributes.communities,
        -path.weight,
        min(_EBGP, kind),  # both kinds of BGP are equal here
        -options.default_local_pref if local_pref is None else -local_pref,
        (
            _aigp_cost(path, metric)
            if options.uses_aigp and octets.find(_AIGP) >= 0
            else _NO_AIGP
        ),
        as_path_len,
        origin,
    )


def steps_after_med(
    path: Path, fields: DecisionFields, metric: int, oldest: Path | None
) -> tuple[int | bytes | str, ...]:
    """Return the values of ``AFTER_MED``."""
    _, _, _, _, _, originator_id, cluster_list_len = fields
    source = path.source
    return (
        source.kind > _EBGP,
        metric,
        oldest is not None and _is_newer(path, oldest),
        source.router_id if originator_id is None else originator_id,
        cluster_list_len,
        source.address,
        path.path_id,
        source.name,
    )


def _aigp_cost(path: Path, metric: int) -> int:
    """RFC 7311 4: the accumulated metric and our own way to the next hop."""
    aigp = path.attributes.aigp
    return _NO_AIGP if aigp is None else aigp + metric


def _is_newer(path: Path, oldest: Path) -> bool:
    """RFC 5004 3: an external best path stays, but not against its own router.

    Paths of parallel sessions with one router share its identifier; between them the
    peer address decides as ever.
    """
    source, old = path.source, oldest.source
    is_external = source.kind is _EBGP and old.kind is _EBGP
    return is_external and source.router_id != old.router_id


def _interleave(candidates: list[_Candidate]) -> list[_Candidate]:
    """Turn sorted candidates into the order of repeated elimination by MED."""
    ordered: list[_Candidate] = []
    at, end = 0, len(candidates)
    while at < end:
        before = candidates[at][_BEFORE]
        stop = at + 1
        while stop < end and candidates[stop][_BEFORE] == before:
            stop += 1
        ordered += _interleave_equals(candidates[at:stop])
        at = stop
    return ordered


def _interleave_equals(equals: list[_Candidate]) -> Iterable[_Candidate]:
    """Order paths that differ only in MED and later steps."""
    queues: dict[int, list[_Candidate]] = {}
    for candidate in equals:
        queues.setdefault(candidate[_GROUP], []).append(candidate)
    if len(queues) == 1:
        return equals
    if len(queues) == len(equals):  # no two of one neighbour AS: MED decides nothing
        return sorted(equals, key=_by_after)
    # merge() compares heads only: a queue need not ascend in ``after``, as it does not
    # where MED put a path behind one that is worse in what follows.
    return heapq.merge(*queues.values(), key=_by_after)


def _lowest_med(ordered: list[_Candidate]) -> dict[int, int]:
    """Return the lowest MED of each neighbour AS among those that reach this step."""
    lowest: dict[int, int] = {}
    for before, group, med, _, _, _ in ordered:
        if before != ordered[0][_BEFORE]:
            break
        if med <= lowest.get(group, med):
            lowest[group] = med
    return lowest


def _reasons(ordered: list[_Candidate], lowest: dict[int, int]) -> list[Reason]:
    """Say for each candidate which step it lost at, against the first."""
    reasons: list[Reason] = []
    for candidate in ordered:
        best_before, _, _, best_after, _, _ = ordered[0]
        before, group, med, after, _, _ = candidate
        if not reasons:
            reasons += _ONLY_BEST
        elif before != best_before:
            reasons.append(BEFORE_MED[_first_difference(before, best_before)])
        elif med > lowest[group]:
            reasons.append(_REASON_MED)
        else:
            reasons.append(AFTER_MED[_first_difference(after, best_after)])
    return reasons


def _first_difference(one: Sequence[object], other: Sequence[object]) -> int:
    """Return the first unequal step; the last, should all be equal."""
    for step, value in enumerate(one):
        if value != other[step]:
            return step
    return len(one) - 1


def _multipath(
    ordered: list[_Candidate], lowest: dict[int, int], options: DecisionOptions
) -> tuple[Path, ...]:
    """Pick the paths as good as the best up to the interior metric (ECMP).

    Each brings another next hop: reflectors often offer one route several times.
    """
    if not ordered:
        return ()
    best_before, _, _, best_after, _, best = ordered[0]
    cost = best_after[:_EQUAL_COST]
    next_hops: set[NextHop] = set()
    members: list[Path] = []
    for before, group, med, after, _, path in ordered:
        if before != best_before or len(members) >= options.max_ecmp:
            break
        if (
            med == lowest[group]
            and after[:_EQUAL_COST] == cost
            and path.next_hop not in next_hops
            and (options.multipath_relax or _has_same_as_path(path, best))
        ):
            next_hops.add(path.next_hop)
            members.append(path)
    return tuple(members)


def _has_same_as_path(one: Path, other: Path) -> bool:
    return one.attributes.get(_AS_PATH) == other.attributes.get(_AS_PATH)


def _identity(path: Path) -> tuple[bytes, int, str]:
    """Order paths that do not compete; any order does that never changes."""
    return path.source.address, path.path_id, path.source.name
