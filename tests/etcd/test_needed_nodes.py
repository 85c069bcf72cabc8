"""Needed Nodes alone, read of a real API server: never too few, at no moment."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bgpd.calico.events import DatastoreEvent, Snapshot
from bgpd.calico.keys import affinity_key, resource_key, split_resource_key
from bgpd.calico.kubernetes_objects import GROUP_V1, item_of
from bgpd.calico.label_selectors import (
    NoLabelSelectorError,
    is_matching,
    label_selectors,
    written,
)
from bgpd.calico.needed_nodes import filter_of, needed_nodes
from bgpd.calico.state import ClusterState
from bgpd.cli.details import status_page
from bgpd.datastore.guarded import GuardedDatastore
from bgpd.datastore.kubernetes import Access, KubernetesDatastore
from bgpd.datastore.kubernetes import node_scope as node_scope_module
from bgpd.datastore.model import NodesRead, Status
from bgpd.datastore.needed import NeededNodes
from tests.support.calico_cases import a_node, an_object, settings
from tests.support.daemons import Daemon, write_yaml
from tests.support.datastores import Follower
from tests.support.kube_apiserver import DAEMON, READS, KubeApi, in_thread, missing
from tests.support.kubernetes_objects import (
    Object,
    block_affinity,
    custom_resource,
    kubernetes_node,
)
from tests.support.selector_strategies import KUBERNETES_NAMES, KUBERNETES_VALUES

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.asyncio,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
    pytest.mark.timeout(300),
]

OWN = "n1"
OTHERS = ("n2", "n3", "n4")
REFLECTORS = ("r1", "r2", "r3")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    with KubeApi(tmp_path_factory.mktemp("k")) as server:
        server.make_kinds(GROUP_V1)
        server.grant(*READS)
        yield server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.FIRST_DELAY", 0.05)
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.MAX_DELAY", 0.5)
    monkeypatch.setattr(node_scope_module, "SPREAD", 0.2)
    monkeypatch.setattr(node_scope_module, "CONFIRM_AFTER", 0.3)
    monkeypatch.setattr(node_scope_module, "CHECK_AGAIN", 0.5)
    monkeypatch.setattr("bgpd.datastore.kubernetes.left_nodes.LEAVE_AFTER", 1.0)


class Needed:
    """The datastore as the daemon reads it, guard and all."""

    def __init__(self, api: KubeApi, check_time: float = 600.0) -> None:
        access = Access(str(api.kubeconfig(DAEMON)))
        self.store = KubernetesDatastore(
            access, OWN, needs_only=True, check_time=check_time
        )
        self.guarded = GuardedDatastore(self.store, OWN, 3600)
        self._needed = NeededNodes(self.store, OWN)

    @property
    def status(self) -> Status:
        return self.guarded.status

    @property
    def nodes(self) -> NodesRead:
        assert self.status.nodes is not None
        return self.status.nodes

    def describe(self, key: str, field: str = "") -> str:
        return self.guarded.describe(key, field)

    def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        return self._needed.events(self.guarded.events())


class Cluster:
    """What the API server has, changed step by step; all of it is gone at the end."""

    def __init__(self, api: KubeApi) -> None:
        self.api = api
        self.objects: dict[tuple[str, str], Object] = {}
        self.ever: dict[str, list[bytes]] = {}  # each Node's values, as etcd has them

    async def put(self, *objects: Object) -> None:
        for each in objects:
            made = each
            if each["kind"] != "Node" and each.get("apiVersion") != GROUP_V1:
                made = custom_resource(each, GROUP_V1)
            self.objects[made["kind"], made["metadata"]["name"]] = made
            if made["kind"] == "Node":
                item = item_of("Node", made)
                self.ever.setdefault(item.key, []).append(item.value or b"")
            await in_thread(self.api.apply, made)

    async def remove(self, kind: str, *names: str) -> None:
        for name in names:
            await in_thread(self.api.delete, self.objects.pop((kind, name)))

    async def clear(self) -> None:
        await in_thread(self.api.delete, *self.objects.values())

    def wanted(self) -> set[str]:
        """Return which Nodes the own node needs, by all there is."""
        items = dict(_item(*each) for each in self.objects.items())
        state = ClusterState()
        state.apply(Snapshot(1, items))
        is_needed = filter_of(needed_nodes(state.topology(), OWN))
        return {
            split_resource_key(key)[1]  # type: ignore[index]
            for key, value in items.items()
            if is_needed(key, value)
        }


def _item(name: tuple[str, str], content: Object) -> tuple[str, bytes]:
    item = item_of(name[0], content)
    return item.key, item.value or b""


@pytest_asyncio.fixture
async def cluster(api: KubeApi) -> AsyncGenerator[Cluster, None]:
    made = Cluster(api)
    await made.put(settings(nodeToNodeMeshEnabled=False), peer("rr", "rr == 'true'"))
    await made.put(*(node(name) for name in (OWN, *OTHERS)))
    await made.put(*(node(name, rr="true") for name in REFLECTORS))
    yield made
    await made.clear()


def node(name: str, by_calico: bool = False, /, **labels: str) -> Object:  # noqa: FBT001, FBT002  # any name may be a label
    number = int(name[1:]) + (100 if name[0] == "r" else 0)
    more: dict[str, Any] = {}
    if name[0] == "r":
        more["routeReflectorClusterID"] = "1.1.1.1"
    made = a_node(name, f"10.0.0.{number}", labels=labels, **more)
    return kubernetes_node(made, calico_labels=by_calico)


def peer(name: str, to: str = "", of: str = "all()", **spec: Any) -> Object:
    if to:
        spec["peerSelector"] = to
    return an_object("BGPPeer", name, nodeSelector=of, **spec)


def names_of(items: Mapping[str, bytes]) -> set[str]:
    named = (split_resource_key(key) for key in items)
    return {each[1] for each in named if each is not None and each[0] == "Node"}


class Watched(Follower):
    """Looks at the state after each event: what that needs must be there."""

    def __init__(self, datastore: Needed, cluster: Cluster) -> None:
        super().__init__(datastore)
        self.needed = datastore
        self.cluster = cluster
        self.faults: list[str] = []
        self._checked = 0

    async def until(self, predicate: Any, within: float = 60.0) -> None:
        await super().until(predicate, within)

    @property
    def nodes(self) -> set[str]:
        return names_of(self.items)


def faults_of(
    events: list[DatastoreEvent], ever: Mapping[str, list[bytes]]
) -> list[str]:
    """Return where a state lacked Nodes that it needed, and that were there all the time."""
    items: dict[str, bytes] = {}
    found = []
    for number, event in enumerate(events):
        if isinstance(event, Snapshot):
            items = dict(event.items)
        else:
            items.update(event.puts)
            for key in event.deletes:
                items.pop(key, None)
        state = ClusterState()
        state.apply(Snapshot(1, items))
        is_needed = filter_of(needed_nodes(state.topology(), OWN))
        for key, values in ever.items():
            if key not in items and all(is_needed(key, value) for value in values):
                found.append(f"event {number}: {key}")
    return found


async def test_a_client_reads_itself_and_its_reflectors(cluster: Cluster) -> None:
    async with Watched(Needed(cluster.api), cluster) as seen:
        await seen.until(lambda s: bool(s.events))
        first = seen.events[0]
        assert isinstance(first, Snapshot)
        assert names_of(first.items) == {OWN, *REFLECTORS}
        read = seen.needed.nodes
        assert (read.scope, read.reason, read.hidden) == ("needed", "", ())
        assert read.selectors == ("rr in (true)",)
        assert read.checked_at > 0
        await seen.until(lambda s: s.datastore.status.is_connected)

        before, count = seen.needed.nodes.events, len(seen.events)
        for number in range(20):  # what the others do is not sent at all
            for name in OTHERS:
                await cluster.put(node(name, heartbeat=str(number)))
        await cluster.put(node("r2", rr="true", more="1"))
        await seen.until(lambda s: len(s.events) > count)
        assert seen.needed.nodes.events == before + 1
        await cluster.put(node("r4", rr="true"))
        await seen.until(lambda s: "r4" in s.nodes)


async def test_labels_that_calico_alone_has_are_found_by_the_check(
    cluster: Cluster,
) -> None:
    await cluster.put(node("r3", True, rr="true"))
    async with Watched(Needed(cluster.api, check_time=1.0), cluster) as seen:
        await seen.until(lambda s: bool(s.events))
        first = seen.events[0]
        assert isinstance(first, Snapshot)
        assert names_of(first.items) == {OWN, *OTHERS, *REFLECTORS}
        assert seen.needed.nodes.scope == "all"
        assert seen.needed.nodes.hidden == ("r3",)
        assert any("Node r3 is needed" in w for w in seen.needed.status.warnings)
        await cluster.put(node("r3", rr="true"))
        await seen.until(lambda s: s.nodes == {OWN, *REFLECTORS})
        assert seen.needed.nodes.scope == "needed"
        assert not seen.needed.nodes.hidden
        assert not seen.needed.guarded.removals.holds
        await cluster.put(node("r3", True, rr="true"))
        await seen.until(lambda s: s.nodes == {OWN, *OTHERS, *REFLECTORS})
        assert not faults_of(seen.events, cluster.ever)


@pytest.mark.parametrize("how", ["peer", "another", "mesh", "label", "reversed"])
async def test_nodes_are_there_before_what_asks_for_them(
    cluster: Cluster, how: str
) -> None:
    await cluster.put(*(node(name, rr="second") for name in OTHERS))
    if how == "label":
        await cluster.put(peer("more", "rr == 'second'", "has(zone)"))
    async with Watched(Needed(cluster.api), cluster) as seen:
        await seen.until(lambda s: s.nodes == {OWN, *REFLECTORS})
        change = {
            "peer": peer("rr", "rr == 'second'"),
            "another": peer("more", "rr == 'second'"),
            "mesh": settings(nodeToNodeMeshEnabled=True),
            "label": node(OWN, zone="a"),
            "reversed": peer("back", "!has(rr)", "rr == 'second'"),
        }[how]
        await cluster.put(change)
        key = resource_key(change["kind"], change["metadata"]["name"])
        is_old = seen.items.get(key)
        await seen.until(lambda s: s.items.get(key) not in (is_old, None))
        assert seen.nodes >= cluster.wanted() >= {OWN, *OTHERS}
        await seen.until(lambda s: s.nodes == cluster.wanted())
        await cluster.put(
            peer("rr", "rr == 'true'"), settings(nodeToNodeMeshEnabled=False), node(OWN)
        )
        for name in {"more", "back"} & {n for _, n in cluster.objects}:
            await cluster.remove("BGPPeer", name)
        await seen.until(lambda s: s.nodes == {OWN, *REFLECTORS})
        assert not faults_of(seen.events, cluster.ever)
        assert not seen.needed.guarded.removals.holds
        assert seen.needed.guarded.removals.hold_count == 0


async def test_while_nodes_cannot_be_listed_blocks_change_and_sessions_wait(
    cluster: Cluster,
) -> None:
    api = cluster.api
    await cluster.put(*(node(name, rr="second") for name in OTHERS))
    async with Watched(Needed(api), cluster) as seen:
        await seen.until(lambda s: s.nodes == {OWN, *REFLECTORS})
        rights = [
            rule | {"verbs": ["get", "watch"]}
            if rule["resources"] == ["nodes"]
            else rule
            for rule in READS
        ]
        await in_thread(api.grant, *rights)
        try:
            await cluster.put(peer("rr", "rr == 'second'"))
            await seen.until(lambda s: s.needed.nodes.is_pending)
            await cluster.put(
                block_affinity(OWN, "10.244.0.0/26", "confirmed", GROUP_V1)
            )
            await seen.until(lambda s: affinity_key(OWN, "10.244.0.0/26") in s.items)
            assert b"second" not in seen.items[resource_key("BGPPeer", "rr")]
            assert seen.nodes == {OWN, *REFLECTORS}
            await seen.until(
                lambda s: any("forbidden" in w for w in s.needed.status.warnings)
            )
            assert any("wait" in w for w in seen.needed.status.warnings)
        finally:
            await in_thread(api.grant, *READS)
        await seen.until(lambda s: s.nodes == {OWN, *OTHERS})
        assert b"second" in seen.items[resource_key("BGPPeer", "rr")]
        assert not faults_of(seen.events, cluster.ever)


async def test_a_reflector_with_another_label_is_not_removed_and_a_removed_one_is(
    cluster: Cluster,
) -> None:
    async with Watched(Needed(cluster.api), cluster) as seen:
        await seen.until(lambda s: s.nodes == {OWN, *REFLECTORS})
        await cluster.put(node("r2", rr="no"), node("r3", rr="no"))
        await seen.until(lambda s: s.nodes == {OWN, "r1"})
        guard = seen.needed.guarded.removals
        assert guard.hold_count == 0
        await cluster.put(node("r2", rr="true"), node("r3", rr="true"))
        await seen.until(lambda s: s.nodes == {OWN, *REFLECTORS})
        await cluster.remove("Node", "r2", "r3")  # implausible, as with all Nodes
        await seen.until(lambda _: guard.hold_count == 1)
        assert seen.nodes == {OWN, *REFLECTORS}
        await cluster.put(node("r2", rr="true"), node("r3", rr="true"))
        await seen.until(lambda _: not guard.holds)


async def test_a_node_that_is_named_by_its_address_is_read(cluster: Cluster) -> None:
    address = peer("far", peerIP="10.0.0.3", asNumber=64512)
    gateway = peer("gateway", peerIP="10.0.1.1", asNumber=65000)
    odd = [
        an_object("BGPPeer", f"odd{number}", node=name, peerSelector="all()")
        for number, name in enumerate(("n4", "no,such=node", "Ä", "x" * 254))
    ]
    await cluster.put(address, gateway, *odd)
    async with Watched(Needed(cluster.api), cluster) as seen:
        await seen.until(lambda s: bool(s.events))
        assert seen.nodes == {OWN, "n3", "n4", *REFLECTORS}
        assert {OWN, "n3", "n4"} <= set(seen.needed.nodes.names)
        await cluster.remove("BGPPeer", "far")
        await seen.until(lambda s: s.nodes == {OWN, "n4", *REFLECTORS})


async def test_the_server_selects_by_labels_as_we_say(cluster: Cluster) -> None:
    rng = random.Random(5)
    labels = {
        f"n{number}": {
            name: rng.choice(KUBERNETES_VALUES)
            for name in rng.sample([n for n in KUBERNETES_NAMES if n != "a..b"], 3)
        }
        for number in range(10, 22)
    }
    labels["n22"] = {}
    await cluster.put(*(node(name, **some) for name, some in labels.items()))
    quoted = [*KUBERNETES_VALUES, "a b", "x" * 64]
    checked = 0
    for _ in range(150):
        terms = [
            rng.choice(
                (
                    "{n} == '{v}'",
                    "{n} != '{v}'",
                    "{n} in {{'{v}', '{w}'}}",
                    "{n} not in {{'{v}', '{w}'}}",
                    "has({n})",
                    "!has({n})",
                    "!({n} == '{v}')",
                    "{n} starts with '{v}'",
                )
            ).format(
                n=rng.choice(KUBERNETES_NAMES),
                v=rng.choice(quoted),
                w=rng.choice(quoted),
            )
            for _ in range(rng.randint(1, 3))
        ]
        try:
            found = label_selectors(" && ".join(terms))
        except NoLabelSelectorError:
            continue
        for selector in found:
            answer = await in_thread(
                lambda text: cluster.api.http.get(
                    "/api/v1/nodes", params={"labelSelector": text}
                ),
                written(selector),
            )
            assert answer.status_code == 200, answer.text
            got = {item["metadata"]["name"] for item in answer.json()["items"]}
            assert got & labels.keys() == {
                name for name, some in labels.items() if is_matching(selector, some)
            }, written(selector)
            checked += 1
    assert checked > 80


PORT = 17931


async def test_a_daemon_shows_which_nodes_it_reads(
    cluster: Cluster, tmp_path: Path
) -> None:
    content = {
        "node": {"name": OWN},
        "bgp": {"listen": {"addresses": ["127.0.0.1"], "port": PORT}},
        "datastore": {"type": "kubernetes", "nodes": "needed"},
        "kubernetes": {
            "kubeconfig": str(cluster.api.kubeconfig(DAEMON)),
            "endpoint_status": "",
        },
        "bird": {"ipv4": "", "ipv6": ""},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(tmp_path / "control.sock")},
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)

    def scenario() -> None:
        with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
            daemon.until(lambda: len(daemon.ask("show-peers")) == len(REFLECTORS), 60)
            (status,) = daemon.ask("show-status")
            nodes = status["datastore"]["nodes"]
            assert (nodes["scope"], nodes["reason"], nodes["hidden"]) == (
                "needed",
                "",
                [],
            )
            assert (nodes["names"], nodes["selectors"]) == ([OWN], ["rr in (true)"])
            assert nodes["checked_at"]
            page = "\n".join(status_page(status))
            assert "the needed ones are read: n1, rr in (true); checked at" in page
            assert "Traceback" not in daemon.log()

    await in_thread(scenario)


async def test_whatever_changes_no_state_lacks_a_node_that_it_needs(
    cluster: Cluster,
) -> None:
    rng = random.Random(11)
    selectors = (
        "rr == 'true'",
        "rr != 'true'",
        "has(zone)",
        "rr in {'x','true'}",
        "all()",
    )
    async with Watched(Needed(cluster.api, check_time=1.0), cluster) as seen:
        await seen.until(lambda s: bool(s.events))
        for _ in range(60):
            match rng.randrange(5):
                case 0:
                    await cluster.put(
                        peer(
                            rng.choice(("rr", "p")),
                            rng.choice(selectors),
                            rng.choice(selectors),
                        )
                    )
                case 1:
                    is_mesh = rng.random() < 0.3
                    await cluster.put(settings(nodeToNodeMeshEnabled=is_mesh))
                case _:
                    name = rng.choice((OWN, *OTHERS, *REFLECTORS))
                    labels = {"rr": rng.choice(("true", "x", "no"))}
                    if rng.random() < 0.5:
                        labels["zone"] = "a"
                    by_calico = rng.random() < 0.15
                    await cluster.put(node(name, by_calico, **labels))
            await asyncio.sleep(rng.random() * 0.1)
        await seen.until(lambda s: s.nodes >= cluster.wanted() and _is_settled(s), 90)
        for key, value in (_item(*each) for each in cluster.objects.items()):
            if key in seen.items:
                assert json.loads(seen.items[key]) == json.loads(value)
        assert not faults_of(seen.events, cluster.ever)
        assert seen.needed.guarded.removals.hold_count == 0


def _is_settled(seen: Watched) -> bool:
    values = {key: values[-1] for key, values in seen.cluster.ever.items()}
    return not seen.needed.nodes.is_pending and all(
        seen.items.get(key) in (None, value) for key, value in values.items()
    )
