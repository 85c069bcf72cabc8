"""What is counted of a peer, for ``show peers`` and metrics."""

from bgpd.session.events import DownReason


class Counters:
    """Plain integers that only grow, and what happened last.

    Attributes:
        received: Messages by type code (``MessageType``); index 0 is unused.
        sent: As ``received``; UPDATEs as told by ``note_sent``.
        octets_received: Of all connections.
        connect_attempts: How often we asked for a TCP connection.
        refused: Incoming connections turned away.
        established_count: Sessions so far.
        flaps: Established sessions that ended.
        established_since: Monotonic seconds; ``None`` when no session stands.
        last_down: Why the last session or attempt ended; ``None`` before.
        last_down_at: When, in monotonic seconds.
    """

    __slots__ = (
        "connect_attempts",
        "established_count",
        "established_since",
        "flaps",
        "last_down",
        "last_down_at",
        "octets_received",
        "received",
        "refused",
        "sent",
    )

    def __init__(self) -> None:
        self.received = [0] * 6
        self.sent = [0] * 6
        self.octets_received = 0
        self.connect_attempts = 0
        self.refused = 0
        self.established_count = 0
        self.flaps = 0
        self.established_since: float | None = None
        self.last_down: DownReason | None = None
        self.last_down_at: float | None = None
