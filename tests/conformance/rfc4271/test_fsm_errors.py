"""RFC 4271 6.6 and 8.2.2 with RFC 6608: messages that a state does not expect."""

import pytest

from bgpd.session.events import CloseConnection, Send, SessionDown
from bgpd.session.fsm import State
from bgpd.wire.capabilities import Capabilities
from bgpd.wire.framing import KEEPALIVE, Framer, encode_message
from bgpd.wire.open import OpenMessage, encode_open
from tests.support.session_pair import session

OPEN = encode_open(OpenMessage(65001, 90, 2, Capabilities(four_octet_as=65001)))
UPDATE = encode_message(2, b"\0\0\0\0")
REFRESH = encode_message(5, b"\0\1\0\1")
WAY = {
    State.OPEN_SENT: b"",
    State.OPEN_CONFIRM: OPEN,
    State.ESTABLISHED: OPEN + KEEPALIVE,
}


def in_state(state: State):
    made = session(1)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=True)
    made.receive_data(1, WAY[state], 0.0)
    assert made.state is state
    made.events()
    return made


@pytest.mark.rfc("6608", "4", "MUST")
@pytest.mark.parametrize(
    ("state", "message", "subcode"),
    [
        pytest.param(State.OPEN_SENT, KEEPALIVE, 1, id="KEEPALIVE in OpenSent"),
        pytest.param(State.OPEN_SENT, UPDATE, 1, id="UPDATE in OpenSent"),
        pytest.param(State.OPEN_SENT, REFRESH, 1, id="REFRESH in OpenSent"),
        pytest.param(State.OPEN_CONFIRM, UPDATE, 2, id="UPDATE in OpenConfirm"),
        pytest.param(State.OPEN_CONFIRM, OPEN, 2, id="OPEN in OpenConfirm"),
        pytest.param(State.OPEN_CONFIRM, REFRESH, 2, id="REFRESH in OpenConfirm"),
        pytest.param(State.ESTABLISHED, OPEN, 3, id="OPEN in Established"),
    ],
)
def test_an_unexpected_message_is_fsm_error(state, message, subcode) -> None:
    made = in_state(state)
    made.receive_data(1, message + UPDATE, 0.0)
    events = made.events()
    [notification] = [e.octets for e in events if isinstance(e, Send)]
    assert Framer().feed(notification) == [(3, bytes([5, subcode]))]
    assert CloseConnection(1) in events
    assert made.state is State.IDLE
    downs = [e for e in events if isinstance(e, SessionDown)]
    assert len(downs) == (state is State.ESTABLISHED)


@pytest.mark.rfc("4271", "6.4", "MUST NOT")
@pytest.mark.parametrize("state", WAY)
@pytest.mark.parametrize("body", [b"\0\0", b"\2\1\0\4", b"\3\1", b"\6\2\x05ab"])
def test_a_notification_is_not_answered(state, body) -> None:
    made = in_state(state)
    made.receive_data(1, encode_message(3, body), 0.0)
    events = made.events()
    assert not any(isinstance(e, Send) for e in events)
    assert CloseConnection(1) in events
    assert made.state is State.IDLE


@pytest.mark.rfc("4271", "6.2", "MUST")
@pytest.mark.parametrize(
    ("peer_open", "body"),
    [
        pytest.param(OpenMessage(65009, 90, 2), b"\2\2", id="not the expected AS"),
        pytest.param(OpenMessage(65001, 90, 1), b"\2\3", id="our own identifier"),
        pytest.param(OpenMessage(65001, 90, 0), b"\2\3", id="identifier 0"),
        pytest.param(OpenMessage(65001, 1, 2), b"\2\6", id="hold time 1"),
        pytest.param(OpenMessage(65001, 2, 2), b"\2\6", id="hold time 2"),
        pytest.param(OpenMessage(0, 90, 2), b"\2\2", id="AS 0"),
    ],
)
def test_a_bad_open_is_answered_and_ends_the_connection(peer_open, body) -> None:
    made = in_state(State.OPEN_SENT)
    made.receive_data(1, encode_open(peer_open), 0.0)
    events = made.events()
    [octets] = [e.octets for e in events if isinstance(e, Send)]
    assert Framer().feed(octets) == [(3, body)]
    assert CloseConnection(1) in events


@pytest.mark.rfc("4271", "8.2.2", "MUST")
@pytest.mark.parametrize("octets", [KEEPALIVE, UPDATE])
def test_messages_before_our_delayed_open_end_the_connection_silently(octets) -> None:
    made = session(1, delay_open_time=9)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=True)
    made.events()
    made.receive_data(1, octets, 0.0)
    events = made.events()
    assert not any(isinstance(e, Send) for e in events)
    assert CloseConnection(1) in events


@pytest.mark.rfc("4271", "8.2.2", "MAY")
def test_a_bad_open_before_our_delayed_open_is_answered() -> None:
    made = session(1, delay_open_time=9)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=True)
    made.events()
    made.receive_data(1, encode_open(OpenMessage(65009, 90, 2)), 0.0)
    [octets] = [e.octets for e in made.events() if isinstance(e, Send)]
    assert Framer().feed(octets) == [(3, b"\2\2")]
