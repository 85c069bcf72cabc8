"""Neighbours in the configuration file. Pure.

An option that is not written is inherited: a peer or range takes it from its group, that
from ``bgp.defaults``, and that from ``bgpd.session.settings.PeerSettings``. The names of
keys and of fields there are the same but for ``FIELD_OF_KEY``.
"""

from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from bgpd.config.base import Section
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

NextHop = Literal[
    "auto",
    "self",
    "self-all",
    "self-internal",
    "keep",
    "keep-external",
    "keep-internal",
]

FIELD_OF_KEY: Final = MappingProxyType(
    {
        "as": "remote_as",
        "address": "remote_addr",
        "local_address": "local_addr",
        "passive": "is_passive",
        "client": "is_client",
        "dual_as": "other_as",
        "as_override": "overrides_as",
        "default_originate": "tells_default",
        "replace_private_as": "replaces_private_as",
        "graceful_restart": "has_graceful_restart",
        "extended_message": "has_extended_message",
        "extended_next_hop": "has_extended_next_hop",
        "role_strict": "is_role_strict",
        "allow_as_set": "allows_as_set",
        "enforce_first_as": "enforces_first_as",
        "discard_attributes": "discarded_attributes",
        "withdraw_attributes": "withdrawn_attributes",
        "disable_capabilities": "disabled_capabilities",
    }
)
"""Keys that read as orders where the settings read as claims."""


_LimitAction = Literal["warn", "block", "restart", "disable"]


class FamilyOptions(Section):
    """One address family of a session; its bare name stands for the defaults."""

    name: Annotated[
        Literal["ipv4-unicast", "ipv6-unicast"], Field(description="the family")
    ]
    add_path: Annotated[
        Literal["off", "receive", "send", "both"],
        Field(description="directions offered (RFC 7911)"),
    ] = "off"
    add_path_max: Annotated[
        Count, Field(description="paths sent per prefix; 0 is all")
    ] = 0
    max_prefixes: Annotated[
        Count,
        Field(
            description="limit of the prefixes accepted, which import policy and loop "
            "checks let through; 0 is none"
        ),
    ] = 0
    max_prefixes_warning: Annotated[
        Percent, Field(description="part of `max_prefixes` that is worth a warning")
    ] = 80
    max_prefixes_action: Annotated[
        _LimitAction,
        Field(
            description="what more of them lead to: `warn` logs; `block` keeps further "
            "ones out; `restart` ends the session and tries again; `disable` ends it "
            "until `pybgpctl enable-peer`"
        ),
    ] = "restart"
    max_prefixes_restart_time: Annotated[
        Seconds,
        Field(
            description="after which `restart` tries again; 0 is the usual back-off, "
            "and 60 for neighbours of a range"
        ),
    ] = 0
    max_received: Annotated[
        Count,
        Field(
            description="limit of the prefixes received, whatever policy says of them; "
            "0 is none"
        ),
    ] = 0
    max_received_warning: Annotated[
        Percent, Field(description="part of `max_received` that is worth a warning")
    ] = 80
    max_received_action: Annotated[
        _LimitAction,
        Field(
            description="as `max_prefixes_action`; `block` forgets further ones, and "
            "asks for them when the limit is raised"
        ),
    ] = "restart"
    max_received_restart_time: Annotated[
        Seconds, Field(description="as `max_prefixes_restart_time`")
    ] = 0


def _off(value: object) -> object:
    return "off" if value is False else value


def _family(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


FamilyItem = Annotated[FamilyOptions, BeforeValidator(_family)]


class SessionOptions(Section):
    """What a session is like; each option is inherited where it is not written."""

    description: Annotated[str | None, Field(description="free text")] = None
    local_as: Annotated[
        AsNumber | None, Field(description="our AS on this session; default `bgp.as`")
    ] = None
    local_as_mode: Annotated[
        Literal["replace-as", "no-prepend", "prepend"] | None,
        Field(
            description="where `local_as` is not `bgp.as`: `replace-as` shows the peer "
            "`local_as` alone, `no-prepend` both, and `prepend` puts `local_as` before the "
            "path of routes received, too"
        ),
    ] = None
    dual_as: Annotated[
        Switch | None,
        Field(
            description="where `local_as` is not `bgp.as`: a peer that refuses the one "
            "(Bad Peer AS) is offered the other, whose session is as without `local_as`"
        ),
    ] = None
    as_override: Annotated[
        Switch | None,
        Field(description="our AS stands in for the peer's in paths sent to it"),
    ] = None
    remove_private_as: Annotated[
        Literal["off", "if-all-private", "leading", "all"] | None,
        BeforeValidator(_off),
        Field(
            description="private AS numbers (RFC 6996) that an eBGP peer is not shown: "
            "those of paths that have no other, those before the first public one, or all; "
            "the peer's own stays"
        ),
    ] = None
    replace_private_as: Annotated[
        Switch | None, Field(description="our AS stands in for each of them")
    ] = None
    local_address: Annotated[
        Address | None,
        Field(
            description="our address: source of connections, and those that come in to "
            "another one are refused; default the kernel's choice, and any"
        ),
    ] = None
    interface: Annotated[
        Interface | None,
        Field(description="device that connections are bound to, whoever makes them"),
    ] = None
    port: Annotated[Port | None, Field(description="TCP port connected to")] = None
    passive: Annotated[
        Switch | None,
        Field(
            description="never connect, only accept; neighbours of a range are connected "
            "to only if they were up before a restart, and not with this"
        ),
    ] = None
    families: Annotated[
        list[FamilyItem] | None,
        Field(min_length=1, description="families offered, by name or with options"),
    ] = None
    hold_time: Annotated[
        HoldTime | None, Field(description="offered; 0 is no keepalives (RFC 4271 4.2)")
    ] = None
    keepalive_time: Annotated[
        Seconds | None, Field(description="0 is a third of the negotiated hold time")
    ] = None
    connect_retry_time: Annotated[
        Annotated[Seconds, Field(ge=1)] | None,
        Field(description="between attempts, before back-off and jitter"),
    ] = None
    max_connect_retry_time: Annotated[
        Seconds | None,
        Field(
            description="back-off goes no further; 0 is 60, and 5 for peers of a cluster "
            "as in Calico; never less than `connect_retry_time`"
        ),
    ] = None
    delay_open_time: Annotated[
        Seconds | None, Field(description="RFC 4271 8.1.1 DelayOpen; 0 is off")
    ] = None
    connect_delay_time: Annotated[
        Seconds | None,
        Field(
            description="from a start to our first attempt to connect; the peer may come "
            "before"
        ),
    ] = None
    idle_hold_time: Annotated[
        Seconds | None,
        Field(
            description="in Idle after an error, doubled with each in a row; 0 is 1 (RFC "
            "4271 8.1.1)"
        ),
    ] = None
    max_idle_hold_time: Annotated[
        Seconds | None,
        Field(description="doubling goes no further; 0 is 60"),
    ] = None
    send_hold_time: Annotated[
        Seconds | None,
        Field(description="RFC 9687; 0 is the larger of 480 and twice the hold time"),
    ] = None
    client: Annotated[
        Switch | None, Field(description="route-reflector client (RFC 4456)")
    ] = None
    cluster_id: Annotated[
        RouterId | None, Field(description="cluster id towards this peer")
    ] = None
    next_hop: Annotated[
        NextHop | None,
        Field(
            description="next hop sent: `auto` is kept on iBGP and ourselves on eBGP; "
            "`self` is ourselves, but reflected routes keep theirs (RFC 4456 10); "
            "`self-all` is ourselves for those, too, and `self-internal` for those alone; "
            "`keep` leaves all, `keep-external` and `keep-internal` those of eBGP or iBGP "
            "peers"
        ),
    ] = None
    ttl_security_hops: Annotated[
        Hops | None,
        Field(description="RFC 5082: TTL of at least 256 less this; 0 is off"),
    ] = None
    multihop_ttl: Annotated[
        Hops | None, Field(description="TTL sent on eBGP; 0 is 1")
    ] = None
    password: Annotated[
        Password | None, Field(repr=False, description="TCP MD5 key (RFC 2385)")
    ] = None
    password_file: Annotated[
        str | None, Field(description="a file whose first line is the password")
    ] = None
    graceful_restart: Annotated[
        Switch | None, Field(description="send the capability (RFC 4724)")
    ] = None
    graceful_restart_time: Annotated[
        RestartSeconds | None, Field(description="restart time sent; 0 is helper only")
    ] = None
    long_lived_stale_time: Annotated[
        LongSeconds | None, Field(description="RFC 9494; 0 is off")
    ] = None
    max_graceful_restart_time: Annotated[
        RestartSeconds | None,
        Field(
            description="the peer's routes stay no longer after a loss, whatever restart "
            "time it gives; 0 is what it gives"
        ),
    ] = None
    max_long_lived_stale_time: Annotated[
        LongSeconds | None,
        Field(description="the same for the long-lived stale time that the peer gives"),
    ] = None
    extended_message: Annotated[
        Switch | None, Field(description="offer messages of 65,535 octets (RFC 8654)")
    ] = None
    extended_next_hop: Annotated[
        Switch | None, Field(description="offer IPv4 over IPv6 next hops (RFC 8950)")
    ] = None
    role: Annotated[
        Literal["provider", "rs", "rs-client", "customer", "peer"] | None,
        Field(description="our role on an eBGP session (RFC 9234)"),
    ] = None
    role_strict: Annotated[
        Switch | None, Field(description="the peer must send its role")
    ] = None
    import_policy: Annotated[
        str | None, Field(description="policy of routes received; default by peer type")
    ] = None
    export_policy: Annotated[
        str | None, Field(description="policy of routes sent; default by peer type")
    ] = None
    default_originate: Annotated[
        Switch | None,
        Field(
            description="the peer is told a default route whatever its policy says: the best "
            "there is, else one of our own, which nobody else is told"
        ),
    ] = None
    allow_own_as: Annotated[
        Annotated[int, Field(ge=0, le=255)] | None,
        Field(description="times our AS may stand in a received AS_PATH"),
    ] = None
    allow_as_set: Annotated[
        Switch | None, Field(description="accept AS_SET (RFC 9774 says reject)")
    ] = None
    enforce_first_as: Annotated[
        Switch | None, Field(description="an eBGP path begins with the peer's AS")
    ] = None
    discard_attributes: Annotated[
        list[AttributeCode] | None,
        Field(
            description="taken off received routes: type codes, or names such as `aigp`"
        ),
    ] = None
    withdraw_attributes: Annotated[
        list[AttributeCode] | None,
        Field(description="routes received with one of these are treated as withdrawn"),
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
        Field(description="left out of our OPEN; `all` is for peers that know none"),
    ] = None


class PeerGroup(SessionOptions):
    """Options that peers and ranges share."""

    asn: Annotated[
        RangeAs | None,
        Field(alias="as", description="the peers' AS, unless they say; as in a range"),
    ] = None


class Peer(SessionOptions):
    """A configured neighbour."""

    address: Annotated[
        PeerAddress,
        Field(
            description="the peer; link-local as fe80::1%eth0, or with `interface` beside it"
        ),
    ]
    name: Annotated[
        str | None, Field(min_length=1, description="unique; default the address")
    ] = None
    group: Annotated[str | None, Field(description="a group of `peer_groups`")] = None
    asn: Annotated[
        PeerAs | None,
        Field(
            alias="as",
            description="the peer's AS number; `internal` is ours on the session, and "
            "`external` any other",
        ),
    ] = None


class PeerRange(SessionOptions):
    """Dynamic neighbours: whoever connects from the prefix is a peer."""

    prefix: Annotated[
        PeerPrefix,
        Field(
            description="addresses they connect from; of one link as fe80::%eth0/64, or "
            "with `interface` beside it"
        ),
    ]
    name: Annotated[
        str | None, Field(min_length=1, description="unique; default the prefix")
    ] = None
    group: Annotated[str | None, Field(description="a group of `peer_groups`")] = None
    asn: Annotated[
        RangeAs | None,
        Field(
            alias="as",
            description="the peers' AS: a number, `internal`, `external`, a list of numbers "
            "and of ranges such as 64512-65534; 0 is any",
        ),
    ] = None
    limit: Annotated[
        int, Field(ge=1, le=100_000, description="so many peers at a time")
    ] = 5000
