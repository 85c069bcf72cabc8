"""Long work of a coroutine in turns of the loop, so that sessions hold under it."""

import asyncio
from typing import Final, TypeVar

from bgpd.calico.slices import Slices

BUDGET: Final = 0.004  # seconds of slices before the loop gets its turn

T = TypeVar("T")


async def in_turns(work: Slices[T]) -> T:
    """Do some work, a few milliseconds of it in each turn of the loop."""
    time = asyncio.get_running_loop().time
    until = time() + BUDGET
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        if time() >= until:
            await asyncio.sleep(0)
            until = time() + BUDGET
