"""The configuration file's shape: every section, key, default and check. Pure.

This is the one place a key is declared: the reader, the environment variables, the list
in ``docs/configuration.md`` and the messages about unknown keys all come from here. What
a change of a key does to a running daemon is told by ``bgpd.config.diff``.

These types stop at ``bgpd.config.convert``: no other package sees them.
"""

from typing import Annotated, Literal

from pydantic import Field

from bgpd.config.base import Section
from bgpd.config.fields import (
    Address,
    AsNumber,
    AutoOff,
    Community,
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
from bgpd.config.settings import REMOVAL_HOLD


class Node(Section):
    """This node as the cluster knows it."""

    name: Annotated[
        str,
        Field(
            description="name of this node's object in the datastore; default "
            "`/var/lib/calico/nodename`, else the host's name in lower case"
        ),
    ] = ""


class Listen(Section):
    """Where neighbours reach us."""

    addresses: Annotated[
        list[Address],
        Field(description="local addresses; an empty list accepts nobody"),
    ] = ["0.0.0.0", "::"]  # noqa: S104 - a router is reached on all its addresses
    port: Annotated[Port, Field(description="TCP port")] = 179


class Decision(Section):
    """What may be chosen about the decision process (RFC 4271 9.1)."""

    always_compare_med: Annotated[
        Switch, Field(description="compare MED of different neighbour ASes too")
    ] = False
    aigp: Annotated[Switch, Field(description="honour AIGP (RFC 7311)")] = False
    default_local_pref: Annotated[
        Metric, Field(description="LOCAL_PREF of paths that have none")
    ] = 100
    max_ecmp: Annotated[
        int, Field(ge=1, le=256, description="paths used at once; 1 is no ECMP")
    ] = 16
    multipath_relax: Annotated[
        Switch, Field(description="ECMP members may differ in the content of AS_PATH")
    ] = True
    prefer_oldest_external: Annotated[
        Switch, Field(description="RFC 5004; arrival order then decides")
    ] = False
    ignore_as_path_length: Annotated[
        Switch, Field(description="the length of AS_PATH decides nothing")
    ] = False
    ignore_interior_cost: Annotated[
        Switch,
        Field(
            description="the metric of the way to the next hop decides nothing, and ECMP "
            "members may differ in it"
        ),
    ] = False


class Bgp(Section):
    """This speaker."""

    asn: Annotated[
        AsNumber | None,
        Field(alias="as", description="our AS number; without it the datastore's"),
    ] = None
    router_id: Annotated[
        RouterIdOrHash | None,
        Field(
            description="BGP identifier; `hash` makes it from the node's name; without it "
            "the node's IPv4 address from the datastore"
        ),
    ] = None
    cluster_id: Annotated[
        RouterId | None,
        Field(description="RFC 4456 cluster of this reflector; default the router id"),
    ] = None
    allow_reserved_ranges: Annotated[
        Switch,
        Field(
            description="use 240.0.0.0/4 as unicast; else its prefixes are ignored as "
            "other martians are (RFC 4271 6.3)"
        ),
    ] = False
    advertisement_interval: Annotated[
        Annotated[int, Field(ge=0, le=600), Unit("seconds")],
        Field(
            description="a prefix that keeps changing is told to the same peers no more "
            "often (RFC 4271 9.2.1.1); a lone change is told at once; 0 is off"
        ),
    ] = 5
    listen: Listen = Listen()
    decision: Decision = Decision()
    defaults: SessionOptions = SessionOptions()


class OriginatedRoute(Section):
    """A prefix announced by this speaker on its own."""

    prefix: Annotated[Prefix, Field(description="what to announce")]
    blackhole: Annotated[
        Switch, Field(description="also a discard route in the kernel")
    ] = False
    next_hop: Annotated[
        Address | None, Field(description="next hop announced; default our own address")
    ] = None
    origin: Annotated[OriginName, Field(description="ORIGIN")] = "igp"
    local_pref: Annotated[Metric | None, Field(description="LOCAL_PREF")] = None
    med: Annotated[Metric | None, Field(description="MED")] = None
    weight: Annotated[
        Weight | None, Field(description="preferred before LOCAL_PREF, local to us")
    ] = None
    prepend: Annotated[
        list[AsNumber], Field(max_length=32, description="AS numbers of the path")
    ] = []
    communities: Annotated[
        list[Community], Field(description="communities: 65000:1, no-export")
    ] = []
    large_communities: Annotated[
        list[LargeCommunity], Field(description="large communities: 65000:1:2")
    ] = []
    ext_communities: Annotated[
        list[ExtCommunity], Field(description="extended communities: rt:65000:1")
    ] = []
    when: Annotated[
        list[PrefixItem],
        Field(
            description="announced only while the table has a usable route of these, which "
            "are as in `match.prefixes`; empty is always"
        ),
    ] = []
    aggregate: Annotated[
        Switch,
        Field(
            description="announced only while there is a route inside the prefix (or of "
            "`when`), with AGGREGATOR and ATOMIC_AGGREGATE; there is no AS_SET (RFC 9774)"
        ),
    ] = False
    summary_only: Annotated[
        Switch,
        Field(description="while it is announced, no route inside it is"),
    ] = False
    fallback: Annotated[
        Switch, Field(description="any other route for the prefix goes before it")
    ] = False


class Learn(Section):
    """Routes of other programs that become candidates for announcement."""

    enabled: Annotated[Switch, Field(description="read the kernel's table")] = False
    protocols: Annotated[
        list[Annotated[int, Field(ge=0, le=255)]],
        Field(
            description="route protocols learned; empty is all but kernel and our own; 2 is "
            "the kernel's: connected prefixes, addresses of full length among them"
        ),
    ] = []
    interfaces: Annotated[
        list[str],
        Field(
            description="shell patterns of outgoing interfaces, `!` before those to leave "
            "out; empty is all"
        ),
    ] = []
    prefixes: Annotated[
        list[Prefix], Field(description="only routes inside these; empty is all")
    ] = []


class Direct(Section):
    """Connected prefixes that become candidates for announcement."""

    interfaces: Annotated[
        list[InterfacePattern],
        Field(
            description="patterns (`*`) of interfaces, `lo` too; the first that fits "
            "decides, a leading `-` leaves its interfaces out; empty is none"
        ),
    ] = []
    families: Annotated[
        list[Literal["ipv4-unicast", "ipv6-unicast"]],
        Field(description="only of these families; empty is both"),
    ] = []
    prefixes: Annotated[
        list[Prefix],
        Field(description="only prefixes inside these; empty is all"),
    ] = []


class Routes(Section):
    """What is announced from here."""

    originate: Annotated[
        list[OriginatedRoute], Field(description="prefixes announced always")
    ] = []
    cluster: Annotated[
        Switch,
        Field(description="hold the blocks of all nodes beside what BGP says of them"),
    ] = False
    learn: Learn = Learn()
    direct: Direct = Direct()


class Fib(Section):
    """The kernel's table."""

    mode: Annotated[OnOff, Field(description="program routes into the kernel")] = "on"
    table: Annotated[
        int, Field(ge=1, le=0xFFFFFFFF, description="routing table; 254 is main")
    ] = 254
    protocol: Annotated[
        int,
        Field(
            ge=5, le=255, description="mark of our routes; 12 is BIRD's, Felix knows it"
        ),
    ] = 12
    metric: Annotated[
        Metric, Field(description="kernel priority; 0 is the default")
    ] = 0
    nexthop_objects: Annotated[
        AutoOff, Field(description="share next hops between routes where possible")
    ] = "auto"
    persist: Annotated[
        Switch,
        Field(
            description="leave our routes in the kernel when the daemon ends, for the next "
            "start to adopt; `off` removes them, and peers are not asked to keep routes"
        ),
    ] = True


class NextHops(Section):
    """How the next hop of a route is judged."""

    resolve: Annotated[
        Literal["kernel", "trust"],
        Field(
            description="`kernel` follows the routing table: the machine's routes and those "
            "of BGP itself; `trust` believes"
        ),
    ] = "kernel"
    default_route: Annotated[
        Switch,
        Field(description="a default route may lead to a next hop"),
    ] = True


class Datastore(Section):
    """Where the state of the cluster comes from."""

    type: Annotated[
        Literal["etcd", "folder", "none"], Field(description="kind of datastore")
    ] = "none"
    endpoints: Annotated[
        list[str], Field(description="etcd: URLs such as https://10.0.0.1:2379")
    ] = []
    ca_file: Annotated[str, Field(description="etcd: CA certificates, PEM")] = ""
    cert_file: Annotated[str, Field(description="etcd: client certificate, PEM")] = ""
    key_file: Annotated[str, Field(description="etcd: key of `cert_file`, PEM")] = ""
    username: Annotated[str, Field(description="etcd: user")] = ""
    password: Annotated[
        str | None, Field(repr=False, description="etcd: password of `username`")
    ] = None
    password_file: Annotated[
        str | None, Field(description="etcd: a file whose first line is the password")
    ] = None
    path: Annotated[str, Field(description="folder: where the manifests are")] = ""
    removal_hold: Annotated[
        LongSeconds,
        Field(
            description="implausible removals, such as of all nodes, are held so long "
            "unless `pybgpctl calico confirm` says that they are meant; 0 holds none"
        ),
    ] = REMOVAL_HOLD


class Calico(Section):
    """How a node of a Calico cluster behaves, where its objects do not say."""

    compatibility: Annotated[
        Release,
        Field(
            description="Calico's releases that the node is like: `3.31` and earlier, "
            "`3.32`, `3.33` and later; `auto` reads ClusterInformation"
        ),
    ] = "auto"
    cluster_ips: Annotated[
        list[Prefix] | None,
        Field(description="in place of `serviceClusterIPs` of BGPConfiguration"),
    ] = None
    add_path: Annotated[
        Switch,
        Field(description="offer all paths both ways (RFC 7911), as BIRD does there"),
    ] = True
    pod_cidrs: Annotated[
        Switch,
        Field(
            description="take the node's blocks from `Node.status.podCIDRs`, for "
            "host-local address management"
        ),
    ] = False
    tunnel: Annotated[
        AutoOff,
        Field(
            description="make, raise and address `tunl0` where routes lead through it "
            "and that is missing"
        ),
    ] = "auto"
    process_names: Annotated[
        list[ProcessName],
        Field(
            description="keep an idle process of each name, for tools that look for "
            "`bird` and `bird6`"
        ),
    ] = []


class Kubernetes(Section):
    """Kubernetes' API, which has passwords of sessions and services to announce."""

    mode: Annotated[
        AutoOff, Field(description="use it where there are credentials")
    ] = "auto"
    kubeconfig: Annotated[
        str, Field(description="file with credentials; else those of the pod")
    ] = ""
    namespace: Annotated[
        str, Field(description="where the Secrets are", min_length=1)
    ] = "kube-system"
    node_name: Annotated[
        str, Field(description="this node's name there; default `node.name`")
    ] = ""
    endpoint_status: Annotated[
        str,
        Field(
            description="folder whose `endpoint-status` holds what Felix writes down of "
            "local workloads; empty is none"
        ),
    ] = "/var/run/calico"


class Bird(Section):
    """Sockets that speak BIRD's control protocol, for tools that look at BIRD."""

    ipv4: Annotated[
        str | None,
        Field(
            description="unix socket for IPv4; default `/var/run/calico/bird.ctl` with a "
            "datastore of type etcd, else none; empty is none"
        ),
    ] = None
    ipv6: Annotated[
        str | None,
        Field(description="the same for IPv6; default `/var/run/calico/bird6.ctl`"),
    ] = None
    version: Annotated[
        str, Field(description="the version that is told", min_length=1)
    ] = "v0.3.3+birdv1.6.8"


class Control(Section):
    """The socket that `pybgpctl` speaks to."""

    path: Annotated[str, Field(description="unix socket; empty is none")] = (
        "/run/pybgpd/pybgpd.sock"
    )


class Log(Section):
    """What is logged to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="least severity"),
    ] = "info"
    format: Annotated[
        Literal["text", "json"], Field(description="one line of text or JSON an event")
    ] = "text"


class GracefulRestart(Section):
    """What survives a restart of this daemon (RFC 4724)."""

    enabled: Annotated[
        Switch,
        Field(
            description="at exit, peers that keep our routes are not told; at start, they "
            "hear that we restarted and are told all before they forget"
        ),
    ] = True
    deferral_time: Annotated[
        Seconds | None,
        Field(
            description="after a restart, no peer is waited for longer; default as long as "
            "one that was up keeps our routes, and at least 60"
        ),
    ] = None
    sweep_time: Annotated[
        Seconds,
        Field(
            description="routes left by an earlier run that nobody announced go after this",
        ),
    ] = 120
    stale_path_time: Annotated[
        Seconds,
        Field(
            description="routes of a peer that restarts go so long after its restart time, "
            "and those that a refresh did not tell again so long after its beginning",
        ),
    ] = 360


class Metrics(Section):
    """The HTTP server for metrics and health."""

    listen: Annotated[
        SocketAddress | None, Field(description="ADDRESS:PORT; without it no server")
    ] = None


class DaemonConfig(Section):
    """The whole file."""

    node: Node = Node()
    bgp: Bgp = Bgp()
    peer_groups: Annotated[
        dict[str, PeerGroup], Field(description="options that peers share, by name")
    ] = {}
    peers: Annotated[list[Peer], Field(description="configured neighbours")] = []
    ranges: Annotated[
        list[PeerRange], Field(description="dynamic neighbours by prefix")
    ] = []
    policies: Annotated[
        dict[str, PolicyModel], Field(description="import and export policies, by name")
    ] = {}
    routes: Routes = Routes()
    fib: Fib = Fib()
    next_hops: NextHops = NextHops()
    datastore: Datastore = Datastore()
    calico: Calico = Calico()
    kubernetes: Kubernetes = Kubernetes()
    control: Control = Control()
    bird: Bird = Bird()
    log: Log = Log()
    graceful_restart: GracefulRestart = GracefulRestart()
    metrics: Metrics = Metrics()
