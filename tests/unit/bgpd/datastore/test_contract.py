"""What every datastore does, run on each of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from bgpd.calico.events import Changes, Snapshot
from bgpd.calico.keys import affinity_key, resource_key
from bgpd.datastore.etcd import EtcdDatastore, EtcdWriter
from bgpd.datastore.folder import FolderDatastore, FolderWriter
from bgpd.datastore.guarded import GuardedDatastore
from bgpd.datastore.memory import MemoryDatastore
from bgpd.datastore.model import Datastore, DatastoreError, Writer
from tests.etcd.servers import IS_INSTALLED, cluster
from tests.support.datastores import Follower
from tests.support.manifests import affinity, node, resource

pytestmark = pytest.mark.asyncio

Pair = tuple[Datastore, Writer]

KINDS = [
    "memory",
    "guarded",
    "folder",
    pytest.param(
        "etcd",
        marks=[
            pytest.mark.etcd,
            pytest.mark.slow,
            pytest.mark.skipif(not IS_INSTALLED, reason="etcd-server is not installed"),
        ],
    ),
]


@pytest_asyncio.fixture(params=KINDS)
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    with ExitStack() as stack:
        if request.param == "memory":
            memory = MemoryDatastore()
            yield memory, memory
        elif request.param == "guarded":
            memory = MemoryDatastore()
            yield GuardedDatastore(memory, "n1", 0), memory
        elif request.param == "folder":
            folder = tmp_path / "manifests"
            folder.mkdir()
            yield FolderDatastore(folder, debounce=0.01), FolderWriter(folder)
        else:
            one = stack.enter_context(cluster(tmp_path))
            await one.start()
            yield EtcdDatastore(one.settings), EtcdWriter(one.settings)


async def test_an_empty_source_gives_an_empty_snapshot(pair: Pair) -> None:
    datastore, _ = pair
    assert datastore.status.applied_revision == 0
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        assert isinstance(follower.events[0], Snapshot)
        assert follower.items == {}


async def test_what_was_there_before_is_in_the_snapshot(pair: Pair) -> None:
    datastore, writer = pair
    await writer.apply([node("n1", "10.0.0.1/24"), affinity("n1", "10.1.0.0/26")])
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        assert follower.items.keys() == {
            resource_key("Node", "n1"),
            affinity_key("n1", "10.1.0.0/26"),
        }
        await follower.until(lambda seen: seen.datastore.status.is_connected)
        await follower.until(
            lambda seen: (
                seen.datastore.status.applied_revision == seen.events[-1].revision
            )
        )
        assert datastore.status.snapshots == 1
        assert datastore.status.source


async def test_changes_come_after_the_snapshot(pair: Pair) -> None:
    datastore, writer = pair
    await writer.apply([node("n1", "10.0.0.1/24"), node("n2", "10.0.0.2/24")])
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.items) == 2)
        first = follower.items[resource_key("Node", "n1")]
        await writer.delete([node("n2")])
        await writer.apply(
            [node("n1", "10.0.0.9/24"), resource("BGPPeer", "p", peerIP="10.9.9.9")]
        )
        await follower.until(
            lambda seen: (
                seen.items.keys()
                == {resource_key("Node", "n1"), resource_key("BGPPeer", "p")}
                and seen.items[resource_key("Node", "n1")] != first
            )
        )
        assert all(isinstance(event, Changes) for event in follower.events[1:])
        revisions = [event.revision for event in follower.events]
        assert revisions == sorted(revisions)


async def test_deleting_what_is_absent_is_fine(pair: Pair) -> None:
    datastore, writer = pair
    await writer.delete([node("n1"), affinity("n1", "10.1.0.0/26")])
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        assert follower.items == {}


async def test_an_unknown_kind_cannot_be_written(pair: Pair) -> None:
    _, writer = pair
    with pytest.raises(DatastoreError, match="unknown kind Pod"):
        await writer.apply([resource("Pod", "p")])


async def test_a_new_consumer_begins_with_a_snapshot(pair: Pair) -> None:
    datastore, writer = pair
    await writer.apply([node("n1", "10.0.0.1/24")])
    for _ in range(2):
        async with aclosing(datastore.events()) as events:
            async with asyncio.timeout(10):
                event = await anext(events)
            assert isinstance(event, Snapshot)
            assert event.items.keys() == {resource_key("Node", "n1")}


async def test_many_writes_end_in_the_newest_state(pair: Pair) -> None:
    datastore, writer = pair
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        for i in range(50):
            await writer.apply([node(f"n{i % 5}", f"10.0.{i}.1/24")])
        await writer.delete([node("n0")])
        await follower.until(
            lambda seen: (
                seen.items.keys()
                == {resource_key("Node", f"n{i}") for i in range(1, 5)}
                and all(
                    f"10.0.{45 + i}.1/24".encode()
                    in seen.items[resource_key("Node", f"n{i}")]
                    for i in range(1, 5)
                )
            )
        )
