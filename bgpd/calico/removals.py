"""Implausible removals: held until they are confirmed or undone.

A datastore that was wiped, restored from an old copy, or mounted empty says what no
operator would: that the own node, or most of a kind of objects, is gone. To follow it is
an outage. So a removal does not take effect at once. It waits until none has followed it
for a moment; what waited together is then judged together. A plausible batch goes through, an implausible one is held: what was removed stays in force until it comes back,
until an operator confirms that it is gone, or until the hold's time is over.

This is the mechanism alone, for objects of any source; ``Rules`` say what is plausible.
Pure: ``now`` is an argument, in monotonic seconds, and deadlines are values.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

from bgpd.calico.removal_inventory import Batch, Count, Inventory, Rules

SETTLE: Final = 2.0  # seconds without a further removal after which a batch is judged
SOON: Final = 0.25  # the same, where it is of kinds alone whose removal is urgent
LONGEST: Final = 60.0  # seconds after which it is judged although removals go on
STRAGGLERS: Final = 60.0  # seconds that the rest has left once nearly all is back
_NEARLY_ALL: Final = 10  # at most one of so many is still missing then
_SHOWN: Final = 3  # names that a line names
CONFIRM: Final = "pybgpctl calico confirm"

V = TypeVar("V")


class Cause(Enum):
    """Why a hold began or ended."""

    IMPLAUSIBLE = "implausible"
    RETURNED = "all objects are back"
    NEARLY_RETURNED = "nearly all objects are back; removing the rest"
    UNUSED = "nothing refers to it any more; removing it"
    CONFIRMED = "confirmed; removing it"
    EXPIRED = "nothing came back in time; removing it"


class Note(NamedTuple):
    """A hold began or ended.

    Attributes:
        cause: Which of both, and why.
        counts: What it is about, as far as it was still missing.
        size: Objects that were ever held by it.
        seconds: How long it has left.
    """

    cause: Cause
    counts: tuple[Count, ...]
    size: int
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return one line for people."""
        if self.cause is not Cause.IMPLAUSIBLE:
            what = ", ".join(map(str, self.counts)) or f"{self.size} objects"
            return f"no longer held: {what}: {self.cause.value}"
        names = [name for count in self.counts for name in count.names][:_SHOWN]
        more = ", ..." if self.size > len(names) else ""
        return (
            f"implausible removal held: {', '.join(map(str, self.counts))}"
            f" ({', '.join(names)}{more}); the objects stay in force for"
            f" {self.seconds:.0f} s, until they come back or `{CONFIRM}` confirms the removal"
        )


@dataclass(slots=True)
class Hold(Generic[V]):
    """What is held together.

    Attributes:
        since: When it began.
        until: When it ends by itself.
        held: What is missing.
        size: Objects that were ever held by it.
        cause: Why it will end at ``until``.
        returned_at: When something came back and the rest is not checked yet.
    """

    since: float
    until: float
    held: Batch[V] = field(default_factory=dict, repr=False)
    size: int = 0
    cause: Cause = Cause.EXPIRED
    returned_at: float | None = None

    def __len__(self) -> int:
        """Return how many objects are still missing."""
        return sum(map(len, self.held.values()))

    def add(self, batch: Batch[V]) -> None:
        """Hold more."""
        for kind, items in batch.items():
            self.held.setdefault(kind, {}).update(items)
            self.size += len(items)

    def has(self, kind: str, key: str) -> bool:
        """Return whether it holds an object."""
        return key in self.held.get(kind, ())

    def drop(self, kind: str, key: str) -> None:
        """Hold an object no more."""
        del self.held[kind][key]
        if not self.held[kind]:
            del self.held[kind]


@dataclass(slots=True)
class _Waiting(Generic[V]):
    """What waits to be judged.

    Attributes:
        began: When the first of it was removed.
        latest: When the last was.
        items: What is missing.
        size: Objects that ever waited in it.
        is_urgent: All of them were of kinds whose removal is urgent.
        is_confirmed: It takes effect, whatever it is.
        is_doubted: It is implausible, however little of it is left.
        is_new: Not checked yet for plausibility as a whole.
    """

    began: float = 0.0
    latest: float = 0.0
    items: Batch[V] = field(default_factory=dict)
    size: int = 0
    is_urgent: bool = True
    is_confirmed: bool = False
    is_doubted: bool = False
    is_new: bool = True

    def __len__(self) -> int:
        """Return how many objects wait."""
        return sum(map(len, self.items.values()))

    @property
    def judged_at(self) -> float:
        """When it is judged."""
        if self.is_confirmed:
            return self.began
        rest = SOON if self.is_urgent else SETTLE
        return min(self.latest + rest, self.began + LONGEST)


class RemovalGuard(Generic[V]):
    """Stands between a source of objects and those who act by it.

    ``put`` and ``remove`` say whether a change goes through now. What is kept apart comes
    out of ``advance``, which has to be called whenever ``due`` is over; ``drain_notes``
    says what to tell people. An object costs a dictionary's entry; a change costs
    microseconds, however many objects there are.

    Args:
        rules: What is plausible.
        hold_time: Seconds for which an implausible removal is held; 0 lets all through.

    Attributes:
        hold_count: How often a removal was found implausible.
    """

    def __init__(self, rules: Rules[V], hold_time: float) -> None:
        self.hold_count = 0
        self._rules = rules
        self._hold_time = hold_time
        self._objects = Inventory[V](rules)
        self._waiting = _Waiting[V]()
        self._held_at = float("-inf")  # the last removal that was found implausible
        self._holds: list[Hold[V]] = []
        self._unsettled: dict[str, float] = {}  # kinds to look at again, since when
        self._notes: list[Note] = []

    # -- in -----------------------------------------------------------------------------

    def put(self, key: str, value: V, now: float) -> bool:
        """Take a new or changed object; return whether it counts now."""
        rules = self._rules
        kind = rules.kind_of(key)
        if not kind:
            return True
        if rules.is_hollow(kind, value):
            return self.remove(key, now, value)
        known = self._objects.in_force.setdefault(kind, {})
        if self._objects.is_missing(kind, key):
            if not rules.is_return(kind, value, known[key]):
                self._set_aside(kind, key, value)
                return False
            self._restore(kind, key, now)
        known[key] = value
        self._unsettle(kind, now)
        return True

    def remove(self, key: str, now: float, value: V | None = None) -> bool:
        """Note a removal; return whether it takes effect now.

        Args:
            key: What is gone.
            now: The time.
            value: What the source has in its place, where that says as little.
        """
        kind = self._rules.kind_of(key)
        known = self._objects.in_force.get(kind, {})
        if key not in known:
            return True
        missing = self._objects.missing.setdefault(kind, {})
        if key in missing:
            self._set_aside(kind, key, value)
            return False
        if self._hold_time <= 0 or self._rules.is_announced(kind, key, known[key]):
            del known[key]
            self._unsettle(kind, now)
            return True
        if not self._waiting.items:
            self._waiting = _Waiting(began=now)
        missing[key] = None
        waiting = self._waiting
        waiting.items.setdefault(kind, {})[key] = value
        waiting.latest, waiting.is_new = now, True
        waiting.size += 1
        waiting.is_urgent = waiting.is_urgent and self._rules.is_urgent(kind)
        return False

    def forget(self, key: str, now: float) -> None:
        """Drop an object unchecked: it is no longer needed."""
        kind = self._rules.kind_of(key)
        if self._objects.is_missing(kind, key):
            self._restore(kind, key, now)
        self._objects.in_force.get(kind, {}).pop(key, None)

    def reconsider(self, kind: str, now: float) -> None:
        """Look at what is held of ``kind`` again: what refers to it may have changed."""
        self._unsettled.setdefault(kind, now)

    def doubt(self) -> None:
        """Take what waits for implausible, however little it is."""
        self._waiting.is_doubted = True

    def confirm(self, now: float) -> tuple[Count, ...]:
        """Let all that is kept apart through with the next ``advance``; return what."""
        counts = self._objects.count(self._objects.missing)
        self._waiting.is_confirmed = bool(self._waiting.items)
        for hold in self._holds:
            hold.until, hold.cause = now, Cause.CONFIRMED
        return counts

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time, counted from the beginning of each hold."""
        for hold in self._holds:
            hold.until += seconds - self._hold_time
        self._hold_time = seconds

    # -- out ----------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When ``advance`` has something to do; ``None`` while there is nothing."""
        times = [hold.until for hold in self._holds]
        times += [
            hold.returned_at + STRAGGLERS
            for hold in self._holds
            if hold.returned_at is not None
        ]
        if self._waiting.items:
            times.append(self._waiting.judged_at)
        if self._holds:
            times += [since + SETTLE for since in self._unsettled.values()]
        return min(times, default=None)

    def advance(self, now: float) -> list[tuple[str, V | None]]:
        """Return the removals that count from now on, each with what is in its place."""
        released: list[tuple[str, V | None]] = []
        if self._waiting.items and now >= self._waiting.judged_at:
            released += self._evaluate(now)
        unsettled = {k for k, since in self._unsettled.items() if now >= since + SETTLE}
        for kind in unsettled:
            del self._unsettled[kind]
        for hold in tuple(self._holds):
            cause = self._end_of(hold, now, unsettled)
            if cause is not None:
                self._holds.remove(hold)
                self._notes.append(Note(cause, self.counts(hold), hold.size))
                released += self._let_go(hold.held, now)
        return released

    def drain_notes(self) -> list[Note]:
        """Return which holds began and ended since the last call."""
        notes, self._notes = self._notes, []
        return notes

    # -- what is there ------------------------------------------------------------------

    @property
    def holds(self) -> tuple[Hold[V], ...]:
        """What is held, the oldest first."""
        return tuple(self._holds)

    @property
    def waiting_count(self) -> int:
        """Removals that wait to be judged."""
        return len(self._waiting)

    def counts(self, hold: Hold[V]) -> tuple[Count, ...]:
        """Return what a hold is about, by kind."""
        return self._objects.count(hold.held)

    def describe(self, hold: Hold[V], now: float) -> str:
        """Return one line about a hold, for people."""
        left = max(0.0, hold.until - now)
        return str(Note(Cause.IMPLAUSIBLE, self.counts(hold), len(hold), left))

    def kept(self) -> Iterator[tuple[str, V]]:
        """Yield every object that is in force although the source has it no more."""
        return self._objects.kept()

    def keys(self) -> set[str]:
        """Return the keys of all objects in force; a copy."""
        return self._objects.keys()

    # -- how ----------------------------------------------------------------------------

    def _set_aside(self, kind: str, key: str, value: V | None) -> None:
        """Note what the source has instead of a missing object."""
        places = (self._waiting.items, *(hold.held for hold in self._holds))
        place = next(each for each in places if key in each.get(kind, ()))
        place[kind][key] = value

    def _unsettle(self, kind: str, now: float) -> None:
        if self._holds and (dependent := self._rules.depends_on(kind)):
            self.reconsider(dependent, now)

    def _restore(self, kind: str, key: str, now: float) -> None:
        """An object is back before its removal counted."""
        if key in self._waiting.items.get(kind, ()):
            self._restore_waiting(kind, key)
            return
        del self._objects.missing[kind][key]
        hold = next(hold for hold in self._holds if hold.has(kind, key))
        hold.drop(kind, key)
        hold.returned_at = now
        if not hold.held:
            self._holds.remove(hold)
            self._notes.append(Note(Cause.RETURNED, (), hold.size))

    def _restore_waiting(self, kind: str, key: str) -> None:
        waiting = self._waiting
        if waiting.is_new and not waiting.is_doubted:
            # While a lost source comes back, what is left of it must not pass as little.
            waiting.is_doubted = self._objects.has_bad(waiting.items)
            waiting.is_new = False
        del self._objects.missing[kind][key]
        del waiting.items[kind][key]
        if not waiting.items[kind]:
            del waiting.items[kind]

    def _evaluate(self, now: float) -> list[tuple[str, V | None]]:
        """Hold what waited, or return it."""
        waiting, self._waiting = self._waiting, _Waiting()
        batch = waiting.items
        suspect = {kind for kind in batch if self._objects.is_bad(kind, batch)}
        # What follows close upon an implausible removal belongs to it.
        is_sequel = bool(self._holds) and waiting.began - self._held_at <= SETTLE
        is_implausible = suspect or is_sequel or waiting.is_doubted
        if waiting.is_confirmed or not is_implausible:
            return self._let_go(batch, now)
        self._held_at = waiting.latest
        self.hold_count += 1
        counts = self._objects.count(batch)
        hold = self._joined(suspect if suspect or is_sequel else set(batch))
        if hold is None:
            hold = Hold(now, now + self._hold_time)
            self._holds.append(hold)
        hold.add(batch)
        returned = waiting.size - len(waiting)
        if returned:
            hold.size, hold.returned_at = hold.size + returned, now
        left = hold.until - now
        self._notes.append(Note(Cause.IMPLAUSIBLE, counts, len(waiting), left))
        return []

    def _joined(self, suspect: set[str]) -> Hold[V] | None:
        """Return the hold that has all of these kinds already: its time goes on."""
        for hold in reversed(self._holds):
            if suspect <= hold.held.keys():
                return hold
        return None

    def _end_of(self, hold: Hold[V], now: float, unsettled: set[str]) -> Cause | None:
        """Return why a hold ends now; ``None`` if it does not."""
        if now >= hold.until:
            return hold.cause
        is_over = hold.returned_at is not None and now >= hold.returned_at + STRAGGLERS
        is_unsettled = hold.held.keys() <= unsettled
        if not is_over and not is_unsettled:
            return None
        if is_over:
            hold.returned_at = None
        if self._objects.has_bad(hold.held):
            return None
        if is_unsettled:
            return Cause.UNUSED
        is_little = len(hold) * _NEARLY_ALL <= hold.size
        return Cause.NEARLY_RETURNED if is_little else None

    def _let_go(self, batch: Batch[V], now: float) -> list[tuple[str, V | None]]:
        released = self._objects.remove(batch)
        for kind in batch:
            self._unsettle(kind, now)
        return released
