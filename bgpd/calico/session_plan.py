"""The sessions that a cluster's objects ask of one node, kept from plan to plan.

They are expanded again only if something changed that they depend on. Most changes of a large
cluster do not: a heartbeat, or a label that no selector in use refers to. Of those that do, each
changes few sessions, and the memo returns the others as the same objects.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bgpd.calico.desired import StaticRoute
from bgpd.calico.peerings import Peering, PeeringMemo
from bgpd.calico.peers import PeerInputs, expand_peers
from bgpd.calico.slices import Slices
from bgpd.calico.topology import Topology
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import PeerSettings
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import make_nlri, parse_address

NODES: Final = 64  # checked in one slice, a millisecond
# Checked for each changed node; with more, all sessions are expanded again.
MOST_SELECTORS: Final = 64


class SessionPlan:
    """The sessions of one node.

    Args:
        node: Its name.
        template: Settings of every peer that Calico says nothing about.

    Attributes:
        peerings: The sessions and where they come from, by name.
        findings: What is wrong with objects that ask for sessions.
    """

    def __init__(self, node: str, template: PeerSettings) -> None:
        self.peerings: tuple[Peering, ...] = ()
        self.findings: tuple[ObjectWarning, ...] = ()
        self._node = node
        self._template = template
        self._topology: Topology | None = None
        self._inputs = PeerInputs()
        self._memo = PeeringMemo()

    def follow(self, topology: Topology, inputs: PeerInputs) -> Slices[None]:
        """Bring the sessions up to date.

        Raises:
            CulpritError: Nothing can be made of an object.
        """
        if self._topology is not None and inputs == self._inputs:
            if topology is self._topology:
                return
            # The view is replaced all the same, so that the next one is compared with this.
            if (yield from self._makes_no_difference(topology, self._topology)):
                self._topology = topology
                return
        self.peerings, self.findings = yield from expand_peers(
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
        # Each selector is evaluated twice for each changed node: beyond so many, expanding the
        # sessions again costs less than to show that it is not needed.
        if len(selectors) > MOST_SELECTORS:
            return False
        for number, (before, after) in enumerate(new.changes.values(), 1):
            # A node that comes or goes may be a peer, and our own node decides about all peers.
            if before is None or after is None or after.name == self._node:
                return False
            # Only labels can change without any session noticing, and only through selectors.
            if replace(before, labels=after.labels) != after:
                return False
            for selector in selectors.values():
                if selector(before.labels) is not selector(after.labels):
                    return False
            if number % NODES == 0:
                yield
        return True

    def gateways(self) -> Iterable[StaticRoute]:
        """Yield the ways to peers that are reached through a gateway."""
        for each in self.peerings:
            if each.gateway:
                octets = parse_address(each.settings.remote_addr.partition("%")[0])
                family = IPV4_UNICAST if len(octets) == 4 else IPV6_UNICAST
                nlri = make_nlri(octets, len(octets) * 8)
                yield StaticRoute(family, nlri, parse_address(each.gateway))
