"""A guarded datastore: events of its source, removals when they count."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import resource_key
from bgpd.datastore.guarded import LATE, GuardedDatastore
from bgpd.datastore.memory import MemoryDatastore
from tests.support.datastores import Follower
from tests.support.manifests import node
from tests.support.simnet import advance, on_virtual_time, stand_still
from tests.support.turns import turn

OWN = resource_key("Node", "n0")


class Clock:
    """Monotonic seconds that can be set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead


async def a_cluster(count: int) -> MemoryDatastore:
    memory = MemoryDatastore()
    await memory.apply([node(f"n{i}", f"10.0.0.{i + 1}/24") for i in range(count)])
    return memory


@on_virtual_time
async def test_a_removal_counts_once_it_is_confirmed() -> None:
    memory = await a_cluster(3)
    guarded = GuardedDatastore(memory, "n0", 3600)
    async with Follower(guarded) as follower:
        await follower.until(lambda seen: len(seen.items) == 3)
        await memory.delete([node("n0")])
        await memory.apply([node("n9", "10.0.0.99/24")])  # goes through meanwhile
        await follower.until(lambda seen: len(seen.items) == 4)
        assert [str(count) for count in guarded.confirm()] == ["own Node"]
        await follower.until(lambda seen: OWN not in seen.items)
        assert guarded.confirm() == ()


@on_virtual_time
async def test_a_hold_is_logged_once_and_ends_by_its_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    memory, clock = await a_cluster(3), Clock()
    guarded = GuardedDatastore(memory, "n0", 60, clock=clock)
    async with Follower(guarded) as follower:
        await follower.until(lambda seen: len(seen.items) == 3)
        await memory.delete([node(f"n{i}") for i in range(3)])
        await follower.until(lambda _: memory.status.lag_revisions == 0)
        clock.ahead += 5
        await memory.apply([node("n9", "10.0.0.99/24")])
        await follower.until(lambda _: bool(guarded.removals.holds))
        assert len(follower.items) == 4
        for _ in range(3):
            memory.compact()  # snapshots do not repeat the warning
            await follower.until(lambda _: memory.status.lag_revisions == 0)
        clock.ahead += 60
        await memory.apply([node("n9", "10.0.0.98/24")])
        await follower.until(lambda seen: len(seen.items) == 1)
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 2
    for text in ("own Node", "2 of 3 other Nodes", "60 s", "pybgpctl calico confirm"):
        assert text in warnings[0]
    assert "nothing came back in time" in warnings[1]


@on_virtual_time
async def test_a_deadline_wakes_it_while_the_source_is_silent() -> None:
    memory, clock = await a_cluster(3), Clock()
    guarded = GuardedDatastore(memory, "n0", 60, clock=clock)
    async with Follower(guarded) as follower:
        await follower.until(lambda seen: len(seen.items) == 3)
        await memory.delete([node("n0")])
        await follower.until(lambda _: memory.status.lag_revisions == 0)
        clock.ahead += 1.9  # of the two seconds for which a removal waits
        guarded.set_hold_time(60)  # looks at the clock
        await follower.until(lambda _: bool(guarded.removals.holds))
        assert OWN in follower.items


@on_virtual_time
async def test_the_guard_reads_on_when_the_consumer_is_done() -> None:
    memory = await a_cluster(1)
    guarded = GuardedDatastore(memory, "n0", 3600)
    async with aclosing(guarded.events()) as events:
        first = await anext(events)
        assert isinstance(first, Snapshot)
        memory.put("/calico/x", b"1")
        await turn()
        assert guarded.status.applied_revision == 0
        second = await anext(events)
        assert isinstance(second, Changes)
        assert guarded.status.applied_revision == first.revision


class Broken(MemoryDatastore):
    """A source that ends by an exception, once."""

    is_closed = False

    async def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        try:
            yield Snapshot(1, {OWN: b""})
            if not self.is_closed:
                raise OSError("no more")
            await asyncio.Event().wait()
        finally:
            self.is_closed = True


@on_virtual_time
async def test_the_end_of_the_source_ends_the_stream_which_can_begin_again() -> None:
    source = Broken()
    guarded = GuardedDatastore(source, "n0", 3600)
    async with aclosing(guarded.events()) as events:
        assert isinstance(await anext(events), Snapshot)
        with pytest.raises(OSError, match="no more"):
            await anext(events)
    assert source.is_closed
    async with aclosing(guarded.events()) as events:
        assert isinstance(await anext(events), Snapshot)
        waiting = asyncio.ensure_future(anext(events))
        await turn()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not [
        task for task in asyncio.all_tasks() if task.get_name() == "datastore reader"
    ]


@on_virtual_time
async def test_a_large_snapshot_is_checked_in_several_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bgpd.worker.turns.BUDGET", 0.0)  # a turn for each slice
    memory = MemoryDatastore(
        {resource_key("Node", f"n{i}"): b"{}" for i in range(3000)}
    )
    guarded = GuardedDatastore(memory, "n0", 3600)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await turn()

    counting = asyncio.create_task(count())
    async with Follower(guarded) as follower:
        await follower.until(lambda seen: len(seen.items) == 3000)
    counting.cancel()
    assert turns > 6


@on_virtual_time
async def test_what_came_back_during_a_standstill_counts_before_the_hold_ends() -> None:
    memory, clock = await a_cluster(3), Clock()
    guarded = GuardedDatastore(memory, "n0", 60, clock=clock)
    async with Follower(guarded) as follower:
        await follower.until(lambda seen: len(seen.items) == 3)
        await memory.delete([node("n0")])
        await follower.until(lambda _: memory.status.lag_revisions == 0)
        clock.ahead += 1.9
        guarded.set_hold_time(60)
        await follower.until(lambda _: bool(guarded.removals.holds))
        clock.ahead += 59.9  # the hold ends in a moment
        guarded.set_hold_time(60)
        for _ in range(3):
            await turn()
        stand_still(LATE + 0.5)
        await advance(0.1)  # what was sent meanwhile is read a little later
        await memory.apply([node("n0", "10.0.0.1/24")])
        await follower.until(lambda _: not guarded.removals.holds)
        assert OWN in follower.items
