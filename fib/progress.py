"""Who follows how far the kernel has come: those that wait for all of it, and an observer."""

import asyncio

from fib.routes import WriteObserver
from rib.family import Family


class Progress:
    """Tells what the kernel has acknowledged.

    Attributes:
        observer: Hears of every batch; ``None`` for none.
    """

    def __init__(self) -> None:
        self.observer: WriteObserver | None = None
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Return at the next call of ``end``."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def written(self, family: Family, waiting: int) -> None:
        """The kernel has answered a batch of a family; so many prefixes wait."""
        if self.observer is not None:
            self.observer.written(family, waiting)

    def end(self) -> None:
        """Nothing waits to be written: wake who waited for that."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Nothing will be written any more."""
        for waiter in self._waiters:
            waiter.cancel()
