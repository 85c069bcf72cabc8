import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from fib import Hop, Target, TargetKind
from fib.kernel import KernelFib
from fib.kernel_follower import KernelFollower
from fib.kernel_view import KernelView
from fib.next_hop_state import NextHopState
from fib.next_hop_watch import NextHopWatch
from fib.redistributed import RedistributedChange, RedistributedRoutes
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import parse_address, parse_prefix
from rib.zones import scoped
from tests.support.kernel_namespace import ip, ip_batch, namespace

pytestmark = [pytest.mark.root, pytest.mark.slow]

ADDRESS = parse_address


def key_of(text: str) -> bytes:
    address, _, zone = text.partition("%")
    return scoped(ADDRESS(address), zone)


def nlri(text: str) -> bytes:
    return parse_prefix(text)[1]


@pytest.fixture(autouse=True)
def _namespace() -> Iterator[None]:
    with namespace():
        yield


class Watched:
    """A next-hop watch that remembers what it delivered."""

    def __init__(self, view: KernelView) -> None:
        self.news: dict[bytes, NextHopState] = {}
        self.batches = 0
        self.watch = NextHopWatch(view, self._take)

    def _take(self, states: list[NextHopState]) -> None:
        self.batches += 1
        self.news.update({state.address: state for state in states})

    async def reachable(self, text: str, *, is_reachable: bool) -> NextHopState:
        for _ in range(200):
            state = self.news.get(key_of(text))
            if state is not None and state.is_reachable is is_reachable:
                return state
            await asyncio.sleep(0.02)
        raise AssertionError(f"{text}: {self.news.get(key_of(text))}")


def follow(
    story: Callable[[KernelFollower], Awaitable[None]],
    *,
    receive_buffer: int = 1 << 24,
) -> None:
    async def scene() -> None:
        follower = await KernelFollower.start(receive_buffer=receive_buffer)
        try:
            async with asyncio.timeout(20):
                await story(follower)
        finally:
            await follower.close()

    asyncio.run(scene())


def play(story: Callable[[KernelView], Awaitable[None]]) -> None:
    follow(lambda follower: story(follower.view))


def test_states_at_first_sight() -> None:
    ip("route add 192.0.2.0/24 via 10.9.0.7 metric 30")
    ip("route add blackhole 198.51.100.0/24")
    ip("route add 203.0.113.0/24 nexthop via 10.9.0.7 nexthop via 10.9.1.7")

    async def story(view: KernelView) -> None:
        watch = Watched(view).watch
        direct = watch.watch(ADDRESS("10.9.0.2"))
        assert (direct.is_reachable, direct.interface) == (True, "v0")
        assert direct.hops == (Hop(ADDRESS("10.9.0.2"), "v0"),)
        behind = watch.watch(ADDRESS("192.0.2.1"))
        assert (behind.gateway, behind.metric) == (ADDRESS("10.9.0.7"), 30)
        assert watch.watch(ADDRESS("10.9.0.1")).is_local
        assert not watch.watch(ADDRESS("198.51.100.1")).is_reachable
        assert not watch.watch(ADDRESS("8.8.8.8")).is_reachable
        assert len(watch.watch(ADDRESS("203.0.113.1")).hops) == 2
        six = watch.watch(ADDRESS("fd09:0::2"))
        assert (six.is_reachable, six.interface) == (True, "v0")
        link_local = watch.watch(scoped(ADDRESS("fe80::2"), "v1"))
        assert link_local.hops == (Hop(ADDRESS("fe80::2"), "v1"),)
        assert not watch.watch(scoped(ADDRESS("fe80::2"), "nosuch")).is_reachable
        # RFC 4007: fe80::/64 is connected on both links, which says nothing.
        assert not watch.watch(ADDRESS("fe80::2")).is_reachable

    play(story)


def test_links_addresses_and_routes_change_states() -> None:
    async def story(view: KernelView) -> None:
        seen = Watched(view)
        for text in ("10.9.1.2", "fd09:1::2", "192.0.2.1"):
            seen.watch.watch(ADDRESS(text))
        seen.watch.watch(scoped(ADDRESS("fe80::5"), "v1"))
        ip("route add 192.0.2.0/24 via 10.9.1.7")
        await seen.reachable("192.0.2.1", is_reachable=True)
        ip("link set p1 down")  # the carrier goes, the routes stay
        for text in ("10.9.1.2", "192.0.2.1", "fd09:1::2", "fe80::5%v1"):
            await seen.reachable(text, is_reachable=False)
        ip("link set p1 up")
        for text in ("10.9.1.2", "192.0.2.1", "fd09:1::2", "fe80::5%v1"):
            await seen.reachable(text, is_reachable=True)
        ip("link set v1 down")  # IPv4 routes go in silence
        for text in ("10.9.1.2", "192.0.2.1", "fd09:1::2", "fe80::5%v1"):
            await seen.reachable(text, is_reachable=False)
        ip("link set v1 up")
        await seen.reachable("10.9.1.2", is_reachable=True)
        assert not seen.news[ADDRESS("192.0.2.1")].is_reachable
        ip("route add 192.0.2.0/24 via 10.9.1.7")
        await seen.reachable("192.0.2.1", is_reachable=True)
        ip("address del 10.9.1.1/24 dev v1")
        await seen.reachable("10.9.1.2", is_reachable=False)
        await seen.reachable("192.0.2.1", is_reachable=False)

    play(story)


def test_our_own_routes_do_not_resolve_next_hops() -> None:
    async def story(view: KernelView) -> None:
        seen = Watched(view)
        fib = await KernelFib.start()
        seen.watch.watch(ADDRESS("192.0.2.1"))
        target = Target(hops=(Hop(ADDRESS("10.9.0.2")),))
        fib.submit(IPV4_UNICAST, [nlri("192.0.2.0/24"), nlri("0.0.0.0/0")], target)
        await fib.wait_until_synced()
        ip("route add 192.0.2.0/25 via 10.9.0.9")
        state = await seen.reachable("192.0.2.1", is_reachable=True)
        assert state.gateway == ADDRESS("10.9.0.9")
        assert seen.batches == 1
        await fib.close(flush=True)

    play(story)


def test_lost_notifications_are_made_up_for() -> None:
    async def story(follower: KernelFollower) -> None:
        seen = Watched(follower.view)
        seen.watch.watch(ADDRESS("20.9.99.1"))
        ip_batch(
            f"route add 20.{n // 100}.{n % 100}.0/24 via 10.9.0.2" for n in range(1000)
        )
        await seen.reachable("20.9.99.1", is_reachable=True)
        assert follower.overflow_count > 0

    follow(story, receive_buffer=4096)


async def settled(changes: list[RedistributedChange], count: int) -> None:
    for _ in range(200):
        if len(changes) >= count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(changes)


def test_foreign_routes_are_learned_and_unlearned() -> None:
    ip("route add 20.0.0.5 dev v0 proto boot")
    ip("route add 20.0.1.0/24 via 10.9.0.2 proto static metric 50")
    ip("route add 20.0.2.0/24 via 10.9.0.2 proto bird")
    ip("route add blackhole fd20::/64 proto static")

    async def story(view: KernelView) -> None:
        changes: list[RedistributedChange] = []
        learned = RedistributedRoutes(view, changes.extend)
        learned.start()
        first = {(family, key): route for family, key, route in changes}
        assert set(first) == {
            (IPV4_UNICAST, nlri("20.0.0.5/32")),
            (IPV4_UNICAST, nlri("20.0.1.0/24")),
            (IPV6_UNICAST, nlri("fd20::/64")),
        }
        pod = first[IPV4_UNICAST, nlri("20.0.0.5/32")]
        assert pod is not None
        assert (pod.protocol, pod.hops) == (3, (Hop(interface="v0"),))
        six = first[IPV6_UNICAST, nlri("fd20::/64")]
        assert six is not None
        assert six.kind is TargetKind.BLACKHOLE
        changes.clear()
        ip("route add 20.0.1.0/24 via 10.9.1.2 proto static metric 20")
        await settled(changes, 1)
        assert changes[0][2] is not None
        assert changes[0][2].metric == 20
        ip("route del 20.0.1.0/24 metric 20")
        await settled(changes, 2)
        assert changes[1][2] is not None
        assert changes[1][2].metric == 50
        ip("route del 20.0.1.0/24")
        await settled(changes, 3)
        assert changes[2] == (IPV4_UNICAST, nlri("20.0.1.0/24"), None)

    play(story)


def test_protocols_and_interfaces_choose_what_is_learned() -> None:
    ip("route add 20.0.0.0/24 via 10.9.0.2 proto static")
    ip("route add 20.0.1.0/24 via 10.9.1.2 proto static")
    ip("route add 20.0.2.0/24 via 10.9.0.2 proto boot")

    async def story(view: KernelView) -> None:
        chosen: list[RedistributedChange] = []
        RedistributedRoutes(
            view, chosen.extend, protocols=[4], interfaces=["v*", "!v1"]
        ).start()
        assert [change[1] for change in chosen] == [nlri("20.0.0.0/24")]
        kernels: list[RedistributedChange] = []
        RedistributedRoutes(
            view, kernels.extend, protocols=[2], interfaces=["v1"]
        ).start()
        keys = {change[1] for change in kernels if change[0] == IPV4_UNICAST}
        assert keys == {nlri("10.9.1.0/24")}

    play(story)
