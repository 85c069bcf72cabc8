"""Which routes of a peer are blocked because it exceeds a limit.

There are two limits, since what a peer announces and what is let in of it differ:

* accepted routes compete in Loc-RIB. Beyond the limit, a route is refused with
  ``FilterReason.LIMIT``: it is kept beside the other refused ones, and let in once there is room;
* received routes are all that the peer announces. Beyond the limit, a route is forgotten at
  once, so that a peer cannot fill the memory; it has to be announced again.

A route that is there already may change, whatever the limits say. Stale routes do not count:
the peer has not announced them on its present session.
"""

from collections.abc import Callable, Sequence

from rib.nlri import Nlri
from rib.path import Source
from rib.path_set import Entry, members_of

Key = tuple[Nlri, int]
"""A prefix, and the identifier of its path (RFC 7911)."""


class Admission:
    """The limits of one peer's routes of one family, and what they block.

    Attributes:
        most_accepted: Routes accepted at most; ``None`` for any number.
        most_received: Routes received at most; ``None`` for any number.
        blocked: Refused routes that wait for room, the oldest first.
        forgotten_count: Announcements that were forgotten, ever.
    """

    __slots__ = ("blocked", "forgotten_count", "most_accepted", "most_received")

    def __init__(self) -> None:
        self.most_accepted: int | None = None
        self.most_received: int | None = None
        self.blocked: dict[Key, None] = {}
        self.forgotten_count = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.most_accepted is not None or self.most_received is not None

    def has_room(self, accepted: int, received: int, count: int) -> bool:
        """Whether ``count`` more routes would exceed neither limit.

        Args:
            accepted: Routes accepted so far.
            received: Routes received so far.
            count: Routes that may all be new.
        """
        most = self.most_accepted
        if most is not None and accepted + count > most:
            return False
        most = self.most_received
        return most is None or received + count <= most


def stale_in(entry: Entry | None, source: Source) -> int:
    """Return how many paths of a source are stale in an entry."""
    epoch = source.epoch
    count = 0
    for path in members_of(entry):
        if path.source is source and path.epoch < epoch:
            count += 1
    return count


def divide(
    nlris: Sequence[Nlri], room: int, is_there: Callable[[Nlri], bool]
) -> tuple[list[Nlri], list[Nlri]]:
    """Return which prefixes are admitted, and which are not, in their order.

    Args:
        nlris: Prefixes, each there once.
        room: So many new ones are let in.
        is_there: Tells whether a prefix is there already, and takes no room.
    """
    let_in: list[Nlri] = []
    kept_out: list[Nlri] = []
    for nlri in nlris:
        if is_there(nlri):
            let_in.append(nlri)
        elif room > 0:
            room -= 1
            let_in.append(nlri)
        else:
            kept_out.append(nlri)
    return let_in, kept_out
