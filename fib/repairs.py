"""When to repair our routes that another program changed. Pure.

At once the first two times. After that another program fights for the prefix: each further repair
waits twice as long as the last one, up to a minute, so that the two programs do not keep
the kernel busy.
"""

import heapq
from typing import Final

from rib.family import Family

PATIENT: Final = 2  # repairs that are made at once
LONGEST_DELAY: Final = 60.0  # seconds
MEMORY: Final = 60.0  # seconds without a change after which a fight is over
_MOST_DOUBLINGS: Final = (
    10  # beyond them the delay is the longest; a float would overflow
)

Prefix = tuple[Family, bytes]  # and its NLRI


class Repairs:
    """Repairs of the last minute, and those that are due later."""

    def __init__(self) -> None:
        self._known: dict[Prefix, tuple[int, float]] = {}  # how many, and the last one
        self._delayed: list[tuple[float, Family, bytes]] = []  # a heap

    def note(self, prefix: Prefix, now: float) -> float:
        """Note a foreign change; return after how many seconds it is put right.

        What is due later is returned by ``due`` then.
        """
        times, last = self._known.get(prefix, (0, now))
        times = times + 1 if now - last < MEMORY else 1
        self._known[prefix] = (times, now)
        if times <= PATIENT:
            return 0.0
        delay = min(2.0 ** min(times - PATIENT, _MOST_DOUBLINGS), LONGEST_DELAY)
        heapq.heappush(self._delayed, (now + delay, *prefix))
        return delay

    @property
    def next_due(self) -> float | None:
        """When ``due`` has something next; ``None`` while nothing waits."""
        return self._delayed[0][0] if self._delayed else None

    def due(self, now: float) -> list[Prefix]:
        """Take out what is to be put right now."""
        found: list[Prefix] = []
        while self._delayed and self._delayed[0][0] <= now:
            _, family, nlri = heapq.heappop(self._delayed)
            found.append((family, nlri))
        return found

    def forget(self, now: float) -> None:
        """Forget fights that are over; to be called now and then."""
        known = self._known.items()
        self._known = {k: v for k, v in known if now - v[1] < MEMORY}
