"""Answers of any length, made a few milliseconds at a time.

One slice is made in each turn of the event loop, however many clients ask, so that millions of rows
delay no session. Rows come from an iterator in which ``None`` is a yield point and a future is
waited for.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from typing import Any, Final, TypeVar

SLICE_TIME: Final = 0.004  # seconds of making rows before the loop gets its turn
WAKES: Final = 16  # watchers that wake in one turn, some 1 ms
SLICE_ROWS: Final = 256  # bounds a piece, so that a client need not hold much either

_T = TypeVar("_T")


class Beginnings:
    """Lets answers begin one by one, each in a turn of the loop of its own.

    An answer that is one object is made at once, in up to a millisecond.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Wait until no other answer begins in this turn."""
        async with self._turn:
            await asyncio.sleep(0)


class Slices:
    """Makes the answers of all clients that share it.

    Args:
        most_rows: Of a slice.
    """

    def __init__(self, most_rows: int = SLICE_ROWS) -> None:
        self._most_rows = most_rows
        self._turn = asyncio.Lock()
        self._woken: deque[asyncio.Future[None]] = deque()
        self._is_waking = False

    async def made(
        self,
        rows: Iterable[_T | asyncio.Future[Any] | None],
        encode: Callable[[list[_T]], bytes],
        pulse: float | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield an answer in pieces; an empty piece says that it is still being made.

        Args:
            rows: What is answered. A future among them is waited for; its outcome is for its
                producer.
            encode: Called in the slice.
            pulse: Seconds of waiting after which an empty piece comes; ``None`` for never.
        """
        source = iter(rows)
        try:
            is_over = False
            while not is_over:
                async with self._turn:
                    made, is_over, future = slice_of(source, self._most_rows)
                    octets = encode(made) if made else b""
                    await asyncio.sleep(0)
                yield octets
                while future is not None and not future.done():
                    await self._wait(future, pulse)
                    if not future.done():
                        yield b""
        finally:
            if isinstance(source, Generator):
                source.close()  # at once: what it holds may be a watcher's place

    async def _wait(self, future: asyncio.Future[Any], pulse: float | None) -> None:
        """Wait for a future, at most ``pulse`` seconds.

        A thousand watchers wait for the same news: they wake some at a time, not all in one turn
        of the loop.
        """
        wake = asyncio.get_running_loop().create_future()

        def ready(_: asyncio.Future[Any]) -> None:
            self._woken.append(wake)
            if not self._is_waking:
                self._is_waking = True
                asyncio.get_running_loop().call_soon(self._wake_some)

        future.add_done_callback(ready)
        try:
            await asyncio.wait((wake,), timeout=pulse)
        finally:
            future.remove_done_callback(ready)
            wake.cancel()

    def _wake_some(self) -> None:
        for _ in range(min(WAKES, len(self._woken))):
            wake = self._woken.popleft()
            if not wake.done():
                wake.set_result(None)
        self._is_waking = bool(self._woken)
        if self._is_waking:
            asyncio.get_running_loop().call_soon(self._wake_some)


def slice_of(
    rows: Iterator[_T | asyncio.Future[Any] | None], most_rows: int = SLICE_ROWS
) -> tuple[list[_T], bool, asyncio.Future[Any] | None]:
    """Produce rows for a few milliseconds.

    Returns:
        The rows, whether that was all, and what must be waited for before the next.
    """
    now = asyncio.get_running_loop().time
    until = now() + SLICE_TIME
    made: list[_T] = []
    for row in rows:
        if isinstance(row, asyncio.Future):
            return made, False, row
        if row is not None:
            made.append(row)
        if len(made) >= most_rows or now() >= until:
            return made, False, None
    return made, True, None
