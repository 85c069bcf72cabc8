"""RFC 5880 6.2 and 6.8.6, transition by transition."""

import pytest

from bgpd.bfd.packet import Diagnostic, State
from bgpd.bfd.state_table import RECEIVED, TRANSITIONS, Event


def by_the_pseudocode(state: State, received: State) -> tuple[State, int | None]:
    """Return the new state and diagnostic by the text of 6.8.6, written down as it stands there."""
    if state is State.ADMIN_DOWN:
        return state, None
    if received is State.ADMIN_DOWN:
        if state is not State.DOWN:
            return State.DOWN, 3
    elif state is State.DOWN:
        if received is State.DOWN:
            return State.INIT, None
        if received is State.INIT:
            return State.UP, None
    elif state is State.INIT:
        if received in (State.INIT, State.UP):
            return State.UP, None
    elif received is State.DOWN:
        return State.DOWN, 3
    return state, None


@pytest.mark.rfc("5880", "6.8.6", "MUST")
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("received", State)
def test_the_table_is_the_text_of_the_rfc(state: State, received: State) -> None:
    found = TRANSITIONS.get((state, RECEIVED[received]))
    target, diagnostic = by_the_pseudocode(state, received)
    assert (state if found is None else found.target) is target
    if diagnostic is not None:
        assert found is not None
        assert found.diagnostic == diagnostic


@pytest.mark.rfc("5880", "6.8.4", "MUST")
def test_silence_ends_init_and_up_alone() -> None:
    event = Event.DETECTION_TIME_EXPIRED
    for state in (State.INIT, State.UP):
        target = TRANSITIONS[state, event]
        assert target == (State.DOWN, Diagnostic.DETECTION_TIME_EXPIRED)
    assert (State.DOWN, event) not in TRANSITIONS
    assert (State.ADMIN_DOWN, event) not in TRANSITIONS


@pytest.mark.rfc("5880", "6.8.16", "MUST")
def test_only_enabling_leaves_admin_down() -> None:
    leaving = [event for state, event in TRANSITIONS if state is State.ADMIN_DOWN]
    assert leaving == [Event.ENABLE]
    assert TRANSITIONS[State.ADMIN_DOWN, Event.ENABLE].target is State.DOWN
    for state in (State.DOWN, State.INIT, State.UP):
        target = TRANSITIONS[state, Event.DISABLE]
        assert target == (State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN)
