"""Events wait for the Nodes that they need; a Node that is not needed was not removed."""

import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import pytest

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import affinity_key, resource_key
from bgpd.calico.needed_nodes import MESH, NodeNeeds, filter_of
from bgpd.calico.plausible import EventGuard
from bgpd.datastore.coalesce import PendingEvents
from bgpd.datastore.manifests import item_of
from bgpd.datastore.needed import NeededNodes
from tests.support.calico_cases import Object, a_node, an_object, settings

OWN = "n1"
ALONE = NodeNeeds(frozenset((OWN,)))
RR, TOR = (
    ALONE._replace(selectors=frozenset((each,))) for each in ("has(rr)", "has(tor)")
)
NO_MESH = settings(nodeToNodeMeshEnabled=False)
BLOCK = {affinity_key(OWN, "10.244.0.0/26"): b'{"state":"confirmed","deleted":false}'}


def items(*objects: Object) -> dict[str, bytes]:
    return dict(item_of({"apiVersion": "projectcalico.org/v3", **o}) for o in objects)


def peer(to: str) -> Object:
    return an_object("BGPPeer", "p", nodeSelector="all()", peerSelector=to)


def node(name: str, *labels: str) -> Object:
    named = dict.fromkeys(labels, "")
    return a_node(name, f"10.0.0.{name[1:]}", labels=named)


class Reader:
    """Notes what is wanted."""

    def __init__(self) -> None:
        self.wanted: list[NodeNeeds] = []

    def want(self, needs: NodeNeeds) -> None:
        self.wanted.append(needs)


async def pass_through(
    *events: DatastoreEvent,
) -> tuple[list[DatastoreEvent], list[NodeNeeds]]:
    """Return what comes out, and what was wanted."""

    async def source() -> AsyncGenerator[DatastoreEvent, None]:
        for event in events:
            yield event

    reader = Reader()
    async with aclosing(NeededNodes(reader, OWN).events(source())) as out:
        return [event async for event in out], reader.wanted


BEGIN = Snapshot(1, items(NO_MESH, peer("has(rr)"), node(OWN), node("n2", "rr")), RR)


@pytest.mark.asyncio
async def test_what_its_nodes_are_there_for_goes_on_as_it_is() -> None:
    change = Changes(2, items(node("n2", "rr", "more")), frozenset(), RR)
    out, wanted = await pass_through(BEGIN, change)
    assert out[0] is BEGIN
    assert out[1] is change
    assert wanted == [RR]


@pytest.mark.asyncio
async def test_a_changed_peer_waits_for_its_nodes_and_a_block_does_not() -> None:
    out, wanted = await pass_through(
        BEGIN,
        Changes(2, {**items(peer("has(tor)")), **BLOCK}, frozenset(), RR),
        Changes(3, items(node("n2", "rr", "more")), frozenset(), RR),
        Changes(
            4, items(node("n3", "tor")), frozenset((resource_key("Node", "n2"),)), TOR
        ),
    )
    assert wanted == [RR, TOR]
    assert out[1:] == [
        Changes(2, BLOCK, frozenset(), RR),
        Changes(
            4,
            items(peer("has(tor)"), node("n3", "tor")),
            frozenset((resource_key("Node", "n2"),)),
            TOR,
        ),
    ]


@pytest.mark.asyncio
async def test_a_snapshot_waits_as_a_whole_and_a_saved_one_does_not() -> None:
    first = Snapshot(1, {**items(NO_MESH, peer("has(rr)"), node(OWN)), **BLOCK}, ALONE)
    saved = Snapshot(0, items(NO_MESH, peer("has(rr)"), node(OWN), node("n9", "rr")))
    out, wanted = await pass_through(
        saved, first, Changes(2, items(node("n2", "rr")), frozenset(), RR)
    )
    assert wanted == [RR]
    assert out == [
        saved,
        Snapshot(
            2,
            {**items(NO_MESH, peer("has(rr)"), node(OWN), node("n2", "rr")), **BLOCK},
            RR,
        ),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ([settings(nodeToNodeMeshEnabled=True)], MESH),
        (
            [
                a_node(
                    OWN,
                    "10.0.0.1",
                    spec={"wireguard": {"interfaceIPv4Address": "10.9.0.1"}},
                )
            ],
            "the node uses WireGuard",
        ),
        (
            [an_object("BGPPeer", "all", peerSelector="all()")],
            "BGPPeer all makes all nodes peers of this node",
        ),
    ],
)
async def test_all_nodes_are_wanted_where_all_decide(changed, wanted) -> None:
    _, found = await pass_through(BEGIN, Changes(2, items(*changed), frozenset(), RR))
    assert [needs.why_all for needs in found] == ["", wanted]
    assert found[-1].covers(RR)
    assert not RR.covers(found[-1])


def guarded(events: Iterable[DatastoreEvent], now: float = 100.0) -> set[str]:
    """Return the keys that are in force at the end."""
    guard = EventGuard(OWN, 3600)
    keys: set[str] = set()
    for time, event in enumerate(events):
        taken = guard.take(event, now + time)
        if isinstance(taken, Snapshot):
            keys = set(taken.items)
        else:
            keys = (keys | set(taken.puts)) - taken.deletes
    released = guard.advance(now + 60)
    assert released is None or not keys & released.deletes
    return keys


NODES = items(node(OWN), *(node(f"n{number}", "rr") for number in (2, 3, 4)))
OTHERS = items(*(node(f"n{number}") for number in range(5, 25)))


def test_nodes_that_are_needed_no_more_go_at_once_and_needed_ones_are_held() -> None:
    everything = ALONE._replace(why_all=MESH)
    begin = Snapshot(1, {**NODES, **OTHERS}, everything)
    narrow = Changes(2, {}, frozenset(OTHERS), RR)
    assert guarded([begin, narrow]) == NODES.keys()
    gone = frozenset(NODES) - {resource_key("Node", OWN)}
    assert guarded([begin, narrow, Changes(3, {}, gone, RR)]) == NODES.keys()
    assert guarded([begin, Snapshot(2, NODES, RR)]) == NODES.keys()
    assert guarded([begin, Snapshot(2, NODES)]) == {**NODES, **OTHERS}.keys()


def test_new_needs_are_an_event_even_if_nothing_else_changed() -> None:
    pending = PendingEvents()
    pending.add(Changes(1, {}, frozenset(), RR))
    assert pending.take() == Changes(1, {}, frozenset(), RR)
    pending.add(Changes(2, {}, frozenset(), RR))
    assert pending.take() is None
    pending.add(Changes(3, {}, frozenset(), TOR))
    assert pending.take() == Changes(3, {}, frozenset(), TOR)


def test_a_malformed_node_is_found_by_what_can_be_read_of_it() -> None:

    is_needed = filter_of(RR._replace(addresses=frozenset(("fd00::1",))))
    key = resource_key("Node", "x")
    assert not is_needed(key, b"{")
    assert not is_needed(key, b"[]")
    assert is_needed(
        key, json.dumps({"metadata": {"labels": {"rr": "", "n": 1}}}).encode()
    )
    spec = {"bgp": {"ipv4Address": 7, "ipv6Address": "fd00:0::1/64"}}
    assert is_needed(key, json.dumps({"spec": spec}).encode())
    assert not is_needed(resource_key("IPPool", "x"), b"{}")
    assert is_needed(resource_key("Node", OWN), b"{")
