"""A restarted speaker's End-of-RIB waits for its peers (RFC 4724 4.1)."""

import asyncio

import pytest

from bgpd.daemon.restart import Deferral
from bgpd.daemon.speaker import FAMILIES
from bgpd.session.negotiation import RestartState
from tests.support.speakers import Node, Rack, on_both_loops, until


def _restarts(node: Node, *, cap: float, quiet: float) -> list[float]:
    """Let a node be one that has just restarted; return when that was over."""
    loop, over = node.speaker.loop, []

    def end() -> None:
        over.append(loop.time())
        node.speaker.set_restart(RestartState(preserved=frozenset(FAMILIES)))

    node.speaker.restart = RestartState(
        is_restarting=True, preserved=frozenset(FAMILIES)
    )
    Deferral(node.speaker, cap, end, quiet)
    return over


def _has_ended(node: Node, other: Node) -> bool:
    return node.peer(other).ended_families == set(FAMILIES)


@pytest.mark.rfc(4724, "4.1", "MUST")
@on_both_loops
async def test_it_waits_for_every_configured_peer() -> None:
    async with Rack() as rack:
        reflector, a, b = [await rack.node(n) for n in (1, 2, 3)]
        over = _restarts(reflector, cap=60, quiet=60)
        for client in (a, b):
            reflector.peers_with(client, is_client=True, is_passive=True)
        a.peers_with(reflector)
        a.announce("10.2.0.0/16")
        await until(lambda: _has_ended(reflector, a))
        await asyncio.sleep(0.2)
        assert not a.peer(reflector).ended_families
        negotiated = a.peer(reflector).negotiated
        assert negotiated is not None
        assert negotiated.graceful_restart is not None
        assert negotiated.graceful_restart.is_restarting
        b.announce("10.3.0.0/16")
        b.peers_with(reflector)
        await until(lambda: _has_ended(a, reflector) and _has_ended(b, reflector))
        assert len(over) == 1
        # What the last of them told was told on before the end was.
        assert a.prefixes() == b.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"}


@on_both_loops
async def test_it_waits_for_quiet_where_peers_are_missing() -> None:
    async with Rack() as rack:
        reflector, a = await rack.node(1), await rack.node(2)
        over = _restarts(reflector, cap=60, quiet=0.7)
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        a.peers_with(reflector)
        await until(lambda: a.is_up(reflector))
        up_at = a.speaker.loop.time()
        await until(lambda: _has_ended(a, reflector))
        assert over[0] >= up_at + 0.6


@on_both_loops
async def test_it_waits_no_longer_than_the_cap() -> None:
    async with Rack() as rack:
        reflector, a = await rack.node(1), await rack.node(2)
        _restarts(reflector, cap=1, quiet=60)
        reflector.peers_with(a, is_client=True)
        reflector.peers_with(f"{rack.network}.9")
        a.peers_with(reflector)
        await until(lambda: _has_ended(a, reflector))


@on_both_loops
async def test_two_that_restart_together_do_not_wait_for_each_other() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        for node, other in ((a, b), (b, a)):
            _restarts(node, cap=60, quiet=60)
            node.peers_with(other)
        await until(lambda: _has_ended(a, b) and _has_ended(b, a))


@pytest.mark.rfc(4724, "4.2", "MUST")
@on_both_loops
async def test_a_helper_keeps_routes_until_the_restarted_peer_has_told_all() -> None:
    async with Rack() as rack:
        helper, before = await rack.node(1), await rack.node(2)
        helper.peers_with(before)
        before.peers_with(helper)
        before.announce("10.1.0.0/16", "10.2.0.0/16")
        await until(lambda: len(helper.prefixes()) == 2)
        await before.speaker.close(is_restart=True)
        await until(lambda: not helper.is_up(before))
        assert helper.prefixes() == {"10.1.0.0/16", "10.2.0.0/16"}
        after = await rack.node(2)
        _restarts(after, cap=1.5, quiet=60)
        after.announce("10.1.0.0/16", "10.3.0.0/16")
        after.peers_with(helper)
        after.peers_with(f"{rack.network}.9")  # never comes: the cap ends the wait
        await until(lambda: "10.3.0.0/16" in helper.prefixes())
        assert "10.2.0.0/16" in helper.prefixes()
        await until(lambda: helper.prefixes() == {"10.1.0.0/16", "10.3.0.0/16"})
        assert helper.flaps(after) == 1
