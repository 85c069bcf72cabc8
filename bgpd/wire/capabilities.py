"""Capabilities of an OPEN (RFC 5492): one table row per capability.

A row knows how its value is decoded into the one ``Capabilities`` value, and how it is
encoded from it. Unknown capabilities are kept as octets, to be shown, and never answered.

Duplicates (RFC 5492 section 4: equal ones are ignored, others are up to the capability):

* of the same value: one of them counts;
* multiprotocol, extended next hop: their union, both are lists;
* graceful restart: the last (RFC 4724 section 3); long-lived and add-path likewise;
* role, 4-octet AS: contradictions cannot be resolved, 2/11 (RFC 9234 4.2) and 2/2.

A value of the wrong length is a malformed parameter, 2/0 (RFC 4271 6.2), as BIRD and FRR
judge it; but octets behind a capability that has no value, and a hostname that cannot be
read, do no harm and are ignored.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from struct import Struct
from types import MappingProxyType
from typing import Final

from bgpd.wire.errors import ErrorCode, NotifyError, OpenSubcode
from rib.family import Family


class CapabilityCode(IntEnum):
    """Capability codes (IANA "Capability Codes") that we understand."""

    MULTIPROTOCOL = 1  # RFC 4760
    ROUTE_REFRESH = 2  # RFC 2918
    EXTENDED_NEXT_HOP = 5  # RFC 8950
    EXTENDED_MESSAGE = 6  # RFC 8654
    ROLE = 9  # RFC 9234
    GRACEFUL_RESTART = 64  # RFC 4724, RFC 8538
    FOUR_OCTET_AS = 65  # RFC 6793
    ADD_PATH = 69  # RFC 7911
    ENHANCED_ROUTE_REFRESH = 70  # RFC 7313
    LONG_LIVED_GRACEFUL_RESTART = 71  # RFC 9494
    HOSTNAME = 73  # draft-walton-bgp-hostname-capability


class Role(IntEnum):
    """Who its sender is on the link (RFC 9234 4.1)."""

    PROVIDER = 0
    RS = 1
    RS_CLIENT = 2
    CUSTOMER = 3
    PEER = 4


class AddPathDirection(IntEnum):
    """The Send/Receive field of its sender (RFC 7911 4)."""

    RECEIVE = 1
    SEND = 2
    BOTH = 3


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """The graceful restart capability (RFC 4724 3, RFC 8538 2).

    Attributes:
        is_restarting: R flag: the sender has restarted.
        has_notification: N flag: a NOTIFICATION does not lose the routes.
        restart_time: Seconds (12 bits) until the session should stand again.
        families: Family -> F flag, whether forwarding state was preserved.
    """

    is_restarting: bool = False
    has_notification: bool = False
    restart_time: int = 0
    families: tuple[tuple[Family, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class LongLivedFamily:
    """One family of the long-lived graceful restart capability (RFC 9494 3.1).

    Attributes:
        family: Which one.
        is_preserved: F flag.
        stale_time: Seconds (24 bits) its routes may stay stale.
    """

    family: Family
    is_preserved: bool
    stale_time: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """All that one side's OPEN offers.

    Attributes:
        families: RFC 4760; empty means that the capability is absent.
        has_route_refresh: RFC 2918.
        extended_next_hop: RFC 8950: (family, AFI of the next hop).
        has_extended_message: RFC 8654.
        role: RFC 9234, as the number on the wire; ``None`` when absent.
        graceful_restart: RFC 4724; ``None`` when absent.
        four_octet_as: RFC 6793: the sender's AS; ``None`` when absent.
        add_path: RFC 7911: family and direction.
        has_enhanced_refresh: RFC 7313.
        long_lived: RFC 9494; ``None`` when absent.
        hostname: FQDN draft; empty when absent.
        domain: The same capability's domain.
        unknown: (code, value) of what has no row here, in order.
    """

    families: tuple[Family, ...] = ()
    has_route_refresh: bool = False
    extended_next_hop: tuple[tuple[Family, int], ...] = ()
    has_extended_message: bool = False
    role: int | None = None
    graceful_restart: GracefulRestart | None = None
    four_octet_as: int | None = None
    add_path: tuple[tuple[Family, AddPathDirection], ...] = ()
    has_enhanced_refresh: bool = False
    long_lived: tuple[LongLivedFamily, ...] | None = None
    hostname: str = ""
    domain: str = ""
    unknown: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class CapabilitySpec:
    """One row: how a capability is read and written.

    Attributes:
        name: For people.
        decode: Adds one instance's value to what was read before.
        encode: The values to send, one per instance; none when it is not offered.
    """

    name: str
    decode: Callable[[Capabilities, bytes], Capabilities]
    encode: Callable[[Capabilities], list[bytes]]


_FAMILY: Final = Struct("!HxB")  # RFC 4760 8: AFI, reserved, SAFI
_NEXT_HOP: Final = Struct("!HHH")  # RFC 8950 4: AFI, SAFI, next-hop AFI
_GRACEFUL: Final = Struct("!H")  # RFC 4724 3: flags (4 bits), restart time (12 bits)
_GRACEFUL_FAMILY: Final = Struct("!HBB")  # AFI, SAFI, flags
_AS: Final = Struct("!I")
_LONG_LIVED: Final = Struct("!HBBBH")  # AFI, SAFI, flags, stale time (24 bits)
_MAX_RESTART_TIME: Final = 0x0FFF  # seconds, 12 bits
_MAX_STALE_TIME: Final = 0xFFFFFF  # seconds, 24 bits
_R_FLAG: Final = 0x8000  # RFC 4724 3
_N_FLAG: Final = 0x4000  # RFC 8538 2
_F_FLAG: Final = 0x80  # RFC 4724 3, RFC 9494 3.1
_DIRECTIONS: Final = {int(value): value for value in AddPathDirection}


def _malformed(code: CapabilityCode, value: bytes) -> NotifyError:
    return NotifyError(
        ErrorCode.OPEN,
        OpenSubcode.UNSPECIFIC,
        text=f"capability {code.name} with malformed value {value.hex() or '(empty)'}",
    )


def _decode_multiprotocol(caps: Capabilities, value: bytes) -> Capabilities:
    if len(value) != _FAMILY.size:
        raise _malformed(CapabilityCode.MULTIPROTOCOL, value)
    family = Family(*_FAMILY.unpack(value))
    if family in caps.families:
        return caps
    return replace(caps, families=(*caps.families, family))


def _encode_multiprotocol(caps: Capabilities) -> list[bytes]:
    return [_FAMILY.pack(*family) for family in caps.families]


def _decode_next_hop(caps: Capabilities, value: bytes) -> Capabilities:
    if len(value) % _NEXT_HOP.size:
        raise _malformed(CapabilityCode.EXTENDED_NEXT_HOP, value)
    found = list(caps.extended_next_hop)
    for afi, safi, next_hop_afi in _NEXT_HOP.iter_unpack(value):
        row = (Family(afi, safi), next_hop_afi)
        if row not in found:
            found.append(row)
    return replace(caps, extended_next_hop=tuple(found))


def _encode_next_hop(caps: Capabilities) -> list[bytes]:
    rows = [_NEXT_HOP.pack(*family, afi) for family, afi in caps.extended_next_hop]
    return [b"".join(rows)] if rows else []


def _decode_role(caps: Capabilities, value: bytes) -> Capabilities:
    if len(value) != 1:
        raise _malformed(CapabilityCode.ROLE, value)
    if caps.role is not None and caps.role != value[0]:
        raise NotifyError(
            ErrorCode.OPEN,
            OpenSubcode.ROLE_MISMATCH,
            text=f"roles {caps.role} and {value[0]} in one OPEN",
        )
    return replace(caps, role=value[0])


def _encode_role(caps: Capabilities) -> list[bytes]:
    return [] if caps.role is None else [bytes([caps.role])]


def _decode_graceful(caps: Capabilities, value: bytes) -> Capabilities:
    if len(value) < _GRACEFUL.size or (len(value) - 2) % _GRACEFUL_FAMILY.size:
        raise _malformed(CapabilityCode.GRACEFUL_RESTART, value)
    (head,) = _GRACEFUL.unpack_from(value)
    families = {
        Family(afi, safi): bool(flags & _F_FLAG)
        for afi, safi, flags in _GRACEFUL_FAMILY.iter_unpack(value[2:])
    }
    graceful = GracefulRestart(
        is_restarting=bool(head & _R_FLAG),
        has_notification=bool(head & _N_FLAG),
        restart_time=head & _MAX_RESTART_TIME,
        families=tuple(families.items()),
    )
    return replace(caps, graceful_restart=graceful)


def _encode_graceful(caps: Capabilities) -> list[bytes]:
    graceful = caps.graceful_restart
    if graceful is None:
        return []
    head = min(graceful.restart_time, _MAX_RESTART_TIME)
    head |= _R_FLAG if graceful.is_restarting else 0
    head |= _N_FLAG if graceful.has_notification else 0
    rows = [
        _GRACEFUL_FAMILY.pack(*family, _F_FLAG if is_preserved else 0)
        for family, is_preserved in graceful.families
    ]
    return [_GRACEFUL.pack(head) + b"".join(rows)]


def _decode_as(caps: Capabilities, value: bytes) -> Capabilities:
    if len(value) != _AS.size:
        raise _malformed(CapabilityCode.FOUR_OCTET_AS, value)
    (asn,) = _AS.unpack(value)
    if caps.four_octet_as not in (None, asn):
        raise NotifyError(
            ErrorCode.OPEN,
            OpenSubcode.BAD_PEER_AS,
            text=f"AS {caps.four_octet_as} and AS {asn} in one OPEN",
        )
    return replace(caps, four_octet_as=asn)


def _encode_as(caps: Capabilities) -> list[bytes]:
    return [] if caps.four_octet_as is None else [_AS.pack(caps.four_octet_as)]


def _decode_add_path(caps: Capabilities, value: bytes) -> Capabilities:
    if len(value) % _GRACEFUL_FAMILY.size:
        raise _malformed(CapabilityCode.ADD_PATH, value)
    # RFC 7911 4: a direction other than 1, 2 and 3 is as if not understood.
    found = {
        Family(afi, safi): _DIRECTIONS[direction]
        for afi, safi, direction in _GRACEFUL_FAMILY.iter_unpack(value)
        if direction in _DIRECTIONS
    }
    return replace(caps, add_path=tuple(found.items()))


def _encode_add_path(caps: Capabilities) -> list[bytes]:
    rows = [_GRACEFUL_FAMILY.pack(*family, way) for family, way in caps.add_path]
    return [b"".join(rows)] if rows else []


def _decode_long_lived(caps: Capabilities, value: bytes) -> Capabilities:
    if len(value) % _LONG_LIVED.size:
        raise _malformed(CapabilityCode.LONG_LIVED_GRACEFUL_RESTART, value)
    found = {
        Family(afi, safi): (bool(flags & _F_FLAG), high << 16 | low)
        for afi, safi, flags, high, low in _LONG_LIVED.iter_unpack(value)
    }
    rows = tuple(LongLivedFamily(family, *row) for family, row in found.items())
    return replace(caps, long_lived=rows)


def _encode_long_lived(caps: Capabilities) -> list[bytes]:
    if caps.long_lived is None:
        return []
    value = b""
    for row in caps.long_lived:
        high, low = divmod(min(row.stale_time, _MAX_STALE_TIME), 1 << 16)
        flags = _F_FLAG if row.is_preserved else 0
        value += _LONG_LIVED.pack(*row.family, flags, high, low)
    return [value]


def _printable(octets: bytes) -> str:
    text = octets.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _decode_hostname(caps: Capabilities, value: bytes) -> Capabilities:
    stop = 1 + value[0] if value else 0
    if not 0 < stop < len(value) or stop + 1 + value[stop] > len(value):
        return caps
    hostname, domain = value[1:stop], value[stop + 1 : stop + 1 + value[stop]]
    return replace(caps, hostname=_printable(hostname), domain=_printable(domain))


def _encode_hostname(caps: Capabilities) -> list[bytes]:
    if not caps.hostname:
        return []
    names = []
    for text in (caps.hostname, caps.domain):
        octets = text.encode()[:64].decode("utf-8", "ignore").encode()
        names.append(bytes([len(octets)]) + octets)
    return [b"".join(names)]


CAPABILITIES: Final[Mapping[int, CapabilitySpec]] = MappingProxyType(
    {
        CapabilityCode.MULTIPROTOCOL: CapabilitySpec(
            "multiprotocol", _decode_multiprotocol, _encode_multiprotocol
        ),
        CapabilityCode.ROUTE_REFRESH: CapabilitySpec(
            "route refresh",
            lambda caps, _: replace(caps, has_route_refresh=True),
            lambda caps: [b""] if caps.has_route_refresh else [],
        ),
        CapabilityCode.EXTENDED_NEXT_HOP: CapabilitySpec(
            "extended next hop", _decode_next_hop, _encode_next_hop
        ),
        CapabilityCode.EXTENDED_MESSAGE: CapabilitySpec(
            "extended message",
            lambda caps, _: replace(caps, has_extended_message=True),
            lambda caps: [b""] if caps.has_extended_message else [],
        ),
        CapabilityCode.ROLE: CapabilitySpec("role", _decode_role, _encode_role),
        CapabilityCode.GRACEFUL_RESTART: CapabilitySpec(
            "graceful restart", _decode_graceful, _encode_graceful
        ),
        CapabilityCode.FOUR_OCTET_AS: CapabilitySpec(
            "4-octet AS", _decode_as, _encode_as
        ),
        CapabilityCode.ADD_PATH: CapabilitySpec(
            "add-path", _decode_add_path, _encode_add_path
        ),
        CapabilityCode.ENHANCED_ROUTE_REFRESH: CapabilitySpec(
            "enhanced route refresh",
            lambda caps, _: replace(caps, has_enhanced_refresh=True),
            lambda caps: [b""] if caps.has_enhanced_refresh else [],
        ),
        CapabilityCode.LONG_LIVED_GRACEFUL_RESTART: CapabilitySpec(
            "long-lived graceful restart", _decode_long_lived, _encode_long_lived
        ),
        CapabilityCode.HOSTNAME: CapabilitySpec(
            "hostname", _decode_hostname, _encode_hostname
        ),
    }
)
"""The rows, in the order in which they are sent."""


def capability_triples(value: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (code, value) of each triple in a Capabilities parameter (RFC 5492 4).

    Raises:
        NotifyError: 2/0, a triple runs past the end.
    """
    at, end = 0, len(value)
    while at < end:
        stop = at + 2 + value[at + 1] if at + 2 <= end else end + 1
        if stop > end:
            raise NotifyError(
                ErrorCode.OPEN,
                OpenSubcode.UNSPECIFIC,
                text=f"capability {value[at]} runs past the end of its parameter",
            )
        yield value[at], value[at + 2 : stop]
        at = stop


def decode_capabilities(value: bytes, before: Capabilities) -> Capabilities:
    """Return ``before`` with what one Capabilities parameter adds to it.

    Raises:
        NotifyError: 2/0 malformed, 2/2 and 2/11 contradictions (see the module).
    """
    for code, octets in capability_triples(value):
        spec = CAPABILITIES.get(code)
        if spec is not None:
            before = spec.decode(before, octets)
        elif (code, octets) not in before.unknown:
            before = replace(before, unknown=(*before.unknown, (code, octets)))
    return before


def encode_capabilities(caps: Capabilities) -> list[bytes]:
    """Return the triples to send, each with its code and length octets.

    Raises:
        ValueError: A value is longer than 255 octets.
    """
    values = [
        (code, value)
        for code, spec in CAPABILITIES.items()
        for value in spec.encode(caps)
    ]
    values += caps.unknown
    return [bytes([code, len(value)]) + value for code, value in values]
