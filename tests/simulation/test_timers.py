"""Timers of whole speakers, over hours: silence, KEEPALIVEs, attempts to connect, standstills."""

from itertools import pairwise

import pytest

from bgpd.session.fsm import State
from bgpd.session.timers import MAX_CONNECT_RETRY_TIME, MAX_IDLE_HOLD_TIME
from bgpd.wire.framing import KEEPALIVE, MessageType
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.simnet import VirtualLoop, advance, on_virtual_time, sim, stand_still
from tests.support.speakers import ASN, PORT, Node, Rack, a_pair, until

HOUR = 3600.0


def now() -> float:
    return sim().loop.time()


def attempts(node: Node, other: Node | str) -> int:
    return node.peer(other).driver.session.counters.connect_attempts


async def moments(node: Node, other: Node | str, seconds: float) -> list[float]:
    """Return when a node tried to connect."""
    found, before = [], attempts(node, other)
    end = now() + seconds
    while now() < end:
        await advance(0.5)
        found += [now()] * (attempts(node, other) - before)
        before = attempts(node, other)
    return found


@pytest.mark.rfc(4271, "6.5", "MUST")
@on_virtual_time
async def test_silence_ends_a_session_after_the_hold_time_and_not_before() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack, hold_time=90)
        await advance(HOUR)
        assert a.flaps(b) == b.flaps(a) == 0
        sim().cut(a.addr, b.addr)
        await advance(59)  # the last KEEPALIVE is 30 s old at most
        assert a.is_up(b)
        assert b.is_up(a)
        await advance(32)
        assert not a.is_up(b)
        assert not b.is_up(a)
        assert "hold timer expired" in str(a.peer(b).driver.session.counters.last_reset)
        sim().mend(a.addr, b.addr)
        await advance(2 * MAX_CONNECT_RETRY_TIME)
        assert a.is_up(b)
        assert b.is_up(a)


@on_virtual_time
async def test_a_link_that_is_lost_for_less_than_the_hold_time_costs_nothing() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack, hold_time=90)
        for seconds in (1, 10, 30, 45, 50) * 5:
            sim().cut(a.addr, b.addr)
            b.announce(f"10.{seconds}.0.0/16")
            await advance(seconds)
            sim().mend(a.addr, b.addr)
            await advance(120)
            b.withdraw(f"10.{seconds}.0.0/16")
        assert a.flaps(b) == b.flaps(a) == 0


@pytest.mark.rfc(4271, "10", "SHOULD")
@on_virtual_time
async def test_keepalives_come_after_three_quarters_of_their_interval_to_all_of_it() -> (
    None
):
    async with Rack() as rack:
        node = await rack.node(1)
        node.accepts(f"{rack.network}.0/24")
        async with ScriptedPeer(f"{rack.network}.9", node.addr, PORT) as peer:
            await peer.establish(an_open(ASN, hold_time=90))
            times: list[float] = []
            said = now()
            while len(times) < 200:
                if now() - said > 60:
                    peer.send(KEEPALIVE)
                    said = now()
                await peer.expect(MessageType.KEEPALIVE, 40)
                times.append(now())
        gaps = [after - before for before, after in pairwise(times)]
        assert 22.5 - 0.1 <= min(gaps) < 24
        assert 29 < max(gaps) <= 30 + 0.1


@pytest.mark.rfc(4271, "10", "SHOULD")
@on_virtual_time
async def test_a_peer_that_rejects_us_is_called_less_and_less_often_for_hours() -> None:
    async with Rack() as rack:
        node, absent = await rack.node(1), f"{rack.network}.9"
        node.peers_with(absent, connect_retry_time=5)
        times = await moments(node, absent, 2 * HOUR)
        gaps = [after - before for before, after in pairwise(times)]
        assert gaps[0] < gaps[4]
        assert all(
            0.75 * MAX_CONNECT_RETRY_TIME - 1 < gap <= MAX_CONNECT_RETRY_TIME + 1
            for gap in gaps[6:]
        )
        late = await rack.node(9)
        late.peers_with(node, is_passive=True)
        await advance(MAX_CONNECT_RETRY_TIME + 1)
        assert node.is_up(late)


@on_virtual_time
async def test_a_silent_peer_is_called_again_and_found_when_it_is_there() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        sim().cut(a.addr, b.addr)
        a.peers_with(b)
        b.peers_with(a)
        await advance(2 * HOUR)
        assert a.peer(b).state is not State.ESTABLISHED
        assert attempts(a, b) < 2 * HOUR / (0.75 * MAX_CONNECT_RETRY_TIME) + 10
        sim().mend(a.addr, b.addr)
        await advance(MAX_CONNECT_RETRY_TIME + 1)
        assert a.is_up(b)
        assert b.is_up(a)


@on_virtual_time
async def test_a_peer_that_errs_each_time_is_damped_and_forgiven_in_the_end() -> None:
    """DampPeerOscillations, RFC 4271 8.1.1."""
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.peers_with(b)
        b.peers_with(a, remote_as=ASN + 1)  # Bad Peer AS, each time
        await advance(HOUR)
        calm = attempts(a, b) + attempts(b, a)
        await advance(HOUR)
        calls = attempts(a, b) + attempts(b, a) - calm
        assert calls > 2 * HOUR / (MAX_IDLE_HOLD_TIME + MAX_CONNECT_RETRY_TIME) - 5
        assert calls <= 2 * HOUR / (0.75 * MAX_IDLE_HOLD_TIME) + 5
        b.speaker.neighbours.remove(a.addr)
        b.peers_with(a)
        await advance(MAX_IDLE_HOLD_TIME + MAX_CONNECT_RETRY_TIME)
        assert a.is_up(b)


@on_virtual_time
async def test_a_process_that_stood_still_keeps_peers_that_were_there() -> None:
    async with Rack() as rack:
        node = await rack.node(1)
        node.accepts(f"{rack.network}.0/24", hold_time=180)
        async with ScriptedPeer(f"{rack.network}.9", node.addr, PORT) as peer:
            await peer.establish(an_open(ASN, hold_time=180))
            await advance(100)
            peer.send(KEEPALIVE)  # it is in the socket when the process goes on
            stand_still(150)
            await advance(20)
            assert node.is_up(f"{rack.network}.9")
            await advance(170)
            assert not node.is_up(f"{rack.network}.9")
        assert isinstance(sim().loop, VirtualLoop)


@on_virtual_time
async def test_a_host_that_vanishes_and_comes_back_is_met_again_by_a_reset() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack, has_graceful_restart=False)
        b.announce("10.2.0.0/16")
        await until(lambda: "10.2.0.0/16" in a.prefixes())
        sim().host(b.addr).vanish()
        await advance(20)
        assert a.is_up(b)  # it has heard nothing of it
        sim().host(b.addr).come_back()
        await advance(31)  # the next KEEPALIVE is answered by a RST
        assert not a.is_up(b)
        assert a.prefixes() == set()
