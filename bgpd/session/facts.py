"""Read access to a peer's session; only new settings change it here."""

from itertools import chain
from operator import itemgetter

from bgpd.session.connections import Connections
from bgpd.session.fsm import State
from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import PeerSettings
from bgpd.session.timers import Timer
from bgpd.wire.open import OpenMessage


class SessionFacts:
    """The readable side of a session.

    Args:
        connections: Of all the peer's connections.

    Attributes:
        heard: Messages received, type and body, until a tap takes them out; ``None``
            without a tap.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.heard: list[tuple[int, bytes]] | None = None

    @property
    def state(self) -> State:
        """The state of the most advanced connection."""
        return self._connections.state

    @property
    def is_started(self) -> bool:
        """Whether a session is wanted."""
        return self._connections.is_started

    @property
    def negotiated(self) -> Negotiated | None:
        """What the established session negotiated; ``None`` without one."""
        established = self._connections.established
        return established.negotiated if established else None

    def negotiated_on(self, conn_id: int) -> Negotiated | None:
        """Return what a connection negotiated, established or not yet; ``None`` before."""
        connection = self._connections.find(conn_id)
        return None if connection is None else connection.negotiated

    @property
    def opens(self) -> tuple[OpenMessage, OpenMessage] | None:
        """Our OPEN and the peer's on the established session; ``None`` without one."""
        established = self._connections.established
        if established is None:
            return None
        ours, theirs = established.offer, established.peer_open
        return None if ours is None or theirs is None else (ours, theirs)

    @property
    def conn_id(self) -> int | None:
        """The connection of the established session."""
        established = self._connections.established
        return established.conn_id if established else None

    @property
    def local_addr(self) -> str:
        """Our address on the established session; empty without."""
        established = self._connections.established
        return established.local_addr if established else ""

    def begun_message(self, conn_id: int) -> bytes:
        """Return the beginning of a message on a connection whose end has not arrived."""
        found = self._connections.find(conn_id)
        return b"" if found is None else found.framer.begun

    @property
    def is_dynamic(self) -> bool:
        """Whether the peer is gone with its last connection; may change at any time."""
        return self._connections.is_dynamic

    @is_dynamic.setter
    def is_dynamic(self, is_dynamic: bool) -> None:
        self._connections.is_dynamic = is_dynamic
        if not is_dynamic:
            self._connections.sought_until = 0.0  # it is connected to without end

    @property
    def is_sought(self) -> bool:
        """Whether a dynamic peer was up before our restart, and is not back yet."""
        return self._connections.is_sought

    @property
    def was_up_before(self) -> bool:
        """Whether a dynamic peer was up before our restart."""
        return self._connections.sought_until > 0

    @property
    def settings(self) -> PeerSettings:
        """The peer's settings; new ones apply from the next event on."""
        return self._connections.settings

    @settings.setter
    def settings(self, settings: PeerSettings) -> None:
        self._connections.settings = settings

    @property
    def offered(self) -> PeerSettings:
        """``settings`` with our AS as it stands in the OPEN: that of the session, if any."""
        return self.offer(self.settings)

    def offer(self, settings: PeerSettings) -> PeerSettings:
        """Return settings as ``offered`` would be, were they the peer's."""
        return self._connections.rejected_options.offered(settings)

    def deadlines(self) -> dict[Timer, float]:
        """Return when each timer that runs ends, the earliest of all connections; monotonic seconds."""
        timers = [each.timers.items() for each in self._connections.all()]
        return dict(sorted(chain(*timers), key=itemgetter(1), reverse=True))

    @property
    def idle_until(self) -> float | None:
        """When the idle hold time ends (RFC 4271 8.1.1); ``None`` if the peer is not held in Idle."""
        return self._connections.idle_until

    def deadline(self, timer: Timer) -> float | None:
        """Return when a timer of the established session ends; ``None`` if none runs."""
        established = self._connections.established
        return None if established is None else established.timers.get(timer)
