"""A loop whose time is a number."""

import asyncio
from collections.abc import Callable


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time is a number, and whose timers go off when told."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.due: list[tuple[float, asyncio.TimerHandle]] = []

    def time(self) -> float:
        return self.now

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., None], *args: object
    ) -> asyncio.TimerHandle:
        when = self.now + delay
        handle = asyncio.TimerHandle(when, callback, args, self)
        self.due.append((when, handle))
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., None], *args: object
    ) -> asyncio.TimerHandle:
        return self.call_later(when - self.now, callback, *args)

    def go(self, until: float) -> None:
        while ready := sorted(
            ((at, h) for at, h in self.due if at <= until), key=lambda entry: entry[0]
        ):
            self.due.remove(ready[0])
            self.now, handle = ready[0]
            if not handle.cancelled():
                handle._run()
        self.now = until
