"""How long a peer rests after a session, and what ends that."""

import pytest

from bgpd.session.fsm import State
from bgpd.wire.errors import CeaseSubcode, ErrorCode, NotifyError
from tests.support.session_pair import Pair, session


def too_many(rest_time: int) -> NotifyError:
    return NotifyError(
        ErrorCode.CEASE,
        CeaseSubcode.MAX_PREFIXES_REACHED,
        text="too many",
        rest_time=rest_time,
    )


def a_pair(*, is_passive: bool = False, is_dynamic: bool = False) -> Pair:
    pair = Pair(
        session(is_passive=is_passive or is_dynamic, is_dynamic=is_dynamic),
        session(router_id=2),
    )
    pair.start()
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)
    return pair


def end(pair: Pair, rest_time: int) -> None:
    pair.a.notify(too_many(rest_time), pair.now)
    pair.settle()


@pytest.mark.parametrize("is_passive", [False, True], ids=["active", "passive"])
def test_a_session_that_a_limit_ended_is_not_tried_before_its_time(is_passive) -> None:
    pair = a_pair(is_passive=is_passive)
    end(pair, 600)
    pair.run(590)
    assert pair.a.state is State.IDLE
    pair.run(100)
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)


def test_without_a_time_it_is_tried_after_the_usual_back_off() -> None:
    pair = a_pair()
    end(pair, 0)
    pair.run(5)
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)


@pytest.mark.parametrize("is_passive", [False, True], ids=["active", "passive"])
def test_other_settings_end_the_rest_at_once(is_passive) -> None:
    pair = a_pair(is_passive=is_passive)
    end(pair, 600)
    pair.run(60)
    pair.a.try_afresh(pair.now)
    assert pair.a.next_deadline() == pair.now
    pair.run(70)  # the other end's back-off
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)


def test_other_settings_end_the_back_off_of_attempts() -> None:
    pair = Pair(session(), session(router_id=2, is_passive=True))
    pair.is_cut = True
    pair.start()
    pair.run(300)
    attempts = pair.a.counters.connect_attempts
    pair.is_cut = False
    pair.a.try_afresh(pair.now)
    pair.settle()
    assert pair.a.counters.connect_attempts == attempts + 1
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)


def test_a_dynamic_peer_rests_before_it_is_forgotten() -> None:
    pair = a_pair(is_dynamic=True)
    end(pair, 600)
    refused = pair.a.counters.rejected_connections
    pair.run(590)
    assert pair.a.is_started
    assert pair.a.counters.rejected_connections > refused
    pair.run(11)
    assert not pair.a.is_started


def test_a_peer_that_is_not_wanted_does_not_come_by_other_settings() -> None:
    pair = a_pair()
    pair.a.stop(pair.now)
    pair.settle()
    pair.a.try_afresh(pair.now)
    pair.run(100)
    assert pair.a.state is State.IDLE


def test_no_rest_begins_beside_a_connection() -> None:
    pair = a_pair()
    pair.a._connections.rest(600, pair.now)
    assert pair.a._connections.idle_until is None
