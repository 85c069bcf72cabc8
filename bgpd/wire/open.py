"""The OPEN message (RFC 4271 4.2, 6.2; RFC 5492, RFC 6286, RFC 6793, RFC 7607, RFC 9072).

    +---------+-------+--------------+---------------+---------+-------------------+
    | version | my AS | hold time, 2 | identifier, 4 | len, 1  | parameters        |
    +---------+-------+--------------+---------------+---------+-------------------+
                                                     | 255 | 255 | len, 2 | params |
                                                     +-----+-----+--------+--------+
                                                       the longer form of RFC 9072

What can be judged from the octets alone is judged here; what depends on our own settings
(expected AS, own identifier, families, role) in ``bgpd.session.negotiation``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from bgpd.wire.capabilities import (
    Capabilities,
    decode_capabilities,
    encode_capabilities,
)
from bgpd.wire.errors import ErrorCode, NotifyError, OpenSubcode
from bgpd.wire.framing import MAX_MESSAGE_LEN, MessageType, encode_message

VERSION: Final = 4
AS_TRANS: Final = 23456  # RFC 6793 9
MIN_HOLD_TIME: Final = 3  # seconds unless 0, RFC 4271 4.2
CAPABILITIES_PARAMETER: Final = 2  # RFC 5492 4
_EXTENDED: Final = 255  # RFC 9072 2
_HEAD: Final = Struct("!BHHIB")
_MAX_SHORT: Final = 255  # octets of parameters that the old form can hold


NO_CAPABILITIES: Final = Capabilities()


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """One side's OPEN.

    Attributes:
        asn: The sender's AS: of the 4-octet capability where that is present.
        hold_time: Seconds; 0, or at least 3.
        router_id: BGP identifier (RFC 6286), never 0.
        capabilities: What is offered.
    """

    asn: int
    hold_time: int
    router_id: int
    capabilities: Capabilities = NO_CAPABILITIES


def _error(subcode: OpenSubcode, text: str, data: bytes = b"") -> NotifyError:
    return NotifyError(ErrorCode.OPEN, subcode, data, text)


def _parameters(octets: bytes, *, is_extended: bool) -> Iterator[tuple[int, bytes]]:
    head = 3 if is_extended else 2
    at, end = 0, len(octets)
    while at < end:
        length = int.from_bytes(octets[at + 1 : at + head], "big")
        stop = at + head + length
        if at + head > end or stop > end:
            raise _error(
                OpenSubcode.UNSPECIFIC,
                f"optional parameter {octets[at]} runs past the end of the message",
            )
        yield octets[at], octets[at + head : stop]
        at = stop


def _decode_parameters(octets: bytes, length: int) -> Capabilities:
    is_extended = length != 0 and octets[:1] == b"\xff"
    if is_extended and len(octets) < 3:
        raise _error(
            OpenSubcode.UNSPECIFIC, "the extended parameter length is truncated"
        )
    if is_extended:
        length = int.from_bytes(octets[1:3], "big")
        octets = octets[3:]
    if length != len(octets):
        raise _error(
            OpenSubcode.UNSPECIFIC,
            f"{length} octets of optional parameters declared, {len(octets)} present",
        )
    caps = NO_CAPABILITIES
    for kind, value in _parameters(octets, is_extended=is_extended):
        if kind != CAPABILITIES_PARAMETER:
            raise _error(
                OpenSubcode.UNSUPPORTED_OPTIONAL_PARAMETER,
                f"unknown optional parameter {kind}",
            )
        caps = decode_capabilities(value, caps)
    return caps


def _true_as(my_as: int, four_octet_as: int | None) -> int:
    asn = my_as if four_octet_as is None else four_octet_as
    if asn == 0:
        raise _error(OpenSubcode.BAD_PEER_AS, "AS 0 (RFC 7607)")
    if asn == AS_TRANS:
        raise _error(OpenSubcode.BAD_PEER_AS, "AS_TRANS is reserved (RFC 6793)")
    if my_as not in (asn, AS_TRANS):
        raise _error(
            OpenSubcode.BAD_PEER_AS, f"My AS is {my_as}, but the capability has {asn}"
        )
    return asn


def decode_open(body: bytes) -> OpenMessage:
    """Return the OPEN in ``body`` (without header, at least 10 octets).

    Raises:
        NotifyError: 2/1 with our version as data, 2/0 malformed, 2/4 unknown parameter,
            2/2 bad AS, 2/6 hold time of 1 or 2, 2/3 identifier 0; 2/11 and 2/2 for
            contradicting capabilities.
    """
    version, my_as, hold_time, router_id, length = _HEAD.unpack_from(body)
    if version != VERSION:
        raise _error(
            OpenSubcode.UNSUPPORTED_VERSION_NUMBER,
            f"version {version}",
            VERSION.to_bytes(2, "big"),
        )
    caps = _decode_parameters(body[_HEAD.size :], length)
    asn = _true_as(my_as, caps.four_octet_as)
    if 0 < hold_time < MIN_HOLD_TIME:
        raise _error(
            OpenSubcode.UNACCEPTABLE_HOLD_TIME, f"hold time of {hold_time} seconds"
        )
    if router_id == 0:
        raise _error(OpenSubcode.BAD_BGP_IDENTIFIER, "BGP identifier 0 (RFC 6286)")
    return OpenMessage(asn, hold_time, router_id, caps)


def encode_open(message: OpenMessage) -> bytes:
    """Return the whole message, header included.

    All capabilities go into one parameter, as RFC 5492 section 4 would have it; the longer
    form of RFC 9072 is used only when they do not fit otherwise.

    Raises:
        ValueError: The message would exceed 4096 octets.
    """
    triples = b"".join(encode_capabilities(message.capabilities))
    parameters = b""
    if triples and len(triples) + 2 <= _MAX_SHORT:
        parameters = bytes([CAPABILITIES_PARAMETER, len(triples)]) + triples
        length = len(parameters)
    elif triples:
        inner = len(triples).to_bytes(2, "big") + triples
        inner = bytes([CAPABILITIES_PARAMETER]) + inner
        parameters = bytes([_EXTENDED]) + len(inner).to_bytes(2, "big") + inner
        length = _EXTENDED
    else:
        length = 0
    my_as = message.asn if message.asn < 1 << 16 else AS_TRANS
    head = _HEAD.pack(VERSION, my_as, message.hold_time, message.router_id, length)
    whole = encode_message(MessageType.OPEN, head + parameters)
    if len(whole) > MAX_MESSAGE_LEN:
        raise ValueError(f"cannot send an OPEN of {len(whole)} octets")
    return whole
