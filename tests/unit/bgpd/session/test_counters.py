"""Counters of a peer."""

from bgpd.session.counters import Counters


def test_notifications_are_counted_by_the_name_of_their_code() -> None:
    counters = Counters().notifications
    for code in (6, 6, 4, 99, 0, 255):
        counters.note_received(code)
    counters.note_sent(3)
    assert counters.received == {"cease": 2, "hold-timer-expired": 1, "other": 3}
    assert counters.sent == {"update": 1}


def test_a_flap_is_an_established_session_that_ended() -> None:
    counters = Counters()
    assert counters.flaps == 0
    counters.established_count, counters.established_since = 1, 5.0
    assert counters.flaps == 0
    counters.established_since = None
    assert counters.flaps == 1
