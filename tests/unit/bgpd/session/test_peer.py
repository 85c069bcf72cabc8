import itertools
from dataclasses import replace

import pytest

from bgpd.session.connections import COLLISION_WAIT
from bgpd.session.events import (
    CloseConnection,
    Connect,
    DownKind,
    Established,
    PeerExpired,
    RefreshReceived,
    Send,
    SessionDown,
    StateChanged,
    UpdatesReceived,
)
from bgpd.session.fsm import State
from bgpd.session.negotiation import RestartState
from bgpd.session.peer import PeerSession
from bgpd.session.settings import FamilySettings
from bgpd.session.timers import UNREAD_WAIT, Timer
from bgpd.wire.capabilities import Capabilities, GracefulRestart
from bgpd.wire.errors import CeaseSubcode, NotifyError
from bgpd.wire.framing import KEEPALIVE, MARKER, Framer, encode_message
from bgpd.wire.notification import (
    Notification,
    cease,
    decode_notification,
    encode_notification,
)
from bgpd.wire.open import OpenMessage, decode_open, encode_open
from bgpd.wire.route_refresh import (
    RefreshSubtype,
    RouteRefresh,
    encode_route_refresh,
)
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.cases import cases
from tests.support.session_pair import Pair, session, settings

UP = (State.ESTABLISHED, State.ESTABLISHED)
UPDATE = encode_message(2, b"\0\0\0\0")
PLAIN = OpenMessage(65001, 90, 2, Capabilities(four_octet_as=65001))


def pair(a=None, b=None, **both) -> Pair:
    made = Pair(
        session(1, seed=1, **(both | (a or {}))),
        session(2, seed=2, **(both | (b or {}))),
    )
    made.start()
    return made


def notifications(events) -> list[Notification]:
    found = []
    for event in events:
        if isinstance(event, Send):
            messages = Framer(65535).feed(event.octets)
            found += [decode_notification(b) for kind, b in messages if kind == 3]
    return found


def connected(**changes) -> PeerSession:
    """Return a session whose own connection, 1, is in OpenSent."""
    made = session(1, **changes)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=True)
    made.events()
    return made


def established(peer_open: OpenMessage = PLAIN, **changes) -> PeerSession:
    made = connected(**changes)
    made.receive_data(1, encode_open(peer_open) + KEEPALIVE, 0.0)
    assert made.state is State.ESTABLISHED
    made.events()
    return made


# -- coming up --------------------------------------------------------------------------


def test_two_sides_that_connect_at_once_end_with_one_session() -> None:
    both = pair()
    assert both.states == UP
    assert all(len(both.events_of(side, Established)) == 1 for side in (0, 1))
    both.run(400)
    assert both.states == UP
    assert not both.events_of(0, SessionDown)


@cases("seed", range(30))
@cases("chunk", [None, 1])
def test_chance_and_splits_never_keep_them_apart(seed, chunk) -> None:
    both = Pair(session(1, seed=seed), session(2, seed=seed + 1000))
    both.chunk = chunk
    both.start()
    both.run(3)
    assert both.states == UP


def test_one_passive_side_is_connected_to() -> None:
    assert pair({"is_passive": True}).states == UP
    assert pair({}, {"is_passive": True}).states == UP


def test_two_passive_sides_wait() -> None:
    both = pair(is_passive=True)
    both.run(600)
    assert both.states == (State.ACTIVE, State.ACTIVE)


def test_delay_open_comes_up_on_both_sides() -> None:
    both = pair(delay_open_time=3)
    both.run(4)
    assert both.states == UP


def test_a_delayed_side_answers_the_others_open_at_once() -> None:
    assert pair({"delay_open_time": 60}).states == UP


def test_start_twice_is_start_once() -> None:
    made = session()
    made.start(0.0)
    made.start(0.0)
    assert [e for e in made.events() if isinstance(e, Connect)] == [Connect()]


def test_the_first_attempt_waits_as_long_as_configured() -> None:
    made = session(connect_delay_time=7, connect_retry_time=5)
    made.start(1.0)
    assert not [e for e in made.events() if isinstance(e, Connect)]
    assert (made.state, made.next_deadline()) == (State.ACTIVE, 8.0)
    made.handle_timer(8.0)
    assert [e for e in made.events() if isinstance(e, Connect)] == [Connect()]
    made.connect_failed("refused", 8.0)
    assert (made.next_deadline() or 0.0) - 8 <= 5


def test_a_peer_that_comes_first_is_not_waited_for() -> None:
    both = pair({"connect_delay_time": 60})
    assert both.states == UP


def test_a_passive_end_waits_however_long_the_delay() -> None:
    made = session(connect_delay_time=7, is_passive=True)
    made.start(1.0)
    assert (made.state, made.next_deadline()) == (State.ACTIVE, None)


def test_idle_after_an_error_is_as_long_as_configured() -> None:
    made = session(idle_hold_time=60, max_idle_hold_time=100)
    now, waits = 0.0, []
    made.start(now)
    for _ in range(3):
        made.connection_made(5, "a", "b", now, is_outgoing=True)
        made.receive_data(5, b"no BGP at all, 19 octets", now)
        waits.append((made.next_deadline() or 0.0) - now)
        now = made.next_deadline() or 0.0
        made.handle_timer(now)
    for wait, longest in zip(waits, (60, 100, 100), strict=True):
        assert 0.75 * longest <= wait <= longest


def test_unreachable_peers_are_tried_with_back_off() -> None:
    made = session(connect_retry_time=5)
    made.start(0.0)
    now, attempts = 0.0, []
    for _ in range(8):
        attempts += [now for e in made.events() if isinstance(e, Connect)]
        made.connect_failed("refused", now)
        now = made.next_deadline() or 0.0
        made.handle_timer(now)
    gaps = [b - a for a, b in itertools.pairwise(attempts)]
    for gap, longest in zip(gaps, [5, 10, 20, 40, 60, 60], strict=False):
        assert 0.75 * longest <= gap <= longest
    assert made.counters.last_down is not None
    assert made.counters.last_down.kind is DownKind.CONNECT_FAILED


def test_an_unanswered_syn_is_a_reason() -> None:
    made = session(connect_retry_time=5)
    made.start(0.0)
    assert made.counters.last_attempt is None
    now = made.next_deadline() or 0.0
    made.handle_timer(now)
    reason = str(made.counters.last_attempt)
    assert reason.startswith("connection attempt failed; no answer to SYN for ")
    assert made.counters.last_attempt_at == now


def test_a_lost_session_and_a_failed_attempt_are_distinguished() -> None:
    one = established()
    one.stop(1.0, subcode=CeaseSubcode.ADMINISTRATIVE_RESET)
    reset = one.counters.last_reset
    assert "administrative reset" in str(reset)
    assert one.counters.last_down is reset
    one.start(2.0)
    one.connect_failed("connection refused", 2.0)
    assert one.counters.last_reset_at == 1.0
    assert one.counters.last_reset is reset
    assert "connection refused" in str(one.counters.last_attempt)
    assert one.counters.last_down is one.counters.last_attempt


def test_timers_that_run_are_listed() -> None:
    made = session(connect_retry_time=5)
    assert (made.deadlines(), made.idle_until) == ({}, None)
    made.start(0.0)
    assert 3.75 <= made.deadlines()[Timer.CONNECT_RETRY] <= 5
    one = established(hold_time=90)
    assert {Timer.HOLD, Timer.KEEPALIVE} == one.deadlines().keys()
    assert one.deadlines()[Timer.HOLD] == one.deadline(Timer.HOLD)
    one.receive_data(1, encode_message(5, b""), 1.0)  # a header of the wrong length
    assert one.idle_until is not None
    sent = one.counters.notifications.last_sent
    assert sent is not None
    assert (sent.notification.code, sent.at) == (1, 1.0)


def test_a_capture_reads_opens_messages_and_the_beginning_of_one() -> None:
    made = session()
    assert made.opens is None
    assert made.negotiated_on(1) is None
    assert made.begun_message(1) == b""
    one = established()
    assert one.negotiated_on(1) is one.negotiated
    assert one.opens is not None
    assert [each.asn for each in one.opens] == [one.settings.local_as, PLAIN.asn]
    assert not one.was_up_before
    one.heard = []
    one.receive_data(1, KEEPALIVE + KEEPALIVE[:5], 1.0)
    assert [kind for kind, _ in one.heard] == [4]
    assert one.begun_message(1) == KEEPALIVE[:5]
    one.receive_updates(1, KEEPALIVE[5:], 2.0)
    assert [kind for kind, _ in one.heard] == [4, 4]


def test_a_changed_setting_ends_the_remark_about_the_last_attempt() -> None:
    made = session(connect_retry_time=5)
    made.start(0.0)
    made.connect_failed("connection refused", 0.0)
    made.settings = replace(made.settings)
    assert made.counters.last_attempt is not None
    made.settings = replace(made.settings, password="another")
    assert made.counters.last_attempt is None


def test_a_peer_that_restarts_is_tried_without_back_off_while_its_routes_wait() -> None:
    graceful = Capabilities(
        graceful_restart=GracefulRestart(
            restart_time=60, families=((IPV4_UNICAST, True),)
        )
    )
    made = established(OpenMessage(65001, 90, 2, graceful), connect_retry_time=5)
    made.connection_lost(1, "gone", 100.0)
    now, attempts = 100.0, []
    while now < 300.0:
        attempts += [now for e in made.events() if isinstance(e, Connect)]
        made.connect_failed("refused", now)
        now = made.next_deadline() or 300.0
        made.handle_timer(now)
    gaps = [b - a for a, b in itertools.pairwise(attempts) if a < 155]
    assert len(gaps) >= 10
    assert max(gaps) <= 5
    assert attempts[-1] - attempts[-2] > 5, "afterwards it is tried as ever"


def test_a_silent_attempt_is_given_up_and_repeated() -> None:
    made = session(connect_retry_time=5)
    made.start(0.0)
    made.events()
    made.handle_timer(5.0)
    assert made.events() == [Connect()]
    assert made.state is State.CONNECT


def test_a_late_answer_of_an_abandoned_attempt_has_no_effect() -> None:
    made = session()
    made.start(0.0)
    made.stop(1.0)
    made.events()
    made.connect_failed("late", 2.0)
    assert made.events() == []
    made.connection_made(7, "a", "b", 2.0, is_outgoing=True)
    assert made.events() == [CloseConnection(7)]


# -- what is received -------------------------------------------------------------------


def test_updates_of_a_chunk_are_one_event() -> None:
    made = established()
    made.receive_data(1, UPDATE + KEEPALIVE + UPDATE, 1.0)
    assert made.events() == [UpdatesReceived([b"\0\0\0\0"] * 2)]
    assert made.counters.received[2] == 2


def test_updates_behind_the_keepalive_that_establishes_are_delivered() -> None:
    made = connected()
    made.receive_data(1, encode_open(PLAIN) + KEEPALIVE + UPDATE, 0.0)
    kinds = [type(e) for e in made.events()]
    assert kinds.index(Established) < kinds.index(UpdatesReceived)


def test_updates_in_front_of_an_error_are_delivered() -> None:
    made = established()
    made.receive_data(1, UPDATE + MARKER + b"\0\x13\x09", 1.0)
    events = made.events()
    assert events[0] == UpdatesReceived([b"\0\0\0\0"])
    assert notifications(events) == [Notification(1, 3, b"\x09")]
    assert made.state is State.IDLE


@pytest.mark.rfc("6608", "3", "MUST")
@pytest.mark.parametrize("kind", [2, 5])
def test_what_belongs_to_a_session_is_an_error_before_one(kind: int) -> None:
    made = connected()
    made.receive_data(1, encode_message(kind, b"\0\0\0\0"), 0.0)
    assert notifications(made.events()) == [Notification(5, 1)]
    assert made.state is State.IDLE


def test_a_restarting_peer_is_expected_for_as_long_after_a_standstill() -> None:
    made = session(1)
    outgoing = made._connections.outgoing
    outgoing.skip_damping(50.0)
    made.resume(100.0, 110.0)
    assert outgoing.skips_damping(149.0)
    assert not outgoing.skips_damping(150.0)


@pytest.mark.parametrize(
    "octets",
    [
        UPDATE,
        KEEPALIVE,
        UPDATE + KEEPALIVE + UPDATE[:-1],
        UPDATE + encode_message(5, b"\0\1\0\1") + UPDATE,
        UPDATE + MARKER + b"\0\x13\x09",
        encode_notification(cease(CeaseSubcode.ADMINISTRATIVE_RESET)) + UPDATE,
    ],
)
@pytest.mark.parametrize("conn_id", [1, 2])
def test_the_short_way_does_as_the_long_one(octets: bytes, conn_id: int) -> None:
    long, short = established(), established()
    long.receive_data(conn_id, octets, 1.0)
    bodies = short.receive_updates(conn_id, octets, 1.0)
    told = [UpdatesReceived(bodies)] if bodies else []
    assert [*told, *short.events()] == long.events()
    assert short.next_deadline() == long.next_deadline()
    assert short.state is long.state
    assert short.counters.received == long.counters.received
    assert short.counters.octets_received == long.counters.octets_received


def test_the_short_way_is_for_updates_alone() -> None:
    made = established()
    assert made.receive_updates(1, UPDATE + KEEPALIVE + UPDATE, 1.0) == [b"\0" * 4] * 2
    assert made.receive_updates(1, KEEPALIVE, 2.0) == []
    assert made.events() == []
    assert made.receive_updates(1, encode_message(5, b"\0\1\0\1"), 3.0) is None
    assert made.events()


def test_nothing_behind_a_notification_is_read() -> None:
    made = established()
    octets = encode_notification(cease(CeaseSubcode.ADMINISTRATIVE_RESET))
    made.receive_data(1, octets + UPDATE, 1.0)
    events = made.events()
    assert not [e for e in events if isinstance(e, (UpdatesReceived, Send))]
    made.receive_data(1, UPDATE, 1.0)
    made.connection_lost(1, "late", 1.0)
    assert made.events() == []


def test_refreshes_keep_their_place_between_updates() -> None:
    graceful = Capabilities(four_octet_as=65001, has_enhanced_refresh=True)
    made = established(OpenMessage(65001, 90, 2, graceful))
    begin = encode_route_refresh(RouteRefresh(IPV4_UNICAST, RefreshSubtype.BEGIN))
    end = encode_route_refresh(RouteRefresh(IPV4_UNICAST, RefreshSubtype.END))
    made.receive_data(1, begin + UPDATE + end, 1.0)
    assert made.events() == [
        RefreshReceived(IPV4_UNICAST, RefreshSubtype.BEGIN),
        UpdatesReceived([b"\0\0\0\0"]),
        RefreshReceived(IPV4_UNICAST, RefreshSubtype.END),
    ]


def test_refreshes_that_mean_nothing_here_are_ignored() -> None:
    made = established()  # without RFC 7313
    for message in (
        RouteRefresh(IPV6_UNICAST),
        RouteRefresh(IPV4_UNICAST, RefreshSubtype.BEGIN),
    ):
        made.receive_data(1, encode_route_refresh(message), 1.0)
    assert made.events() == []
    assert made.state is State.ESTABLISHED


def test_a_mark_of_wrong_length_ends_the_session_where_marks_are_agreed_on() -> None:
    mark = encode_message(5, b"\0\1\1\1\0")
    made = established()
    made.receive_data(1, mark, 1.0)
    assert made.events() == []
    assert made.state is State.ESTABLISHED
    can_both = Capabilities(
        four_octet_as=65001, has_route_refresh=True, has_enhanced_refresh=True
    )
    made = established(OpenMessage(65001, 90, 2, can_both))
    made.receive_data(1, mark, 1.0)
    (notification,) = notifications(made.events())
    assert (notification.code, notification.subcode) == (7, 1)
    assert made.state is State.IDLE


def test_an_error_of_the_routing_layer_ends_the_session() -> None:
    made = established()
    made.notify(NotifyError(3, 1, b"\4", "bad"), 1.0)
    events = made.events()
    assert notifications(events) == [Notification(3, 1, b"\4")]
    [down] = [e for e in events if isinstance(e, SessionDown)]
    assert down.reason.text == "bad"
    made.notify(NotifyError(3, 1), 1.0)
    assert made.events() == []


def test_too_many_prefixes_are_a_hard_reset_where_agreed() -> None:
    both = pair()
    both.a.notify(NotifyError(6, 1, b"", "limit"), both.now)
    both.settle()
    [down] = both.events_of(0, SessionDown)
    assert down.reason.notification == Notification(6, 9, b"\6\1")
    assert not down.keeps_routes
    made = established()
    made.notify(NotifyError(6, 1), 1.0)
    assert notifications(made.events()) == [Notification(6, 1)]


# -- timers -----------------------------------------------------------------------------


def test_a_silent_peer_is_given_up_after_the_hold_time() -> None:
    both = pair(hold_time=3)
    both.is_cut = True
    both.run(2.9)
    assert both.states == UP
    both.run(0.2)
    [down] = both.events_of(0, SessionDown)
    assert down.reason.kind is DownKind.HOLD_TIMER_EXPIRED
    assert Framer().feed(both.sent[0][-1]) == [(3, b"\4\0")]


def test_updates_alone_hold_the_session() -> None:
    made = established(hold_time=3)
    for second in range(1, 20):
        made.handle_timer(float(second))
        made.receive_data(1, UPDATE, float(second))
    assert made.state is State.ESTABLISHED


def test_refreshes_do_not_hold_the_session() -> None:
    made = established(hold_time=3)
    made.receive_data(1, encode_route_refresh(RouteRefresh(IPV4_UNICAST)), 2.0)
    made.handle_timer(3.0)
    assert made.state is State.IDLE


def test_hold_time_0_never_expires_and_sends_no_keepalives() -> None:
    both = pair({"hold_time": 0})
    sent = both.a.counters.sent[4]
    both.run(100_000)
    assert both.states == UP
    assert both.a.counters.sent[4] == sent
    assert both.a.next_deadline() is None


def test_keepalives_of_a_3_second_hold_time_leave_every_second() -> None:
    both = pair(hold_time=3)
    before = both.a.counters.sent[4]
    both.run(60)
    assert both.states == UP
    assert both.a.counters.sent[4] - before == 60


def test_updates_sent_put_keepalives_off() -> None:
    made = established(hold_time=3)
    made.note_sent(0.9)
    made.handle_timer(1.5)
    assert made.events() == []
    made.handle_timer(1.9)
    assert made.events() == [Send(1, KEEPALIVE)]


def test_an_open_that_never_comes_is_waited_for_4_minutes() -> None:
    made = connected()
    made.handle_timer(239.0)
    assert made.state is State.OPEN_SENT
    made.handle_timer(240.0)
    assert notifications(made.events()) == [Notification(4)]


def test_a_peer_that_takes_nothing_is_cut_off() -> None:
    made = established(hold_time=0, send_hold_time=20)
    made.note_send_blocked(10.0)
    made.note_send_blocked(15.0)  # still the same blockade
    made.handle_timer(29.0)
    assert made.state is State.ESTABLISHED
    made.handle_timer(30.0)
    events = made.events()
    assert notifications(events) == [Notification(8)]
    [down] = [e for e in events if isinstance(e, SessionDown)]
    assert down.reason.kind is DownKind.SEND_HOLD_TIMER_EXPIRED


def test_progress_of_sending_is_enough() -> None:
    made = established(hold_time=0, send_hold_time=20)
    made.note_send_blocked(10.0)
    made.note_send_progress(25.0, is_blocked=True)
    assert made.next_deadline() == 45.0
    made.note_send_progress(26.0)
    assert made.next_deadline() is None


def test_notes_about_sending_without_a_session_mean_nothing() -> None:
    made = session()
    made.note_sent(0.0)
    made.note_send_blocked(0.0)
    made.note_send_progress(0.0)
    assert made.next_deadline() is None
    assert made.counters.sent == [0] * 6


# -- going down and up again ------------------------------------------------------------


def test_stop_says_why_and_stays_down() -> None:
    both = pair()
    both.a.stop(both.now, text="maintenance")
    both.settle()
    [down] = both.events_of(1, SessionDown)
    assert down.reason.kind is DownKind.NOTIFICATION_RECEIVED
    assert down.reason.notification == cease(
        CeaseSubcode.ADMINISTRATIVE_SHUTDOWN, "maintenance"
    )
    both.run(600)
    assert both.a.state is State.IDLE
    assert not both.a.is_started
    assert both.a.counters.flaps == both.b.counters.flaps == 1


def test_a_hard_stop_lets_go_of_routes() -> None:
    both = pair()
    both.a.stop(both.now, CeaseSubcode.ADMINISTRATIVE_RESET, hard=True)
    both.settle()
    assert not both.events_of(0, SessionDown)[0].keeps_routes
    assert not both.events_of(1, SessionDown)[0].keeps_routes


def test_a_soft_reset_keeps_routes_on_both_sides() -> None:
    both = pair()
    both.a.stop(both.now, CeaseSubcode.ADMINISTRATIVE_RESET)
    both.settle()
    for side in (0, 1):
        [down] = both.events_of(side, SessionDown)
        assert down.kept_families == {IPV4_UNICAST}
    both.a.start(both.now)
    both.settle()
    both.run(10)
    assert both.states == UP


def test_stop_before_an_open_was_sent_is_silent() -> None:
    made = session(delay_open_time=5)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=True)
    made.events()
    made.stop(1.0)
    assert CloseConnection(1) in (events := made.events())
    assert notifications(events) == []


def test_a_lost_stable_session_is_back_at_once() -> None:
    both = pair()
    both.run(60)
    both.lose(0)
    assert both.states == (State.IDLE, State.IDLE)
    both.run(0.1)
    assert both.states == UP
    [down] = both.events_of(0, SessionDown)
    assert down.reason.kind is DownKind.CONNECTION_LOST
    assert down.kept_families == {IPV4_UNICAST}


def test_failures_in_a_row_are_damped() -> None:
    made = session(remote_as=65009)
    made.start(0.0)
    now, starts = 0.0, []
    for _ in range(200):
        for event in made.events():
            if isinstance(event, Connect):
                starts.append(now)
                made.connection_made(len(starts), "a", "b", now, is_outgoing=True)
                made.receive_data(len(starts), encode_open(PLAIN), now)
        deadline = made.next_deadline()
        assert deadline is not None
        now = deadline
        made.handle_timer(now)
        if len(starts) == 9:
            break
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    for gap, longest in zip(gaps, [1, 2, 4, 8, 16, 32, 60, 60], strict=True):
        assert 0.75 * longest <= gap <= longest


def test_misfits_try_forever_without_a_session() -> None:
    both = pair({"remote_as": 65009})
    both.run(600)
    assert not both.events_of(0, Established)
    assert both.a.counters.connect_attempts < 60


def test_connections_are_rejected_in_idle() -> None:
    made = session()
    made.connection_made(5, "a", "b", 0.0, is_outgoing=False)
    events = made.events()
    assert notifications(events) == [cease(CeaseSubcode.CONNECTION_REJECTED)]
    assert events[-1] == CloseConnection(5)
    assert made.counters.rejected_connections == 1


def test_a_rejected_side_waits_in_active() -> None:
    made = connected()
    octets = encode_notification(cease(CeaseSubcode.CONNECTION_REJECTED))
    made.receive_data(1, octets, 0.0)
    before = made.state
    made.connection_made(2, "a", "b", 0.0, is_outgoing=False)
    assert (before, made.state) == (State.ACTIVE, State.OPEN_SENT)


def test_an_incoming_connection_lost_before_its_open_leaves_active() -> None:
    made = session(is_passive=True)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=False)
    before = made.state
    made.connection_lost(1, "reset", 1.0)
    assert (before, made.state) == (State.OPEN_SENT, State.ACTIVE)
    assert made.next_deadline() is None


# -- several connections ----------------------------------------------------------------


def test_beside_a_session_a_new_connection_is_turned_away() -> None:
    made = established()
    made.connection_made(2, "a", "b", 100.0, is_outgoing=False)
    made.receive_data(2, encode_open(PLAIN), 100.0)
    events = made.events()
    collision = cease(CeaseSubcode.CONNECTION_COLLISION_RESOLUTION)
    assert notifications(events) == [collision]
    assert made.conn_id == 1


def test_a_newer_connection_of_the_peer_replaces_its_older() -> None:
    made = session(is_passive=True)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=False)
    made.connection_made(2, "a", "b", 1.0, is_outgoing=False)
    assert CloseConnection(1) in made.events()
    made.receive_data(2, encode_open(PLAIN) + KEEPALIVE, 1.0)
    assert made.conn_id == 2


@pytest.mark.rfc("4724", "5", "MUST")
def test_a_restarted_peer_replaces_its_session_and_keeps_its_routes() -> None:
    both = pair({"is_passive": True})
    old = both.a.conn_id
    assert old is not None
    both.run(60)
    reborn = session(2, seed=9)
    peer_open = None
    reborn.start(both.now)
    reborn.connection_made(1, "b", "a", both.now, is_outgoing=True)
    for event in reborn.events():
        if isinstance(event, Send):
            peer_open = event.octets
    assert peer_open is not None
    both.a.connection_made(77, "a", "b", both.now, is_outgoing=False)
    both.a.receive_data(77, peer_open + KEEPALIVE, both.now)
    events = both.a.events()
    [down] = [e for e in events if isinstance(e, SessionDown)]
    assert down.reason.kind is DownKind.REPLACED
    assert down.kept_families == {IPV4_UNICAST}
    assert notifications(events) == []
    assert CloseConnection(old) in events
    assert both.a.conn_id == 77
    [up] = [e for e in events if isinstance(e, Established)]
    assert events.index(down) < events.index(up)


def test_soon_after_coming_up_a_second_connection_is_a_collision() -> None:
    both = pair({"is_passive": True})
    both.a.connection_made(77, "a", "b", both.now, is_outgoing=False)
    assert both.b.negotiated is not None
    octets = encode_open(OpenMessage(65001, 90, 2, both.b.negotiated.local))
    both.a.receive_data(77, octets, both.now)
    assert both.a.conn_id != 77
    assert both.a.state is State.ESTABLISHED


# -- dynamic peers ----------------------------------------------------------------------


def test_a_dynamic_peer_is_gone_with_its_connection() -> None:
    made = session(is_dynamic=True, remote_as=0)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=False)
    made.receive_data(1, encode_open(PLAIN) + KEEPALIVE, 0.0)
    assert made.state is State.ESTABLISHED
    made.events()
    made.connection_lost(1, "reset", 1.0)
    kinds = [type(e) for e in made.events()]
    assert kinds == [SessionDown, StateChanged, PeerExpired]
    assert made.next_deadline() is None


def test_a_dynamic_peer_that_is_configured_meanwhile_is_connected_to() -> None:
    made = session(is_dynamic=True, remote_as=0)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=False)
    made.receive_data(1, encode_open(PLAIN) + KEEPALIVE, 0.0)
    assert made.is_dynamic
    made.is_dynamic = False
    made.events()
    made.connection_lost(1, "reset", 1.0)
    assert not any(isinstance(e, PeerExpired) for e in made.events())
    due = made.next_deadline()
    assert due is not None
    made.handle_timer(due)
    assert any(isinstance(e, Connect) for e in made.events())


def test_a_configured_peer_that_falls_to_a_range_is_gone_with_its_connection() -> None:
    made = established()
    made.is_dynamic = True
    assert made.is_dynamic
    made.connection_lost(1, "reset", 1.0)
    assert isinstance(made.events()[-1], PeerExpired)


def test_a_dynamic_peer_that_fails_is_gone_too() -> None:
    made = session(is_dynamic=True)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=False)
    made.receive_data(1, b"GET / HTTP/1.1\r\n\r\n\r\n\r\n", 0.0)
    events = made.events()
    assert notifications(events) == [Notification(1, 1)]
    assert isinstance(events[-1], PeerExpired)
    assert not any(isinstance(e, Connect) for e in events)


def test_a_dynamic_peer_that_was_up_before_is_connected_to_until_its_time() -> None:
    made = session(is_dynamic=True, sought_until=20.0)
    made.start(0.0)
    assert [type(e) for e in made.events()] == [Connect, StateChanged]
    assert made.is_sought
    made.connect_failed("refused", 0.5)
    now, seen = 0.5, made.events()
    while not any(isinstance(e, PeerExpired) for e in seen):
        deadline = made.next_deadline()
        assert deadline is not None
        assert deadline > now
        now = deadline
        made.handle_timer(now)
        made.connect_failed("refused", now)
        seen += made.events()
    assert now == 20.0
    assert sum(isinstance(e, Connect) for e in seen) >= 1
    assert not made.is_sought
    assert made.next_deadline() is None


def test_one_that_is_sought_and_shut_down_has_nothing_to_wait_for() -> None:
    made = session(is_dynamic=True, sought_until=20.0)
    made.start(0.0)
    made.stop(1.0)
    assert made.next_deadline() is None
    assert not made.is_sought


def test_one_that_is_sought_may_come_itself_and_is_gone_with_its_connection() -> None:
    made = session(is_dynamic=True, sought_until=20.0)
    made.start(0.0)
    made.connection_made(1, "a", "b", 1.0, is_outgoing=False)
    assert not made.is_sought
    made.receive_data(1, encode_open(PLAIN) + KEEPALIVE, 1.0)
    made.handle_timer(COLLISION_WAIT + 1.0)
    assert made.state is State.ESTABLISHED
    made.handle_timer(21.0)
    assert made.state is State.ESTABLISHED
    made.events()
    made.connection_lost(1, "reset", 22.0)
    assert any(isinstance(e, PeerExpired) for e in made.events())


def state_of(made: PeerSession) -> State:
    return made.state


def test_a_connection_that_stands_when_the_time_is_over_may_go_on() -> None:
    made = session(is_dynamic=True, sought_until=20.0)
    made.start(0.0)
    made.connection_made(1, "a", "b", 19.9, is_outgoing=True)
    made.handle_timer(20.0)
    assert state_of(made) is State.OPEN_SENT
    deadline = made.next_deadline()
    assert deadline is not None
    assert deadline > 20.0, "nothing turns in circles"
    made.receive_data(1, encode_open(PLAIN) + KEEPALIVE, 20.5)
    assert state_of(made) is State.ESTABLISHED
    made.events()
    made.connection_lost(1, "reset", 30.0)
    assert any(isinstance(e, PeerExpired) for e in made.events())


def test_a_session_lost_while_it_is_sought_is_sought_again() -> None:
    made = session(is_dynamic=True, sought_until=60.0)
    made.start(0.0)
    made.connection_made(1, "a", "b", 1.0, is_outgoing=True)
    made.receive_data(1, encode_open(PLAIN) + KEEPALIVE, 1.0)
    assert made.state is State.ESTABLISHED
    made.events()
    made.connection_lost(1, "reset", 40.0)
    made.handle_timer(41.5)
    found = made.events()
    assert not any(isinstance(e, PeerExpired) for e in found)
    assert any(isinstance(e, Connect) for e in found)


# -- capabilities the peer cannot take --------------------------------------------------


def sent_open(made: PeerSession) -> OpenMessage:
    for event in made.events():
        if isinstance(event, Send):
            for kind, body in Framer().feed(event.octets):
                if kind == 1:
                    return decode_open(body)
    raise AssertionError("no OPEN was sent")


@pytest.mark.rfc("5492", "3", "SHOULD")
def test_a_peer_without_capabilities_is_tried_without_them_once() -> None:
    made = connected()
    for conn_id, is_plain in ((2, True), (3, False)):
        made.receive_data(conn_id - 1, encode_notification(Notification(2, 4)), 0.0)
        now = made.next_deadline() or 0.0
        made.handle_timer(now)
        made.events()
        made.connection_made(conn_id, "a", "b", now, is_outgoing=True)
        assert (sent_open(made).capabilities == Capabilities()) == is_plain


# -- what others see --------------------------------------------------------------------


def test_state_changes_form_a_chain() -> None:
    both = pair()
    both.run(60)
    both.lose(1)
    both.run(60)
    for side in (0, 1):
        state = State.IDLE
        for change in both.events_of(side, StateChanged):
            assert change.old is state
            assert change.new is not state
            state = change.new
        assert state is both.sides[side].state is State.ESTABLISHED


def test_what_can_be_asked() -> None:
    made = session()
    assert made.negotiated is None
    assert made.conn_id is None
    assert made.local_addr == ""
    made = established(families=(FamilySettings(IPV4_UNICAST),))
    assert made.negotiated is not None
    assert made.negotiated.peer_router_id == 2
    assert made.local_addr == "a"
    assert made.counters.established_since == 0.0


def test_new_settings_apply_to_later_events() -> None:
    made = established(hold_time=0)
    made.settings = settings(send_hold_time=7)
    made.note_send_blocked(0.0)
    assert made.next_deadline() == 7.0
    assert made.settings.send_hold_time == 7


# -- standstills ------------------------------------------------------------------------


def test_unread_octets_put_the_hold_timer_off_for_a_second() -> None:
    made = established(hold_time=3)
    assert not made.must_listen_first(2.9)
    assert made.must_listen_first(3.5)
    made.handle_timer(3.5, has_unread=True)
    assert made.deadline(Timer.HOLD) == 3.5 + UNREAD_WAIT
    made.handle_timer(3.5 + UNREAD_WAIT)  # they were half a message, and no more came
    assert made.state is State.IDLE


def test_unread_octets_put_no_keepalive_off() -> None:
    made = established(hold_time=3)
    made.handle_timer(3.5, has_unread=True)
    assert made.events() == [Send(1, KEEPALIVE)]


def test_unread_octets_do_not_excuse_a_peer_that_takes_nothing() -> None:
    made = established(hold_time=0, send_hold_time=20)
    made.note_send_blocked(10.0)
    assert not made.must_listen_first(30.0)
    made.handle_timer(30.0, has_unread=True)
    assert made.state is State.IDLE


def test_a_standstill_is_left_out_of_what_is_measured() -> None:
    made = established(hold_time=90, send_hold_time=20)
    made.note_send_blocked(10.0)
    made.resume(600.0, 612.0)
    assert made.deadline(Timer.SEND_HOLD) == 630.0
    assert made.deadline(Timer.HOLD) == 690.0
    assert made.deadline(Timer.KEEPALIVE) == 612.0
    made.handle_timer(612.0)
    assert made.events() == [Send(1, KEEPALIVE)]


def test_a_second_open_waits_no_less_for_a_standstill() -> None:
    made = session(restart=RestartState(recovering=frozenset({IPV4_UNICAST})))
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=False)
    made.receive_data(1, encode_open(PLAIN), 0.0)
    assert made.next_deadline() == COLLISION_WAIT
    made.resume(30.0, 30.5)
    seen = []
    for now, has_unread in ((30.9, False), (31.0, True), (31.0 + UNREAD_WAIT, False)):
        made.handle_timer(now, has_unread=has_unread)
        seen.append(made.state is State.OPEN_CONFIRM)
    assert seen == [False, False, True]


@pytest.mark.parametrize(
    ("stands_still", "rests"), [(True, False), (False, True)], ids=["after", "without"]
)
def test_a_peer_that_gave_us_up_over_a_standstill_is_tried_at_once(
    stands_still, rests
) -> None:
    made = established(hold_time=3)
    for _ in range(5):
        if stands_still:
            made.resume(5.0, 6.0)
        made.receive_data(1, encode_notification(Notification(4)), 6.1)
        assert made.next_deadline() == pytest.approx(6.1) or rests
        made.handle_timer(made.next_deadline() or 0.0)
        made.connection_made(1, "a", "b", 6.2, is_outgoing=True)
        made.receive_data(1, encode_open(PLAIN) + KEEPALIVE, 6.3)
        made.events()
    made.notify(NotifyError(3, 1), 7.0)
    is_resting = (made.next_deadline() or 0.0) - 7.0 > 2
    assert is_resting is rests


# -- ways that are back -----------------------------------------------------------------


def failed(times: int, **changes) -> tuple[PeerSession, float]:
    """Return a session that could not connect so often, and the time."""
    made = session(connect_retry_time=5, **changes)
    made.start(0.0)
    now = 0.0
    for _ in range(times):
        made.connect_failed("no route to host", now)
        now = made.next_deadline() or now
        made.handle_timer(now)
    made.connect_failed("no route to host", now)
    made.events()
    return made, now


def test_back_off_ends_where_it_is_configured_to() -> None:
    made, now = failed(10, max_connect_retry_time=8)
    assert 0.75 * 8 <= (made.next_deadline() or 0.0) - now <= 8
    made, now = failed(10, max_connect_retry_time=1)
    assert 0.75 * 5 <= (made.next_deadline() or 0.0) - now <= 5


def test_days_of_failures_overflow_nothing() -> None:
    made, now = failed(3000)
    assert 0.75 * 60 <= (made.next_deadline() or 0.0) - now <= 60


def test_a_way_that_is_back_is_tried_at_once_and_back_off_starts_over() -> None:
    made, now = failed(5)
    assert made.try_now(now + 1)
    assert [e for e in made.events() if isinstance(e, Connect)]
    made.connect_failed("no route to host", now + 1)
    assert (made.next_deadline() or 0.0) - now <= 6


def test_an_attempt_that_has_just_begun_is_left_alone() -> None:
    made, now = failed(5)
    assert made.try_now(now + 1)
    assert not made.try_now(now + 1.1)
    assert made.try_now(now + 2)


@pytest.mark.parametrize(
    "changes", [{"is_passive": True}, {"is_dynamic": True}], ids=str
)
def test_a_passive_session_never_connects(changes) -> None:
    made = session(**changes)
    made.start(0.0)
    assert not made.try_now(10.0)


def test_a_session_that_stands_or_comes_up_is_left_alone() -> None:
    assert not established().try_now(100.0)
    assert not connected().try_now(100.0)
    made, now = failed(1)
    made.connection_made(7, "a", "b", now, is_outgoing=False)
    assert not made.try_now(now + 10)
    assert not session().try_now(0.0)


def test_damping_ends_with_a_way_that_is_back_and_not_otherwise() -> None:
    lost = established()
    lost.connection_lost(1, "no route to host", 1.0)
    assert lost.state is State.IDLE
    assert lost.try_now(1.1)
    assert [e for e in lost.events() if isinstance(e, Connect)]
    bad = established()
    bad.notify(NotifyError(3, 1), 1.0)
    assert not bad.try_now(1.1)
