"""What BMP tells of one session: its begin and end, and UPDATEs as they came (RFC 7854)."""

from collections.abc import Callable, Sequence
from time import time
from typing import Final

from bgpd.evidence import bmp_messages as bmp
from bgpd.net.tcp_connection import Connection
from bgpd.session.events import (
    DownKind,
    DownReason,
    Established,
    SessionDown,
    StateChanged,
)
from bgpd.session.fsm import State
from bgpd.session.peer import PeerSession
from bgpd.session.zones import split_zone
from bgpd.speaker.peer import Peer
from bgpd.wire.framing import MessageType, encode_message
from bgpd.wire.open import encode_open
from rib.family import Family
from rib.nlri import parse_address
from rib.path import Source

PRE_POLICY: Final = "pre-policy"
_UPDATE: Final = int(MessageType.UPDATE)
_OPEN: Final = int(MessageType.OPEN)
_MOST_EARLY: Final = 1 << 14  # more than one read of a socket can hold

Tell = Callable[[bytes, str], None]
"""Sends a message to collectors who want something; all want to know of sessions."""


class SessionMonitor:
    """The tap of one peer (``bgpd.net.taps.MessageTap``).

    Args:
        peer: Whose session; the peer is not kept, since its driver has this tap.
        tell: See there.

    Attributes:
        imports: What the peer has sent.
        sources: The peer as the tables know it.
        up: The message that began its session; ``None`` without one.
        about: The peer as messages name it.
        identified: Families in which it sends path identifiers.
    """

    def __init__(self, peer: Peer, tell: Tell) -> None:
        self.imports = peer.imports
        self.sources: tuple[Source, ...] = tuple(peer.sources.values())
        self.up: bytes | None = None
        self.about = bmp.BmpPeer(bmp.GLOBAL_PEER, bytes(4), 0, 0)
        self.identified: frozenset[Family] = frozenset()
        self._session: PeerSession = peer.driver.session
        self._tell = tell
        self._flags = 0
        self._open: tuple[int, bytes] | None = None  # of a connection, as it came
        self._connection: Connection | None = None
        self._early: list[bytes] = []  # UPDATEs that came with what began the session
        if peer.negotiated is not None and peer.driver.connection is not None:
            self._connection = peer.driver.connection
            self._begin()

    def received(
        self, connection: Connection, messages: Sequence[tuple[int, bytes]]
    ) -> None:
        """See ``MessageTap``."""
        for kind, body in messages:
            if kind == _UPDATE:
                octets = encode_message(kind, body)
                if self.up is None:
                    if len(self._early) < _MOST_EARLY:
                        self._early.append(octets)
                else:
                    self._tell_update(octets)
            elif kind == _OPEN:
                self._open = (connection.conn_id, encode_message(kind, body))
                self._early.clear()
        self._connection = connection

    def sent(self, connection: Connection, buffers: Sequence[bytes]) -> None:
        """See ``MessageTap``."""

    def happened(self, event: Established | SessionDown | StateChanged) -> None:
        """See ``MessageTap``."""
        if isinstance(event, Established):
            self._begin()
            if self.up is not None:
                self._tell(self.up, "")
            for octets in self._early:
                self._tell_update(octets)
            self._early.clear()
        elif isinstance(event, StateChanged):
            if event.new is not State.ESTABLISHED:
                self._early.clear()
        else:
            if self.up is not None:
                self._tell(self._down(event.reason), "")
            self.up = None
            self._early.clear()

    def _tell_update(self, octets: bytes) -> None:
        message = bmp.route_monitoring(self.about, self._flags, time(), octets)
        self._tell(message, PRE_POLICY)

    def _begin(self) -> None:
        session, connection = self._session, self._connection
        negotiated, opens = session.negotiated, session.opens
        if negotiated is None or opens is None or connection is None:
            return
        local, remote = connection.address_pair()
        if not remote:
            return  # it has ended already
        ours, theirs = map(encode_open, opens)
        if self._open is not None and self._open[0] == connection.conn_id:
            theirs = self._open[1]
        self.about = bmp.BmpPeer(
            bmp.GLOBAL_PEER,
            parse_address(split_zone(remote)[0]),
            negotiated.peer_as,
            negotiated.peer_router_id,
        )
        self.identified = negotiated.add_path_receive
        self._flags = 0 if negotiated.four_octet_as else bmp.HAS_TWO_OCTET_AS
        names = (connection.sock.getsockname(), connection.sock.getpeername())
        self.up = bmp.peer_up(
            self.about,
            time(),
            local=parse_address(split_zone(local)[0]),
            ports=(names[0][1], names[1][1]),
            opens=(ours, theirs),
        )

    def _down(self, reason: DownReason) -> bytes:
        notification = reason.notification
        if reason.kind is DownKind.NOTIFICATION_RECEIVED:
            number = bmp.REMOTE_NOTIFICATION
        elif notification is not None:
            number = bmp.LOCAL_NOTIFICATION
        elif reason.kind is DownKind.CONNECTION_LOST:
            number = bmp.REMOTE_NO_NOTIFICATION
        else:
            number = bmp.LOCAL_NO_NOTIFICATION
        return bmp.peer_down(self.about, time(), number, notification)

    def statistics(self) -> bytes:
        """Return how many routes the peer has sent."""
        count = sum(rib.received_count for rib in self.imports.ribs.values())
        return bmp.statistics(self.about, time(), ((bmp.ADJ_RIB_IN_ROUTES, count),))
