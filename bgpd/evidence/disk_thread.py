"""Calls that may wait for a disk, one after another, in a thread of their own.

Neither the event loop's own threads nor the end of the process wait for it: a disk that hangs
holds up what is written to it, and nothing else.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class DiskThread:
    """Runs calls in the order in which they were given.

    Args:
        loop: Hears of their outcomes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="mrt dumps", daemon=True).start()

    async def do(self, call: Callable[[], T]) -> T:
        """Return the result of a call; a caller that is cancelled leaves it running."""
        loop, future = self._loop, self._loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def run() -> None:
            result, error = None, None
            try:
                result = call()
            except Exception as fault:  # noqa: BLE001  # raised where it is waited for
                error = fault
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, error)

        self._calls.put(run)
        return await future  # type: ignore[no-any-return]

    def post(self, call: Callable[[], object]) -> None:
        """Run a call that cannot fail, and forget its result."""
        self._calls.put(lambda: (call(), None)[1])

    def close(self) -> None:
        """End when the calls so far are done."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
