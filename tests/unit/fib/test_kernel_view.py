"""Links, addresses and foreign routes as the kernel's messages change them."""

import asyncio

from fib.kernel_links import Links
from fib.kernel_view import Changed, KernelView
from fib.netlink.rtnetlink import (
    RT_TABLE_LOCAL,
    RT_TABLE_MAIN,
    RTN_UNICAST,
    AddressMessage,
    LinkMessage,
    RouteMessage,
)
from rib.nlri import parse_address, parse_prefix
from tests.support.simnet import advance, on_virtual_time

ETH0 = LinkMessage(2, "eth0", True, True)
ADDRESS = AddressMessage(2, parse_address("10.9.0.1"), 24, b"")


def a_route(prefix: str, *indexes: int, table: int = RT_TABLE_MAIN) -> RouteMessage:
    afi, nlri = parse_prefix(prefix)
    hops = tuple((b"", index, False, 1) for index in indexes)
    return RouteMessage(
        afi=afi,
        nlri=nlri,
        table=table,
        protocol=4,
        tos=0,
        metric=0,
        object_id=0,
        has_input_interface=False,
        image=(RTN_UNICAST, 0, b"", hops),
    )


class Ground:
    """A view with one link and one address, and what listeners heard."""

    def __init__(self) -> None:
        self.view = KernelView()
        links = Links()
        links.update(ETH0)
        self.view.replace_devices(links, {ADDRESS})
        self.heard: list[Changed] = []
        self.view.subscribe(self.heard.append)

    def come(self, *routes: RouteMessage, replaces: bool = False) -> None:
        for route in routes:
            self.view.apply_route(route, is_gone=False, replaces=replaces)

    def prefixes(self) -> set[tuple[int, bytes]]:
        known = self.view.keys()
        return {(table, nlri) for _, table, nlri in known}


def key(prefix: str, table: int = RT_TABLE_MAIN) -> tuple[int, bytes]:
    return table, parse_prefix(prefix)[1]


@on_virtual_time
async def test_changes_of_one_moment_are_reported_together() -> None:
    ground = Ground()
    await advance(1)
    ground.heard.clear()
    ground.come(a_route("10.1.0.0/16", 2), a_route("10.2.0.0/16", 2))
    assert ground.heard == []
    await advance(1)
    (changed,) = ground.heard
    assert {nlri for _, _, nlri in changed} == {
        parse_prefix("10.1.0.0/16")[1],
        parse_prefix("10.2.0.0/16")[1],
    }
    ground.view.close()


@on_virtual_time
async def test_a_listener_that_fails_keeps_the_news_from_no_other() -> None:
    loop, faults = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    ground = Ground()

    def fail(_: Changed) -> None:
        raise ValueError("cursed")

    ground.view.unsubscribe(ground.heard.append)
    ground.view.subscribe(fail)
    ground.view.subscribe(ground.heard.append)
    ground.come(a_route("10.1.0.0/16", 2))
    await advance(1)
    assert len(ground.heard) == 1
    assert [str(fault) for fault in faults] == ["cursed"]
    ground.view.close()


@on_virtual_time
async def test_a_route_that_replaces_another_leaves_one() -> None:
    ground = Ground()
    ground.come(a_route("10.1.0.0/16", 2))
    ground.come(a_route("10.1.0.0/16", 3))
    assert len(ground.view.routes(1, key("10.1.0.0/16")[1])) == 2
    ground.come(a_route("10.1.0.0/16", 4), replaces=True)
    (left,) = ground.view.routes(1, key("10.1.0.0/16")[1])
    assert left.image[3][0][1] == 4
    ground.view.apply_route(left, is_gone=True, replaces=False)
    assert ground.prefixes() == set()
    ground.view.close()


@on_virtual_time
async def test_a_link_that_is_set_down_takes_its_routes_but_not_the_machines_addresses() -> (
    None
):
    ground = Ground()
    ground.come(
        a_route("10.1.0.0/16", 2),
        a_route("10.2.0.0/16", 2, 3),
        a_route("10.9.0.1/32", 2, table=RT_TABLE_LOCAL),
    )
    ground.view.apply_link(LinkMessage(2, "eth0", False, False), is_gone=False)
    assert ground.prefixes() == {
        key("10.2.0.0/16"),
        key("10.9.0.1/32", RT_TABLE_LOCAL),
    }
    ground.view.apply_link(LinkMessage(2, "eth0", False, False), is_gone=True)
    assert ground.prefixes() == {key("10.2.0.0/16")}
    assert not ground.view.links.by_index
    ground.view.close()


@on_virtual_time
async def test_the_last_ipv4_address_of_a_link_takes_its_ipv4_routes() -> None:
    ground = Ground()
    more = ADDRESS._replace(address=parse_address("10.9.0.2"))
    ground.view.apply_address(more, is_gone=False)
    ground.come(a_route("10.1.0.0/16", 2), a_route("fd00::/64", 2))
    ground.view.apply_address(more, is_gone=True)
    assert len(ground.prefixes()) == 2
    ground.view.apply_address(ADDRESS, is_gone=True)
    assert ground.prefixes() == {key("fd00::/64")}
    ground.view.close()
