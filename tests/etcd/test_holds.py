"""An etcd that lost its content, or comes back empty, ends no session of a daemon."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from bgpd.calico.keys import resource_key
from bgpd.datastore.etcd import EtcdWriter
from bgpd.datastore.manifests import item_of
from tests.etcd.servers import IS_INSTALLED, Cluster, cluster
from tests.support.meshes import OWN, Mesh
from tests.support.speakers import Rack, until

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.skipif(not IS_INSTALLED, reason="etcd-server is not installed"),
    pytest.mark.skipif(shutil.which("etcdctl") is None, reason="needs etcdctl"),
]
OTHERS = 6
OWN_NODE = resource_key("Node", "n0")


def wipe(endpoint: str) -> None:
    command = ["etcdctl", "--endpoints", endpoint, "del", "--prefix", "/calico/"]
    subprocess.run(command, check=True, capture_output=True, timeout=20)


async def start_empty(single: Cluster) -> None:
    """Let the member come back as one that never held anything."""
    (server,) = single.servers
    await asyncio.to_thread(server.stop)
    shutil.rmtree(server.folder / "data")
    await single.start()


def test_sessions_and_blocks_stay_whatever_happens_to_etcd(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Rack() as rack:
            with cluster(tmp_path) as single:
                await single.start()
                (endpoint,) = single.settings.endpoints
                mesh = Mesh(tmp_path, rack, {"type": "etcd", "endpoints": [endpoint]})
                writer = EtcdWriter(single.settings)
                objects = dict(map(item_of, mesh.objects(OTHERS)))
                await writer.put(objects)
                with mesh.daemon:
                    await mesh.start(OTHERS)
                    await lose(mesh, single, writer, objects)
                    assert mesh.is_whole()
                    assert mesh.resets == 0
                    await take_out(mesh, writer)

    async def lose(
        mesh: Mesh, single: Cluster, writer: EtcdWriter, objects: dict[str, bytes]
    ) -> None:
        (endpoint,) = single.settings.endpoints
        everything = {
            "own Node": 1,
            "other Nodes": OTHERS,
            "BGPConfiguration default": 1,
            "IPPools": 1,
            "own block affinities": 2,
        }
        await writer.remove([OWN_NODE])
        assert await mesh.held() == {"own Node": 1}
        await writer.put({OWN_NODE: objects[OWN_NODE]})
        await mesh.released()
        await asyncio.to_thread(wipe, endpoint)
        assert await mesh.held() == everything
        revision = await writer.put({"/calico/x": b""})
        await writer.compact(revision)
        await start_empty(single)
        await mesh.until_status(
            lambda s: (
                s["datastore"]["is_connected"] and s["datastore"]["snapshots"] > 1
            ),
            "etcd is not followed again",
        )
        assert await mesh.held() == everything
        await writer.put(objects)
        await mesh.released()
        await start_empty(single)  # this time nothing was held before
        assert await mesh.held() == everything
        assert mesh.daemon.log().count("implausible removal held") == 3
        await writer.put(objects)
        await mesh.released()

    async def take_out(mesh: Mesh, writer: EtcdWriter) -> None:
        await writer.remove([OWN_NODE])
        await mesh.held()
        assert mesh.is_whole()
        (answer,) = await mesh.ask("calico-confirm")
        assert answer["lines"] == ["datastore: own Node: applying the removal now"]
        await until(lambda: not any(n.is_up(mesh.addr(OWN)) for n in mesh.nodes))

    asyncio.run(scenario())
