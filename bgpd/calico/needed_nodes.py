"""Which nodes of a cluster decide what one node must be. Pure.

In a full mesh it is all of them. Where BGPPeers lead to route reflectors, a client has
sessions with few nodes, and whatever happens to the others is not its business.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from bgpd.calico.addresses import canonical_interface
from bgpd.calico.keys import split_resource_key
from bgpd.calico.peer_ends import is_for, makes_nodes_peer_back, pointed_at
from bgpd.calico.peer_facts import PeerFacts
from bgpd.calico.selectors import Selector, SelectorError, compile_selector
from bgpd.calico.topology import Topology
from bgpd.texts.json_text import load
from bgpd.texts.limits import VALUE, TextError

# Theory
# ------
# A session of node N comes out of (`bgpd.calico.peers`)
#
#       what                                 nodes that decide about it
#       -----------------------------------  -------------------------------------------
#       the mesh                             all
#       a BGPPeer of N, peerSelector         those that it selects
#       a BGPPeer of N, peerIP               the node with that address, if there is one
#       a BGPPeer that names N as far end    its nodes: `node`, nodeSelector, or all
#
# and of N itself always. Beside sessions there is WireGuard alone: what goes to a node over it
# is not in the kernel's table, so a node with WireGuard needs to know all that have it.
#
# The invariant, which a property test holds: the plan of N is the same whether it is made of
# all nodes or of those that are needed. Needs are made of BGPConfigurations, BGPPeers and the
# own Node alone, so they are known before any other Node is read.

MESH: Final = "the node-to-node mesh is on"
WIREGUARD: Final = "the node uses WireGuard"

IsNeeded = Callable[[str, bytes], bool]
"""Whether a Node is needed, by its key and value."""


class NodeNeeds(NamedTuple):
    """Which nodes are needed.

    Attributes:
        names: By name.
        selectors: By Calico's selectors.
        addresses: By address.
        why_all: Why all are needed; empty where they are not.
    """

    names: frozenset[str] = frozenset()
    selectors: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    why_all: str = ""

    def covers(self, other: "NodeNeeds") -> bool:
        """Return whether a reader of these nodes has those of ``other`` too."""
        if self.why_all or other.why_all:
            return bool(self.why_all)
        return (
            self.names >= other.names
            and self.selectors >= other.selectors
            and self.addresses >= other.addresses
        )


def needed_nodes(topology: Topology, node: str) -> NodeNeeds:
    """Return which nodes decide what ``node`` must be.

    Args:
        topology: The cluster; of its nodes, no other than ``node`` counts.
        node: Its name.
    """
    names = {node}
    own = topology.nodes.get(node)
    if own is None or not own.addrs:
        return NodeNeeds(frozenset(names))
    if topology.is_mesh and not own.cluster_id:
        return NodeNeeds(frozenset(names), why_all=MESH)
    if own.wireguard:
        return NodeNeeds(frozenset(names), why_all=WIREGUARD)
    selectors: set[str] = set()
    addresses: set[str] = set()
    for name, facts in topology.peers.items():
        if is_for(facts, own):
            _add_ends(facts, selectors, addresses)
        if makes_nodes_peer_back(facts) and pointed_at(topology, own, facts):
            if facts.is_global:
                text = f"BGPPeer {name} makes all nodes peers of this node"
                return NodeNeeds(frozenset(names), why_all=text)
            if facts.node_selector is not None:
                selectors.add(facts.spec.node_selector)
            else:
                names.add(facts.spec.node)
    return NodeNeeds(frozenset(names), frozenset(selectors), frozenset(addresses))


def _add_ends(facts: PeerFacts, selectors: set[str], addresses: set[str]) -> None:
    """Note where a BGPPeer of the own node leads to."""
    if facts.spec.local_workload_selector:
        return
    if facts.peer_selector is not None:
        selectors.add(facts.spec.peer_selector)
    elif facts.end is not None and facts.spec.asn is not None:
        addresses.add(facts.end[0])


def filter_of(needs: NodeNeeds) -> IsNeeded:
    """Return what tells whether a Node is needed, as the datastore has it."""
    matching = tuple(_selectors(needs))

    def is_needed(key: str, value: bytes) -> bool:
        kind, name = split_resource_key(key) or ("", "")
        if kind != "Node":
            return False
        if needs.why_all or name in needs.names:
            return True
        labels, addresses = facts_of_node(value)
        return not needs.addresses.isdisjoint(addresses) or any(
            selector(labels) for selector in matching
        )

    return is_needed


def _selectors(needs: NodeNeeds) -> list[Selector]:
    found = []
    for text in needs.selectors:
        try:
            found.append(compile_selector(text))
        except SelectorError:
            continue  # it matches no node
    return found


def facts_of_node(value: bytes) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return a Node's labels and addresses; what is malformed counts as absent."""
    try:
        content = load(value, VALUE).value
    except TextError:
        return {}, ()
    labels = _mapping(_mapping(_mapping(content).get("metadata")).get("labels"))
    bgp = _mapping(_mapping(_mapping(content).get("spec")).get("bgp"))
    return (
        {name: text for name, text in labels.items() if isinstance(text, str)},
        (
            *_addresses(bgp.get("ipv4Address"), 4),
            *_addresses(bgp.get("ipv6Address"), 6),
        ),
    )


def _addresses(text: object, version: int) -> Iterator[str]:
    try:
        if isinstance(text, str) and text:
            yield canonical_interface(text, version).partition("/")[0]
    except ValueError:
        return


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
