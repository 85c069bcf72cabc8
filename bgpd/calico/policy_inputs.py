"""What the policies of one node rest on, gathered from the cluster's objects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bgpd.calico.blocks import Block, parse_block
from bgpd.calico.claims import AffinityState
from bgpd.calico.compat import ClusterRoutes, Compat, cluster_routes
from bgpd.calico.desired import StaticRoute
from bgpd.calico.keys import resource_key
from bgpd.calico.members import Member
from bgpd.calico.policies import (
    ExportFacts,
    KernelFacts,
    advertisements,
    family_of,
    is_tunnelled,
    within,
)
from bgpd.calico.priorities import normal_metrics
from bgpd.calico.resources import IpPoolSpec
from bgpd.calico.services import ServiceAdvertisement, ServiceRanges
from bgpd.calico.slices import Slices, pieces
from bgpd.calico.topology import Topology
from bgpd.calico.warnings import ObjectWarning
from rib.family import Family
from rib.policy import PrefixMatch

PREFIXES: Final = 512  # of services, read in one slice, a millisecond
_NOTHING: Final = ServiceAdvertisement()


@dataclass(frozen=True, slots=True)
class ServicePrefixes:
    """What is announced of services, as policies and tables have it.

    Attributes:
        source: What it was made of.
        announced: All that lies inside the announced prefixes of a family.
        rejected: As ``announced``, of those that never go to the kernel.
        routes: What is originated.
    """

    source: ServiceAdvertisement = _NOTHING
    announced: Mapping[Family, PrefixMatch] = field(default_factory=dict)
    rejected: Mapping[Family, PrefixMatch] = field(default_factory=dict)
    routes: frozenset[StaticRoute] = frozenset()


def read_services(source: ServiceAdvertisement) -> Slices[ServicePrefixes]:
    """Return what is announced of services, made in slices: there are tens of thousands."""
    matches: list[Mapping[Family, PrefixMatch]] = []
    routes: list[StaticRoute] = []
    for cidrs in (source.announced, source.rejected):
        blocks: dict[Family, list[Block]] = {}
        yield
        for some in pieces(sorted(cidrs), PREFIXES):
            for cidr in some:
                block = parse_block(cidr)
                blocks.setdefault(block.family, []).append(block)
            yield
        if not matches:
            routes = [StaticRoute(*block) for some in blocks.values() for block in some]
        matches.append({f: within(each) for f, each in blocks.items()})
        yield
    announced, rejected = matches
    return ServicePrefixes(source, announced, rejected, frozenset(routes))


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the policies of one node rest on, at one moment.

    Attributes:
        topology: The cluster.
        own: The node; ``None`` without an object of it.
        compat: Releases to be like.
        affinities: Own blocks.
        services: What is announced of services.
        ranges: What may be.
        workloads: Patterns of the devices that lead to local workloads.
    """

    topology: Topology
    own: Member | None
    compat: Compat
    affinities: Mapping[Block, AffinityState]
    services: ServicePrefixes
    ranges: ServiceRanges
    workloads: tuple[str, ...]

    @property
    def normal(self) -> Mapping[Family, int]:
        """The normal metric of each family; empty where there are no priorities."""
        config = self.topology.config
        return normal_metrics(self.compat, config.ipv4_priority, config.ipv6_priority)

    @property
    def routes(self) -> ClusterRoutes:
        """Which pools' routes are ours to program."""
        return cluster_routes(self.compat, self.topology.config.program_cluster_routes)

    @property
    def needs_tunnel(self) -> bool:
        """Whether we program routes through the IPIP tunnel."""
        pools = (pool.spec for pool in self.topology.pools.values())
        return self.routes.ipip and any(is_tunnelled(p.ipip_mode) for p in pools)

    def export(self, family: Family) -> tuple[ExportFacts, list[ObjectWarning]]:
        """Return what export policies of a family rest on."""
        name, config = "default", self.topology.config
        own = None if self.own is None else self.topology.node_config(self.own.name)
        if own is not None and own.prefix_advertisements is not None:
            # Of both families, even where it names prefixes of one only.
            name, config = f"node.{self.own.name if self.own else ''}", own
        items, unknown = advertisements(
            [
                (each.cidr, each.communities)
                for each in config.prefix_advertisements or ()
            ],
            {each.name: each.value for each in config.communities},
            family,
        )
        key = resource_key("BGPConfiguration", name)
        findings = [
            ObjectWarning(
                key,
                "spec.prefixAdvertisements",
                f"{text!r} is neither a community nor the name of one; ignored",
            )
            for text in unknown
        ]
        facts = ExportFacts(
            pools=self._pools(family),
            own=frozenset(block for block in self.affinities if block.family == family),
            advertisements=items,
            services=self.services.announced.get(family),
            ranges=self._reflected(family),
            normal=self.normal.get(family),
            routes=self.routes,
        )
        return facts, findings

    def kernel(self, family: Family) -> KernelFacts:
        """Return what the kernel policy of a family rests on."""
        own = self.own
        guarded: frozenset[str] = frozenset()
        if own is not None and family in own.wireguard:
            guarded = frozenset(
                member.addrs[family]
                for member in self.topology.nodes.values()
                if family in member.wireguard and family in member.addrs
            )
        return KernelFacts(
            pools=self._pools(family),
            rejected=self.services.rejected.get(family),
            wireguard=guarded,
            network="" if own is None else own.networks.get(family, ""),
            workloads=self.workloads,
            normal=self.normal.get(family),
            routes=self.routes,
        )

    def _reflected(self, family: Family) -> frozenset[str]:
        """Return the service ranges that a reflector passes on."""
        if self.own is None or not self.own.cluster_id:
            return frozenset()
        ranges = self.ranges.load_balancer_ips
        if self.compat is Compat.V3_33:
            ranges = (*ranges, *self.ranges.external_ips)
        return self._of_family(ranges, family)

    def _pools(self, family: Family) -> tuple[IpPoolSpec, ...]:
        specs = (pool.spec for pool in self.topology.pools.values())
        return tuple(spec for spec in specs if family_of(spec.cidr) == family.afi)

    def _of_family(self, cidrs: Iterable[str], family: Family) -> frozenset[str]:
        return frozenset(cidr for cidr in cidrs if family_of(cidr) == family.afi)
