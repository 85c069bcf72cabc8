"""One element at fault costs the others nothing: found by injected faults."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.runtime.fault_isolation import MOST_FAULTS, each, piecewise
from bgpd.runtime.log_fields import fields_of
from bgpd.session.fsm import State
from bgpd.speaker.early_reconnect import EarlyReconnect
from bgpd.speaker.peer import Peer
from fib.next_hop_events import Opened
from reflector.group import UpdateGroup
from rib import adj_rib_in
from rib.adj_rib_in import AdjRibIn
from rib.change import Change
from rib.family import IPV4_UNICAST
from rib.nlri import Nlri, parse_prefix
from tests.support.speakers import Node, Rack, a_pair, on_both_loops, until

FAULTS = (
    ValueError("injected"),
    KeyError(7),
    OverflowError("injected"),
    OSError(28, "full"),
)


def changes_of(sizes: Sequence[int]) -> list[Change]:
    numbers = count()
    return [
        Change(None, None, [next(numbers).to_bytes(4, "big") for _ in range(size)])
        for size in sizes
    ]


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=20),
    st.sets(st.integers(0, 200), max_size=MOST_FAULTS - 1),
    st.sampled_from(FAULTS),
)
def test_all_but_the_prefixes_at_fault_are_acted_on_in_order(sizes, bad, fault) -> None:
    changes = changes_of(sizes)
    taken: list[int] = []

    def act(some: Sequence[Change]) -> int:
        numbers = [int.from_bytes(nlri, "big") for c in some for nlri in c.nlris]
        if bad.intersection(numbers):
            raise fault
        taken.extend(numbers)
        return len(numbers)

    results = piecewise(act, changes)
    assert taken == [n for n in range(sum(sizes)) if n not in bad]
    assert sum(results) == len(taken)


def test_a_batch_where_all_is_at_fault_is_soon_passed_over(caplog) -> None:
    tries = count()

    def act(_: Sequence[Change]) -> None:
        next(tries)
        raise ValueError("all of them")

    assert piecewise(act, changes_of([1] * 4096)) == []
    assert next(tries) < 100
    assert "all of them" in caplog.text


def test_memory_that_has_run_out_is_not_the_fault_of_one_element() -> None:
    def act(_: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        piecewise(act, changes_of([3]))
    with pytest.raises(MemoryError):
        each(act, [1], "numbers")


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_each_serves_those_behind_one_at_fault(fault, caplog) -> None:
    served: list[int] = []

    def act(number: int) -> None:
        if number == 2:
            raise fault
        served.append(number)

    each(act, range(5), "number")
    assert served == [0, 1, 3, 4]
    assert "number: skipped one that failed" in caplog.text


def nlri_of(text: str) -> Nlri:
    return parse_prefix(text)[1]


async def a_star(rack: Rack) -> tuple[Node, list[Node]]:
    """Return a reflector and three clients of it."""
    hub = await rack.node(1)
    clients = [await rack.node(number) for number in (2, 3, 4)]
    for client in clients:
        hub.peers_with(client, is_client=True)
        client.peers_with(hub)
    await until(lambda: all(c.is_up(hub) and hub.is_up(c) for c in clients))
    return hub, clients


@pytest.mark.slow
@on_both_loops
async def test_a_prefix_that_cannot_be_encoded_keeps_no_other_from_members_and_listeners(
    monkeypatch, caplog
) -> None:
    bad = nlri_of("10.66.0.0/16")
    flush = UpdateGroup.flush

    def injected(self: UpdateGroup, changes: Sequence[Change]) -> object:
        if any(bad in change.nlris for change in changes):
            raise ValueError("injected")
        return flush(self, changes)

    told: list[Nlri] = []

    class Faulty:
        def changed(self, _: Sequence[Change]) -> None:
            raise OverflowError("injected")

    class Sound:
        def changed(self, changes: Sequence[Change]) -> None:
            told.extend(nlri for change in changes for nlri in change.nlris)

    async with Rack() as rack:
        hub, clients = await a_star(rack)
        # A peer that joins gets the whole table another way.
        await until(
            lambda: all(
                IPV4_UNICAST in c.peer(hub).imports.ended_families for c in clients
            )
        )
        consumers = hub.speaker.context.consumers[IPV4_UNICAST]
        consumers.attach(Faulty())
        consumers.attach(Sound())
        monkeypatch.setattr(UpdateGroup, "flush", injected)
        prefixes = [f"10.{n}.0.0/16" for n in range(60, 70)]
        hub.announce(*prefixes)
        rest = {*prefixes} - {"10.66.0.0/16"}
        await until(lambda: all(client.prefixes() == rest for client in clients))
        assert {*map(nlri_of, prefixes)} <= {*told}
        assert "changes of a table: skipped one that failed" in caplog.text


@pytest.mark.slow
@on_both_loops
async def test_a_prefix_that_cannot_be_encoded_keeps_no_other_from_a_peer_that_joins(
    monkeypatch,
) -> None:
    bad = nlri_of("10.66.0.0/16")
    encode = UpdateGroup.encode

    def injected(
        self: UpdateGroup, changes: Iterable[Change], **options: bool
    ) -> object:
        changes = [*changes]
        if any(bad in change.nlris for change in changes):
            raise ValueError("injected")
        return encode(self, changes, **options)

    monkeypatch.setattr(UpdateGroup, "encode", injected)
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        prefixes = {f"10.{n}.0.0/16" for n in range(60, 70)}
        a.announce(*prefixes)
        a.peers_with(b)
        b.peers_with(a)
        await until(lambda: b.prefixes() == prefixes - {"10.66.0.0/16"})
        # End-of-RIB follows: who joins is not left in the midst of the table.
        await until(lambda: IPV4_UNICAST in b.peer(a).imports.ended_families)
        tables, source = a.speaker.tables[IPV4_UNICAST], a.peer(b).sources[IPV4_UNICAST]
        tables.writing_paused(source)
        a.withdraw(*prefixes)
        await until(lambda: not tables.pending_count)
        tables.writing_resumed(source)
        member = tables.member(source)
        assert member is not None
        await until(lambda: not member.is_slow)
        await until(lambda: not b.prefixes())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["established", "state_changed", "session_down"])
@on_both_loops
async def test_an_event_that_cannot_be_carried_out_ends_one_session_at_most(
    monkeypatch, method
) -> None:
    seen: list[str] = []
    loop = asyncio.get_running_loop()
    async with Rack() as rack:
        hub, (first, *others) = await a_star(rack)
        loop.set_exception_handler(lambda _, found: seen.append(found["message"]))
        sound = getattr(Peer, method)
        victim = hub.peer(first)

        def injected(self: Peer, event: object) -> None:
            if self is victim:
                raise ValueError("injected")
            sound(self, event)

        monkeypatch.setattr(Peer, method, injected)
        victim.driver.stop()
        victim.driver.start()
        await until(lambda: "handling an event of a session failed" in seen)
        monkeypatch.setattr(Peer, method, sound)
        await until(lambda: hub.is_up(first) and first.is_up(hub), 20)
        assert all(hub.is_up(other) and hub.flaps(other) == 0 for other in others)
        first.announce("10.2.0.0/16")
        await until(lambda: all("10.2.0.0/16" in o.prefixes() for o in others))


@pytest.mark.skipif(
    not str(adj_rib_in.__file__).endswith(".py"),
    reason="compiled code calls methods of a compiled class directly",
)
@pytest.mark.slow
@on_both_loops
async def test_updates_that_cannot_be_taken_in_end_the_session_and_come_again(
    monkeypatch,
) -> None:
    seen: list[object] = []
    async with Rack() as rack:
        hub, (first, *others) = await a_star(rack)
        asyncio.get_running_loop().set_exception_handler(
            lambda _, found: seen.append(found["exception"])
        )
        fault = ValueError("injected")

        def injected(*_: object) -> None:
            raise fault

        first.announce("10.2.0.0/16")
        await until(lambda: all("10.2.0.0/16" in o.prefixes() for o in others))
        with monkeypatch.context() as broken:
            for method in ("announce", "announce_all"):
                broken.setattr(AdjRibIn, method, injected)
            first.announce("10.3.0.0/16")
            await until(lambda: fault in seen)
        await until(lambda: hub.flaps(first) == 1)
        both = {"10.2.0.0/16", "10.3.0.0/16"}
        await until(lambda: all(both <= o.prefixes() for o in others), 20)
        assert all(hub.is_up(other) and hub.flaps(other) == 0 for other in others)


@pytest.mark.slow
@on_both_loops
async def test_a_timer_that_fails_leaves_the_next_one_set(monkeypatch) -> None:
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, found: seen.append(found)
    )
    async with Rack() as rack:
        a, b = await a_pair(rack, hold_time=3)
        session = a.peer(b).driver.session
        sound = session.handle_timer
        faults = iter([OverflowError("injected")])

        def injected(now: float, *, has_unread: bool = False) -> None:
            sound(now, has_unread=has_unread)
            for fault in faults:
                raise fault

        monkeypatch.setattr(session, "handle_timer", injected)
        sent = session.counters.sent
        await until(lambda: seen)
        keepalives = sent[4]
        await until(lambda: sent[4] > keepalives)
        assert a.is_up(b)


@pytest.mark.slow
@on_both_loops
async def test_a_peer_that_cannot_be_ended_lets_the_others_be(
    monkeypatch, caplog
) -> None:
    async with Rack() as rack:
        hub, clients = await a_star(rack)
        sound, failing = Peer.end, hub.peer(clients[0]).settings

        def injected(self: Peer, *, is_restart: bool, text: str) -> None:
            if self is hub.peer(clients[0]):
                raise ValueError("injected")
            sound(self, is_restart=is_restart, text=text)

        monkeypatch.setattr(Peer, "end", injected)
        await hub.speaker.close()
        await until(lambda: not any(c.is_up(hub) for c in clients[1:]))
        monkeypatch.setattr(Peer, "end", sound)
    lines = [fields_of(record) for record in caplog.records]
    [skipped] = [line for line in lines if line.get("event") == "item-skipped"]
    assert (skipped["peer"], skipped["address"]) == (failing.name, failing.remote_addr)


@on_both_loops
async def test_a_peer_that_cannot_be_tried_lets_the_others_be(monkeypatch) -> None:
    async with Rack() as rack:
        node = await rack.node(1)
        peers = [node.peers_with(f"{rack.network}.{n}") for n in (11, 12, 13)]
        await until(lambda: all(peer.state is State.ACTIVE for peer in peers))
        tried: list[Peer] = []

        def failing() -> bool:
            raise OverflowError("injected")

        monkeypatch.setattr(peers[0].driver, "try_now", failing)
        for peer in peers[1:]:
            monkeypatch.setattr(peer.driver, "try_now", lambda p=peer: tried.append(p))
        made = EarlyReconnect(node.speaker, 12)
        made.opened(Opened(True, frozenset(), frozenset(), frozenset()))
        assert tried == peers[1:]
        made.close()
