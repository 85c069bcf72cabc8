"""From a cluster's objects to what one node must be and do.

Three parts, each recomputed only when its inputs change: the sessions
(``bgpd.calico.session_plan``), the policies (``bgpd.calico.policy_plan``; they name own blocks, so
an affinity changes them), and the rest, which is put together here. Parts that did not change
are the same objects as before, which is what makes them cheap to compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import nsmallest
from itertools import takewhile
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.calico.blocks import AffinityError, Block, parse_block
from bgpd.calico.claims import AffinityState
from bgpd.calico.compat import Compat
from bgpd.calico.desired import DrainMark, NodeDesired
from bgpd.calico.endpoints import LocalEndpoint, workload_interfaces
from bgpd.calico.members import Member
from bgpd.calico.peerings import Peering
from bgpd.calico.peers import PeerInputs
from bgpd.calico.policy_inputs import NodeFacts, ServicePrefixes, read_services
from bgpd.calico.policy_plan import FAMILIES, PolicyPlan
from bgpd.calico.priorities import local_pref_of_metric
from bgpd.calico.services import (
    EXCLUDE_LABEL,
    ServiceAdvertisement,
    ServiceRanges,
    service_ranges,
)
from bgpd.calico.session_plan import SessionPlan
from bgpd.calico.slices import Slices
from bgpd.calico.topology import Topology
from bgpd.session.settings import PeerSettings
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

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
#   (`session_plan.SessionPlan`): heartbeats and labels of other programs end there.
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

DEFAULT_INTERFACES: Final = ("-cali*", "-kube-ipvs*", "*")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the cluster's objects do not say.

    Attributes:
        compat: Releases to be like; ``None`` follows ClusterInformation.
        uses_pod_cidrs: Blocks come from ``Node.status.podCIDRs``, not from affinities.
        cluster_ips: In place of ``serviceClusterIPs``; ``None`` leaves those.
        drain_label: Label of the own node that drains it; empty is none.
    """

    compat: Compat | None = None
    uses_pod_cidrs: bool = False
    cluster_ips: tuple[str, ...] | None = None
    drain_label: str = ""


@dataclass(frozen=True, slots=True)
class SideInputs:
    """What a plan takes from outside the datastore.

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


SHOWN_NODES: Final = 3  # of those that a node may have been meant to be


class Needs(NamedTuple):
    """What a plan needs from outside the datastore.

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
        self._options = options
        self._sessions = SessionPlan(node, template)
        self._policies = PolicyPlan()
        self._services = ServicePrefixes()

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
        sessions, policies = self._sessions, self._policies
        yield from sessions.follow(topology, inputs)
        unknown = yield from policies.follow(facts, sessions.peerings)
        kernel = {family: policies.kernel(facts, family) for family in FAMILIES}
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
            peers=policies.peers,
            originated=frozenset(b for b in affinities if b.has_blackhole),
            cluster_blocks={},
            pools=topology.pools,
            warnings=(*topology.warnings, *sessions.findings, *unknown),
            compat=compat,
            policies=policies.specs,
            kernel=kernel,
            affinities=affinities,
            statics=self._services.routes.union(sessions.gateways()),
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
            other_nodes=() if own is not None else _similar(self._node, topology),
            drain_mark=_drain_mark(topology, own, self._options.drain_label),
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
        """Return what the plan needs from outside the datastore."""
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
        return self._sessions.peerings


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


def _drain_mark(topology: Topology, own: Member | None, label: str) -> DrainMark | None:
    """Return the label that drains a node, and how many others bear it."""
    if own is None or not label or not _is_marked(own, label):
        return None
    marked = sum(_is_marked(node, label) for node in topology.nodes.values())
    return DrainMark(label, marked, len(topology.nodes))


def _is_marked(node: Member, label: str) -> bool:
    return node.labels.get(label, "false") != "false"


def _similar(name: str, topology: Topology) -> tuple[str, ...]:
    """Return some names of nodes, those that begin like ``name`` first."""

    def distance(other: str) -> tuple[int, str]:
        pairs = zip(name.lower(), other.lower(), strict=False)
        return -sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)), other

    return tuple(nsmallest(SHOWN_NODES, topology.nodes, key=distance))
