"""Fills an API server, and keeps its nodes reporting as kubelets do."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

import httpx2

from tests.bench.kubernetes import objects
from tests.bench.kubernetes.objects import Object
from tests.support.kube_apiserver import ADMIN, KubeApi

WORKERS: Final = 24  # requests at once
PATCH: Final = "application/strategic-merge-patch+json"
NODES: Final = "/api/v1/nodes"
LOCAL: Final = 250  # nodes with addresses of this machine; daemons can be any of them
_ATTEMPTS: Final = 5  # of each request

Request = tuple[str, str, Object, str]  # method, path, body, who is the field's manager
Say = Callable[[str], None]


class Cluster(NamedTuple):
    """How large a cluster is.

    Attributes:
        nodes: How many.
        blocks: Block affinities of each.
        network: First three octets of loopback addresses for the first nodes.
        port: On which nodes listen.
    """

    nodes: int
    blocks: int
    network: str
    port: int

    def address(self, number: int) -> str:
        """Return a node's address; those of the first nodes can be bound here."""
        if number < LOCAL:
            return f"{self.network}.{number + 1}"
        return f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Writer:
    """Writes to the API as its administrator.

    Args:
        api: Runs.
    """

    def __init__(self, api: KubeApi) -> None:
        self._http = httpx2.AsyncClient(
            base_url=api.url,
            verify=False,  # of a certificate that the server makes itself
            headers={"Authorization": f"Bearer {ADMIN}"},
            timeout=60,
            limits=httpx2.Limits(max_connections=WORKERS),
        )
        self.written = 0

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def fill(self, cluster: Cluster, say: Say) -> None:
        """Create all objects of a cluster."""
        path_of = KubeApi.path_of
        for each in objects.settings(cluster.port):
            await self._send(("POST", path_of(each), each, "calicoctl"))
        started = time.monotonic()
        await self._send_all(_of_nodes(cluster))
        passed = time.monotonic() - started
        say(f"{self.written:,} objects and annotations written in {passed:.0f} s")

    async def _send_all(self, requests: Iterable[Request]) -> None:
        waiting = iter(requests)

        async def work() -> None:
            for request in waiting:
                await self._send(request)

        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(work())

    async def _send(self, request: Request) -> None:
        method, path, body, manager = request
        kind = PATCH if method == "PATCH" else "application/json"
        for attempt in range(1, _ATTEMPTS + 1):
            answer = await self._http.request(
                method,
                path,
                params={"fieldManager": manager},
                json=body,
                headers={"Content-Type": kind},
            )
            if answer.status_code in (200, 201):
                self.written += 1
                return
            if attempt == _ATTEMPTS:
                said = answer.text[:300]
                raise RuntimeError(f"{method} {path}: {answer.status_code} {said}")
            await asyncio.sleep(0.5 * attempt)  # it is busy, or has just started

    async def report(self, cluster: Cluster, rate: float, seconds: float) -> int:
        """Let nodes report their status in turn; return how often.

        Args:
            cluster: Whose nodes.
            rate: Reports a second, evenly spread.
            seconds: For so long.
        """
        time_now = asyncio.get_running_loop().time
        started, count = time_now(), 0
        async with asyncio.TaskGroup() as group:
            while (due := started + count / rate) < started + seconds:
                await asyncio.sleep(max(0.0, due - time_now()))
                path = f"{NODES}/{objects.node_name(count % cluster.nodes)}/status"
                body = objects.heartbeat_of(_now())
                group.create_task(self._send(("PATCH", path, body, "kubelet")))
                count += 1
        return count


def _of_nodes(cluster: Cluster) -> Iterator[Request]:
    for number in range(cluster.nodes):
        address = cluster.address(number)
        yield "POST", NODES, objects.node(number, address, _now()), "kubelet"
        for each in objects.affinities(number, cluster.blocks):
            yield "POST", KubeApi.path_of(each), each, "calico-node"
        if number >= LOCAL:
            continue  # of these no IPAM block is ever read
        for each in objects.ipam_blocks(number, cluster.blocks):
            yield "POST", KubeApi.path_of(each), each, "calico-node"
    for number in range(cluster.nodes):
        name, address = objects.node_name(number), cluster.address(number)
        annotations = objects.calico_annotations(number, address)
        yield "PATCH", f"{NODES}/{name}/status", annotations, "calico-node"
