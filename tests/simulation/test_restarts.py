"""Graceful restart of a peer in every order of loss, return and second loss (RFC 4724, 9494)."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bgpd.net import pulse
from bgpd.speaker import advertised_limits
from bgpd.wire.capabilities import GracefulRestart, LongLivedFamily
from bgpd.wire.update import end_of_rib
from rib.attributes.communities import LLGR_STALE
from rib.family import IPV4_UNICAST
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import ASN, PORT, Node, a_lone_node, some_nlris

RESTART_TIME = 120
BOUND = 360  # seconds after its return in which a peer has to send End-of-RIB
DAY = 86_400
OLD, NEW, LATE = some_nlris(3)


def opening(stale_time: int = 0, *, is_preserved: bool = True) -> bytes:
    graceful = GracefulRestart(
        restart_time=RESTART_TIME, families=((IPV4_UNICAST, is_preserved),)
    )
    row = LongLivedFamily(IPV4_UNICAST, is_preserved, stale_time)
    return an_open(
        ASN,
        families=(IPV4_UNICAST,),
        graceful_restart=graceful,
        long_lived=(row,) if stale_time else None,
    )


class Restarting:
    """A peer that comes and goes."""

    def __init__(self, node: Node, who: str, opening: bytes) -> None:
        self.node = node
        self.who = who
        self.opening = opening
        self._peer: ScriptedPeer | None = None

    async def come(self, *nlris: bytes, is_complete: bool = False) -> None:
        """Come up and announce something, and End-of-RIB if asked."""
        self._peer = ScriptedPeer(self.who, self.node.addr, PORT)
        await self._peer.__aenter__()
        await self._peer.establish_silently(self.opening)
        if nlris:
            self._peer.send(an_update([*nlris]))
        if is_complete:
            self._peer.send(end_of_rib(IPV4_UNICAST))
        await advance(1)
        assert self.node.is_up(self.who)

    async def go(self) -> None:
        """Lose the connection."""
        await self.leave()
        await advance(1)
        assert not self.node.is_up(self.who)

    async def leave(self) -> None:
        if self._peer is not None:
            await self._peer.__aexit__()

    @property
    def routes(self) -> set[bytes]:
        return {*self.node.table(IPV4_UNICAST)}

    async def keeps(self, *nlris: bytes, seconds: float) -> None:
        """Show that these routes stay until a moment, and are gone two seconds later."""
        await advance(seconds - 2)
        assert self.routes == {*nlris}
        await advance(4)
        assert self.routes == set()


@asynccontextmanager
async def a_peer(stale_time: int = 0, **changes: object) -> AsyncIterator[Restarting]:
    async with a_lone_node(hold_time=0, **changes) as (node, who):
        made = Restarting(node, who, opening(stale_time))
        try:
            yield made
        finally:
            await made.leave()


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for stalls, and at limits, once a day and not every second."""
    monkeypatch.setattr(pulse, "BEAT", DAY)
    monkeypatch.setattr(pulse, "STALL", math.inf)
    monkeypatch.setattr(advertised_limits, "LOOK", DAY)


@pytest.mark.rfc(4724, "4.2", "MUST")
@on_virtual_time
async def test_routes_of_a_peer_that_does_not_return_stay_for_its_restart_time() -> (
    None
):
    async with a_peer() as peer:
        await peer.come(OLD, NEW, is_complete=True)
        await peer.go()
        await peer.keeps(OLD, NEW, seconds=RESTART_TIME - 1)


@pytest.mark.rfc(4724, "4.2", "MUST")
@pytest.mark.parametrize("away", [1, 60, 118])
@on_virtual_time
async def test_end_of_rib_after_the_return_ends_what_was_not_announced_again(
    away: int,
) -> None:
    async with a_peer() as peer:
        await peer.come(OLD, NEW, is_complete=True)
        await peer.go()
        await advance(away - 1)
        await peer.come(NEW)
        assert peer.routes == {OLD, NEW}
        await advance(BOUND - 5)
        assert peer.routes == {OLD, NEW}
        await peer.go()
        await peer.come(NEW, is_complete=True)
        assert peer.routes == {NEW}
        await advance(DAY / 24)
        assert peer.routes == {NEW}


@on_virtual_time
async def test_a_return_without_end_of_rib_is_believed_for_a_bounded_time() -> None:
    async with a_peer() as peer:
        await peer.come(OLD, NEW, is_complete=True)
        await peer.go()
        await advance(30)
        await peer.come(NEW)
        await advance(BOUND - 5)
        assert peer.routes == {OLD, NEW}
        await advance(10)
        assert peer.routes == {NEW}


@pytest.mark.rfc(4724, "4.2", "MUST")
@on_virtual_time
async def test_a_peer_that_returns_without_its_forwarding_state_loses_its_routes() -> (
    None
):
    async with a_peer() as peer:
        await peer.come(OLD, is_complete=True)
        await peer.go()
        peer.opening = opening(is_preserved=False)
        await peer.come(NEW)
        assert peer.routes == {NEW}


@pytest.mark.rfc(8538, "4.1", "MUST NOT")
@pytest.mark.parametrize("away", [5, 60, 110])
@on_virtual_time
async def test_a_second_loss_before_end_of_rib_keeps_what_is_new_for_its_time(
    away: int,
) -> None:
    async with a_peer() as peer:
        await peer.come(OLD, is_complete=True)
        await peer.go()
        await advance(away - 2)
        await peer.come(NEW)
        await peer.go()
        assert peer.routes == {OLD, NEW}
        await peer.keeps(OLD, NEW, seconds=RESTART_TIME - 1)


@on_virtual_time
async def test_a_peer_that_comes_and_goes_without_end_of_rib_does_not_keep_routes_for_ever() -> (
    None
):
    async with a_peer() as peer:
        await peer.come(OLD, is_complete=True)
        await peer.go()
        lost, last = 0, 0.0
        while OLD in peer.routes:
            await advance(50)
            await peer.come()
            await peer.go()
            lost, last = lost + 1, last + 52
            assert last < RESTART_TIME + BOUND + 60
        assert lost > 2


@on_virtual_time
async def test_a_second_loss_after_end_of_rib_is_a_first_one() -> None:
    async with a_peer() as peer:
        for _ in range(10):
            await peer.come(OLD, is_complete=True)
            await peer.go()
            await advance(RESTART_TIME - 10)
            assert peer.routes == {OLD}
        await peer.come(OLD, is_complete=True)
        await peer.go()
        await peer.keeps(OLD, seconds=RESTART_TIME - 1)


@pytest.mark.rfc(9494, "4.2", "MUST")
@on_virtual_time
@pytest.mark.usefixtures("calm")
async def test_long_lived_routes_stay_for_days_less_preferred() -> None:
    async with a_peer(2 * DAY, long_lived_stale_time=7 * DAY) as peer:
        await peer.come(OLD, is_complete=True)
        await peer.go()
        await advance(RESTART_TIME - 5)
        assert LLGR_STALE not in communities(peer.node)
        await advance(10)
        assert LLGR_STALE in communities(peer.node)
        await peer.keeps(OLD, seconds=2 * DAY - 6)


@pytest.mark.rfc(9494, "4.2", "MUST NOT")
@on_virtual_time
@pytest.mark.usefixtures("calm")
async def test_the_long_lived_time_does_not_start_again_with_a_second_loss() -> None:
    async with a_peer(2 * DAY, long_lived_stale_time=7 * DAY) as peer:
        await peer.come(OLD, is_complete=True)
        await peer.go()
        await advance(DAY)
        await peer.come(LATE)
        await peer.go()
        assert peer.routes == {OLD, LATE}
        await advance(DAY + RESTART_TIME)
        assert OLD not in peer.routes


def communities(node: Node) -> tuple[int, ...]:
    (entry,) = node.table(IPV4_UNICAST).values()
    return tuple(entry.attributes.communities)
