"""Neighbours in the configuration file. Pure.

An option that is not written is inherited: a peer or range takes it from its group, that
from ``bgp.defaults``, and that from ``bgpd.session.settings.PeerSettings``. The names of
keys and of fields there are the same but for ``key_names.FIELD_OF_KEY``.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from bgpd.config.base import Section
from bgpd.config.bfd import BfdItem
from bgpd.config.fields import (
    Address,
    AsNumber,
    AttributeCode,
    Count,
    HoldTime,
    Hops,
    Interface,
    LongSeconds,
    Password,
    PeerAddress,
    PeerAs,
    PeerPrefix,
    Percent,
    Port,
    RangeAs,
    RestartSeconds,
    RouterId,
    Seconds,
    Switch,
)
from bgpd.config.policies import PrefixItem

NextHop = Literal[
    "auto",
    "self",
    "self-all",
    "self-internal",
    "keep",
    "keep-external",
    "keep-internal",
]

_LimitAction = Literal["warn", "block", "restart", "disable"]


class FamilyOptions(Section):
    """One address family of a session; its bare name stands for the defaults."""

    name: Annotated[
        Literal["ipv4-unicast", "ipv6-unicast"], Field(description="address family")
    ]
    add_path: Annotated[
        Literal["off", "receive", "send", "both"],
        Field(description="directions to offer (RFC 7911)"),
    ] = "off"
    add_path_max: Annotated[
        Count,
        Field(description="maximum number of paths to send per prefix; 0 means all"),
    ] = 0
    max_prefixes: Annotated[
        Count,
        Field(
            description="limit of accepted prefixes, counted after import policy and loop "
            "checks; 0 means no limit"
        ),
    ] = 0
    max_prefixes_warning: Annotated[
        Percent,
        Field(description="percentage of `max_prefixes` at which to log a warning"),
    ] = 80
    max_prefixes_action: Annotated[
        _LimitAction,
        Field(
            description="what to do above the limit: `warn` logs a warning; `block` rejects "
            "further prefixes; `restart` closes the session and tries again "
            "later; `disable` closes it until `pybgpctl enable-peer`"
        ),
    ] = "restart"
    max_prefixes_restart_time: Annotated[
        Seconds,
        Field(
            description="how long `restart` waits before it tries again; 0 means the usual "
            "back-off, or 60 for dynamic neighbours"
        ),
    ] = 0
    max_received: Annotated[
        Count,
        Field(
            description="limit of received prefixes, counted before policy; 0 means no limit"
        ),
    ] = 0
    max_received_warning: Annotated[
        Percent,
        Field(description="percentage of `max_received` at which to log a warning"),
    ] = 80
    max_received_action: Annotated[
        _LimitAction,
        Field(
            description="like `max_prefixes_action`; `block` discards further prefixes and "
            "asks for them again when the limit is raised"
        ),
    ] = "restart"
    max_received_restart_time: Annotated[
        Seconds, Field(description="like `max_prefixes_restart_time`")
    ] = 0
    max_advertised: Annotated[
        Count,
        Field(
            description="limit of advertised routes; with add-path every path counts; 0 means "
            "no limit. A peer with a limit has an update group of its own"
        ),
    ] = 0
    max_advertised_warning: Annotated[
        Percent,
        Field(description="percentage of `max_advertised` at which to log a warning"),
    ] = 80
    max_advertised_action: Annotated[
        _LimitAction,
        Field(
            description="what to do above the limit: `warn` logs a warning; `block` does not "
            "advertise further routes until there is room; `restart` and `disable` "
            "also close the session, as in `max_prefixes_action`"
        ),
    ] = "block"
    max_advertised_restart_time: Annotated[
        Seconds, Field(description="like `max_prefixes_restart_time`")
    ] = 0


def _off(value: object) -> object:
    return "off" if value is False else value


def _family(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


FamilyItem = Annotated[FamilyOptions, BeforeValidator(_family)]


class SessionOptions(Section):
    """Options of a session; an option that is not set is inherited."""

    description: Annotated[str | None, Field(description="free text")] = None
    local_as: Annotated[
        AsNumber | None,
        Field(description="our AS number on this session; defaults to `bgp.as`"),
    ] = None
    local_as_mode: Annotated[
        Literal["replace-as", "no-prepend", "prepend"] | None,
        Field(
            description="matters if `local_as` differs from `bgp.as`: `replace-as` sends "
            "only `local_as`, `no-prepend` sends both, and `prepend` also "
            "prepends `local_as` to the paths of received routes"
        ),
    ] = None
    dual_as: Annotated[
        Switch | None,
        Field(
            description="matters if `local_as` differs from `bgp.as`: if the peer "
            "rejects one of the two (Bad Peer AS), offer the other; a "
            "session with `bgp.as` behaves as if `local_as` were not set"
        ),
    ] = None
    as_override: Annotated[
        Switch | None,
        Field(
            description="replace the peer's AS with ours in the paths that we send to it"
        ),
    ] = None
    remove_private_as: Annotated[
        Literal["off", "if-all-private", "leading", "all"] | None,
        BeforeValidator(_off),
        Field(
            description="remove private AS numbers (RFC 6996) from paths sent to an eBGP "
            "peer: only from paths that have no other numbers, only those before "
            "the first public one, or all; the peer's own AS stays"
        ),
    ] = None
    replace_private_as: Annotated[
        Switch | None,
        Field(
            description="replace these AS numbers with ours instead of removing them"
        ),
    ] = None
    local_address: Annotated[
        Address | None,
        Field(
            description="local address of the session: we connect from it, and reject "
            "connections to any other; by default the kernel chooses, and any "
            "address will do"
        ),
    ] = None
    interface: Annotated[
        Interface | None,
        Field(description="network device to bind connections to, in both directions"),
    ] = None
    port: Annotated[Port | None, Field(description="TCP port to connect to")] = None
    passive: Annotated[
        Switch | None,
        Field(
            description="never connect, only accept; dynamic neighbours are always passive, "
            "except that after a restart we connect to those that were up, which "
            "this key prevents"
        ),
    ] = None
    families: Annotated[
        list[FamilyItem] | None,
        Field(
            min_length=1,
            description="address families to offer, by name or with options",
        ),
    ] = None
    hold_time: Annotated[
        HoldTime | None,
        Field(description="hold time to offer; 0 means no keepalives (RFC 4271 4.2)"),
    ] = None
    keepalive_time: Annotated[
        Seconds | None,
        Field(
            description="interval between keepalives; 0 means a third of the negotiated hold "
            "time"
        ),
    ] = None
    connect_retry_time: Annotated[
        Annotated[Seconds, Field(ge=1)] | None,
        Field(
            description="interval between connection attempts, before back-off and jitter"
        ),
    ] = None
    max_connect_retry_time: Annotated[
        Seconds | None,
        Field(
            description="upper limit of the back-off; 0 means 60, or 5 for the peers of a "
            "Calico cluster; never less than `connect_retry_time`"
        ),
    ] = None
    delay_open_time: Annotated[
        Seconds | None,
        Field(description="DelayOpenTime (RFC 4271 8.1.1); 0 turns it off"),
    ] = None
    connect_delay_time: Annotated[
        Seconds | None,
        Field(
            description="delay between the start of the session and our first attempt to "
            "connect; the peer may connect earlier"
        ),
    ] = None
    idle_hold_time: Annotated[
        Seconds | None,
        Field(
            description="IdleHoldTime after an error, doubled with each further error (RFC "
            "4271 8.1.1); 0 means 1"
        ),
    ] = None
    max_idle_hold_time: Annotated[
        Seconds | None,
        Field(description="upper limit of that doubling; 0 means 60"),
    ] = None
    send_hold_time: Annotated[
        Seconds | None,
        Field(
            description="SendHoldTime (RFC 9687); 0 means 480 or twice the hold time, "
            "whichever is larger"
        ),
    ] = None
    client: Annotated[
        Switch | None,
        Field(description="the peer is a route-reflector client (RFC 4456)"),
    ] = None
    cluster_id: Annotated[
        RouterId | None, Field(description="cluster ID towards this peer")
    ] = None
    next_hop: Annotated[
        NextHop | None,
        Field(
            description="next hop to send: `auto` keeps it on iBGP and sets our address on "
            "eBGP; `self` sets our address, but not for reflected routes (RFC "
            "4456 10); `self-all` includes reflected routes, and `self-internal` "
            "affects only them; `keep` never changes it, `keep-external` and "
            "`keep-internal` keep that of routes from eBGP or iBGP peers"
        ),
    ] = None
    ttl_security_hops: Annotated[
        Hops | None,
        Field(
            description="GTSM (RFC 5082): accept only a TTL of at least 256 minus this "
            "value; 0 turns it off"
        ),
    ] = None
    multihop_ttl: Annotated[
        Hops | None, Field(description="TTL to send on eBGP; 0 means 1")
    ] = None
    password: Annotated[
        Password | None, Field(repr=False, description="TCP MD5 key (RFC 2385)")
    ] = None
    password_file: Annotated[
        str | None, Field(description="file whose first line is the password")
    ] = None
    bfd: Annotated[
        BfdItem | None,
        Field(
            description="watch the path by BFD: `on`, `off`, or a mapping ([BFD](#bfd))"
        ),
    ] = None
    graceful_restart: Annotated[
        Switch | None, Field(description="offer graceful restart (RFC 4724)")
    ] = None
    graceful_restart_time: Annotated[
        RestartSeconds | None,
        Field(description="restart time to send; 0 means helper only"),
    ] = None
    long_lived_stale_time: Annotated[
        LongSeconds | None,
        Field(description="long-lived stale time to send (RFC 9494); 0 turns it off"),
    ] = None
    max_graceful_restart_time: Annotated[
        RestartSeconds | None,
        Field(
            description="upper limit of the restart time that the peer sends; 0 means no "
            "limit"
        ),
    ] = None
    max_long_lived_stale_time: Annotated[
        LongSeconds | None,
        Field(
            description="upper limit of the long-lived stale time that the peer sends; 0 "
            "means no limit"
        ),
    ] = None
    extended_message: Annotated[
        Switch | None,
        Field(description="offer messages of up to 65,535 octets (RFC 8654)"),
    ] = None
    extended_next_hop: Annotated[
        Switch | None,
        Field(description="offer IPv6 next hops for IPv4 routes (RFC 8950)"),
    ] = None
    role: Annotated[
        Literal["provider", "rs", "rs-client", "customer", "peer"] | None,
        Field(description="our role on an eBGP session (RFC 9234)"),
    ] = None
    role_strict: Annotated[
        Switch | None, Field(description="require the peer to send its role")
    ] = None
    import_policy: Annotated[
        str | None,
        Field(
            description="policy for received routes; the default depends on the type of peer"
        ),
    ] = None
    export_policy: Annotated[
        str | None,
        Field(
            description="policy for routes to send; the default depends on the type of peer"
        ),
    ] = None
    default_originate: Annotated[
        Switch | None,
        Field(
            description="advertise a default route to this peer, whatever its policy says: "
            "the best one in the table, or else one that we originate for this "
            "peer alone"
        ),
    ] = None
    default_originate_when: Annotated[
        list[PrefixItem] | None,
        Field(
            description="advertise it only while the table has a usable route that matches one "
            "of these items, written as in `match.prefixes`; an empty list means always"
        ),
    ] = None
    default_originate_policy: Annotated[
        str | None,
        Field(
            description="policy for default routes, instead of `export_policy`; without one they "
            "go out unchanged"
        ),
    ] = None
    allow_own_as: Annotated[
        Annotated[int, Field(ge=0, le=255)] | None,
        Field(description="how many times our AS may occur in a received AS_PATH"),
    ] = None
    allow_as_set: Annotated[
        Switch | None,
        Field(description="accept paths with AS_SET, which RFC 9774 says to reject"),
    ] = None
    enforce_first_as: Annotated[
        Switch | None,
        Field(description="require that paths from an eBGP peer start with its AS"),
    ] = None
    same_domain: Annotated[
        Switch | None,
        Field(
            description="the eBGP peer belongs to our administrative domain: accept prefix "
            "SID and tunnel encapsulation attributes from it, and send them to it"
        ),
    ] = None
    graceful_shutdown: Annotated[
        Switch | None,
        Field(
            description="give LOCAL_PREF 0 to routes from the eBGP peer that carry "
            "GRACEFUL_SHUTDOWN, whatever policy says (RFC 8326)"
        ),
    ] = None
    discard_attributes: Annotated[
        list[AttributeCode] | None,
        Field(
            description="attributes to remove from received routes, by type code or name, "
            "such as `aigp`"
        ),
    ] = None
    withdraw_attributes: Annotated[
        list[AttributeCode] | None,
        Field(
            description="attributes whose presence makes a received route count as withdrawn"
        ),
    ] = None
    disable_capabilities: Annotated[
        list[
            Literal[
                "all",
                "multiprotocol",
                "route-refresh",
                "enhanced-route-refresh",
                "four-octet-as",
                "hostname",
            ]
        ]
        | None,
        Field(
            description="capabilities to leave out of our OPEN; `all` suits peers that "
            "reject any capability"
        ),
    ] = None


class PeerGroup(SessionOptions):
    """Options that peers and ranges share."""

    asn: Annotated[
        RangeAs | None,
        Field(
            alias="as",
            description="AS number of the peers that set none, in the same forms as in a range",
        ),
    ] = None


class Peer(SessionOptions):
    """A configured neighbour."""

    address: Annotated[
        PeerAddress,
        Field(
            description="address of the peer; link-local as fe80::1%eth0, or with "
            "`interface`"
        ),
    ]
    name: Annotated[
        str | None,
        Field(min_length=1, description="unique name; defaults to the address"),
    ] = None
    group: Annotated[
        str | None, Field(description="name of a group in `peer_groups`")
    ] = None
    asn: Annotated[
        PeerAs | None,
        Field(
            alias="as",
            description="AS number of the peer; `internal` is our AS on this session, and "
            "`external` any other",
        ),
    ] = None


class PeerRange(SessionOptions):
    """Dynamic neighbours: every router that connects from the prefix becomes a peer."""

    prefix: Annotated[
        PeerPrefix,
        Field(
            description="prefix that the neighbours connect from; link-local as "
            "fe80::%eth0/64, or with `interface`"
        ),
    ]
    name: Annotated[
        str | None,
        Field(min_length=1, description="unique name; defaults to the prefix"),
    ] = None
    group: Annotated[
        str | None, Field(description="name of a group in `peer_groups`")
    ] = None
    asn: Annotated[
        RangeAs | None,
        Field(
            alias="as",
            description="AS number of the neighbours: a number, `internal`, `external`, or a "
            "list of numbers and of ranges such as 64512-65534; 0 means any",
        ),
    ] = None
    limit: Annotated[
        int,
        Field(ge=1, le=100_000, description="maximum number of neighbours at a time"),
    ] = 5000
