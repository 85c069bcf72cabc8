"""All routes of a target at once: one message to the kernel, the same table after it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Literal

import pytest

from fib import Fib, Hop, RouteState, Target
from fib.kernel import KernelFib
from fib.memory import MemoryFib
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_address, parse_prefix
from tests.support.kernel_namespace import ip, namespace

pytestmark = [pytest.mark.root, pytest.mark.slow]

A = Target(hops=(Hop(parse_address("10.9.0.2"), "v0"),))
B = Target(hops=(Hop(parse_address("10.9.1.2"), "v1"),))
MANY = [parse_prefix(f"20.{n >> 8}.{n & 255}.0/24")[1] for n in range(3000)]
FEW = [parse_prefix(f"21.0.{n}.0/24")[1] for n in range(5)]

Story = Callable[[Fib], Awaitable[None]]
Start = Callable[[], Awaitable[Fib]]


@pytest.fixture(params=["memory", "objects", "plain"])
def fib(request: pytest.FixtureRequest) -> Iterator[Start]:
    with namespace():
        if request.param == "memory":
            yield in_memory
        else:
            is_plain = request.param == "plain"
            mode: Literal["auto", "off"] = "off" if is_plain else "auto"
            yield partial(KernelFib.start, next_hop_objects=mode)


async def in_memory() -> Fib:
    fib = MemoryFib()
    await fib.start()
    return fib


def play(start: Start, story: Story) -> None:
    async def run() -> None:
        fib = await start()
        await put(fib, MANY, A)
        await put(fib, FEW, B)
        await story(fib)
        await fib.close(flush=True)
        assert shown() == {}

    asyncio.run(run())


async def put(
    fib: Fib, nlris: list[bytes], target: Target | None, family: Family = IPV4_UNICAST
) -> None:
    fib.submit(family, nlris, target)
    await asyncio.wait_for(fib.wait_until_synced(), 30)


def shown() -> dict[str, int]:
    """Return how many of our routes the kernel has by gateway."""
    found: dict[str, int] = {}
    for line in ip("route show proto bird").splitlines():
        gateway = line.split(" via ")[1].split()[0]
        found[gateway] = found.get(gateway, 0) + 1
    return found


def check(fib: Fib, held: dict[str, int]) -> None:
    total = sum(held.values())
    assert (fib.counts.wanted, fib.counts.installed) == (total, total)
    assert {r.state for r in fib.routes(IPV4_UNICAST)} == {RouteState.INSTALLED}
    if isinstance(fib, KernelFib):
        assert shown() == held


def test_all_routes_of_a_target_go_and_come_back(fib: Start) -> None:
    async def story(fib: Fib) -> None:
        await put(fib, MANY, None)
        check(fib, {"10.9.1.2": 5})
        await put(fib, MANY, A)
        check(fib, {"10.9.0.2": 3000, "10.9.1.2": 5})

    play(fib, story)


def test_all_routes_of_a_target_move_to_another_and_back(fib: Start) -> None:
    async def story(fib: Fib) -> None:
        fib.submit(IPV4_UNICAST, MANY[:1500], B)
        await asyncio.sleep(0)
        await put(fib, MANY[1500:], B)
        check(fib, {"10.9.1.2": 3005})
        await put(fib, MANY, A)
        check(fib, {"10.9.0.2": 3000, "10.9.1.2": 5})
        await put(fib, FEW, None)
        check(fib, {"10.9.0.2": 3000})

    play(fib, story)


def test_a_newer_word_on_a_prefix_wins_over_the_removal_of_all(fib: Start) -> None:
    async def story(fib: Fib) -> None:
        fib.submit(IPV4_UNICAST, MANY, None)
        await asyncio.sleep(0.001)
        fib.submit(IPV4_UNICAST, MANY[:2], B)
        await asyncio.sleep(0.001)
        await put(fib, MANY[2:4], A)
        check(fib, {"10.9.0.2": 2, "10.9.1.2": 7})

    play(fib, story)


def test_a_part_of_a_targets_routes_goes_by_itself(fib: Start) -> None:
    async def story(fib: Fib) -> None:
        await put(fib, MANY[:2000], None)
        check(fib, {"10.9.0.2": 1000, "10.9.1.2": 5})
        await put(fib, MANY[2000:2900], B)
        check(fib, {"10.9.0.2": 100, "10.9.1.2": 905})

    play(fib, story)


def test_many_routes_cost_no_message_each() -> None:
    async def story(fib: Fib) -> None:
        written = fib.counts.written
        await put(fib, MANY, B)
        await put(fib, MANY, A)
        await put(fib, MANY, None)
        assert fib.counts.written == written
        six = [parse_prefix(f"fd20:{n:x}::/64")[1] for n in range(2000)]
        gateway = Target(hops=(Hop(parse_address("fd09:0::2"), "v0"),))
        await put(fib, six, gateway, IPV6_UNICAST)
        assert len(ip("-6 route show proto bird").splitlines()) == 2000
        written = fib.counts.written
        await put(fib, six, None, IPV6_UNICAST)
        assert ip("-6 route show proto bird") == ""
        assert fib.counts.written == written
        check(fib, {"10.9.1.2": 5})

    with namespace():
        play(KernelFib.start, story)


def test_routes_that_a_link_took_come_back_by_the_other_way() -> None:
    async def story(fib: Fib) -> None:
        ip("link set v0 down")
        await put(fib, MANY, B)
        for _ in range(200):
            if shown() == {"10.9.1.2": 3005} and fib.is_synced:
                break
            await asyncio.sleep(0.02)
        check(fib, {"10.9.1.2": 3005})
        ip("link set v0 up")
        await put(fib, MANY, None)

    with namespace():
        play(KernelFib.start, story)


def test_leftovers_through_the_same_object_are_not_swept_before_time() -> None:
    async def story() -> None:
        first = await KernelFib.start()
        await put(first, MANY, A)
        await first.close()
        second = await KernelFib.start()
        await put(second, MANY[:2000], A)
        await put(second, MANY[:2000], None)
        assert shown() == {"10.9.0.2": 1000}
        second.adoption_done(IPV4_UNICAST)
        second.adoption_done(IPV6_UNICAST)
        await second.wait_until_synced()
        assert shown() == {}
        await second.close(flush=True)

    with namespace():
        asyncio.run(story())
