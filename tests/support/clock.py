"""A loop whose time is a number, and whose timers go off when a test says."""

import asyncio
import math
from collections.abc import Callable


class Clock(asyncio.SelectorEventLoop):
    """Nothing runs by itself.

    Attributes:
        now: The time, in seconds; a test may let it jump.
    """

    def __init__(self, now: float = 0.0) -> None:
        super().__init__()
        self.now = now
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
        """Return when the first timer is due, in seconds; infinity without timers."""
        self._timers = [each for each in self._timers if not each.cancelled()]
        return min((each.when() for each in self._timers), default=math.inf)

    def fire(self, order: Callable[[list[asyncio.TimerHandle]], object] = list) -> int:
        """Run what is due now, in an order of the test's choice; return how many."""
        self.next_timer()
        due = [each for each in self._timers if each.when() <= self.now]
        self._timers = [each for each in self._timers if each.when() > self.now]
        order(due)
        for handle in due:
            if not handle.cancelled():
                handle._run()
        return len(due)

    def go(self, until: float) -> None:
        """Let time pass; each timer goes off at its own."""
        while (due := self.next_timer()) <= until:
            self.now = max(self.now, due)
            self.fire()
        self.now = until
