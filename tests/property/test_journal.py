"""The journal against a list that forgets nothing: ids, cursors, and what a reader missed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from bgpd.journal.event_journal import EVERY_KIND, Event, EventJournal, Item
from bgpd.journal.kinds import KIND_OF, EventKind
from rib.attributes import make_attributes
from rib.change import Change
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import Nlri, make_nlri
from rib.path import NextHop, Path, Source, SourceKind
from rib.path_set import DecisionContext, Entry, PathSet

STARTED_AT: Final = 1_795_000_000.5
FAMILIES: Final = (IPV4_UNICAST, IPV6_UNICAST)


def path(name: str) -> Path:
    source = Source(name, SourceKind.IBGP)
    return Path(source, make_attributes(next_hop=b"\x0a\0\0\1"), NextHop(b"\x0a\0\0\1"))


def path_set(*members: Path) -> PathSet:
    situation = DecisionContext(DecisionOptions(), ())
    return PathSet(members, members[0], situation)


PATHS: Final = [path(name) for name in "abc"]
ENTRIES: Final[list[Entry | None]] = [None, *PATHS, path_set(PATHS[0], PATHS[1])]


def best(entry: Entry | None) -> Path | None:
    return entry.best if isinstance(entry, PathSet) else entry


def prefix(number: int, family: Family) -> Nlri:
    # One is encoded inside of others; one is the default route.
    octets = bytes((24, 24, number)) if family == IPV4_UNICAST else b"\x20\x01\x0d"
    lengths = (0, 8, 16, 24)
    return make_nlri(octets + bytes((number,)), lengths[number % 4] + number // 8)


@dataclass
class Model:
    """What has happened, with the id of each."""

    first_id: int
    happened: list[tuple[int, EventKind, object]] = field(default_factory=list)

    @property
    def last_id(self) -> int:
        return self.first_id + len(self.happened)

    def add(self, kind: EventKind, what: object) -> None:
        self.happened.append((self.last_id + 1, kind, what))

    def after(
        self, cursor: int, kinds: frozenset[EventKind]
    ) -> dict[int, tuple[EventKind, object]]:
        return {
            number: (kind, what)
            for number, kind, what in self.happened
            if number > cursor and kind in kinds
        }


def described(item: Item) -> tuple[int, EventKind, object]:
    if isinstance(item, Event):
        return item.event_id, item.kind, item.fields["event"]
    family, change = item
    return (
        change.event_id,
        EventKind.ROUTE,
        (family, change.nlri, change.old, change.new),
    )


class JournalMachine(RuleBasedStateMachine):
    """Events and flushes in any order; readers that come back at any time."""

    cursors: Bundle[int] = Bundle("cursors")

    @initialize(
        target=cursors,
        max_events=st.integers(1, 5),
        max_changes=st.integers(1, 40),
    )
    def begin(self, max_events: int, max_changes: int) -> int:
        self.now = STARTED_AT
        self.journal = EventJournal(max_events, max_changes, lambda: self.now)
        self.recorders = {family: self.journal.recorder(family) for family in FAMILIES}
        self.model = Model(self.journal.first_id)
        self.held: Mapping[tuple[Family, Nlri], Path | None] = {}
        self.max_events, self.max_changes = max_events, max_changes
        return self.journal.last_id

    @rule(name=st.sampled_from(["session-up", "attempt-failed", "kernel-conflict"]))
    def happen(self, name: str) -> None:
        self.now, kind = self.now + 0.25, KIND_OF[name]
        self.journal.add(kind, {"event": name})
        self.model.add(kind, name)

    @rule(
        family=st.sampled_from(FAMILIES),
        changes=st.lists(
            st.tuples(
                st.sampled_from(ENTRIES),
                st.sampled_from(ENTRIES),
                st.lists(st.integers(0, 60), min_size=1, max_size=30),
            ),
            max_size=4,
        ),
    )
    def flush(
        self,
        family: Family,
        changes: list[tuple[Entry | None, Entry | None, list[int]]],
    ) -> None:
        self.now += 0.25
        seen: set[Nlri] = set()
        flushed = []
        for old, new, numbers in changes:
            nlris = [*dict.fromkeys(prefix(n, family) for n in numbers)]
            nlris = [nlri for nlri in nlris if nlri not in seen]
            seen.update(nlris)
            if nlris and old is not new:
                flushed.append(Change(old, new, nlris))
        self.recorders[family].changed(flushed)
        for old, new, some in flushed:
            if best(old) is not best(new):
                for nlri in some:
                    what = (family, nlri, best(old), best(new))
                    self.model.add(EventKind.ROUTE, what)

    @rule(max_events=st.integers(1, 5), max_changes=st.integers(1, 40))
    def set_limits(self, max_events: int, max_changes: int) -> None:
        self.journal.set_limits(max_events, max_changes)
        self.max_events, self.max_changes = max_events, max_changes

    @rule(target=cursors)
    def read_all(self) -> int:
        return self.journal.read(self.journal.first_id).until

    @rule(
        target=cursors,
        cursor=cursors,
        kinds=st.sampled_from(
            [
                EVERY_KIND,
                frozenset({EventKind.SESSION}),
                frozenset({EventKind.ROUTE}),
            ]
        ),
    )
    def go_on(self, cursor: int, kinds: frozenset[EventKind]) -> int:
        reading = self.journal.read(cursor, kinds)
        found = [described(item) for item in reading.items]
        numbers = [number for number, _, _ in found]
        assert numbers == sorted(set(numbers))
        wanted = self.model.after(cursor, kinds)
        assert all(wanted[n] == (kind, what) for n, kind, what in found)
        if kinds == EVERY_KIND:
            assert reading.missed == len(wanted) - len(found)
        elif len(found) < len(wanted):
            assert reading.missed >= len(wanted) - len(found)
        assert reading.until == self.model.last_id
        return reading.until

    @rule(family=st.sampled_from(FAMILIES), number=st.integers(0, 60))
    def look_at_one_prefix(self, family: Family, number: int) -> None:
        nlri, kept = prefix(number, family), self.journal.changes_of(family)
        assert kept is not None
        every = [change for change in kept.changes(0) if change.nlri == nlri]
        assert [*kept.of_prefix(nlri)] == every
        times = dict(kept.times())
        assert times.get(nlri) == (every[-1].at if every else None)

    @invariant()
    def nothing_grows(self) -> None:
        for family in FAMILIES:
            kept = self.journal.changes_of(family)
            assert kept is not None
            assert kept.count == len([*kept.changes(0)]) <= self.max_changes
        assert self.journal.last_id == self.model.last_id


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
