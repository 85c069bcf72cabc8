import asyncio
from collections.abc import Iterator

import pytest

from fib import Fault, Fib, Hop, RouteState, Target, TargetKind
from fib.kernel import KernelFib
from fib.memory import MemoryFib, MemoryKernel
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import format_prefix, parse_address, parse_prefix
from tests.support.kernel_namespace import ip, namespace

pytestmark = [pytest.mark.root, pytest.mark.slow]

STATIC = 4
A = Target(hops=(Hop(parse_address("10.9.0.2"), "v0"),))
B = Target(hops=(Hop(parse_address("10.9.1.2"), "v1"),))
FAR = Target(hops=(Hop(parse_address("192.0.2.77")),))


def nlri(text: str) -> bytes:
    return parse_prefix(text)[1]


X, Y, Z = nlri("20.0.0.0/26"), nlri("20.0.1.0/26"), nlri("20.0.2.0/26")


class InMemory:
    def __init__(self) -> None:
        self.kernel = MemoryKernel()
        self.kernel.refusals[FAR] = Fault(101, "gateway is not directly connected")

    async def fib(self) -> Fib:
        fib = MemoryFib(self.kernel)
        await fib.start()
        return fib

    def put_alien(self, key: bytes) -> None:
        self.kernel.change((1, key, 0), (STATIC, B))

    def delete(self, key: bytes) -> None:
        self.kernel.change((1, key, 0), None)

    def held(self) -> dict[bytes, bool]:
        return {
            key: protocol != STATIC
            for (_, key, _), (protocol, _) in self.kernel.table.items()
        }


class InKernel:
    async def fib(self) -> Fib:
        return await KernelFib.start()

    def put_alien(self, key: bytes) -> None:
        ip(f"route replace {format_prefix(key)} via 10.9.1.2 proto static")

    def delete(self, key: bytes) -> None:
        ip(f"route del {format_prefix(key)}")

    def held(self) -> dict[bytes, bool]:
        lines = ip("route show").splitlines()
        return {
            nlri(line.removeprefix("blackhole ").split()[0]): "proto bird" in line
            for line in lines
            if "proto kernel" not in line
        }


World = InMemory | InKernel


@pytest.fixture(params=[InMemory, InKernel])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with namespace():
        yield request.param()


async def eventually(world: World, held: dict[bytes, bool], fib: Fib) -> None:
    for _ in range(200):
        if world.held() == held and fib.is_synced:
            return
        await asyncio.sleep(0.02)
    assert world.held() == held


def test_routes_come_change_and_go(world: World) -> None:
    async def story() -> None:
        fib = await world.fib()
        fib.submit(IPV4_UNICAST, [X, Y], A)
        fib.submit(IPV4_UNICAST, [Y], Target(TargetKind.BLACKHOLE))
        fib.submit(IPV6_UNICAST, [nlri("fd20::/64")], Target(TargetKind.BLACKHOLE))
        await fib.wait_until_synced()
        assert fib.is_synced
        assert world.held().keys() >= {X, Y}
        assert {r.nlri: r.target for r in fib.routes(IPV4_UNICAST)} == {
            X: A,
            Y: Target(TargetKind.BLACKHOLE),
        }
        fib.submit(IPV6_UNICAST, [nlri("fd20::/64")], None)
        fib.submit(IPV4_UNICAST, [X, Z], None)
        fib.retarget(IPV4_UNICAST, A, B)
        await fib.wait_until_synced()
        assert world.held() == {Y: True}
        assert (fib.counts.wanted, fib.counts.installed) == (1, 1)
        await fib.close(flush=True)
        assert world.held() == {}

    asyncio.run(story())


def test_leftovers_are_kept_until_adoption_is_done(world: World) -> None:
    async def story() -> None:
        world.put_alien(Z)
        first = await world.fib()
        first.submit(IPV4_UNICAST, [X, Y], A)
        await first.wait_until_synced()
        await first.close()
        assert world.held() == {X: True, Y: True, Z: False}
        second = await world.fib()
        assert second.counts.stale == 2
        second.submit(IPV4_UNICAST, [X], A)
        await second.wait_until_synced()
        assert second.counts.written == 0
        states = {route.nlri: route.state for route in second.routes(IPV4_UNICAST)}
        assert states == {X: RouteState.INSTALLED, Y: RouteState.STALE}
        second.adoption_done(IPV4_UNICAST)
        await second.wait_until_synced()
        assert world.held() == {X: True, Z: False}
        await second.close(flush=True)
        assert world.held() == {Z: False}

    asyncio.run(story())


def test_another_programs_route_is_a_conflict_until_it_goes(world: World) -> None:
    async def story() -> None:
        world.put_alien(X)
        fib = await world.fib()
        fib.submit(IPV4_UNICAST, [X, Y], A)
        await fib.wait_until_synced()
        assert world.held() == {X: False, Y: True}
        assert (fib.counts.conflicts, fib.counts.failed) == (1, 0)
        assert set(fib.errors(IPV4_UNICAST)) == {X}
        world.delete(X)
        await eventually(world, {X: True, Y: True}, fib)
        assert fib.counts.conflicts == 0
        await fib.close(flush=True)

    asyncio.run(story())


def test_a_foreign_change_is_drift_and_repaired(world: World) -> None:
    async def story() -> None:
        fib = await world.fib()
        fib.submit(IPV4_UNICAST, [X, Y], A)
        await fib.wait_until_synced()
        world.delete(X)
        await eventually(world, {X: True, Y: True}, fib)
        assert fib.counts.drifts == 1
        world.put_alien(Y)
        await eventually(world, {X: True, Y: False}, fib)
        for _ in range(200):
            if fib.counts.conflicts:
                break
            await asyncio.sleep(0.02)
        assert fib.counts.conflicts == 1
        await fib.close(flush=True)
        assert world.held() == {Y: False}

    asyncio.run(story())


def test_a_rejected_route_has_its_error_and_leaves_nothing_behind(world: World) -> None:
    async def story() -> None:
        fib = await world.fib()
        fib.submit(IPV4_UNICAST, [X], A)
        await fib.wait_until_synced()
        fib.submit(IPV4_UNICAST, [X], FAR)
        await fib.wait_until_synced()
        assert fib.errors(IPV4_UNICAST)[X].text == "gateway is not directly connected"
        assert fib.counts.failed == 1
        assert world.held() == {}
        fib.submit(IPV4_UNICAST, [X], A)
        await fib.wait_until_synced()
        assert world.held() == {X: True}
        await fib.close(flush=True)

    asyncio.run(story())
