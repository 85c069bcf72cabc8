"""Our daemon with a timer each millisecond that notes how long the event loop was away.

Takes the daemon's own arguments; DUT_STALLS names the file to which each run's figures
are added as a line of JSON when the daemon ends. The longest processor time between two samples
is what a machine that does nothing else would have seen as the longest stall.
"""

import asyncio
import json
import os
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bgpd.cli.daemon import main
from bgpd.daemon import daemon
from bgpd.runtime.loop_lag import LagMeter

FILE_VARIABLE: Final = "DUT_STALLS"
_PERIOD: Final = 0.001  # seconds
_WINDOW: Final = 0.1  # seconds
_WARM_UP: Final = 10.0  # seconds in which modules are imported
_BUSY_SHARE: Final = 0.2  # of a window, from which it counts


class Sampler(LagMeter):
    """Samples until ``close``, which writes the figures."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        at_rest: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(loop, at_rest)
        self._gaps = array("d")  # seconds between two samples in which it worked
        self._window = array("d")
        self._seen_at = self._window_at = time.monotonic()
        self._cpu = time.process_time()
        self._turn_cpu = time.thread_time()
        self._longest_turn = 0.0  # seconds of processor time
        self._chain = loop.call_later(_PERIOD, self._look)

    def _look(self) -> None:
        now, turn_cpu = time.monotonic(), time.thread_time()
        if self.age > _WARM_UP:
            self._longest_turn = max(self._longest_turn, turn_cpu - self._turn_cpu)
        self._turn_cpu = turn_cpu
        self._window.append(now - self._seen_at)
        self._seen_at = now
        if now - self._window_at > _WINDOW:
            cpu = time.process_time()
            if cpu - self._cpu > _BUSY_SHARE * (now - self._window_at):
                self._gaps.extend(self._window)
            del self._window[:]
            self._window_at, self._cpu = now, cpu
        self._chain = self._loop.call_later(_PERIOD, self._look)

    def close(self) -> None:
        """Stop, and write down what was seen."""
        super().close()
        self._chain.cancel()
        with Path(os.environ[FILE_VARIABLE]).open("a", encoding="utf-8") as file:
            found = figures(self._gaps) | {"max_cpu_ms": self._longest_turn * 1e3}
            file.write(json.dumps(found) + "\n")


def figures(gaps: "array[float]") -> dict[str, float]:
    """Return how late a timer would be that falls due at any moment, in milliseconds.

    One that falls due while the loop is away waits for its return: of a gap of g seconds,
    g - x make it later than x. p99.9 is the x that a thousandth of all moments exceed.
    """
    busy = sum(gaps)
    low, high = 0.0, max(gaps, default=0.0)
    longest = high
    for _ in range(40):
        middle = (low + high) / 2
        if sum(gap - middle for gap in gaps if gap > middle) > busy / 1000:
            low = middle
        else:
            high = middle
    return {"p999_ms": high * 1e3, "max_ms": longest * 1e3, "busy_s": busy}


if __name__ == "__main__":
    setattr(daemon, "LagMeter", Sampler)  # noqa: B010  # the daemon makes one of its own
    main()
