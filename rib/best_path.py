"""The best of a prefix's paths alone, sooner than their whole order.

Everything here returns what ``rib.decision.rank`` would put first, by the same steps, and
looks at no more of them than it must.
"""

from collections.abc import Sequence
from typing import Final

from rib.attributes import DecisionFields
from rib.attributes.codes import CLUSTER_LIST, LOCAL_PREF, MULTI_EXIT_DISC
from rib.decision import (
    MED_FIELD,
    NEIGHBOUR_AS_FIELD,
    DecisionOptions,
    rank,
    steps_after_med,
    steps_before_med,
)
from rib.path import Path

_NO_MED: Final = bytes(4)  # RFC 4271 9.1.2.2 c: a missing one is the lowest


# hot: per distinct set
def choose(
    paths: Sequence[Path],
    options: DecisionOptions,
    *,
    oldest: Path | None = None,
) -> Path | None:
    """Return what ``rank`` would put first, at a quarter of its cost.

    Most decisions fall before MED; what comes after is not looked at then.
    """
    if options.left_out:
        return rank(paths, options, oldest=oldest).best
    if not options.prefers_oldest_external:
        oldest = None
    fields = [
        (path, path.attributes.decision_fields())
        for path in paths
        if path.next_hop.is_reachable
    ]
    if len(fields) < 2:
        return fields[0][0] if fields else None
    if len(fields) == 2:
        return _choose_of_two(fields[0], fields[1], options, oldest)
    before = [
        steps_before_med(path, values, options, path.next_hop.metric)
        for path, values in fields
    ]
    lowest = min(before)
    equals = [fields[number] for number, key in enumerate(before) if key == lowest]
    if len(equals) == 1:
        return equals[0][0]
    return _choose_equal(equals, options, oldest)


# hot: per distinct set of two
def choose_of_two(a: Path, b: Path, options: DecisionOptions) -> Path:
    """Return what ``choose`` would for two reachable paths, neither preferred as the oldest.

    Of blocks that are usual the few octets that decide are compared where they stand.
    """
    if options.left_out:
        return rank((a, b), options).ordered[0]
    a_attributes, b_attributes = a.attributes, b.attributes
    if (
        a.weight == b.weight
        and a.source.kind is b.source.kind
        and a.next_hop.metric == b.next_hop.metric
        and (a_attributes.is_plain or a_attributes.is_spliced)
        and (b_attributes.is_plain or b_attributes.is_spliced)
    ):
        return _choose_usual(a, b, options)
    return _choose_of_two(
        (a, a_attributes.decision_fields()),
        (b, b_attributes.decision_fields()),
        options,
        None,
    )


# hot: per distinct set of two
def _choose_usual(a: Path, b: Path, options: DecisionOptions) -> Path:
    """Choose between plain or spliced blocks, equal in weight, kind and interior metric.

    Such blocks have no AIGP, are not long-lived stale, and have their first attributes where
    lengths say: ORIGIN's value at 3, the length of AS_PATH at 6, its only segment behind
    that, then NEXT_HOP. Values are compared as octets: in network order, equal lengths
    compare as numbers do.
    """
    one, other = a.attributes.octets, b.attributes.octets
    one_at, other_at = 14 + one[6], 14 + other[6]  # behind NEXT_HOP
    if one[one_at:] != other[other_at:]:
        one_med, one_pref = _med_and_local_pref(one, one_at, options)
        other_med, other_pref = _med_and_local_pref(other, other_at, options)
        if one_pref != other_pref:
            return a if one_pref > other_pref else b
    else:
        one_med = other_med = _NO_MED
    # The number of AS numbers is an octet of AS_PATH, if that is not empty; an empty one is
    # of length 0 itself.
    one_length = one[6] and one[8]
    other_length = other[6] and other[8]
    if one_length != other_length:
        return a if one_length < other_length else b
    if one[3] != other[3]:
        return a if one[3] < other[3] else b
    if one_med != other_med and (
        options.always_compare_med or not one_length or one[9:13] == other[9:13]
    ):
        return a if one_med < other_med else b
    a_id, a_clusters = _identifier_and_cluster_list_len(a)
    b_id, b_clusters = _identifier_and_cluster_list_len(b)
    if a_id != b_id:
        return a if a_id < b_id else b
    if a_clusters != b_clusters:
        return a if a_clusters < b_clusters else b
    a_source, b_source = a.source, b.source
    a_last = (a_source.address, a.path_id, a_source.name)
    return a if a_last <= (b_source.address, b.path_id, b_source.name) else b


def _identifier_and_cluster_list_len(path: Path) -> tuple[int, int]:
    """Return what RFC 4456 9 compares of a path whose block is plain or spliced.

    A spliced block has both attributes, or neither.
    """
    attributes = path.attributes
    if attributes.is_spliced:
        octets, at = attributes.octets, attributes.cluster_at  # type: ignore[attr-defined]  # its flag was asked
        if octets[at + 1] == CLUSTER_LIST:
            return int.from_bytes(octets[at - 4 : at], "big"), octets[at + 2]
    return path.source.router_id, 0


def _med_and_local_pref(
    octets: bytes, at: int, options: DecisionOptions
) -> tuple[bytes, bytes]:
    """Return both values of such a block, as what they mean where they are missing.

    Args:
        octets: The block.
        at: Where NEXT_HOP ends.
        options: Its default LOCAL_PREF.
    """
    med = _NO_MED
    end = len(octets)
    if at < end and octets[at + 1] == MULTI_EXIT_DISC:
        med = octets[at + 3 : at + 7]
        at += 7
    if at < end and octets[at + 1] == LOCAL_PREF:
        return med, octets[at + 3 : at + 7]
    return med, options.default_local_pref.to_bytes(4, "big")


def choose_beside(best: Path, added: Path, options: DecisionOptions) -> Path | None:
    """Return what ``choose`` would, once a path is added to those that ``best`` is of.

    ``None`` where all must be compared: since MED is not an order, a path may win by putting
    out another. It costs the same however many there are.
    """
    if options.prefers_oldest_external or options.left_out:
        return None
    if not best.next_hop.is_reachable:
        return None
    if not added.next_hop.is_reachable:
        return best
    old, new = best.attributes.decision_fields(), added.attributes.decision_fields()
    old_metric, new_metric = best.next_hop.metric, added.next_hop.metric
    before = steps_before_med(best, old, options, old_metric)
    added_before = steps_before_med(added, new, options, new_metric)
    if before < added_before:
        return best
    if added_before < before:
        return added
    is_group = (
        options.always_compare_med or old[NEIGHBOUR_AS_FIELD] == new[NEIGHBOUR_AS_FIELD]
    )
    if is_group:
        old_med, new_med = old[MED_FIELD] or 0, new[MED_FIELD] or 0
        if old_med < new_med:
            return best  # those that a higher MED puts out are out already
        if new_med < old_med:
            return None
    if steps_after_med(best, old, old_metric, None) <= steps_after_med(
        added, new, new_metric, None
    ):
        return best
    return added if is_group else None  # its own group may have put it out


def _choose_of_two(
    one: tuple[Path, DecisionFields],
    other: tuple[Path, DecisionFields],
    options: DecisionOptions,
    oldest: Path | None,
) -> Path:
    """Choose where MED is an order: two make no cycle."""
    (a, a_fields), (b, b_fields) = one, other
    a_hop, b_hop = a.next_hop, b.next_hop
    a_before = steps_before_med(a, a_fields, options, a_hop.metric)
    b_before = steps_before_med(b, b_fields, options, b_hop.metric)
    if a_before < b_before:
        return a
    if b_before < a_before:
        return b
    if (
        options.always_compare_med
        or a_fields[NEIGHBOUR_AS_FIELD] == b_fields[NEIGHBOUR_AS_FIELD]
    ):
        a_med, b_med = a_fields[MED_FIELD] or 0, b_fields[MED_FIELD] or 0
        if a_med < b_med:
            return a
        if b_med < a_med:
            return b
    a_after = steps_after_med(a, a_fields, a_hop.metric, oldest)
    return a if a_after <= steps_after_med(b, b_fields, b_hop.metric, oldest) else b


def _choose_equal(
    equals: list[tuple[Path, DecisionFields]],
    options: DecisionOptions,
    oldest: Path | None,
) -> Path:
    """Choose among paths that differ only in MED and later steps."""
    meds: dict[int, int] = {}
    for _, (_, _, _, med, neighbour_as, _, _) in equals:
        group = 0 if options.always_compare_med else neighbour_as
        lowest = med or 0
        if lowest < meds.get(group, lowest + 1):
            meds[group] = lowest
    left = [
        (steps_after_med(path, values, path.next_hop.metric, oldest), number, path)
        for number, (path, values) in enumerate(equals)
        if (values[MED_FIELD] or 0)
        == meds[0 if options.always_compare_med else values[NEIGHBOUR_AS_FIELD]]
    ]
    return min(left)[-1]
