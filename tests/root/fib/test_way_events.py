"""Ways that open, as the real kernel tells of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from fib.next_hop_events import GATHER, MOST_PREFIXES, NextHopEvents, Opened
from rib.nlri import parse_address
from tests.support.kernel_namespace import ip, ip_batch, namespace
from tests.support.speakers import until

pytestmark = [pytest.mark.root, pytest.mark.slow]
OURS = 12


@pytest.fixture(autouse=True)
def _namespace() -> Iterator[None]:
    with namespace():
        yield


def play(story: Callable[[list[Opened]], Awaitable[None]]) -> None:
    async def scene() -> None:
        told: list[Opened] = []
        events = NextHopEvents(told.append, OURS)
        events.start()
        try:
            async with asyncio.timeout(20):
                await story(told)
        finally:
            events.close()

    asyncio.run(scene())


async def opens(
    told: list[Opened], address: str, interface: str = "", source: str = ""
) -> None:
    """Wait until a way to ``address`` is reported; forget all earlier reports."""
    octets, start = parse_address(address), parse_address(source) if source else b""
    await until(lambda: any(w.leads_to(octets, interface, start) for w in told))
    told.clear()


def test_links_addresses_and_routes_open_ways() -> None:
    async def story(told: list[Opened]) -> None:
        ip("link set v0 down")
        ip("link set v1 down")
        ip("link set v0 up")
        await opens(told, "203.0.113.1")  # routed, perhaps, over a link with addresses
        ip("address add 10.8.0.1/24 dev v0")
        await opens(told, "10.8.0.9")
        ip("address add 10.7.0.1/32 dev lo")
        await opens(told, "203.0.113.1", source="10.7.0.1")
        ip("-6 address add fd08::1/64 dev v0 nodad")
        await opens(told, "fd08::9")
        ip("route add 198.51.100.0/24 via 10.8.0.9")
        await opens(told, "198.51.100.1")
        ip("route add default via 10.8.0.9")
        await opens(told, "192.0.2.1")

    play(story)


def test_what_opens_no_way_is_not_told_as_one() -> None:
    async def story(told: list[Opened]) -> None:
        ip("route add 198.51.100.0/24 dev v0 proto 12")  # of our own
        ip("link set v1 down")
        ip("link add cali0 type veth peer name cali1")
        ip("link set cali0 up")
        ip("link set cali1 up")
        ip("route add 10.99.0.1/32 dev cali0")
        ip("address add 10.6.0.1/24 dev v0")
        await until(lambda: any("cali1" in each.links for each in told))
        await asyncio.sleep(2 * GATHER)  # whatever belongs to the same moment is there
        ways = {address for each in told for address in each.addresses}
        assert not any(each.is_any for each in told)
        assert not any(each.leads_to(parse_address("10.9.1.2")) for each in told)
        assert not any(each.leads_to(parse_address("198.51.100.9")) for each in told)
        assert parse_address("10.6.0.1") in ways

    play(story)


def test_many_prefixes_are_reported_as_one_of_any_destination() -> None:
    async def story(told: list[Opened]) -> None:
        ip_batch(f"route add 172.16.{n}.0/24 dev v0" for n in range(MOST_PREFIXES + 1))
        await opens(told, "203.0.113.1")

    play(story)
