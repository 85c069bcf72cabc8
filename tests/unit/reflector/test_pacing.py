"""What keeps changing is advertised less and less often, and nothing else waits."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflector import pacing
from reflector.pacing import FEW, FIRST_WAIT, MOST_SEEN, WINDOW, Pacer
from rib.change import Change
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.nlri import Nlri
from rib.path_set import Entry
from tests.support.routes import a_path, a_source, nlris, some_attributes
from tests.support.speakers import some_nlris

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
A, B, C = (
    a_path(some_attributes(local_pref=pref), source=a_source(f"peer {pref}"))
    for pref in (100, 200, 300)
)
INTERVAL = 5.0
AS_BUILT = pacing.FREE
FREE = 5  # instead of the hundred that a network may need


@pytest.fixture(autouse=True)
def _few_are_free(monkeypatch) -> None:
    monkeypatch.setattr(pacing, "FREE", FREE)


class Group:
    """A pacer, the table that changes go through, and what members received."""

    def __init__(
        self, interval: float = INTERVAL, *, is_add_path: bool = False
    ) -> None:
        self.pacer = Pacer(interval, is_add_path=is_add_path)
        self.table: dict[Nlri, Entry] = {}
        self.known: dict[Nlri, Entry] = {}
        self.now = 1000.0
        self.told: list[tuple[float, Nlri, Entry | None]] = []

    def change(self, entry: Entry | None, *prefixes: Nlri) -> None:
        by_old: dict[Entry | None, list[Nlri]] = {}
        for nlri in prefixes or (ONE,):
            by_old.setdefault(self.table.pop(nlri, None), []).append(nlri)
            if entry is not None:
                self.table[nlri] = entry
        changes = [Change(old, entry, some) for old, some in by_old.items()]
        self.take(self.pacer.admit(changes, self.now))

    def take(self, changes: Iterable[Change]) -> None:
        for old, new, some in changes:
            for nlri in some:
                assert self.known.get(nlri) is old, "members know another entry"
                self.told.append((self.now, nlri, new))
                self.known.pop(nlri, None)
                if new is not None:
                    self.known[nlri] = new

    def go(self, seconds: float) -> None:
        """Let time pass, and tell what is due."""
        end = self.now + seconds
        while (due := self.pacer.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.take(self.pacer.release(self.table, self.now))
        self.now = end

    def flap(self, times: int, *entries: Entry | None) -> None:
        for number in range(times):
            self.change(entries[number % len(entries)])

    @property
    def moments(self) -> list[float]:
        return [round(moment - 1000, 3) for moment, _, _ in self.told]


@pytest.fixture
def group() -> Group:
    return Group()


def test_a_lone_change_is_advertised_at_once(group) -> None:
    for entry in (A, B, None, C):
        group.change(entry)
        assert group.told[-1] == (group.now, ONE, entry)
        group.go(3 * WINDOW)
    assert not group.pacer.held
    assert group.pacer.next_due() is None


def test_the_first_changes_in_a_row_are_advertised_at_once(group) -> None:
    group.flap(1 + FREE, A, B)  # the first one makes it known
    assert len(group.told) == 1 + FREE
    assert not group.pacer.held
    group.change(C)
    assert group.pacer.held == {ONE: group.known[ONE]}
    group.go(FIRST_WAIT)
    assert group.told[-1] == (1000 + FIRST_WAIT, ONE, C)


def test_waits_double_up_to_the_interval(group) -> None:
    for number in range(4000):
        group.change((A, B, C)[number % 3])
        group.go(0.01)
    waits = [b - a for a, b in zip(group.moments, group.moments[1:], strict=False)]
    paced = [wait for wait in waits if wait >= FIRST_WAIT * 0.9]
    expected = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert paced[: len(expected)] == pytest.approx(expected, abs=0.011)
    assert len(group.told) < 25


def test_the_newest_entry_is_advertised_at_the_end_of_a_wait(group) -> None:
    group.flap(8, A, B)
    group.change(C)
    group.go(10)
    assert group.known == group.table == {ONE: C}
    assert not group.pacer.held


def test_what_is_back_where_it_was_is_not_told(group) -> None:
    group.flap(1 + FREE, A, B)
    last = group.known[ONE]
    group.change(C)
    group.change(last)
    count = len(group.told)
    group.go(10)
    assert len(group.told) == count


def test_a_withdrawal_does_not_wait(group) -> None:
    group.flap(1 + FREE, A, B)
    group.change(C)
    assert ONE in group.pacer.held
    group.change(None)
    assert group.told[-1] == (group.now, ONE, None)
    assert ONE not in group.pacer.held
    group.change(A)
    assert group.known == {}
    group.go(10)
    assert group.known == {ONE: A}


def test_flapping_is_bounded_by_its_announcements(group) -> None:
    for _ in range(5000):
        group.change(A)
        group.change(None)
        group.go(0.004)
    withdrawn = sum(entry is None for _, _, entry in group.told)
    announced = len(group.told) - withdrawn
    assert announced < 16
    assert group.pacer._queue == sorted(set(group.pacer._queue))


def test_others_do_not_wait_beside_it(group) -> None:
    group.change(A, ONE, TWO)
    group.flap(9, B, A)
    group.change(B, ONE, TWO, THREE)
    assert {nlri for moment, nlri, entry in group.told if entry is B} == {
        ONE,
        TWO,
        THREE,
    }
    assert group.known[TWO] is group.known[THREE] is B
    assert list(group.pacer.held) == [ONE]


def test_changes_keep_their_order(group) -> None:
    group.change(A, TWO, THREE)
    group.flap(1 + FREE, A, B)
    before, after = Change(A, B, [TWO]), Change(A, B, [THREE])
    known = group.known[ONE]
    for entry in (C, A):
        changes = [before, Change(known, entry, [ONE]), after]
        assert group.pacer.admit(changes, group.now) == [before, after]
    last = Change(A, None, [ONE])
    told = group.pacer.admit([before, last, after], group.now)
    assert told == [before, Change(known, None, [ONE]), after]


def test_changes_of_other_paths_than_the_best_concern_no_member() -> None:
    group, wide = Group(), Group(is_add_path=True)
    group.pacer = Pacer(INTERVAL)  # the usual one
    pairs = _pairs()
    for one in (group, wide):
        one.change(pairs[0])
        for number in range(30):
            changes = [Change(one.table[ONE], pairs[(number + 1) % 2], [ONE])]
            one.table[ONE] = pairs[(number + 1) % 2]
            one.pacer.admit(changes, one.now)
    assert not group.pacer.held
    assert wide.pacer.held


def _pairs() -> list[Entry]:
    found: list[Entry] = []
    for other in (A, B):
        table = LocRib(IPV4_UNICAST)
        table.announce([ONE], C)
        table.announce([ONE], other)
        found.append(table.table[ONE])
    return found


def test_an_interval_of_nothing_holds_nothing() -> None:
    group = Group(0.0)
    group.flap(50, A, B)
    assert len(group.told) == 50


def test_a_prefix_waits_again_after_pacing_was_off(group) -> None:
    group.flap(2 + FREE, A, B)
    assert group.pacer.held
    group.pacer.interval = 0
    group.change(C)
    assert not group.pacer.held
    group.pacer.interval = INTERVAL
    group.change(A)
    assert group.pacer.held


def test_what_rested_is_forgotten(group) -> None:
    group.flap(12, A, B)
    group.go(3 * WINDOW)
    group.change(A, TWO)
    group.change(B, TWO)  # a window begins
    assert ONE not in group.pacer._unsteady
    group.told.clear()
    group.flap(FREE, C, A)
    assert len(group.told) == FREE


def test_what_still_changes_is_remembered(group) -> None:
    for _ in range(30):
        group.flap(3, A, B, C)
        group.go(1)
    assert len(group.told) < 25


def test_two_windows_apart_nothing_is_in_a_row(group) -> None:
    for number in range(40):
        group.change((A, B)[number % 2])
        group.go(WINDOW)
    assert len(group.told) == 40


def test_many_that_change_once_take_bounded_room(group) -> None:
    many = some_nlris(MOST_SEEN + 5000)
    group.change(A, *many)
    assert not group.pacer._seen
    for start in range(0, len(many), 500):
        group.change(B, *many[start : start + 500])
    assert len(group.pacer._seen) <= MOST_SEEN + 500
    assert not group.pacer._unsteady


def test_what_found_no_room_is_paced_in_a_later_window(group, monkeypatch) -> None:
    monkeypatch.setattr(pacing, "MOST_SEEN", 100)
    many = some_nlris(250)
    group.change(A, *many)
    for number in range(8 * int(WINDOW)):
        group.change((B, C)[number % 2], *many)
        group.go(0.5)
    assert len(group.pacer.held) > 200


def test_no_more_are_paced_than_there_is_room_for(group, monkeypatch) -> None:
    monkeypatch.setattr(pacing, "MOST_UNSTEADY", 2)
    for number in range(20):
        group.change((A, B)[number % 2], ONE, TWO, THREE)
    assert len(group.pacer.held) == 2


def test_they_are_released_a_slice_at_a_time(group, monkeypatch) -> None:
    monkeypatch.setattr(pacing, "SLICE", 2)
    for number in range(1 + FREE):
        group.change((A, B)[number % 2], ONE, TWO, THREE)
    group.change(C, ONE, TWO, THREE)
    assert len(group.pacer.held) == 3
    group.now += 1
    group.take(group.pacer.release(group.table, group.now))
    assert len(group.pacer.held) == 1
    group.take(group.pacer.release(group.table, group.now))
    assert not group.pacer.held


class TestWhatIsReleasedInOneGo:
    """Nothing that is due waits for another go because of what comes before it."""

    def held(self, *prefixes: Nlri) -> Group:
        group = Group()
        for entry in (A, B, C, A, B, C, A):
            group.change(entry, *prefixes)
        assert list(group.pacer.held) == [*prefixes]
        return group

    def release(self, group: Group) -> list[Nlri]:
        """Release once; return the prefixes that members received."""
        group.told.clear()
        group.take(group.pacer.release(group.table, group.now))
        return [nlri for _, nlri, _ in group.told]

    def test_what_is_not_due_yet_stays(self) -> None:
        group = self.held(ONE)
        group.now += FIRST_WAIT / 2
        for entry in (A, B, C, A, B, C, A):
            group.change(entry, TWO)
        for nlri in (ONE, TWO):
            due = group.pacer.next_due()
            assert due is not None
            group.now = due
            assert self.release(group) == [nlri]

    def test_what_was_withdrawn_meanwhile_is_skipped(self) -> None:
        group = self.held(ONE, TWO)
        group.change(None, ONE)
        group.now += FIRST_WAIT
        assert self.release(group) == [TWO]

    def test_what_must_wait_once_more_is_skipped(self) -> None:
        group = self.held(ONE, TWO)
        group.change(None, ONE)
        group.now += FIRST_WAIT
        group.change(B, ONE)
        group.change(C, ONE)
        assert group.known[ONE] is B
        assert self.release(group) == [TWO]
        group.now += 2 * FIRST_WAIT
        assert self.release(group) == [ONE]


def test_all_are_released_when_that_is_wanted(group) -> None:
    group.flap(2 + FREE, A, B)
    assert group.pacer.held
    group.take(group.pacer.release_all(group.table))
    assert not group.pacer.held
    assert group.known == group.table
    group.change(C)
    group.go(10)
    assert group.known == group.table


def test_members_know_what_they_received(group) -> None:
    group.change(A, TWO)
    assert group.pacer.view(group.table) is group.table
    group.flap(2 + FREE, A, B)
    group.change(A, THREE)
    view = group.pacer.view(group.table)
    assert dict(view) == group.known
    assert len(view) == 3
    assert view.get(ONE) is group.known[ONE] is not group.table[ONE]
    assert view.get(TWO) is A
    group.change(None)
    group.change(C)
    view = group.pacer.view(group.table)
    assert view.get(ONE) is None
    with pytest.raises(KeyError) as error:
        view[ONE]
    assert error.value.args == (ONE,)
    assert sorted(view) == [TWO, THREE]
    assert ONE not in view


def test_unrest_is_reported_once_with_its_paths(group) -> None:
    for number in range(4000):
        group.change((A, B, None)[number % 3])
        group.go(0.01)
    [unrest] = group.pacer.unrest
    assert unrest.nlri == ONE
    assert set(unrest.bests) == {A, B}
    assert unrest.is_withdrawn
    assert unrest.times > 100
    assert unrest.seconds < 20


D, E, F, G = (
    a_path(some_attributes(local_pref=pref), source=a_source(f"peer {pref}"))
    for pref in (400, 500, 600, 700)
)


def changed_every_ms(group: Group, entries: Iterable[Entry | None]) -> None:
    for entry in entries:
        group.change(entry)
        group.now += 0.001


def test_unrest_says_how_often_for_how_long_and_between_which_paths() -> None:
    """It is reported when the longest wait begins; free changes are not unrest yet."""
    group = Group(4 * FIRST_WAIT)
    changed_every_ms(group, (A, B, C, A, B, C))
    group.go(FIRST_WAIT)
    changed_every_ms(group, (A, C))
    group.go(FIRST_WAIT)
    assert not group.pacer.unrest
    changed_every_ms(group, (A, B))
    group.go(2 * FIRST_WAIT)
    changed_every_ms(group, (C, A))
    [unrest] = group.pacer.unrest
    assert unrest._replace(seconds=0) == (ONE, 6, 0, (B, C, A), False)
    assert unrest.seconds == pytest.approx(4 * FIRST_WAIT + 0.005)


def unsteady(interval: float) -> Group:
    """Return a group with a prefix that has had its free changes."""
    group = Group(interval)
    changed_every_ms(group, (A, B, A, B, A, B))
    assert len(group.told) == 1 + FREE
    assert not group.pacer.held
    return group


def test_some_of_its_paths_are_enough() -> None:
    group = unsteady(2 * FIRST_WAIT)
    changed_every_ms(group, (C, D, E, F))
    group.go(FIRST_WAIT)
    group.change(G)
    assert group.pacer.unrest[0].bests == (A, B, C, D)


@pytest.mark.parametrize("place", range(4))
def test_unrest_says_that_there_was_no_path_at_times(place: int) -> None:
    entries: list[Entry | None] = [A, B, C, A]
    entries[place] = None
    group = unsteady(2 * FIRST_WAIT)
    changed_every_ms(group, entries)
    group.go(2 * FIRST_WAIT)
    changed_every_ms(group, (D, E))
    [unrest] = group.pacer.unrest
    assert unrest.is_withdrawn
    assert None not in unrest.bests


def test_paths_are_kept_of_few_prefixes(monkeypatch) -> None:
    monkeypatch.setattr(pacing, "MOST_WATCHED", 1)
    group = Group(FIRST_WAIT)
    for entry in (A, B, C, A, B, C, A):
        group.change(entry, ONE, TWO)
    first, second = group.pacer.unrest
    assert (first.nlri, first.bests) == (ONE, (B, C, A))
    assert (second.nlri, second.bests) == (TWO, (C, A))  # once there was room
    assert not group.pacer._watched


def test_what_changes_beside_what_is_unsteady_is_noticed() -> None:
    group = Group()
    group.change(A, ONE, TWO)
    group.flap(3, B, A, B)
    for entry in (C, A, B, C, A):
        group.change(entry, ONE, TWO)
    assert list(group.pacer.held) == [ONE]
    for number in range(2):
        group.change((B, C)[number], ONE, TWO)
    assert list(group.pacer.held) == [ONE, TWO]


def test_no_more_are_counted_than_there_is_room_for(group, monkeypatch) -> None:
    monkeypatch.setattr(pacing, "MOST_SEEN", 2)
    group.change(A, ONE, TWO, THREE)
    group.change(B, ONE, TWO)
    group.change(B, THREE)
    assert group.pacer._seen == {ONE: 1, TWO: 1}
    group.change(C, ONE, THREE)
    assert group.pacer._seen == {ONE: 2, TWO: 1}


def test_a_network_that_converges_is_not_paced() -> None:
    """As many changes as route collectors have seen of a prefix within seconds."""
    group = Group()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "FREE", AS_BUILT)
        group.flap(1 + AS_BUILT, A, B)
        assert len(group.told) == 1 + AS_BUILT
        group.change(C)
        assert group.pacer.held


def test_few_changes_in_each_window_are_never_in_a_row(group) -> None:
    for number in range(200):
        group.change((A, B)[number % 2])
        group.go(WINDOW / (FEW - 1))
    assert len(group.told) == 200


def test_some_changes_in_each_window_are_in_a_row_in_the_end(
    group, monkeypatch
) -> None:
    monkeypatch.setattr(pacing, "FREE", 3 * FEW)
    for number in range(200):
        group.change((A, B)[number % 2])
        group.go(0.9 * WINDOW / (FEW + 1))
    assert len(group.told) < 200


@pytest.mark.parametrize(("interval", "rest"), [(1.0, WINDOW), (20.0, 40.0)])
def test_it_rests_once_it_changes_no_more_for_long(interval, rest) -> None:
    for seconds, is_forgotten in ((rest - 0.5, False), (rest, True)):
        group = Group(interval)
        group.flap(1 + FREE, A, B)
        group.change(A, TWO)
        group.now += seconds
        group.told.clear()
        group.change(B, TWO)
        group.flap(FREE, C, A)
        assert len(group.told) == 1 + (FREE if is_forgotten else 1)
        assert bool(group.pacer.held) is not is_forgotten


def test_nothing_is_kept_of_what_rested(group) -> None:
    group.flap(1 + FREE, A, B)
    assert group.pacer._watched
    group.go(2 * WINDOW)
    group.change(C)
    assert not group.pacer._watched
    assert not group.pacer._unsteady


def test_it_is_advertised_at_the_moment_that_it_is_due() -> None:
    group = Group(0.25)
    group.flap(2 + FREE, A, B)
    assert group.pacer.next_due() == group.now + FIRST_WAIT
    group.now += FIRST_WAIT - 0.01
    assert not group.pacer.release(group.table, group.now)
    group.now = 1000.0 + FIRST_WAIT
    group.change(C)  # as a change at that very moment is
    assert group.known == {ONE: C}
    assert not group.pacer.held


def test_little_unrest_is_not_reported(group) -> None:
    for _ in range(3):
        group.flap(FREE + 2, A, B)
        group.go(3 * WINDOW)
    assert not group.pacer.unrest


STEPS = st.lists(
    st.tuples(
        st.sampled_from((A, B, C, None)),
        st.lists(
            st.sampled_from((ONE, TWO, THREE)), min_size=1, max_size=3, unique=True
        ),
        st.sampled_from((0.0, 0.0, 0.05, 0.3, 4.0, 25.0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_members_end_with_the_newest_and_are_never_told_too_often(steps) -> None:
    group = Group()
    for entry, prefixes, seconds in steps:
        # As a table does, which never reports a change from an entry to itself.
        changed = [nlri for nlri in prefixes if group.table.get(nlri) is not entry]
        if changed:
            group.change(entry, *changed)
        assert dict(group.pacer.view(group.table)) == group.known
        group.go(seconds)
    group.go(10)
    assert group.known == group.table
    for nlri in (ONE, TWO, THREE):
        moments = [at for at, n, entry in group.told if n == nlri and entry is not None]
        for first, last in zip(moments, moments[FREE + 3 :], strict=False):
            assert last > first, "announced at line rate"
