from collections.abc import Iterable

import pytest

from bgpd.api.protocol import ControlError
from bgpd.show.actions import DaemonActions
from bgpd.show.state import ResetKind
from tests.support.simnet import on_virtual_time
from tests.support.speakers import Node, Rack, until


async def no_reload(*, allows_resets: bool) -> Iterable[str]:
    assert not allows_resets
    return ("nothing",)


def no_shut_down(*, flushes: bool, text: str) -> None:
    raise AssertionError("not requested")


def actions_of(node: Node) -> DaemonActions:
    return DaemonActions(node.speaker, no_reload, no_shut_down)


async def a_reflector_with_clients(rack: Rack) -> tuple[Node, Node, Node]:
    reflector, one, two = [await rack.node(n) for n in (1, 2, 3)]
    reflector.accepts(f"{rack.network}.0/24", is_client=True)
    for client in (one, two):
        client.peers_with(reflector)
        client.announce(f"10.{client.number}.0.0/16")
    everything = {"10.2.0.0/16", "10.3.0.0/16"}
    await until(lambda: one.prefixes() == everything == two.prefixes())
    return reflector, one, two


@on_virtual_time
async def test_a_dynamic_neighbour_stays_shut_down_until_it_is_enabled() -> None:
    async with Rack() as rack:
        reflector, one, two = await a_reflector_with_clients(rack)
        actions = actions_of(reflector)
        assert list(actions.disable(one.addr, "maintenance"))
        await until(lambda: two.prefixes() == {"10.3.0.0/16"})
        filtered = one.peer(reflector).driver.session.counters
        await until(lambda: filtered.connect_attempts > 1, 15)
        assert not reflector.is_up(one)
        assert one.addr in reflector.speaker.peers  # and can so be enabled
        assert list(actions.enable(one.addr))
        await until(lambda: two.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"}, 30)


@on_virtual_time
async def test_a_dynamic_neighbour_that_is_reset_comes_back() -> None:
    async with Rack() as rack:
        reflector, one, two = await a_reflector_with_clients(rack)
        list(actions_of(reflector).reset(one.addr, ResetKind.HARD))
        await until(lambda: one.flaps(reflector) == 1)
        await until(lambda: reflector.is_up(one), 15)
        await until(lambda: two.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"})


@on_virtual_time
async def test_soft_resets_need_a_session_and_do_not_touch_it() -> None:
    async with Rack() as rack:
        reflector, one, two = await a_reflector_with_clients(rack)
        actions = actions_of(reflector)
        for kind in (ResetKind.SOFT_IN, ResetKind.SOFT_OUT):
            assert list(actions.reset(one.addr, kind))
        idle = two.peers_with(one)
        with pytest.raises(ControlError, match="no session"):
            actions_of(two).reset(idle.settings.remote_addr, ResetKind.SOFT_IN)
        await until(lambda: one.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"})
        assert reflector.flaps(one) == 0
