"""Dynamic neighbours that were up and are gone: which of a thousand clients is missing. Pure.

A dynamic neighbour ends with its last connection, and its range does not list its members.
So those that had a session, or were up before our restart, are remembered for a while. An address
that never had a session leaves nothing here: a scan or a flood of connections pushes no one out.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

MOST: Final = 1000
"""Of all ranges, some 0.4 MB; the one that went first is forgotten first."""
KEPT_FOR: Final = 86400.0  # seconds, a day


class GoneNeighbour(NamedTuple):
    """A dynamic neighbour that is gone.

    Attributes:
        address: Its own.
        range_name: The range that it belonged to.
        remote_as: As configured; 0 if the range accepts any.
        sessions: How many it had since we know it; 0 if it was up before our restart alone.
        reason: Why the last one ended; empty if it was up before our restart alone.
        at: When that was, in monotonic seconds; without a session, when we gave it up.
    """

    address: str
    range_name: str
    remote_as: int
    sessions: int
    reason: str
    at: float


class GoneNeighbours:
    """Those of all ranges, within ``MOST`` and ``KEPT_FOR``."""

    def __init__(self) -> None:
        self._by_address: dict[str, GoneNeighbour] = {}

    def __contains__(self, address: str) -> bool:
        """Whether an address is remembered; it may be back, or forgotten soon."""
        return address in self._by_address

    def note(self, gone: GoneNeighbour, now: float) -> None:
        """Remember one; ``now`` is in monotonic seconds."""
        known = self._by_address
        known.pop(gone.address, None)  # the latest stands last
        known[gone.address] = gone
        self._forget(now)

    def all(self, now: float) -> Iterator[GoneNeighbour]:
        """Iterate over them, the latest first; some may be back."""
        self._forget(now)
        return iter([*self._by_address.values()][::-1])

    def _forget(self, now: float) -> None:
        known = self._by_address
        while known:
            first = next(iter(known.values()))
            if len(known) <= MOST and now - first.at <= KEPT_FOR:
                return
            del known[first.address]
