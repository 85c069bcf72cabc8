"""A block that several nodes claim is one's, and every node says whose."""

import json
from itertools import permutations
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.calico import Changes, ClusterState, Snapshot
from bgpd.calico.blocks import BlockTable, parse_block
from bgpd.calico.keys import affinity_key, assignment_key, split_assignment_key

NODES: Final = ("n1", "n2", "n3")
CIDRS: Final = ("10.0.0.0/26", "fd00::/122")
CONFIRMED, IMPLICIT, PENDING, LEAVING, DELETED = (
    b'{"state":"confirmed"}',
    b"",
    b'{"state":"pending","deleted":false}',
    b'{"state":"pendingDeletion"}',
    b'{"state":"confirmed","deleted":true}',
)


def a_block(affinity: str | None, **more: object) -> bytes:
    return json.dumps({"affinity": affinity, "allocations": [None], **more}).encode()


def owners(table: BlockTable, cidr: str) -> list[str]:
    return [node for node in NODES if parse_block(cidr) in table.of(node)]


@pytest.mark.parametrize("cidr", CIDRS)
@pytest.mark.parametrize(
    ("claims", "block", "owner"),
    [
        # one alone
        ({"n1": CONFIRMED}, None, "n1"),
        ({"n1": LEAVING}, None, "n1"),
        ({"n1": PENDING}, None, ""),
        ({"n1": DELETED}, None, ""),
        ({"n1": CONFIRMED}, a_block(None), "n1"),
        ({"n1": CONFIRMED}, a_block("host:n1"), "n1"),
        # a node that gives up yields to one that holds
        ({"n1": LEAVING, "n2": CONFIRMED}, None, "n2"),
        ({"n1": LEAVING, "n2": IMPLICIT}, None, "n2"),
        ({"n1": LEAVING, "n2": CONFIRMED}, a_block("host:n2"), "n2"),
        ({"n1": LEAVING, "n2": CONFIRMED}, a_block("host:n1"), "n2"),
        ({"n1": LEAVING, "n2": PENDING}, None, "n1"),
        ({"n2": LEAVING, "n3": LEAVING}, a_block("host:n3"), "n3"),
        # the IPAM block decides
        ({"n1": CONFIRMED, "n2": CONFIRMED}, a_block("host:n2"), "n2"),
        ({"n1": CONFIRMED, "n2": IMPLICIT}, a_block("host:n2"), "n2"),
        ({"n1": CONFIRMED, "n2": CONFIRMED}, a_block(None, hostAffinity="n2"), "n2"),
        ({"n1": CONFIRMED, "n2": CONFIRMED}, a_block("host:n3"), ""),
        ({"n1": CONFIRMED, "n2": PENDING}, a_block("host:n2"), ""),
        ({"n1": CONFIRMED}, a_block("host:n2"), ""),
        ({"n1": CONFIRMED}, a_block("virtual:load-balancer"), ""),
        # it says nothing: the strongest, then the first
        ({"n2": CONFIRMED, "n1": CONFIRMED}, None, "n1"),
        ({"n2": CONFIRMED, "n1": IMPLICIT}, None, "n2"),
        ({"n2": CONFIRMED, "n1": CONFIRMED}, a_block(None), "n1"),
        ({"n2": CONFIRMED, "n1": CONFIRMED}, a_block("host:n2", deleted=True), "n1"),
        ({"n2": CONFIRMED, "n1": PENDING, "n3": LEAVING}, None, "n2"),
    ],
)
def test_the_owner_of_a_block_is_the_same_in_any_order_of_events(
    cidr: str, claims: dict[str, bytes], block: bytes | None, owner: str
) -> None:
    items = [(affinity_key(node, cidr), value) for node, value in claims.items()]
    if block is not None:
        items.append((assignment_key(cidr), block))
    table = BlockTable()
    for some in permutations(items):
        table = BlockTable()
        for item in some:
            table.update([item], ())
        assert owners(table, cidr) == ([owner] if owner else [])
    # All others are warned, and the owner is not.
    held = {n: v for n, v in claims.items() if v != DELETED}
    warned = {each.key for each in table.warnings()}
    if (
        len(held) > 1
        or (held and block and b"host:" in block)
        or "virtual" in str(block)
    ):
        assert warned == {affinity_key(node, cidr) for node in held if node != owner}
    else:
        assert warned == set()


def test_two_affinities_of_one_node_are_one_claim() -> None:
    first = affinity_key("n1", "fd00::/122")
    second = first.replace("fd00::-122", "fd00:0:0::-122")
    table = BlockTable()
    table.update([(first, LEAVING), (second, CONFIRMED)], ())
    assert owners(table, "fd00::/122") == ["n1"]
    assert table.states("n1")[parse_block("fd00::/122")].value == "confirmed"
    assert table.warnings() == ()
    table.update((), [second])
    assert table.states("n1")[parse_block("fd00::/122")].value == "pendingDeletion"
    table.update((), [first])
    assert owners(table, "fd00::/122") == []


def test_warnings_say_whose_it_is() -> None:
    state = ClusterState()
    items = {affinity_key(node, "10.0.0.0/26"): CONFIRMED for node in ("n1", "n2")}
    state.apply(Snapshot(1, items))
    (told,) = state.warnings()
    assert told.key == affinity_key("n2", "10.0.0.0/26")
    assert told.text == "10.0.0.0/26 belongs to node n1, not to node n2"
    block = {assignment_key("10.0.0.0/26"): a_block("host:n2")}
    touched = state.apply(Changes(2, block, frozenset()))
    assert touched.nodes == {"n1", "n2"}
    (told,) = state.warnings()
    assert told.key == affinity_key("n1", "10.0.0.0/26")
    assert told.text == (
        "10.0.0.0/26 belongs to node n2, not to node n1; the IPAM block says node n2"
    )
    # Its workloads change, its owner does not.
    block = {assignment_key("10.0.0.0/26"): a_block("host:n2", allocations=[0, 1])}
    assert state.apply(Changes(3, block, frozenset())).nodes == frozenset()
    state.apply(Changes(4, {}, frozenset((affinity_key("n2", "10.0.0.0/26"),))))
    (told,) = state.warnings()
    assert "belongs to no node, not to node n1" in told.text
    state.apply(Changes(5, {}, frozenset((assignment_key("10.0.0.0/26"),))))
    assert state.warnings() == frozenset()
    assert len(state.desired("n1").originated) == 1


@pytest.mark.parametrize(
    "value", [b"x", b"[]", b'{"affinity":7}', b'{"hostAffinity":[]}', b"\xff"]
)
def test_a_bad_ipam_block_changes_nothing_and_is_reported(value: bytes) -> None:
    key = assignment_key("10.0.0.0/26")
    table = BlockTable()
    items = [(affinity_key(node, "10.0.0.0/26"), CONFIRMED) for node in ("n1", "n2")]
    table.update([*items, (key, a_block("host:n2"))], ())
    table.update([(key, value)], ())
    assert owners(table, "10.0.0.0/26") == ["n2"]
    assert key in {each.key for each in table.warnings()}
    table.update([(key, a_block("host:n1"))], ())
    assert owners(table, "10.0.0.0/26") == ["n1"]
    assert key not in {each.key for each in table.warnings()}


@pytest.mark.parametrize("key", ["ipv4/block/x", "ipv5/block/1-2", "ipv4/pool/1-2", ""])
def test_other_keys_below_the_blocks_are_ignored(key: str) -> None:
    table = BlockTable()
    whole = f"/calico/ipam/v2/assignment/{key}"
    assert split_assignment_key(whole) is None
    assert table.update([(whole, b"junk")], ()) == frozenset()
    assert table.warnings() == ()


# -- any sequence of events ---------------------------------------------------------------

VALUES = st.sampled_from([CONFIRMED, IMPLICIT, PENDING, LEAVING, DELETED, b"junk"])
BLOCKS = st.sampled_from(
    [
        a_block(None),
        *(a_block(f"host:{node}") for node in (*NODES, "n9")),
        a_block("virtual:load-balancer"),
        a_block("host:n1", deleted=True),
        b"junk",
    ]
)
OTHER_TEXTS: Final = {"fd00::-122": "fd00:0:0::-122", "10.0.0.0-26": "10.0.0.0-26"}
STEPS = st.one_of(
    st.tuples(
        st.builds(affinity_key, st.sampled_from(NODES), st.sampled_from(CIDRS))
        | st.builds(
            lambda node: affinity_key(node, "fd00::/122").replace(
                "fd00::", "fd00:0:0::"
            ),
            st.sampled_from(NODES),
        ),
        VALUES | st.none(),
    ),
    st.tuples(st.builds(assignment_key, st.sampled_from(CIDRS)), BLOCKS | st.none()),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_at_most_one_node_announces_a_block_and_all_agree_which(
    history: list[tuple[str, bytes | None]],
) -> None:
    """Whatever came before, and whichever node decides."""
    table, states = BlockTable(), {node: ClusterState() for node in NODES}
    final: dict[str, bytes] = {}
    for number, (key, value) in enumerate(history):
        puts = {} if value is None else {key: value}
        gone = frozenset((key,)) if value is None else frozenset()
        before = {node: table.of(node) for node in NODES}
        changed = table.update(puts.items(), gone)
        for node in NODES:
            states[node].apply(Changes(number, puts, gone))
            assert (table.of(node) != before[node]) <= (node in changed)
        if value is None:
            final.pop(key, None)
        elif value != b"junk":
            final[key] = value
    for cidr in CIDRS:
        block = parse_block(cidr)
        mine = [n for n in NODES if block in states[n].desired(n).originated]
        assert len(mine) <= 1
        assert mine == owners(table, cidr)
    # What is unreadable keeps its last value; all else follows from the final state.
    fresh = BlockTable()
    fresh.replace(final)
    for node in NODES:
        assert table.of(node) == fresh.of(node)
        assert table.states(node) == fresh.states(node)
    texts = {each for each in table.warnings() if "ignored" not in each.text}
    assert texts == set(fresh.warnings())
