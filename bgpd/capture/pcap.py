"""BGP messages as a pcap file, with the IP and TCP headers that they could have had. Pure.

A daemon sees a stream and no packets. So each connection gets a handshake, sequence numbers that follow
the octets that were captured, segments of at most 1,460 octets (1,440 with IPv6) and an acknowledgement wherever
a window would be full: what Wireshark, tshark and tcpdump need to put the stream together again. Addresses, ports and order are the session's; sizes of
segments, acknowledgements and windows are not. What a capture dropped leaves no gap in the numbers.

The format is https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/: microseconds, big endian, and
LINKTYPE_RAW, whose packets begin with the IP header.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from struct import Struct
from typing import Final

from bgpd.capture.ends import Ends

_FILE: Final = Struct("!IHHiIII")
_MAGIC: Final = 0xA1B2C3D4  # microseconds
_MAX_PACKET: Final = 1 << 16
_LINKTYPE_RAW: Final = 101
_RECORD: Final = Struct("!IIII")
_IPV4: Final = Struct("!BBHHHBBH4s4s")
_IPV6: Final = Struct("!IHBB16s16s")
_TCP: Final = Struct("!HHIIBBHHH")
_PSEUDO_IPV6: Final = Struct("!16s16sII")  # RFC 8200 8.1
_PSEUDO_IPV4: Final = Struct("!4s4sHH")  # RFC 9293 3.1
_TCP_PROTOCOL: Final = 6
_TRAFFIC_CLASS: Final = 0xC0  # CS6, as our own sockets
_DO_NOT_FRAGMENT: Final = 0x4000
_HOP_LIMIT: Final = 64
_WINDOW: Final = 65535
_MSS: Final = {4: 1460, 16: 1440}  # octets of an Ethernet's segment, by address length
_MSS_OPTION: Final = {size: b"\x02\x04" + mss.to_bytes(2) for size, mss in _MSS.items()}
_FIN, _SYN, _PSH, _ACK = 0x01, 0x02, 0x08, 0x10
_MILLION: Final = 1_000_000

FILE_HEADER: Final = _FILE.pack(_MAGIC, 2, 4, 0, 0, _MAX_PACKET, _LINKTYPE_RAW)
"""What a file begins with."""


@dataclass(slots=True)
class _Side:
    """What one side of a connection sends from and how far it is.

    Attributes:
        address: 4 or 16 octets.
        port: Of TCP.
        sequence: Number of its next octet.
        unacknowledged: Octets that the other side has not acknowledged.
    """

    address: bytes
    port: int
    sequence: int
    unacknowledged: int = 0


class TcpStream:
    """One connection as packets.

    Args:
        ends: Whose it is.
        number: Of the connection: initial sequence numbers differ by it.
    """

    def __init__(self, ends: Ends, number: int) -> None:
        first = number * 0x01000000 % (1 << 32)
        self._local = _Side(octets_of(ends.local_address), ends.local_port, first)
        self._remote = _Side(
            octets_of(ends.remote_address), ends.remote_port, first ^ 0x00800000
        )
        self._is_outgoing = ends.is_outgoing
        self._is_open = False
        self._identification = 0

    def opened(self, at_us: int) -> bytes:
        """Return the records of the handshake; none where there was one.

        Args:
            at_us: Microseconds since the epoch.
        """
        if self._is_open:
            return b""
        self._is_open = True
        caller, called = self._sides(is_local=self._is_outgoing)
        syn = self._record(at_us, caller, called, _SYN, b"")
        caller.sequence = (caller.sequence + 1) % (1 << 32)
        answer = self._record(at_us, called, caller, _SYN | _ACK, b"")
        called.sequence = (called.sequence + 1) % (1 << 32)
        return syn + answer + self._record(at_us, caller, called, _ACK, b"")

    def sent(self, at_us: int, octets: bytes, *, is_local: bool) -> bytes:
        """Return the records of octets on their way; a handshake before the first.

        Args:
            at_us: Microseconds since the epoch.
            octets: A message.
            is_local: We sent them.
        """
        records = [self.opened(at_us)]
        sender, receiver = self._sides(is_local=is_local)
        size = _MSS[len(sender.address)]
        for start in range(0, len(octets), size):
            piece = octets[start : start + size]
            if sender.unacknowledged + len(piece) >= _WINDOW:
                records.append(self._record(at_us, receiver, sender, _ACK, b""))
            flags = _ACK if start + size < len(octets) else _ACK | _PSH
            records.append(self._record(at_us, sender, receiver, flags, piece))
            sender.sequence = (sender.sequence + len(piece)) % (1 << 32)
            sender.unacknowledged += len(piece)
        return b"".join(records)

    def closed(self, at_us: int, *, is_local: bool) -> bytes:
        """Return the records of the end.

        Args:
            at_us: Microseconds since the epoch.
            is_local: We closed the connection.
        """
        records = [self.opened(at_us)]
        first, second = self._sides(is_local=is_local)
        for sender, receiver in ((first, second), (second, first)):
            records.append(self._record(at_us, sender, receiver, _FIN | _ACK, b""))
            sender.sequence = (sender.sequence + 1) % (1 << 32)
        records.append(self._record(at_us, first, second, _ACK, b""))
        return b"".join(records)

    def _sides(self, *, is_local: bool) -> tuple[_Side, _Side]:
        """Return sender and receiver."""
        if is_local:
            return self._local, self._remote
        return self._remote, self._local

    def _record(
        self, at_us: int, sender: _Side, receiver: _Side, flags: int, octets: bytes
    ) -> bytes:
        """Return a packet with pcap's header in front."""
        receiver.unacknowledged = 0
        is_syn = flags & _SYN
        options = _MSS_OPTION[len(sender.address)] if is_syn else b""
        segment = _segment(sender, receiver, flags, options, octets)
        self._identification = (self._identification + 1) % (1 << 16)
        packet = _packet(
            sender.address, receiver.address, segment, self._identification
        )
        seconds, microseconds = divmod(at_us, _MILLION)
        size = len(packet)
        return _RECORD.pack(seconds % (1 << 32), microseconds, size, size) + packet


def octets_of(address: str) -> bytes:
    """Return an address's octets, without its zone."""
    return ip_address(address.partition("%")[0]).packed


def _segment(
    sender: _Side, receiver: _Side, flags: int, options: bytes, octets: bytes
) -> bytes:
    """Return a TCP segment with its checksum (RFC 9293 3.1)."""
    length = _TCP.size + len(options)
    acknowledged = receiver.sequence if flags & _ACK else 0
    head = [sender.port, receiver.port, sender.sequence, acknowledged]
    head += [length // 4 << 4, flags, _WINDOW]
    segment = _TCP.pack(*head, 0, 0) + options + octets
    if len(sender.address) == 4:
        pseudo = _PSEUDO_IPV4.pack(
            sender.address, receiver.address, _TCP_PROTOCOL, len(segment)
        )
    else:
        pseudo = _PSEUDO_IPV6.pack(
            sender.address, receiver.address, len(segment), _TCP_PROTOCOL
        )
    return _TCP.pack(*head, checksum(pseudo + segment), 0) + options + octets


def _packet(source: bytes, target: bytes, segment: bytes, identification: int) -> bytes:
    if len(source) == 16:
        first = 6 << 28 | _TRAFFIC_CLASS << 20
        head = _IPV6.pack(
            first, len(segment), _TCP_PROTOCOL, _HOP_LIMIT, source, target
        )
        return head + segment
    fields = [0x45, _TRAFFIC_CLASS, _IPV4.size + len(segment), identification]
    fields += [_DO_NOT_FRAGMENT, _HOP_LIMIT, _TCP_PROTOCOL]
    sum_of_head = checksum(_IPV4.pack(*fields, 0, source, target))
    return _IPV4.pack(*fields, sum_of_head, source, target) + segment


def checksum(octets: bytes) -> int:
    """Return the Internet checksum (RFC 1071).

    The sum of 16-bit words with end-around carry is the number modulo 65,535: 65,536 leaves 1.
    """
    if len(octets) % 2:
        octets += b"\0"
    total = int.from_bytes(octets)
    # A sum of ones' complement is 0 only where all is 0; else 65,535 stands for it.
    folded = total % 0xFFFF or (0xFFFF if total else 0)
    return folded ^ 0xFFFF
