"""The settings of one peer: the core's own type, independent of any file format.

Configuration and datastore are both turned into these values; a difference between two of
them decides what a reload costs (``ChangeCost``, by ``LIVE`` and ``REFRESHES``). Addresses are canonical text,
since this is the edge where people, sockets and datastores meet.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from rib.attributes import PrivateScope
from rib.family import IPV4_UNICAST, Family
from rib.policy import PrefixMatch


class NextHopMode(Enum):
    """What happens to NEXT_HOP when a route is sent to the peer."""

    AUTO = "auto"  # RFC 4271 5.1.3: kept on iBGP, self on eBGP
    SELF = "self"  # but for routes of iBGP peers that go to iBGP peers: RFC 4456 10
    SELF_ALL = "self-all"
    SELF_INTERNAL = "self-internal"
    KEEP = "keep"
    KEEP_EXTERNAL = "keep-external"
    KEEP_INTERNAL = "keep-internal"


class AsClass(Enum):
    """Which AS numbers a peer may have."""

    LISTED = "listed"  # one, those of some ranges, or any
    INTERNAL = "internal"  # ours on the session
    EXTERNAL = "external"  # any but ours


class LocalAsMode(Enum):
    """Which AS numbers appear on a session whose local AS is not that of the speaker."""

    REPLACE_AS = "replace-as"  # routes sent show the session's alone
    NO_PREPEND = "no-prepend"  # they show both
    PREPEND = "prepend"  # and routes received show the session's


class AddPathMode(Enum):
    """Which directions of RFC 7911 are offered."""

    OFF = "off"
    RECEIVE = "receive"
    SEND = "send"
    BOTH = "both"


class LimitAction(Enum):
    """What to do when a peer has more prefixes than a limit allows."""

    WARN = "warn"
    BLOCK = "block"  # further routes are rejected
    RESTART = "restart"  # Cease/1, and a new attempt after a time
    DISABLE = "disable"  # Cease/1, and no attempt before an operator enables the peer


@dataclass(frozen=True, slots=True)
class FamilySettings:
    """One address family on a session.

    Attributes:
        family: AFI and SAFI.
        add_path: Directions offered.
        add_path_max: At most so many paths are sent per prefix; 0 is all.
        max_prefixes: At most so many prefixes are accepted: import policy and loop
            checks let them through, and they are not stale; 0 means no limit.
        max_prefixes_warning: Percent of the limit above which a warning is logged.
        max_prefixes_action: What follows when there are more.
        max_prefixes_restart_time: Seconds until the next attempt after ``RESTART``;
            0 is the back-off of any failure.
        max_received: At most so many prefixes are received, whatever policy does with them.
        max_received_warning: As ``max_prefixes_warning``.
        max_received_action: As ``max_prefixes_action``.
        max_received_restart_time: As ``max_prefixes_restart_time``.
        max_advertised: At most so many routes are advertised; 0 means no limit.
        max_advertised_warning: As ``max_prefixes_warning``.
        max_advertised_action: What follows when there are more for the peer.
        max_advertised_restart_time: As ``max_prefixes_restart_time``.
    """

    family: Family
    add_path: AddPathMode = AddPathMode.OFF
    add_path_max: int = 0
    max_prefixes: int = 0
    max_prefixes_warning: int = 80
    max_prefixes_action: LimitAction = LimitAction.RESTART
    max_prefixes_restart_time: int = 0
    max_received: int = 0
    max_received_warning: int = 80
    max_received_action: LimitAction = LimitAction.RESTART
    max_received_restart_time: int = 0
    max_advertised: int = 0
    max_advertised_warning: int = 80
    max_advertised_action: LimitAction = LimitAction.BLOCK
    max_advertised_restart_time: int = 0


@dataclass(frozen=True, slots=True)
class BfdSettings:
    """Whether the path to a peer works, asked by BFD (RFC 5880, RFC 5882).

    Attributes:
        min_tx: Milliseconds that we would like to have between packets that we send.
        min_rx: Milliseconds between packets that we can receive.
        multiplier: After so many lost packets in a row the peer takes the path as broken.
        is_multihop: RFC 5883 on port 4784; ``None`` is where the session may take several hops.
        is_strict: No BGP session before BFD is up (draft-ietf-idr-bgp-bfd-strict-mode).
        auth_type: As the configuration has it, such as ``keyed-sha1``; empty is none.
        auth_key_id: 0 to 255.
        auth_secret: The password or key.
    """

    min_tx: int = 300
    min_rx: int = 300
    multiplier: int = 3
    is_multihop: bool | None = None
    is_strict: bool = False
    auth_type: str = ""
    auth_key_id: int = 1
    auth_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """A configured neighbour (or the template of a dynamic range).

    Attributes:
        name: Unique; shown everywhere.
        remote_addr: Canonical text; a link-local address carries ``%interface``. Empty in
            the template of a dynamic range.
        remote_as: 0 where it is not one AS alone: then the next two say which are taken
            in the OPEN; by default any.
        remote_as_class: See ``AsClass``.
        remote_as_ranges: Closed ranges of AS numbers.
        local_as: Our AS on this session.
        local_as_mode: See ``LocalAsMode``.
        other_as: Our AS where the peer does not know us by ``local_as`` (it says Bad Peer
            AS); ``None`` is none, and 0 one that the datastore knows.
        overrides_as: Put ``local_as`` for the peer's AS in paths sent to it.
        remove_private_as: Private AS numbers that paths sent are rid of.
        replaces_private_as: Put ``local_as`` in their place.
        local_addr: Source address; empty lets the kernel choose.
        interface: Device to bind to; empty for none.
        port: TCP port connected to.
        is_passive: Never connect, only accept.
        families: Families offered, each its own settings.
        hold_time: Seconds offered, 0 or at least 3 (RFC 4271 4.2).
        keepalive_time: Seconds; 0 is a third of the negotiated hold time.
        connect_retry_time: Seconds between attempts before back-off and jitter.
        max_connect_retry_time: Seconds that back-off does not exceed; 0 is 60.
        delay_open_time: Seconds (RFC 4271 8.1.1 DelayOpen); 0 is off.
        connect_delay_time: Seconds from the peer's start to our first attempt.
        idle_hold_time: Seconds in Idle after an error, doubled with each in a row; 0 is 1.
        max_idle_hold_time: Seconds that doubling does not exceed; 0 is 60.
        send_hold_time: Seconds (RFC 9687); 0 is the larger of 480 and twice the hold time.
        is_client: Route-reflector client (RFC 4456).
        cluster_id: Overrides the speaker's cluster id towards this peer; empty inherits.
        next_hop: See ``NextHopMode``.
        ttl_security_hops: RFC 5082: accept only TTL >= 256 - hops; 0 is off.
        multihop_ttl: TTL sent on eBGP; 0 is 1 for eBGP and the system default for iBGP.
        password: TCP MD5 key (RFC 2385), at most 80 octets; empty is none.
        graceful_restart_time: Seconds advertised (RFC 4724), 0 is helper only.
        has_graceful_restart: Whether the capability is sent at all.
        long_lived_stale_time: Seconds (RFC 9494); 0 is off.
        max_graceful_restart_time: Seconds that we keep the peer's routes for after a loss,
            whatever restart time it gives; 0 is what it gives.
        max_long_lived_stale_time: As that, of its long-lived stale time.
        has_extended_message: Offer RFC 8654.
        has_extended_next_hop: Offer RFC 8950 for IPv4 over IPv6 next hops.
        role: RFC 9234 role by name (provider, rs, rs-client, customer, peer); empty is none.
        is_role_strict: The peer must send a role too.
        import_policy: Name of a policy; empty is the default for the peer's type.
        export_policy: As ``import_policy``.
        originates_default: Whether the peer gets a default route whatever policy says.
        default_when: Only while the table has one of these; ``None`` is always.
        default_policy: Name of what judges default routes in place of ``export_policy``,
            where that is so; empty lets them through as they are.
        allow_own_as: How often our own AS may stand in a received AS_PATH.
        allows_as_set: Accept AS_SET (RFC 9774 says reject).
        enforces_first_as: The first AS of an eBGP path must be the peer's.
        is_same_domain: An external peer is of our administrative domain, so attributes that
            stay within one go both ways (RFC 8669 8, RFC 9012 11).
        obeys_graceful_shutdown: An external peer's routes with GRACEFUL_SHUTDOWN get
            LOCAL_PREF 0 (RFC 8326 4.1).
        discarded_attributes: Type codes of attributes taken off received routes.
        withdrawn_attributes: Type codes of attributes whose routes are treated as withdrawn.
        disabled_capabilities: Codes of capabilities to leave out of our OPEN.
        description: Free text.
        group: The group in ``peer_groups`` that it takes options from; empty without.
        node: The node of the cluster that the peer is; empty if it is none.
        bfd: ``None`` is without.
    """

    name: str
    remote_addr: str
    remote_as: int
    local_as: int
    remote_as_class: AsClass = AsClass.LISTED
    remote_as_ranges: tuple[tuple[int, int], ...] = ()
    local_as_mode: LocalAsMode = LocalAsMode.REPLACE_AS
    other_as: int | None = None
    overrides_as: bool = False
    remove_private_as: PrivateScope = PrivateScope.NONE
    replaces_private_as: bool = False
    local_addr: str = ""
    interface: str = ""
    port: int = 179
    is_passive: bool = False
    families: tuple[FamilySettings, ...] = field(
        default=(FamilySettings(IPV4_UNICAST),)
    )
    hold_time: int = 90
    keepalive_time: int = 0
    connect_retry_time: int = 5
    max_connect_retry_time: int = 0
    delay_open_time: int = 0
    connect_delay_time: int = 0
    idle_hold_time: int = 0
    max_idle_hold_time: int = 0
    send_hold_time: int = 0
    is_client: bool = False
    cluster_id: str = ""
    next_hop: NextHopMode = NextHopMode.AUTO
    ttl_security_hops: int = 0
    multihop_ttl: int = 0
    password: str = field(default="", repr=False)
    graceful_restart_time: int = 120
    has_graceful_restart: bool = True
    long_lived_stale_time: int = 0
    max_graceful_restart_time: int = 0
    max_long_lived_stale_time: int = 0
    has_extended_message: bool = True
    has_extended_next_hop: bool = False
    role: str = ""
    is_role_strict: bool = False
    import_policy: str = ""
    export_policy: str = ""
    originates_default: bool = False
    default_when: PrefixMatch | None = None
    default_policy: str = ""
    allow_own_as: int = 0
    allows_as_set: bool = False
    enforces_first_as: bool = True
    is_same_domain: bool = False
    obeys_graceful_shutdown: bool = True
    discarded_attributes: frozenset[int] = frozenset()
    withdrawn_attributes: frozenset[int] = frozenset()
    disabled_capabilities: frozenset[int] = frozenset()
    description: str = ""
    group: str = ""
    node: str = ""
    bfd: BfdSettings | None = None

    def accepts_as(self, asn: int) -> bool:
        """Return whether the peer may have this AS."""
        if self.remote_as_class is not AsClass.LISTED:
            is_ours = asn == self.local_as
            return is_ours is (self.remote_as_class is AsClass.INTERNAL)
        if self.remote_as_ranges:
            return any(low <= asn <= high for low, high in self.remote_as_ranges)
        return self.remote_as in (0, asn)

    @property
    def is_internal(self) -> bool | None:
        """Whether the peer is in our AS; ``None`` if only its OPEN can tell."""
        if self.remote_as_class is not AsClass.LISTED:
            return self.remote_as_class is AsClass.INTERNAL
        if not self.accepts_as(self.local_as):
            return False
        return True if self.remote_as else None

    @property
    def accepted_as(self) -> str:
        """Which AS numbers the peer may have, for people."""
        if self.remote_as_class is AsClass.EXTERNAL:
            return "external"
        if self.remote_as_ranges:
            return ", ".join(
                str(low) if low == high else f"{low}-{high}"
                for low, high in self.remote_as_ranges
            )
        return str(self.remote_as) if self.remote_as else "any"


@dataclass(frozen=True, slots=True)
class RangeSettings:
    """Dynamic neighbours: any peer that connects from ``prefix`` gets the settings of ``template``.

    Attributes:
        name: Unique among ranges.
        prefix: Canonical text of an IPv4 or IPv6 prefix; the longest match wins.
        limit: At most so many peers at a time.
        template: Its ``remote_addr`` is empty. Neighbours connect by themselves; without
            ``is_passive`` we also connect to those who were up before our restart.
    """

    name: str
    prefix: str
    limit: int
    template: PeerSettings


def peer_fields(settings: PeerSettings) -> dict[str, str]:
    """Return what names a peer in a log line, where its text has ``%(peer)s (%(address)s)``."""
    return {"peer": settings.name, "address": settings.remote_addr}


class ChangeCost(Enum):
    """What applying a changed setting costs the session, mildest first."""

    LIVE = "live"  # sessions exchange nothing
    REFRESH = "refresh"  # sessions send or request routes again
    RESET = "reset"  # the session restarts


REFRESHES: Final = frozenset(
    {
        "cluster_id",
        "next_hop",
        "local_as_mode",
        "overrides_as",
        "remove_private_as",
        "replaces_private_as",
        "is_client",
        "import_policy",
        "export_policy",
        "originates_default",
        "default_when",
        "default_policy",
        "allow_own_as",
        "allows_as_set",
        "enforces_first_as",
        "is_same_domain",
        "obeys_graceful_shutdown",
        "discarded_attributes",
        "withdrawn_attributes",
    }
)
LIVE: Final = frozenset(
    {
        "name",
        "description",
        "group",
        "node",
        "connect_retry_time",
        "max_connect_retry_time",
        "delay_open_time",
        "connect_delay_time",
        "idle_hold_time",
        "max_idle_hold_time",
        "is_passive",
        "keepalive_time",
        "send_hold_time",
        "max_graceful_restart_time",
        "max_long_lived_stale_time",
        "password",
        "bfd",
    }
)
