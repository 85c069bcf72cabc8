"""Dynamic neighbours that were up and are gone are remembered, within bounds."""

import pytest

from bgpd.api.protocol import ControlError
from bgpd.show.commands import DaemonView
from bgpd.show.gone_peers import gone_peers
from bgpd.show.state import find_peer
from bgpd.speaker.gone_neighbours import (
    KEPT_FOR,
    MOST,
    GoneNeighbour,
    GoneNeighbours,
)
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import Node, Rack, until
from tests.unit.bgpd.speaker.test_dynamic_neighbours import restarts, was_up


def gone(address: str, at: float = 0.0) -> GoneNeighbour:
    return GoneNeighbour(address, "range", 0, 1, "connection lost", at)


def test_the_oldest_are_forgotten_by_count_and_age() -> None:
    some = GoneNeighbours()
    for number in range(MOST + 5):
        some.note(gone(f"{number}", at=float(number)), float(number))
    some.note(gone("7", at=2000.0), 2000.0)
    found = [each.address for each in some.all(2000.0)]
    assert (len(found), found[0], found[-1]) == (MOST, "7", "5")
    assert [each.address for each in some.all(2000.0 + KEPT_FOR)] == ["7"]
    assert list(some.all(2001.0 + KEPT_FOR)) == []


def shown(node: Node, **arguments: object) -> dict[str, tuple[int, str]]:
    """Return sessions and reason by address."""
    rows = gone_peers(DaemonView(node.speaker, 0.0), arguments)
    return {
        row["address"]: (row["established_transitions"], row["reason"]) for row in rows
    }


@on_virtual_time
async def test_a_member_that_goes_is_listed_until_it_is_back() -> None:
    async with Rack() as rack:
        reflector, client = await rack.node(1), await rack.node(2)
        reflector.accepts(f"{rack.network}.0/24")
        client.peers_with(reflector)
        await until(lambda: reflector.is_up(client))
        assert shown(reflector) == {}
        client.speaker.neighbours.remove(reflector.addr)
        await until(lambda: client.addr not in reflector.speaker.peers)
        ((address, (sessions, reason)),) = shown(reflector).items()
        assert (address, sessions) == (client.addr, 1)
        assert "peer deconfigured" in reason
        assert shown(reflector, range=["range"]) == shown(reflector)
        assert shown(reflector, range=["another"]) == {}
        with pytest.raises(ControlError, match="and is gone: show peers --gone"):
            find_peer(reflector.speaker, client.addr)
        client.peers_with(reflector)
        await until(lambda: reflector.is_up(client))
        assert shown(reflector) == {}


@on_virtual_time
async def test_a_peer_that_is_not_back_after_our_restart_is_listed() -> None:
    async with Rack() as rack:
        reflector = await rack.node(1)
        reflector.accepts(f"{rack.network}.0/24")
        absent = f"{rack.network}.9"
        restarts(reflector, was_up(reflector, absent))
        await advance(300)
        assert shown(reflector) == {absent: (0, "not back since this daemon's restart")}


@on_virtual_time
async def test_an_address_without_a_session_leaves_nothing() -> None:
    async with Rack() as rack:
        reflector, other = await rack.node(1), await rack.node(2)
        reflector.accepts(f"{rack.network}.0/24", remote_as=64999)
        other.peers_with(reflector)
        await advance(30)
        other.speaker.neighbours.remove(reflector.addr)
        await advance(300)
        assert other.addr not in reflector.speaker.peers
        assert list(reflector.speaker.neighbours.gone.all(0.0)) == []
