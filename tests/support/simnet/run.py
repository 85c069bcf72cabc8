"""Runs coroutine tests on virtual time."""

import asyncio
import contextlib
import functools
import inspect
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from unittest import mock

from bgpd.speaker import local_addresses
from tests.support.simnet.hosts import SimNet
from tests.support.simnet.loop import VirtualLoop


def run_virtually(work: Coroutine[Any, Any, None], seed: int = 1) -> None:
    """Run ``work`` on a loop of its own; what the loop would only log is an error of the test."""
    faults: list[dict[str, Any]] = []

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        await work
        await asyncio.sleep(1)  # for connections to end

    with asyncio.Runner(loop_factory=functools.partial(VirtualLoop, seed)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        with _clocks(loop):
            runner.run(watched())
    assert not faults


@contextlib.contextmanager
def _clocks(loop: VirtualLoop) -> Iterator[None]:
    """Let those go by the loop's time who measure how long their turn has been.

    A turn takes no time then, so how work is cut into turns is the same in each run. And the
    kernel of this machine is not asked for links.
    """
    virtual_clocks: dict[str, Callable[..., float]] = {
        "monotonic": loop.time,
        "clock_gettime": lambda _clock: loop.time(),  # the machine does not sleep
    }
    with contextlib.ExitStack() as stack:
        for name, module in sys.modules.copy().items():
            for clock, virtual in virtual_clocks.items():
                is_one = getattr(module, clock, None) is getattr(time, clock)
                if is_one and name.startswith("bgpd."):
                    stack.enter_context(mock.patch.object(module, clock, virtual))
        stack.enter_context(
            mock.patch.object(local_addresses, "device_towards", return_value=0)
        )
        yield


def on_virtual_time(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run a coroutine test on virtual time and a simulated network."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        run_virtually(test(*args, **kwargs))

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


def sim() -> SimNet:
    """Return the network of the test that runs."""
    return _loop().net


async def advance(seconds: float) -> None:
    """Let time pass: all that happens meanwhile happens, in its order."""
    _loop()
    await asyncio.sleep(seconds)


async def settle() -> None:
    """Let everything happen that can at this instant."""
    await _loop().idle()


def stand_still(seconds: float) -> None:
    """Let the process stand still: time passes, and nothing happens meanwhile."""
    _loop().now += seconds


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "on virtual time alone"
    return loop
