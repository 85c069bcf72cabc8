"""How many events happened in each second of the last hour, kept or not. Pure."""

from array import array
from collections.abc import Mapping
from typing import Final

from bgpd.journal.kinds import EventKind

KEPT_SECONDS: Final = 3600


class EventCounts:
    """Counts of each kind, a ring of seconds for those kinds that have happened: 29 KB each."""

    def __init__(self) -> None:
        self._newest = 0  # second of the wall clock
        self._rings: dict[EventKind, array[int]] = {}

    # hot: per flush
    def add(self, kind: EventKind, at: float, number: int = 1) -> None:
        """Count events.

        Args:
            kind: What they are about.
            at: When, seconds of the wall clock; what is older than an hour does not count.
            number: How many.
        """
        second = int(at)
        if second > self._newest:
            self._advance(second)
        elif second <= self._newest - KEPT_SECONDS:
            return
        ring = self._rings.get(kind)
        if ring is None:
            ring = self._rings[kind] = array("Q", [0]) * KEPT_SECONDS
        ring[second % KEPT_SECONDS] += number

    def _advance(self, second: int) -> None:
        first = max(self._newest + 1, second - KEPT_SECONDS + 1)
        for ring in self._rings.values():
            for passed in range(first, second + 1):
                ring[passed % KEPT_SECONDS] = 0
        self._newest = second

    def between(self, start: int, end: int) -> Mapping[EventKind, int]:
        """Return how many of each kind happened from a second to below another.

        Args:
            start: Second of the wall clock.
            end: Likewise.
        """
        first = max(start, self._newest - KEPT_SECONDS + 1)
        last = min(end, self._newest + 1)
        seconds = [second % KEPT_SECONDS for second in range(first, last)]
        return {
            kind: sum([ring[second] for second in seconds])
            for kind, ring in self._rings.items()
        }
