"""What ``show peers PEER`` tells of a session: its connection, timers and NOTIFICATIONs.

All of it is read or derived when the command runs: the kernel knows when data last arrived and
left, so an UPDATE costs nothing for it.
"""

from collections.abc import Callable
from typing import Final

from bgpd.api.protocol import Row
from bgpd.session.counters import NotedNotification
from bgpd.session.facts import SessionFacts
from bgpd.speaker.peer import Peer

_IDLE_HOLD: Final = "idle_hold"
_NO_CONNECTION: Final[Row] = {
    "local_port": None,
    "remote_port": None,
    "seconds_since_received": None,
    "seconds_since_sent": None,
    "round_trip_time": None,
}


def connection_of(peer: Peer) -> Row:
    """Return the ports of an established session, and when data last passed, in seconds."""
    connection = peer.driver.connection
    facts = None if connection is None else connection.facts()
    if facts is None:
        return dict(_NO_CONNECTION)
    return {
        "local_port": facts.local_port,
        "remote_port": facts.remote_port,
        "seconds_since_received": facts.since_received,
        "seconds_since_sent": facts.since_sent,
        "round_trip_time": facts.round_trip_time,
    }


def timers_of(session: SessionFacts, now: float) -> Row:
    """Return the seconds left of each timer that runs, by its name."""
    left = {timer.name.lower(): at for timer, at in session.deadlines().items()}
    if session.idle_until is not None:
        left[_IDLE_HOLD] = session.idle_until
    return {name: round(max(0.0, at - now), 1) for name, at in sorted(left.items())}


def notification_row(
    noted: NotedNotification | None, wall_time: Callable[[float], str]
) -> Row | None:
    """Return a NOTIFICATION in words, with its operator's text (RFC 9003)."""
    if noted is None:
        return None
    notification = noted.notification
    return {
        "code": notification.code,
        "subcode": notification.subcode,
        "name": str(notification),
        "text": notification.communication,
        "reason": noted.text,
        "at": wall_time(noted.at),
    }
