"""What one node must be and do, as values; what the daemon compares with what runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bgpd.calico.blocks import Block
from bgpd.calico.claims import AffinityState
from bgpd.calico.compat import Compat
from bgpd.calico.resources import IpPool
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import PeerSettings
from fib.kernel_policy import KernelPolicy
from rib.family import Family
from rib.nlri import Nlri
from rib.policy import PolicySpec


class StaticRoute(NamedTuple):
    """A route that the daemon makes beside the node's own blocks; there may be many.

    Attributes:
        family: Of the prefix.
        nlri: The prefix.
        gateway: 4 or 16 octets; empty is a blackhole.
    """

    family: Family
    nlri: Nlri
    gateway: bytes = b""


class DrainMark(NamedTuple):
    """The label of a node that drains it.

    Attributes:
        label: Its key.
        marked: Nodes that bear it, this one included.
        nodes: All that are known.
    """

    label: str
    marked: int
    nodes: int

    @property
    def is_plausible(self) -> bool:
        """Whether it is not one mistake that takes most of a cluster out of service."""
        return self.marked == 1 or 2 * self.marked <= self.nodes


@dataclass(frozen=True, slots=True)
class NodeDesired:
    """What one node must be and do.

    Attributes:
        name: The node.
        revision: The datastore revision this follows from.
        is_known: The node has an object with BGP settings.
        compat: The releases it behaves like.
        ipv4_addr: Own address in canonical text; empty without.
        ipv6_addr: As ``ipv4_addr``.
        router_id: Own IPv4 address, else the hash of the name that Calico uses.
        asn: Own AS number.
        cluster_id: Non-empty on a route reflector.
        listen_port: TCP port.
        listens_on_node_addr: Listen on the node's addresses only, else on all.
        peers: Sorted by name. Two of different times are the same session where
            ``(remote_addr, port)`` is equal; the name tells where it comes from and may
            change (mesh to explicit) without touching the session.
        policies: Every policy that ``peers`` name, sorted by name.
        kernel: What goes to the kernel, by family.
        originated: Own blocks but those of one address, which workloads' routes announce.
        affinities: State of each own block.
        statics: Service routes (blackholes) and ways to peers.
        local_pref: LOCAL_PREF of own blocks, statics and connected routes by family, and
            of other programs' routes what ``fib.kernel_policy.MAX_METRIC`` leaves of
            their metric; empty where Calico sets none (3.31 and earlier).
        direct_interfaces: Patterns of devices whose connected prefixes are candidates,
            the first that fits decides; a leading ``-`` leaves out.
        workload_interfaces: Patterns of the devices that lead to local workloads.
        tunnel_addr: Own IPv4 address of the IPIP tunnel; empty without.
        other_nodes: Where the node is not known, the first names of those that are.
        drain_mark: The own node's, where it bears the label.
        needs_tunnel: Some pool's routes are sent through the IPIP tunnel by us.
        cluster_blocks: Blocks of all other nodes that the datastore told, by node.
        pools: By name.
        warnings: Findings about any object of the cluster, sorted.
    """

    name: str
    revision: int
    is_known: bool
    ipv4_addr: str
    ipv6_addr: str
    router_id: str
    asn: int
    cluster_id: str
    listen_port: int
    listens_on_node_addr: bool
    peers: tuple[PeerSettings, ...]
    originated: frozenset[Block]
    cluster_blocks: Mapping[str, frozenset[Block]] = field(repr=False)
    pools: Mapping[str, IpPool] = field(repr=False)
    warnings: tuple[ObjectWarning, ...]
    compat: Compat = Compat.V3_31
    policies: tuple[PolicySpec, ...] = ()
    kernel: Mapping[Family, KernelPolicy] = field(default_factory=dict)
    affinities: Mapping[Block, AffinityState] = field(default_factory=dict)
    statics: frozenset[StaticRoute] = frozenset()
    local_pref: Mapping[Family, int] = field(default_factory=dict)
    direct_interfaces: tuple[str, ...] = ("-cali*", "-kube-ipvs*", "*")
    workload_interfaces: tuple[str, ...] = ("cali*",)
    tunnel_addr: str = ""
    needs_tunnel: bool = False
    other_nodes: tuple[str, ...] = ()
    drain_mark: DrainMark | None = None
