"""The best of a prefix's paths alone, sooner than their whole order.

Everything here returns what ``rib.decision.rank`` would put first, by the same steps, and
looks at no more of them than it must.
"""

from collections.abc import Sequence

from rib.attributes import DecisionFields
from rib.attributes.codes import CLUSTER_LIST
from rib.decision import (
    MED_FIELD,
    NEIGHBOUR_AS_FIELD,
    DecisionOptions,
    rank,
    steps_after_med,
    steps_before_med,
)
from rib.path import Path


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

    Gateways mostly send the same, but for the next hop, and reflectors the same, but for
    CLUSTER_LIST: then nothing else of the attributes decides or needs to be read.
    """
    if options.left_out:
        return rank((a, b), options).ordered[0]
    a_source, b_source = a.source, b.source
    a_attributes, b_attributes = a.attributes, b.attributes
    if (
        a.weight == b.weight
        and a_source.kind is b_source.kind
        and a.next_hop.metric == b.next_hop.metric
    ):
        if a_attributes.is_plain:
            if b_attributes.is_plain and _differ_by_next_hop(
                a_attributes.octets, b_attributes.octets
            ):
                a_id, b_id = a_source.router_id, b_source.router_id
                if a_id < b_id:
                    return a
                if b_id < a_id:
                    return b
        elif a_attributes.is_spliced and b_attributes.is_spliced:
            chosen = _choose_by_clusters(a, b)
            if chosen is not None:
                return chosen
    return _choose_of_two(
        (a, a_attributes.decision_fields()),
        (b, b_attributes.decision_fields()),
        options,
        None,
    )


def _differ_by_next_hop(one: bytes, other: bytes) -> bool:
    """Tell whether plain blocks are equal but for the value of NEXT_HOP.

    All of them have it, behind ORIGIN and AS_PATH.
    """
    at = 10 + one[6]  # where that value begins; one[6] is the length of AS_PATH
    return one[at + 4 :] == other[at + 4 :] and one[:at] == other[:at]


def _choose_by_clusters(a: Path, b: Path) -> Path | None:
    """Choose between one route by two reflectors: RFC 4456 9, then the lower peer address.

    ``None`` unless the blocks are equal up to CLUSTER_LIST, ORIGINATOR_ID included. What may
    follow it in a block of this class decides nothing.
    """
    one, other = a.attributes, b.attributes
    at = one.cluster_at  # type: ignore[attr-defined]  # its flag was asked
    a_octets, b_octets = one.octets, other.octets
    # Two octets of CLUSTER_LIST's header too, and so that both have one.
    head = a_octets[: at + 2]
    if head[-1] != CLUSTER_LIST or b_octets[: at + 2] != head:
        return None
    a_length, b_length = a_octets[at + 2], b_octets[at + 2]
    if a_length != b_length:
        return a if a_length < b_length else b
    a_address, b_address = a.source.address, b.source.address
    if a_address == b_address:
        return None
    return a if a_address < b_address else b


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
