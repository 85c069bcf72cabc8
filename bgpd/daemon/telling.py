"""What flushes say, on its way to the members of update groups, in turns of a few milliseconds.

A write costs 10 to 100 us, so that a thousand members would hold up the loop. uvloop writes
at the end of a turn, all at once, so that no clock tells how long it will take: octets are
counted instead. What is told later is told whole and in order: a member that leaves, or that
can take no more, is looked after first.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from reflector.group import Member
from reflector.outbound import Outbound
from rib.path import Source

WRITE_COST: Final = 16384  # octets that a write costs as much as, besides its own

Deliver = Callable[[Source, list[bytes]], None]


class Telling:
    """Flushes that are not told to all yet, the oldest first.

    Args:
        deliver: Writes to a member.
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._flushes: deque[tuple[Outbound, dict[Source, Member]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._flushes)

    def add(self, outbound: Outbound | None, members: Iterable[Member]) -> None:
        """Let those who keep up be told; the others have noted what they miss."""
        if outbound is not None:
            # Turned round, since the last is the cheapest to take out.
            left = {m.source: m for m in reversed([*members]) if not m.is_behind}
            self._flushes.append((outbound, left))

    # hot: per member
    def go_on(self, octets: float) -> None:
        """Tell until about so many octets are written; at least one member."""
        flushes = self._flushes
        while flushes:
            outbound, left = flushes[0]
            spans, private = outbound.spans, outbound.private
            whole = [outbound.octets] if outbound.octets else []
            cost = len(outbound.octets) + WRITE_COST
            while left:
                if octets <= 0:
                    return
                octets -= cost
                # Gone from here first: a write may find the socket full, which asks.
                source, _ = left.popitem()
                if source in spans or source in private:
                    share = outbound.share_of(source)
                else:
                    share = whole
                self._deliver(source, share)
            flushes.popleft()

    def complete(self, source: Source) -> None:
        """Tell one member all there is for it."""
        for outbound, left in tuple(self._flushes):
            if left.pop(source, None) is not None:
                self._deliver(source, outbound.share_of(source))

    def forget(self, source: Source) -> None:
        """A member has left."""
        for _, left in self._flushes:
            left.pop(source, None)
