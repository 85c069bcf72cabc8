"""Limits how many routes are advertised to the only member of a group.

A member with a limit has a group of its own, so that what leaves the group is what it is
sent. Routes are counted as they leave: each prefix once, with add-path each of its paths. What
is beyond the limit waits, by prefix alone, until there is room; a route that is advertised
already may change as it likes.
"""

from collections.abc import Iterable
from itertools import islice

from reflector.flush import Batch
from rib.nlri import Nlri
from rib.path import Source

_PATH_ID_LEN = 4  # octets, RFC 7911 3


class AdvertisedLimit:
    """Counts for one member.

    Args:
        most: So many routes are advertised; 0 counts alone.
        is_add_path: What is counted begins with a path identifier.

    Attributes:
        advertised: What was advertised and not withdrawn since, as it stands in UPDATEs.
        waiting: What was kept back, the oldest first.
    """

    __slots__ = ("_is_add_path", "_most", "advertised", "waiting")

    def __init__(self, most: int, *, is_add_path: bool) -> None:
        self._most = most
        self._is_add_path = is_add_path
        self.advertised: set[bytes] = set()
        self.waiting: dict[bytes, None] = {}

    @property
    def count(self) -> int:
        """Routes for the member, advertised or not."""
        return len(self.advertised) + len(self.waiting)

    def with_room(self, limit: int) -> list[Nlri]:
        """Return waiting prefixes for which there is room; at most ``limit``."""
        room = max(0, self._most - len(self.advertised))
        pieces = islice(self.waiting, min(room, limit))
        if not self._is_add_path:
            return [*pieces]
        return [*dict.fromkeys(piece[_PATH_ID_LEN:] for piece in pieces)]

    def admit(self, batch: Batch, member: Source, *, is_previous_unknown: bool) -> None:
        """Count what a batch advertises and withdraws, and take out what exceeds the limit.

        Args:
            batch: To be encoded.
            member: Who is sent all of it but its own routes.
            is_previous_unknown: It may have been advertised anything before: what is kept back is
                withdrawn.
        """
        for origin in [*batch.withdrawn]:
            if origin is not member:
                _keep(batch.withdrawn, origin, self._withdrawn(batch.withdrawn[origin]))
        if member in batch.private:
            _keep(batch.private, member, self._withdrawn(batch.private[member]))
        late: list[bytes] = []
        for origin in [*batch.announced]:
            by_outgoing = batch.announced[origin]
            if origin is member:
                continue
            for outgoing in [*by_outgoing]:
                pieces = self._admitted(by_outgoing[outgoing], late)
                _keep(by_outgoing, outgoing, pieces)
            if not by_outgoing:
                del batch.announced[origin]
        if late and is_previous_unknown:
            batch.withdraw(None, late)

    def _withdrawn(self, pieces: list[bytes]) -> list[bytes]:
        """Return what the member may receive: everything except what waits."""
        waiting, kept = self.waiting, []
        for piece in pieces:
            if piece in waiting:
                del waiting[piece]
            else:
                kept.append(piece)
        self.advertised.difference_update(kept)
        return kept

    def _admitted(self, pieces: Iterable[bytes], late: list[bytes]) -> list[bytes]:
        advertised, waiting, most = self.advertised, self.waiting, self._most
        admitted = []
        for piece in pieces:
            if piece not in advertised:
                if most and len(advertised) >= most:
                    waiting[piece] = None
                    late.append(piece)
                    continue
                advertised.add(piece)
                waiting.pop(piece, None)
            admitted.append(piece)
        return admitted


def _keep(table: dict, key: object, pieces: list[bytes]) -> None:  # type: ignore[type-arg]
    if pieces:
        table[key] = pieces
    else:
        del table[key]
