"""Events from a session to its driver and the routing layer: small values, in order."""

from dataclasses import dataclass
from enum import Enum, unique

from bgpd.session.fsm import State
from bgpd.session.negotiation import Negotiated
from bgpd.wire.notification import Notification
from bgpd.wire.route_refresh import RefreshSubtype
from rib.family import Family


@unique
class DownKind(Enum):
    """Why a connection or a session ended."""

    ADMIN_STOP = "stopped here"
    NOTIFICATION_SENT = "notification sent"
    NOTIFICATION_RECEIVED = "notification received"
    HOLD_TIMER_EXPIRED = "hold timer expired"
    SEND_HOLD_TIMER_EXPIRED = "send hold timer expired"
    CONNECTION_LOST = "connection lost"
    CONNECT_FAILED = "connection attempt failed"
    UNEXPECTED_MESSAGE = "unexpected message before our OPEN"
    COLLISION = "lost a connection collision"
    REPLACED = "peer opened a new connection"
    SUPERSEDED = "closed in favour of the established session"
    KEY_CHANGED = "signed with a former MD5 key"


@dataclass(frozen=True, slots=True)
class DownReason:
    """The reason, with its details.

    Attributes:
        kind: See ``DownKind``.
        text: For people; may be empty.
        notification: Sent or received; ``None`` when there was none.
    """

    kind: DownKind
    text: str = ""
    notification: Notification | None = None

    def __str__(self) -> str:
        """Return one line for logs and tables."""
        parts = [self.kind.value]
        if self.notification is not None:
            parts.append(str(self.notification))
        if self.text:
            parts.append(self.text)
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a TCP connection to the peer; a former attempt under way is abandoned.

    Answer by ``connection_made`` or ``connect_failed``.
    """


@dataclass(frozen=True, slots=True)
class CancelConnect:
    """The attempt under way is no longer wanted; no answer is expected."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write these octets to the connection.

    Attributes:
        conn_id: The driver's name of the connection.
        octets: Whole messages.
    """

    conn_id: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Write what was sent, then close; ``connection_lost`` need not be called for it.

    Attributes:
        conn_id: The driver's name of the connection.
    """

    conn_id: int


@dataclass(frozen=True, slots=True)
class Established:
    """The session is established: routes may flow both ways.

    Attributes:
        conn_id: The connection that carries it.
        negotiated: What both OPENs agreed on.
    """

    conn_id: int
    negotiated: Negotiated


@dataclass(frozen=True, slots=True)
class UpdatesReceived:
    """Consecutive UPDATEs of one chunk.

    Attributes:
        bodies: The messages without their headers.
    """

    bodies: list[bytes]


@dataclass(frozen=True, slots=True)
class RefreshReceived:
    """A ROUTE-REFRESH for a family of the session.

    Attributes:
        family: Which routes.
        subtype: A request, or a mark of RFC 7313.
    """

    family: Family
    subtype: RefreshSubtype


@dataclass(frozen=True, slots=True)
class SessionDown:
    """An established session ended.

    Attributes:
        reason: Why.
        kept_families: Families whose routes stay, as stale, until the restart time is
            over (RFC 4724 4.2, RFC 8538 4, RFC 9494 4.2); the others' go now.
    """

    reason: DownReason
    kept_families: frozenset[Family] = frozenset()

    @property
    def keeps_routes(self) -> bool:
        """Whether any route of the peer survives."""
        return bool(self.kept_families)


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The peer's state, that of its most advanced connection, has changed.

    Attributes:
        old: Before.
        new: Now.
        reason: Why it went down; ``None`` on the way up.
    """

    old: State
    new: State
    reason: DownReason | None = None


@dataclass(frozen=True, slots=True)
class PeerExpired:
    """A dynamic neighbour has no connection left: forget it (once its routes are gone)."""


SessionEvent = (
    Connect
    | CancelConnect
    | Send
    | CloseConnection
    | Established
    | UpdatesReceived
    | RefreshReceived
    | SessionDown
    | StateChanged
    | PeerExpired
)
