"""What we offer in OPEN, and what both OPENs negotiate.

Pure functions from settings and messages to values. What the peer's OPEN must satisfy
depends on ours, and is judged here: expected AS, own identifier (RFC 6286), role
(RFC 9234), a family in common (RFC 4760, RFC 5492).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from bgpd.session.settings import AddPathMode, PeerSettings
from bgpd.wire.capabilities import (
    CAPABILITIES,
    AddPathDirection,
    Capabilities,
    CapabilityCode,
    GracefulRestart,
    LongLivedFamily,
    Role,
    capability_triples,
    encode_capabilities,
)
from bgpd.wire.errors import ErrorCode, NotifyError, OpenSubcode
from bgpd.wire.framing import MAX_EXTENDED_MESSAGE_LEN, MAX_MESSAGE_LEN
from bgpd.wire.notification import Notification
from bgpd.wire.open import OpenMessage
from rib.family import AFI_IPV6, IPV4_UNICAST, Family

KEEPALIVE_FRACTION: Final = 3  # of the hold time, RFC 4271 4.4

ROLE_NAMES: Final[Mapping[str, Role]] = MappingProxyType(
    {role.name.lower().replace("_", "-"): role for role in Role}
)
"""Roles as the configuration writes them."""

_ROLE_PAIRS: Final = frozenset(  # RFC 9234 4.2 table 2
    {
        (Role.PROVIDER, Role.CUSTOMER),
        (Role.CUSTOMER, Role.PROVIDER),
        (Role.RS, Role.RS_CLIENT),
        (Role.RS_CLIENT, Role.RS),
        (Role.PEER, Role.PEER),
    }
)
_DIRECTIONS: Final[Mapping[AddPathMode, AddPathDirection]] = MappingProxyType(
    {
        AddPathMode.RECEIVE: AddPathDirection.RECEIVE,
        AddPathMode.SEND: AddPathDirection.SEND,
        AddPathMode.BOTH: AddPathDirection.BOTH,
    }
)
_SENDS: Final = (AddPathDirection.SEND, AddPathDirection.BOTH)
_RECEIVES: Final = (AddPathDirection.RECEIVE, AddPathDirection.BOTH)


@dataclass(frozen=True, slots=True)
class RestartState:
    """What we know of our own restart when an OPEN is sent (RFC 4724 4.1).

    Attributes:
        recovering: Families whose End-of-RIB waits since we restarted. A session with one
            of them has the R flag.
        preserved: Families whose forwarding state survived: their F flag.
    """

    recovering: frozenset[Family] = frozenset()
    preserved: frozenset[Family] = frozenset()


@dataclass(frozen=True, slots=True)
class Negotiated:
    """All that the session negotiated.

    Attributes:
        local_as: Ours, as sent.
        peer_as: From the peer's OPEN.
        peer_router_id: BGP identifier, as an integer.
        is_ibgp: Both sides are of one AS.
        hold_time: Seconds; 0 means that there is no hold timer and no KEEPALIVE.
        keepalive_time: Seconds between KEEPALIVEs before jitter; 0 for none.
        families: Offered by both.
        four_octet_as: AS numbers in AS_PATH have 4 octets (RFC 6793).
        add_path_receive: Families where the peer sends path identifiers.
        add_path_send: Families where we do.
        has_route_refresh: The peer answers ROUTE-REFRESH (RFC 2918).
        has_enhanced_refresh: Both mark their refreshes (RFC 7313).
        max_message_len: Longest message we may send, octets with header (RFC 8654).
        extended_next_hop: Families that may have an IPv6 next hop (RFC 8950).
        graceful_restart: The peer's, when both offered it; its families are those of the
            session.
        has_notification_restart: Both set the N flag (RFC 8538).
        long_lived: Family -> seconds, the peer's stale times, when both offered it.
        local_role: Ours, when the peer sent its too.
        peer_role: The peer's; ``None`` without.
        peer_hostname: Empty without.
        local: Our capabilities, as sent.
        peer: The peer's, as received.
    """

    local_as: int
    peer_as: int
    peer_router_id: int
    is_ibgp: bool
    hold_time: int
    keepalive_time: float
    families: frozenset[Family]
    four_octet_as: bool
    add_path_receive: frozenset[Family]
    add_path_send: frozenset[Family]
    has_route_refresh: bool
    has_enhanced_refresh: bool
    max_message_len: int
    extended_next_hop: frozenset[Family]
    graceful_restart: GracefulRestart | None
    has_notification_restart: bool
    long_lived: tuple[LongLivedFamily, ...]
    local_role: Role | None
    peer_role: Role | None
    peer_hostname: str
    local: Capabilities
    peer: Capabilities


def offer(
    settings: PeerSettings,
    local_router_id: int,
    *,
    restart: RestartState,
    hostname: str = "",
    left_out: frozenset[int] = frozenset(),
) -> OpenMessage:
    """Return the OPEN for ``settings``.

    Args:
        settings: Of the peer.
        local_router_id: Our BGP identifier.
        restart: For the graceful restart capability.
        hostname: Empty leaves the capability out.
        left_out: Capability codes that the peer refused (RFC 5492 section 3).
    """
    families = tuple(entry.family for entry in settings.families)
    graceful, long_lived = _offered_restart(settings, restart)
    role = None
    if settings.role and not settings.is_internal:  # RFC 9234 4.1
        role = ROLE_NAMES[settings.role]
    caps = Capabilities(
        families=families,
        has_route_refresh=True,
        extended_next_hop=(
            ((IPV4_UNICAST, AFI_IPV6),)
            if settings.has_extended_next_hop and IPV4_UNICAST in families
            else ()
        ),
        has_extended_message=settings.has_extended_message,
        role=role,
        graceful_restart=graceful,
        four_octet_as=settings.local_as,
        add_path=tuple(
            (entry.family, _DIRECTIONS[entry.add_path])
            for entry in settings.families
            if entry.add_path in _DIRECTIONS
        ),
        has_enhanced_refresh=True,
        long_lived=long_lived,
        hostname=hostname,
    )
    caps = without(caps, left_out | settings.disabled_capabilities)
    return OpenMessage(settings.local_as, settings.hold_time, local_router_id, caps)


def _offered_restart(
    settings: PeerSettings, restart: RestartState
) -> tuple[GracefulRestart | None, tuple[LongLivedFamily, ...] | None]:
    if not settings.has_graceful_restart:
        return None, None
    families = tuple(entry.family for entry in settings.families)
    is_helper_only = settings.graceful_restart_time == 0
    graceful = GracefulRestart(
        is_restarting=not restart.recovering.isdisjoint(families),
        has_notification=True,
        restart_time=settings.graceful_restart_time,
        families=(
            ()
            if is_helper_only
            else tuple((family, family in restart.preserved) for family in families)
        ),
    )
    if not settings.long_lived_stale_time:
        return graceful, None
    return graceful, tuple(
        LongLivedFamily(
            family, family in restart.preserved, settings.long_lived_stale_time
        )
        for family in families
    )


_ABSENT: Final = Capabilities()
_FIELDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        CapabilityCode.MULTIPROTOCOL: "families",
        CapabilityCode.ROUTE_REFRESH: "has_route_refresh",
        CapabilityCode.EXTENDED_NEXT_HOP: "extended_next_hop",
        CapabilityCode.EXTENDED_MESSAGE: "has_extended_message",
        CapabilityCode.ROLE: "role",
        CapabilityCode.GRACEFUL_RESTART: "graceful_restart",
        CapabilityCode.FOUR_OCTET_AS: "four_octet_as",
        CapabilityCode.ADD_PATH: "add_path",
        CapabilityCode.ENHANCED_ROUTE_REFRESH: "has_enhanced_refresh",
        CapabilityCode.LONG_LIVED_GRACEFUL_RESTART: "long_lived",
        CapabilityCode.HOSTNAME: "hostname",
    }
)
ALL_CAPABILITIES: Final = frozenset(int(code) for code in CAPABILITIES)
CAPABILITIES_BY_NAME: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "all": ALL_CAPABILITIES,
        **{
            code.name.lower().replace("_", "-"): frozenset({int(code)})
            for code in (
                CapabilityCode.MULTIPROTOCOL,
                CapabilityCode.ROUTE_REFRESH,
                CapabilityCode.ENHANCED_ROUTE_REFRESH,
                CapabilityCode.FOUR_OCTET_AS,
                CapabilityCode.HOSTNAME,
            )
        },
    }
)
"""Those that an operator may leave out by name; others have a setting of their own."""

_NEEDED: Final = frozenset(
    {int(CapabilityCode.MULTIPROTOCOL), int(CapabilityCode.FOUR_OCTET_AS)}
)


def without(caps: Capabilities, codes: frozenset[int]) -> Capabilities:
    """Return ``caps`` without the capabilities of ``codes``."""
    fields = {name: getattr(_ABSENT, name) for c, name in _FIELDS.items() if c in codes}
    return replace(caps, **fields)


def rejected_capabilities(notification: Notification) -> frozenset[int]:
    """Return which of our capabilities to leave out after the peer's OPEN error.

    2/4: it knows no capabilities at all (RFC 5492 3): all. 2/7: those it names, or, where it
    names none, all that are not needed. Families are never left out on 2/7, since a peer
    that names them asks for one of its own. Other errors: none.
    """
    kind = (notification.code, notification.subcode)
    if kind == (ErrorCode.OPEN, OpenSubcode.UNSUPPORTED_OPTIONAL_PARAMETER):
        return ALL_CAPABILITIES
    if kind != (ErrorCode.OPEN, OpenSubcode.UNSUPPORTED_CAPABILITY):
        return frozenset()
    try:
        named = {code for code, _ in capability_triples(notification.data)}
    except NotifyError:
        named = set()
    if not named and not notification.data:
        return ALL_CAPABILITIES - _NEEDED
    return ALL_CAPABILITIES & named - {CapabilityCode.MULTIPROTOCOL}


def negotiate(
    settings: PeerSettings, local: OpenMessage, peer: OpenMessage
) -> Negotiated:
    """Return what ``local`` (sent) and ``peer`` (received) negotiate.

    Raises:
        NotifyError: 2/2 not the expected AS, 2/3 our own identifier on iBGP, 2/11 roles
            that do not fit, 2/7 no family in common.
    """
    _check_identity(settings, local, peer)
    ours, theirs = local.capabilities, peer.capabilities
    peer_role = _check_roles(settings, ours, theirs)
    families = _common_families(ours, theirs)
    hold_time = min(local.hold_time, peer.hold_time)
    graceful = theirs.graceful_restart if ours.graceful_restart else None
    if graceful is not None:
        kept = tuple(row for row in graceful.families if row[0] in families)
        graceful = replace(graceful, families=kept)
    # RFC 9494 4.1: without graceful restart the long-lived capability is ignored.
    long_lived = theirs.long_lived if graceful and ours.long_lived else None
    receive, send = _add_path(ours, theirs)
    has_extended = ours.has_extended_message and theirs.has_extended_message
    next_hops = set(ours.extended_next_hop) & set(theirs.extended_next_hop)
    return Negotiated(
        local_as=local.asn,
        peer_as=peer.asn,
        peer_router_id=peer.router_id,
        is_ibgp=peer.asn == local.asn,
        hold_time=hold_time,
        keepalive_time=_keepalive_time(settings, hold_time),
        families=families,
        four_octet_as=(
            ours.four_octet_as is not None and theirs.four_octet_as is not None
        ),
        add_path_receive=receive & families,
        add_path_send=send & families,
        has_route_refresh=ours.has_route_refresh and theirs.has_route_refresh,
        has_enhanced_refresh=ours.has_enhanced_refresh and theirs.has_enhanced_refresh,
        max_message_len=MAX_EXTENDED_MESSAGE_LEN if has_extended else MAX_MESSAGE_LEN,
        extended_next_hop=frozenset(family for family, _ in next_hops) & families,
        graceful_restart=graceful,
        has_notification_restart=graceful is not None and graceful.has_notification,
        long_lived=tuple(row for row in long_lived or () if row.family in families),
        local_role=Role(ours.role) if ours.role is not None and peer_role else None,
        peer_role=peer_role,
        peer_hostname=theirs.hostname,
        local=ours,
        peer=theirs,
    )


def _check_identity(
    settings: PeerSettings, local: OpenMessage, peer: OpenMessage
) -> None:
    if not settings.accepts_as(peer.asn):
        raise NotifyError(
            ErrorCode.OPEN,
            OpenSubcode.BAD_PEER_AS,
            text=f"peer has AS {peer.asn}, configured is AS {settings.accepted_as}",
        )
    # RFC 6286 2.2: identifiers are unique within an AS only.
    if peer.router_id == local.router_id and peer.asn == local.asn:
        raise NotifyError(
            ErrorCode.OPEN,
            OpenSubcode.BAD_BGP_IDENTIFIER,
            text="peer has our own BGP identifier",
        )


def _check_roles(
    settings: PeerSettings, ours: Capabilities, theirs: Capabilities
) -> Role | None:
    if ours.role is None:
        return None
    if theirs.role is None:
        if settings.is_role_strict:
            raise NotifyError(
                ErrorCode.OPEN,
                OpenSubcode.ROLE_MISMATCH,
                text="peer sent no role, which role_strict requires",
            )
        return None
    if (ours.role, theirs.role) not in _ROLE_PAIRS:
        raise NotifyError(
            ErrorCode.OPEN,
            OpenSubcode.ROLE_MISMATCH,
            text=f"our role {settings.role} does not match the peer's role {_role_name(theirs.role)}",
        )
    return Role(theirs.role)


def _role_name(role: int) -> str:
    return next(
        (name for name, known in ROLE_NAMES.items() if known == role), str(role)
    )


def _common_families(ours: Capabilities, theirs: Capabilities) -> frozenset[Family]:
    # RFC 4760 8: a side without the capability speaks IPv4 unicast.
    local = frozenset(ours.families or (IPV4_UNICAST,))
    common = local & frozenset(theirs.families or (IPV4_UNICAST,))
    if not common:
        needed = b"".join(encode_capabilities(Capabilities(families=ours.families)))
        raise NotifyError(
            ErrorCode.OPEN,
            OpenSubcode.UNSUPPORTED_CAPABILITY,
            needed,
            f"no common address family; we offer {', '.join(map(str, sorted(local)))}",
        )
    return common


def _add_path(
    ours: Capabilities, theirs: Capabilities
) -> tuple[frozenset[Family], frozenset[Family]]:
    offered, wanted = dict(ours.add_path), dict(theirs.add_path)
    both = offered.keys() & wanted.keys()
    receive = {f for f in both if offered[f] in _RECEIVES and wanted[f] in _SENDS}
    send = {f for f in both if offered[f] in _SENDS and wanted[f] in _RECEIVES}
    return frozenset(receive), frozenset(send)


def _keepalive_time(settings: PeerSettings, hold_time: int) -> float:
    longest = hold_time / KEEPALIVE_FRACTION
    return min(settings.keepalive_time or longest, longest)
