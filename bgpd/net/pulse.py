"""Detects stalls of the process: paused, throttled, blocked, or suspended with its machine.

A timer that measures a peer's silence takes for granted that this side listened. A process
that was stopped for a minute did not: KEEPALIVEs wait in its sockets, peers that came back
wait to be accepted, and what the network held back is on its way. So a standstill is left
out of such timers, and what it may have cost the peers is made good first: each is sent a
KEEPALIVE at once.

A beat once a second shows it. Code that the loop calls and that handles a timer checks it first,
since after a stall any of them may be the first to be called.

Deadlines are of CLOCK_MONOTONIC, which stops while the machine sleeps: a night of sleep
is not silence, and neither is a night of SIGSTOP. The peers' clocks went on, so the beat goes
by CLOCK_BOOTTIME, which counts sleep, too.
"""

import asyncio
from collections.abc import Callable
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Final, NamedTuple

BEAT: Final = 1.0  # seconds
STALL: Final = 2.0
"""Seconds without a beat that are a standstill. Shorter ones cost a hold time of 3 s nothing
that reading the sockets does not make good."""


class Stall(NamedTuple):
    """A stall that has just ended.

    Attributes:
        seconds: How long it was, a machine's sleep included.
        lost: By how many seconds deadlines came nearer meanwhile, at least.
        now: When it ended; the loop's time.
    """

    seconds: float
    lost: float
    now: float


class Pulse:
    """The heartbeat of one event loop.

    Args:
        loop: Whose.
        resumed: Called after a standstill, before any timer is judged.

    Attributes:
        stall_count: How often the process stood still.
        stall_seconds: For how long in all.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, resumed: Callable[[Stall], object]
    ) -> None:
        self.stall_count = 0
        self.stall_seconds = 0.0
        self._loop = loop
        self._resumed = resumed
        self._at, self._boot_at = loop.time(), clock_gettime(CLOCK_BOOTTIME)
        self._handle = loop.call_later(BEAT, self._beat)

    def look(self) -> float:
        """Return the loop's time, after handling a stall that has just ended."""
        now, boot = self._loop.time(), clock_gettime(CLOCK_BOOTTIME)
        passed, boot_passed = now - self._at, boot - self._boot_at
        self._at, self._boot_at = now, boot
        if passed >= STALL or boot_passed >= STALL:
            seconds = max(passed, boot_passed)
            self.stall_count += 1
            self.stall_seconds += seconds
            self._resumed(Stall(seconds, max(0.0, passed - BEAT), now))
        return now

    def _beat(self) -> None:
        self._handle = self._loop.call_later(BEAT, self._beat)
        self.look()

    def close(self) -> None:
        """Stop."""
        self._handle.cancel()
