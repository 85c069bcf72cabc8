"""What comes while the consumer is at work is given to it as one."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.datastore.coalesce import PendingEvents, coalesced
from bgpd.datastore.memory import MemoryDatastore
from tests.support.turns import turn

KEYS = st.sampled_from(["/a", "/b", "/c", "/d"])
VALUES = st.sampled_from([b"1", b"2"])
EVENTS = st.lists(
    st.one_of(
        st.dictionaries(KEYS, VALUES).map(lambda items: Snapshot(0, items)),
        st.tuples(st.dictionaries(KEYS, VALUES), st.frozensets(KEYS)).map(
            lambda both: Changes(0, both[0], both[1] - both[0].keys())
        ),
    ),
    max_size=8,
)


def after(
    items: dict[str, bytes], events: Iterable[DatastoreEvent]
) -> dict[str, bytes]:
    for event in events:
        if isinstance(event, Snapshot):
            items = dict(event.items)
        else:
            items = {k: v for k, v in items.items() if k not in event.deletes}
            items |= event.puts
    return items


@given(st.dictionaries(KEYS, VALUES), EVENTS)
def test_many_events_as_one_lead_to_the_same(
    before: dict[str, bytes], events: list[DatastoreEvent]
) -> None:
    pending = PendingEvents()
    for event in events:
        pending.add(event)
    merged = pending.take()
    assert after(before, events) == after(before, [merged] if merged else [])
    assert pending.take() is None


def test_a_burst_is_one_event_and_a_lone_change_comes_alone() -> None:
    async def scenario() -> list[DatastoreEvent]:
        store = MemoryDatastore({"/a": b"1"})
        events = coalesced(store.events())
        found = [await anext(events)]
        for number in range(100):
            store.put(f"/{number}", b"x")
            await turn()
        found.append(await anext(events))
        store.remove("/7")
        found.append(await anext(events))
        await events.aclose()
        return found

    first, burst, lone = asyncio.run(scenario())
    assert first == Snapshot(1, {"/a": b"1"})
    assert burst == Changes(101, {f"/{n}": b"x" for n in range(100)}, frozenset())
    assert lone == Changes(102, {}, frozenset({"/7"}))


def test_what_ends_the_source_ends_the_consumer_after_what_came_before() -> None:
    async def source() -> AsyncGenerator[DatastoreEvent, None]:
        yield Snapshot(1, {})
        raise OSError("gone")

    async def scenario() -> DatastoreEvent:
        events = coalesced(source())
        first = await anext(events)
        with pytest.raises(OSError, match="gone"):
            await anext(events)
        return first

    assert asyncio.run(scenario()) == Snapshot(1, {})
