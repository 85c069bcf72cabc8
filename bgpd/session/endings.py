"""Which event ends a session, which NOTIFICATION goes with it, and what an end means."""

from typing import Final

from bgpd.session.events import DownKind, DownReason
from bgpd.session.fsm import Event, State
from bgpd.wire.errors import CeaseSubcode, ErrorCode, NotifyError, OpenSubcode
from bgpd.wire.notification import Notification, from_error, hard_reset

NO_FAILURE: Final = (
    DownKind.ADMIN_STOP,
    DownKind.COLLISION,
    DownKind.REPLACED,
    DownKind.SUPERSEDED,
    DownKind.KEY_CHANGED,
)
"""Ends that say nothing about the peer's health."""
WAY_LOST: Final = (
    DownKind.CONNECT_FAILED,
    DownKind.CONNECTION_LOST,
    DownKind.HOLD_TIMER_EXPIRED,
    DownKind.SEND_HOLD_TIMER_EXPIRED,
)
"""Ends that a way which is back takes the reason from."""


_NOT_KEPT: Final = (CeaseSubcode.MAX_PREFIXES_REACHED, CeaseSubcode.BFD_DOWN)


def ending_by(error: NotifyError, *, keeps: bool) -> tuple[Event, Notification]:
    """Return how an error in an UPDATE, a limit or BFD ends an established session.

    A Cease for too many prefixes is a hard reset where RFC 8538 was agreed on, and so is one for a
    broken path: the routes must not stay.

    Args:
        error: What was found.
        keeps: The peer keeps routes over a NOTIFICATION that is not a hard reset.
    """
    notification = from_error(error)
    if error.code != ErrorCode.CEASE:
        return Event.UPDATE_MSG_ERR, notification
    if error.subcode in _NOT_KEPT and keeps:
        notification = hard_reset(notification)
    return Event.AUTOMATIC_STOP, notification


def ending_of(notification: Notification, state: State) -> Event:
    """Return the event for a received NOTIFICATION."""
    kind = (notification.code, notification.subcode)
    if kind == (ErrorCode.OPEN, OpenSubcode.UNSUPPORTED_VERSION_NUMBER):
        return Event.NOTIF_MSG_VER_ERR
    rejected = (ErrorCode.CEASE, CeaseSubcode.CONNECTION_REJECTED)
    if kind == rejected and state is State.OPEN_SENT:
        # The peer rests in Idle and says so instead of just closing. Resting
        # ourselves would let both miss each other for long: wait in Active.
        return Event.TCP_CONNECTION_FAILS
    return Event.NOTIF_MSG


def is_for_silence(reason: DownReason) -> bool:
    """Whether the peer gave up, or may have, because it heard nothing."""
    notification = reason.notification
    return reason.kind is DownKind.CONNECTION_LOST or (
        reason.kind is DownKind.NOTIFICATION_RECEIVED
        and notification is not None
        and notification.code == ErrorCode.HOLD_TIMER_EXPIRED
    )


def is_cease(reason: DownReason) -> bool:
    """Whether the peer ended it by a Cease."""
    notification = reason.notification
    return (
        reason.kind is DownKind.NOTIFICATION_RECEIVED
        and notification is not None
        and notification.code == ErrorCode.CEASE
    )


def is_collision(reason: DownReason) -> bool:
    """Whether it lost a collision, by what the NOTIFICATION says."""
    notification = reason.notification
    return (
        notification is not None
        and notification.subcode == CeaseSubcode.CONNECTION_COLLISION_RESOLUTION
    )
