"""What flushes say, on its way to the members of update groups, in turns of a few milliseconds.

A write costs 3 to 100 us, so that a thousand members would hold up the loop. What is told
later is told whole and in order: a member that leaves, or that can take no more, is looked
after first.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic

from reflector.flush import Outbound
from reflector.group import Member
from rib.path import Source

Write = Callable[[Sequence[bytes], int], None]
"""Takes octets, and how many messages of one type they are."""


def write_share(outbound: Outbound, source: Source, write: Write) -> None:
    """Tell one member what there is for it."""
    if share := outbound.share_of(source):
        write(share, outbound.count_of(source))


class Telling:
    """Flushes that are not told to all yet, the oldest first.

    Args:
        writers: How each member is written to.
    """

    def __init__(self, writers: Mapping[Source, Write]) -> None:
        self._writers = writers
        self._flushes: deque[tuple[Outbound, dict[Source, Write]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._flushes)

    def add(self, outbound: Outbound | None, members: Iterable[Member]) -> None:
        """Let those who keep up be told; the others have noted what they miss."""
        if outbound is not None:
            writers = self._writers
            # Turned round, since the last is the cheapest to take out.
            left = {
                member.source: writers[member.source]
                for member in reversed([*members])
                if not member.is_behind
            }
            self._flushes.append((outbound, left))

    # hot: per member
    def go_on(self, seconds: float) -> None:
        """Tell for about as long; at least one member."""
        flushes, until = self._flushes, monotonic() + seconds
        while flushes:
            outbound, left = flushes[0]
            special, whole = outbound.special, (outbound.octets,)
            count = outbound.count
            while left:
                # Gone from here first: a write may find the socket full, which asks.
                source, write = left.popitem()
                if source in special:
                    write_share(outbound, source, write)
                elif count:
                    write(whole, count)
                if monotonic() >= until:
                    return
            flushes.popleft()

    def complete(self, source: Source) -> None:
        """Tell one member all there is for it."""
        for outbound, left in tuple(self._flushes):
            write = left.pop(source, None)
            if write is not None:
                write_share(outbound, source, write)

    def forget(self, source: Source) -> None:
        """A member has left."""
        for _, left in self._flushes:
            left.pop(source, None)
