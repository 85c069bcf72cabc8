"""Which session a packet is for, what is reported, and how sessions go."""

from random import Random

import pytest

from bgpd.bfd.packet import Discard, Packet, State, decode_packet, encode_packet
from bgpd.bfd.session import Parameters
from bgpd.bfd.session_table import Report, SessionTable, Source

FAST = Parameters(300_000, 300_000, 3)
PEER = Source("192.0.2.1", 0, False)
DOWN = Packet(State.DOWN, 0, 0, 3, 77, 0, 1_000_000, 300_000)


def table() -> SessionTable:
    made = SessionTable(Random(1))
    made.locate(made.add(5, FAST, 0.0, None), PEER)
    return made


def reports(of: SessionTable) -> dict[int, Report]:
    return dict(of.reports())


def test_a_packet_of_a_stranger_is_counted_and_nothing_else() -> None:
    made = table()
    stranger = PEER._replace(address="192.0.2.2")
    assert made.receive(encode_packet(DOWN), stranger, 0.1) is None
    assert (
        made.receive(encode_packet(DOWN), PEER._replace(is_multihop=True), 0.1) is None
    )
    assert made.discarded == {Discard.NO_SESSION: 2}


@pytest.mark.rfc("5880", "6.8.6", "MUST")
def test_a_packet_for_another_discriminator_is_discarded() -> None:
    made = table()
    wrong = DOWN._replace(your_discriminator=1)
    assert made.receive(encode_packet(wrong), PEER, 0.1) is None
    assert made.discarded == {Discard.NO_SESSION: 1}


def test_what_changes_is_reported_once_and_the_newest_alone() -> None:
    made = table()
    assert reports(made)[5].state is State.DOWN
    assert not reports(made)
    made.receive(encode_packet(DOWN), PEER, 0.1)
    ours = made.entries[5].session.discriminator
    up = DOWN._replace(state=State.INIT, your_discriminator=ours)
    made.receive(encode_packet(up), PEER, 0.2)
    found = reports(made)
    assert found[5].state is State.UP
    assert found[5].peer.discriminator == 77
    made.receive(encode_packet(up), PEER, 0.3)
    assert not reports(made)
    made.repeat_report(5)
    assert reports(made) == found
    made.repeat_report(6)
    assert not reports(made)


def test_a_session_that_is_removed_says_so_for_a_while_and_goes() -> None:
    made = table()
    reports(made)
    removed = made.remove(5, 1.0)
    assert removed is not None
    packet = decode_packet(removed[1])
    assert isinstance(packet, Packet)
    assert packet.state is State.ADMIN_DOWN
    assert made.remove(5, 1.0) is None
    assert made.remove(6, 1.0) is None
    sent = [packet for _ in range(40) for packet in made.due(1.0 + _ / 10)]
    assert 1 <= len(sent) <= 5
    assert not made.entries
    assert not list(made.sources())
    assert made.next_deadline() is None
    assert not reports(made)


def test_a_new_process_goes_on_from_the_last_report() -> None:
    made = table()
    made.receive(encode_packet(DOWN), PEER, 0.1)
    ours = made.entries[5].session.discriminator
    up = DOWN._replace(state=State.INIT, your_discriminator=ours)
    made.receive(encode_packet(up), PEER, 0.2)
    last = reports(made)[5]
    new = SessionTable(Random(2))
    entry = new.add(5, FAST, 0.0, last)
    assert entry.session.state is State.UP
    assert entry.session.discriminator == ours
    new.locate(entry, PEER)
    (sent,) = new.due(0.0)
    packet = decode_packet(sent[1])
    assert isinstance(packet, Packet)
    assert (packet.state, packet.your_discriminator) == (State.UP, 77)


def test_a_thousand_sessions_have_discriminators_of_their_own() -> None:
    made = SessionTable(Random(3))
    for number in range(1000):
        made.add(number, FAST, 0.0, None)
    found = {entry.session.discriminator for entry in made.entries.values()}
    assert len(found) == 1000
    assert 0 not in found


def test_sessions_come_due_at_their_own_times() -> None:
    made = SessionTable(Random(3))
    for number in range(50):
        made.add(number, FAST, 0.0, None)
    sent = [0] * 50
    now = 0.0
    while (at := made.next_deadline()) is not None and at < 20:
        now = max(now, at)
        for entry, _ in made.due(now):
            sent[entry.number] += 1
    assert min(sent) >= 20
    assert max(sent) <= 28


def test_changed_parameters_are_passed_on() -> None:
    made = table()
    assert made.change(5, FAST._replace(multiplier=5), 0.5)
    assert made.entries[5].session.parameters.multiplier == 5
