"""A cluster's objects move from etcd to Kubernetes, node by node and back: no route is lost."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bgpd.calico.keys import affinity_key, resource_key
from bgpd.calico.kubernetes_objects import GROUP_V1
from bgpd.datastore.etcd import EtcdWriter
from tests.etcd.servers import IS_INSTALLED, Cluster, cluster
from tests.support.calico_cases import a_node, an_object
from tests.support.carriers import carried
from tests.support.daemons import Daemon, write_yaml
from tests.support.kube_apiserver import READS, KubeApi, missing
from tests.support.kubernetes_objects import (
    block_affinity,
    custom_resource,
    kubernetes_node,
)
from tests.support.pairs import two_networks
from tests.support.routers import eventually, needs_root
from tests.support.watched_kernels import Node, watched

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.root,
    pytest.mark.slow,
    needs_root,
    pytest.mark.skipif(not IS_INSTALLED, reason="etcd-server is not installed"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
    pytest.mark.timeout(300),
]

ADDRESSES = ("10.0.1.11", "10.0.1.12")
BLOCKS = ("10.244.11.0/26", "10.244.12.0/26")
LATER = "10.244.13.0/26"


def resources(*, is_ready: bool) -> list[dict[str, Any]]:
    return [
        *(a_node(f"n{n}", f"{ADDRESSES[n]}/24") for n in (0, 1)),
        an_object("BGPConfiguration", "default", asNumber=64512),
        an_object("IPPool", "pool", cidr="10.244.0.0/16"),
        an_object("ClusterInformation", "default", datastoreReady=is_ready),
    ]


def fill_etcd(store: Cluster, *, is_ready: bool) -> None:
    items = {
        resource_key(each["kind"], each["metadata"]["name"]): json.dumps(each).encode()
        for each in resources(is_ready=is_ready)
    }
    state = json.dumps({"state": "confirmed", "deleted": False}).encode()
    items |= {affinity_key(f"n{n}", BLOCKS[n]): state for n in (0, 1)}
    asyncio.run(write(store, items))


async def write(store: Cluster, items: dict[str, bytes]) -> None:
    await EtcdWriter(store.settings).put(items)


def affinities(node: str, *blocks: str) -> list[dict[str, Any]]:
    return [block_affinity(node, cidr, "confirmed", GROUP_V1) for cidr in blocks]


def fill_kubernetes(api: KubeApi, *, is_ready: bool) -> None:
    """Do as ``calicoctl datastore migrate import`` does."""
    nodes, others = resources(is_ready=is_ready)[:2], resources(is_ready=is_ready)[2:]
    api.apply(
        *(kubernetes_node(each) for each in nodes),
        *(custom_resource(each, GROUP_V1) for each in others),
        *affinities("n0", BLOCKS[0]),
        *affinities("n1", BLOCKS[1]),
    )


class Nodes:
    """Two nodes, each with a daemon that may be ended and started."""

    def __init__(
        self,
        folder: Path,
        enters: list[tuple[str, ...]],
        kernels: list[Node],
        stores: dict[str, dict[str, Any]],
    ) -> None:
        self.kernels = kernels
        self._folder = folder
        self._enters = enters
        self._stores = stores
        self._daemons: dict[int, Daemon] = {}

    def start(self, number: int, kind: str) -> Daemon:
        """Start a node's daemon on a kind of datastore."""
        folder = self._folder / f"n{number}"
        folder.mkdir(exist_ok=True)
        content = {
            "node": {"name": f"n{number}"},
            "bgp": {"defaults": {"connect_retry_time": 1}},
            "bird": {"ipv4": "", "ipv6": ""},
            "graceful_restart": {"sweep_time": 60},
            "control": {"path": str(folder / "control.sock")},
            **self._stores[kind],
        }
        file = write_yaml(folder / "pybgpd.yaml", content)
        enter = self._enters[number]
        daemon = Daemon(folder, "run", "--config", str(file), prefix=enter)
        self._daemons[number] = daemon.__enter__()
        return daemon

    def move(self, number: int, kind: str) -> None:
        """End a daemon as kubelet does, start it on another datastore, wait for peace."""
        self.stop(number)
        daemon = self.start(number, kind)
        log_before = len(daemon.log())
        daemon.until(lambda: daemon.are_up(ADDRESSES[1 - number]), 60)
        daemon.until(lambda: "restart completed" in daemon.log()[log_before:], 60)
        daemon.until(
            lambda: (
                not daemon.ask("show-fib", state="stale")
                and set(BLOCKS) <= {row["prefix"] for row in daemon.ask("show-fib")}
            )
        )
        (status,) = daemon.ask("show-status")
        assert status["datastore"]["kind"] == kind
        assert self.all_forward()

    def stop(self, number: int) -> None:
        daemon = self._daemons.pop(number)
        daemon.process.terminate()
        assert daemon.ended(20) == 0

    def kill(self) -> None:
        for daemon in self._daemons.values():
            daemon.__exit__(None, None, None)

    def all_forward(self, *blocks: str) -> bool:
        return all(k.has(block) for k in self.kernels for block in blocks or BLOCKS)

    def log(self, number: int) -> str:
        return self._daemons[number].log()

    def lost(self) -> list[str]:
        return [line for kernel in self.kernels for line in kernel.lost()]


@contextmanager
def running(folder: Path, api: KubeApi, store: Cluster) -> Iterator[Nodes]:
    api_port, etcd_port = api.port, store.servers[0].client_port
    stores: dict[str, dict[str, Any]] = {
        "etcd": {
            "datastore": {"type": "etcd", "endpoints": [store.servers[0].endpoint]},
            "kubernetes": {"kubeconfig": str(api.kubeconfig()), "endpoint_status": ""},
        },
        "kubernetes": {
            "datastore": {"type": "kubernetes"},
            "kubernetes": {"kubeconfig": str(api.kubeconfig()), "endpoint_status": ""},
        },
    }
    prefixes = [f"{address}/24" for address in ADDRESSES]
    with (
        two_networks("store", *prefixes) as enters,
        watched(enters, folder) as kernels,
        carried(enters[0], api_port, etcd_port),
        carried(enters[1], api_port, etcd_port),
    ):
        nodes = Nodes(folder, enters, kernels, stores)
        try:
            yield nodes
        finally:
            nodes.kill()


def test_nodes_move_from_etcd_to_kubernetes_and_back(tmp_path: Path) -> None:
    with (
        KubeApi(tmp_path / "k") as api,
        cluster(tmp_path / "e") as store,
        running(tmp_path, api, store) as nodes,
    ):
        asyncio.run(store.start())
        api.make_kinds(GROUP_V1)
        api.grant(*READS)
        fill_etcd(store, is_ready=True)
        for number in (0, 1):
            nodes.start(number, "etcd")
        assert eventually(nodes.all_forward, timeout=60)
        # calicoctl datastore migrate lock, export, import: both are locked now.
        fill_etcd(store, is_ready=False)
        fill_kubernetes(api, is_ready=False)
        for number in (0, 1):
            nodes.move(number, "kubernetes")
        assert nodes.lost() == []
        # etcd goes, and the cluster lives on in Kubernetes.
        store.servers[0].stop()
        fill_kubernetes(api, is_ready=True)
        api.apply(*affinities("n1", LATER))
        assert eventually(lambda: nodes.all_forward(LATER), timeout=60)
        # The way back of one node, by objects as they were.
        asyncio.run(store.start())
        nodes.move(0, "etcd")
        assert nodes.lost() == []
        # It says that the cluster has moved on; those that moved with it do not.
        assert eventually(lambda: "this daemon reads etcd" in nodes.log(0), timeout=60)
        assert "this daemon reads etcd" not in nodes.log(1)
