"""One flush of an update group: its content, and the resulting octets.

A member is not sent its own routes, so whatever is gathered is kept apart by whose it is.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from reflector.export import Outgoing
from rib.path import Source

HEADER_LEN: Final = 19  # octets of a message, RFC 4271 4.1


def count_messages(octets: bytes, start: int, end: int) -> int:
    """Return how many whole messages lie between two borders (RFC 4271 4.1)."""
    count = 0
    while start < end:
        start += max(HEADER_LEN, octets[start + 16] << 8 | octets[start + 17])
        count += 1
    return count


class Outbound:
    """One flush's octets for a group.

    Attributes:
        octets: Everything, in order.
        spans: Member source -> the part of ``octets`` that came from it.
        private: Member source -> octets for it alone.
        special: Those who are not sent just ``octets``.
    """

    __slots__ = ("_count", "octets", "private", "spans", "special")

    def __init__(
        self,
        octets: bytes,
        spans: dict[Source, tuple[int, int]],
        private: dict[Source, bytes],
    ) -> None:
        self.octets = octets
        self.spans = spans
        self.private = private
        self.special = spans.keys() | private.keys()
        self._count = -1

    @property
    def count(self) -> int:
        """Number of messages for all: counted once, when first needed."""
        if self._count < 0:
            self._count = count_messages(self.octets, 0, len(self.octets))
        return self._count

    def count_of(self, source: Source) -> int:
        """Return how many messages the share of a member holds."""
        count = self.count
        if (span := self.spans.get(source)) is not None:
            count -= count_messages(self.octets, *span)
        if (private := self.private.get(source)) is not None:
            count += count_messages(private, 0, len(private))
        return count

    def share_of(self, source: Source) -> list[bytes]:
        """Return what to send to one member, as buffers to be written in order.

        A member whose routes are in the run gets slices of it, not a copy: the octets
        exist once for the whole group, however slowly its members read.
        """
        share: list[bytes] = []
        private = self.private.get(source)
        if private is not None:
            share.append(private)
        span = self.spans.get(source)
        if span is None:
            if self.octets:
                share.append(self.octets)
            return share
        view = memoryview(self.octets)
        start, end = span
        if start:
            share.append(view[:start])  # type: ignore[arg-type]  # written, never kept
        if end < len(view):
            share.append(view[end:])  # type: ignore[arg-type]
        return share


class Batch:
    """The content of one flush, ordered by source, then by attributes."""

    def __init__(self) -> None:
        # Of classic IPv4: by what is appended to blocks, and by the block, which holds
        # NEXT_HOP. The two are joined when they are packed.
        self.reflected: dict[
            Source | None, dict[bytes, dict[bytes, Sequence[bytes]]]
        ] = {}
        # Of its values, those that are not a change's own: addresses of lists.
        self._grown: set[int] = set()
        self.announced: dict[Source | None, dict[Outgoing, list[bytes]]] = {}
        self.withdrawn: dict[Source | None, list[bytes]] = {}
        self.private: dict[Source, list[bytes]] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.announced or self.withdrawn or self.private) or any(
            any(by_tail.values()) for by_tail in self.reflected.values()
        )

    def announce(
        self, origin: Source | None, outgoing: Outgoing, pieces: Iterable[bytes]
    ) -> None:
        """Advertise routes with one outgoing form to all but ``origin``."""
        by_outgoing = self.announced.get(origin)
        if by_outgoing is None:
            by_outgoing = self.announced[origin] = {}
        told = by_outgoing.get(outgoing)
        if told is None:
            by_outgoing[outgoing] = [*pieces]
        else:
            told += pieces

    def reflect_more(
        self,
        by_block: dict[bytes, Sequence[bytes]],
        block: bytes,
        nlris: Sequence[bytes],
    ) -> None:
        """Advertise further routes with a block that ``reflected`` already has."""
        told = by_block[block]
        if id(told) in self._grown:
            told += nlris  # type: ignore[operator]  # our own list
        else:
            both = by_block[block] = [*told, *nlris]
            self._grown.add(id(both))

    def withdraw(self, origin: Source | None, pieces: Iterable[bytes]) -> None:
        """Withdraw routes from all but ``origin``."""
        self.withdrawn.setdefault(origin, []).extend(pieces)

    def withdraw_from(self, member: Source, pieces: Iterable[bytes]) -> None:
        """Withdraw routes from one member."""
        self.private.setdefault(member, []).extend(pieces)
