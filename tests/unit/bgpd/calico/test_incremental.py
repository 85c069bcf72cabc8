"""A plan is made by what changed: nodes, BGPPeers and sessions are read once."""

import json
import random
from typing import Any

import pytest

from bgpd.calico import Changes, ClusterState, Snapshot, peer_facts, peers, topology
from bgpd.calico.planner import SideInputs
from bgpd.calico.slices import finish
from bgpd.datastore.manifests import item_of
from tests.support.manifests import affinity, node, resource

MANY = 40
OWN = node("own", "10.0.0.1/16", labels={"rack": "a"})


def nodes(count: int = MANY, **more: Any) -> list[dict[str, Any]]:
    return [
        node(f"n{i}", f"10.0.{1 + i // 250}.{1 + i % 250}/16", **more)
        for i in range(count)
    ]


def items(*manifests: dict[str, Any]) -> dict[str, bytes]:
    return dict(map(item_of, manifests))


class Counted:
    """Counts how often parts of a plan are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.members = self.facts = self.sessions = 0
        member, read = topology.Topology._member, peer_facts.read_peer
        common = peers._Expansion._common

        def count_member(*arguments: Any) -> Any:
            self.members += 1
            return member(*arguments)

        def count_facts(*arguments: Any) -> Any:
            self.facts += 1
            return read(*arguments)

        def count_sessions(*arguments: Any, **more: Any) -> Any:
            self.sessions += 1
            return common(*arguments, **more)

        monkeypatch.setattr(topology.Topology, "_member", count_member)
        monkeypatch.setattr(topology, "read_peer", count_facts)
        monkeypatch.setattr(peers._Expansion, "_common", count_sessions)

    def take(self) -> tuple[int, int, int]:
        found = self.members, self.facts, self.sessions
        self.members = self.facts = self.sessions = 0
        return found


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def a_state(*more: dict[str, Any]) -> ClusterState:
    state = ClusterState()
    state.apply(Snapshot(1, items(OWN, *nodes(), *more)))
    state.desired("own")
    return state


def change(state: ClusterState, *manifests: dict[str, Any], **more: Any) -> Any:
    state.apply(Changes(2, items(*manifests), frozenset(more.get("gone", ()))))
    return state.desired("own")


def test_a_node_that_changes_is_the_only_one_that_is_read(counted: Counted) -> None:
    state = a_state()
    assert counted.take() == (MANY + 1, 0, MANY)
    change(state, node("n3", "10.0.1.4/16", asNumber=65001))
    assert counted.take() == (1, 0, 1)
    change(state, node("n3", "10.0.1.4/16", asNumber=65001, labels={"a": "b"}))
    assert counted.take() == (1, 0, 0)
    change(state, node("new", "10.0.2.1/16"))
    assert counted.take() == (1, 0, 1)
    change(state, gone=items(node("new")))
    assert counted.take() == (0, 0, 0)


def test_labels_that_no_selector_uses_leave_the_same_sessions(counted: Counted) -> None:
    toward = resource(
        "BGPPeer", "p", peerSelector="has(reflector)", nodeSelector="all()"
    )
    state = a_state(toward)
    before = state.desired("own").peers
    counted.take()
    after = change(state, *nodes(labels={"touched": "now"})).peers
    assert after is before
    assert counted.take() == (MANY, 0, 0)
    asked = change(state, node("n0", "10.0.1.1/16", labels={"reflector": ""})).peers
    assert [peer.name for peer in asked if peer not in before] == ["Node_10_0_1_1"]


def test_one_of_many_bgp_peers_is_the_only_one_that_is_read(counted: Counted) -> None:
    others = [
        resource("BGPPeer", f"p{i}", peerIP=f"192.0.2.{i + 1}", asNumber=65001)
        for i in range(MANY)
    ]
    state = a_state(*others)
    counted.take()
    changed = resource("BGPPeer", "p3", peerIP="192.0.2.4", asNumber=65002)
    change(state, changed)
    assert counted.take() == (0, 1, 1)


def test_a_change_of_all_sessions_rebuilds_them_in_slices(counted: Counted) -> None:
    state = a_state(*nodes(10 * MANY))
    counted.take()
    config = resource("BGPConfiguration", "default", nodeMeshMaxRestartTime="60s")
    state.apply(Changes(2, items(config), frozenset()))
    slices = sum(1 for _ in state.plan_in_slices("own", SideInputs()))
    assert slices > 10
    assert counted.sessions == 10 * MANY


SPECS: list[dict[str, Any]] = [
    {"peerSelector": "rack == 'a'", "nodeSelector": "rack == 'b'"},
    {"peerIP": "10.0.3.1", "asNumber": 64512},
    {"peerIP": "fe80::1%eth0", "asNumber": 64512},
    {"peerSelector": "x == 'y'", "filters": ["f"]},
    {"peerIP": "10.9.9.9", "asNumber": 7, "reachableBy": "10.0.0.7"},
]


def some_change(rng: random.Random) -> dict[str, bytes | None]:
    """Return one key with a new value, or ``None`` where it goes."""
    number = rng.randrange(12)
    labels = {"rack": rng.choice("abc"), "x": rng.choice("yz")}
    kind = rng.randrange(7)
    made: dict[str, Any]
    if kind < 3:
        address = rng.choice(["", f"10.0.3.{rng.randrange(4)}/16"])
        more = rng.choice([{}, {"ipv6Address": "fd00::9/64"}])
        made = node(f"n{number}", address, labels=labels, **more)
        if rng.random() < 0.2:
            made["spec"]["bgp"]["routeReflectorClusterID"] = "224.0.0.1"
        if rng.random() < 0.2:
            made = node("own", "10.0.0.1/16", labels=labels)
    elif kind == 3:
        made = resource("BGPPeer", f"p{number}", **rng.choice(SPECS))
    elif kind == 4:
        mesh = rng.choice([True, False])
        name = rng.choice(["default", "node.n1", "node.own"])
        made = resource(
            "BGPConfiguration",
            name,
            nodeToNodeMeshEnabled=mesh,
            listenPort=rng.choice([179, 1790]),
        )
    elif kind == 5:
        made = affinity(rng.choice(["own", "n1", "n2"]), f"10.{number}.0.0/26")
    else:
        made = resource("BGPFilter", "f", exportV4=[{"action": "Accept"}])
    key, value = item_of(made)
    return {key: value if rng.random() < 0.8 else None}


@pytest.mark.parametrize("seed", range(25))
def test_any_history_leads_to_the_plan_of_its_end(seed: int) -> None:
    rng = random.Random(seed)
    state, now = ClusterState(), dict(items(OWN, *nodes()[:8]))
    state.apply(Snapshot(1, now))
    for step in range(40):
        changed: dict[str, bytes | None] = {}
        for _ in range(rng.randrange(1, 4)):
            changed |= some_change(rng)
        puts = {key: value for key, value in changed.items() if value is not None}
        gone = frozenset(changed.keys() - puts.keys())
        now = {k: v for k, v in now.items() if k not in gone} | puts
        state.apply(Changes(step, puts, gone))
        if rng.random() < 0.5:
            found = state.desired("own")
            fresh = ClusterState()
            fresh.apply(Snapshot(step, dict(sorted(now.items()))))
            assert found == fresh.desired("own"), json.dumps(sorted(now))
    assert finish(state.needs_in_slices("own")) == state.needs("own")
