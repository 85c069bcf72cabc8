"""Long work of a coroutine in turns of the loop, so that sessions hold under it."""

import asyncio
from collections.abc import Callable, Generator, Iterable
from typing import Final, TypeVar

BUDGET: Final = 0.004  # seconds of slices before the loop gets its turn

T = TypeVar("T")


async def in_turns(
    work: Generator[None, None, T], after_turn: Callable[[], object] = lambda: None
) -> T:
    """Do some work, a few milliseconds of it in each turn of the loop.

    Args:
        work: Each step of it should take well under a millisecond.
        after_turn: Called after each turn of it but the last.
    """
    time = asyncio.get_running_loop().time
    until = time() + BUDGET
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        if time() >= until:
            after_turn()
            await asyncio.sleep(0)
            until = time() + BUDGET


def collect(items: Iterable[T | None]) -> Generator[None, None, list[T]]:
    """Return all items but ``None``, which is a yield point; a step for each."""
    found: list[T] = []
    for item in items:
        if item is not None:
            found.append(item)
        yield
    return found
