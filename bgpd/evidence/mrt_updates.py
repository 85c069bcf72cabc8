"""Records messages and changes of state of chosen peers, as they happen (RFC 6396 4.4)."""

from collections.abc import Callable, Collection, Sequence
from time import time
from typing import Final

from bgpd.evidence.mrt_records import Encoding, Ends, message_record, state_record
from bgpd.net.tcp_connection import Connection
from bgpd.session.events import Established, SessionDown, StateChanged
from bgpd.session.settings import PeerSettings
from bgpd.session.zones import split_zone
from bgpd.speaker.peer import Peer
from bgpd.speaker.session_observers import SessionObserver
from bgpd.speaker.speaker import Speaker
from bgpd.wire.framing import HEADER_LEN, encode_message
from rib.nlri import parse_address

_BEFORE_OPEN: Final = Encoding()
_LENGTH_AT: Final = 16  # octets from the beginning of a message to its length

Put = Callable[[bytes], None]


class MrtUpdates(SessionObserver):
    """Attaches a tap to every chosen peer.

    Args:
        speaker: Whose peers.
        chosen: Names, addresses, groups and ranges; empty for all.
        put: Takes records.
        has_sent: Record what we send, too.
    """

    def __init__(
        self, speaker: Speaker, chosen: Collection[str], put: Put, *, has_sent: bool
    ) -> None:
        self._speaker = speaker
        self._chosen = frozenset(chosen)
        self._put = put
        self._has_sent = has_sent

    def start(self) -> None:
        """Record from now on."""
        self._speaker.observers.attach(self)
        for peer in self._speaker.peers.values():
            self.peer_added(peer)

    def close(self) -> None:
        """Record no more."""
        self._speaker.observers.detach(self)
        for peer in self._speaker.peers.values():
            for tap in peer.driver.taps.listeners:
                if isinstance(tap, PeerRecords):
                    peer.driver.taps.detach(tap)

    def peer_added(self, peer: Peer) -> None:
        """See ``SessionObserver``."""
        if not self._chosen or is_chosen(peer, self._chosen):
            tap = PeerRecords(peer, self._put, has_sent=self._has_sent)
            peer.driver.taps.attach(tap)


def is_chosen(peer: Peer, chosen: Collection[str]) -> bool:
    """Whether a peer, its group or its range is among names."""
    settings = peer.settings
    names = (settings.name, settings.remote_addr, settings.group, peer.range_name)
    return any(name in chosen for name in names if name)


class PeerRecords:
    """The tap of one peer (``bgpd.net.taps.MessageTap``).

    Args:
        peer: Its settings and its session; the driver is not kept, since it has this tap.
        put: Takes records.
        has_sent: Record what we send, too.
    """

    def __init__(self, peer: Peer, put: Put, *, has_sent: bool) -> None:
        self._session = peer.driver.session
        self._put = put
        self._has_sent = has_sent
        self._connection: Connection | None = None
        self._ends: Ends | None = None
        self._received = _BEFORE_OPEN
        self._sent = _BEFORE_OPEN

    def received(
        self, connection: Connection, messages: Sequence[tuple[int, bytes]]
    ) -> None:
        """See ``MessageTap``."""
        ends, now = self._ends_of(connection), time()
        for kind, body in messages:
            octets = encode_message(kind, body)
            self._put(message_record(now, ends, octets, self._received, is_sent=False))

    def sent(self, connection: Connection, buffers: Sequence[bytes]) -> None:
        """See ``MessageTap``."""
        if not self._has_sent:
            return
        ends, now = self._ends_of(connection), time()
        for octets in buffers:
            at = 0
            while at + HEADER_LEN <= len(octets):
                length_at = at + _LENGTH_AT
                end = at + int.from_bytes(octets[length_at : length_at + 2], "big")
                message = octets[at:end]
                self._put(message_record(now, ends, message, self._sent, is_sent=True))
                at = end

    def happened(self, event: Established | SessionDown | StateChanged) -> None:
        """See ``MessageTap``."""
        if isinstance(event, StateChanged):
            ends = self._ends or _open_ends(self._session.settings)
            self._put(state_record(time(), ends, event.old, event.new))
        elif isinstance(event, SessionDown):
            self._connection = None  # what it negotiated is of no more use

    def _ends_of(self, connection: Connection) -> Ends:
        """Return both ends; look what was negotiated, which a first OPEN decides."""
        ends = self._ends
        if ends is None or connection is not self._connection:
            self._received = self._sent = _BEFORE_OPEN
            negotiated = self._session.negotiated_on(connection.conn_id)
            offered = self._session.offered
            peer_as, local_as = offered.remote_as, offered.local_as
            if negotiated is not None:
                four = negotiated.four_octet_as
                self._received = Encoding(four, negotiated.add_path_receive)
                self._sent = Encoding(four, negotiated.add_path_send)
                peer_as, local_as = negotiated.peer_as, negotiated.local_as
                self._connection = connection
            local, remote = connection.address_pair()
            ends = self._ends = _ends(peer_as, local_as, remote, local) or _open_ends(
                self._session.settings
            )
        return ends


def _open_ends(settings: PeerSettings) -> Ends:
    """Return the ends of a session that has no connection."""
    remote, local = settings.remote_addr, settings.local_addr
    found = _ends(settings.remote_as, settings.local_as, remote, local)
    return found or Ends(settings.remote_as, settings.local_as, bytes(4), bytes(4))


def _ends(peer_as: int, local_as: int, remote: str, local: str) -> Ends | None:
    """Return ends by their addresses' texts; ``None`` where the peer's is missing."""
    if not remote:
        return None
    peer = parse_address(split_zone(remote)[0])
    ours = parse_address(split_zone(local)[0]) if local else b""
    return Ends(
        peer_as, local_as, peer, ours if len(ours) == len(peer) else bytes(len(peer))
    )
