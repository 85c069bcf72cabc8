"""Walks of one group through the table, for members that have not received it yet.

Members that come up in the same turn of the event loop, as after a restart, walk together, so
that the table is encoded once for all of them. There is one walk at a time in a group: each
holds a list of the whole table. Who comes later waits for the next one, which begins when the
last is over.

A walk goes through a snapshot of the prefixes, not of the routes: what it sends is what the table
has by then, and whatever changes meanwhile reaches the walkers as every flush does. A prefix that
is withdrawn before the walk comes to it is skipped; one that is new is not in the snapshot,
and need not be, since its change is flushed.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from reflector.member_fsm import Member, State
from rib.nlri import Nlri

# Prefixes encoded in one go while a member catches up. Not Final: tests make it small, and
# compiled code would not see that.
CATCH_UP_SLICE = 2048


class Walk:
    """Members on their way through a snapshot of the table."""

    __slots__ = ("_rest", "members")

    def __init__(self, members: list[Member], nlris: Iterable[Nlri]) -> None:
        self.members = members
        self._rest: Iterator[Nlri] = iter(nlris)

    def next_slice(self) -> list[Nlri]:
        """Return the next prefixes; empty at the end, and once no member walks any more."""
        members = self.members = [m for m in self.members if m.state is State.WALKING]
        return list(islice(self._rest, CATCH_UP_SLICE)) if members else []

    def put_back(self, nlris: list[Nlri]) -> None:
        """Put ``nlris`` back at the front."""
        self._rest = chain(nlris, self._rest)

    def leave(self, member: Member) -> list[Nlri]:
        """Detach a member; return what the walk has not reached."""
        self.members.remove(member)
        rest = list(self._rest)
        self._rest = iter(rest)
        return rest


class Walks:
    """The walk that is under way in a group, and the members that wait for the next one.

    Attributes:
        walk: ``None`` between walks.
    """

    __slots__ = ("_is_due", "_waiting", "walk")

    def __init__(self) -> None:
        self.walk: Walk | None = None
        # Some may have left, or have become slow, since; a dictionary, as those may be back.
        self._waiting: dict[Member, None] = {}
        # The caller that gathers the first of them calls ``begin``.
        self._is_due = False

    def gather(self, member: Member) -> bool:
        """Add a member to the next walk; return whether to schedule ``begin``."""
        self._waiting[member] = None
        if self._is_due or self.walk is not None:
            return False
        self._is_due = True
        return True

    def begin(self, table: Iterable[Nlri]) -> Walk | None:
        """Begin a walk for all members that wait; ``None`` if none does.

        Args:
            table: Loc-RIB's prefixes, of which no change waits to be flushed.
        """
        members = [m for m in self._waiting if m.state is State.WAITING]
        self._waiting.clear()
        self._is_due = False
        for member in members:
            member.walk_began()
        self.walk = Walk(members, list(table)) if members else None
        return self.walk

    def end(self) -> bool:
        """Forget a finished walk; return whether to schedule the next one's ``begin``."""
        self.walk = None
        self._is_due = bool(self._waiting)
        return self._is_due

    def leave(self, member: Member) -> list[Nlri]:
        """Take a member that becomes slow out of its walk; return the rest of the walk."""
        if self.walk is None or member.state is not State.WALKING:
            return []
        return self.walk.leave(member)
