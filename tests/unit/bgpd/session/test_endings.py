"""Which event ends a session, and which NOTIFICATION the peer gets."""

import pytest

from bgpd.session.endings import ending_by, ending_of
from bgpd.session.fsm import Event, State
from bgpd.wire.errors import CeaseSubcode, ErrorCode, NotifyError
from bgpd.wire.notification import Notification

LIMIT = NotifyError(ErrorCode.CEASE, CeaseSubcode.MAX_PREFIXES_REACHED, b"data")


@pytest.mark.rfc("4271", "6.3", "MUST")
def test_an_error_of_an_update_ends_as_one() -> None:
    for keeps in (False, True):
        event, notification = ending_by(NotifyError(3, 1, b"x"), keeps=keeps)
        assert event is Event.UPDATE_MSG_ERR
        assert notification == Notification(3, 1, b"x")


@pytest.mark.rfc("8538", "3.1", "MUST")
def test_too_many_prefixes_are_a_hard_reset_where_routes_would_stay() -> None:
    event, notification = ending_by(LIMIT, keeps=False)
    assert event is Event.AUTOMATIC_STOP
    assert notification == Notification(6, 1, b"data")
    event, notification = ending_by(LIMIT, keeps=True)
    assert event is Event.AUTOMATIC_STOP
    assert notification == Notification(6, 9, b"\x06\x01data")
    other = NotifyError(ErrorCode.CEASE, CeaseSubcode.OUT_OF_RESOURCES)
    assert ending_by(other, keeps=True)[1] == Notification(6, 8)


@pytest.mark.parametrize("state", [State.OPEN_SENT, State.ESTABLISHED])
@pytest.mark.parametrize(
    ("notification", "while_opening", "later"),
    [
        (Notification(2, 1), Event.NOTIF_MSG_VER_ERR, Event.NOTIF_MSG_VER_ERR),
        (Notification(2, 2), Event.NOTIF_MSG, Event.NOTIF_MSG),
        (Notification(6, 5), Event.TCP_CONNECTION_FAILS, Event.NOTIF_MSG),
        (Notification(6, 4), Event.NOTIF_MSG, Event.NOTIF_MSG),
    ],
)
def test_what_a_notification_means_to_its_receiver(
    notification, while_opening, later, state
) -> None:
    expected = while_opening if state is State.OPEN_SENT else later
    assert ending_of(notification, state) is expected
