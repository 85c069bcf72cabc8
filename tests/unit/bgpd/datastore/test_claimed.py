"""What decides about a node's blocks is read beside the stream that follows them."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.calico import Changes, ClusterState, Snapshot
from bgpd.calico.blocks import BlockTable, parse_block
from bgpd.calico.events import DatastoreEvent
from bgpd.calico.keys import IPAM_HOST, affinity_key, assignment_key
from bgpd.datastore.claimed import ClaimedBlocks
from bgpd.datastore.model import DatastoreError
from tests.support.simnet import advance, run_virtually
from tests.support.speakers import until

NODES: Final = ("n1", "n2", "n3")
CIDRS: Final = ("10.0.0.0/26", "10.0.0.64/26", "fd00::/122")
CONFIRMED, LEAVING = b'{"state":"confirmed"}', b'{"state":"pendingDeletion"}'


def a_block(node: str) -> bytes:
    return b'{"affinity":"host:%s","allocations":[0,1]}' % node.encode()


class Store:
    """All keys, and what was read of them by whom."""

    def __init__(self, items: dict[str, bytes]) -> None:
        self.items = items
        self.read_keys: list[str] = []
        self.reads_below = 0
        self.fault = ""

    async def read(self, keys: Collection[str]) -> dict[str, bytes]:
        if self.fault:
            raise DatastoreError(self.fault)
        self.read_keys += keys
        return {key: self.items[key] for key in keys if key in self.items}

    async def read_below(self, prefix: str) -> dict[str, bytes]:
        self.reads_below += 1
        return {k: v for k, v in self.items.items() if k.startswith(prefix)}

    def own(self, node: str) -> dict[str, bytes]:
        prefix = f"{IPAM_HOST}{node}/"
        return {k: v for k, v in self.items.items() if k.startswith(prefix)}


class Stream:
    """A node's stream of events, and its state behind ``ClaimedBlocks``."""

    def __init__(self, store: Store, node: str, **options: float) -> None:
        self.node = node
        self.state = ClusterState()
        self.told: asyncio.Queue[DatastoreEvent] = asyncio.Queue()
        self.claimed = ClaimedBlocks(store, node, **options)  # type: ignore[arg-type]
        self._events = self.claimed.events(self._source())

    async def _source(self) -> AsyncGenerator[DatastoreEvent, None]:
        while True:
            yield await self.told.get()

    async def take(self, event: DatastoreEvent | None = None) -> DatastoreEvent:
        if event is not None:
            self.told.put_nowait(event)
        seen = await asyncio.wait_for(anext(self._events), 5)
        self.state.apply(seen)
        return seen

    def originates(self, cidr: str) -> bool:
        return parse_block(cidr) in self.state.desired(self.node).originated

    async def close(self) -> None:
        await self._events.aclose()


AFFINITIES = st.dictionaries(
    st.builds(affinity_key, st.sampled_from(NODES), st.sampled_from(CIDRS)),
    st.sampled_from(
        [CONFIRMED, b"", LEAVING, b'{"state":"pending"}', b'{"deleted":true}']
    ),
    max_size=9,
)
BLOCKS = st.dictionaries(
    st.builds(assignment_key, st.sampled_from(CIDRS)),
    st.sampled_from(
        [
            b'{"affinity":null}',
            b'{"affinity":"virtual:load-balancer"}',
            b"junk",
            *map(a_block, (*NODES, "n9")),
        ]
    ),
    max_size=3,
)


@settings(deadline=None)
@given(AFFINITIES, BLOCKS)
def test_a_node_that_follows_its_own_affinities_decides_as_if_it_knew_all(
    affinities: dict[str, bytes], blocks: dict[str, bytes]
) -> None:
    async def scenario() -> None:
        store = Store(affinities | blocks)
        whole = BlockTable()
        whole.replace(store.items)
        for node in NODES:
            stream = Stream(store, node)
            await stream.take(Snapshot(1, store.own(node)))
            for cidr in CIDRS:
                expected = parse_block(cidr) in whole.of(node)
                assert stream.originates(cidr) is expected
            await stream.close()

    asyncio.run(scenario())


async def followed(store: Store, node: str, **options: float) -> Stream:
    stream = Stream(store, node, **options)
    await stream.take(Snapshot(1, store.own(node)))
    return stream


def test_what_is_undisputed_costs_a_key_for_each_own_block_and_no_more() -> None:
    async def scenario() -> None:
        items = {affinity_key(f"m{n}", f"10.9.{n}.0/26"): CONFIRMED for n in range(200)}
        for cidr in CIDRS:
            items[affinity_key("n1", cidr)] = CONFIRMED
            items[assignment_key(cidr)] = a_block("n1")
        store = Store(items)
        stream = await followed(store, "n1")
        assert sorted(store.read_keys) == sorted(map(assignment_key, CIDRS))
        assert store.reads_below == 0
        # Anything but an affinity of this node is passed through unexamined.
        node = {"/calico/resources/v3/projectcalico.org/nodes/n7": b"{}"}
        await stream.take(Changes(2, node, frozenset()))
        again = Changes(3, store.own("n1"), frozenset())
        assert await stream.take(again) is again
        assert stream.claimed.look_count == 1
        await stream.close()

    asyncio.run(scenario())


def test_pods_that_come_and_go_change_nothing() -> None:
    async def scenario() -> None:
        key = assignment_key(CIDRS[0])
        items = {affinity_key("n1", CIDRS[0]): CONFIRMED, key: a_block("n1")}
        store = Store(items)
        stream = await followed(store, "n1", audit=0.02)
        store.items[key] = a_block("n1").replace(b"[0,1]", b"[0,1,2]")
        looks = stream.claimed.look_count
        taking = asyncio.ensure_future(stream.take())
        await until(lambda: stream.claimed.look_count >= looks + 3)
        assert not taking.done()
        store.items[key] = a_block("n2")  # and this does
        await taking
        assert not stream.originates(CIDRS[0])
        await stream.close()

    asyncio.run(scenario())


def test_a_dispute_that_is_settled_elsewhere_is_noticed() -> None:
    async def scenario() -> None:
        other, key = affinity_key("n2", CIDRS[0]), assignment_key(CIDRS[0])
        items = {affinity_key("n1", CIDRS[0]): CONFIRMED, other: CONFIRMED}
        store = Store({**items, key: a_block("n2")})
        stream = await followed(store, "n1", audit=3600, doubt=0.02)
        assert not stream.originates(CIDRS[0])
        (told,) = stream.state.warnings()
        assert "belongs to node n2" in told.text
        del store.items[other], store.items[key]
        await stream.take()
        assert stream.originates(CIDRS[0])
        assert stream.state.warnings() == frozenset()
        await stream.close()

    asyncio.run(scenario())


def test_a_doubt_that_stays_unsettled_is_checked_less_and_less_often() -> None:
    async def scenario() -> None:
        items = {affinity_key(node, CIDRS[0]): CONFIRMED for node in ("n1", "n2")}
        store = Store({**items, assignment_key(CIDRS[0]): a_block("n2")})
        stream = await followed(store, "n1", audit=8.0, doubt=1.0)
        claimed, rests = stream.claimed, []
        for _ in range(5):
            rests.append(claimed._rest)
            assert await claimed._look() == ({}, frozenset())
        assert rests == [1.0, 2.0, 4.0, 8.0, 8.0]
        store.items[affinity_key("n3", CIDRS[0])] = LEAVING
        assert (await claimed._look())[0]
        assert claimed._rest == 1.0
        store.items[assignment_key(CIDRS[0])] = a_block("n1")
        await claimed._look()
        assert claimed._rest == 8.0
        await stream.close()

    asyncio.run(scenario())


def test_a_busy_stream_does_not_keep_from_looking() -> None:
    async def scenario() -> None:
        store = Store({affinity_key("n1", CIDRS[0]): CONFIRMED})
        stream = await followed(store, "n1", doubt=0.05)
        key = "/calico/resources/v3/projectcalico.org/nodes/n7"
        while stream.claimed.look_count < 3:
            stream.told.put_nowait(Changes(2, {key: b"{}"}, frozenset()))
            await stream.take()
            await advance(0.01)
        await stream.close()

    run_virtually(scenario())


def test_what_cannot_be_read_keeps_what_was_known_and_delays_no_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        items = {affinity_key(node, CIDRS[0]): CONFIRMED for node in ("n1", "n2")}
        store = Store({**items, assignment_key(CIDRS[0]): a_block("n2")})
        stream = await followed(store, "n1", doubt=0.05)
        store.fault = "no endpoint answers"
        more = {affinity_key("n1", CIDRS[1]): CONFIRMED}
        store.items |= more
        await stream.take(Changes(2, more, frozenset()))
        await stream.take(Snapshot(3, store.own("n1")))
        assert not stream.originates(CIDRS[0])
        assert stream.originates(CIDRS[1])
        said = [r for r in caplog.records if "cannot be read" in r.message]
        assert len(said) == 1
        store.fault = ""
        store.items[assignment_key(CIDRS[1])] = a_block("n2")
        await stream.take()
        assert not stream.originates(CIDRS[1])
        await stream.close()

    asyncio.run(scenario())


def test_the_end_of_the_source_is_the_end() -> None:
    async def none() -> AsyncGenerator[DatastoreEvent, None]:
        return
        yield

    async def scenario() -> None:
        claimed = ClaimedBlocks(Store({}), "n1")
        async with aclosing(claimed.events(none())) as events:
            assert [event async for event in events] == []

    asyncio.run(scenario())
