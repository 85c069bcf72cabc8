"""Laws of BFD over wires that lose, delay and reorder packets, and over any octets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.bfd.authentication import AuthKey, AuthType
from bgpd.bfd.packet import Discard, Packet, State, decode_packet, encode_packet
from bgpd.bfd.session import Parameters
from tests.support.bfd_wire import Wire

intervals = st.sampled_from([50_000, 100_000, 300_000, 1_000_000, 2_000_000])
keys = st.sampled_from(
    [
        None,
        AuthKey(AuthType.SIMPLE, 1, b"p"),
        AuthKey(AuthType.KEYED_SHA1, 0, b"k" * 20),
        AuthKey(AuthType.METICULOUS_KEYED_SHA1, 255, b"k"),
    ]
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Parameters, Parameters]:
    key = draw(keys)
    one, other = (
        Parameters(draw(intervals), draw(intervals), draw(st.integers(2, 5)), key)
        for _ in range(2)
    )
    return one, other


@pytest.mark.slow
@settings(max_examples=25)
@given(pairs(), st.integers(0, 2**32), st.floats(0, 0.4), st.floats(0.0001, 0.004))
def test_sessions_converge_over_a_wire_that_loses_and_reorders(
    pair, seed, loss, delay
) -> None:
    one, other = pair
    wire = Wire(
        one,
        other,
        lambda rng: None if rng.random() < loss else rng.uniform(0.0001, delay),
        seed,
    )
    wire.run(600, lambda: wire.is_up)
    assert wire.is_up
    # From now on nothing is lost: it must stay up, and both must agree on the intervals.
    wire.fate = lambda _: 0.001
    wire.run(30, lambda: wire.is_up)
    wire.run(30)
    before = [len(states) for states in wire.states]
    wire.run(30)
    assert wire.is_up
    assert [len(states) for states in wire.states] == before
    for mine, theirs in ((wire.a, wire.b), (wire.b, wire.a)):
        slower = max(mine.parameters.min_tx, theirs.parameters.min_rx)
        assert mine.interval * 1e6 == slower
        assert theirs.detection_time * 1e6 == mine.parameters.multiplier * slower


@pytest.mark.slow
@settings(max_examples=25)
@given(pairs(), st.integers(0, 2**32))
def test_a_cut_is_detected_within_the_detection_time(pair, seed) -> None:
    one, other = pair
    wire = Wire(one, other, seed=seed)
    wire.run(600, lambda: wire.is_up)
    wire.run(30)
    times = [each.detection_time for each in wire.sessions]
    cut_at = wire.now
    wire.fate = lambda _: None
    wire.run(max(times) + 1)
    for states, time in zip(wire.states, times, strict=True):
        at, state = states[-1]
        assert state is State.DOWN
        assert at <= cut_at + time + 0.002


@given(
    pairs(),
    st.lists(pairs(), min_size=1, max_size=6),
    st.integers(0, 2**32),
    st.floats(0, 3),
)
def test_changed_parameters_never_take_a_session_down(
    pair, changes, seed, pause
) -> None:
    one, other = pair
    wire = Wire(one, other, seed=seed)
    wire.run(600, lambda: wire.is_up)
    wire.run(10)
    before = [len(states) for states in wire.states]
    for changed in changes:
        for number, session in enumerate(wire.sessions):
            parameters = changed[number]._replace(key=pair[0].key)
            wire.send(number, session.change(parameters, wire.now))
        wire.run(pause)
    wire.run(30)
    assert wire.is_up
    assert [len(states) for states in wire.states] == before
    for mine, theirs in ((wire.a, wire.b), (wire.b, wire.a)):
        slower = max(mine.parameters.min_tx, theirs.parameters.min_rx)
        assert mine.interval * 1e6 == slower


@given(st.binary(max_size=80))
def test_any_octets_are_a_packet_or_a_reason(octets) -> None:
    found = decode_packet(octets)
    if isinstance(found, Packet):
        assert decode_packet(encode_packet(found) + bytes(60)) in (
            found,
            Discard.LENGTH,
        )
