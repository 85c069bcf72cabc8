"""The malformed UPDATEs of all peers, octets included, for as long as there is room.

There are bounds for their number and their octets, of all peers together. Where there is no more room, the oldest of
that peer goes which has most: one that sends nothing else pushes out its own, and the few of the others stay.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bgpd.capture.ends import Ends
from bgpd.wire.framing import HEADER_LEN
from rib.errors import Problem

Complaint = tuple[Problem, bytes]
"""What was found, with the UPDATE's body."""


class MalformedUpdate(NamedTuple):
    """One UPDATE that was not as it must be.

    Attributes:
        number: One more than the one before, of any peer.
        at: Seconds of the wall clock.
        peer: The peer's name then.
        ends: Of the connection.
        problems: What was found, in its order; at least one.
        body: Without header.
    """

    number: int
    at: float
    peer: str
    ends: Ends
    problems: tuple[Problem, ...]
    body: bytes

    @property
    def worst(self) -> Problem:
        """The problem whose remedy was applied: the first of the strongest."""
        return max(self.problems, key=lambda problem: problem.remedy)

    @property
    def size(self) -> int:
        """Octets that it counts for."""
        return HEADER_LEN + len(self.body)


class _Share:
    """What is kept of one peer, the oldest first."""

    def __init__(self) -> None:
        self.updates: deque[MalformedUpdate] = deque()
        self.octets = 0


class MalformedUpdates:
    """Those of one speaker; none are kept before ``set_limits``.

    Args:
        clock: Seconds of the wall clock.

    Attributes:
        count: How many are kept.
        octets: How many octets these have.
        dropped: Those that are not kept any more, or never were.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.count = 0
        self.octets = 0
        self.dropped = 0
        self._max_updates = 0
        self._max_octets = 0
        self._clock = clock
        self._last_number = 0
        self._shares: dict[str, _Share] = {}  # by remote address

    @property
    def is_on(self) -> bool:
        """Whether any are kept."""
        return self._max_updates > 0 and self._max_octets > 0

    def set_limits(self, max_updates: int, max_octets: int) -> None:
        """Change how much is kept; 0 keeps none.

        Args:
            max_updates: Of all peers together.
            max_octets: Likewise.
        """
        self._max_updates, self._max_octets = max_updates, max_octets
        self._make_room()

    def keep(self, peer: str, ends: Ends, complaints: Iterable[Complaint]) -> None:
        """Keep what was found in UPDATEs of one read.

        Args:
            peer: The peer's name.
            ends: Of the connection.
            complaints: Those of one UPDATE follow one another.
        """
        at = self._clock()
        found = _by_update(complaints)
        # One read may hold a thousand: the newest would push out the others at once.
        surplus = max(0, len(found) - self._max_updates)
        self._last_number += surplus
        self.dropped += surplus
        for problems, body in found[surplus:]:
            self._last_number += 1
            if not self.is_on or HEADER_LEN + len(body) > self._max_octets:
                self.dropped += 1
                continue
            share = self._shares.get(ends.remote_address)
            if share is None:
                share = self._shares[ends.remote_address] = _Share()
            update = MalformedUpdate(self._last_number, at, peer, ends, problems, body)
            share.updates.append(update)
            share.octets += update.size
            self.count += 1
            self.octets += update.size
            self._make_room()

    def all(self) -> list[MalformedUpdate]:
        """Return what is kept, the oldest first."""
        return sorted(
            update for share in self._shares.values() for update in share.updates
        )

    def _make_room(self) -> None:
        while self.count > self._max_updates:
            self._drop(lambda share: len(share.updates))
        while self.octets > self._max_octets:
            self._drop(lambda share: share.octets)

    def _drop(self, measure: Callable[[_Share], int]) -> None:
        """Drop the oldest of the peer that has most."""
        address = max(self._shares, key=lambda each: measure(self._shares[each]))
        share = self._shares[address]
        update = share.updates.popleft()
        share.octets -= update.size
        self.count -= 1
        self.octets -= update.size
        self.dropped += 1
        if not share.updates:
            del self._shares[address]


def _by_update(
    complaints: Iterable[Complaint],
) -> list[tuple[tuple[Problem, ...], bytes]]:
    """Return the problems of each UPDATE together."""
    found: list[tuple[list[Problem], bytes]] = []
    for problem, body in complaints:
        if found and found[-1][1] is body:
            found[-1][0].append(problem)
        else:
            found.append(([problem], body))
    return [(tuple(problems), body) for problems, body in found]


class PeerErrors:
    """The malformed UPDATEs of one peer, over all its sessions.

    Args:
        kept: Where those of all peers are kept.

    Attributes:
        count: Problems found.
        ends: Of the session's connection; ``None`` before the first.
    """

    def __init__(self, kept: MalformedUpdates) -> None:
        self.count = 0
        self.ends: Ends | None = None
        self._kept = kept

    def note(self, peer: str, complaints: Sequence[Complaint]) -> None:
        """Count and keep what was found."""
        self.count += len(complaints)
        if self.ends is not None:
            self._kept.keep(peer, self.ends, complaints)
