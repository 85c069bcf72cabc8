"""Connected prefixes, as the addresses of a real kernel make them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fib.connected import Choice, Connected, ConnectedPrefixes
from fib.kernel_follower import KernelFollower
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import Nlri, parse_prefix
from tests.support.kernel_namespace import ip, namespace

pytestmark = pytest.mark.root

PATTERNS = Choice(("-cali*", "*"))


class Told:
    def __init__(self) -> None:
        self.now: Connected = {}
        self.changed = asyncio.Event()

    def __call__(self, before: Connected, now: Connected) -> None:
        assert before == self.now
        self.now = dict(now)
        self.changed.set()

    async def again(self) -> Connected:
        async with asyncio.timeout(10):
            await self.changed.wait()
        self.changed.clear()
        return self.now


def key(prefix: str) -> tuple[Family, Nlri]:
    afi, nlri = parse_prefix(prefix)
    return (IPV4_UNICAST if afi == 1 else IPV6_UNICAST), nlri


def with_prefixes(
    work: Callable[[ConnectedPrefixes, Told], Awaitable[None]], *setup: str
) -> None:
    async def scenario() -> None:
        follower = await KernelFollower.start()
        view = follower.view
        told = Told()
        prefixes = ConnectedPrefixes(view, told, PATTERNS)
        prefixes.start()
        told.changed.clear()
        try:
            await work(prefixes, told)
        finally:
            prefixes.close()
            await follower.close()

    with namespace():
        for command in setup:
            ip(command)
        asyncio.run(scenario())


BASE = {
    key("10.9.0.0/24"): "v0",
    key("10.9.1.0/24"): "v1",
    key("fd09:0::/64"): "v0",
    key("fd09:1::/64"): "v1",
}


def test_global_prefixes_of_devices_that_are_up_are_known() -> None:
    async def work(_: ConnectedPrefixes, told: Told) -> None:
        assert told.now == BASE

    with_prefixes(work)


def test_a_host_prefix_of_a_tunnel_counts_and_excluded_devices_do_not() -> None:
    async def work(_: ConnectedPrefixes, told: Told) -> None:
        assert told.now == {**BASE, key("10.244.1.0/32"): "tunl0"}

    with_prefixes(
        work,
        "tuntap add dev tunl0 mode tun",
        "link set tunl0 up",
        "address add 10.244.1.0/32 dev tunl0",
        "link add cali1 type veth peer name w1",
        "link set cali1 up",
        "address add 10.50.0.1/24 dev cali1",
        "address add 169.254.7.1/24 dev v0",
    )


def test_addresses_come_and_go_and_so_do_devices() -> None:
    async def work(_: ConnectedPrefixes, told: Told) -> None:
        ip("address add 10.77.0.1/16 dev v0")
        assert (await told.again())[key("10.77.0.0/16")] == "v0"
        ip("address del 10.77.0.1/16 dev v0")
        assert key("10.77.0.0/16") not in await told.again()
        ip("link set v1 down")
        while key("10.9.1.0/24") in told.now:
            await told.again()
        assert told.now[key("10.9.0.0/24")] == "v0"

    with_prefixes(work)


def test_other_patterns_choose_other_devices_at_once() -> None:
    async def work(prefixes: ConnectedPrefixes, told: Told) -> None:
        prefixes.choose(Choice(("-v0", *PATTERNS.interfaces)))
        assert set(told.now.values()) == {"v1"}
        prefixes.choose(Choice(("v0",)))
        assert set(told.now.values()) == {"v0"}
        prefixes.choose(Choice())
        assert told.now == {}

    with_prefixes(work)
