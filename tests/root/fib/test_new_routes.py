"""Many routes that are new to the kernel at once: slices under way, pieces that join, refusals."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from fib import Fib, Hop, Target
from fib.kernel import KernelFib
from rib.family import IPV4_UNICAST
from rib.nlri import format_prefix, parse_address, parse_prefix
from tests.support.kernel_namespace import ip, namespace

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.parametrize("mode", ["auto", "off"]),
]

Mode = Literal["auto", "off"]
A = Target(hops=(Hop(parse_address("10.9.0.2"), "v0"),))
B = Target(hops=(Hop(parse_address("10.9.1.2"), "v1"),))
MANY = [parse_prefix(f"20.{n >> 8}.{n & 255}.0/24")[1] for n in range(12_000)]


def play(mode: Mode, story: Callable[[Fib], Awaitable[None]]) -> None:
    """Play a story in a namespace of its own; none of our routes is left there."""

    async def run() -> None:
        routes = await KernelFib.start(next_hop_objects=mode)
        await story(routes)
        await routes.close(flush=True)
        assert ip("route show proto bird") == ""

    with namespace():
        asyncio.run(run())


def test_only_the_refused_ones_of_many_new_routes_are_in_conflict(mode: Mode) -> None:
    """Aliens stand in the way of some: they stay, and only these routes are in conflict."""
    taken = [MANY[n] for n in (0, 63, 64, 1500, 2999)]

    async def story(routes: Fib) -> None:
        for nlri in taken:
            ip(f"route add {format_prefix(nlri)} via 10.9.1.2 proto static")
        routes.submit(IPV4_UNICAST, MANY, A)
        await asyncio.wait_for(routes.wait_until_synced(), 30)
        assert sorted(routes.errors(IPV4_UNICAST)) == sorted(taken)
        assert routes.counts.conflicts == len(taken)
        assert routes.counts.installed == len(MANY) - len(taken)
        found = ip("route show proto bird").splitlines()
        assert len(found) == len(MANY) - len(taken)

    play(mode, story)


def test_new_routes_follow_the_newest_word_while_they_are_written(mode: Mode) -> None:
    """Pieces come, half of each goes elsewhere or away, while the kernel is at it."""

    async def story(routes: Fib) -> None:
        for at in range(0, len(MANY), 1500):
            piece = MANY[at : at + 1500]
            routes.submit(IPV4_UNICAST, piece, A)
            await asyncio.sleep(0)
            routes.submit(IPV4_UNICAST, piece[::4], B)
            routes.submit(IPV4_UNICAST, piece[1::4], None)
            await asyncio.sleep(0)
        await asyncio.wait_for(routes.wait_until_synced(), 30)
        targets = {route.nlri: route.target for route in routes.routes(IPV4_UNICAST)}
        assert targets == {
            nlri: B if n % 4 == 0 else A for n, nlri in enumerate(MANY) if n % 4 != 1
        }
        assert routes.errors(IPV4_UNICAST) == {}
        found = ip("route show proto bird").splitlines()
        assert len(found) == len(targets)

    play(mode, story)


def test_what_is_under_way_at_the_end_is_flushed_as_well(mode: Mode) -> None:
    async def story(routes: Fib) -> None:
        routes.submit(IPV4_UNICAST, MANY, A)
        for _ in range(20):  # some of them are on their way
            await asyncio.sleep(0)
        assert not routes.is_synced

    play(mode, story)
