"""Limits of what a peer is advertised, between real speakers."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bgpd.session.fsm import State
from bgpd.session.settings import ChangeCost, FamilySettings, LimitAction
from bgpd.speaker.prefix_limits import RANGE_REST, PrefixLimits, outgoing_limit_of
from bgpd.wire.errors import CeaseSubcode, ErrorCode
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.session_pair import settings as session_settings
from tests.support.simnet import on_virtual_time
from tests.support.speakers import Node, Rack, until

FOUR = ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16")
END = LimitAction.RESTART


def limited(**options: Any) -> tuple[FamilySettings, ...]:
    return (FamilySettings(IPV4_UNICAST, **options),)


def held(a: Node, b: Node) -> tuple[int, int]:
    """Return how many routes a peer is advertised, and how many are in excess."""
    limit = a.peer(b.addr).exports.limit(IPV4_UNICAST)
    assert limit is not None
    return len(limit.advertised), len(limit.waiting)


def has(node: Node, count: int) -> bool:
    return len(node.prefixes()) == count


@on_virtual_time
async def test_further_routes_wait_for_room_and_for_another_limit() -> None:
    async with Rack() as rack:
        a, b, c = [await rack.node(n, asn=64512) for n in (1, 2, 3)]
        mine = a.settings(b, families=limited(max_advertised=2), is_client=True)
        a.speaker.neighbours.add(mine)
        a.peers_with(c, is_client=True)
        b.peers_with(a)
        c.peers_with(a)
        a.announce(*FOUR)
        await until(lambda: c.prefixes() == set(FOUR))
        await until(lambda: len(b.prefixes()) == 2)
        assert held(a, b) == (2, 2)
        gone = min(b.prefixes())
        a.withdraw(gone)
        await until(lambda: len(b.prefixes() - {gone}) == 2)
        assert held(a, b) == (2, 1)
        for most, families in (
            (3, limited(max_advertised=3)),
            (1, limited(max_advertised=1)),
        ):
            mine = replace(mine, families=families)
            a.speaker.neighbours.change(mine, ChangeCost.REFRESH)
            await until(partial(has, b, most))
            assert held(a, b) == (most, 3 - most)
        mine = replace(
            mine,
            families=limited(max_advertised=1, max_advertised_action=LimitAction.WARN),
        )
        a.speaker.neighbours.change(mine, ChangeCost.REFRESH)
        await until(lambda: b.prefixes() == c.prefixes())
        assert held(a, b) == (3, 0)
        assert not a.flaps(b) + a.flaps(c)


@on_virtual_time
async def test_a_limit_that_ends_the_session_lets_nothing_out_beyond_it() -> None:
    async with Rack() as rack:
        a, b = [await rack.node(n, asn=64512) for n in (1, 2)]
        families = limited(
            max_advertised=2,
            max_advertised_action=END,
            max_advertised_restart_time=600,
        )
        a.speaker.neighbours.add(a.settings(b, families=families))
        b.peers_with(a)
        a.announce(*FOUR[:2])
        await until(lambda: b.prefixes() == set(FOUR[:2]))
        a.announce(FOUR[2])
        await until(lambda: a.flaps(b) == 1)
        peer = a.peer(b.addr)
        assert peer.state is State.IDLE
        assert peer.limits.exceeded is not None
        assert peer.limits.exceeded.key == "max_advertised"
        assert FOUR[2] not in b.prefixes()


def test_without_a_limit_nothing_is_asked() -> None:
    assert outgoing_limit_of(FamilySettings(IPV4_UNICAST)) is None
    settings = a_peer()
    assert PrefixLimits().look_out(settings, IPV4_UNICAST, 9**9) is None


def a_peer(**options: Any) -> Any:
    return session_settings(families=limited(**options))


@pytest.mark.parametrize(
    ("seconds", "is_dynamic", "rest"),
    [(0, False, 0), (0, True, RANGE_REST), (7, True, 7), (7, False, 7)],
)
def test_what_follows_of_too_many(seconds, is_dynamic, rest) -> None:
    settings = a_peer(
        max_advertised=2,
        max_advertised_action=END,
        max_advertised_restart_time=seconds,
    )
    limits = PrefixLimits()
    assert limits.look_out(settings, IPV4_UNICAST, 2) is None
    assert limits.look_out(settings, IPV6_UNICAST, 3) is None
    error = limits.look_out(settings, IPV4_UNICAST, 3, is_dynamic=is_dynamic)
    assert error is not None
    assert (error.code, error.subcode) == (
        ErrorCode.CEASE,
        CeaseSubcode.ADMINISTRATIVE_RESET,
    )
    assert error.rest_time == rest
    assert "3 routes of ipv4-unicast to advertise, the limit is 2" in error.text
