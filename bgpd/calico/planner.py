"""From a cluster's objects to what one node must be and do.

Three parts, each recomputed only when its inputs change: sessions, export policies
(which name own blocks, so an affinity changes them), and the rest. Parts that did not
change are the same objects as before, which is what makes them cheap to compare. Of
sessions, only those whose objects changed are recomputed; nodes with changed labels
that no selector in use refers to change none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.calico.blocks import AffinityError, Block, parse_block
from bgpd.calico.claims import AffinityState
from bgpd.calico.compat import Compat
from bgpd.calico.desired import NodeDesired, StaticRoute
from bgpd.calico.endpoints import LocalEndpoint, workload_interfaces
from bgpd.calico.peerings import Kind, Peering, PeeringMemo
from bgpd.calico.peers import PeerInputs, expand_peers
from bgpd.calico.policies import (
    ExportFacts,
    KernelFacts,
    export_policy,
    import_policy,
    kernel_policy,
)
from bgpd.calico.policy_inputs import NodeFacts, ServicePrefixes, read_services
from bgpd.calico.priorities import local_pref_of_metric
from bgpd.calico.services import (
    EXCLUDE_LABEL,
    ServiceAdvertisement,
    ServiceRanges,
    service_ranges,
)
from bgpd.calico.slices import Slices
from bgpd.calico.topology import Member, Topology
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import PeerSettings
from fib.kernel_policy import KernelPolicy
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import make_nlri, parse_address
from rib.policy import ACCEPT_ALL, PolicySpec

# Theory
# ------
# The cluster's objects come in as a `Topology` (parsed, with each fault already a warning),
# the node's own blocks as affinities, and what the datastore does not hold as `SideInputs`.
# What goes out is one value, `NodeDesired`: what this node must be. It is compared with the
# former one, and only differences are applied; so a plan may be made as often as one likes.
#
#       Topology --+--> sessions --------+
#       SideInputs-+       |             |
#                          kinds         +--> NodeDesired
#                          v             |
#       affinities ---> policies --------+
#                  \-> kernel policies --+
#
# The size of the problem: 5,000 nodes with 20 changes a second, each of which could change
# every session of a full mesh. What keeps that cheap are three rules:
#
# * A part that rests on nothing that changed is the same object as before (`is`), and the
#   comparison of two plans stops there. This is the invariant to keep: a part that is equal
#   but new costs the reconciler a comparison of all it holds.
# * A change of nodes that no selector in use can tell apart changes no session
#   (`_makes_no_difference`): heartbeats and labels of other programs end there.
# * Planning yields after each piece of about a millisecond (`Slices`). The inputs of a plan
#   do not change while it is made: what arrives meanwhile waits for the next one.
#
# One bad object must not take the node's network away. Faults of fields were repaired while
# parsing; an object that breaks planning raises `CulpritError`, and the caller plans again
# with the object as it was before (`bgpd.calico.culprits`).
#
# Deliberately not here: waiting for the datastore, holding back implausible removals
# (`bgpd.calico.removals`), and applying (`bgpd.node.reconciler`).
#
# Sources: Calico's confd templates and its BGP processor, whose results the cases in
# tests/golden and the conformance cases fix; docs/calico.md says where we differ.

FAMILIES: Final = (IPV4_UNICAST, IPV6_UNICAST)
NODES: Final = 64  # or their sessions, looked at in one slice, a millisecond
MOST_SELECTORS: Final = (
    64  # checked for each changed node; with more, everything is planned again
)
DEFAULT_INTERFACES: Final = ("-cali*", "-kube-ipvs*", "*")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the cluster's objects do not say.

    Attributes:
        compat: Releases to be like; ``None`` follows ClusterInformation.
        uses_pod_cidrs: Blocks come from ``Node.status.podCIDRs``, not from affinities.
        cluster_ips: In place of ``serviceClusterIPs``; ``None`` leaves those.
    """

    compat: Compat | None = None
    uses_pod_cidrs: bool = False
    cluster_ips: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SideInputs:
    """What a plan takes from elsewhere than the datastore.

    Attributes:
        passwords: By name and key of the Secret, as far as known.
        endpoints: Local workloads that Felix wrote down.
        services: What is announced of services; ``None`` without Kubernetes' API, then
            the ranges alone are.
    """

    passwords: Mapping[tuple[str, str], str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    endpoints: tuple[LocalEndpoint, ...] = ()
    services: ServiceAdvertisement | None = None


class Needs(NamedTuple):
    """What a plan asks for from elsewhere than the datastore.

    Attributes:
        secrets: Names of the Secrets that hold passwords.
        ranges: What of services may be announced.
        is_excluded: The node announces nothing of services.
        passwords: Name and key of each password, in these Secrets.
    """

    secrets: frozenset[str] = frozenset()
    ranges: ServiceRanges = ServiceRanges()
    is_excluded: bool = False
    passwords: frozenset[tuple[str, str]] = frozenset()


class Planner:
    """Plans one node; holds what can be used again.

    Args:
        node: Its name.
        template: Settings of every peer that Calico says nothing about.
        options: What the objects do not say.
    """

    def __init__(self, node: str, template: PeerSettings, options: PlanOptions) -> None:
        self._node = node
        self._template = template
        self._options = options
        self._topology: Topology | None = None
        self._inputs = PeerInputs()
        self._memo = PeeringMemo()
        self._peerings: tuple[Peering, ...] = ()
        self._peers: tuple[PeerSettings, ...] = ()
        self._named: dict[int, _Named] = {}  # by the identity of a peering
        self._findings: tuple[ObjectWarning, ...] = ()
        self._export_key: object = None
        self._policies: tuple[PolicySpec, ...] = ()
        self._names: dict[Kind, tuple[str, str]] = {}
        self._services = ServicePrefixes()
        self._kernel: dict[Family, tuple[KernelFacts, KernelPolicy]] = {}

    def plan(
        self,
        topology: Topology,
        revision: int,
        affinities: Mapping[Block, AffinityState],
        side: SideInputs,
    ) -> Slices[NodeDesired]:
        """Return what the node must be and do; ``cluster_blocks`` are the caller's.

        Raises:
            CulpritError: Nothing can be made of an object.
        """
        compat = self._options.compat or topology.compat or Compat.V3_31
        own = topology.nodes.get(self._node)
        if self._options.uses_pod_cidrs:
            affinities = _pod_blocks(own)
        ranges = self.service_ranges(topology)
        devices = workload_interfaces(side.endpoints)
        yield from self._follow_services(topology, ranges, side.services)
        facts = NodeFacts(
            topology, own, compat, affinities, self._services, ranges, devices
        )
        inputs = PeerInputs(side.passwords, side.endpoints, compat)
        yield from self._plan_peers(topology, inputs)
        unknown = yield from self._plan_policies(facts)
        kernel = {family: self._kernel_policy(facts, family) for family in FAMILIES}
        yield
        addrs: Mapping[Family, str] = {} if own is None else own.addrs
        ipv4_addr = addrs.get(IPV4_UNICAST, "")
        return NodeDesired(
            name=self._node,
            revision=revision,
            is_known=own is not None,
            ipv4_addr=ipv4_addr,
            ipv6_addr=addrs.get(IPV6_UNICAST, ""),
            router_id=ipv4_addr or hashed_router_id(self._node),
            asn=topology.asn_of(own),
            cluster_id="" if own is None else own.cluster_id,
            listen_port=topology.listen_port(self._node),
            listens_on_node_addr=topology.config.bind_mode == "NodeIP",
            peers=self._peers,
            originated=frozenset(b for b in affinities if b.has_blackhole),
            cluster_blocks={},
            pools=topology.pools,
            warnings=(*topology.warnings, *self._findings, *unknown),
            compat=compat,
            policies=self._policies,
            kernel=kernel,
            affinities=affinities,
            statics=self._services.routes.union(self._gateways()),
            local_pref={
                family: local_pref_of_metric(metric)
                for family, metric in facts.normal.items()
            },
            direct_interfaces=(
                *(f"-{name}" for name in topology.config.ignored_interfaces),
                *DEFAULT_INTERFACES,
            ),
            workload_interfaces=facts.workloads,
            tunnel_addr="" if own is None else own.tunnel_addr,
            needs_tunnel=facts.needs_tunnel,
        )

    def _follow_services(
        self,
        topology: Topology,
        ranges: ServiceRanges,
        services: ServiceAdvertisement | None,
    ) -> Slices[None]:
        """Read what is announced of services; without an API the ranges alone are."""
        if services is None:
            excluded = self.is_excluded(topology)
            services = service_ranges(ranges, is_excluded=excluded)
        if services != self._services.source:
            self._services = yield from read_services(services)

    def service_ranges(self, topology: Topology) -> ServiceRanges:
        """Return what of services may be announced."""
        config, given = topology.config, self._options.cluster_ips
        cluster_ips = (each.cidr for each in config.service_cluster_ips if each.cidr)
        return ServiceRanges(
            tuple(cluster_ips) if given is None else given,
            tuple(each.cidr for each in config.service_external_ips if each.cidr),
            tuple(each.cidr for each in config.service_load_balancer_ips if each.cidr),
            is_aggregated=config.service_aggregation == "Enabled",
        )

    def is_excluded(self, topology: Topology) -> bool:
        """Return whether the node's labels keep services from being announced there."""
        own = topology.nodes.get(self._node)
        return own is not None and own.labels.get(EXCLUDE_LABEL) == "true"

    def needs(self, topology: Topology) -> Needs:
        """Return what the plan asks for from elsewhere than the datastore."""
        references = set(topology.secrets)
        mesh = topology.config.mesh_password
        if mesh is not None and mesh.reference is not None:
            references.add((mesh.reference.name, mesh.reference.key))
        return Needs(
            frozenset(name for name, _ in references),
            self.service_ranges(topology),
            self.is_excluded(topology),
            frozenset(references),
        )

    def peerings(self) -> tuple[Peering, ...]:
        """Return the sessions of the last plan and where they come from, by name."""
        return self._peerings

    # -- sessions ---------------------------------------------------------------------

    def _plan_peers(self, topology: Topology, inputs: PeerInputs) -> Slices[None]:
        if self._topology is not None and inputs == self._inputs:
            if topology is self._topology:
                return
            if (yield from self._makes_no_difference(topology, self._topology)):
                self._topology = topology
                return
        self._peerings, self._findings = yield from expand_peers(
            topology, self._node, self._template, inputs, self._memo
        )
        self._topology, self._inputs = topology, inputs

    def _makes_no_difference(self, new: Topology, old: Topology) -> Slices[bool]:
        """Return whether nodes changed only in what no session of this node asks for."""
        if not new.has_same_rest(old) or not new.follows(old):
            return False
        selectors = {
            text: selector
            for facts in new.peers.values()
            for text, selector in (
                (facts.spec.node_selector, facts.node_selector),
                (facts.spec.peer_selector, facts.peer_selector),
            )
            if selector is not None
        }
        if len(selectors) > MOST_SELECTORS:
            return False
        for number, (before, after) in enumerate(new.changes.values(), 1):
            if before is None or after is None or after.name == self._node:
                return False
            if replace(before, labels=after.labels) != after:
                return False
            for selector in selectors.values():
                if selector(before.labels) is not selector(after.labels):
                    return False
            if number % NODES == 0:
                yield
        return True

    def _gateways(self) -> Iterable[StaticRoute]:
        """Yield the ways to peers that are reached through a gateway."""
        for each in self._peerings:
            if each.gateway:
                octets = parse_address(each.settings.remote_addr.partition("%")[0])
                family = IPV4_UNICAST if len(octets) == 4 else IPV6_UNICAST
                nlri = make_nlri(octets, len(octets) * 8)
                yield StaticRoute(family, nlri, parse_address(each.gateway))

    # -- policies ---------------------------------------------------------------------

    def _plan_policies(self, facts: NodeFacts) -> Slices[tuple[ObjectWarning, ...]]:
        """Make policies and let peers name them; return what is wrong with communities."""
        topology = facts.topology
        exports: dict[Family, ExportFacts] = {}
        unknown: list[ObjectWarning] = []
        for family in FAMILIES:
            exports[family], found = facts.export(family)
            unknown += found
            yield
        kinds = tuple(dict.fromkeys(peering.kind for peering in self._peerings))
        yield
        key = (topology.filters, exports, kinds)
        if key != self._export_key:
            specs: dict[str, PolicySpec] = {}
            names: dict[Kind, tuple[str, str]] = {}
            for kind in kinds:
                incoming, outgoing = _policies(kind, facts, exports[kind[0].family])
                specs[incoming.name], specs[outgoing.name] = incoming, outgoing
                names[kind] = incoming.name, outgoing.name
                yield
            specs.pop(ACCEPT_ALL.name, None)
            self._policies = tuple(specs[name] for name in sorted(specs))
            self._export_key, self._names = key, names
        yield from self._name_policies()
        return tuple(unknown)

    def _name_policies(self) -> Slices[None]:
        """Let sessions name their policies; those that do are left as they are."""
        known, named = self._named, dict[int, _Named]()
        for number, peering in enumerate(self._peerings, 1):
            names = self._names[peering.kind]
            entry = known.get(id(peering))
            if entry is None or entry.peering is not peering or entry.names != names:
                settings = _with_policies(peering.settings, names)
                entry = _Named(peering, names, settings)
            named[id(peering)] = entry
            if number % NODES == 0:
                yield
        self._named = named
        peers = tuple(entry.settings for entry in named.values())
        if peers != self._peers:
            self._peers = peers

    def _kernel_policy(self, facts: NodeFacts, family: Family) -> KernelPolicy:
        """Return the kernel policy of a family, the same object while it is the same."""
        rests_on = facts.kernel(family)
        known = self._kernel.get(family)
        if known is None or known[0] != rests_on:
            known = rests_on, kernel_policy(family, rests_on)
            self._kernel[family] = known
        return known[1]


class _Named(NamedTuple):
    """A session that names its policies."""

    peering: Peering
    names: tuple[str, str]
    settings: PeerSettings


def _policies(
    kind: Kind, facts: NodeFacts, exports: ExportFacts
) -> tuple[PolicySpec, PolicySpec]:
    """Return what a kind of session lets in, and out."""
    session, filters, keeps_tunnel_routes = kind
    specs = facts.topology.filters
    normal = facts.normal.get(session.family)
    outgoing = export_policy(
        session, filters, specs, exports, is_tunnel_kept=keeps_tunnel_routes
    )
    return import_policy(session, filters, specs, normal), outgoing


def _with_policies(settings: PeerSettings, names: tuple[str, str]) -> PeerSettings:
    """Let a session name its policies; what the daemon's defaults name goes first."""
    incoming, outgoing = names
    return replace(
        settings,
        import_policy=settings.import_policy or incoming,
        export_policy=settings.export_policy or outgoing,
    )


def hashed_router_id(node: str) -> str:
    """Return the router id that Calico derives from a node's name: never multicast."""
    octets = list(sha256(node.encode()).digest()[:4])
    if octets[0] > 223:
        octets[0] -= 32
    return ".".join(map(str, octets))


def _pod_blocks(own: Member | None) -> Mapping[Block, AffinityState]:
    """Return the blocks that host-local address management gave a node."""
    found: dict[Block, AffinityState] = {}
    for cidr in () if own is None else own.pod_cidrs:
        try:
            found[parse_block(cidr)] = AffinityState.IMPLICIT
        except AffinityError:
            continue
    return found
