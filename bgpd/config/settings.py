"""The daemon's settings: plain values, independent of any file format. Pure.

The daemon consumes these and nothing else of ``bgpd.config``. Two of them are compared by
``bgpd.config.diff``; that is why every collection is a tuple in a canonical order.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from bgpd.config.evidence_settings import BmpSettings, MrtSettings
from bgpd.session.settings import PeerSettings, RangeSettings
from rib.decision import DecisionOptions
from rib.family import Family
from rib.nlri import Nlri
from rib.policy import PolicySpec, PrefixMatch

SAVED_STATE_MAX_AGE: Final = 7 * 86400  # seconds
NODES_CHECK_TIME: Final = 600  # seconds
REMOVAL_HOLD: Final = 3600  # seconds, time enough to restore a datastore
MAX_EVENTS: Final = 4096
MAX_CHANGES: Final = 65536
MAX_MALFORMED_UPDATES: Final = 256
MAX_MALFORMED_OCTETS: Final = 1 << 20


class DatastoreKind(Enum):
    """Where the state of the cluster comes from."""

    ETCD = "etcd"
    FOLDER = "folder"
    KUBERNETES = "kubernetes"
    NONE = "none"


class LogFormat(Enum):
    """How a log line is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class SpeakerSettings:
    """This speaker.

    Attributes:
        asn: Our AS number; 0 is the datastore's.
        router_id: Dotted text; empty is the node's IPv4 address from the datastore.
        cluster_id: Dotted text; empty is the router id.
        listen_addresses: Canonical text.
        listen_port: TCP port.
        decision: Options of the decision process.
        allows_reserved: 240.0.0.0/4 is used as unicast.
        defaults: What peers from the datastore are like: a ``PeerSettings`` without
            name, address and AS. Its ``local_as`` is ``asn``, so may be 0.
        advertisement_interval: Seconds between two announcements of a prefix that keeps
            changing, to the same peers; 0 is off.
    """

    asn: int
    router_id: str
    cluster_id: str
    listen_addresses: tuple[str, ...]
    listen_port: int
    decision: DecisionOptions
    defaults: PeerSettings
    allows_reserved: bool = False
    advertisement_interval: int = 5


@dataclass(frozen=True, slots=True)
class OriginatedRoute:
    """A route that we originate.

    Attributes:
        family: The prefix's family.
        nlri: The prefix.
        is_blackhole: Whether the kernel gets a discard route for it.
        next_hop: 4 or 16 octets; empty is our own address on each session.
        origin: ORIGIN: 0 IGP, 1 EGP, 2 INCOMPLETE.
        local_pref: ``None`` is the default.
        med: ``None`` is none.
        weight: Preference local to us; ``None`` is that of its source.
        prepend: AS numbers of AS_PATH, before it is sent.
        communities: RFC 1997 values.
        large_communities: RFC 8092 values.
        ext_communities: RFC 4360 values.
        when: Announced only while one of these is in the table; ``None`` is always.
        is_aggregate: It stands for those (RFC 4271 9.2.2.2).
        is_summary_only: Routes inside it are suppressed.
        is_fallback: Any other route for the prefix is preferred.
    """

    family: Family
    nlri: Nlri
    is_blackhole: bool = False
    next_hop: bytes = b""
    origin: int = 0
    local_pref: int | None = None
    med: int | None = None
    weight: int | None = None
    prepend: tuple[int, ...] = ()
    communities: tuple[int, ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    ext_communities: tuple[int, ...] = ()
    when: PrefixMatch | None = None
    is_aggregate: bool = False
    is_summary_only: bool = False
    is_fallback: bool = False


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """Which routes of other programs to redistribute.

    Attributes:
        is_enabled: Whether any do.
        protocols: Route protocol numbers; empty is all but the kernel's and our own.
        interfaces: Shell patterns of the outgoing interface; empty is all.
        prefixes: Only routes inside these; empty is all.
    """

    is_enabled: bool = False
    protocols: tuple[int, ...] = ()
    interfaces: tuple[str, ...] = ()
    prefixes: tuple[tuple[Family, Nlri], ...] = ()


@dataclass(frozen=True, slots=True)
class DirectSettings:
    """Which connected prefixes to redistribute.

    Attributes:
        interfaces: Patterns of devices, in order: the first that fits decides, and a
            leading ``-`` leaves its devices out. Empty is none.
        families: Only these; empty is all.
        prefixes: Only what lies inside these; empty is all.
    """

    interfaces: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()
    prefixes: tuple[tuple[Family, Nlri], ...] = ()


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """Our own routes.

    Attributes:
        originated: Prefixes announced always.
        holds_cluster_routes: Keep the blocks of all nodes beside what BGP says.
        learn: Routes of other programs.
        direct: Connected prefixes.
    """

    originated: tuple[OriginatedRoute, ...] = ()
    holds_cluster_routes: bool = False
    learn: LearnSettings = LearnSettings()
    direct: DirectSettings = DirectSettings()


@dataclass(frozen=True, slots=True)
class FibSettings:
    """The kernel's table.

    Attributes:
        is_enabled: Whether routes are programmed at all.
        table: Number of the routing table.
        protocol: Route protocol number that marks our routes.
        metric: Kernel priority; 0 is the kernel's default.
        uses_nexthop_objects: Share next hops between routes where the kernel can.
        persist: Routes stay when the daemon ends.
    """

    is_enabled: bool = True
    table: int = 254
    protocol: int = 12
    metric: int = 0
    uses_nexthop_objects: bool = True
    persist: bool = True


@dataclass(frozen=True, slots=True)
class DatastoreSettings:
    """Where the state of the cluster comes from.

    Attributes:
        kind: Which of the rest counts.
        endpoints: URLs of etcd members.
        ca_file: PEM file; empty is the system's.
        cert_file: PEM file; empty means no client certificate.
        key_file: PEM file.
        username: Empty means no authentication.
        password: Of ``username``.
        path: Folder of manifests.
        api_group: Of Calico's objects in Kubernetes: ``v1``, ``v3``, or ``auto``.
        reads_needed_nodes: Of Kubernetes' Nodes, those alone that the own node needs.
        nodes_check_time: Seconds between two checks of that; 0 makes none.
        removal_hold: Seconds for which implausible removals are held; 0 holds none.
        saved_state: File that keeps the last state; empty keeps none.
        saved_state_max_age: Seconds; an older state is not used.
    """

    kind: DatastoreKind = DatastoreKind.NONE
    endpoints: tuple[str, ...] = ()
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    path: str = ""
    api_group: str = "auto"
    reads_needed_nodes: bool = False
    nodes_check_time: int = NODES_CHECK_TIME
    removal_hold: int = REMOVAL_HOLD
    saved_state: str = ""
    saved_state_max_age: int = SAVED_STATE_MAX_AGE


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """Kubernetes' API: a datastore, passwords and services.

    Attributes:
        is_enabled: Use it for passwords and services where there are credentials.
        kubeconfig: File with credentials, or several separated by colons, which are merged;
            empty takes those of a pod.
        context: Of the kubeconfig; empty is its current one.
        server: URL, over that of the credentials.
        ca_file: PEM file, likewise.
        cert_file: PEM file, likewise.
        key_file: PEM file, likewise.
        is_insecure: The server's certificate is not checked.
        namespace: Of Secrets.
        node_name: This node's name there; empty is that in the datastore.
        endpoint_folder: Where Felix writes down local workloads that peer.
    """

    is_enabled: bool = True
    kubeconfig: str = ""
    context: str = ""
    server: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    is_insecure: bool = False
    namespace: str = "kube-system"
    node_name: str = ""
    endpoint_folder: str = "/var/run/calico/endpoint-status"


@dataclass(frozen=True, slots=True)
class CalicoSettings:
    """How a node of a Calico cluster behaves.

    Attributes:
        compatibility: ``auto``, or the releases it is like: ``3.31``, ``3.32``, ``3.33``.
        has_add_path: Offer all paths both ways.
        cluster_ips: Ranges of services' cluster addresses, in place of those in the
            datastore; ``None`` leaves these.
        uses_pod_cidrs: Own blocks are those of ``Node.status.podCIDRs``.
        keeps_tunnel: Make, raise and address the IPIP tunnel device where it is needed.
        drain_label: Label of the own Node that drains all peers; empty is none.
        process_names: Processes to have beside ours, for tools that look for these names.
    """

    compatibility: str = "auto"
    has_add_path: bool = True
    cluster_ips: tuple[str, ...] | None = None
    uses_pod_cidrs: bool = False
    keeps_tunnel: bool = True
    drain_label: str = ""
    process_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BirdSettings:
    """Sockets that speak BIRD's control protocol.

    Attributes:
        ipv4_path: Unix socket that answers for IPv4; empty is none.
        ipv6_path: As ``ipv4_path``.
        looking_glass_path: Read-only, in BIRD 2's form, for both; empty is none.
        version: Version of BIRD 1 to report.
    """

    ipv4_path: str = ""
    ipv6_path: str = ""
    looking_glass_path: str = ""
    version: str = "v0.3.3+birdv1.6.8"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged.

    Attributes:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        format: How.
    """

    level: str = "info"
    format: LogFormat = LogFormat.TEXT


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """What is kept of what happened.

    Attributes:
        max_events: Of each kind; 0 keeps none.
        max_changes: Changes of best paths of each family; 0 keeps none.
        max_malformed_updates: Of all peers together; 0 keeps none.
        max_malformed_octets: Likewise, of these.
    """

    max_events: int = MAX_EVENTS
    max_changes: int = MAX_CHANGES
    max_malformed_updates: int = MAX_MALFORMED_UPDATES
    max_malformed_octets: int = MAX_MALFORMED_OCTETS


@dataclass(frozen=True, slots=True)
class RestartSettings:
    """What survives a restart.

    Attributes:
        is_enabled: Peers may keep our routes while we start again.
        selection_deferral_time: Seconds after which our End-of-RIB waits no longer (RFC 4724 4.1);
            ``None`` is as long as a peer that was up keeps our routes.
        sweep_time: Seconds after which adopted routes go that no BGP route confirmed.
        stale_path_time: Seconds for which routes of a peer that restarts stay beyond its
            restart time, at most (RFC 4724 4.2).
    """

    is_enabled: bool = True
    selection_deferral_time: int | None = None
    sweep_time: int = 120
    stale_path_time: int = 360


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The API on an address.

    Attributes:
        address: Empty means that it is on the control socket alone.
        port: TCP port.
        cert_file: Certificate; empty means no TLS.
        key_file: Its private key.
        read_token_file: Token that permits reading; empty for none.
        full_token_file: Token that permits everything; empty for none.
        loopback: What clients on this machine may do without one: ``none``, ``read``, ``full``.
        max_clients: Connections at a time.
    """

    address: str = ""
    port: int = 0
    cert_file: str = ""
    key_file: str = ""
    read_token_file: str = ""
    full_token_file: str = ""
    loopback: str = "read"
    max_clients: int = 1100


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """The HTTP server.

    Attributes:
        address: Empty means no server.
        port: TCP port.
        peers: Most peers with metrics of their own.
        propagation: Measure how long routes take.
    """

    address: str = ""
    port: int = 0
    peers: int = 5000
    propagation: bool = True


@dataclass(frozen=True, slots=True)
class DrainSettings:
    """What takes the speaker out of service beside commands.

    Attributes:
        at_shutdown: Seconds for which peers are drained, at most, before an end that
            they keep no routes over; 0 drains none.
    """

    at_shutdown: int = 0


@dataclass(frozen=True, slots=True)
class ReloadSettings:
    """How a changed file takes effect.

    Attributes:
        watches: Reload when a file changes.
        allows_resets: What ends sessions is done without further consent.
    """

    watches: bool = True
    allows_resets: bool = True


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """All settings of the daemon, in canonical order.

    Attributes:
        node_name: This node's name in the datastore.
        speaker: This speaker.
        peers: Configured neighbours, by address; those of the datastore come on top.
        ranges: Dynamic neighbours, by prefix.
        policies: Configured policies, by name.
        routes: Our own routes.
        fib: The kernel's table.
        trusts_next_hops: Believe every next hop, as a reflector off the path must.
        resolves_by_default_route: A next hop may be reached by a default route.
        datastore: Where cluster state comes from.
        calico: How its node behaves.
        kubernetes: Kubernetes' API.
        control_path: Unix socket of the API; empty is none.
        api: The API on an address.
        bird: Sockets that speak BIRD's protocol.
        log: What is logged.
        journal: What is kept of what happened.
        mrt: MRT files.
        bmp: BMP collectors.
        restart: What survives a restart.
        drain: What takes the speaker out of service.
        reload: How a changed file takes effect.
        metrics: The HTTP server.
    """

    node_name: str
    speaker: SpeakerSettings
    peers: tuple[PeerSettings, ...] = ()
    ranges: tuple[RangeSettings, ...] = ()
    policies: tuple[PolicySpec, ...] = ()
    routes: RouteSettings = RouteSettings()
    fib: FibSettings = FibSettings()
    trusts_next_hops: bool = False
    resolves_by_default_route: bool = True
    datastore: DatastoreSettings = DatastoreSettings()
    calico: CalicoSettings = CalicoSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    control_path: str = ""
    api: ApiSettings = ApiSettings()
    bird: BirdSettings = BirdSettings()
    log: LogSettings = LogSettings()
    journal: JournalSettings = JournalSettings()
    mrt: MrtSettings = field(default_factory=MrtSettings)
    bmp: BmpSettings = field(default_factory=BmpSettings)
    restart: RestartSettings = RestartSettings()
    drain: DrainSettings = DrainSettings()
    reload: ReloadSettings = ReloadSettings()
    metrics: MetricsSettings = MetricsSettings()
