"""Laws of the table, then the machine that carries it out."""

import itertools
from collections.abc import Callable
from typing import Final

import pytest

from reflector.member_fsm import (
    SLOW,
    TRANSITIONS,
    Action,
    Event,
    Member,
    Output,
    State,
    lookup,
)
from rib.change import Change
from rib.path import NextHop, Path
from tests.support.cases import cases
from tests.support.exports import a_client, make_current
from tests.support.routes import nlris, some_attributes

S, E, A = State, Event, Action

EVERY_PAIR: Final = list(itertools.product(State, Event))
MEMBERS: Final = [state for state in State if state is not State.OUTSIDE]
OUTPUTS: Final = {A.GATHER, A.SEND_BEGIN, A.SEND_END, A.CATCH_UP}
ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
END, BEGIN_REFRESH, END_REFRESH = b"end-of-rib", b"borr", b"eorr"
GATHER: Final = Output(A.GATHER)


# -- laws of the table ------------------------------------------------------------------


@cases(("state", "event"), EVERY_PAIR)
def test_every_pair_is_defined(state: State, event: Event) -> None:
    actions, target = lookup(state, event)
    assert target in State
    assert all(action in Action for action in actions)


@cases("pair", TRANSITIONS)
def test_no_cell_is_there_for_nothing(pair: tuple[State, Event]) -> None:
    assert TRANSITIONS[pair] != ((), pair[0])


def test_every_action_is_used() -> None:
    used = {a for pair in EVERY_PAIR for a in lookup(*pair).actions}
    assert used == set(Action)


@pytest.mark.parametrize("state", State)
def test_a_member_that_leaves_is_outside_and_forgets_everything(state: State) -> None:
    assert lookup(state, E.LEFT) == ((A.RESET,), S.OUTSIDE)


@pytest.mark.parametrize("event", [e for e in Event if e not in {E.JOINED, E.MOVED}])
def test_nothing_happens_to_a_peer_outside_the_group(event: Event) -> None:
    actions, target = lookup(S.OUTSIDE, event)
    assert target is S.OUTSIDE
    assert set(actions) <= {A.RESET}


@pytest.mark.parametrize("event", [E.JOINED, E.MOVED])
@pytest.mark.parametrize("state", MEMBERS)
def test_a_member_joins_once(state: State, event: Event) -> None:
    assert lookup(state, event) == ((), state)


@pytest.mark.parametrize("state", MEMBERS)
def test_a_full_socket_makes_every_member_slow(state: State) -> None:
    assert lookup(state, E.WRITING_PAUSED).target is S.BLOCKED


@cases(("state", "event"), EVERY_PAIR)
def test_slow_peers_become_current_by_catching_up_only(
    state: State, event: Event
) -> None:
    target = lookup(state, event).target
    if state in SLOW and target not in {*SLOW, S.OUTSIDE}:
        assert (state, event, target) == (S.CATCHING_UP, E.CAUGHT_UP, S.ENDING)


@cases(("state", "event"), EVERY_PAIR)
def test_catching_up_begins_with_room_in_the_socket_and_there_alone(
    state: State, event: Event
) -> None:
    actions, target = lookup(state, event)
    begins = (state, event) == (S.BLOCKED, E.WRITING_RESUMED)
    assert (A.CATCH_UP in actions) == begins
    assert (target is S.CATCHING_UP) == (
        begins or (state is S.CATCHING_UP and event is not E.LEFT and target is state)
    )


@cases(("state", "event"), EVERY_PAIR)
def test_the_end_mark_leaves_on_the_way_to_current_and_there_alone(
    state: State, event: Event
) -> None:
    """RFC 4724 2, RFC 7313 4: after the whole table, and once for each."""
    actions, target = lookup(state, event)
    is_the_way = (state, event) == (S.ENDING, E.END_ALLOWED)
    assert (A.SEND_END in actions) == is_the_way
    assert (target is S.CURRENT and state is not S.CURRENT) == is_the_way


@pytest.mark.parametrize("state", MEMBERS)
def test_a_refresh_begins_in_current_and_waits_elsewhere(state: State) -> None:
    """RFC 7313 4: not before End-of-RIB, and not inside another."""
    actions, target = lookup(state, E.REFRESH_ASKED)
    if state is S.CURRENT:
        assert actions == (A.SEND_BEGIN, A.SET_END, A.GATHER)
        assert target is S.WAITING
    else:
        assert actions == (A.DEFER_REFRESH,)
        assert target is state


@cases(("state", "event"), EVERY_PAIR)
def test_a_member_that_waits_for_a_walk_was_gathered_for_it(
    state: State, event: Event
) -> None:
    actions, target = lookup(state, event)
    assert (A.GATHER in actions) == (target is S.WAITING and state is not S.WAITING)


@cases(("state", "event"), EVERY_PAIR)
def test_only_a_slow_peer_s_export_is_uncertain(state: State, event: Event) -> None:
    actions, target = lookup(state, event)
    if A.DOUBT_EXPORT in actions:
        assert target in SLOW
    if state in SLOW and target not in SLOW:
        assert A.TRUST_EXPORT in actions or A.RESET in actions
    assert (A.DOUBT_EXPORT in actions) == (
        (event is E.EXPORT_CHANGED and state in SLOW)
        or (state, event) == (S.OUTSIDE, E.MOVED)
    )


@pytest.mark.parametrize("state", [S.WAITING, S.WALKING])
def test_a_member_that_leaves_a_walk_keeps_what_is_left_of_it(state: State) -> None:
    actions, _ = lookup(state, E.WRITING_PAUSED)
    assert actions == ((A.OWE_TABLE,) if state is S.WAITING else (A.KEEP_REST,))


@cases("pair", EVERY_PAIR)
def test_outputs_come_last_so_that_they_find_the_registers_written(pair) -> None:
    actions = lookup(*pair).actions
    registers = [a for a in actions if a not in {*OUTPUTS, A.BEGIN_DEFERRED}]
    outputs = [a for a in actions if a in OUTPUTS - {A.SEND_BEGIN}]
    if registers and outputs:
        assert actions.index(registers[-1]) < actions.index(outputs[0])


# -- the machine ------------------------------------------------------------------------


def a_member() -> Member:
    return Member(a_client(1))


def a_path(med: int = 0) -> Path:
    return Path(a_client(2), some_attributes(med=med), NextHop(bytes(4)))


REGISTERS: Final = (
    "deferred_refresh",
    "end_mark",
    "has_uncertain_export",
    "is_slow",
    "owes_table",
    "pending_changes",
    "pending_walk",
)


def registers_of(member: Member) -> dict[str, object]:
    return {name: getattr(member, name) for name in REGISTERS}


EMPTY: Final = registers_of(a_member())


def joining() -> Member:
    member = a_member()
    member.joined(END)
    return member


def walking() -> Member:
    member = joining()
    member.walk_began()
    return member


def ending() -> Member:
    member = walking()
    member.walk_finished()
    return member


def current() -> Member:
    return make_current(a_member())


def blocked() -> Member:
    member = current()
    member.writing_paused()
    return member


def catching_up() -> Member:
    member = blocked()
    member.writing_resumed()
    return member


MAKERS: Final[dict[State, Callable[[], Member]]] = {
    S.OUTSIDE: a_member,
    S.WAITING: joining,
    S.WALKING: walking,
    S.ENDING: ending,
    S.CURRENT: current,
    S.BLOCKED: blocked,
    S.CATCHING_UP: catching_up,
}


@pytest.mark.parametrize("state", State)
def test_there_is_a_way_to_every_state(state: State) -> None:
    member = MAKERS[state]()
    assert member.state is state
    assert member.is_slow == (state in SLOW)


def test_a_new_member_has_nothing_and_is_owed_nothing() -> None:
    source = a_client(1)
    member = Member(source)
    assert member.source is source
    assert member.state is S.OUTSIDE
    assert registers_of(member) == {
        "deferred_refresh": None,
        "end_mark": b"",
        "has_uncertain_export": False,
        "is_slow": False,
        "owes_table": False,
        "pending_changes": {},
        "pending_walk": [],
    }


@pytest.mark.parametrize("state", MEMBERS)
def test_leaving_empties_all_registers(state: State) -> None:
    member = MAKERS[state]()
    member.refresh_asked(BEGIN_REFRESH, END_REFRESH)
    member.export_changed()
    member.pending_changes[ONE] = None
    member.pending_walk.append(ONE)
    member.owes_table = True
    assert member.left() == []
    assert member.state is S.OUTSIDE
    assert registers_of(member) == EMPTY


def test_a_member_that_joins_walks_and_gets_end_of_rib() -> None:
    member = a_member()
    assert member.joined(END) == [GATHER]
    assert member.end_mark == END
    assert member.walk_began() == []
    assert member.end_allowed() == []
    assert member.state is S.WALKING
    assert member.walk_finished() == []
    assert member.end_allowed() == [Output(A.SEND_END, END)]
    assert member.end_allowed() == []
    assert registers_of(member) == EMPTY


def test_without_an_end_mark_there_is_no_output() -> None:
    member = a_member()
    member.joined(b"")
    member.walk_began()
    member.walk_finished()
    assert member.end_allowed() == []
    assert member.state is S.CURRENT


def test_a_refresh_is_a_walk_between_two_marks() -> None:
    member = current()
    asked = member.refresh_asked(BEGIN_REFRESH, END_REFRESH)
    assert asked == [Output(A.SEND_BEGIN, BEGIN_REFRESH), GATHER]
    member.walk_began()
    member.walk_finished()
    assert member.end_allowed() == [Output(A.SEND_END, END_REFRESH)]
    assert member.state is S.CURRENT


def test_a_plain_refresh_has_no_marks() -> None:
    assert current().refresh_asked(b"", b"") == [GATHER]


@pytest.mark.rfc("7313", "4", "MUST NOT")
@pytest.mark.parametrize("maker", [joining, walking, ending])
def test_a_refresh_that_is_requested_early_begins_after_the_end(maker) -> None:
    member = maker()
    for _ in range(2):
        assert member.refresh_asked(BEGIN_REFRESH, END_REFRESH) == []
    member.walk_began()
    member.walk_finished()
    assert member.end_allowed() == [
        Output(A.SEND_END, END),
        Output(A.SEND_BEGIN, BEGIN_REFRESH),
        GATHER,
    ]
    assert member.state is S.WAITING
    assert (member.end_mark, member.deferred_refresh) == (END_REFRESH, None)


def test_a_slow_peer_is_refreshed_once_it_has_caught_up() -> None:
    member = blocked()
    assert member.refresh_asked(BEGIN_REFRESH, END_REFRESH) == []
    assert member.writing_resumed() == [Output(A.CATCH_UP)]
    assert member.caught_up() == []
    assert member.state is S.ENDING
    assert member.end_allowed() == [Output(A.SEND_BEGIN, BEGIN_REFRESH), GATHER]


def test_a_peer_that_becomes_slow_before_its_walk_keeps_the_whole_walk_pending() -> (
    None
):
    member = joining()
    assert member.writing_paused([ONE]) == []
    assert member.owes_table
    assert member.has_pending
    assert member.pending_walk == []
    assert member.pending_walk_size(7) == 7
    member.writing_resumed()
    assert member.take_walk(2, [ONE, TWO, THREE]) == [TWO, THREE]
    assert member.owes_table is False
    assert member.pending_walk_size(7) == 1
    assert member.take_walk(2, []) == [ONE]
    assert member.take_walk(2, []) == []
    assert not member.has_pending
    member.caught_up()
    assert member.end_allowed() == [Output(A.SEND_END, END)]


def test_a_peer_that_becomes_slow_in_a_walk_keeps_the_rest_pending() -> None:
    member = walking()
    member.writing_paused(iter([ONE, TWO]))
    assert not member.owes_table
    assert member.has_pending
    assert member.pending_walk == [ONE, TWO]
    assert member.pending_walk_size(7) == 2


@pytest.mark.parametrize("maker", [ending, current, catching_up])
def test_a_peer_that_becomes_slow_after_its_walk_owes_nothing(maker) -> None:
    member = maker()
    member.writing_paused([ONE])
    assert member.state is S.BLOCKED
    assert not member.has_pending


def test_a_changed_export_is_uncertain_to_slow_peers_until_they_caught_up() -> None:
    for maker in (blocked, catching_up):
        member = maker()
        assert not member.has_uncertain_export
        assert member.export_changed() == []
        assert member.has_uncertain_export
        member.writing_resumed()
        member.caught_up()
        assert member.has_uncertain_export is False
    others = current()
    others.export_changed()
    assert not others.has_uncertain_export


def test_a_member_that_moves_takes_along_what_it_was_owed() -> None:
    was = joining()
    was.refresh_asked(BEGIN_REFRESH, END_REFRESH)
    was.writing_paused()
    older, newer = a_path(1), a_path(2)
    was.note([Change(older, newer, [ONE])])
    member = a_member()
    assert member.moved(was, {ONE: newer, TWO: newer}) == []
    was.left()
    assert member.state is S.BLOCKED
    assert member.is_slow
    assert member.has_uncertain_export
    assert member.pending_changes == {ONE: older, TWO: newer}
    assert not member.owes_table
    assert member.writing_resumed() == [Output(A.CATCH_UP)]
    assert len(member.take_changes(9)) == 2
    member.caught_up()
    assert member.end_allowed() == [
        Output(A.SEND_END, END),
        Output(A.SEND_BEGIN, BEGIN_REFRESH),
        GATHER,
    ]


# -- what a slow peer is owed -----------------------------------------------------------


def test_the_entry_that_was_sent_last_is_noted() -> None:
    member = blocked()
    old, new, newest = a_path(), a_path(1), a_path(2)
    member.note([Change(old, new, [ONE]), Change(None, new, [TWO])])
    assert member.has_pending
    member.note([Change(new, newest, [ONE, TWO]), Change(newest, None, [THREE])])
    assert member.pending_changes == {ONE: old, TWO: None, THREE: newest}


def test_what_came_and_went_is_forgotten() -> None:
    member = blocked()
    path = a_path()
    member.note([Change(None, path, [ONE]), Change(path, None, [TWO])])
    member.note([Change(path, None, [ONE, THREE]), Change(None, path, [TWO])])
    assert member.pending_changes == {TWO: path, THREE: path}


def test_changes_are_taken_in_slices_each_once() -> None:
    member = blocked()
    member.note([Change(None, a_path(), [ONE, TWO, THREE])])
    assert member.take_changes(2) == [(THREE, None), (TWO, None)]
    assert member.take_changes(2) == [(ONE, None)]
    assert member.take_changes(2) == []
    assert not member.has_pending


def test_changes_that_are_being_sent_are_forgotten() -> None:
    member = blocked()
    member.note([Change(None, a_path(), [ONE, TWO])])
    member.forget_changes([ONE, THREE])
    assert member.pending_changes == {TWO: None}
