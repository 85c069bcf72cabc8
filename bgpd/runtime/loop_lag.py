"""The event loop's lag: the one number that shows overload.

A timer asks to be called at a moment and sees how much later it is called. It samples:
a stall that begins and ends between two moments is not seen. Therefore it looks often
while the process works, when stalls can happen, and rarely while it idles, so that an idle
daemon sleeps.

A process that was paused, or whose machine slept, is late as well, and no work of its own is to
blame. The processor time that it used meanwhile tells the two apart.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW: Final = 60.0  # seconds that are remembered
BUSY_INTERVAL: Final = 0.05  # seconds between samples while the process works
IDLE_INTERVAL: Final = 1.0  # and while it does not
BUSY_SHARE: Final = 0.02  # of one processor, that is called work


class LagMeter:
    """Measures from its creation until ``close``.

    Args:
        loop: The loop to be measured.
        at_rest: Called each time the process begins to idle.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        at_rest: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._at_rest = at_rest
        self._was_busy = True
        self._born_at = loop.time()
        # When, how late, and how much of that the process worked; seconds.
        self._samples: deque[tuple[float, float, float]] = deque()
        self._started_at = self._cpu_at = 0.0
        self._handle = self._wait(BUSY_INTERVAL)

    def _wait(self, interval: float) -> asyncio.TimerHandle:
        self._started_at, self._cpu_at = self._loop.time(), time.process_time()
        due = self._started_at + interval
        return self._loop.call_at(due, self._sample, due)

    def _sample(self, due: float) -> None:
        now = self._loop.time()
        samples = self._samples
        # Clocks of some loops tick in milliseconds: never early.
        late = max(0.0, now - due)
        worked = time.process_time() - self._cpu_at
        samples.append((now, late, min(late, worked)))
        while samples[0][0] < now - WINDOW:
            samples.popleft()
        is_busy = worked > BUSY_SHARE * (now - self._started_at)
        was_busy, self._was_busy = self._was_busy, is_busy
        self._handle = self._wait(BUSY_INTERVAL if is_busy else IDLE_INTERVAL)
        if was_busy and not is_busy:
            self._at_rest()  # last: if it fails, the measuring goes on

    @property
    def age(self) -> float:
        """Seconds since it began to measure."""
        return self._loop.time() - self._born_at

    def worst(self, window: float = WINDOW) -> float:
        """Return the longest delay of the last ``window`` seconds, in seconds."""
        since = self._loop.time() - window
        return max((lag for at, lag, _ in self._samples if at >= since), default=0.0)

    def worst_by_work(self, window: float) -> float:
        """Return, like ``worst``, only delays that the process itself can have caused."""
        since = self._loop.time() - window
        return max((own for at, _, own in self._samples if at >= since), default=0.0)

    def percentile(self, share: float) -> float:
        """Return the delay that ``share`` of the last minute's samples do not exceed.

        Args:
            share: Between 0 and 1, such as 0.99.
        """
        lags = sorted(lag for _, lag, _ in self._samples)
        return lags[min(int(share * len(lags)), len(lags) - 1)] if lags else 0.0

    def close(self) -> None:
        """Stop measuring."""
        self._handle.cancel()
