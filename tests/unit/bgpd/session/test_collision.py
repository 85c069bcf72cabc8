"""Both sides connect at once, and octets arrive in any order TCP allows."""

from collections.abc import Callable
from random import Random

import pytest

from bgpd.session.connections import COLLISION_WAIT
from bgpd.session.events import (
    CloseConnection,
    Connect,
    DownKind,
    Send,
    SessionDown,
)
from bgpd.session.fsm import State
from bgpd.session.negotiation import RestartState
from bgpd.session.peer import PeerSession
from bgpd.wire.capabilities import Capabilities
from bgpd.wire.framing import KEEPALIVE
from bgpd.wire.open import OpenMessage, encode_open
from rib.family import IPV4_UNICAST
from tests.support.cases import cases
from tests.support.session_pair import Pair, session


class ShuffledPair(Pair):
    """Delivers in random order, but each direction of a connection in its own."""

    def __init__(self, seed: int, low_id: int = 1, high_id: int = 2) -> None:
        super().__init__(session(low_id, seed=seed), session(high_id, seed=seed + 1))
        self._rng = Random(seed)
        self._queues: dict[object, list[Callable[[], None]]] = {}

    def settle(self) -> None:
        for _ in range(10_000):
            self._drain()
            for stream, put in self._inputs:
                self._queues.setdefault(stream, []).append(put)
            self._inputs.clear()
            ready = [queue for queue in self._queues.values() if queue]
            if not ready:
                return
            self._rng.choice(ready).pop(0)()
        raise AssertionError("the two never fall silent")


@cases("seed", range(300))
def test_a_collision_never_takes_an_established_session_down(seed: int) -> None:
    pair = ShuffledPair(seed, *((1, 2) if seed % 2 else (2, 1)))
    pair.start()
    pair.run(15)
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)
    assert not pair.events_of(0, SessionDown)
    assert not pair.events_of(1, SessionDown)


@cases("seed", range(300))
def test_one_that_restarts_is_never_accepted_beside_its_established_session(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The far end would take a connection that it sees only then for another restart."""
    ids = (1, 2) if seed % 2 else (2, 1)
    pair = ShuffledPair(seed, *ids)
    pair.a.restart = RestartState(recovering=frozenset({IPV4_UNICAST}))
    seen: list[State] = []
    made = pair.b.connection_made

    def accepts(
        conn_id: int, local: str, remote: str, now: float, *, is_outgoing: bool
    ) -> None:
        if not is_outgoing:
            seen.append(pair.b.state)
        made(conn_id, local, remote, now, is_outgoing=is_outgoing)

    monkeypatch.setattr(pair.b, "connection_made", accepts)
    pair.start()
    pair.run(15)
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)
    assert not pair.events_of(0, SessionDown)
    assert State.ESTABLISHED not in seen


def test_our_unanswered_attempt_holds_up_the_session_little() -> None:
    ours = session(1, restart=RestartState(recovering=frozenset({IPV4_UNICAST})))
    ours.start(0.0)
    ours.connection_made(7, "192.0.2.1", "192.0.2.2", 0.1, is_outgoing=False)
    opened = encode_open(OpenMessage(65001, 90, 2, Capabilities(four_octet_as=65001)))
    ours.receive_data(7, opened + KEEPALIVE, 0.2)
    assert ours.negotiated is None
    assert ours.next_deadline() == pytest.approx(0.2 + COLLISION_WAIT)
    ours.handle_timer(0.2 + COLLISION_WAIT)
    assert ours.negotiated is not None


def test_what_waits_goes_with_its_connection() -> None:
    ours = session(1, restart=RestartState(recovering=frozenset({IPV4_UNICAST})))
    ours.start(0.0)
    ours.connection_made(7, "192.0.2.1", "192.0.2.2", 0.1, is_outgoing=False)
    opened = encode_open(OpenMessage(65001, 90, 2, Capabilities(four_octet_as=65001)))
    ours.receive_data(7, opened, 0.2)
    ours.connection_lost(7, "closed by the peer", 0.3)
    ours.handle_timer(0.2 + COLLISION_WAIT)
    assert ours.state is State.CONNECT


def opened(ours: PeerSession, conn_id: int, now: float, key_number: int) -> None:
    """Let the peer connect, and come up."""
    ours.connection_made(
        conn_id, "192.0.2.1", "192.0.2.2", now, is_outgoing=False, key_number=key_number
    )
    theirs = OpenMessage(65001, 90, 2, Capabilities(four_octet_as=65001))
    ours.receive_data(conn_id, encode_open(theirs) + KEEPALIVE, now)


@pytest.mark.rfc("4271", "6.8", "MUST")
@pytest.mark.parametrize("key_number", [0, 1])
def test_a_connection_by_the_same_key_does_not_replace_an_established_one(
    key_number: int,
) -> None:
    ours = session(1, is_passive=True)
    ours.start(0.0)
    opened(ours, 7, 0.1, 1)
    opened(ours, 8, 100.0, key_number)
    assert ours.conn_id == 7
    assert ours.counters.flaps == 0


@pytest.mark.parametrize("after", [0.1, 100.0])
def test_a_connection_by_a_newer_key_replaces_an_established_one(after: float) -> None:
    ours = session(1, is_passive=True)
    ours.start(0.0)
    opened(ours, 7, 0.1, 0)
    ours.change_key(after)
    assert ours.conn_id == 7
    opened(ours, 8, after, 1)
    assert ours.conn_id == 8
    downs = [event for event in ours.events() if isinstance(event, SessionDown)]
    assert [down.reason.kind for down in downs] == [DownKind.REPLACED]


def test_a_session_that_is_not_established_begins_again_with_another_key() -> None:
    ours = session(1)
    ours.start(0.0)
    ours.connection_made(7, "192.0.2.1", "192.0.2.2", 0.1, is_outgoing=True)
    ours.connection_made(8, "192.0.2.1", "192.0.2.2", 0.1, is_outgoing=False)
    ours.events()
    ours.change_key(0.2)
    closed = {e.conn_id for e in ours.events() if isinstance(e, CloseConnection)}
    assert closed == {7, 8}
    assert ours.next_deadline() == 0.2
    ours.handle_timer(0.2)
    assert [e for e in ours.events() if isinstance(e, Connect)]
    assert ours.counters.last_down is None


def test_another_key_ends_the_rest_after_failures() -> None:
    ours = session(1)
    ours.start(0.0)
    now = 0.0
    for conn_id in range(4):
        ours.connection_made(conn_id, "a", "b", now, is_outgoing=True)
        ours.receive_data(conn_id, b"no BGP at all, but long enough", now)
        now = ours.next_deadline() or now
        ours.handle_timer(now)
    ours.connection_made(9, "a", "b", now, is_outgoing=True)
    ours.receive_data(9, b"no BGP at all, but long enough", now)
    assert (ours.next_deadline() or 0) - now > 5
    ours.change_key(now)
    ours.handle_timer(now)
    assert ours.state is State.CONNECT


def test_a_keepalive_can_be_sent_at_once() -> None:
    ours = session(1, is_passive=True)
    ours.say_alive(0.0)
    ours.start(0.0)
    opened(ours, 7, 0.1, 0)
    ours.events()
    ours.say_alive(0.2)
    ours.handle_timer(0.2)
    assert ours.events() == [Send(7, KEEPALIVE)]


def test_without_a_hold_time_there_are_no_keepalives() -> None:
    ours = session(1, is_passive=True, hold_time=0)
    ours.start(0.0)
    opened(ours, 7, 0.1, 0)
    ours.events()
    ours.say_alive(0.2)
    assert ours.next_deadline() is None
