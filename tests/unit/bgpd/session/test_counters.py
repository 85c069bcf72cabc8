"""Counters of a peer."""

from bgpd.session.counters import Counters
from bgpd.wire.notification import Notification


def test_notifications_are_counted_by_the_name_of_their_code() -> None:
    counters = Counters().notifications
    for code in (6, 6, 4, 99, 0, 255):
        counters.note_received(Notification(code), 1.0)
    counters.note_sent(Notification(3), 2.0, "text")
    assert counters.received == {"cease": 2, "hold-timer-expired": 1, "other": 3}
    assert counters.sent == {"update": 1}
    assert counters.last_received == (Notification(255), 1.0, "")
    assert counters.last_sent == (Notification(3), 2.0, "text")


def test_a_flap_is_an_established_session_that_ended() -> None:
    counters = Counters()
    assert counters.flaps == 0
    counters.established_count, counters.established_since = 1, 5.0
    assert counters.flaps == 0
    counters.established_since = None
    assert counters.flaps == 1
