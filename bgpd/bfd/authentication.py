"""Authentication of BFD Control packets (RFC 5880 6.7): password and keyed SHA1. Pure.

The sequence number of keyed SHA1 protects from replay. The meticulous form counts each packet; the other
one counts only when the content changes, and so unchanged packets need no new hash.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import IntEnum, unique
from struct import Struct
from typing import Final

from bgpd.bfd.packet import Packet, authentication_section, encode_packet

MAX_PASSWORD_LEN: Final = 16  # octets, RFC 5880 4.2
MAX_SHA1_KEY_LEN: Final = 20  # octets, RFC 5880 4.4
_SHA1_LEN: Final = 28  # octets of the section
_SHA1_HEAD: Final = Struct("!BBBBI")  # type, length, key ID, reserved, sequence number
_HASH_AT: Final = 32  # octets from the packet's beginning
_MODULUS: Final = 1 << 32


@unique
class AuthType(IntEnum):
    """Authentication types (RFC 5880 4.1); the two of MD5 are left out, as obsolete."""

    SIMPLE = 1
    KEYED_SHA1 = 4
    METICULOUS_KEYED_SHA1 = 5


@dataclass(frozen=True, slots=True)
class AuthKey:
    """What both ends of a session share.

    Attributes:
        kind: How packets are signed.
        key_id: 0 to 255; names the key to the peer.
        secret: The password, 1 to 16 octets, or the SHA1 key, 1 to 20.
    """

    kind: AuthType
    key_id: int
    secret: bytes = field(repr=False)


class Authenticator:
    """Signs and checks the packets of one session.

    Args:
        key: What both ends share.
        sequence: The first sequence number, random (RFC 5880 6.8.1 bfd.XmitAuthSeq).
    """

    def __init__(self, key: AuthKey, sequence: int) -> None:
        self._key = key
        self._sequence = sequence
        self._is_sequence_known = False  # bfd.AuthSeqKnown
        self._received_sequence = 0  # bfd.RcvAuthSeq
        self._last_packet: Packet | None = None
        self._last_octets = b""

    @property
    def key(self) -> AuthKey:
        """What both ends share."""
        return self._key

    def sign(self, packet: Packet) -> bytes:
        """Return the octets of a packet whose Authentication bit is set."""
        key = self._key
        if packet == self._last_packet and key.kind != AuthType.METICULOUS_KEYED_SHA1:
            return self._last_octets
        if key.kind == AuthType.SIMPLE:
            head = bytes((key.kind, 3 + len(key.secret), key.key_id))
            octets = encode_packet(packet, head + key.secret)
        else:
            self._sequence = (self._sequence + 1) % _MODULUS
            head = _SHA1_HEAD.pack(key.kind, _SHA1_LEN, key.key_id, 0, self._sequence)
            padded = key.secret.ljust(MAX_SHA1_KEY_LEN, b"\0")
            octets = encode_packet(packet, head + padded)
            octets = octets[:_HASH_AT] + _sha1(octets)
        self._last_packet, self._last_octets = packet, octets
        return octets

    def accepts(self, packet: Packet, octets: bytes) -> bool:
        """Check a packet that has the Authentication bit; note its sequence number.

        Args:
            packet: What was decoded.
            octets: All of it.
        """
        key, section = self._key, authentication_section(octets)
        if section[0] != key.kind or section[1] != len(section):
            return False
        if key.kind == AuthType.SIMPLE:
            expected = bytes((key.kind, 3 + len(key.secret), key.key_id)) + key.secret
            return hmac.compare_digest(section, expected)
        return self._accepts_sha1(packet, octets[: octets[3]], section)

    def _accepts_sha1(self, packet: Packet, octets: bytes, section: bytes) -> bool:
        key = self._key
        if len(section) != _SHA1_LEN:
            return False
        *_, key_id, _, sequence = _SHA1_HEAD.unpack_from(section)
        if key_id != key.key_id or not self._is_in_window(sequence, packet.detect_mult):
            return False
        padded = key.secret.ljust(MAX_SHA1_KEY_LEN, b"\0")
        # Noted only after the hash has proved the sender: the RFC sets the sequence number before,
        # which would let any packet with a forged number keep out those of the peer.
        if not hmac.compare_digest(section[8:], _sha1(octets[:_HASH_AT] + padded)):
            return False
        self._is_sequence_known, self._received_sequence = True, sequence
        return True

    def _is_in_window(self, sequence: int, detect_mult: int) -> bool:
        if not self._is_sequence_known:
            return True
        least = 1 if self._key.kind == AuthType.METICULOUS_KEYED_SHA1 else 0
        ahead = (sequence - self._received_sequence) % _MODULUS
        return least <= ahead <= 3 * detect_mult

    def forget_sequence(self) -> None:
        """Accept any sequence number: nothing was heard for two detection times (RFC 5880 6.8.1)."""
        self._is_sequence_known = False


def _sha1(octets: bytes) -> bytes:
    # The RFC's choice; a forged packet must be made within the detection time.
    return hashlib.sha1(octets, usedforsecurity=False).digest()
