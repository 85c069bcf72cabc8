"""A restarted speaker's End-of-RIB waits for its peers (RFC 4724 4.1)."""

from dataclasses import replace
from typing import Any

import pytest

from bgpd.config.settings import RestartSettings
from bgpd.session.gr_restarting_speaker import DeferralLimits
from bgpd.session.settings import PeerSettings
from bgpd.speaker import selection_deferral
from bgpd.speaker.previous_run import Start
from bgpd.speaker.remembered_peers import RememberedPeer, RememberedPeers
from bgpd.speaker.selection_deferral import SelectionDeferral, deferral_limits_of
from bgpd.speaker.speaker import FAMILIES
from rib.attributes import make_attributes
from rib.nlri import parse_address
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import Node, Rack, until


@pytest.fixture(autouse=True)
def several_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a check of more than two peers take several turns, as one of thousands does."""
    monkeypatch.setattr(selection_deferral, "SLICE", 2)


def _restarts(node: Node, *, cap: float, quiet: float) -> SelectionDeferral:
    """Let a node be one that has just restarted."""
    return SelectionDeferral(node.speaker, DeferralLimits(cap, cap, cap), window=quiet)


def _has_ended(node: Node, other: Node) -> bool:
    return node.peer(other).imports.ended_families == set(FAMILIES)


@pytest.mark.rfc(4724, "4.1", "MUST")
@on_virtual_time
async def test_it_waits_for_every_configured_peer() -> None:
    async with Rack() as rack:
        reflector, a, b = [await rack.node(n) for n in (1, 2, 3)]
        deferral = _restarts(reflector, cap=60, quiet=60)
        for client in (a, b):
            reflector.peers_with(client, is_client=True, is_passive=True)
        a.peers_with(reflector)
        a.announce("10.2.0.0/16")
        await until(lambda: _has_ended(reflector, a))
        await advance(50)
        assert not a.peer(reflector).imports.ended_families
        negotiated = a.peer(reflector).negotiated
        assert negotiated is not None
        assert negotiated.graceful_restart is not None
        assert negotiated.graceful_restart.is_restarting
        b.announce("10.3.0.0/16")
        b.peers_with(reflector)
        await until(lambda: _has_ended(a, reflector) and _has_ended(b, reflector))
        assert deferral.progress is None
        # What the last of them announced went out before End-of-RIB did.
        assert a.prefixes() == b.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"}


@on_virtual_time
async def test_it_waits_for_quiet_where_peers_are_missing() -> None:
    async with Rack() as rack:
        reflector, a = await rack.node(1), await rack.node(2)
        deferral = _restarts(reflector, cap=60, quiet=0.7)
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        a.peers_with(reflector)
        await until(lambda: a.is_up(reflector))
        assert deferral.progress is not None
        assert not a.peer(reflector).imports.ended_families
        await until(lambda: _has_ended(a, reflector))
        assert deferral.progress is None


@on_virtual_time
async def test_it_waits_no_longer_than_the_cap() -> None:
    async with Rack() as rack:
        reflector, a = await rack.node(1), await rack.node(2)
        _restarts(reflector, cap=1, quiet=60)
        reflector.peers_with(a, is_client=True)
        reflector.peers_with(f"{rack.network}.9")
        a.peers_with(reflector)
        await until(lambda: _has_ended(a, reflector))


@on_virtual_time
async def test_two_that_restart_together_do_not_wait_for_each_other() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        for node, other in ((a, b), (b, a)):
            _restarts(node, cap=60, quiet=60)
            node.peers_with(other)
        await until(lambda: _has_ended(a, b) and _has_ended(b, a))


@pytest.mark.rfc(4724, "4.2", "MUST")
@on_virtual_time
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


@on_virtual_time
async def test_three_of_ten_nodes_that_are_gone_do_not_hold_it_up() -> None:
    async with Rack() as rack:
        nodes = [await rack.node(n) for n in range(1, 8)]
        again, others = nodes[0], nodes[1:]
        deferral = _restarts(again, cap=60, quiet=0.5)
        for number in (8, 9, 10):
            again.peers_with(f"{rack.network}.{number}")
        for other in others:
            again.peers_with(other)
            other.peers_with(again)
            other.announce(f"10.{other.number}.0.0/16")
        await until(lambda: deferral.progress is None)
        assert len(again.prefixes()) == 6
        await until(lambda: all(_has_ended(other, again) for other in others))


@on_virtual_time
async def test_progress_names_the_peers_that_we_wait_for() -> None:
    async with Rack() as rack:
        node, a = await rack.node(1), await rack.node(2)
        deferral = _restarts(node, cap=60, quiet=60)
        node.peers_with(a)
        node.peers_with(f"{rack.network}.9")
        a.peers_with(node)
        await until(lambda: _has_ended(node, a))
        await until(lambda: deferral.progress is not None and deferral.progress[0] == 1)
        assert deferral.progress is not None
        _, elapsed, cap = deferral.progress
        assert 0 < elapsed < cap == 60
        deferral.close()


@pytest.mark.rfc(4724, "4.1", "MUST")
@on_virtual_time
async def test_routes_of_peers_are_advertised_to_helpers_once_all_are_known() -> None:
    async with Rack() as rack:
        reflector, a, b, plain = [await rack.node(n) for n in (1, 2, 3, 4)]
        deferral = _restarts(reflector, cap=60, quiet=60)
        reflector.announce("10.1.0.0/16")
        for client in (a, b):
            reflector.peers_with(client, is_client=True, is_passive=True)
        reflector.peers_with(plain, is_client=True, has_graceful_restart=False)
        worse = make_attributes(next_hop=parse_address("10.0.0.9"), local_pref=50)
        for client in (a, plain):
            client.peers_with(reflector)
        a.announce("10.9.0.0/16", attributes=worse)
        # A peer that keeps none of our routes gets what there is; a helper, our own alone.
        await until(lambda: plain.prefixes() == {"10.1.0.0/16", "10.9.0.0/16"})
        c = await rack.node(5)
        reflector.peers_with(c, is_client=True)
        c.peers_with(reflector)
        await until(lambda: "10.1.0.0/16" in c.prefixes())
        assert c.prefixes() == {"10.1.0.0/16"}
        assert deferral.progress is not None
        b.announce("10.9.0.0/16")
        b.peers_with(reflector)
        await until(lambda: _has_ended(c, reflector))
        best = c.best("10.9.0.0/16")
        assert best is not None
        assert best.attributes.local_pref == 100
        assert deferral.progress is None


@pytest.mark.rfc(4724, "3", "MUST")
@on_virtual_time
async def test_the_restart_flag_goes_when_it_is_over() -> None:
    async with Rack() as rack:
        node, a, b = [await rack.node(n) for n in (1, 2, 3)]
        for other in (a, b):
            node.peers_with(other, is_passive=True)
        _restarts(node, cap=60, quiet=0.5)
        a.peers_with(node)
        await until(lambda: _has_ended(a, node))
        b.peers_with(node)
        await until(lambda: _has_ended(b, node))
        flags = []
        for other in (a, b):
            negotiated = other.peer(node).negotiated
            assert negotiated is not None
            assert negotiated.graceful_restart is not None
            flags.append(negotiated.graceful_restart.is_restarting)
        assert flags == [True, False]


@pytest.mark.rfc(4724, "4", "MUST")
@on_virtual_time
async def test_an_end_before_a_restart_is_silent_where_routes_are_kept() -> None:
    async with Rack() as rack:
        node, helper, plain = [await rack.node(n) for n in (1, 2, 3)]
        node.announce("10.1.0.0/16")
        node.peers_with(helper)
        helper.peers_with(node)
        node.peers_with(plain, has_graceful_restart=False)
        plain.peers_with(node)
        for other in (helper, plain):
            await until(lambda o=other: o.prefixes() == {"10.1.0.0/16"})  # type: ignore[misc]
        await node.speaker.close(is_restart=True)
        for other in (helper, plain):
            await until(lambda o=other: not o.is_up(node))  # type: ignore[misc]
        assert "connection lost" in _last_reset(helper, node)
        assert helper.prefixes() == {"10.1.0.0/16"}
        assert "administrative shutdown" in _last_reset(plain, node)
        assert plain.prefixes() == set()


@pytest.mark.rfc(8538, "3.1", "MUST")
@on_virtual_time
async def test_an_end_for_good_is_a_hard_reset_where_routes_would_be_kept() -> None:
    async with Rack() as rack:
        node, helper = await rack.node(1), await rack.node(2)
        node.announce("10.1.0.0/16")
        node.peers_with(helper)
        helper.peers_with(node)
        await until(lambda: helper.prefixes() == {"10.1.0.0/16"})
        await node.speaker.close()
        await until(lambda: not helper.is_up(node))
        assert "hard reset: 6/2" in _last_reset(helper, node)
        assert helper.prefixes() == set()


@pytest.mark.rfc(8538, "4.1", "MUST NOT")
@on_virtual_time
async def test_a_second_loss_within_the_restart_does_not_cost_the_routes() -> None:
    async with Rack() as rack:
        helper, once = await rack.node(1), await rack.node(2)
        helper.peers_with(once)
        once.peers_with(helper)
        once.announce("10.1.0.0/16")
        await until(lambda: helper.prefixes() == {"10.1.0.0/16"})
        await once.speaker.close(is_restart=True)
        twice = await rack.node(2)
        _restarts(twice, cap=60, quiet=60)
        twice.peers_with(helper)
        twice.peers_with(f"{rack.network}.9")
        await until(lambda: twice.is_up(helper))
        await twice.speaker.close(is_restart=True)
        await until(lambda: not helper.is_up(once))
        assert helper.prefixes() == {"10.1.0.0/16"}
        thrice = await rack.node(2)
        thrice.announce("10.2.0.0/16")
        thrice.peers_with(helper)
        await until(lambda: helper.prefixes() == {"10.2.0.0/16"})


def _last_reset(node: Node, other: Node) -> str:
    return str(node.peer(other).driver.session.counters.last_reset)


RUN = Start(is_restart=True, preserved=frozenset(FAMILIES))
PERHAPS = replace(RUN, is_certain=False)
FIRST = Start(is_restart=False, preserved=frozenset())
CLIENT = PeerSettings("c", "10.0.0.1", 1, 1, is_client=True)


def remembering(seconds: int, age: float) -> RememberedPeers:
    member = RememberedPeer(
        "10.0.0.1", "", "10.0.0.9", 1, 1, frozenset(FAMILIES), seconds
    )
    return RememberedPeers({member.address: member}, age=age)


@pytest.mark.parametrize(
    ("start", "remembered", "peers", "tell", "end"),
    [
        (FIRST, None, [CLIENT], 0, 0),
        (RUN, remembering(120, 10.0), [], 60, 108),
        (RUN, remembering(30, 10.0), [], 60, 60),
        (RUN, remembering(120, 500.0), [], 0, 60),  # no peer keeps our routes any more
        (RUN, RememberedPeers(), [], 0, 60),
        (RUN, None, [], 60, 60),
        (RUN, None, [CLIENT], 60, 118),
        (RUN, None, [replace(CLIENT, is_client=False)], 60, 60),
        (RUN, None, [replace(CLIENT, has_graceful_restart=False)], 60, 60),
        (RUN, None, [replace(CLIENT, graceful_restart_time=0)], 60, 60),
        (PERHAPS, None, [CLIENT], 0, 118),
        (PERHAPS, None, [], 0, 60),
    ],
)
def test_how_long_it_takes_depends_on_which_peers_keep_our_routes(
    start, remembered, peers, tell, end
) -> None:
    caps = deferral_limits_of(RestartSettings(), start, remembered, peers)
    assert caps == DeferralLimits(tell=tell, end=end, sweep=120)
    off = RestartSettings(is_enabled=False)
    assert deferral_limits_of(off, start, remembered, peers) == DeferralLimits(
        0, 0, 120
    )
    short = deferral_limits_of(
        RestartSettings(selection_deferral_time=5), start, remembered, peers
    )
    assert short == DeferralLimits(min(tell, 5), min(end, 5), 120)


@pytest.mark.parametrize(
    ("changes", "alone"),
    [
        ({}, 0),
        ({"long_lived_stale_time": 3600}, 3720),
        ({"long_lived_stale_time": 3600, "max_long_lived_stale_time": 60}, 180),
        ({"long_lived_stale_time": 3600, "max_long_lived_stale_time": 7200}, 3720),
        ({"long_lived_stale_time": 3600, "has_graceful_restart": False}, 0),
    ],
)
def test_the_kernel_waits_for_absent_peers_as_long_as_their_routes_would_be_kept(
    changes: dict[str, Any], alone: int
) -> None:
    peers = iter([CLIENT, replace(CLIENT, **changes)])
    assert deferral_limits_of(RestartSettings(), RUN, None, peers).alone == alone


@on_virtual_time
async def test_routes_are_advertised_at_once_if_it_may_be_a_first_start() -> None:
    async with Rack() as rack:
        reflector, a, b = [await rack.node(n) for n in (1, 2, 3)]
        deferral = SelectionDeferral(
            reflector.speaker, DeferralLimits(0, 60, 60), window=60
        )
        reflector.accepts(f"{rack.network}.0/24", is_client=True)
        for node in (a, b):
            node.peers_with(reflector)
            node.announce(f"10.{node.number}.0.0/16")
        await until(lambda: a.prefixes() == b.prefixes() != set())
        assert a.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"}
        assert not a.peer(reflector).imports.ended_families
        report = deferral.report
        assert report is not None
        assert not report.is_certain
        assert not report.deferred_routes


@on_virtual_time
async def test_configured_clients_count_as_up_if_the_previous_run_is_unknown() -> None:
    async with Rack() as rack:
        reflector, a, b = [await rack.node(n) for n in (1, 2, 3)]
        deferral = _restarts(reflector, cap=60, quiet=0.3)
        reflector.peers_with(a, is_client=True)
        reflector.peers_with(b, is_client=True, is_passive=True)
        a.peers_with(reflector)
        a.announce("10.2.0.0/16")
        await until(lambda: deferral.report and not deferral.report.deferred_routes)
        assert deferral.report is not None
        assert list(deferral.report.awaited) == [b.addr]
        assert not a.peer(reflector).imports.ended_families
        b.peers_with(reflector)
        await until(lambda: _has_ended(a, reflector) and _has_ended(b, reflector))
