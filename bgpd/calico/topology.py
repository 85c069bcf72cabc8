"""The nodes of a cluster as peers see them: addresses, AS, labels, ports.

Made anew from the resources whenever one of them changes; selectors are evaluated once per
text and object state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bgpd.calico.compat import Compat, compat_of_version
from bgpd.calico.fields import Resource
from bgpd.calico.filters import BgpFilter
from bgpd.calico.keys import resource_key
from bgpd.calico.policies import is_tunnelled
from bgpd.calico.resources import (
    BgpConfiguration,
    BgpConfigurationSpec,
    BgpPeer,
    ClusterInformation,
    IpPool,
    Node,
)
from bgpd.calico.selectors import SelectorError, compile_selector
from bgpd.calico.warnings import ObjectWarning
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

DEFAULT_ASN: Final = 64512
BGP_PORT: Final = 179


@dataclass(frozen=True, slots=True)
class Member:
    """One node that takes part in BGP.

    Attributes:
        name: The node.
        addrs: Address in canonical text per family.
        asn: None takes the cluster's.
        cluster_id: Non-empty on a route reflector.
        networks: Address with its subnet per family.
        labels: As on the object.
        listen_port: Its own setting, else the cluster's, else 179.
        wireguard: Families in which it is reached by WireGuard where both ends are.
        tunnel_addr: Address of its IPIP tunnel; empty without.
        pod_cidrs: What host-local address management gave it.
    """

    name: str
    addrs: Mapping[Family, str]
    asn: int | None
    cluster_id: str
    networks: Mapping[Family, str]
    labels: Mapping[str, str]
    listen_port: int
    wireguard: frozenset[Family]
    tunnel_addr: str
    pod_cidrs: tuple[str, ...]


class Topology:
    """A consistent view of nodes, settings, peers and pools.

    Args:
        resources: Kind to name to object; read now, never again.
    """

    def __init__(self, resources: Mapping[str, Mapping[str, Resource]]) -> None:
        self._configs = {
            name: item.spec
            for name, item in resources["BGPConfiguration"].items()
            if isinstance(item, BgpConfiguration)
        }
        self.config = self._configs.get("default", BgpConfigurationSpec())
        self.asn = self.config.asn or DEFAULT_ASN
        self.peers = {
            name: item.spec
            for name, item in sorted(resources["BGPPeer"].items())
            if isinstance(item, BgpPeer)
        }
        self.filters = {
            name: item.spec
            for name, item in sorted(resources["BGPFilter"].items())
            if isinstance(item, BgpFilter)
        }
        found: list[ObjectWarning] = []
        self.pools = _pools(resources["IPPool"], found)
        self.compat = _compat(resources["ClusterInformation"], found)
        members = (
            self._member(name, item)
            for name, item in sorted(resources["Node"].items())
            if isinstance(item, Node)
        )
        self.nodes = {member.name: member for member in members if member is not None}
        self.by_addr: dict[str, Member] = {}
        for member in self.nodes.values():
            for addr in member.addrs.values():
                first = self.by_addr.setdefault(addr, member)
                if first is not member:
                    text = f"{addr} is also the address of {first.name}"
                    key = resource_key("Node", member.name)
                    found.append(ObjectWarning(key, "spec.bgp", text))
        self.warnings = tuple(found)
        self._matching: dict[str, tuple[Member, ...]] = {}
        self._names: dict[str, frozenset[str]] = {}

    @property
    def is_mesh(self) -> bool:
        """Whether nodes peer with each other by themselves."""
        return self.config.is_mesh is not False

    def node_config(self, name: str) -> BgpConfigurationSpec | None:
        """Return the settings of one node alone; ``None`` without."""
        return self._configs.get(f"node.{name}")

    def listen_port(self, name: str) -> int:
        """Return the port that node ``name`` listens on."""
        own = self.node_config(name)
        port = own.listen_port if own is not None else None
        return port or self.config.listen_port or BGP_PORT

    def is_listening(self, member: Member, port: int) -> bool:
        """Return whether a BGPPeer with a port names this node, as confd has it.

        Where neither the node nor the cluster sets a port, any fits; the cluster's has
        to fit even where the node has its own.
        """
        own = self.node_config(member.name)
        own_port = None if own is None else own.listen_port
        given = (own_port, self.config.listen_port)
        return all(each is None or each == port for each in given)

    def asn_of(self, member: Member | None) -> int:
        """Return a node's AS number: its own, else the cluster's."""
        return self.asn if member is None or member.asn is None else member.asn

    def matching(self, selector: str) -> tuple[Member, ...]:
        """Return the nodes that ``selector`` matches, by name.

        Raises:
            SelectorError: It is no selector.
        """
        known = self._matching.get(selector)
        if known is None:
            matches = compile_selector(selector)
            known = tuple(node for node in self.nodes.values() if matches(node.labels))
            self._matching[selector] = known
        return known

    def is_matching(self, selector: str, member: Member) -> bool:
        """Return whether ``selector`` matches ``member``; a malformed one never does."""
        names = self._names.get(selector)
        if names is None:
            try:
                names = frozenset(each.name for each in self.matching(selector))
            except SelectorError:
                names = frozenset()
            self._names[selector] = names
        return member.name in names

    def _member(self, name: str, node: Node) -> Member | None:
        bgp = node.spec.bgp
        if bgp is None:
            return None
        given = {IPV4_UNICAST: bgp.ipv4_address, IPV6_UNICAST: bgp.ipv6_address}
        networks = {family: text for family, text in given.items() if text}
        wireguard = node.spec.wireguard
        guarded = {
            IPV4_UNICAST: wireguard.ipv4_address,
            IPV6_UNICAST: wireguard.ipv6_address,
        }
        return Member(
            name=name,
            addrs={f: text.partition("/")[0] for f, text in networks.items()},
            asn=bgp.asn,
            cluster_id=bgp.cluster_id,
            networks=networks,
            labels=node.metadata.labels,
            listen_port=self.listen_port(name),
            wireguard=frozenset(family for family, text in guarded.items() if text),
            tunnel_addr=bgp.tunnel_address,
            pod_cidrs=node.status.pod_cidrs,
        )


def _pools(
    resources: Mapping[str, Resource], found: list[ObjectWarning]
) -> dict[str, IpPool]:
    """Return the pools by name; of two with one prefix the first name counts."""
    pools: dict[str, IpPool] = {}
    by_cidr: dict[str, str] = {}
    for name, item in sorted(resources.items()):
        if not isinstance(item, IpPool):
            continue
        key, spec = resource_key("IPPool", name), item.spec
        first = by_cidr.setdefault(spec.cidr, name)
        if first != name:
            text = f"{spec.cidr} is also the prefix of {first}, which counts"
            found.append(ObjectWarning(key, "spec.cidr", text))
            continue
        if is_tunnelled(spec.ipip_mode) and is_tunnelled(spec.vxlan_mode):
            text = "has no effect beside vxlanMode"
            found.append(ObjectWarning(key, "spec.ipipMode", text))
        pools[name] = item
    return pools


def _compat(
    resources: Mapping[str, Resource], found: list[ObjectWarning]
) -> Compat | None:
    item = resources.get("default")
    if not isinstance(item, ClusterInformation) or not item.spec.version:
        return None
    compat = compat_of_version(item.spec.version)
    if compat is None:
        key = resource_key("ClusterInformation", "default")
        text = f"{item.spec.version!r} is no version such as v3.31.0"
        found.append(ObjectWarning(key, "spec.calicoVersion", text))
    return compat
