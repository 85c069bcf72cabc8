"""BFD Control packets as octets (RFC 5880 4.1), and the checks that need no session (6.8.6). Pure."""

from enum import Enum, IntEnum, unique
from struct import Struct
from typing import Final, NamedTuple

VERSION: Final = 1
PACKET_LEN: Final = 24  # octets without an authentication section
MIN_AUTH_LEN: Final = 2  # octets: type and length
MAX_PACKET_LEN: Final = 255  # octets: the length field has one
_FIELDS: Final = Struct("!BBBBIIIII")


@unique
class State(IntEnum):
    """Session states (RFC 5880 4.1)."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


@unique
class Diagnostic(IntEnum):
    """Why the state changed last (RFC 5880 4.1, IANA "BFD Diagnostic Codes")."""

    NONE = 0
    DETECTION_TIME_EXPIRED = 1
    ECHO_FUNCTION_FAILED = 2
    NEIGHBOR_SIGNALED_DOWN = 3
    FORWARDING_PLANE_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8


class Flag(IntEnum):
    """Bits of the second octet (RFC 5880 4.1)."""

    POLL = 0x20
    FINAL = 0x10
    CONTROL_PLANE_INDEPENDENT = 0x08
    AUTHENTICATION = 0x04
    DEMAND = 0x02
    MULTIPOINT = 0x01


class Discard(Enum):
    """Why a packet was discarded; the value is its name for counters."""

    TTL = "ttl"  # RFC 5881 5
    TOO_SHORT = "too-short"
    VERSION = "version"
    LENGTH = "length"
    DETECT_MULT = "detect-mult"
    MULTIPOINT = "multipoint"
    MY_DISCRIMINATOR = "my-discriminator"
    YOUR_DISCRIMINATOR = "your-discriminator"
    NO_SESSION = "no-session"
    AUTHENTICATION = "authentication"


class Packet(NamedTuple):
    """One BFD Control packet.

    Attributes:
        state: The sender's state.
        diagnostic: See ``Diagnostic``; other values are kept.
        flags: Bits of ``Flag``.
        detect_mult: The sender's detection time multiplier.
        my_discriminator: The sender's, never 0.
        your_discriminator: What the sender knows of the receiver; 0 is nothing yet.
        desired_min_tx: Microseconds.
        required_min_rx: Microseconds; 0 asks for no periodic packets.
        required_min_echo_rx: Microseconds; 0 turns echo off.
    """

    state: State
    diagnostic: int
    flags: int
    detect_mult: int
    my_discriminator: int
    your_discriminator: int
    desired_min_tx: int
    required_min_rx: int
    required_min_echo_rx: int = 0

    @property
    def is_poll(self) -> bool:
        """Whether the sender wants an answer with the Final bit."""
        return bool(self.flags & Flag.POLL)

    @property
    def is_final(self) -> bool:
        """Whether it answers a Poll."""
        return bool(self.flags & Flag.FINAL)

    @property
    def is_authenticated(self) -> bool:
        """Whether an authentication section follows."""
        return bool(self.flags & Flag.AUTHENTICATION)


_STATES: Final = tuple(State)


def encode_packet(packet: Packet, authentication: bytes = b"") -> bytes:
    """Return the octets; the section is appended, and the Authentication bit is the caller's."""
    return (
        _FIELDS.pack(
            VERSION << 5 | packet.diagnostic,
            packet.state << 6 | packet.flags,
            packet.detect_mult,
            PACKET_LEN + len(authentication),
            *packet[4:],
        )
        + authentication
    )


def decode_packet(octets: bytes) -> Packet | Discard:
    """Return a packet that passes all checks without a session, in the order of RFC 5880 6.8.6.

    Octets after the length that the packet declares are ignored, as the RFC says.
    """
    if len(octets) < PACKET_LEN:
        return Discard.TOO_SHORT
    first, second, detect_mult, length, mine, yours, tx, rx, echo = _FIELDS.unpack_from(
        octets
    )
    if first >> 5 != VERSION:
        return Discard.VERSION
    least = PACKET_LEN + (MIN_AUTH_LEN if second & Flag.AUTHENTICATION else 0)
    if not least <= length <= len(octets):
        return Discard.LENGTH
    if not detect_mult:
        return Discard.DETECT_MULT
    if second & Flag.MULTIPOINT:
        return Discard.MULTIPOINT
    if not mine:
        return Discard.MY_DISCRIMINATOR
    state = _STATES[second >> 6]
    if not yours and state not in (State.DOWN, State.ADMIN_DOWN):
        return Discard.YOUR_DISCRIMINATOR
    return Packet(
        state, first & 0x1F, second & 0x3F, detect_mult, mine, yours, tx, rx, echo
    )


def authentication_section(octets: bytes) -> bytes:
    """Return what follows the mandatory section of a decoded packet, as far as its length says."""
    return octets[PACKET_LEN : octets[3]]
