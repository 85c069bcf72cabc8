import itertools

import pytest

from bgpd.session.connection_fsm import _PERFORM
from bgpd.session.fsm import (
    DEFAULTS,
    START_EVENTS,
    TRANSITIONS,
    Action,
    Event,
    State,
    lookup,
)
from bgpd.session.timers import EXPIRY, Timer
from tests.support.cases import cases

EVERY_PAIR = list(itertools.product(State, Event))
NOTIFIES = {action for action in Action if action.name.startswith("NOTIFY")}
SENDS = NOTIFIES | {Action.SEND_OPEN, Action.SEND_KEEPALIVE}
CONNECTED = (State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED)


@cases(("state", "event"), EVERY_PAIR)
def test_every_pair_is_defined(state: State, event: Event) -> None:
    actions, target = lookup(state, event)
    assert target in State
    assert all(action in Action for action in actions)


@cases(("state", "event"), EVERY_PAIR)
def test_going_back_to_idle_always_ends_in_drop(state: State, event: Event) -> None:
    actions, target = lookup(state, event)
    if target is State.IDLE and state is not State.IDLE:
        assert actions[-1] is Action.DROP


@cases(("state", "event"), EVERY_PAIR)
def test_nothing_is_sent_after_drop(state: State, event: Event) -> None:
    actions, _ = lookup(state, event)
    if Action.DROP in actions:
        assert not SENDS & set(actions[actions.index(Action.DROP) :])


@pytest.mark.parametrize("state", State)
def test_nothing_is_sent_on_a_lost_connection(state: State) -> None:
    actions, _ = lookup(state, Event.TCP_CONNECTION_FAILS)
    assert not SENDS & set(actions)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", [Event.NOTIF_MSG, Event.NOTIF_MSG_VER_ERR])
def test_a_notification_is_never_answered(state: State, event: Event) -> None:
    assert not SENDS & set(lookup(state, event).actions)


@cases(("state", "event"), EVERY_PAIR)
def test_a_notification_is_the_last_thing_sent(state: State, event: Event) -> None:
    actions, target = lookup(state, event)
    if NOTIFIES & set(actions):
        assert target is State.IDLE
        assert len(NOTIFIES & set(actions)) == 1


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", [Event.MANUAL_STOP, Event.AUTOMATIC_STOP])
def test_stop_leads_to_idle_and_tells_the_peer(state: State, event: Event) -> None:
    actions, target = lookup(state, event)
    assert target is State.IDLE
    assert (Action.NOTIFY_CAUSE in actions) == (state in CONNECTED)


@cases("state", [s for s in State if s is not State.IDLE])
@cases("event", sorted(START_EVENTS))
def test_start_has_no_effect_outside_idle(state: State, event: Event) -> None:
    assert lookup(state, event) == ((), state)


@cases("event", [e for e in Event if e not in START_EVENTS])
def test_idle_ignores_all_but_starts(event: Event) -> None:
    assert lookup(State.IDLE, event) == ((), State.IDLE)


@pytest.mark.parametrize("event", [Event.KEEP_ALIVE_MSG, Event.UPDATE_MSG])
def test_keepalive_and_update_restart_the_hold_timer(event: Event) -> None:
    actions, target = lookup(State.ESTABLISHED, event)
    assert Action.RESTART_HOLD in actions
    assert target is State.ESTABLISHED


@cases(("state", "event"), EVERY_PAIR)
def test_hold_restarts_on_nothing_else_once_open_is_through(
    state: State, event: Event
) -> None:
    if state in (State.OPEN_CONFIRM, State.ESTABLISHED):
        restarts = Action.RESTART_HOLD in lookup(state, event).actions
        expected = event is Event.KEEP_ALIVE_MSG or (
            (state, event) == (State.ESTABLISHED, Event.UPDATE_MSG)
        )
        assert restarts == expected


@cases(("state", "event"), EVERY_PAIR)
def test_every_keepalive_sent_restarts_the_keepalive_timer(
    state: State, event: Event
) -> None:
    actions = lookup(state, event).actions
    assert (Action.SEND_KEEPALIVE in actions) == (Action.RESTART_KEEPALIVE in actions)


@cases(("state", "event"), EVERY_PAIR)
def test_open_is_sent_exactly_on_the_way_out_of_connect_and_active(
    state: State, event: Event
) -> None:
    actions, target = lookup(state, event)
    goes_out = state in (State.CONNECT, State.ACTIVE) and target in CONNECTED
    assert (Action.SEND_OPEN in actions) == goes_out


@cases(("state", "event"), EVERY_PAIR)
def test_only_a_keepalive_in_open_confirm_establishes(
    state: State, event: Event
) -> None:
    actions, target = lookup(state, event)
    establishes = (state, event) == (State.OPEN_CONFIRM, Event.KEEP_ALIVE_MSG)
    assert (Action.ESTABLISH in actions) == establishes
    if state is not State.ESTABLISHED:
        assert (target is State.ESTABLISHED) == establishes


@cases("pair", TRANSITIONS)
def test_no_cell_repeats_its_default(pair: tuple[State, Event]) -> None:
    assert TRANSITIONS[pair] != DEFAULTS[pair[0]]


@pytest.mark.parametrize("state", CONNECTED)
def test_any_other_event_is_an_fsm_error_once_connected(state: State) -> None:
    assert DEFAULTS[state] == ((Action.NOTIFY_FSM_ERROR, Action.DROP), State.IDLE)


def test_every_state_has_a_default() -> None:
    assert set(DEFAULTS) == set(State)


def test_every_action_is_used_and_carried_out() -> None:
    used = {a for cell in TRANSITIONS.values() for a in cell.actions}
    used |= {a for cell in DEFAULTS.values() for a in cell.actions}
    assert used == set(Action) == set(_PERFORM)


def test_every_timer_has_its_event() -> None:
    assert set(EXPIRY) == set(Timer)
    assert len(set(EXPIRY.values())) == len(Timer)
