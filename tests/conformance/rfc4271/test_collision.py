"""RFC 4271 6.8 with RFC 6286 2.3: which of two connections stays."""

import pytest

from bgpd.session.events import CloseConnection, Send
from bgpd.session.fsm import State
from bgpd.wire.capabilities import Capabilities
from bgpd.wire.framing import KEEPALIVE, Framer
from bgpd.wire.open import OpenMessage, encode_open
from tests.support.session_pair import session

OURS, THEIRS = 1, 2  # conn_ids: the one we opened, the one the peer opened


@pytest.mark.rfc("4271", "6.8", "MUST")
@pytest.mark.parametrize("first", [OURS, THEIRS])
@pytest.mark.parametrize(
    ("local_id", "peer_id", "peer_as", "stays"),
    [
        pytest.param(9, 2, 65002, OURS, id="higher identifier here"),
        pytest.param(2, 9, 65002, THEIRS, id="higher identifier there"),
        pytest.param(5, 5, 65000, OURS, id="equal, higher AS here"),
        pytest.param(5, 5, 65002, THEIRS, id="equal, higher AS there"),
        pytest.param(0x80000000, 0x7FFFFFFF, 65002, OURS, id="compared unsigned"),
    ],
)
def test_the_higher_identifiers_connection_stays(
    local_id: int, peer_id: int, peer_as: int, stays: int, first: int
) -> None:
    made = session(local_id, remote_as=peer_as)
    made.start(0.0)
    made.connection_made(OURS, "a", "b", 0.0, is_outgoing=True)
    made.connection_made(THEIRS, "a", "b", 0.0, is_outgoing=False)
    caps = Capabilities(four_octet_as=peer_as)
    peer_open = encode_open(OpenMessage(peer_as, 90, peer_id, caps))
    made.events()
    for conn_id in (first, OURS + THEIRS - first):
        made.receive_data(conn_id, peer_open, 0.0)
    events = made.events()
    loser = OURS + THEIRS - stays
    assert CloseConnection(loser) in events
    assert CloseConnection(stays) not in events
    sent = [
        message
        for event in events
        if isinstance(event, Send) and event.conn_id == loser
        for message in Framer().feed(event.octets)
    ]
    assert sent[-1] == (3, b"\6\7")
    made.receive_data(stays, KEEPALIVE, 0.0)
    assert made.conn_id == stays
    assert made.state is State.ESTABLISHED


@pytest.mark.rfc("4271", "6.8", "MUST")
def test_the_loser_never_sees_our_keepalive_when_its_open_comes_last() -> None:
    made = session(9)
    made.start(0.0)
    made.connection_made(OURS, "a", "b", 0.0, is_outgoing=True)
    made.connection_made(THEIRS, "a", "b", 0.0, is_outgoing=False)
    peer_open = encode_open(
        OpenMessage(65001, 90, 2, Capabilities(four_octet_as=65001))
    )
    made.receive_data(OURS, peer_open, 0.0)
    made.events()
    made.receive_data(THEIRS, peer_open, 0.0)
    octets = [e.octets for e in made.events() if isinstance(e, Send)]
    assert KEEPALIVE not in octets
