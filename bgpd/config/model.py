"""The configuration file's shape: every section, key, default and check. Pure.

This is the one place a key is declared: the reader, the environment variables, the list
in ``docs/configuration.md`` and the messages about unknown keys all come from here. What
a changed key does to a running daemon is in ``bgpd.config.diff``.

These types stop at ``bgpd.config.convert``: no other package sees them.
"""

from typing import Annotated, Literal

from pydantic import Field

from bgpd.config.base import Section
from bgpd.config.evidence import Bmp, Mrt
from bgpd.config.fields import (
    Address,
    AsNumber,
    AutoOff,
    Community,
    Count,
    ExtCommunity,
    InterfacePattern,
    LargeCommunity,
    LongSeconds,
    Metric,
    OnOff,
    Port,
    Prefix,
    ProcessName,
    Release,
    RouterId,
    RouterIdOrHash,
    Seconds,
    SocketAddress,
    Switch,
    Unit,
    Weight,
)
from bgpd.config.peers import Peer, PeerGroup, PeerRange, SessionOptions
from bgpd.config.policies import OriginName, PolicyModel, PrefixItem
from bgpd.config.settings import (
    MAX_CHANGES,
    MAX_EVENTS,
    MAX_MALFORMED_OCTETS,
    MAX_MALFORMED_UPDATES,
    NODES_CHECK_TIME,
    REMOVAL_HOLD,
    SAVED_STATE_MAX_AGE,
)


class Node(Section):
    """This node's identity in the cluster."""

    name: Annotated[
        str,
        Field(
            description="name of this node's object in the datastore; defaults to the text "
            "of `/var/lib/calico/nodename`, or else the host name in lower case"
        ),
    ] = ""


class Listen(Section):
    """Where we accept connections."""

    addresses: Annotated[
        list[Address],
        Field(
            description="local addresses to listen on; with an empty list the daemon accepts "
            "no connections"
        ),
    ] = ["0.0.0.0", "::"]  # noqa: S104 - a router is reached on all its addresses
    port: Annotated[Port, Field(description="TCP port")] = 179


class Decision(Section):
    """Options of the decision process (RFC 4271 9.1)."""

    always_compare_med: Annotated[
        Switch,
        Field(
            description="compare MED between paths from different neighbour ASes too"
        ),
    ] = False
    aigp: Annotated[Switch, Field(description="use AIGP (RFC 7311)")] = False
    default_local_pref: Annotated[
        Metric, Field(description="LOCAL_PREF of paths that have none")
    ] = 100
    max_ecmp: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="maximum number of equal-cost paths; 1 turns ECMP off",
        ),
    ] = 16
    multipath_relax: Annotated[
        Switch,
        Field(
            description="allow ECMP across paths with different AS_PATHs of the same length"
        ),
    ] = True
    prefer_oldest_external: Annotated[
        Switch,
        Field(
            description="keep the current best path when an equally good external path "
            "arrives (RFC 5004); the result then depends on the order of arrival"
        ),
    ] = False
    ignore_as_path_length: Annotated[
        Switch, Field(description="skip the comparison of AS_PATH lengths")
    ] = False
    ignore_interior_cost: Annotated[
        Switch,
        Field(
            description="skip the comparison of metrics to the next hop, and allow ECMP "
            "across different metrics"
        ),
    ] = False


class Bgp(Section):
    """This speaker."""

    asn: Annotated[
        AsNumber | None,
        Field(
            alias="as",
            description="our AS number; defaults to the one in the datastore",
        ),
    ] = None
    router_id: Annotated[
        RouterIdOrHash | None,
        Field(
            description="BGP identifier; `hash` derives it from the node's name; defaults to "
            "the node's IPv4 address in the datastore"
        ),
    ] = None
    cluster_id: Annotated[
        RouterId | None,
        Field(
            description="cluster ID of this route reflector (RFC 4456); defaults to the "
            "router ID"
        ),
    ] = None
    allow_reserved_ranges: Annotated[
        Switch,
        Field(
            description="accept 240.0.0.0/4 as unicast; otherwise its prefixes are ignored "
            "like other martians (RFC 4271 6.3)"
        ),
    ] = False
    advertisement_interval: Annotated[
        Annotated[int, Field(ge=0, le=600), Unit("seconds")],
        Field(
            description="minimum time between advertisements of the same prefix to a peer "
            "while the prefix keeps changing (RFC 4271 9.2.1.1); a single change "
            "goes out at once; 0 turns this off"
        ),
    ] = 5
    listen: Listen = Listen()
    decision: Decision = Decision()
    defaults: SessionOptions = SessionOptions()


class OriginatedRoute(Section):
    """A route that this speaker originates."""

    prefix: Annotated[Prefix, Field(description="prefix to originate")]
    blackhole: Annotated[
        Switch, Field(description="also install a blackhole route in the kernel")
    ] = False
    next_hop: Annotated[
        Address | None,
        Field(description="next hop to advertise; defaults to our own address"),
    ] = None
    origin: Annotated[OriginName, Field(description="ORIGIN")] = "igp"
    local_pref: Annotated[Metric | None, Field(description="LOCAL_PREF")] = None
    med: Annotated[Metric | None, Field(description="MED")] = None
    weight: Annotated[
        Weight | None,
        Field(
            description="compared before LOCAL_PREF; local to this speaker; the higher "
            "weight wins"
        ),
    ] = None
    prepend: Annotated[
        list[AsNumber], Field(max_length=32, description="AS numbers of the path")
    ] = []
    communities: Annotated[
        list[Community], Field(description="communities such as 65000:1 or no-export")
    ] = []
    large_communities: Annotated[
        list[LargeCommunity], Field(description="large communities such as 65000:1:2")
    ] = []
    ext_communities: Annotated[
        list[ExtCommunity], Field(description="extended communities such as rt:65000:1")
    ] = []
    when: Annotated[
        list[PrefixItem],
        Field(
            description="originate only while the table has a usable route that matches one "
            "of these items, written as in `match.prefixes`; an empty list means "
            "always"
        ),
    ] = []
    aggregate: Annotated[
        Switch,
        Field(
            description="originate only while the table has a route inside the prefix (or "
            "one that matches `when`); sets AGGREGATOR and ATOMIC_AGGREGATE, "
            "never AS_SET (RFC 9774)"
        ),
    ] = False
    summary_only: Annotated[
        Switch,
        Field(
            description="while the aggregate is advertised, suppress the routes inside it"
        ),
    ] = False
    fallback: Annotated[
        Switch, Field(description="prefer every other route for the prefix to this one")
    ] = False


class Learn(Section):
    """Redistribution of other programs' routes from the kernel."""

    enabled: Annotated[
        Switch, Field(description="redistribute routes from the kernel's table")
    ] = False
    protocols: Annotated[
        list[Annotated[int, Field(ge=0, le=255)]],
        Field(
            description="kernel route protocols to redistribute; an empty list means all "
            "except the kernel's (2) and our own; 2 adds connected prefixes, "
            "including host routes"
        ),
    ] = []
    interfaces: Annotated[
        list[str],
        Field(
            description="shell patterns of outgoing interfaces; a leading `!` excludes; an "
            "empty list means all"
        ),
    ] = []
    prefixes: Annotated[
        list[Prefix],
        Field(description="only routes inside these prefixes; an empty list means all"),
    ] = []


class Direct(Section):
    """Redistribution of connected prefixes."""

    interfaces: Annotated[
        list[InterfacePattern],
        Field(
            description="interface patterns (`*`), `lo` included; the first match decides, "
            "and a leading `-` excludes; an empty list means none"
        ),
    ] = []
    families: Annotated[
        list[Literal["ipv4-unicast", "ipv6-unicast"]],
        Field(description="only these families; an empty list means both"),
    ] = []
    prefixes: Annotated[
        list[Prefix],
        Field(description="only prefixes inside these; an empty list means all"),
    ] = []


class Routes(Section):
    """Routes that this speaker originates or redistributes."""

    originate: Annotated[
        list[OriginatedRoute], Field(description="routes that this speaker originates")
    ] = []
    cluster: Annotated[
        Switch,
        Field(
            description="also take the blocks of all nodes from the datastore, beside the "
            "routes that BGP brings"
        ),
    ] = False
    learn: Learn = Learn()
    direct: Direct = Direct()


class Fib(Section):
    """Routes in the kernel's table."""

    mode: Annotated[OnOff, Field(description="program routes into the kernel")] = "on"
    table: Annotated[
        int, Field(ge=1, le=0xFFFFFFFF, description="routing table; 254 is main")
    ] = 254
    protocol: Annotated[
        int,
        Field(
            ge=5,
            le=255,
            description="protocol number that marks our routes; 12 is BIRD's, and Felix "
            "recognizes it",
        ),
    ] = 12
    metric: Annotated[
        Metric,
        Field(
            description="metric (priority) of the kernel routes; 0 is the kernel's default"
        ),
    ] = 0
    nexthop_objects: Annotated[
        AutoOff,
        Field(
            description="share kernel next-hop objects between routes where the kernel "
            "supports them"
        ),
    ] = "auto"
    persist: Annotated[
        Switch,
        Field(
            description="leave our routes in the kernel when the daemon stops, so that the "
            "next start adopts them; with `off` the daemon removes them and does "
            "not ask peers to keep its routes"
        ),
    ] = True


class NextHops(Section):
    """How to resolve next hops."""

    resolve: Annotated[
        Literal["kernel", "trust"],
        Field(
            description="`kernel` resolves next hops through the routing table: the "
            "machine's own routes and those that BGP installs; `trust` takes "
            "every next hop as reachable"
        ),
    ] = "kernel"
    default_route: Annotated[
        Switch,
        Field(description="allow a default route to resolve a next hop"),
    ] = True


class Datastore(Section):
    """Where to read the state of the cluster."""

    type: Annotated[
        Literal["etcd", "kubernetes", "folder", "none"],
        Field(description="kind of datastore"),
    ] = "none"
    endpoints: Annotated[
        list[str], Field(description="etcd: URLs such as https://10.0.0.1:2379")
    ] = []
    ca_file: Annotated[str, Field(description="etcd: CA certificates (PEM)")] = ""
    cert_file: Annotated[str, Field(description="etcd: client certificate (PEM)")] = ""
    key_file: Annotated[
        str, Field(description="etcd: private key for `cert_file` (PEM)")
    ] = ""
    username: Annotated[str, Field(description="etcd: user name")] = ""
    password: Annotated[
        str | None, Field(repr=False, description="etcd: password of `username`")
    ] = None
    password_file: Annotated[
        str | None, Field(description="etcd: file whose first line is the password")
    ] = None
    path: Annotated[
        str, Field(description="folder: path of the folder with the manifests")
    ] = ""
    api_group: Annotated[
        Literal["auto", "v1", "v3"],
        Field(
            description="kubernetes: which API group to read, `v1` for "
            "`crd.projectcalico.org/v1` or `v3` for `projectcalico.org/v3`; `auto` asks the "
            "API"
        ),
    ] = "auto"
    nodes: Annotated[
        Literal["all", "needed"],
        Field(
            description="kubernetes: which Nodes to read: `all`, or `needed`: this node's and "
            "those that its BGPPeers lead to, for clients of route reflectors in large "
            "clusters; with the node-to-node mesh both are the same"
        ),
    ] = "all"
    nodes_check_time: Annotated[
        LongSeconds,
        Field(
            description="how often to check, with `nodes: needed`, that all needed Nodes are "
            "read, those with labels that only Calico has as well; 0 never checks"
        ),
    ] = NODES_CHECK_TIME
    removal_hold: Annotated[
        LongSeconds,
        Field(
            description="how long to hold implausible removals, such as that of all nodes, "
            "unless `pybgpctl calico confirm` confirms them; 0 holds nothing"
        ),
    ] = REMOVAL_HOLD
    saved_state: Annotated[
        str,
        Field(
            description="file that keeps the last state of etcd or the Kubernetes API; a "
            "daemon that starts while the datastore is unavailable uses it; empty keeps none"
        ),
    ] = ""
    saved_state_max_age: Annotated[
        LongSeconds, Field(description="an older saved state is not used")
    ] = SAVED_STATE_MAX_AGE


class Calico(Section):
    """How a node of a Calico cluster behaves where the cluster's objects leave it open."""

    compatibility: Annotated[
        Release,
        Field(
            description="Calico release whose behaviour to follow: `3.31` and earlier, "
            "`3.32`, or `3.33` and later; `auto` takes it from "
            "ClusterInformation"
        ),
    ] = "auto"
    cluster_ips: Annotated[
        list[Prefix] | None,
        Field(description="overrides `serviceClusterIPs` of BGPConfiguration"),
    ] = None
    add_path: Annotated[
        Switch,
        Field(
            description="offer to send and receive all paths (RFC 7911), as Calico's BIRD "
            "does"
        ),
    ] = True
    pod_cidrs: Annotated[
        Switch,
        Field(
            description="take the node's blocks from `Node.status.podCIDRs`, for host-local "
            "IPAM"
        ),
    ] = False
    tunnel: Annotated[
        AutoOff,
        Field(
            description="create `tunl0`, bring it up and assign its address if routes need "
            "it and it is missing"
        ),
    ] = "auto"
    drain_label: Annotated[
        str,
        Field(
            description="drain all peers while our own Node has this label, with any value but "
            "`false`; such as `pybgpd.io/drain`. Sessions stay up"
        ),
    ] = ""
    process_names: Annotated[
        list[ProcessName],
        Field(
            description="keep an idle process with each of these names, for tools that look "
            "for a process named `bird` or `bird6`"
        ),
    ] = []


class Kubernetes(Section):
    """The Kubernetes API: a datastore, and the source of passwords and of services to advertise."""

    mode: Annotated[
        AutoOff,
        Field(description="use the Kubernetes API if credentials are available"),
    ] = "auto"
    kubeconfig: Annotated[
        str,
        Field(
            description="kubeconfig file, or several separated by colons, which are merged; "
            "defaults to the pod's service account, and for the Kubernetes datastore "
            "first of all to `~/.kube/config`"
        ),
    ] = ""
    context: Annotated[
        str, Field(description="context of the kubeconfig; defaults to the current one")
    ] = ""
    server: Annotated[
        str,
        Field(description="URL of the API server; overrides that of the credentials"),
    ] = ""
    ca_file: Annotated[
        str,
        Field(description="CA certificates (PEM); override those of the credentials"),
    ] = ""
    cert_file: Annotated[
        str, Field(description="client certificate (PEM); overrides the credentials'")
    ] = ""
    key_file: Annotated[str, Field(description="private key for `cert_file` (PEM)")] = (
        ""
    )
    insecure_skip_tls_verify: Annotated[
        Switch,
        Field(
            description="accept any certificate of the server; for laboratories only"
        ),
    ] = False
    namespace: Annotated[
        str, Field(description="namespace of the Secrets", min_length=1)
    ] = "kube-system"
    node_name: Annotated[
        str,
        Field(description="this node's name in Kubernetes; defaults to `node.name`"),
    ] = ""
    endpoint_status: Annotated[
        str,
        Field(
            description="folder with the `endpoint-status` folder where Felix reports local "
            "workloads; empty turns this off"
        ),
    ] = "/var/run/calico"


class Bird(Section):
    """Sockets that speak BIRD's control protocol, for tools that query BIRD."""

    ipv4: Annotated[
        str | None,
        Field(
            description="Unix socket for IPv4; defaults to `/var/run/calico/bird.ctl` with an "
            "etcd or Kubernetes datastore, and to none otherwise; empty turns it off"
        ),
    ] = None
    ipv6: Annotated[
        str | None,
        Field(
            description="Unix socket for IPv6; the same rules, with "
            "`/var/run/calico/bird6.ctl`"
        ),
    ] = None
    looking_glass: Annotated[
        str,
        Field(
            description="read-only Unix socket in the form of BIRD 2, for both families: for "
            "looking glasses and exporters; empty turns it off"
        ),
    ] = ""
    version: Annotated[
        str,
        Field(
            description="version to report on the sockets of `ipv4` and `ipv6`",
            min_length=1,
        ),
    ] = "v0.3.3+birdv1.6.8"


class Control(Section):
    """The control socket for `pybgpctl`."""

    path: Annotated[str, Field(description="Unix socket; empty turns it off")] = (
        "/run/pybgpd/pybgpd.sock"
    )


class Log(Section):
    """Logging to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="lowest severity to log"),
    ] = "info"
    format: Annotated[
        Literal["text", "json"],
        Field(description="write each event as a line of text or as a JSON object"),
    ] = "text"


class Journal(Section):
    """What happened, for `pybgpctl events`, `history` and `show errors`; in memory only."""

    max_events: Annotated[
        Count,
        Field(
            description="events kept of each kind, those of routes excepted; 0 keeps none"
        ),
    ] = MAX_EVENTS
    max_changes: Annotated[
        Count,
        Field(
            description="changes of best paths kept, of each address family: one for each "
            "prefix; up to 60 octets each, and 1,000 where each brought a path of its own; "
            "0 keeps none"
        ),
    ] = MAX_CHANGES
    max_malformed_updates: Annotated[
        Count,
        Field(
            description="malformed UPDATEs kept with their octets, of all peers together; a peer "
            "that sends many pushes out only its own; 0 keeps none"
        ),
    ] = MAX_MALFORMED_UPDATES
    max_malformed_octets: Annotated[
        Count,
        Field(description="octets kept of malformed UPDATEs; 0 keeps none"),
    ] = MAX_MALFORMED_OCTETS


class GracefulRestart(Section):
    """Graceful restart of this daemon (RFC 4724)."""

    enabled: Annotated[
        Switch,
        Field(
            description="stop without notifying the peers that keep our routes; after the "
            "start, signal the restart and re-advertise all routes before they "
            "expire"
        ),
    ] = True
    selection_deferral_time: Annotated[
        Seconds | None,
        Field(
            description="longest wait for peers after a restart (Selection_Deferral_Timer); "
            "defaults to the longest time for which a peer that was up keeps our "
            "routes, but at least 60"
        ),
    ] = None
    sweep_time: Annotated[
        Seconds,
        Field(
            description="how long kernel routes of the previous run stay without a BGP route "
            "that confirms them; while no peer is back, as long as its routes would "
            "be kept after `long_lived_stale_time`",
        ),
    ] = 120
    stale_path_time: Annotated[
        Seconds,
        Field(
            description="how long beyond its restart time to keep the stale routes of a "
            "restarting peer; also the limit for a route refresh, after which "
            "routes that the peer has not re-advertised are removed",
        ),
    ] = 360


class Drain(Section):
    """Taking the speaker out of service (RFC 8326) other than by `pybgpctl drain`."""

    at_shutdown: Annotated[
        Seconds,
        Field(
            description="before an end over which peers keep no routes (`pybgpctl shutdown`; "
            "SIGTERM without graceful restart), drain all peers, and wait so long at most "
            "until nothing changes any more; 0 means do not drain",
        ),
    ] = 0


class Api(Section):
    """The API on an address, for programs that do not reach the control socket."""

    listen: Annotated[
        SocketAddress | None,
        Field(
            description="ADDRESS:PORT; without it the API is on the control socket alone. "
            "An address that is not of the loopback needs TLS and a token"
        ),
    ] = None
    cert_file: Annotated[
        str,
        Field(description="certificate (PEM), with those between it and its CA"),
    ] = ""
    key_file: Annotated[str, Field(description="private key for `cert_file` (PEM)")] = (
        ""
    )
    read_token_file: Annotated[
        str, Field(description="file with the bearer token that permits reading")
    ] = ""
    full_token_file: Annotated[
        str, Field(description="file with the bearer token that permits everything")
    ] = ""
    loopback: Annotated[
        Literal["none", "read", "full"],
        Field(description="what programs on this machine may do without a token"),
    ] = "read"
    max_clients: Annotated[
        int, Field(description="maximum number of connections", ge=1, le=100_000)
    ] = 1100


class Reload(Section):
    """How a changed file takes effect."""

    watch: Annotated[
        Switch,
        Field(
            description="reload when the file, or a password file that it names, changes; "
            "otherwise only on SIGHUP and `pybgpctl reload`"
        ),
    ] = True
    resets: Annotated[
        Literal["allow", "ask"],
        Field(
            description="what to do with changes that end or reset a session that is up: "
            "`allow` makes them; `ask` makes all other changes, and these only after "
            "`pybgpctl reload --allow-reset`"
        ),
    ] = "allow"


class Metrics(Section):
    """The HTTP server for metrics and health."""

    listen: Annotated[
        SocketAddress | None,
        Field(description="ADDRESS:PORT; without it there is no HTTP server"),
    ] = None
    peers: Annotated[
        int,
        Field(
            description="maximum number of peers with metrics of their own, configured ones "
            "first; `pybgpd_omitted_peers` counts the others",
            ge=0,
            le=100_000,
        ),
    ] = 5000
    propagation: Annotated[
        bool,
        Field(
            description="measure how long routes take from their receipt to the decision, to "
            "the peers and into the kernel: the `pybgpd_propagation_` histograms"
        ),
    ] = True


class DaemonConfig(Section):
    """The whole file."""

    node: Node = Node()
    bgp: Bgp = Bgp()
    peer_groups: Annotated[
        dict[str, PeerGroup],
        Field(description="options shared by several peers, by group name"),
    ] = {}
    peers: Annotated[list[Peer], Field(description="configured neighbours")] = []
    ranges: Annotated[
        list[PeerRange], Field(description="dynamic neighbours by prefix")
    ] = []
    policies: Annotated[
        dict[str, PolicyModel], Field(description="import and export policies by name")
    ] = {}
    routes: Routes = Routes()
    fib: Fib = Fib()
    next_hops: NextHops = NextHops()
    datastore: Datastore = Datastore()
    calico: Calico = Calico()
    kubernetes: Kubernetes = Kubernetes()
    control: Control = Control()
    api: Api = Api()
    bird: Bird = Bird()
    log: Log = Log()
    journal: Journal = Journal()
    mrt: Mrt = Mrt()
    bmp: Bmp = Bmp()
    graceful_restart: GracefulRestart = GracefulRestart()
    drain: Drain = Drain()
    reload: Reload = Reload()
    metrics: Metrics = Metrics()
