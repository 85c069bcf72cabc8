"""The tunnel device, on a TUN device that bears its name."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fib.kernel_follower import KernelFollower
from fib.tunnel import Tunnel
from tests.support.kernel_namespace import ip, namespace, run

pytestmark = pytest.mark.root

FIRST, SECOND = bytes((10, 244, 1, 0)), bytes((10, 244, 2, 0))


def with_tunnel(work: Callable[[Tunnel], Awaitable[None]]) -> None:
    async def scenario() -> None:
        follower = await KernelFollower.start()
        view = follower.view
        tunnel = Tunnel(view)
        try:
            await work(tunnel)
        finally:
            await tunnel.close()
            await follower.close()

    with namespace():
        asyncio.run(scenario())


def make_device() -> None:
    ip("tuntap add dev tunl0 mode tun")


def addresses() -> list[str]:
    words = run("ip", "-o", "-4", "address", "show", "dev", "tunl0").split()
    return [words[i + 1] for i, word in enumerate(words) if word == "inet"]


async def until(predicate: Callable[[], bool]) -> None:
    for _ in range(1000):
        if predicate():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not within 20 s")


def test_a_device_that_is_there_is_raised_and_addressed() -> None:
    async def work(tunnel: Tunnel) -> None:
        make_device()
        await asyncio.sleep(0.1)  # until the view knows it
        tunnel.keep(FIRST)
        assert addresses() == ["10.244.1.0/32"]
        assert "UP" in run("ip", "-o", "link", "show", "dev", "tunl0")
        await until(lambda: tunnel.fault == "")

    with_tunnel(work)


def test_another_address_takes_the_place_of_the_one_we_gave() -> None:
    async def work(tunnel: Tunnel) -> None:
        make_device()
        ip("address add 10.244.9.9/32 dev tunl0")
        await asyncio.sleep(0.1)
        tunnel.keep(FIRST)
        await asyncio.sleep(0.1)
        tunnel.keep(SECOND)
        assert sorted(addresses()) == ["10.244.2.0/32", "10.244.9.9/32"]
        tunnel.keep(b"")
        assert tunnel.fault == ""

    with_tunnel(work)


def test_an_address_that_is_taken_away_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fib.tunnel._RETRY", 0.2)

    async def work(tunnel: Tunnel) -> None:
        make_device()
        await asyncio.sleep(0.1)
        tunnel.keep(FIRST)
        await until(tunnel._is_right)
        ip("address del 10.244.1.0/32 dev tunl0")
        await until(lambda: addresses() == ["10.244.1.0/32"])

    with_tunnel(work)


def test_without_the_module_the_fault_says_so() -> None:
    async def work(tunnel: Tunnel) -> None:
        tunnel.keep(FIRST)
        assert tunnel.fault.startswith("tunl0")

    with_tunnel(work)
