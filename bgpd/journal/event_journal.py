"""What happened in this process, by id, for as long as there is room.

A reader says the last id that it has, and gets what came since: the events that are kept, and
how many are not. So it can stay away for any time and still knows whether it missed something.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from operator import itemgetter
from typing import Final, NamedTuple

from bgpd.journal.event_counts import EventCounts
from bgpd.journal.kinds import EventKind
from bgpd.journal.route_changes import RouteChange, RouteChanges
from rib.change import Change
from rib.family import Family

# Theory
# ------
# Every event, and every prefix whose best path changed, has an id: one more than the one before
# it, whatever it is. A reader's cursor is the id that it read last.
#
#       EventJournal.add  ----> one deque for each shelf of events   at most `max_events` each
#       Recorder.changed  ----> RouteChanges of one family           at most `max_changes` prefixes
#                                    |
#       read(after) <--- merge by id-'
#
# A million route changes must not push out the session that went down before them; nor must a
# thousand peers that cannot be connected to. So what is frequent has a shelf of its own.
#
# Ids begin with the second at which the process began, times a million. They therefore stay
# distinct over restarts unless a process counts more than a million a second over its whole
# life, and a cursor of an earlier process is recognised: it is below the first id. All of them are exact as
# numbers of JavaScript (below 2**53).
#
# Nothing is missed unnoticed: what is not kept any more has an id, and each shelf knows the newest of
# those. `missed` counts by subtraction: all ids since the cursor, less those still kept. What kind
# the lost ones were is not known then, so the count is of all kinds; but it is 0 where none of the
# shelves that the reader asks for has lost anything.
#
# Readers are not known here, but for those that wait: each has one future, which the next event
# fulfils. A reader that is slow therefore costs nothing, and it learns what it missed.

_IDS_A_SECOND: Final = 1_000_000
_FREQUENT: Final = frozenset({"attempt-failed", "connection-rejected", "command"})


class Event(NamedTuple):
    """Something that happened, a prefix's change of path excepted.

    Attributes:
        event_id: See the theory above.
        at: Seconds of the wall clock.
        kind: What it is about.
        fields: Its name (``event``), and what the line of the log has.
    """

    event_id: int
    at: float
    kind: EventKind
    fields: Mapping[str, object]


Item = Event | tuple[Family, RouteChange]
EVERY_KIND: Final = frozenset(EventKind)


class Reading(NamedTuple):
    """What a reader gets.

    Attributes:
        missed: Events that it can no longer get, of all kinds; 0 without one of those
            that it wants.
        until: The cursor to go on from.
        items: In the order of their ids; made as the reader takes them, some 1 us each.
    """

    missed: int
    until: int
    items: Iterator[Item]


class _Shelf:
    """Events that may push each other out.

    Attributes:
        events: The oldest first.
        lost_id: Of the newest that is not kept any more; 0 for none.
    """

    def __init__(self, kind: EventKind, most: int) -> None:
        self.kind = kind
        self.events: deque[Event] = deque(maxlen=most)
        self.lost_id = 0

    def add(self, event: Event) -> None:
        if len(self.events) == self.events.maxlen:
            self.lost_id = self.events[0].event_id
        self.events.append(event)

    def set_limit(self, most: int) -> None:
        for event in [*self.events][: max(0, len(self.events) - most)]:
            self.lost_id = event.event_id
        self.events = deque(self.events, most)

    def after(self, event_id: int) -> Iterator[Event]:
        """Return those with an id above."""
        found: list[Event] = []
        for event in reversed(self.events):
            if event.event_id <= event_id:
                break
            found.append(event)
        return reversed(found)


class EventJournal:
    """The events of one process.

    Args:
        max_events: Of each shelf; 0 keeps none.
        max_changes: Prefixes whose changes are kept, of each family; 0 keeps none.
        clock: Seconds of the wall clock.

    Attributes:
        began_at: When it began, seconds of the wall clock.
        first_id: Ids are above it.
        last_id: Of the newest event.
        counts: How many there were in each second, those included that are not kept.
    """

    def __init__(
        self,
        max_events: int = 0,
        max_changes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.began_at = clock()
        self.first_id = self.last_id = int(self.began_at) * _IDS_A_SECOND
        self._max_events = max_events
        self._max_changes = max_changes
        self._clock = clock
        self._shelves: dict[str, _Shelf] = {}
        self._changes: dict[Family, RouteChanges] = {}
        self._waiters: dict[asyncio.Future[None], None] = {}
        self.counts = EventCounts()

    @property
    def keeps_events(self) -> bool:
        """Whether events are kept, those of routes excepted."""
        return self._max_events > 0

    @property
    def keeps_changes(self) -> bool:
        """Whether changes of routes are kept."""
        return self._max_changes > 0

    def now(self) -> float:
        """Return the time, in seconds of the wall clock."""
        return self._clock()

    def set_limits(self, max_events: int, max_changes: int) -> None:
        """Change how much is kept; the newest that fits stays.

        Args:
            max_events: As for the class.
            max_changes: As for the class.
        """
        self._max_events, self._max_changes = max_events, max_changes
        for shelf in self._shelves.values():
            shelf.set_limit(max_events)
        for kept in self._changes.values():
            kept.set_limit(max_changes)

    def changes_of(self, family: Family) -> RouteChanges | None:
        """Return what is kept of a family's changes; ``None`` where nothing is."""
        return self._changes.get(family)

    # -- what happens -------------------------------------------------------------------

    def add(
        self, kind: EventKind, fields: Mapping[str, object], at: float | None = None
    ) -> None:
        """Add an event.

        Args:
            kind: What it is about.
            fields: Plain values; ``event`` is its name.
            at: When it happened, seconds of the wall clock; now by default.
        """
        if not self.keeps_events:
            return
        self.last_id += 1
        name = str(fields["event"])
        place = name if name in _FREQUENT else kind.value
        shelf = self._shelves.get(place)
        if shelf is None:
            shelf = self._shelves[place] = _Shelf(kind, self._max_events)
        at = self._clock() if at is None else at
        shelf.add(Event(self.last_id, at, kind, fields))
        self.counts.add(kind, at)
        self._wake()

    def recorder(self, family: Family) -> "Recorder":
        """Return what follows a family's flushes."""
        changes = self._changes.get(family)
        if changes is None:
            changes = self._changes[family] = RouteChanges(family, self._max_changes)
        changes.began_at = self._clock()
        return Recorder(self, changes)

    # hot: per flush
    def note_changes(self, kept: RouteChanges, changes: Sequence[Change]) -> None:
        """Keep what was flushed."""
        at = self._clock()
        count = kept.add(self.last_id + 1, at, changes)
        if count:
            self.last_id += count
            self.counts.add(EventKind.ROUTE, at, count)
            if self._waiters:
                self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # -- who reads ----------------------------------------------------------------------

    def read(self, after: int, kinds: Collection[EventKind] = EVERY_KIND) -> Reading:
        """Return what has an id above ``after``, of some kinds.

        What is dropped while the items are gone through stays among them.
        """
        shelves = [*self._shelves.values()]
        streams: list[Iterable[tuple[int, Item]]] = [
            [(event.event_id, event) for event in shelf.after(after)]
            for shelf in shelves
            if shelf.kind in kinds
        ]
        if EventKind.ROUTE in kinds:
            streams += [_of_family(kept, after) for kept in self._changes.values()]
        return Reading(self._missed(after, kinds), self.last_id, _merged(streams))

    def _missed(self, after: int, kinds: Collection[EventKind]) -> int:
        """Return how many events since ``after`` are not kept any more, of all kinds."""
        shelves = self._shelves.values()
        lost = [shelf.lost_id for shelf in shelves if shelf.kind in kinds]
        if EventKind.ROUTE in kinds:
            lost += [kept.lost_id for kept in self._changes.values()]
        after = max(after, self.first_id)
        if max(lost, default=0) <= after:
            return 0
        kept_count = sum(len([*shelf.after(after)]) for shelf in shelves)
        kept_count += sum(kept.count_after(after) for kept in self._changes.values())
        return self.last_id - after - kept_count

    def knows(self, cursor: int) -> bool:
        """Whether an id is one of this process, so that ``missed`` can count from there."""
        return self.first_id <= cursor <= self.last_id

    def next_event(self) -> asyncio.Future[None]:
        """Return what the next event fulfils; a reader that goes away cancels it."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        waiter.add_done_callback(self._forget_waiter)
        return waiter

    def _forget_waiter(self, waiter: asyncio.Future[None]) -> None:
        self._waiters.pop(waiter, None)  # one that is cancelled; the others are gone


class Recorder:
    """Follows one family's flushes (``bgpd.pipeline.route_consumers.RouteConsumer``)."""

    def __init__(self, journal: EventJournal, kept: RouteChanges) -> None:
        self._journal = journal
        self._kept = kept

    # hot: per flush
    def changed(self, changes: Sequence[Change]) -> None:
        """Keep what was flushed."""
        self._journal.note_changes(self._kept, changes)


def _of_family(kept: RouteChanges, after: int) -> Iterator[tuple[int, Item]]:
    """Return a family's changes up to now, each with its id."""
    changes, family = kept.changes(after), kept.family
    return ((change.event_id, (family, change)) for change in changes)


def _merged(streams: Sequence[Iterable[tuple[int, Item]]]) -> Iterator[Item]:
    for _, item in merge(*streams, key=itemgetter(0)):
        yield item
