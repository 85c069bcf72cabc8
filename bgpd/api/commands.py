"""Every command of the API, declared: name, method, path, arguments, answer, rights, help. Pure.

To add one: a row here, a function in ``bgpd.show`` that answers it, its line in
``bgpd.show.commands``, and the form of its answer in ``bgpd.api.fields``.
"""

from typing import Final

from bgpd.api.protocol import Argument, Command, Kind, Rights, names_of

PREFIX: Final = "/api/v1"

_FAMILY: Final = Argument(
    "family",
    str,
    "Only this address family.",
    ("ipv4", "ipv6", "ipv4-unicast", "ipv6-unicast"),
)
_PEER: Final = Argument(
    "peer",
    str,
    "Name or address of a peer, or the node of the cluster that it is.",
    is_required=True,
)
_EVENT_KIND: Final = Argument(
    "kind",
    list,
    "Only these kinds of events.",
    ("session", "route", "policy", "kernel", "datastore", "configuration"),
)
_EVENTS: Final = (
    Argument("after", int, "Only events with a higher id.", minimum=0),
    _EVENT_KIND,
    Argument("peer", str, "Only events about this peer, a name or an address."),
    Argument("prefix", str, "Only events about this prefix."),
    Argument("longer", bool, "More specific prefixes inside it, too."),
)
_LIMIT: Final = Argument("limit", int, "At most so many rows.", minimum=1)
_TEXT: Final = Argument(
    "text", str, "For the peer's operator (RFC 9003), at most 255 octets."
)
_ALLOW_RESET: Final = Argument(
    "allow_reset",
    bool,
    "Make changes that end sessions, too, whatever reload.resets says.",
)
_CONFIGURATION: Final = (
    Argument("text", str, "The configuration, in place of the daemon's own file."),
    Argument("upload", str, "The name under which it was sent in pieces before."),
    Argument("name", str, "What errors call it."),
    _ALLOW_RESET,
)

_WHICH_PEERS: Final = (
    Argument("peer", list, "These peers, by names or addresses."),
    Argument("group", list, "All peers of these peer groups."),
    Argument("range", list, "All dynamic neighbours of these ranges."),
    Argument("all", bool, "All peers, those to come included."),
)
_WHICH_ROUTES: Final = (
    _FAMILY,
    Argument("prefix", str, "Only this prefix."),
    Argument("longer", bool, "More specific prefixes inside it, too."),
    Argument("peer", list, "Only accepted routes from these peers."),
    Argument(
        "received_from", list, "All routes received from these peers, filtered too."
    ),
    Argument("advertised_to", list, "Routes as they are advertised to these peers."),
    Argument("best", bool, "Only best routes."),
    Argument(
        "state",
        list,
        "Only routes in one of these states; filtered ones are those of all peers.",
        ("selected", "multipath", "filtered", "stale", "unreachable"),
    ),
    Argument("community", list, "Only routes with all of these; 65000:* is a pattern."),
    Argument(
        "large_community", list, "Only routes with all of these, as patterns too."
    ),
    Argument("ext_community", list, "Only routes with all of these, as patterns too."),
    Argument("as_path", str, "Only routes whose AS path matches this expression."),
    Argument("origin_as", list, "Only routes that one of these ASes originated."),
    Argument(
        "next_hop", list, "Only routes with one of these next hops, or inside a prefix."
    ),
)

TABLE: Final = (
    Command(
        "show-status",
        "GET",
        f"{PREFIX}/status",
        "The daemon as a whole.",
        Kind.OBJECT,
        "status",
    ),
    Command(
        "show-peers",
        "GET",
        f"{PREFIX}/peers",
        "Sessions.",
        Kind.ROWS,
        "peer",
        (
            Argument(
                "state",
                list,
                "Only sessions in one of these states.",
                ("idle", "connect", "active", "opensent", "openconfirm", "established"),
            ),
            Argument("down", bool, "Only sessions that are not Established."),
            Argument("group", list, "Only peers of these peer groups."),
            Argument("range", list, "Only dynamic neighbours of these ranges."),
            Argument("node", list, "Only peers that are these nodes of the cluster."),
            Argument(
                "brief",
                bool,
                "Without families, and without counting what is advertised.",
            ),
            Argument(
                "sort",
                str,
                "By what they are sorted; numbers and times begin with the largest.",
                ("name", "address", "state", "uptime", "received", "flaps"),
            ),
        ),
    ),
    Command(
        "show-peer",
        "GET",
        f"{PREFIX}/peers/{{peer}}",
        "Everything about one peer.",
        Kind.OBJECT,
        "peer_detail",
        (_PEER,),
    ),
    Command(
        "show-gone-peers",
        "GET",
        f"{PREFIX}/gone-peers",
        "Dynamic neighbours that had a session and are gone, the latest first.",
        Kind.ROWS,
        "gone_peer",
        (Argument("range", list, "Only those of these ranges."),),
    ),
    Command(
        "show-routes",
        "GET",
        f"{PREFIX}/routes",
        "Routes in Loc-RIB, received from peers or advertised to them.",
        Kind.ROWS,
        "path",
        (*_WHICH_ROUTES, _LIMIT),
    ),
    Command(
        "count-routes",
        "GET",
        f"{PREFIX}/routes/count",
        "How many routes there are.",
        Kind.ROWS,
        "route_count",
        (
            *_WHICH_ROUTES,
            Argument(
                "by",
                str,
                "Count those of each value of this, the most frequent first.",
                ("community", "large-community", "origin-as", "next-hop", "peer"),
            ),
            _LIMIT,
        ),
    ),
    Command(
        "show-route",
        "GET",
        f"{PREFIX}/route",
        "The paths of a prefix, and why the best one was chosen.",
        Kind.OBJECT,
        "route",
        (
            Argument("prefix", str, "A prefix or an address.", is_required=True),
            Argument("lpm", bool, "The most specific route that covers it."),
        ),
    ),
    Command(
        "show-fib",
        "GET",
        f"{PREFIX}/fib",
        "Our routes in the kernel's table.",
        Kind.ROWS,
        "kernel_route",
        (
            _FAMILY,
            Argument("prefix", str, "Only this prefix."),
            Argument("longer", bool, "More specific prefixes inside it, too."),
            Argument(
                "state",
                str,
                "Only routes in this state.",
                ("installed", "pending", "failed", "conflict", "stale"),
            ),
            _LIMIT,
        ),
    ),
    Command(
        "show-route-index",
        "GET",
        f"{PREFIX}/route-index",
        "All routes in little room: what they share is stated once.",
        Kind.ROWS,
        "route_block",
        (
            _FAMILY,
            Argument("prefix", str, "Only this prefix and more specific ones."),
            Argument("filtered", bool, "Filtered routes instead of accepted ones."),
            Argument("limit", int, "At most so many prefixes.", minimum=1),
        ),
    ),
    Command(
        "show-topology",
        "GET",
        f"{PREFIX}/topology",
        "The speakers around this one, for a drawing.",
        Kind.ROWS,
        "topology_speaker",
    ),
    Command(
        "show-groups",
        "GET",
        f"{PREFIX}/groups",
        "Update groups: peers that get the same UPDATEs.",
        Kind.ROWS,
        "update_group",
        (_FAMILY,),
    ),
    Command(
        "show-memory",
        "GET",
        f"{PREFIX}/memory",
        "What takes how much memory, table by table.",
        Kind.ROWS,
        "memory_part",
    ),
    Command(
        "show-bfd",
        "GET",
        f"{PREFIX}/bfd",
        "BFD sessions.",
        Kind.ROWS,
        "bfd_session",
    ),
    Command(
        "show-events",
        "GET",
        f"{PREFIX}/journal",
        "Events that are kept, the oldest first.",
        Kind.ROWS,
        "event",
        (*_EVENTS, Argument("limit", int, "The newest so many.", minimum=1)),
    ),
    Command(
        "show-event-counts",
        "GET",
        f"{PREFIX}/journal/counts",
        "How many events there were in each step of the last hour, those included that are not kept.",
        Kind.ROWS,
        "event_counts",
        (
            Argument("seconds", int, "Length of a step; 10 without.", minimum=1),
            Argument("limit", int, "The newest so many steps; 60 without.", minimum=1),
        ),
    ),
    Command(
        "follow-events",
        "GET",
        f"{PREFIX}/events",
        "Events as they happen, without end; from now on, or after an id.",
        Kind.STREAM,
        "event",
        _EVENTS,
    ),
    Command(
        "show-errors",
        "GET",
        f"{PREFIX}/errors",
        "Malformed UPDATEs that are kept, the oldest first.",
        Kind.ROWS,
        "malformed_update",
        (
            Argument("peer", str, "Only those of this peer, a name or an address."),
            _LIMIT._replace(help="The newest so many."),
        ),
    ),
    Command(
        "capture",
        "GET",
        f"{PREFIX}/capture",
        "Messages of peers as they pass, without end; from now on.",
        Kind.STREAM,
        "captured",
        (
            Argument(
                "peer",
                list,
                "Names or addresses; an address that a range would accept need not be there.",
                is_required=True,
            ),
            Argument(
                "direction",
                str,
                "Only what peers sent (in), or what we sent (out).",
                ("in", "out", "both"),
            ),
            Argument(
                "type",
                list,
                "Only these types of messages.",
                ("open", "update", "notification", "keepalive", "route-refresh"),
            ),
            Argument("prefix", str, "Only UPDATEs that name this prefix."),
            Argument("longer", bool, "More specific prefixes inside it, too."),
            Argument("decode", bool, "What each message says, in words, too."),
            Argument("seconds", int, "End after so many seconds.", minimum=1),
            Argument("max_messages", int, "End after so many messages.", minimum=1),
            Argument(
                "max_octets", int, "End after so many octets of messages.", minimum=1
            ),
        ),
    ),
    Command(
        "history",
        "GET",
        f"{PREFIX}/history",
        "How the best path of a prefix changed.",
        Kind.ROWS,
        "event",
        (
            Argument("prefix", str, "A prefix or an address.", is_required=True),
            Argument("longer", bool, "More specific prefixes inside it, too."),
            Argument("limit", int, "The newest so many changes.", minimum=1),
        ),
    ),
    Command(
        "dump",
        "GET",
        f"{PREFIX}/dump",
        "The tables as MRT records (RFC 6396), some in each row.",
        Kind.ROWS,
        "mrt_records",
        (_FAMILY,),
    ),
    Command(
        "calico-diff",
        "GET",
        f"{PREFIX}/calico/diff",
        "What the datastore wants of this node, compared with what runs.",
        Kind.ROWS,
        "difference",
        (Argument("all", bool, "What does not differ, too."),),
    ),
    Command(
        "calico-held",
        "GET",
        f"{PREFIX}/calico/held",
        "Objects whose implausible removal is held.",
        Kind.ROWS,
        "held_removal",
    ),
    Command(
        "calico-confirm",
        "POST",
        f"{PREFIX}/calico/confirm",
        "Apply the removals that are held.",
        Kind.LINES,
        "lines",
        rights=Rights.FULL,
    ),
    Command(
        "reset",
        "POST",
        f"{PREFIX}/peers/{{peer}}/reset",
        "Reset a peer: the session, or one direction of its routes.",
        Kind.LINES,
        "lines",
        (
            _PEER,
            Argument(
                "kind",
                str,
                "What is reset; the session if it is not there.",
                ("session", "hard", "soft-in", "soft-out"),
            ),
        ),
        Rights.FULL,
    ),
    Command(
        "disable-peer",
        "POST",
        f"{PREFIX}/peers/{{peer}}/disable",
        "Shut down the session with a peer until the peer is enabled.",
        Kind.LINES,
        "lines",
        (_PEER, _TEXT),
        Rights.FULL,
    ),
    Command(
        "enable-peer",
        "POST",
        f"{PREFIX}/peers/{{peer}}/enable",
        "Enable a peer again.",
        Kind.LINES,
        "lines",
        (_PEER,),
        Rights.FULL,
    ),
    Command(
        "drain",
        "POST",
        f"{PREFIX}/drain",
        "Make the routes of peers, and ours at them, the last choice (RFC 8326).",
        Kind.LINES,
        "lines",
        (
            *_WHICH_PEERS,
            _TEXT,
            Argument(
                "wait",
                int,
                "Wait so many seconds at most until nothing changes any more.",
                minimum=1,
            ),
            Argument("shutdown", bool, "Then shut down their sessions."),
        ),
        Rights.FULL,
    ),
    Command(
        "undrain",
        "POST",
        f"{PREFIX}/undrain",
        "Put drained peers in service again.",
        Kind.LINES,
        "lines",
        _WHICH_PEERS,
        Rights.FULL,
    ),
    Command(
        "show-drain",
        "GET",
        f"{PREFIX}/drain",
        "Drained peers, and what still uses their sessions.",
        Kind.ROWS,
        "drained_peer",
    ),
    Command(
        "reload",
        "POST",
        f"{PREFIX}/reload",
        "Read the configuration again.",
        Kind.LINES,
        "lines",
        (_ALLOW_RESET,),
        Rights.FULL,
    ),
    Command(
        "plan",
        "POST",
        f"{PREFIX}/plan",
        "What a configuration would do; nothing is changed.",
        Kind.ROWS,
        "plan",
        (
            *_CONFIGURATION,
            Argument(
                "limit", int, "Name so many prefixes of each kind of change.", minimum=0
            ),
            Argument("summary", bool, "The totals only."),
            Argument(
                "resource",
                bool,
                "The text is objects of the cluster, not a configuration.",
            ),
        ),
        Rights.FULL,
        unlogged=("text",),
    ),
    Command(
        "upload",
        "POST",
        f"{PREFIX}/upload",
        "A piece of a long configuration, for plan or apply.",
        Kind.OBJECT,
        "upload",
        (
            Argument("upload", str, "A name of your choice.", is_required=True),
            Argument("text", str, "What follows.", is_required=True),
        ),
        Rights.FULL,
        unlogged=("text",),
    ),
    Command(
        "apply",
        "POST",
        f"{PREFIX}/apply",
        "Put a configuration in force, and write it to the daemon's file.",
        Kind.LINES,
        "lines",
        (
            *_CONFIGURATION,
            Argument(
                "confirm",
                int,
                "Go back after so many seconds unless it is confirmed.",
                minimum=1,
            ),
        ),
        Rights.FULL,
        unlogged=("text",),
    ),
    Command(
        "confirm",
        "POST",
        f"{PREFIX}/confirm",
        "Confirm the applied configuration: the daemon's file is written.",
        Kind.LINES,
        "lines",
        rights=Rights.FULL,
    ),
    Command(
        "rollback",
        "POST",
        f"{PREFIX}/rollback",
        "Go back to the configuration before the applied one.",
        Kind.LINES,
        "lines",
        rights=Rights.FULL,
    ),
    Command(
        "shutdown",
        "POST",
        f"{PREFIX}/shutdown",
        "Stop the daemon for good; peers drop its routes.",
        Kind.LINES,
        "lines",
        (
            Argument("flush", bool, "Remove our routes from the kernel, too."),
            _TEXT,
        ),
        Rights.FULL,
    ),
)
COMMANDS: Final = names_of(TABLE)
"""The same by name."""
