"""A loop whose clock jumps, and whose timers go off in the order that a test says."""

import asyncio
from collections.abc import Callable


class JumpingLoop(asyncio.SelectorEventLoop):
    """Time is a number; nothing runs by itself.

    Attributes:
        now: The clock, in seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self._timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, **_: object
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self)
        self._timers.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, **_: object
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args)

    def next_timer(self) -> float:
        """Return when the first timer is due, in seconds; some hours where none is."""
        self._timers = [each for each in self._timers if not each.cancelled()]
        return min((each.when() for each in self._timers), default=self.now + 9999.0)

    def fire(self, order: Callable[[list[asyncio.TimerHandle]], object]) -> int:
        """Run what is due now in an order of the test's choice; return how many."""
        self.next_timer()
        due = [each for each in self._timers if each.when() <= self.now]
        self._timers = [each for each in self._timers if each.when() > self.now]
        order(due)
        for handle in due:
            if not handle.cancelled():
                handle._run()
        return len(due)
