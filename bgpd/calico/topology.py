"""The nodes of a cluster as peers see them: addresses, AS, labels, ports.

A new view is made whenever an object has changed, of what changed and of the view before:
thousands of nodes are not read again because one of them has another label.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bgpd.calico.compat import Compat, compat_of_version
from bgpd.calico.culprits import blaming
from bgpd.calico.fields import Resource
from bgpd.calico.filters import BgpFilter
from bgpd.calico.keys import resource_key
from bgpd.calico.members import (
    AddressOwners,
    Changes,
    Member,
    SelectorMatches,
    find_owners,
)
from bgpd.calico.peer_facts import PeerFacts, read_peer
from bgpd.calico.policies import is_tunnelled
from bgpd.calico.resources import (
    BgpConfiguration,
    BgpConfigurationSpec,
    BgpPeer,
    ClusterInformation,
    IpPool,
    Node,
)
from bgpd.calico.selectors import Selector
from bgpd.calico.slices import Slices
from bgpd.calico.warnings import ObjectWarning
from rib.family import IPV4_UNICAST, IPV6_UNICAST

DEFAULT_ASN: Final = 64512
BGP_PORT: Final = 179
NODES: Final = 64  # read in one slice, less than a millisecond
PEERS: Final = 32  # BGPPeers read in one slice, less than a millisecond

Resources = Mapping[str, Mapping[str, Resource]]


class Topology:
    """A consistent view of nodes, settings, peers and pools; made by ``make_topology``.

    Args:
        resources: Kind to name to object; read now, never again.
        before: The view that this one follows; what did not change is taken from it.

    Attributes:
        config: BGPConfiguration ``default``.
        asn: Of nodes that have none of their own.
        peers: BGPPeers by name, sorted.
        filters: BGPFilters by name, sorted.
        pools: IPPools by name.
        compat: Releases that the cluster is like; ``None`` where it does not say.
        secrets: Secrets that BGPPeers refer to, by name and key.
        nodes: Those that take part in BGP, by name, sorted.
        changes: Nodes that differ from ``before``: what they were, and are.
    """

    def __init__(self, resources: Resources, before: "Topology | None") -> None:
        self._items = {kind: dict(objects) for kind, objects in resources.items()}
        self._before = before
        known = _Known(self._items, before)
        self._configs = known.specs("BGPConfiguration", BgpConfiguration, "_configs")
        self.config = self._configs.get("default", BgpConfigurationSpec())
        self.asn = self.config.asn or DEFAULT_ASN
        self.peers: dict[str, PeerFacts] = {}
        self.filters = known.specs("BGPFilter", BgpFilter, "filters")
        found: list[ObjectWarning] = []
        self.pools = _pools(self._items["IPPool"], found)
        self.compat = _compat(self._items["ClusterInformation"], found)
        self.secrets: frozenset[tuple[str, str]] = frozenset()
        self.nodes: dict[str, Member] = {}
        self._owners = AddressOwners()
        self.changes: Changes = {}
        self._found = tuple(found)
        self._matches = SelectorMatches()

    @property
    def warnings(self) -> tuple[ObjectWarning, ...]:
        """What follows from objects together."""
        return (*self._found, *self._owners.warnings)

    @property
    def by_addr(self) -> Mapping[str, Member]:
        """The first node that has an address."""
        return self._owners.by_addr

    @property
    def is_mesh(self) -> bool:
        """Whether nodes peer with each other by themselves."""
        return self.config.is_mesh is not False

    def has_same_rest(self, other: "Topology") -> bool:
        """Whether sessions can differ from those of another view by nodes alone."""
        return (
            self._configs is other._configs
            and self.peers is other.peers
            and self.filters is other.filters
        )

    def follows(self, other: "Topology") -> bool:
        """Whether ``changes`` are the differences to ``other``."""
        return self._before is other

    def forget_before(self) -> None:
        """Release the previous view, once the comparison is done."""
        self._before = None
        self._matches.forget_before()

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

    def matching(self, text: str, selector: Selector) -> Iterable[Member]:
        """Return the nodes that a selector matches, by name.

        Args:
            text: The selector's.
            selector: What it means.
        """
        return self._matches.of(text, selector, self.nodes, self.changes)

    def take_peers(self) -> Slices[None]:
        """Take in the BGPPeers; those that did not change are read no second time.

        Raises:
            CulpritError: Nothing can be made of a BGPPeer.
        """
        before, items = self._before, self._items["BGPPeer"]
        older: Mapping[str, Resource] = {}
        if before is not None:
            older = before._items["BGPPeer"]
            if older == items:
                self.peers, self.secrets = before.peers, before.secrets
                return
        known = {} if before is None else before.peers
        secrets: set[tuple[str, str]] = set()
        looked_at = 0
        for name, item in sorted(items.items()):
            if older.get(name) is item and name in known:
                facts = known[name]
            elif isinstance(item, BgpPeer):
                looked_at += 1
                with blaming("BGPPeer", name):
                    facts = read_peer(item.spec)
                if looked_at % PEERS == 0:
                    yield
            else:
                continue
            self.peers[name] = facts
            password = facts.spec.password
            if password is not None and password.reference is not None:
                secrets.add((password.reference.name, password.reference.key))
        self.secrets = frozenset(secrets)

    # -- nodes ------------------------------------------------------------------------

    def take_nodes(self) -> Slices[None]:
        """Take in the nodes, those that changed alone where that is known.

        Raises:
            CulpritError: Nothing can be made of a node.
        """
        before, items = self._before, self._items["Node"]
        older: Mapping[str, Resource] = {}
        has_same_ports = before is not None and before._configs is self._configs
        if before is not None and has_same_ports:
            older = before._items["Node"]
            self._matches = SelectorMatches(before._matches)
        members = {} if before is None else dict(before.nodes)
        for name in list(members.keys() - items.keys()):
            self.changes[name] = (members.pop(name), None)
        looked_at = 0
        for name, item in items.items():
            if older.get(name) is item:
                continue
            looked_at += 1
            self._take_node(name, item, members)
            if looked_at % NODES == 0:
                yield
        if any(old is None for old, _ in self.changes.values()):
            members = dict(sorted(members.items()))
        yield
        self.nodes = members
        owners = None if before is None else before._owners.after(self.changes)
        self._owners = owners or (yield from find_owners(members.values()))

    def _take_node(self, name: str, item: Resource, members: dict[str, Member]) -> None:
        with blaming("Node", name):
            old = members.get(name)
            new = self._member(name, item) if isinstance(item, Node) else None
            if new == old:
                return
            self.changes[name] = (old, new)
            if new is None:
                members.pop(name, None)
            else:
                members[name] = new

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


def make_topology(
    resources: Resources, before: Topology | None = None
) -> Slices[Topology]:
    """Return a view of the cluster, made from the previous view and what is new.

    Raises:
        CulpritError: Nothing can be made of an object.
    """
    if before is not None:
        before.forget_before()
    topology = Topology(resources, before)
    yield
    yield from topology.take_peers()
    yield
    yield from topology.take_nodes()
    return topology


class _Known:
    """What of a view before is still so: objects of a kind none of which changed."""

    def __init__(self, items: Resources, before: Topology | None) -> None:
        self._items = items
        self._before = before

    def specs(self, kind: str, model: type[Any], attribute: str) -> dict[str, Any]:
        """Return the specs of a kind by name, the same object where none changed."""
        before, items = self._before, self._items[kind]
        if before is not None and before._items[kind] == items:
            found: dict[str, Any] = getattr(before, attribute)
            return found
        return {
            name: item.spec
            for name, item in sorted(items.items())
            if isinstance(item, model)
        }


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
            text = f"{spec.cidr} is also the prefix of {first}, which takes precedence"
            found.append(ObjectWarning(key, "spec.cidr", text))
            continue
        if is_tunnelled(spec.ipip_mode) and is_tunnelled(spec.vxlan_mode):
            text = "has no effect together with vxlanMode"
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
        text = f"{item.spec.version!r} is not a version such as v3.31.0"
        found.append(ObjectWarning(key, "spec.calicoVersion", text))
    return compat
