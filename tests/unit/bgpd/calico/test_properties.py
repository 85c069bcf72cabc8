import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.calico import Changes, ClusterState, Snapshot
from bgpd.calico.blocks import BlockTable, parse_block
from bgpd.calico.keys import PLURALS, affinity_key, resource_key

NODES = st.sampled_from(["n1", "n2", "n3"])
CIDRS = st.sampled_from(["10.0.0.0/26", "10.0.0.64/26", "10.0.0.0/24", "fd00::/122"])
STATES = st.sampled_from(
    [
        b"",
        b'{"state":"confirmed"}',
        b'{"state":"pending"}',
        b'{"state":"pendingDeletion"}',
    ]
)
KEYS = st.builds(affinity_key, NODES, CIDRS)

ADDRESSES = st.sampled_from(
    ["10.0.0.1/24", "10.0.0.9/24", "10.0.0.10/24", "fd00::1/64", "x", "", None]
)
FIELDS = (
    *("spec", "bgp", "metadata", "labels", "asNumber", "ipv4Address"),
    *("peerIP", "peerSelector", "nodeSelector", "filters", "cidr"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | ADDRESSES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
VALUES = st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary())
RESOURCES = st.dictionaries(
    st.builds(resource_key, st.sampled_from(sorted(PLURALS)), NODES), VALUES, max_size=6
)


@pytest.mark.slow
@settings(deadline=None)
@given(RESOURCES, st.dictionaries(KEYS, VALUES, max_size=4), RESOURCES)
def test_no_content_of_a_datastore_raises(
    first: dict[str, bytes], affinities: dict[str, bytes], then: dict[str, bytes]
) -> None:
    state = ClusterState()
    state.apply(Snapshot(1, first | affinities))
    state.desired("n1")
    state.apply(Changes(2, then, frozenset(first.keys() - then.keys())))
    state.desired("n1")
    state.apply(Snapshot(3, {}))
    wanted = state.desired("n1")
    assert wanted.peers == ()
    assert wanted.originated == frozenset()
    assert state.warnings() == frozenset()


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, STATES | st.none()), max_size=40))
def test_blocks_after_any_history_are_those_of_the_end(
    history: list[tuple[str, bytes | None]],
) -> None:
    table = BlockTable()
    final: dict[str, bytes] = {}
    for key, value in history:
        if value is None:
            final.pop(key, None)
            table.update((), [key])
        else:
            final[key] = value
            table.update([(key, value)], ())
    fresh = BlockTable()
    fresh.replace(final)
    for node in ("n1", "n2", "n3"):
        assert table.of(node) == fresh.of(node)
        assert table.others(node) == fresh.others(node)
    texts = {warning.text for warning in fresh.warnings()}
    assert {warning.text for warning in table.warnings()} == texts


@settings(deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 32).map(lambda bits: f"10.0.0.0/{bits}")
        | st.integers(0, 128).map(lambda bits: f"fd00::/{bits}"),
        STATES,
        max_size=8,
    )
)
def test_no_single_address_is_announced_from_an_affinity_alone(
    affinities: dict[str, bytes],
) -> None:
    items = {affinity_key("n1", cidr): value for cidr, value in affinities.items()}
    state = ClusterState()
    state.apply(Snapshot(1, items))
    assert {str(block) for block in state.desired("n1").originated} == {
        str(parse_block(cidr))
        for cidr, value in affinities.items()
        if b'"pending"' not in value and cidr not in ("10.0.0.0/32", "fd00::/128")
    }


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 254), st.sampled_from(["", "244.0.0.1"])),
        min_size=2,
        max_size=6,
        unique_by=lambda item: item[0],
    )
)
def test_both_ends_of_a_mesh_session_agree(nodes: list[tuple[int, str]]) -> None:
    items: dict[str, bytes] = {}
    for number, cluster_id in nodes:
        bgp: dict[str, Any] = {"ipv4Address": f"10.0.0.{number}/24"}
        bgp["routeReflectorClusterID"] = cluster_id
        value = json.dumps({"spec": {"bgp": bgp}}).encode()
        items[resource_key("Node", f"n{number}")] = value
    state = ClusterState()
    state.apply(Snapshot(1, items))
    ends = {}
    for number, _ in nodes:
        wanted = state.desired(f"n{number}")
        for peer in wanted.peers:
            ends[wanted.ipv4_addr, peer.remote_addr] = peer.is_passive
    meshed = sum(not cluster_id for _, cluster_id in nodes)
    assert len(ends) == meshed * (meshed - 1)
    for (here, there), is_passive in ends.items():
        assert ends[there, here] is not is_passive
