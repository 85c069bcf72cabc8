"""RFC 5880 6.8: one session with another, in virtual time."""

from itertools import pairwise

import pytest

from bgpd.bfd.authentication import AuthKey, AuthType
from bgpd.bfd.packet import (
    Diagnostic,
    Discard,
    Flag,
    Packet,
    State,
    decode_packet,
    encode_packet,
)
from bgpd.bfd.session import SLOW_INTERVAL, Parameters, Session
from tests.support.bfd_wire import Wire
from tests.support.cases import cases

FAST = Parameters(300_000, 300_000, 3)


def up(a: Parameters = FAST, b: Parameters = FAST) -> Wire:
    wire = Wire(a, b)
    wire.run(10, lambda: wire.is_up)
    wire.run(5)
    assert wire.is_up
    return wire


def packet_of(octets: bytes) -> Packet:
    packet = decode_packet(octets)
    assert isinstance(packet, Packet)
    return packet


def intervals(wire: Wire, sender: int, since: float) -> list[float]:
    times = [
        at for at, packet in wire.sent[sender] if at >= since and not packet.is_final
    ]
    return [after - before for before, after in pairwise(times)]


@pytest.mark.rfc("5880", "6.2", "MUST")
def test_two_sessions_come_up_by_way_of_init() -> None:
    wire = up()
    seen = [state for _, state in wire.states[0]]
    assert seen in (
        [State.DOWN, State.INIT, State.UP],
        [State.DOWN, State.UP],
    )
    assert wire.a.diagnostic is Diagnostic.NONE
    assert wire.a.peer.discriminator == 2


@pytest.mark.rfc("5880", "6.8.3", "MUST")
def test_a_session_that_is_not_up_sends_once_a_second_at_most() -> None:
    wire = Wire(FAST, FAST, fate=lambda _: None)
    wire.run(20)
    assert min(intervals(wire, 0, 0)) >= 0.75
    assert all(p.desired_min_tx == SLOW_INTERVAL for _, p in wire.sent[0])


@pytest.mark.rfc("5880", "6.8.7", "MUST")
def test_intervals_are_what_both_agree_on_less_jitter() -> None:
    wire = up(Parameters(100_000, 50_000, 3), Parameters(400_000, 250_000, 3))
    since = wire.now
    wire.run(30)
    for sender, interval in ((0, 0.25), (1, 0.4)):
        found = intervals(wire, sender, since)
        assert interval * 0.75 <= min(found)
        assert max(found) <= interval + 1e-6
        assert max(found) - min(found) > interval * 0.15  # jittered


@pytest.mark.rfc("5880", "6.8.7", "MUST")
def test_with_a_multiplier_of_one_each_interval_is_shortened_by_a_tenth() -> None:
    wire = up(FAST._replace(multiplier=1), FAST)
    since = wire.now
    wire.run(30)
    found = intervals(wire, 0, since)
    assert max(found) <= 0.27 + 1e-6
    assert min(found) >= 0.225 - 1e-6


@pytest.mark.rfc("5880", "6.8.4", "MUST")
def test_silence_for_the_detection_time_ends_it() -> None:
    wire = up(Parameters(100_000, 200_000, 3), Parameters(150_000, 100_000, 5))
    assert wire.a.detection_time == pytest.approx(5 * 0.2)
    assert wire.b.detection_time == pytest.approx(3 * 0.1)
    cut_at = wire.now
    wire.fate = lambda _: None
    wire.run(3)
    for number, time in ((0, 1.0), (1, 0.3)):
        at, state = wire.states[number][-1]
        assert state is State.DOWN
        assert at - cut_at <= time + 0.002
        session = wire.sessions[number]
        assert session.diagnostic is Diagnostic.DETECTION_TIME_EXPIRED
        assert session.peer.discriminator == 0


def test_after_a_cut_it_comes_up_again() -> None:
    wire = up()
    wire.fate = lambda _: None
    wire.run(5)
    assert not wire.is_up
    wire.fate = lambda _: 0.001
    wire.run(5, lambda: wire.is_up)
    assert wire.is_up


@pytest.mark.rfc("5880", "6.2", "MUST")
def test_a_path_broken_one_way_ends_both_ends() -> None:
    wire = up()
    from_a = 0
    former = wire.send

    def lossy(sender: int, octets: bytes) -> None:
        wire.fate = (lambda _: None) if sender == from_a else (lambda _: 0.001)
        former(sender, octets)

    wire.send = lossy  # type: ignore[method-assign]
    wire.run(3, lambda: wire.a.state is State.DOWN)
    assert wire.b.diagnostic is Diagnostic.DETECTION_TIME_EXPIRED
    assert wire.a.diagnostic is Diagnostic.NEIGHBOR_SIGNALED_DOWN


@pytest.mark.rfc("5880", "6.8.16", "MUST")
def test_a_session_that_is_disabled_says_admin_down() -> None:
    wire = up()
    wire.send(0, wire.a.disable(wire.now))
    wire.run(2)
    assert wire.b.state is State.DOWN
    assert wire.b.peer.state is State.ADMIN_DOWN
    assert wire.b.diagnostic is Diagnostic.NEIGHBOR_SIGNALED_DOWN
    assert wire.a.state is State.ADMIN_DOWN
    wire.send(0, wire.a.enable(wire.now))
    wire.run(10, lambda: wire.is_up)
    assert wire.is_up
    assert wire.a.enable(wire.now) == b""


@pytest.mark.rfc("5880", "6.5", "MUST")
def test_a_poll_is_answered_at_once() -> None:
    wire = up()
    poll = wire.sent[1][-1][1]._replace(flags=int(Flag.POLL))
    answer = wire.a.receive(poll, encode_packet(poll), wire.now)
    assert isinstance(answer, bytes)
    assert packet_of(answer).is_final
    assert not packet_of(answer).is_poll


@pytest.mark.rfc("5880", "6.8.3", "MUST")
def test_changed_intervals_are_polled_and_then_in_force_at_both_ends() -> None:
    wire = up()
    slow = Parameters(600_000, 500_000, 3)
    wire.send(0, wire.a.change(slow, wire.now))
    assert wire.sent[0][-1][1].is_poll
    assert wire.a.interval == pytest.approx(0.3)  # until the peer has answered
    wire.run(5)
    assert wire.a.interval == pytest.approx(0.6)
    assert wire.b.interval == pytest.approx(0.5)
    assert wire.b.detection_time == pytest.approx(1.8)
    assert not wire.sent[0][-1][1].is_poll
    assert wire.is_up


@pytest.mark.rfc("5880", "6.8.3", "MUST")
def test_a_shorter_required_interval_does_not_shorten_detection_before_the_answer() -> (
    None
):
    wire = up(Parameters(100_000, 300_000, 3), Parameters(100_000, 100_000, 3))
    assert wire.a.detection_time == pytest.approx(0.9)
    wire.send(0, wire.a.change(Parameters(100_000, 100_000, 3), wire.now))
    assert wire.a.detection_time == pytest.approx(0.9)
    wire.run(3)
    assert wire.a.detection_time == pytest.approx(0.3)


@pytest.mark.rfc("5880", "6.8.7", "MUST NOT")
def test_a_peer_that_takes_no_packets_gets_none() -> None:
    wire = up()
    quiet = wire.sent[1][-1][1]._replace(required_min_rx=0)
    wire.a.receive(quiet, encode_packet(quiet), wire.now)
    assert wire.a.interval == 0
    for _ in range(5):
        assert wire.a.handle_timer(wire.now + 0.4) == b""
    answered = quiet._replace(flags=int(Flag.POLL))
    assert wire.a.receive(answered, encode_packet(answered), wire.now)


@pytest.mark.rfc("5880", "6.8.7", "MUST NOT")
def test_a_peer_in_demand_mode_gets_no_periodic_packets_but_those_of_a_poll() -> None:
    wire = up()
    demanding = wire.sent[1][-1][1]._replace(flags=int(Flag.DEMAND))
    wire.a.receive(demanding, encode_packet(demanding), wire.now)
    assert wire.a.interval == 0
    octets = wire.a.change(Parameters(400_000, 300_000, 3), wire.now)
    assert packet_of(octets).is_poll
    assert wire.a.interval > 0
    final = demanding._replace(flags=Flag.DEMAND | Flag.FINAL)
    wire.a.receive(final, encode_packet(final), wire.now)
    assert wire.a.interval == 0


def test_a_session_goes_on_up_from_what_a_former_process_knew() -> None:
    wire = up()
    former = wire.a
    resumed = Session(
        former.discriminator, FAST, wire.now, rng=wire.rng, resumed=former.peer
    )
    wire.sessions = (resumed, wire.b)
    count = len(wire.states[1])
    wire.run(5)
    assert wire.is_up
    assert len(wire.states[1]) == count  # the other end has noticed nothing


SHA1 = FAST._replace(key=AuthKey(AuthType.KEYED_SHA1, 7, b"secret"))
METICULOUS = FAST._replace(key=AuthKey(AuthType.METICULOUS_KEYED_SHA1, 7, b"secret"))
SIMPLE = FAST._replace(key=AuthKey(AuthType.SIMPLE, 7, b"secret"))


@pytest.mark.rfc("5880", "6.7", "MUST")
@cases("parameters", [SHA1, METICULOUS, SIMPLE])
def test_authenticated_sessions_come_up(parameters) -> None:
    up(parameters, parameters)


@pytest.mark.rfc("5880", "6.7", "MUST")
@cases(
    ("a", "b"),
    [
        (SHA1, FAST),
        (SHA1, METICULOUS),
        (SIMPLE, SHA1),
        (SHA1, FAST._replace(key=AuthKey(AuthType.KEYED_SHA1, 8, b"secret"))),
        (SHA1, FAST._replace(key=AuthKey(AuthType.KEYED_SHA1, 7, b"other"))),
        (SIMPLE, FAST._replace(key=AuthKey(AuthType.SIMPLE, 7, b"other"))),
    ],
)
def test_sessions_with_different_keys_stay_down(a, b) -> None:
    wire = Wire(a, b)
    wire.run(10)
    assert wire.a.state is State.DOWN
    assert wire.b.state is State.DOWN
    assert wire.a.received == wire.b.received == 0


def recorded(parameters: Parameters) -> tuple[Wire, list[bytes]]:
    octets: list[bytes] = []
    wire = Wire(parameters, parameters)
    former = wire.send

    def note(sender: int, sent: bytes) -> None:
        if sent and sender == 1:
            octets.append(sent)
        former(sender, sent)

    wire.send = note  # type: ignore[method-assign,assignment]
    wire.run(8)
    assert wire.is_up
    return wire, octets


@pytest.mark.rfc("5880", "6.7.4", "MUST")
def test_a_replayed_packet_is_discarded() -> None:
    for parameters, last in ((SHA1, False), (METICULOUS, True)):
        wire, octets = recorded(parameters)
        replay = octets[-1] if last else octets[0]
        answer = wire.a.receive(packet_of(replay), replay, wire.now)
        assert answer is Discard.AUTHENTICATION


def test_a_peer_that_restarted_is_accepted_after_twice_the_detection_time() -> None:
    wire, _ = recorded(METICULOUS)
    wire.fate = lambda _: None
    wire.run(5)
    wire.sessions = (wire.a, Session(2, METICULOUS, wire.now, rng=wire.rng))
    wire.fate = lambda _: 0.001
    wire.run(10, lambda: wire.is_up)
    assert wire.is_up


def test_any_changed_octet_of_a_signed_packet_is_noticed() -> None:
    wire, octets = recorded(METICULOUS)
    signed = wire.b._packet()
    for at in range(len(signed)):
        forged = signed[:at] + bytes((signed[at] ^ 0x10,)) + signed[at + 1 :]
        packet = decode_packet(forged)
        if isinstance(packet, Packet):
            answer = wire.a.receive(packet, forged, wire.now)
            assert answer is Discard.AUTHENTICATION, at
    assert wire.a.receive(packet_of(signed), signed, wire.now) is not (
        Discard.AUTHENTICATION
    )
    assert octets
