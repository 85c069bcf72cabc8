"""Writes encoded flushes to the members of update groups, in turns of a few milliseconds.

A write costs 3 to 100 us, so that a thousand members would hold up the loop. What is written
later is written whole and in order: a member that leaves, or that can take no more, is looked
after first.

A write returns whether the socket still accepts data, and calls nothing. A pass over the queue
returns the members whose sockets are full; what that means for them is decided after it, when the
queue is in order again. A full socket loses nothing meanwhile: its connection keeps what it is
given, and that is at most what the queue holds.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic

from reflector.flush import Outbound
from reflector.member_fsm import Member
from rib.path import Source

Write = Callable[[Sequence[bytes], int], bool]
"""Takes octets, and how many messages of one type they are; tells whether more may follow."""


def write_share(outbound: Outbound, source: Source, write: Write) -> bool:
    """Write one member's part of a flush; return whether more may follow."""
    share = outbound.share_of(source)
    return write(share, outbound.count_of(source)) if share else True


class TransmitQueue:
    """Flushes that are not written to all members yet, the oldest first.

    Args:
        writers: How each member is written to.
    """

    def __init__(self, writers: Mapping[Source, Write]) -> None:
        self._writers = writers
        self._flushes: deque[tuple[Outbound, dict[Source, Write]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._flushes)

    def add(self, outbound: Outbound | None, members: Iterable[Member]) -> None:
        """Queue a flush for those of ``members`` that are not slow: slow ones noted it."""
        if outbound is not None:
            writers = self._writers
            # Turned round, since the last is the cheapest to take out.
            left = {
                member.source: writers[member.source]
                for member in reversed([*members])
                if not member.is_slow
            }
            self._flushes.append((outbound, left))

    # hot: per member
    def drain(self, seconds: float) -> list[Source]:
        """Write for about that long, at least to one member; return the full ones.

        A member whose socket is full may be in it twice.
        """
        flushes, until = self._flushes, monotonic() + seconds
        full: list[Source] = []
        while flushes:
            outbound, left = flushes[0]
            special, whole = outbound.special, (outbound.octets,)
            count = outbound.count
            while left:
                source, write = left.popitem()
                if source in special:
                    if not write_share(outbound, source, write):
                        full.append(source)
                elif count and not write(whole, count):
                    full.append(source)
                if monotonic() >= until:
                    return full
            flushes.popleft()
        return full

    def flush_member(self, source: Source) -> None:
        """Write all that is queued for one member, which is full: the rest will be noted."""
        for outbound, left in self._flushes:
            write = left.pop(source, None)
            if write is not None:
                write_share(outbound, source, write)

    def forget(self, source: Source) -> None:
        """A member has left."""
        for _, left in self._flushes:
            left.pop(source, None)
