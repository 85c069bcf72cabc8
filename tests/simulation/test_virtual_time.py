"""The loop that jumps, and the network over it: what the other tests here stand on."""

import asyncio
from hashlib import sha256
from random import Random

import pytest

from tests.simulation.test_churn import Network
from tests.support.simnet import (
    VirtualLoop,
    advance,
    on_virtual_time,
    run_virtually,
    settle,
    sim,
    stand_still,
)
from tests.support.simnet.stream import Stream
from tests.support.speakers import Rack
from tests.support.turns import turn


@on_virtual_time
async def test_timers_go_off_at_their_times_and_in_their_order() -> None:
    loop, seen = asyncio.get_running_loop(), list[tuple[float, str]]()
    begin = loop.time()
    for delay in (30.0, 10.0, 86_400.0):
        loop.call_later(delay, lambda: seen.append((loop.time() - begin, "timer")))
    loop.call_soon(seen.append, (0.0, "soon"))
    await advance(100_000)
    assert seen == [(0.0, "soon"), *((t, "timer") for t in (10.0, 30.0, 86_400.0))]
    assert loop.time() - begin == 100_000


@on_virtual_time
async def test_to_settle_takes_no_time_and_a_standstill_does_nothing() -> None:
    loop, seen = asyncio.get_running_loop(), list[str]()
    begin = loop.time()
    loop.call_later(1, seen.append, "later")
    loop.call_soon(loop.call_soon, seen.append, "soon")
    await settle()
    assert (seen, loop.time()) == (["soon"], begin)
    stand_still(60)
    assert (seen, loop.time()) == (["soon"], begin + 60)
    await settle()
    assert seen == ["soon", "later"]


def test_waiting_for_what_never_comes_is_an_error() -> None:
    async def waiting() -> None:
        await asyncio.get_running_loop().create_future()

    async def turning() -> None:
        await turn(10**9)

    for work, text in ((waiting(), "no timer is set"), (turning(), "does not pass")):
        with (
            asyncio.Runner(loop_factory=VirtualLoop) as runner,
            pytest.raises(AssertionError, match=text),
        ):
            runner.run(work)


def test_the_same_seed_gives_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def trace() -> str:
        said = sha256()
        fly = Stream._fly

        def noted(stream: Stream, octets: object) -> None:
            said.update(repr((sim().loop.time(), octets)).encode())
            fly(stream, octets)  # type: ignore[arg-type]

        async def scenario() -> None:
            sim().most_octets = 100
            async with Rack() as rack:
                network = Network(rack, Random(5))
                await network.start()
                for _ in range(10):
                    network.step()
                    await advance(1)

        with monkeypatch.context() as patched:
            patched.setattr(Stream, "_fly", noted)
            run_virtually(scenario())
        return said.hexdigest()

    assert trace() == trace()
