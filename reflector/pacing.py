"""A prefix that keeps changing is advertised less and less often; a single change at once.

RFC 4271 9.2.1.1 has a minimum interval between two advertisements of a destination. A timer
for a whole peer delays what is news, too; here each prefix has its own, in each update group,
and only once it has changed several times in a row:

    change   1 ... 100   101    102    103          (without a pause between them)
    waits    nothing     25 ms  50 ms  100 ms ...   up to the interval

While a prefix waits, it is held: members know the last entry sent, and get
the newest one at the end. A withdrawal does not wait, since nothing must be drawn to a hole;
there are no more of these than announcements. What rested for twice the interval is forgotten.

The first hundred are free because a network that converges makes so many: route collectors
have recorded dozens within seconds, and to wait among them would delay the end. Two reflectors
that do not agree have had theirs within a fifth of a second.

Without this, two reflectors may tell each other of one prefix thousands of times a second, for
ever (RFC 3345).

A prefix that is new to the table costs nothing here, another one a count, kept in C. The counts
are bounded and start again every ten seconds, but for prefixes that changed some times in those:
if more prefixes change than there is room for, those that keep changing get into it one time or another.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple

from rib.change import Change, changes_since
from rib.nlri import Nlri
from rib.path import Path
from rib.path_set import Entry, best_of

FREE: Final = 100  # changes in a row that do not wait
FIRST_WAIT: Final = 0.025  # seconds, of the first one that does
WINDOW: Final = 10.0  # seconds
FEW: Final = (
    5  # changes in a window; with fewer, those of the next are not in a row with them
)
MOST_SEEN: Final = 16_384  # prefixes counted in a window, and those of one flush
MOST_WATCHED: Final = 256  # prefixes whose paths are kept until there is a warning
MOST_UNSTEADY: Final = 32_768  # prefixes that are paced, in one group
SLICE: Final = 2048  # prefixes told in one go when their time has come
_MOST_PATHS: Final = 4  # kept of what was best, to say why

_old_of = itemgetter(0)


class Unrest(NamedTuple):
    """A prefix that is advertised at the longest interval from now on.

    Attributes:
        nlri: The prefix.
        times: How often it has changed so far.
        seconds: Within how long.
        bests: Some of the paths that were best.
        is_withdrawn: At times it had none.
    """

    nlri: Nlri
    times: int
    seconds: float
    bests: tuple[Path, ...]
    is_withdrawn: bool


class _Unsteady:
    """A prefix from the last of its free changes on; times are monotonic seconds."""

    __slots__ = (
        "bests",
        "changed_at",
        "count",
        "is_queued",
        "is_reported",
        "is_withdrawn",
        "since",
        "told_at",
        "wait",
    )

    def __init__(self, now: float) -> None:
        self.since = self.changed_at = self.told_at = now
        self.count = 0
        self.wait = FIRST_WAIT  # the interval bounds it where it is used
        self.bests: dict[Path, None] = {}
        self.is_withdrawn = False
        self.is_queued = False
        self.is_reported = False

    def note(self, change: Change, now: float) -> None:
        self.count += 1
        self.changed_at = now
        self.is_withdrawn = self.is_withdrawn or best_of(change.new) is None

    def told(self, now: float) -> None:
        self.told_at = now
        self.wait *= 2


class Pacer:
    """Holds back prefixes that one update group would advertise too often.

    Args:
        is_add_path: Members receive more than the best path.

    Attributes:
        held: Prefixes that wait, each with the entry that members know.
        unrest: What is worth a warning; the code that warns takes it away.
    """

    def __init__(self, interval: float, *, is_add_path: bool = False) -> None:
        self._interval = interval
        self.held: dict[Nlri, Entry | None] = {}
        self.unrest: list[Unrest] = []
        self._is_add_path = is_add_path
        self._unsteady: dict[Nlri, _Unsteady] = {}
        self._watched: set[_Unsteady] = set()
        # Changes of a prefix in this window, and before if it changed often there, too.
        # What is unsteady has had all of its free ones.
        self._seen: Counter[Nlri] = Counter()
        self._carried: dict[Nlri, int] = {}  # those from before this window
        self._window_end = 0.0
        # When to look at prefixes that wait, each there once at most.
        self._queue: list[tuple[float, Nlri]] = []

    @property
    def interval(self) -> float:
        """Seconds that a prefix waits at most; 0 holds nothing back."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._interval = seconds
        self._queue = sorted((0.0, nlri) for _, nlri in self._queue)  # classified again

    # hot: per flush
    def admit(self, changes: Sequence[Change], now: float) -> Sequence[Change]:
        """Return what goes out now; the rest is held.

        Args:
            changes: Of the table; as ``UpdateGroup.flush`` takes them.
            now: Monotonic seconds.
        """
        if not (self.interval or self.held):
            return changes
        if now >= self._window_end:
            self._begin_window(now)
        seen, unsteady = self._seen, self._unsteady
        if not unsteady and not any(map(_old_of, changes)):
            return changes  # all are new: none was advertised lately
        # What is unsteady may have been withdrawn, and is new once more. Where the best path
        # stays, members are not concerned.
        is_add_path = self._is_add_path
        some = [
            nlris
            for old, new, nlris in changes
            if (unsteady or old is not None)
            and (type(old) is Path or is_add_path or best_of(old) is not best_of(new))
        ]
        counted = [*chain.from_iterable(some)]
        if len(seen) >= MOST_SEEN:
            counted = [*filter(seen.__contains__, counted)]
        if not counted:
            return changes
        seen.update(counted)
        if max(map(seen.__getitem__, counted)) < FREE:
            return changes
        restless = {nlri for nlri in counted if seen[nlri] >= FREE}
        is_at_rest = restless.isdisjoint
        touched = [at for at, c in enumerate(changes) if not is_at_rest(c.nlris)]
        return self._evaluated(changes, touched, now)

    def _evaluated(
        self, changes: Sequence[Change], touched: Sequence[int], now: float
    ) -> list[Change]:
        admitted: list[Change] = []
        start = 0
        for at in touched:
            admitted += changes[start:at]
            admitted += self._evaluate(changes[at], now)
            start = at + 1
        admitted += changes[start:]
        return admitted

    def _evaluate(self, change: Change, now: float) -> list[Change]:
        """Divide the prefixes of a change into those that go out, and those that wait."""
        old, new, nlris = change
        if not self._is_add_path and best_of(old) is best_of(new):
            return [change]  # members are not concerned
        plain: list[Nlri] = []
        others: list[Change] = []
        for nlri in nlris:
            known = self._unsteady.get(nlri)
            if known is None:
                plain.append(nlri)
                is_free = self._seen.get(nlri, 0) < FREE
                if not is_free and len(self._unsteady) < MOST_UNSTEADY:
                    known = self._unsteady[nlri] = _Unsteady(now)
                    known.note(change, now)
                    self._watch(known, change)
                continue
            known.note(change, now)
            self._watch(known, change)
            if best_of(new) is not None and now < self._due_at(known):
                self.held.setdefault(nlri, old)
                self._queue_up(nlri, known)
                self._report(nlri, known, now)
                continue
            if best_of(new) is not None:
                known.told(now)
            if nlri in self.held:
                others.append(Change(self.held.pop(nlri), new, [nlri]))
            else:
                plain.append(nlri)
        return [Change(old, new, plain), *others] if plain else others

    def _watch(self, known: _Unsteady, change: Change) -> None:
        """Keep some paths of a few prefixes, for a warning."""
        if not known.is_reported:
            self._watched.add(known)
            if len(self._watched) > MOST_WATCHED:
                self._watched.discard(known)
            elif len(known.bests) < _MOST_PATHS:
                found = map(best_of, (change.old, change.new))
                known.bests.update((best, None) for best in found if best is not None)

    def _due_at(self, known: _Unsteady) -> float:
        return known.told_at + min(known.wait, self.interval)

    def _report(self, nlri: Nlri, known: _Unsteady, now: float) -> None:
        if not known.is_reported and known.wait >= self.interval:
            known.is_reported = True
            self._watched.discard(known)
            self.unrest.append(
                Unrest(
                    nlri,
                    known.count,
                    now - known.since,
                    tuple(known.bests),
                    known.is_withdrawn,
                )
            )
            known.bests = {}

    def _begin_window(self, now: float) -> None:
        """Forget prefixes that have stopped changing."""
        is_next = now < self._window_end + WINDOW
        self._window_end = now + WINDOW
        rest = max(WINDOW, 2 * self.interval)
        before, former = self._carried.get, self._unsteady
        self._unsteady = {
            nlri: known
            for nlri, known in former.items()
            if known.is_queued or now - known.changed_at < rest
        }
        counts: dict[Nlri, int] = {}
        if is_next:
            counts = {
                nlri: count
                for nlri, count in self._seen.items()
                if count - before(nlri, 0) >= FEW and nlri not in former
            }
        counts.update(dict.fromkeys(self._unsteady, FREE))
        self._carried = counts
        self._seen = Counter(counts)
        self._watched.intersection_update(self._unsteady.values())

    def _queue_up(self, nlri: Nlri, known: _Unsteady) -> None:
        if not known.is_queued:
            known.is_queued = True
            heappush(self._queue, (self._due_at(known), nlri))

    def next_due(self) -> float | None:
        """Return when ``release`` may have something; ``None`` for never."""
        if not self.held:
            return None
        return self._queue[0][0]

    def release(self, table: Mapping[Nlri, Entry], now: float) -> list[Change]:
        """Return the changes of prefixes whose time has come; a slice of them.

        Args:
            table: With the newest entries.
            now: Monotonic seconds.
        """
        told: list[tuple[Nlri, Entry | None]] = []
        queue = self._queue
        for _ in range(min(SLICE, len(queue))):
            if queue[0][0] > now:
                break
            _, nlri = heappop(queue)
            known = self._unsteady[nlri]
            known.is_queued = False
            if nlri not in self.held:
                continue  # withdrawn meanwhile
            if now < self._due_at(known):
                self._queue_up(nlri, known)  # withdrawn and announced once more
                continue
            entry = self.held.pop(nlri)
            if table.get(nlri) is not entry:  # else it is back where it was
                known.told(now)
                told.append((nlri, entry))
        return changes_since(table, told)

    def release_all(self, table: Mapping[Nlri, Entry]) -> list[Change]:
        """Return the changes of all prefixes that wait, whatever their time.

        To be called before the entries that members know mean something else.
        """
        told, self.held = self.held, {}
        return changes_since(table, told.items())

    def view(self, table: Mapping[Nlri, Entry]) -> Mapping[Nlri, Entry]:
        """Return the table as members know it, apart from what they missed."""
        return _View(table, self.held) if self.held else table


class _View(Mapping[Nlri, Entry]):
    """A table in which some prefixes have their earlier entries."""

    def __init__(
        self, table: Mapping[Nlri, Entry], held: Mapping[Nlri, Entry | None]
    ) -> None:
        self._table = table
        self._held = held

    def __getitem__(self, nlri: Nlri) -> Entry:
        """Return the entry that members know."""
        if nlri not in self._held:
            return self._table[nlri]
        entry = self._held[nlri]
        if entry is None:
            raise KeyError(nlri)
        return entry

    def __iter__(self) -> Iterator[Nlri]:
        """Iterate over the prefixes that members hold."""
        for nlri in {**self._table, **self._held}:
            if self._held.get(nlri, self) is not None:
                yield nlri

    def __len__(self) -> int:
        """Count them."""
        return sum(1 for _ in self)
