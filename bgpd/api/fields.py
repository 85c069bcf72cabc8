"""Every key of every answer: its type and what it is. Pure.

The OpenAPI document and docs/json.md are made from this table, and tests hold the answers against
it. Types are ``string``, ``integer``, ``number``, ``boolean``, ``any`` or the name of another form; after
them ``[]`` is a list, ``{}`` an object whose keys are names, and ``?`` says that the value may be null.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Field(NamedTuple):
    """One key of an object.

    Attributes:
        name: The key.
        type: Of its value.
        help: What it is.
        is_optional: It may be missing.
    """

    name: str
    type: str
    help: str
    is_optional: bool = False


class Form(NamedTuple):
    """One kind of object.

    Attributes:
        title: What it is about.
        fields: Its keys.
    """

    title: str
    fields: tuple[Field, ...]


def _optional(name: str, kind: str, text: str) -> Field:
    return Field(name, kind, text, is_optional=True)


_PROBLEM: Final = (
    Field(
        "remedy",
        "string",
        "what was done (RFC 7606 2): `attribute-discard`, `treat-as-withdraw`, `afi-safi-disable` or "
        "`session-reset`",
    ),
    Field("attribute", "string?", "the path attribute; null if it is not about one"),
    Field("reason", "string", "what was found and what was expected"),
)
_PEER: Final = (
    Field("name", "string", "as configured; of a dynamic neighbour its address"),
    Field("address", "string", "as configured"),
    Field("remote_as", "integer?", "the peer's AS, its own once it has sent its OPEN"),
    Field("local_as", "integer", "our AS on the session"),
    Field("peer_type", "string", "`client`, `non-client` (iBGP) or `ebgp`"),
    Field("range", "string?", "the range that a dynamic neighbour belongs to"),
    Field("group", "string?", "the peer group that it takes options from"),
    Field("remote_node", "string?", "the node of the cluster that the peer is"),
    Field(
        "state",
        "string",
        "`Idle`, `Connect`, `Active`, `OpenSent`, `OpenConfirm`, `Established`",
    ),
    Field(
        "is_enabled",
        "boolean",
        "false after `disable-peer`, or after the limit of `disabled_by`",
    ),
    Field("disabled_by", "string?", "the limit that disabled it"),
    Field("drained_by", "string?", "who drains it: `command`, `node` or `shutdown`"),
    Field("drained_since", "string?", "since when, UTC"),
    Field("is_awaited", "boolean", "our selection deferral waits for its End-of-RIB"),
    Field("since", "string?", "when the session came up, or went down"),
    Field("uptime", "integer?", "seconds up"),
    Field("is_stale", "boolean", "some of its routes are of a session that ended"),
    _optional(
        "families", "peer_family[]", "an object for each family; not with `brief`"
    ),
    Field("received", "integer", "routes of all families that the peer sent"),
    Field("accepted", "integer", "those in Loc-RIB"),
    Field("filtered", "integer", "those kept out of it"),
    _optional(
        "advertised", "integer", "routes advertised to the peer; not with `brief`"
    ),
    Field("hold_time", "integer", "negotiated; without a session, configured"),
    Field("messages_in", "integer", "messages of all kinds from the peer"),
    Field("messages_out", "integer", "messages of all kinds to the peer"),
    Field("flaps", "integer", "sessions that went down"),
    Field("malformed_updates", "integer", "errors found in UPDATEs (RFC 7606)"),
    Field(
        "import_policy", "string?", "the one in force; null while the peer's AS is open"
    ),
    Field("export_policy", "string?", "likewise"),
    Field(
        "bfd",
        "string?",
        "state of its BFD session: `down`, `init`, `up`, `admin-down`, `unknown`; null without BFD",
    ),
    Field("last_reset", "string?", "why the last session ended"),
    Field("last_attempt", "string?", "why the last attempt failed"),
    Field("next_retry", "number?", "seconds to the next attempt"),
)
_ROUTE: Final = (
    Field("prefix", "string", "the destination"),
    Field("family", "string", "its address family"),
)
_PATH: Final = (
    Field("peer", "string", "who advertised it"),
    Field("source", "string", "`ibgp`, `ebgp`, `local` or `kernel`"),
)
_SELECTION: Final = (
    Field("is_best", "boolean", "it is selected"),
    Field("is_multipath", "boolean", "it is used together with others"),
    Field("reason", "string", "why it was not selected, or why it was filtered"),
)
_AGE: Final = (
    Field(
        "changed",
        "string?",
        "since when it is as it is; a later moment is possible unless `changed_is_exact`",
    ),
    Field("changed_is_exact", "boolean", "the journal has the change"),
    Field("age", "integer?", "seconds since `changed`"),
)
_ATTRIBUTES: Final = Field("attributes", "attributes", "path attributes")
_STATE: Final = (
    Field("path_id", "integer", "its path identifier (RFC 7911)"),
    Field("weight", "integer", "local preference before LOCAL_PREF"),
    Field("is_reachable", "boolean", "its next hop resolves"),
    Field("is_stale", "boolean", "it is of a session that ended, and is kept"),
)

FORMS: Final[Mapping[str, Form]] = {
    "peer": Form("A peer and its session", _PEER),
    "peer_detail": Form(
        "Everything about one peer",
        (
            *_PEER,
            Field("description", "string", "as configured"),
            Field("router_id", "string?", "from its OPEN"),
            Field("accepted_as", "any", "the AS numbers that a peer of a class or range of them may have"),
            Field("hostname", "string", "from its OPEN; empty without"),
            Field("local_address", "string?", "ours on the session"),
            Field("port", "integer", "as configured"),
            Field("is_passive", "boolean", "it connects to us"),
            Field("has_password", "boolean", "segments are signed (RFC 2385)"),
            Field("ttl_security_hops", "integer?", "as configured (RFC 5082)"),
            Field("next_hop", "string", "as configured"),
            Field("default_originate", "boolean", "a default route is advertised to it whatever its policy says: its condition holds"),
            Field("cluster_id", "string?", "of a client"),
            Field("stale_families", "integer", "families with stale routes"),
            Field("messages", "message_count{}", "by kind"),
            Field("octets_received", "integer", "a counter"),
            Field("connect_attempts", "integer", "a counter"),
            Field("rejected_connections", "integer", "a counter"),
            Field("established_transitions", "integer", "a counter (RFC 4273)"),
            Field("last_reset_at", "string?", "when"),
            Field("last_attempt_at", "string?", "when"),
            Field("local_port", "integer?", "our TCP port; null without a session, as all that the kernel knows of the connection"),
            Field("remote_port", "integer?", "the peer's TCP port"),
            Field("seconds_since_received", "number?", "since data of the peer last arrived"),
            Field("seconds_since_sent", "number?", "since data last left for the peer"),
            Field("round_trip_time", "number?", "seconds, smoothed by TCP (RFC 6298)"),
            Field("timers", "number{}", "seconds left of those that run: `hold`, `keepalive`, `connect_retry`, `idle_hold`, `delay_open`, `send_hold`; UPDATEs put `keepalive` off when it ends"),
            Field("last_notification_sent", "notification?", "on any of its connections"),
            Field("last_notification_received", "notification?", "likewise"),
            Field("is_default_import_policy", "boolean", "none is configured: what RFC 8212 says of eBGP applies, and iBGP accepts all"),
            Field("is_default_export_policy", "boolean", "likewise"),
            Field("bfd_session", "bfd_session?", "its BFD session"),
            Field("negotiated", "negotiated?", "what both sides agreed on"),
            Field("capabilities", "capabilities?", "what both sides offered"),
        ),
    ),
    "gone_peer": Form(
        "A dynamic neighbour that had a session and is gone",
        (
            Field("address", "string", "its address"),
            Field("range", "string", "the range that it belonged to"),
            Field("remote_as", "integer?", "its AS, if the range names it"),
            Field("established_transitions", "integer", "a counter (RFC 4273); 0 if it was up before the daemon's restart alone"),
            Field("reason", "string", "why its last session ended"),
            Field("gone_at", "string", "when"),
            Field("age", "integer", "seconds since then"),
        ),
    ),
    "memory_part": Form(
        "Memory of a part of the daemon",
        (
            Field("part", "string", "`loc-rib` (prefixes), `attributes` (attribute blocks and their paths), `path-sets`, `adj-rib-in`, `update-groups`, `peers`, `policies`, `next-hops`, `journal`, `kernel`, `datastore`; `other` is what remains of `process`, the whole"),
            Field("family", "string?", "the address family that it is of"),
            Field("objects", "integer?", "Python objects that were counted"),
            Field("octets", "integer", "what they take"),
            Field("is_estimated", "boolean", "from a sample, since the table is large"),
        ),
    ),
    "peer_family": Form(
        "A family of a peer",
        (
            Field("family", "string", "its name"),
            Field("is_negotiated", "boolean", "both sides offered it"),
            Field("max_prefixes", "integer", "limit of accepted routes; 0 is none"),
            Field("max_received", "integer", "limit of received routes; 0 is none"),
            Field("max_advertised", "integer", "limit of advertised routes; 0 is none"),
            _optional("max_prefixes_action", "string", "what happens beyond it"),
            _optional("max_received_action", "string", "what happens beyond it"),
            _optional("max_advertised_action", "string", "what happens beyond it"),
            Field("received", "integer", "routes that the peer sent"),
            Field("accepted", "integer", "those in Loc-RIB"),
            Field("filtered", "integer", "those kept out of it"),
            Field("blocked", "integer", "those filtered by a limit"),
            Field("advertised", "integer", "routes advertised to the peer; what waits for a slow peer is counted"),
            Field("excess", "integer", "routes that are not advertised because of `max_advertised`"),
            Field("stale", "integer", "stale routes"),
            Field("ignored", "integer{}", "prefixes that are not unicast destinations, by kind"),
            Field("stale_phase", "string?", "`graceful`, `long-lived` or, once the peer is back, `returned`"),
            Field("stale_time_left", "number?", "seconds until stale routes go"),
            Field("end_of_rib_received", "boolean", "the peer has sent End-of-RIB on this session"),
            Field("is_slow", "boolean", "a slow peer"),
            Field("pending", "integer", "prefixes whose changes wait for it"),
            Field("defers_routes", "boolean", "selection deferral keeps peers' routes from it for now"),
            Field("defers_end_of_rib", "boolean", "selection deferral keeps End-of-RIB from it for now"),
        ),
    ),
    "notification": Form(
        "A NOTIFICATION message",
        (
            Field("code", "integer", "its error code (RFC 4271 4.5)"),
            Field("subcode", "integer", "its error subcode"),
            Field("name", "string", "what they mean, with the text of the operator who sent it"),
            Field("text", "string", "that text alone (RFC 9003)"),
            Field("reason", "string", "what this daemon found, of one that it sent"),
            Field("at", "string", "when"),
        ),
    ),
    "message_count": Form(
        "Messages of one kind",
        (Field("received", "integer", "from the peer"), Field("sent", "integer", "to it")),
    ),
    "negotiated": Form(
        "What both sides of a session agreed on",
        (
            Field("families", "string[]", "address families"),
            Field("hold_time", "integer", "seconds"),
            Field("keepalive_time", "number", "seconds"),
            Field("four_octet_as", "boolean", "RFC 6793"),
            Field("route_refresh", "boolean", "RFC 2918"),
            Field("enhanced_route_refresh", "boolean", "RFC 7313"),
            Field("max_message_len", "integer", "octets (RFC 8654)"),
            Field("add_path_receive", "string[]", "families (RFC 7911)"),
            Field("add_path_send", "string[]", "families"),
            Field("extended_next_hop", "string[]", "families (RFC 8950)"),
            Field("graceful_restart_time", "integer?", "seconds (RFC 4724)"),
            Field("graceful_restart_families", "string[]", "families"),
            Field("notification_restart", "boolean", "RFC 8538"),
            Field("long_lived_stale_times", "integer{}", "seconds by family (RFC 9494)"),
            Field("local_role", "string?", "ours (RFC 9234)"),
            Field("peer_role", "string?", "the peer's"),
        ),
    ),
    "capabilities": Form(
        "What each side's OPEN offered",
        (
            Field("sent", "capability_set", "by us"),
            Field("received", "capability_set", "by the peer"),
        ),
    ),
    "capability_set": Form(
        "Capabilities of an OPEN; what it did not offer is missing",
        (
            _optional("families", "string[]", "address families (RFC 4760)"),
            _optional("route_refresh", "boolean", "RFC 2918"),
            _optional("enhanced_route_refresh", "boolean", "RFC 7313"),
            _optional("extended_message", "boolean", "RFC 8654"),
            _optional("extended_next_hop", "string[]", "families (RFC 8950)"),
            _optional("role", "integer", "its number (RFC 9234)"),
            _optional("four_octet_as", "integer", "the AS number (RFC 6793)"),
            _optional("add_path", "string{}", "direction by family (RFC 7911)"),
            _optional("graceful_restart", "graceful_restart", "RFC 4724"),
            _optional("long_lived", "integer{}", "seconds by family (RFC 9494)"),
            _optional("hostname", "string", "the software's draft"),
            _optional("unknown", "integer[]", "codes that this release does not know"),
        ),
    ),
    "graceful_restart": Form(
        "The graceful restart capability",
        (
            Field("is_restarting", "boolean", "it has restarted"),
            Field("notification", "boolean", "RFC 8538"),
            Field("restart_time", "integer", "seconds"),
            Field("families", "boolean{}", "by family, whether its forwarding was kept"),
        ),
    ),
    "path": Form(
        "A path, in the order of prefixes",
        (
            *_ROUTE,
            *_PATH,
            *(each._replace(is_optional=True) for each in _STATE),
            _SELECTION[0],
            *(each._replace(is_optional=True) for each in _SELECTION[1:]),
            _optional("is_filtered", "boolean", "it was filtered"),
            _optional("advertised_to", "string", "the peer that receives it"),
            *_AGE,
            _ATTRIBUTES,
        ),
    ),
    "route_count": Form(
        "A count of routes",
        (
            Field("family", "string", "their address family"),
            _optional("by", "string", "what they are counted by"),
            _optional("value", "string", "the value that they share"),
            _optional("prefixes", "integer", "prefixes that have such routes; without `by`"),
            Field("routes", "integer", "routes"),
            Field("selected", "integer", "those of them that are selected"),
        ),
    ),
    "attributes": Form(
        "Path attributes; what is absent is missing",
        (
            Field("origin", "string", "RFC 4271 5.1.1"),
            Field("as_path", "string", "RFC 4271 5.1.2"),
            _optional("next_hop", "string", "RFC 4271 5.1.3; in the paths of a prefix, `next_hop` says more"),
            _optional("med", "integer", "RFC 4271 5.1.4"),
            _optional("local_pref", "integer", "RFC 4271 5.1.5"),
            _optional("atomic_aggregate", "boolean", "RFC 4271 5.1.6"),
            _optional("aggregator", "string", "AS and address (RFC 4271 5.1.7)"),
            _optional("communities", "string[]", "RFC 1997"),
            _optional("ext_communities", "string[]", "RFC 4360"),
            _optional("ipv6_ext_communities", "string[]", "RFC 5701"),
            _optional("large_communities", "string[]", "RFC 8092"),
            _optional("originator_id", "string", "RFC 4456"),
            _optional("cluster_list", "string[]", "RFC 4456"),
            _optional("aigp", "integer", "RFC 7311"),
            _optional("otc", "integer", "RFC 9234"),
            _optional("unknown", "unknown_attribute[]", "attributes that this release does not know"),
        ),
    ),
    "unknown_attribute": Form(
        "An attribute that this release does not know",
        (
            Field("type", "integer", "its code"),
            Field("flags", "string", "its flags, in hexadecimal"),
            Field("value", "string", "its octets, in hexadecimal"),
        ),
    ),
    "route": Form(
        "A prefix: its paths, and who gets which",
        (
            *_ROUTE,
            Field("requested", "string", "the request"),
            Field("paths", "explained_path[]", "best first"),
            Field("best", "string?", "the peer of the selected path"),
            Field("multipath", "string[]", "the peers of all paths that are used together"),
            Field("filtered", "filtered_path[]", "filtered routes of the prefix"),
            Field("more_specific_filtered", "filtered_prefix[]", "filtered prefixes that would be more specific"),
            Field("advertised", "advertisement[]", "an object for each distinct form"),
            Field("not_advertised", "advertisement[]", "an object for each distinct reason"),
            Field("uses_kernel", "boolean", "there is a kernel table"),
            Field("fib", "kernel_route?", "the route there"),
        ),
    ),
    "explained_path": Form(
        "A path of a prefix, and why it won or lost",
        (
            *_PATH,
            *_STATE,
            *_SELECTION,
            *_AGE,
            Field("next_hop", "next_hop", "how its next hop resolves"),
            _ATTRIBUTES,
            Field("pre_policy_attributes", "attributes?", "what import policy changed"),
        ),
    ),
    "next_hop": Form(
        "How a next hop resolves",
        (
            Field("address", "string?", "its address"),
            Field("is_reachable", "boolean", "it resolves"),
            Field("metric", "integer?", "the cost of the way there"),
            Field("hops", "hop[]", "ways out"),
            Field("resolved_through", "string[]", "routes of BGP that lead there"),
            Field("resolution_loop", "string?", "a route that leads back to the next hop itself"),
        ),
    ),
    "hop": Form(
        "A way out",
        (
            Field("gateway", "string?", "the next router"),
            Field("interface", "string?", "the device"),
            Field("is_onlink", "boolean", "the gateway is taken to be on the link"),
            Field("weight", "integer", "its share"),
        ),
    ),
    "filtered_path": Form(
        "A filtered route",
        (
            *_PATH,
            _STATE[0],
            *_SELECTION,
            Field("is_filtered", "boolean", "always true"),
            *_AGE,
            _ATTRIBUTES,
        ),
    ),
    "filtered_prefix": Form(
        "A filtered prefix",
        (
            _ROUTE[0],
            Field("peer", "string", "who advertised it"),
            Field("reason", "string", "why it was filtered"),
        ),
    ),
    "advertisement": Form(
        "What several peers get, or why they get nothing",
        (
            Field("peers", "string[]", "names"),
            Field("members", "integer", "their number"),
            Field("peer_type", "string", "`client`, `non-client` or `ebgp`"),
            Field("policy", "string", "the export policy"),
            Field("from", "string", "the path's peer"),
            _optional("attributes", "attributes", "as sent"),
            _optional("reason", "string", "why it is not sent"),
        ),
    ),
    "kernel_route": Form(
        "A route of this daemon in the kernel's table",
        (
            *_ROUTE,
            Field("state", "string", "`installed`, `pending`, `failed`, `conflict`, `stale`"),
            Field("kind", "string", "`unicast` or what it does instead"),
            Field("hops", "hop[]", "ways out"),
            Field("metric", "integer", "its metric"),
            Field("error", "string?", "what the kernel said"),
        ),
    ),
    "route_block": Form(
        "Some prefixes of the route index; numbers refer to what this block or an earlier one says, counted from 0",
        (
            Field("family", "string", "address family"),
            Field("sources", "route_source[]", "sources of paths that no earlier block has"),
            Field("attribute_sets", "attributes[]", "attribute sets that no earlier block has"),
            Field("reasons", "string[]", "reasons, as in `show-routes`, that no earlier block has"),
            Field(
                "path_sets",
                "integer?[][][]",
                "paths of a prefix, best first, that no earlier block has: numbers of source and attribute set, "
                "flags, number of the reason, seconds since it was made, null if filtered. Flags are the sum of 1 best, 2 multipath, 4 reachable, 8 stale, 16 filtered",
            ),
            Field("prefixes", "string[]", "destinations"),
            Field("paths", "integer[]", "for each prefix the number of its path set"),
            Field("ages", "integer?[]", "for each prefix the seconds since its best path changed; null where the journal has no change"),
        ),
    ),
    "route_source": Form(
        "A source of paths",
        (
            Field("peer", "string", "its name"),
            Field("source", "string", "`ibgp`, `ebgp`, `local` or `kernel`"),
        ),
    ),
    "topology_speaker": Form(
        "A speaker of the topology; the first is this one",
        (
            Field("node_type", "string", "`speaker` is this one, `peer` one of its peers, `originator` one that reflected routes name"),
            Field("name", "string", "of the node or peer; of an originator its router ID"),
            Field("address", "string?", "of a peer"),
            Field("router_id", "string?", "its BGP identifier"),
            Field("as", "integer?", "its AS"),
            Field("peer_type", "string?", "of a peer: `client`, `non-client` or `ebgp`"),
            Field("is_reflector", "boolean", "it passes on routes that others originated (RFC 4456)"),
            Field("range", "string?", "the range that a dynamic neighbour belongs to"),
            Field("state", "string?", "of a peer: as in `show-peers`"),
            Field("is_enabled", "boolean", "false for a peer after `disable-peer`, or after a limit"),
            Field("is_stale", "boolean", "routes of an earlier session of the peer are kept"),
            Field("accepted", "integer", "routes from it, in Loc-RIB"),
            Field("description", "string", "of a peer, as configured"),
            Field("reflectors", "string[]", "peers that reflected routes of this speaker to us"),
        ),
    ),
    "update_group": Form(
        "An update group: peers that get the same UPDATEs",
        (
            Field("family", "string", "address family"),
            Field("peer_type", "string", "`client`, `non-client` or `ebgp`"),
            Field("policy", "string", "the export policy"),
            Field("local_as", "integer", "our AS"),
            Field("local_address", "string?", "ours"),
            Field("cluster_id", "string?", "RFC 4456"),
            Field("next_hop", "string", "what is done to the next hop"),
            Field("also_prepends", "integer?", "an AS number that is prepended as well"),
            Field("as_override", "boolean", "the peer's AS is replaced by ours"),
            Field("remove_private_as", "string", "which private AS numbers are removed"),
            Field("replace_private_as", "boolean", "they are replaced by ours"),
            Field("add_path_max", "integer?", "paths of a prefix that are sent; 0 is all, null without add-path"),
            Field("paced", "integer", "prefixes that wait for the advertisement interval"),
            Field("four_octet_as", "boolean", "AS numbers have four octets"),
            Field("extended_next_hop", "boolean", "RFC 8950"),
            Field("max_message_len", "integer", "octets"),
            Field("role", "string?", "ours (RFC 9234)"),
            Field("same_domain", "boolean", "the peers belong to our administrative domain"),
            Field("is_drained", "boolean", "our routes are the last choice of the peers (RFC 8326)"),
            Field("members", "string[]", "names"),
            Field("slow_peers", "slow_peer[]", "slow members"),
            Field("pending", "integer", "prefixes not sent yet"),
            Field("oversized", "integer", "routes that no message had room for"),
            Field("defers_routes", "boolean", "selection deferral keeps peers' routes back for now"),
            Field("defers_end_of_rib", "boolean", "selection deferral keeps End-of-RIB back for now"),
            Field("pending_re_advertisement", "integer", "prefixes that a changed export policy has not reached yet"),
        ),
    ),
    "bfd_session": Form(
        "A BFD session (RFC 5880)",
        (
            Field("name", "string", "of the peer"),
            Field("address", "string", "of the peer"),
            Field("state", "string", "`down`, `init`, `up`, `admin-down`; `unknown` while our BFD process starts"),
            Field("peer_state", "string?", "what the peer said of itself"),
            Field("since", "string?", "when the state changed"),
            Field("uptime", "integer?", "seconds up"),
            Field("reason", "string", "why it is down, or why packets cannot be sent; empty if it is up, or never was"),
            Field("is_multihop", "boolean", "RFC 5883, else RFC 5881"),
            Field("is_strict", "boolean", "the BGP session waits for it"),
            Field("is_waiting", "boolean", "the BGP session waits for it now"),
            Field("authentication", "string", "as configured; empty without"),
            Field("local_discriminator", "integer?", "ours"),
            Field("remote_discriminator", "integer?", "the peer's; 0 while it is not heard"),
            Field("min_tx", "integer", "milliseconds, as configured"),
            Field("min_rx", "integer", "milliseconds, as configured"),
            Field("multiplier", "integer", "as configured"),
            Field("remote_min_tx", "integer?", "milliseconds, of the peer"),
            Field("remote_min_rx", "integer?", "milliseconds, of the peer"),
            Field("remote_multiplier", "integer?", "of the peer"),
            Field("interval", "integer", "milliseconds between packets that we send; 0 if we send none"),
            Field("detection_time", "integer", "milliseconds of silence after which it fails; 0 before the peer is heard"),
            Field("packets_received", "integer", "a counter"),
            Field("packets_sent", "integer", "a counter"),
            Field("times_up", "integer", "how often it came up"),
            Field("failures", "integer", "how often it failed"),
            Field("last_failure", "string?", "why it failed last"),
        ),
    ),
    "slow_peer": Form(
        "A slow member of an update group",
        (
            Field("peer", "string", "its name"),
            Field("pending", "integer", "changes that wait"),
            Field("pending_walk", "integer", "prefixes of the first full set that wait"),
        ),
    ),
    "status": Form(
        "The daemon as a whole",
        (
            Field("is_started", "boolean", "false while the daemon starts: then there are no tables and no peers yet"),
            Field("awaited", "string?", "what the start waits for"),
            Field("version", "string", "of the daemon"),
            Field("build", "string", "`compiled` or `pure Python`"),
            Field("python", "string", "Python's version"),
            Field("event_loop", "string", "`uvloop` or `asyncio`"),
            Field("node", "string?", "its name in the datastore"),
            Field("router_id", "string?", "ours; null while the daemon starts"),
            Field("cluster_id", "string?", "ours; likewise"),
            Field("as", "integer?", "ours"),
            Field("started_at", "string", "when"),
            Field("uptime", "integer", "seconds"),
            Field("listening", "listening[]", "where peers can connect"),
            Field("rejected_connections", "integer", "from sources that match no peer and no range"),
            Field("peers", "peer_counts", "how many"),
            Field("ranges", "range[]", "of dynamic neighbours"),
            Field("families", "family_counts[]", "tables"),
            Field("selection_deferral", "selection_deferral?", "while it lasts"),
            Field("drain", "drain?", "while something is drained"),
            Field("background_jobs", "integer", "long work that runs in slices"),
            Field("fib", "fib_counts?", "the kernel's table"),
            Field("datastore", "datastore?", "what is read of it"),
            Field("removal_holds", "removal_hold[]", "implausible removals that are held"),
            Field("kubernetes", "kubernetes?", "the Kubernetes API"),
            Field("loop_lag", "number?", "worst delay of the event loop in the last minute, seconds"),
            Field("memory", "integer?", "octets"),
            Field("configuration", "configuration?", "the configuration in force"),
            Field("warnings", "string[]", "lines for an operator"),
        ),
    ),
    "configuration": Form(
        "The configuration in force",
        (
            Field("files", "string[]", "what it was read from"),
            Field("read_at", "string", "when it was read"),
            Field("rejected", "string?", "why the file was rejected since"),
            Field("rejected_at", "string?", "when"),
            Field("pending_keys", "string[]", "they wait for the next start"),
            Field("held", "string[]", "changes that wait for `reload --allow-reset`"),
            Field("confirm_until", "string?", "when an applied configuration is taken back"),
        ),
    ),
    "listening": Form(
        "Where peers can connect",
        (Field("address", "string", "ours"), Field("port", "integer", "of TCP")),
    ),
    "peer_counts": Form(
        "How many peers there are",
        (
            Field("total", "integer", "all"),
            Field("established", "integer", "those whose session is up"),
            Field("states", "integer{}", "by state"),
        ),
    ),
    "range": Form(
        "A range of dynamic neighbours",
        (
            Field("name", "string", "as configured"),
            Field("prefix", "string", "as configured"),
            Field("peers", "integer", "how many there are"),
            Field("limit", "integer", "how many there can be"),
        ),
    ),
    "family_counts": Form(
        "The tables of a family",
        (
            Field("family", "string", "its name"),
            Field("prefixes", "integer", "in Loc-RIB"),
            Field("paths", "integer", "in Loc-RIB"),
            Field("pending", "integer", "prefixes not sent yet"),
            Field("paced", "integer", "prefixes that wait for an advertisement interval"),
            Field("update_groups", "integer", "how many"),
        ),
    ),
    "drain": Form(
        "What is drained in all (RFC 8326)",
        (
            Field("all", "boolean", "all peers are, those to come included"),
            Field("by", "string[]", "who wants it: `command`, `node`, `shutdown`"),
            Field("since", "string", "the first of them, UTC"),
            Field("peers", "integer", "peers that are drained"),
            Field("shut_down", "integer", "those whose session a drain has shut down"),
        ),
    ),
    "drained_peer": Form(
        "A drained peer",
        (
            Field("peer", "string", "its name"),
            Field("address", "string", "its address"),
            Field("state", "string", "`draining` while changes are awaited, `drained`, or `shut down`"),
            Field("since", "string", "UTC"),
            Field("by", "string", "who wants it: `command`, `node` or `shutdown`"),
            Field("text", "string", "for the peer's operator, at the end of the session"),
            Field("best", "integer?", "prefixes whose best path is the peer's; null before they were counted"),
            Field("movable", "integer?", "those of them that have a path elsewhere"),
            Field("is_sent", "boolean?", "all that the drain changes has been written to the peer"),
            Field("time_left", "number?", "seconds for which changes are awaited yet"),
            Field("shuts_down", "boolean", "the session is shut down then"),
        ),
    ),
    "selection_deferral": Form(
        "Selection deferral after our restart (RFC 4724 4.1)",
        (
            Field("elapsed", "number", "seconds"),
            Field("limit", "number", "seconds"),
            Field("defers_routes", "string[]", "families"),
            Field("defers_end_of_rib", "string[]", "families"),
            Field("awaited_count", "integer", "peers whose End-of-RIB is awaited"),
            Field("awaited", "string[]", "names of some"),
        ),
    ),
    "fib_counts": Form(
        "Our routes in the kernel: how many there are, then counters since the start",
        (
            Field("is_synced", "boolean", "the kernel has what we want"),
            Field("wanted", "integer", "routes wanted in the kernel"),
            Field("installed", "integer", "those that are there"),
            Field("pending", "integer", "changes on their way"),
            Field("failed", "integer", "routes that the kernel rejected"),
            Field("conflicts", "integer", "routes whose place another program holds"),
            Field("stale", "integer", "routes of an earlier run that are not wanted yet"),
            Field("next_hop_objects", "integer", "kernel next-hop objects held"),
            Field("adopted", "integer", "routes found at the start"),
            Field("written", "integer", "route messages sent"),
            Field("drifts", "integer", "foreign changes of our routes"),
            Field("repairs", "integer", "routes written again for that"),
            Field("resyncs", "integer", "comparisons with the whole table"),
            Field("overflows", "integer", "times that the kernel lost notifications"),
        ),
    ),
    "datastore": Form(
        "What is read of the datastore",
        (
            Field("kind", "string", "`etcd`, `kubernetes` or `folder`"),
            Field("source", "string", "where it is"),
            Field("is_connected", "boolean", "it answers"),
            Field("since", "string", "when that began"),
            Field("applied_revision", "any", "what this node has applied"),
            Field("server_revision", "any", "what the datastore has"),
            Field("lag_revisions", "integer?", "how many lie between"),
            Field("last_error", "string?", "why it does not answer"),
            Field("snapshots", "integer", "times that everything was read"),
            Field("saved_at", "string?", "when the state was saved that was started with"),
            Field("nodes", "nodes_read?", "which Nodes are read of the Kubernetes API"),
            Field("warnings", "string[]", "about objects"),
        ),
    ),
    "nodes_read": Form(
        "Which Nodes are read of the Kubernetes API",
        (
            Field("scope", "string", "`all` or `needed`"),
            Field("reason", "string", "why all are read"),
            Field("names", "string[]", "those read by name"),
            Field("selectors", "string[]", "label selectors of the others"),
            Field("is_pending", "boolean", "others are needed now"),
            Field("checked_at", "string?", "when all Nodes were last compared"),
            Field("hidden", "string[]", "needed, and found by no label"),
            Field("events", "integer", "that have come"),
        ),
    ),
    "removal_hold": Form(
        "An implausible removal that is held",
        (
            Field("source", "string", "where it came from"),
            Field("since", "string", "when it was held"),
            Field("until", "string", "when it takes effect"),
            Field("objects", "integer", "how many"),
            Field("kinds", "removal_count{}", "by kind"),
        ),
    ),
    "removal_count": Form(
        "Objects of one kind whose removal is held",
        (Field("missing", "integer", "removed"), Field("total", "integer", "of so many")),
    ),
    "kubernetes": Form(
        "The Kubernetes API",
        (
            Field("source", "string", "where the credentials are from"),
            Field("is_connected", "boolean", "everything wanted was read and is watched"),
            Field("last_error", "string", "why not"),
        ),
    ),
    "plan": Form(
        "What a configuration would do; the summary is the last row, and where nothing would change the only one",
        (
            Field(
                "part",
                "string",
                "`setting`, `session`, `peer`, `best path`, `kernel route`, `note`, `summary`; "
                "`progress` comes about once a second before them",
            ),
            _optional("text", "string", "the row as a line; of a note what cannot be foreseen, or happens at the next start; of progress what is being worked out"),
            _optional("kind", "string", "of a setting: `section`, `policy`, `range` or `peer`"),
            _optional("name", "string", "of a setting, a session's neighbour or a peer"),
            _optional("change", "string", "`added`, `removed` or `changed`"),
            _optional("keys", "string[]", "what differs"),
            _optional("cost", "string", "`live`, `refresh`, `reset`, or `start` for the next start"),
            _optional("is_held", "boolean", "it waits for `--allow-reset`"),
            _optional("address", "string", "of a session or peer"),
            _optional("state", "string?", "of a session, as it is now"),
            _optional("range", "string?", "that a session moves to or from"),
            _optional("ends_session", "boolean", "a session that is up ends, for good or to begin again"),
            _optional("family", "string", "of peers, best paths and kernel routes"),
            _optional("accepted_before", "integer", "of a peer: its routes in Loc-RIB"),
            _optional("accepted_after", "integer", "likewise"),
            _optional("gained", "integer", "prefixes that a peer would be advertised, or that move"),
            _optional("lost", "integer", "prefixes that a peer would be advertised no longer"),
            _optional("changed", "integer", "prefixes that a peer would be advertised otherwise"),
            _optional("gained_prefixes", "string[]", "the first of them"),
            _optional("lost_prefixes", "string[]", "the first of them"),
            _optional("changed_prefixes", "string[]", "the first of them"),
            _optional("moves", "move[]", "the first best paths or kernel routes that move"),
            _optional("settings", "integer", "of the summary: how many change"),
            _optional("sessions_added", "integer", "how many"),
            _optional("sessions_changed", "integer", "how many"),
            _optional("sessions_refreshed", "integer", "how many"),
            _optional("sessions_reset", "integer", "how many"),
            _optional("sessions_removed", "integer", "how many"),
            _optional("sessions_ended", "integer", "of those that are up"),
            _optional("held", "integer", "what waits for `--allow-reset`"),
            _optional("peers", "integer", "peers whose routes change"),
            _optional("best_paths", "integer", "how many prefixes move"),
            _optional("kernel_routes", "integer", "how many prefixes move"),
            _optional("is_empty", "boolean", "nothing would change"),
        ),
    ),
    "move": Form(
        "A prefix that moves",
        (
            Field("prefix", "string", "the destination"),
            Field("before", "string?", "where it leads now"),
            Field("after", "string?", "where it would lead"),
        ),
    ),
    "upload": Form(
        "A piece of a long configuration",
        (Field("characters", "integer", "how many there are so far"),),
    ),
    "event_counts": Form(
        "How many events there were in a step of time, the oldest step first",
        (
            Field("time", "string", "where the step begins, RFC 3339"),
            Field("seconds", "integer", "length of the step"),
            Field("counts", "integer{}", "by kind; kinds that never happened are left out"),
        ),
    ),
    "event": Form(
        "Something that happened",
        (
            Field("id", "integer", "rises with each event; where to go on from"),
            Field("time", "string", "when, RFC 3339"),
            Field(
                "kind",
                "string?",
                "`session`, `route`, `policy`, `kernel`, `datastore` or `configuration`",
            ),
            Field(
                "event",
                "string",
                "`route-added`, `route-changed` or `route-removed`: of the best path; "
                "`events-dropped`, `journal-began`; or that of a log line",
            ),
            _optional("peer", "string", "the peer's name"),
            _optional("address", "string", "the peer's address"),
            _optional("family", "string", "address family"),
            _optional("prefix", "string", "the prefix"),
            _optional("reason", "string", "why"),
            _optional("message", "string", "the log line"),
            _optional("level", "string", "of the log line"),
            _optional("details", "any{}", "the other fields of the log line"),
            _optional("old", "event_path?", "the best path before"),
            _optional("new", "event_path?", "the best path since"),
            _optional("dropped", "integer?", "how many events are not kept any more; null if it is not known"),
        ),
    ),
    "captured": Form(
        "A message of a peer, or what happened to its connection",
        (
            Field("id", "integer", "rises with each"),
            Field("time", "string", "when, RFC 3339"),
            Field(
                "event",
                "string",
                "`message`; `found` or `opened`, of a connection that was there or is new, and "
                "`closed`; `began` and `ended`, of the capture",
            ),
            Field("dropped", "integer", "messages so far for which there was no room"),
            _optional("reason", "string", "which limit ended it: `seconds`, `messages` or `octets`"),
            _optional("peer", "string", "the peer's name"),
            _optional("address", "string", "the peer's address"),
            _optional("connection", "integer", "numbers those of a capture"),
            _optional("local_address", "string", "our address"),
            _optional("local_port", "integer", "our port of TCP"),
            _optional("remote_port", "integer", "the peer's port of TCP"),
            _optional("is_outgoing", "boolean", "we connected to the peer"),
            _optional("direction", "string", "`in`: from the peer; `out`: from us"),
            _optional(
                "type",
                "string",
                "`open`, `update`, `notification`, `keepalive`, `route-refresh`, or `other` for octets "
                "without a valid header",
            ),
            _optional("length", "integer", "octets, header included"),
            _optional("octets", "string", "the message, header included, in hexadecimal"),
            _optional("text", "string", "what it says"),
        ),
    ),
    "malformed_update": Form(
        "An UPDATE that was not as it must be",
        (
            Field("id", "integer", "rises with each, whichever peer sent it"),
            Field("time", "string", "when, RFC 3339"),
            Field("peer", "string", "the peer's name then"),
            Field("address", "string", "the peer's address"),
            Field("local_address", "string", "our address"),
            Field("local_port", "integer", "our port of TCP"),
            Field("remote_port", "integer", "the peer's port of TCP"),
            Field("is_outgoing", "boolean", "we connected to the peer"),
            *_PROBLEM,
            Field("notification", "string?", "code and subcode sent, `3/10`; null while the session stays"),
            Field("problems", "update_problem[]", "everything that was wrong"),
            Field("length", "integer", "octets, header included"),
            Field("octets", "string", "the message, header included, in hexadecimal"),
        ),
    ),
    "update_problem": Form("One thing wrong with an UPDATE", _PROBLEM),
    "event_path": Form(
        "A best path before or after a change",
        (
            Field("peer", "string", "where it came from"),
            Field("source", "string", "`local`, `kernel`, `ebgp` or `ibgp`"),
            Field("path_id", "integer", "its path identifier (RFC 7911)"),
            Field("next_hop", "string?", "its next hop; null for our own routes"),
            Field("as_path", "string", "AS_PATH"),
            Field("local_pref", "integer?", "LOCAL_PREF"),
            Field("med", "integer?", "MULTI_EXIT_DISC"),
        ),
    ),
    "mrt_records": Form(
        "Some MRT records",
        (
            Field("records", "integer", "how many"),
            Field("octets", "string", "whole records, one after another, in base64"),
        ),
    ),
    "difference": Form(
        "Something that differs between datastore and daemon",
        (
            Field("part", "string", "what is compared"),
            Field("name", "string", "of it"),
            Field("state", "string", "`same`, `differs`, `missing`, `extra`, `stale`, `held`"),
            Field("wanted", "any", "what the datastore says"),
            Field("running", "any", "what runs"),
            Field("text", "string", "more about it"),
            _optional("revision", "any", "of the row of the datastore"),
            _optional("since", "string", "likewise"),
        ),
    ),
    "held_removal": Form(
        "An object whose removal is held",
        (
            Field("source", "string", "where it came from"),
            Field("kind", "string", "of the object"),
            Field("object", "string", "its key"),
            Field("replaced_by", "string?", "what the source has in its place"),
            Field("since", "string", "when it was held"),
            Field("until", "string", "when it takes effect"),
        ),
    ),
    "lines": Form("What was done", (Field("lines", "string[]", "for people"),)),
    "problem": Form(
        "An error",
        (
            Field("status", "integer", "HTTP's status"),
            Field("code", "string", "a word for programs"),
            Field("message", "string", "a sentence for people"),
            _optional("expected", "string[]", "what would have been right"),
        ),
    ),
}  # fmt: skip
"""The forms by name."""
