"""Which nodes a BGPPeer is of, and whether it names a node as its far end."""

from bgpd.calico.members import Member
from bgpd.calico.peer_facts import PeerFacts
from bgpd.calico.topology import Topology
from rib.family import Family


def is_for(facts: PeerFacts, member: Member) -> bool:
    """Return whether a BGPPeer is of a node; a malformed selector never is."""
    if facts.node_selector is not None:
        return facts.node_selector(member.labels)
    return not facts.spec.node or facts.spec.node == member.name


def makes_nodes_peer_back(facts: PeerFacts) -> bool:
    """Return whether the far ends that a BGPPeer names peer back by themselves."""
    spec = facts.spec
    return spec.reverse_peering != "Manual" and not spec.local_workload_selector


def pointed_at(topology: Topology, own: Member, facts: PeerFacts) -> tuple[Family, ...]:
    """Return the families in which a BGPPeer names a node as its far end."""
    if facts.peer_selector is not None:
        return tuple(own.addrs) if facts.peer_selector(own.labels) else ()
    asn = facts.spec.asn or topology.asn
    if facts.end is None or asn != topology.asn_of(own):
        return ()
    addr, port = facts.end
    if port and not topology.is_listening(own, port):
        return ()
    return tuple(family for family, text in own.addrs.items() if text == addr)
