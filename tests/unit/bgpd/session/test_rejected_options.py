"""A peer that knows us by one of two AS numbers: each is offered until it takes one."""

from typing import Any

import pytest

from bgpd.session.events import DownKind, DownReason, Established, PeerExpired
from bgpd.session.fsm import State
from bgpd.session.negotiation import RestartState, offer
from bgpd.session.rejected_options import PATIENCE, RejectedOptions, under
from bgpd.wire.capabilities import Capabilities
from bgpd.wire.errors import CeaseSubcode, ErrorCode, OpenSubcode
from bgpd.wire.framing import KEEPALIVE
from bgpd.wire.notification import Notification, encode_notification
from bgpd.wire.open import OpenMessage, encode_open
from tests.support.cases import cases
from tests.support.session_pair import Pair, session, settings

REAL, LOCAL, THEIRS = 65000, 64900, 65009
UP = (State.ESTABLISHED, State.ESTABLISHED)
BAD_PEER_AS = Notification(ErrorCode.OPEN, OpenSubcode.BAD_PEER_AS, b"")
MINE = settings(remote_as=THEIRS, local_as=LOCAL, other_as=REAL)
OURS: dict[str, Any] = {"remote_as": THEIRS, "local_as": LOCAL, "other_as": REAL}


def between(known_as: int, seed: int = 1, **ours: Any) -> Pair:
    """Return us, with two numbers, and a peer that knows us by one."""
    made = Pair(
        session(1, seed=seed, **(OURS | ours)),
        session(2, seed=seed + 100, remote_as=known_as, local_as=THEIRS),
    )
    made.start()
    return made


@cases("known_as", [REAL, LOCAL])
@cases("seed", range(10))
def test_a_peer_that_knows_us_by_either_is_up_within_moments(known_as, seed) -> None:
    both = between(known_as, seed)
    both.run(15)
    assert both.states == UP
    for _ in range(3):  # what was taken is offered first from now on
        (event,) = both.events_of(0, Established)[-1:]
        assert event.negotiated.local_as == known_as
        assert not event.negotiated.is_ibgp
        both.a.stop(both.now, CeaseSubcode.ADMINISTRATIVE_RESET)
        both.settle()
        both.a.start(both.now)
        both.b.start(both.now)
        both.run(60)
        assert both.states == UP
    last = both.a.counters.last_attempt
    assert last is None or "bad peer as" not in str(last).lower()


@pytest.mark.parametrize("is_passive", [False, True])
@pytest.mark.parametrize("known_as", [REAL, LOCAL])
def test_it_comes_up_whichever_side_connects(known_as, is_passive) -> None:
    both = between(known_as, is_passive=is_passive)
    both.run(60)
    assert both.states == UP


def test_internal_by_the_one_and_external_by_the_other() -> None:
    for known_as in (REAL, LOCAL):
        both = Pair(
            session(1, remote_as=REAL, local_as=LOCAL, other_as=REAL),
            session(2, seed=2, remote_as=known_as, local_as=REAL),
        )
        both.start()
        both.run(30)
        assert both.states == UP
        negotiated = both.a.negotiated
        assert negotiated is not None
        assert negotiated.is_ibgp is (known_as == REAL)


def test_a_peer_that_takes_neither_is_tried_ever_more_rarely() -> None:
    both = between(64901)
    both.run(600)
    assert both.a.state is not State.ESTABLISHED
    assert both.a.counters.connect_attempts < 60


def test_without_a_second_number_nothing_else_is_offered() -> None:
    both = between(REAL, other_as=None)
    both.run(120)
    assert both.a.state is not State.ESTABLISHED


def test_a_dynamic_peer_is_kept_until_it_calls_again_or_for_a_while() -> None:
    here = session(1, is_dynamic=True, is_passive=True, **OURS)
    here.start(0.0)
    far = OpenMessage(THEIRS, 90, 2, Capabilities(four_octet_as=THEIRS))
    here.connection_made(1, "a", "b", 0.0, is_outgoing=False)
    here.receive_data(1, encode_open(far), 0.0)
    here.receive_data(1, encode_notification(BAD_PEER_AS), 0.0)
    here.connection_lost(1, "closed", 0.0)
    assert not [each for each in here.events() if isinstance(each, PeerExpired)]
    assert here.next_deadline() == PATIENCE
    here.connection_made(2, "a", "b", 5.0, is_outgoing=False)
    here.receive_data(2, encode_open(far) + KEEPALIVE, 5.0)
    assert here.state is State.ESTABLISHED
    assert here.negotiated is not None
    assert here.negotiated.local_as == REAL
    here.connection_lost(2, "closed", 6.0)
    here.events()
    here.handle_timer(PATIENCE)
    assert [each for each in here.events() if isinstance(each, PeerExpired)]
    assert here.next_deadline() is None


def reason(notification: Notification | None, kind: DownKind) -> DownReason:
    return DownReason(kind, "", notification)


@pytest.mark.parametrize(
    ("state", "kind", "notification"),
    [
        (State.ESTABLISHED, DownKind.NOTIFICATION_RECEIVED, BAD_PEER_AS),
        (State.OPEN_SENT, DownKind.NOTIFICATION_SENT, BAD_PEER_AS),
        (State.OPEN_SENT, DownKind.CONNECTION_LOST, None),
        (State.OPEN_SENT, DownKind.NOTIFICATION_RECEIVED, Notification(2, 3, b"")),
        (State.OPEN_SENT, DownKind.NOTIFICATION_RECEIVED, Notification(6, 2, b"")),
    ],
)
def test_no_other_end_says_that_the_number_was_wrong(state, kind, notification) -> None:
    known = RejectedOptions()
    opened = offer(MINE, 1, restart=RestartState())
    assert not known.note_end(opened, MINE, reason(notification, kind), state, 9.0)
    assert known.offered(MINE) is MINE
    assert known.kept_until == 0


def test_two_connections_rejected_for_one_number_count_once() -> None:
    known = RejectedOptions()
    why = reason(BAD_PEER_AS, DownKind.NOTIFICATION_RECEIVED)
    opened = offer(MINE, 1, restart=RestartState())
    assert opened.asn == LOCAL
    for state in (State.OPEN_SENT, State.OPEN_CONFIRM):
        is_new = known.note_end(opened, MINE, why, state, 9.0)
        assert is_new is (state is State.OPEN_SENT)
        assert known.offered(MINE).local_as == REAL
    assert known.kept_until == 9 + PATIENCE
    other = offer(known.offered(MINE), 1, restart=RestartState())
    assert other.asn == REAL
    assert not known.note_end(other, MINE, why, State.OPEN_SENT, 10.0)
    assert known.offered(MINE) is MINE
    assert not known.note_end(None, MINE, why, State.OPEN_SENT, 10.0)


def test_other_numbers_are_tried_from_the_first() -> None:
    known = RejectedOptions()
    why = reason(BAD_PEER_AS, DownKind.NOTIFICATION_RECEIVED)
    known.note_end(
        offer(MINE, 1, restart=RestartState()), MINE, why, State.OPEN_SENT, 0
    )
    described = settings(**OURS, description="text")
    known.follow(MINE, described)
    assert known.offered(described).local_as == REAL
    for changed in ({"local_as": 64901}, {"other_as": 65100}):
        some = RejectedOptions()
        some.note_end(
            offer(MINE, 1, restart=RestartState()), MINE, why, State.OPEN_SENT, 0
        )
        after = settings(**(OURS | changed))
        some.follow(MINE, after)
        assert some.offered(after) is after


def test_settings_under_a_number() -> None:
    assert under(MINE, 0) is MINE
    assert under(MINE, LOCAL) is MINE
    assert under(MINE, REAL).local_as == REAL
