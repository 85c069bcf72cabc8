"""What reading costs an API server: its own audit log counts requests, a relay octets."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from bgpd.calico.keys import affinity_key
from bgpd.calico.kubernetes_objects import GROUP_V1, hostname_hash
from bgpd.datastore.kubernetes import Access, KubernetesDatastore
from bgpd.datastore.needed import NeededNodes
from tests.bench.kubernetes.relay import Counts, Relay
from tests.support.calico_cases import a_node, an_object, settings
from tests.support.datastores import Follower
from tests.support.kube_apiserver import DAEMON, READS, KubeApi, in_thread, missing
from tests.support.kubernetes_objects import (
    Object,
    custom_resource,
    kubernetes_node,
    labelled_affinity,
)

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.asyncio,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
    pytest.mark.timeout(300),
]

OWN, NODES, REFLECTORS = "n0", 40, 3
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["ResponseStarted", "ResponseComplete"],
    "rules": [{"level": "Metadata", "users": ["pybgpd"]}, {"level": "None"}],
}
IMAGES = [
    {"names": [f"registry.example/image-{number}@sha256:{number:064x}"], "sizeBytes": 1}
    for number in range(100)
]  # ten kilobytes, as a node of some age has them


class Server:
    """An API server with a cluster, its audit log, and a relay before it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "audit.log"
        policy = folder / "policy.yaml"
        policy.write_text(yaml.safe_dump(POLICY))
        self.api = KubeApi(folder / "k")
        self.api.more_arguments = (
            f"--audit-log-path={self.log}",
            f"--audit-policy-file={policy}",
        )
        self._read = 0

    def fill(self) -> None:
        self.api.make_kinds(GROUP_V1)
        self.api.grant(*READS)
        for number in range(NODES):
            self.api.apply(node(number))
            images = {"status": {"images": IMAGES}}
            self._patch(f"n{number}", images)
        self.api.apply(
            custom_resource(settings(nodeToNodeMeshEnabled=False), GROUP_V1),
            custom_resource(
                an_object(
                    "BGPPeer", "rr", nodeSelector="all()", peerSelector="rr == 'true'"
                ),
                GROUP_V1,
            ),
        )

    def heartbeat(self, count: int) -> None:
        """Let every node report its status, as kubelets do."""
        for number in range(NODES):
            condition = {
                "type": "Ready",
                "status": "True",
                "lastHeartbeatTime": f"2026-11-30T10:{count // 60:02}:{count % 60:02}Z",
            }
            self._patch(f"n{number}", {"status": {"conditions": [condition]}})

    def _patch(self, name: str, content: Object) -> None:
        answer = self.api.http.patch(
            f"/api/v1/nodes/{name}/status",
            content=json.dumps(content),
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
        assert answer.status_code == 200, answer.text

    def requests(self) -> list[tuple[str, str, dict[str, str]]]:
        """Return the daemon's requests since the last time: verb, path, parameters."""
        lines = self.log.read_bytes().split(b"\n")[:-1] if self.log.exists() else []
        new, self._read = lines[self._read :], len(lines)
        found = []
        for line in new:
            event = json.loads(line)
            parts = urlsplit(event["requestURI"])
            query = {key: some[0] for key, some in parse_qs(parts.query).items()}
            found.append((event["verb"], parts.path, query))
        return found

    @asynccontextmanager
    async def relay(self) -> AsyncGenerator[tuple[Access, Counts], None]:
        """Yield credentials for the server behind a relay, and what passes it."""
        relay = Relay(self.api.port)
        port = await relay.listen()
        file = self.api.kubeconfig(DAEMON)
        own = file.with_name("kubeconfig-relay")
        own.write_text(file.read_text().replace(f":{self.api.port}", f":{port}"))
        try:
            yield Access(str(own)), relay.counts[0]
        finally:
            await relay.close()


def node(number: int) -> Object:
    labels = {"rr": "true"} if 0 < number <= REFLECTORS else {}
    made = a_node(f"n{number}", f"10.0.0.{number + 1}", labels=labels)
    return kubernetes_node(made)


class Needed(KubernetesDatastore):
    """Needed Nodes alone, as the daemon reads them."""

    def __init__(self, access: Access) -> None:
        super().__init__(access, OWN, needs_only=True)

    def events(self):
        return NeededNodes(self, OWN).events(super().events())


def node_events(seen: Follower) -> int:
    nodes = seen.datastore.status.nodes
    return 0 if nodes is None else nodes.events


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("k"))
    with made.api:
        made.fill()
        yield made


async def test_all_nodes_are_one_list_of_metadata_from_the_cache_and_one_watch(
    server: Server,
) -> None:
    server.requests()
    whole = len((await in_thread(server.api.http.get, "/api/v1/nodes")).content)
    async with (
        server.relay() as (access, passed),
        Follower(KubernetesDatastore(access, OWN)) as seen,
    ):
        await seen.until(lambda s: s.datastore.status.is_connected, 60)
        asked = server.requests()
        nodes = [(verb, q) for verb, path, q in asked if path == "/api/v1/nodes"]
        assert [verb for verb, _ in nodes] == ["list", "watch"]
        assert nodes[0][1]["resourceVersion"] == "0"
        assert nodes[1][1]["allowWatchBookmarks"] == "true"
        assert sum(verb == "list" for verb, *_ in asked) == 9
        assert sum(verb == "watch" for verb, *_ in asked) == 9
        assert {q.get("resourceVersion") for v, _, q in asked if v == "list"} == {"0"}
        selectors = {
            q.get("labelSelector", "")
            for _, path, q in asked
            if path.endswith("/blockaffinities")
        }
        assert selectors == {
            f"projectcalico.org/hostname-hash={hostname_hash(OWN)}",
            "!projectcalico.org/affinity-type",
        }
        assert passed.received < whole / 2  # everything else of the start included

        before, octets = len(seen.events), passed.received
        await in_thread(server.heartbeat, 1)
        await seen.until(lambda s: node_events(s) >= NODES, 60)
        heartbeats = passed.received - octets
        # Each of them is metadata: none has an image's name in it.
        assert heartbeats < NODES * len(json.dumps(IMAGES)) / 2

        await in_thread(server.api.apply, labelled_affinity("n9", "10.244.9.0/26"))
        await in_thread(server.api.apply, labelled_affinity(OWN, "10.244.0.0/26"))
        await seen.until(lambda s: affinity_key(OWN, "10.244.0.0/26") in s.items)
        assert len(seen.events) == before + 1  # of all heartbeats and affinities
        assert server.requests() == []


async def test_needed_nodes_cost_a_list_each_and_no_heartbeat_of_others(
    server: Server,
) -> None:
    server.requests()
    async with server.relay() as (access, passed), Follower(Needed(access)) as seen:
        await seen.until(lambda s: bool(s.events), 60)
        await seen.until(lambda s: s.datastore.status.is_connected, 60)
        nodes = [
            (verb, q.get("fieldSelector", q.get("labelSelector", "")))
            for verb, path, q in server.requests()
            if path == "/api/v1/nodes"
        ]
        own, reflectors = f"metadata.name={OWN}", "rr in (true)"
        assert sorted(nodes) == [
            ("list", ""),  # the check
            ("list", own),
            ("list", reflectors),
            ("watch", own),
            ("watch", reflectors),
        ]
        read = len([k for k in seen.items if "/nodes/" in k])
        assert read == 1 + REFLECTORS
        before, octets = len(seen.events), passed.received
        for count in range(3):
            await in_thread(server.heartbeat, count + 2)
        await in_thread(server.api.apply, labelled_affinity(OWN, "10.244.0.64/26"))
        await seen.until(lambda s: affinity_key(OWN, "10.244.0.64/26") in s.items)
        expected = 3 * (1 + REFLECTORS)
        await seen.until(lambda s: node_events(s) >= expected, 60)
        assert node_events(seen) == expected
        assert len(seen.events) == before + 1
        assert passed.received - octets < 60_000  # 12 events and bookmarks
        assert server.requests() == []
