"""Kubernetes' API as a datastore, beside a real API server on a real etcd."""

import asyncio
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpd.calico.events import Snapshot
from bgpd.calico.keys import affinity_key, resource_key
from bgpd.calico.kubernetes_objects import (
    ANNOTATION,
    GROUP_V1,
    GROUP_V3,
    RESOURCES,
    hostname_hash,
)
from bgpd.cli.doctor import datastore_checks
from bgpd.config.loader import load
from bgpd.datastore.kubernetes import Access, KubernetesDatastore
from bgpd.datastore.kubernetes import following as following_module
from bgpd.datastore.kubernetes import source as source_module
from bgpd.datastore.kubernetes.query import Query
from tests.support.calico_cases import a_node
from tests.support.daemons import Daemon, write_yaml
from tests.support.datastores import Follower
from tests.support.kube_apiserver import DAEMON, READS, KubeApi, in_thread, missing
from tests.support.kubernetes_objects import (
    block_affinity,
    kubernetes_node,
    labelled_affinity,
    resource,
)
from tests.support.speakers import own_network

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.asyncio,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
    pytest.mark.timeout(300),
]

OWN, OTHER = "n1", "n2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """One server for tests that leave it as it was: each has objects of its own."""
    with KubeApi(tmp_path_factory.mktemp("k")) as api:
        api.make_kinds(GROUP_V1)
        api.grant(*READS)
        yield api


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[KubeApi]:
    """A server for a test that stops it, or takes something away."""
    with KubeApi(tmp_path / "k") as api:
        api.grant(*READS)
        yield api


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.FIRST_DELAY", 0.05)
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.MAX_DELAY", 0.5)
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.RELIST_SPREAD", 0.2)
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.ABSENT_DELAY", 0.5)
    monkeypatch.setattr(source_module, "GROUP_LOOK", 0.5)
    monkeypatch.setattr(source_module, "GROUP_LOOK_SOON", 0.2)
    monkeypatch.setattr(following_module, "LINGER", 1.0)


def datastore(api: KubeApi, **more: object) -> KubernetesDatastore:
    access = Access(str(api.kubeconfig(DAEMON)))
    return KubernetesDatastore(access, OWN, **more)  # type: ignore[arg-type]


async def test_the_label_of_a_node_is_as_calico_computes_it() -> None:
    assert hostname_hash("node1") == (
        "7DS2CCNJGGLTHBDQLLFO6SX24SY2YDDEG3W2VN556FA2W4DLLV5A"
    )
    assert hostname_hash("ip-10-0-0-1.ec2.internal") == (
        "NPOH4TXXWABNDACH6GUCD3OGLUKARAAB6FF5L75VWAWUC2DY7CCA"
    )


async def test_objects_become_what_etcd_would_have(server: KubeApi) -> None:
    objects = (
        kubernetes_node(a_node("n1", "10.0.0.1", asNumber=64512, labels={"a": "b"})),
        kubernetes_node(a_node("n2", "10.0.0.2"), calico_labels=True),
        resource("IPPool", "pool", cidr="10.244.0.0/16"),
        resource("BGPPeer", "rr", peerIP="10.0.0.9", asNumber=64512),
        labelled_affinity("n1", "10.244.0.0/26"),
        labelled_affinity("n1", "10.244.0.64/26", deleted="true"),
        labelled_affinity("n2", "10.244.1.0/26"),  # of another node: not asked for
        block_affinity("n1", "10.244.0.128/26", "pending", GROUP_V1),  # no labels
        block_affinity("n2", "10.244.2.0/26", "confirmed", GROUP_V1),
    )
    await in_thread(server.apply, *objects)
    try:
        async with Follower(datastore(server)) as follower:
            await follower.until(lambda seen: bool(seen.events), 60)
            assert isinstance(follower.events[0], Snapshot)
            keys = follower.items.keys()
            assert keys == {
                resource_key("Node", "n1"),
                resource_key("Node", "n2"),
                resource_key("IPPool", "pool"),
                resource_key("BGPPeer", "rr"),
                affinity_key("n1", "10.244.0.0/26"),
                affinity_key("n1", "10.244.0.128/26"),
                affinity_key("n2", "10.244.2.0/26"),
            }
            node = json.loads(follower.items[resource_key("Node", "n1")])
            assert node["spec"]["bgp"]["asNumber"] == "64512"
            assert node["metadata"]["labels"] == {"a": "b"}
            await follower.until(lambda seen: seen.datastore.status.is_connected, 60)

            objects[3]["spec"]["asNumber"] = 64513
            await in_thread(
                server.apply, objects[3], labelled_affinity("n1", "fd00::/122")
            )
            await in_thread(server.delete, objects[4])
            await follower.until(
                lambda seen: (
                    affinity_key("n1", "fd00::/122") in seen.items
                    and affinity_key("n1", "10.244.0.0/26") not in seen.items
                    and b"64513" in seen.items[resource_key("BGPPeer", "rr")]
                )
            )
    finally:
        await in_thread(server.delete, *objects[:4], *objects[5:])
        await in_thread(server.delete, labelled_affinity("n1", "fd00::/122"))


async def test_a_heartbeat_is_not_an_event(server: KubeApi) -> None:
    node = kubernetes_node(a_node("n1", "10.0.0.1"))
    pool = resource("IPPool", "pool", cidr="10.244.0.0/16")
    await in_thread(server.apply, node, pool)
    try:
        async with Follower(datastore(server)) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected, 60)
            count = len(follower.events)
            for number in range(5):
                node["metadata"]["annotations"]["heartbeat"] = str(number)
                await in_thread(server.apply, node)
            await in_thread(server.apply, resource("IPPool", "p", cidr="10.9.0.0/16"))
            await follower.until(lambda seen: resource_key("IPPool", "p") in seen.items)
            assert len(follower.events) == count + 1
    finally:
        await in_thread(server.delete, node, pool, resource("IPPool", "p"))


async def test_an_affinity_that_is_given_its_labels_does_not_go(
    server: KubeApi,
) -> None:
    old = block_affinity("n1", "10.244.0.0/26", "confirmed", GROUP_V1)
    await in_thread(server.apply, old)
    try:
        async with Follower(datastore(server)) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected, 60)
            await in_thread(server.apply, labelled_affinity("n1", "10.244.0.0/26"))
            await in_thread(server.apply, labelled_affinity("n1", "10.244.9.0/26"))
            await follower.until(
                lambda seen: affinity_key("n1", "10.244.9.0/26") in seen.items
            )
            await asyncio.sleep(following_module.LINGER * 2)
            key = affinity_key("n1", "10.244.0.0/26")
            assert key in follower.items
            assert all(key not in getattr(e, "deletes", ()) for e in follower.events)
            await in_thread(server.delete, old)
            await follower.until(lambda seen: key not in seen.items)
    finally:
        await in_thread(server.delete, labelled_affinity("n1", "10.244.9.0/26"))


def reads_of_etcd(api: KubeApi) -> float:
    """Return how often the server has read ranges of keys from etcd."""
    lines = api.http.get("/metrics").text.splitlines()
    name = "etcd_request_duration_seconds_count"
    found = [line for line in lines if line.startswith(name) and '"list' in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


async def test_a_question_about_a_version_costs_the_server_one_object(
    server: KubeApi,
) -> None:
    blocks = [labelled_affinity("n2", f"10.244.{n}.0/26") for n in range(40)]
    await in_thread(server.apply, *blocks)
    selected = "!projectcalico.org/affinity-type"  # selects none of them
    path = f"apis/{GROUP_V1}/blockaffinities"
    query = Query("BlockAffinity", path, "", selected, reads_cache=True)
    try:
        async with Access(str(server.kubeconfig(DAEMON))).connect() as api:
            pieces = [piece async for piece in api.cached(query, "0")]
            before = await in_thread(reads_of_etcd, server)
            assert await api.knows(query, pieces[-1].version)
            assert await in_thread(reads_of_etcd, server) - before < 10
    finally:
        await in_thread(server.delete, *blocks)


@pytest.mark.parametrize("how", ["server", "etcd", "both"])
async def test_an_outage_changes_nothing_and_is_caught_up_with(
    own_server: KubeApi, how: str
) -> None:
    api = own_server
    await in_thread(api.make_kinds, GROUP_V1)
    blocks = [f"10.244.{number}.0/26" for number in range(6)]
    await in_thread(
        api.apply, *(labelled_affinity("n1", block) for block in blocks[:4])
    )
    await in_thread(api.apply, kubernetes_node(a_node("n1", "10.0.0.1")))
    async with Follower(datastore(api)) as follower:
        await follower.until(lambda seen: seen.datastore.status.is_connected, 60)
        before, count = dict(follower.items), len(follower.events)
        names = {"server": ("api",), "etcd": ("etcd",), "both": ("api", "etcd")}[how]
        for name in names:
            await in_thread(api.stop, name, signal.SIGKILL)
        if how != "etcd":
            await follower.until(lambda seen: not seen.datastore.status.is_connected)
        else:
            await asyncio.sleep(2)
        assert (follower.items, len(follower.events)) == (before, count)
        if "etcd" in names:
            await in_thread(api.start_etcd)
        if "api" in names:
            await in_thread(api.start)
        await in_thread(api._wait_for, f"/apis/{GROUP_V1}/blockaffinities")
        await in_thread(api.apply, labelled_affinity("n1", blocks[4]))
        await in_thread(api.delete, labelled_affinity("n1", blocks[0]))
        wanted = {affinity_key("n1", block) for block in blocks[1:5]}
        await follower.until(
            lambda seen: {k for k in seen.items if "/block/" in k} == wanted, 60
        )
        assert resource_key("Node", "n1") in follower.items


async def test_rights_that_are_taken_away_withdraw_nothing(
    server: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.WATCH_TIME", 2)
    objects = (
        kubernetes_node(a_node("n1", "10.0.0.1")),
        resource("IPPool", "pool", cidr="10.244.0.0/16"),
        labelled_affinity("n1", "10.244.0.0/26"),
    )
    await in_thread(server.apply, *objects)
    try:
        async with Follower(datastore(server)) as follower:
            for left in (["get", "list"], ["get"], ["create"]):
                await follower.until(
                    lambda seen: seen.datastore.status.is_connected, 60
                )
                before, count = dict(follower.items), len(follower.events)
                await in_thread(server.grant, *(r | {"verbs": left} for r in READS))
                await follower.until(lambda seen: kinds_refused(seen) == KINDS, 60)
                (line,) = follower.datastore.status.warnings
                assert "forbidden" in line
                assert line.endswith("stays in force until the role grants it")
                assert not follower.datastore.status.is_connected
                assert (follower.items, len(follower.events)) == (before, count)
                await in_thread(server.grant, *READS)
    finally:
        await in_thread(server.grant, *READS)
        await in_thread(server.delete, *objects)


KINDS = {"Node", *RESOURCES}


def kinds_refused(follower: Follower) -> set[str]:
    """Return the kinds that a warning about the role names."""
    lines = [w for w in follower.datastore.status.warnings if ": 403: " in w]
    return {kind for line in lines for kind in line.split(": ")[0].split(", ")}


async def test_a_kind_that_goes_is_waited_for(own_server: KubeApi) -> None:
    api = own_server
    await in_thread(api.make_kinds, GROUP_V1)
    pool = resource("IPPool", "pool", cidr="10.244.0.0/16")
    await in_thread(api.apply, pool, labelled_affinity("n1", "10.244.0.0/26"))
    async with Follower(datastore(api)) as follower:
        await follower.until(lambda seen: seen.datastore.status.is_connected, 60)
        before = dict(follower.items)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        await in_thread(api._send, "DELETE", f"{path}/ippools.{GROUP_V1.split('/')[0]}")
        await follower.until(
            lambda seen: any("IPPool" in w for w in seen.datastore.status.warnings), 60
        )
        kept = {k: v for k, v in before.items() if "ippools" not in k}
        assert kept.items() <= follower.items.items()
        await in_thread(lambda: api.make_kinds(GROUP_V1, kinds=("IPPool",)))
        await in_thread(api.apply, pool)
        await follower.until(
            lambda seen: seen.datastore.status.is_connected and seen.items == before,
            60,
        )


async def test_a_kind_that_the_cluster_has_not_is_done_without(
    own_server: KubeApi,
) -> None:
    api = own_server
    kinds = ("BGPConfiguration", "BGPPeer", "IPPool", "BlockAffinity")
    await in_thread(lambda: api.make_kinds(GROUP_V1, kinds=kinds))
    await in_thread(api.apply, labelled_affinity("n1", "10.244.0.0/26"))
    async with Follower(datastore(api)) as follower:
        await follower.until(lambda seen: bool(seen.events), 60)
        assert affinity_key("n1", "10.244.0.0/26") in follower.items
        await in_thread(lambda: api.make_kinds(GROUP_V1, kinds=("BGPFilter",)))
        await in_thread(api.apply, resource("BGPFilter", "f", exportV4=[]))
        await follower.until(
            lambda seen: resource_key("BGPFilter", "f") in seen.items, 60
        )


async def test_a_migration_moves_to_the_other_group_at_once(
    own_server: KubeApi,
) -> None:
    api = own_server
    await in_thread(api.make_kinds, GROUP_V1)
    old = [
        labelled_affinity("n1", "10.244.0.0/26"),
        resource("IPPool", "pool", cidr="10.244.0.0/16"),
        resource("ClusterInformation", "default", datastoreReady=True),
    ]
    await in_thread(api.apply, kubernetes_node(a_node("n1", "10.0.0.1")), *old)
    async with Follower(datastore(api)) as follower:
        await follower.until(lambda seen: seen.datastore.status.is_connected, 60)
        before = dict(follower.items)
        old[2]["spec"]["datastoreReady"] = False  # locked
        await in_thread(api.apply, old[2])
        await in_thread(api.make_kinds, GROUP_V3)
        new = [each | {"apiVersion": GROUP_V3} for each in old]
        await in_thread(api.apply, *new)
        assert follower.datastore._group == GROUP_V1  # type: ignore[attr-defined]
        new[2]["spec"]["datastoreReady"] = True
        new[2]["spec"]["calicoVersion"] = "v3.34.0"
        await in_thread(api.apply, new[2])
        await follower.until(lambda seen: seen.datastore.status.snapshots == 2, 60)
        information = resource_key("ClusterInformation", "default")
        assert {k for k in before if before[k] != follower.items.get(k)} == {
            information
        }
        moved = labelled_affinity("n1", "10.244.5.0/26") | {"apiVersion": GROUP_V3}
        await in_thread(api.apply, moved)
        await follower.until(
            lambda seen: affinity_key("n1", "10.244.5.0/26") in seen.items
        )
        for kind in ("ippools", "blockaffinities"):
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            await in_thread(api._send, "DELETE", f"{path}/{kind}.crd.projectcalico.org")
        await in_thread(
            api.apply,
            labelled_affinity("n1", "10.244.6.0/26") | {"apiVersion": GROUP_V3},
        )
        await follower.until(
            lambda seen: affinity_key("n1", "10.244.6.0/26") in seen.items
        )
        assert before.keys() <= follower.items.keys()


async def test_random_changes_and_restarts_end_in_what_the_api_has(
    own_server: KubeApi,
) -> None:
    api, rng = own_server, random.Random(7)
    await in_thread(api.make_kinds, GROUP_V1)
    there: dict[str, bool] = {}
    async with Follower(datastore(api)) as follower:
        await follower.until(lambda seen: bool(seen.events), 60)
        for step in range(60):
            cidr = f"10.244.{rng.randrange(20)}.0/26"
            if there.get(cidr) and rng.random() < 0.5:
                await in_thread(api.delete, labelled_affinity("n1", cidr))
                there[cidr] = False
            else:
                state = rng.choice(("confirmed", "pending"))
                await in_thread(api.apply, labelled_affinity("n1", cidr, state))
                there[cidr] = True
            if step in (20, 40):
                await in_thread(api.stop, "api", signal.SIGKILL)
                await in_thread(api.start)
                await in_thread(api._wait_for, f"/apis/{GROUP_V1}/blockaffinities")
        wanted = {
            affinity_key("n1", cidr) for cidr, is_there in there.items() if is_there
        }
        await follower.until(lambda seen: set(seen.items) == wanted, 60)
        path = f"/apis/{GROUP_V1}/blockaffinities"
        for item in (await in_thread(api.http.get, path)).json()["items"]:
            key = affinity_key("n1", item["spec"]["cidr"])
            assert json.loads(follower.items[key])["state"] == item["spec"]["state"]


PORT = 17926


def a_daemon(folder: Path, api: KubeApi, network: str, number: int) -> Daemon:
    folder = folder / f"n{number}"
    folder.mkdir(exist_ok=True)
    content = {
        "node": {"name": f"n{number}"},
        "bgp": {"listen": {"addresses": [f"{network}.{number}"]}},
        "datastore": {
            "type": "kubernetes",
            "saved_state": str(folder / "lib" / "datastore.json"),
        },
        "kubernetes": {
            "kubeconfig": str(api.kubeconfig(DAEMON)),
            "endpoint_status": "",
        },
        "bird": {"ipv4": "", "ipv6": ""},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control.sock")},
    }
    file = write_yaml(folder / "pybgpd.yaml", content)
    return Daemon(folder, "run", "--config", str(file))


async def test_two_nodes_of_a_cluster_learn_each_others_blocks(
    server: KubeApi, tmp_path: Path
) -> None:
    network = own_network()
    nodes = [kubernetes_node(a_node(f"n{n}", f"{network}.{n}")) for n in (1, 2)]
    objects = (
        *nodes,
        resource("BGPConfiguration", "default", listenPort=PORT),
        resource("IPPool", "pool", cidr="10.244.0.0/16"),
        labelled_affinity("n1", "10.244.1.0/26"),
        labelled_affinity("n2", "10.244.2.0/26"),
    )

    def scenario() -> None:
        server.apply(*objects)
        with (
            a_daemon(tmp_path, server, network, 1) as one,
            a_daemon(tmp_path, server, network, 2) as two,
        ):
            one.until(lambda: one.are_up(f"{network}.2"), 60)
            one.until(lambda: "10.244.2.0/26" in one.prefixes(), 60)
            two.until(lambda: "10.244.1.0/26" in two.prefixes(), 60)
            nodes[1]["metadata"]["annotations"][f"{ANNOTATION}ASNumber"] = "abc"
            server.apply(nodes[1])
            wanted = "Node n2, annotation projectcalico.org/ASNumber"
            one.until(lambda: wanted in one.log(), 60)
            one.until(lambda: one.are_up(f"{network}.2"))
            (status,) = one.ask("show-status")
            assert status["datastore"]["kind"] == "kubernetes"
            server.delete(labelled_affinity("n2", "10.244.2.0/26"))
            one.until(lambda: "10.244.2.0/26" not in one.prefixes(), 60)
            assert "Traceback" not in one.log() + two.log()

    try:
        await in_thread(scenario)
    finally:
        await in_thread(server.delete, *objects[:-1])


async def test_nodes_that_start_while_the_api_is_away_have_their_blocks_and_peers(
    own_server: KubeApi, tmp_path: Path
) -> None:
    api, network = own_server, own_network()
    objects = (
        *(kubernetes_node(a_node(f"n{n}", f"{network}.{n}")) for n in (1, 2)),
        resource("BGPConfiguration", "default", listenPort=PORT),
        labelled_affinity("n1", "10.244.1.0/26"),
        labelled_affinity("n2", "10.244.2.0/26"),
    )

    def are_joined(one: Daemon, two: Daemon) -> None:
        one.until(lambda: "10.244.2.0/26" in one.prefixes(), 60)
        two.until(lambda: "10.244.1.0/26" in two.prefixes(), 60)

    def scenario() -> None:
        api.make_kinds(GROUP_V1)
        api.apply(*objects)
        with (
            a_daemon(tmp_path, api, network, 1) as one,
            a_daemon(tmp_path, api, network, 2) as two,
        ):
            are_joined(one, two)
            for number in (1, 2):
                file = tmp_path / f"n{number}" / "lib" / "datastore.json"
                one.until(file.exists, 60)
        for name in ("api", "etcd"):
            api.stop(name, signal.SIGKILL)
        with (
            a_daemon(tmp_path, api, network, 1) as one,
            a_daemon(tmp_path, api, network, 2) as two,
        ):
            are_joined(one, two)
            (status,) = one.ask("show-status")
            assert status["datastore"]["saved_at"]
            api.start_etcd()
            api.start()
            api.apply(labelled_affinity("n2", "10.244.9.0/26"))
            one.until(lambda: "10.244.9.0/26" in one.prefixes(), 60)
            (status,) = one.ask("show-status")
            assert not status["datastore"]["saved_at"]
            assert "10.244.2.0/26" in one.prefixes()

    await in_thread(scenario)


async def test_the_doctor_reads_the_api_and_its_clock(
    server: KubeApi, tmp_path: Path
) -> None:
    def examined(token: str) -> list[str]:
        file = write_yaml(
            tmp_path / "pybgpd.yaml",
            {
                "node": {"name": OWN},
                "datastore": {"type": "kubernetes"},
                "kubernetes": {"kubeconfig": str(server.kubeconfig(token))},
            },
        )
        settings = load(file, environment={}).settings
        checks = (datastore_checks.datastore, datastore_checks.clock)
        found = [each for check in checks for each in check(settings)]
        return [f"{each.verdict}: {each.text}" for each in found]

    objects, clock = await asyncio.to_thread(examined, DAEMON)
    assert objects.startswith("ok: kubernetes: ")
    assert objects.endswith(" objects can be read")
    assert clock == "ok: that of the Kubernetes API, within 2 s"
    objects, _ = await asyncio.to_thread(examined, "wrong")
    assert objects.startswith("fault: ")
    assert "401" in objects or "nauthorized" in objects
