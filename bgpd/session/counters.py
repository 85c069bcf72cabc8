"""Counters of a peer, for ``show peers`` and metrics."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.session.events import DownReason
from bgpd.wire.errors import ErrorCode
from bgpd.wire.notification import Notification

NOTIFICATION_NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {int(code): code.name.lower().replace("_", "-") for code in ErrorCode}
)
"""The error codes of NOTIFICATIONs, as words (RFC 4271 4.5, RFC 7313 5)."""
OTHER_CODE: Final = "other"


class NotedNotification(NamedTuple):
    """A NOTIFICATION that was sent or received.

    Attributes:
        notification: Its octets, and what they mean.
        at: When, in monotonic seconds.
        text: What we found, of one that we sent; may be empty.
    """

    notification: Notification
    at: float
    text: str = ""


class Notifications:
    """NOTIFICATIONs by the name of their error code, and the last ones.

    Attributes:
        received: Absent names are 0.
        sent: As ``received``.
        last_received: On any of the peer's connections; ``None`` before.
        last_sent: As ``last_received``.
    """

    __slots__ = ("last_received", "last_sent", "received", "sent")

    def __init__(self) -> None:
        self.received: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.last_received: NotedNotification | None = None
        self.last_sent: NotedNotification | None = None

    def note_received(self, notification: Notification, now: float) -> None:
        """One arrived; any octet can be its error code."""
        _count(self.received, notification.code)
        self.last_received = NotedNotification(notification, now)

    def note_sent(self, notification: Notification, now: float, text: str = "") -> None:
        """One was sent, because of what ``text`` says."""
        _count(self.sent, notification.code)
        self.last_sent = NotedNotification(notification, now, text)


class Counters:
    """Integers that only grow, and the last events.

    Attributes:
        received: Messages on the wire by type code (``MessageType``), of all connections;
            what follows the end of one is void. Index 0 is unused.
        sent: As ``received``; what the driver writes past the session is counted by it.
        octets_received: Of all connections.
        notifications: NOTIFICATIONs among them.
        connect_attempts: How often we asked for a TCP connection.
        rejected_connections: Incoming connections turned away.
        established_count: Sessions so far.
        established_since: Monotonic seconds; ``None`` when no session stands.
        last_reset: Why the last established session ended; ``None`` before.
        last_reset_at: When, in monotonic seconds.
        last_attempt: Why the last attempt at a session failed; ``None`` before, while a
            session stands, and once the peer's settings have changed since.
        last_attempt_at: When, in monotonic seconds.
    """

    __slots__ = (
        "connect_attempts",
        "established_count",
        "established_since",
        "last_attempt",
        "last_attempt_at",
        "last_reset",
        "last_reset_at",
        "notifications",
        "octets_received",
        "received",
        "rejected_connections",
        "sent",
    )

    def __init__(self) -> None:
        self.received = [0] * 6
        self.sent = [0] * 6
        self.octets_received = 0
        self.notifications = Notifications()
        self.connect_attempts = 0
        self.rejected_connections = 0
        self.established_count = 0
        self.established_since: float | None = None
        self.last_reset: DownReason | None = None
        self.last_reset_at: float | None = None
        self.last_attempt: DownReason | None = None
        self.last_attempt_at: float | None = None

    @property
    def flaps(self) -> int:
        """Established sessions that ended."""
        return self.established_count - (self.established_since is not None)

    @property
    def last_down(self) -> DownReason | None:
        """Why it is down: what failed last, or what ended the session before."""
        return self.last_attempt or self.last_reset

    @property
    def last_down_at(self) -> float | None:
        """The time of that event."""
        return self.last_reset_at if self.last_attempt is None else self.last_attempt_at

    def note_reset(self, reason: DownReason, now: float) -> None:
        """An established session ended."""
        self.last_reset, self.last_reset_at = reason, now
        self.forget_attempt()

    def note_attempt(self, reason: DownReason, now: float) -> None:
        """An attempt at a session failed."""
        self.last_attempt, self.last_attempt_at = reason, now

    def forget_attempt(self) -> None:
        """Forget why the last attempt failed: settings have changed."""
        self.last_attempt = self.last_attempt_at = None


def _count(counts: dict[str, int], code: int) -> None:
    name = NOTIFICATION_NAMES.get(code, OTHER_CODE)
    counts[name] = counts.get(name, 0) + 1
