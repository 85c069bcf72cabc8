"""The nodes of a cluster as peers see them: addresses, AS, labels, ports.

Made anew from the resources whenever one of them changes; selectors are evaluated once per
text and object state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bgpd.calico.keys import resource_key
from bgpd.calico.resources import (
    BgpConfiguration,
    BgpConfigurationSpec,
    BgpPeer,
    IpPool,
    Node,
    Resource,
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
        addrs: Address in canonical text per family; never empty.
        asn: None takes the cluster's.
        cluster_id: Non-empty on a route reflector.
        labels: As on the object.
        listen_port: Its own setting, else the cluster's, else 179.
    """

    name: str
    addrs: Mapping[Family, str]
    asn: int | None
    cluster_id: str
    labels: Mapping[str, str]
    listen_port: int


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
        self.pools = {
            name: item
            for name, item in sorted(resources["IPPool"].items())
            if isinstance(item, IpPool)
        }
        members = (
            self._member(name, item)
            for name, item in sorted(resources["Node"].items())
            if isinstance(item, Node)
        )
        self.nodes = {member.name: member for member in members if member is not None}
        self.by_addr: dict[str, Member] = {}
        found: list[ObjectWarning] = []
        for member in self.nodes.values():
            for addr in member.addrs.values():
                first = self.by_addr.setdefault(addr, member)
                if first is not member:
                    text = f"{addr} is also the address of {first.name}"
                    key = resource_key("Node", member.name)
                    found.append(ObjectWarning(key, "spec.bgp", text))
        self.warnings = tuple(found)
        self._matching: dict[str, tuple[Member, ...]] = {}

    @property
    def is_mesh(self) -> bool:
        """Whether nodes peer with each other by themselves."""
        return self.config.is_mesh is not False

    def listen_port(self, name: str) -> int:
        """Return the port that node ``name`` listens on."""
        own = self._configs.get(f"node.{name}")
        port = own.listen_port if own is not None else None
        return port or self.config.listen_port or BGP_PORT

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
        try:
            return member in self.matching(selector)
        except SelectorError:
            return False

    def _member(self, name: str, node: Node) -> Member | None:
        bgp = node.spec.bgp
        if bgp is None:
            return None
        addrs = {
            family: text.partition("/")[0]
            for family, text in (
                (IPV4_UNICAST, bgp.ipv4_address),
                (IPV6_UNICAST, bgp.ipv6_address),
            )
            if text
        }
        labels = node.metadata.labels
        port = self.listen_port(name)
        return Member(name, addrs, bgp.asn, bgp.cluster_id, labels, port)
