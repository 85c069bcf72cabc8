"""Which of a prefix's paths is best, in which order the others follow, and why.

RFC 4271 9.1.2 in full, with RFC 4456 9 (ORIGINATOR_ID, CLUSTER_LIST), RFC 5004 (keep the
external best path), RFC 7311 4 (AIGP) and RFC 9494 4.3 (stale routes last). Pure: the
result depends on the paths and the options, never on the order of arrival. The one
exception must be asked for (``prefers_incumbent_external``).

A path becomes one tuple of comparable values for the steps before MED and one for the
steps after it, in the order of ``BEFORE_MED`` and ``AFTER_MED``; the lower value wins
every step. MED stands between them because it is no order: it compares only paths of one
neighbour AS, so "A before B before C before A" is possible, and asking in pairs would let
arrival order decide. We eliminate instead, as RFC 4271 9.1.2.2 (c) does: among paths
equal so far, each neighbour AS keeps those of its lowest MED.

The whole order is defined by repetition: the second is what would be best if the first
were gone, and so on. Merging one queue per neighbour AS (lowest MED at its head) gives
the same in n log n, since only heads of queues have survived the elimination.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple

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
    NOT_INCUMBENT = "newer external path"  # RFC 5004 3
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
    Reason.NOT_INCUMBENT,
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
        max_ecmp: Paths used at once; 1 is no ECMP.
        multipath_relax: ECMP members may differ in the content of AS_PATH, not in its
            length; BIRD's way and what RFC 7938 wants. Off demands equal AS_PATHs.
        prefers_incumbent_external: RFC 5004. Off by default: what came first then decides.
    """

    always_compare_med: bool = False
    uses_aigp: bool = False
    default_local_pref: int = DEFAULT_LOCAL_PREF
    max_ecmp: int = MAX_ECMP
    multipath_relax: bool = True
    prefers_incumbent_external: bool = False


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


class _Candidate(NamedTuple):
    """An eligible path with the values its steps compare."""

    before: tuple[int, ...]
    med_group: int  # neighbour AS, or 0 for all with always_compare_med
    med: int
    after: tuple[int | bytes | str, ...]
    path: Path


_by_before = itemgetter(0)
_by_group_med_after = itemgetter(1, 2, 3)
_by_after = itemgetter(3)

_ONLY_BEST: Final = (Reason.BEST,)
_ONLY_UNREACHABLE: Final = (Reason.NEXT_HOP_UNREACHABLE,)


def rank(
    paths: Sequence[Path],
    options: DecisionOptions,
    *,
    incumbent: Path | None = None,
) -> Ranking:
    """Order the paths of one prefix (RFC 4271 9.1.2); n log n.

    Args:
        paths: At most one per source and path identifier, in any order.
        options: The operator's choices.
        incumbent: The best path so far; looked at only with
            ``prefers_incumbent_external``.
    """
    if len(paths) == 1:
        if paths[0].next_hop.is_reachable:
            return Ranking(paths[0], tuple(paths), _ONLY_BEST, tuple(paths))
        return Ranking(None, tuple(paths), _ONLY_UNREACHABLE, ())
    candidates = [
        _candidate(path, options, incumbent)
        for path in paths
        if path.next_hop.is_reachable
    ]
    candidates.sort(key=_by_before)
    ordered: list[_Candidate] = []
    at = 0
    while at < len(candidates):
        end = _end_of_equals(candidates, at)
        ordered += _order_by_med_and_after(candidates[at:end])
        at = end
    unreachable = [path for path in paths if not path.next_hop.is_reachable]
    unreachable.sort(key=_identity)
    everything = tuple(chain((c.path for c in ordered), unreachable))
    reasons = chain(_reasons(ordered), _ONLY_UNREACHABLE * len(unreachable))
    return Ranking(
        ordered[0].path if ordered else None,
        everything,
        tuple(reasons),
        _multipath(ordered, options),
    )


def _candidate(
    path: Path, options: DecisionOptions, incumbent: Path | None
) -> _Candidate:
    source, attributes, next_hop = path.source, path.attributes, path.next_hop
    (
        local_pref,
        as_path_len,
        origin,
        med,
        neighbour_as,
        originator_id,
        cluster_list_len,
    ) = attributes.decision_fields()
    router_id = source.router_id
    octets = attributes.octets
    is_stale = _LLGR_STALE in octets and _LLGR_STALE_VALUE in attributes.communities
    return _Candidate(
        (
            is_stale,
            -path.weight,
            min(source.kind, _EBGP),  # LOCAL before KERNEL before both kinds of BGP
            -(options.default_local_pref if local_pref is None else local_pref),
            _aigp_cost(path) if options.uses_aigp and _AIGP in octets else _NO_AIGP,
            as_path_len,
            origin,
        ),
        0 if options.always_compare_med else neighbour_as,
        med or 0,  # RFC 4271 9.1.2.2 c: missing is the lowest value
        (
            source.kind > _EBGP,
            next_hop.metric,
            _is_newcomer(path, options, incumbent),
            router_id if originator_id is None else originator_id,
            cluster_list_len,
            source.address,
            path.path_id,
            source.name,
        ),
        path,
    )


def _aigp_cost(path: Path) -> int:
    """RFC 7311 4: the accumulated metric and our own way to the next hop."""
    aigp = path.attributes.aigp
    return _NO_AIGP if aigp is None else aigp + path.next_hop.metric


def _is_newcomer(path: Path, options: DecisionOptions, incumbent: Path | None) -> bool:
    """RFC 5004 3: an external best path stays, but not against its own router.

    Paths of parallel sessions with one router share its identifier; between them the
    peer address decides as ever.
    """
    if not options.prefers_incumbent_external or incumbent is None:
        return False
    if incumbent.source.kind is not _EBGP or path.source.kind is not _EBGP:
        return False
    return path.source.router_id != incumbent.source.router_id


def _end_of_equals(candidates: list[_Candidate], at: int) -> int:
    before = candidates[at].before
    end = at + 1
    while end < len(candidates) and candidates[end].before == before:
        end += 1
    return end


def _order_by_med_and_after(equals: list[_Candidate]) -> list[_Candidate]:
    """Order paths that only MED and what follows can tell apart."""
    if len(equals) == 1:
        return equals
    equals.sort(key=_by_group_med_after)
    queues: dict[int, list[_Candidate]] = {}
    for candidate in equals:
        queues.setdefault(candidate.med_group, []).append(candidate)
    if len(queues) == 1:
        return equals
    # merge() compares heads only, so queues that are not ascending in ``after`` give
    # exactly the repeated elimination.
    return list(heapq.merge(*queues.values(), key=_by_after))


def _reasons(ordered: list[_Candidate]) -> list[Reason]:
    """Say for each candidate which step it lost against the first."""
    if not ordered:
        return []
    best = ordered[0]
    lowest = _lowest_med(ordered)
    reasons = [Reason.BEST]
    for candidate in ordered[1:]:
        if candidate.before != best.before:
            step = _first_difference(candidate.before, best.before)
            reasons.append(BEFORE_MED[step])
        elif candidate.med > lowest[candidate.med_group]:
            reasons.append(Reason.MED)
        else:
            step = _first_difference(candidate.after, best.after)
            reasons.append(AFTER_MED[step])
    return reasons


def _lowest_med(ordered: list[_Candidate]) -> dict[int, int]:
    """Return the lowest MED of each neighbour AS among those that reach this step."""
    before = ordered[0].before
    lowest: dict[int, int] = {}
    for candidate in ordered:
        if candidate.before != before:
            break
        known = lowest.get(candidate.med_group, candidate.med)
        lowest[candidate.med_group] = min(known, candidate.med)
    return lowest


def _first_difference(one: Sequence[object], other: Sequence[object]) -> int:
    """Return the first unequal step; the last, should all be equal."""
    unequal = (i for i, value in enumerate(one) if value != other[i])
    return next(unequal, len(one) - 1)


def _multipath(ordered: list[_Candidate], options: DecisionOptions) -> tuple[Path, ...]:
    """Pick the paths as good as the best up to the interior metric (ECMP).

    Each brings another next hop: reflectors often offer one route several times.
    """
    if not ordered:
        return ()
    best = ordered[0]
    cost = best.after[:_EQUAL_COST]
    lowest = _lowest_med(ordered)
    next_hops: set[NextHop] = {best.path.next_hop}
    members = [best.path]
    for candidate in ordered[1:]:
        if len(members) >= options.max_ecmp or candidate.before != best.before:
            break
        if (
            candidate.med == lowest[candidate.med_group]
            and candidate.after[:_EQUAL_COST] == cost
            and candidate.path.next_hop not in next_hops
            and (options.multipath_relax or _has_same_as_path(candidate, best))
        ):
            next_hops.add(candidate.path.next_hop)
            members.append(candidate.path)
    return tuple(members)


def _has_same_as_path(one: _Candidate, other: _Candidate) -> bool:
    return one.path.attributes.get(_AS_PATH) == other.path.attributes.get(_AS_PATH)


def _identity(path: Path) -> tuple[bytes, int, str]:
    """Order paths that do not compete; any order does that never changes."""
    return path.source.address, path.path_id, path.source.name
