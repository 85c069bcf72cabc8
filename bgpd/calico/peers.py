"""Mesh and BGPPeers to the sessions of one node, as Calico's confd makes them.

The mesh joins all nodes that are no route reflectors. BGPPeers come in three passes, the
first to name an address and port wins: global ones, those of this node, and *reverse* ones
(a BGPPeer that points at this node makes it peer back). Objects are taken by name, so the
result does not depend on their order.

Ours, where Calico leaves an outage: there is one session per address and port; a BGPPeer
takes the place of the mesh's session instead of standing beside it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from bgpd.calico.keys import resource_key
from bgpd.calico.resources import BgpPeerSpec, split_peer_ip
from bgpd.calico.selectors import SelectorError
from bgpd.calico.topology import BGP_PORT, Member, Topology
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import FamilySettings, NextHopMode, PeerSettings
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.policy import ACCEPT_ALL

MULTIHOP_TTL: Final = 64  # every session of Calico is multihop
_NEXT_HOPS: Final = {"Keep": NextHopMode.KEEP, "Self": NextHopMode.SELF}

Peers = tuple[tuple[PeerSettings, ...], tuple[ObjectWarning, ...]]


@dataclass(frozen=True, slots=True)
class _Remote:
    """One far end.

    Attributes:
        addr: Canonical text.
        port: 0 is the default port.
        asn: Its AS number.
        cluster_id: Known only where it was found as a node.
        is_explicit: It was given by address.
        is_node: A node of the cluster has this address.
    """

    addr: str
    port: int
    asn: int
    cluster_id: str = ""
    is_explicit: bool = False
    is_node: bool = False

    @property
    def family(self) -> Family:
        return IPV6_UNICAST if ":" in self.addr else IPV4_UNICAST


@dataclass(frozen=True, slots=True)
class _Peering:
    scope: str
    source: str
    spec: BgpPeerSpec
    remote: _Remote


def expand_peers(topology: Topology, node: str, template: PeerSettings) -> Peers:
    """Return the sessions of ``node`` sorted by name, and what is wrong with BGPPeers."""
    own = topology.nodes.get(node)
    if own is None or not own.addrs:
        text = "is missing or has no address of its own: no session is made"
        return (), (ObjectWarning(resource_key("Node", node), "spec.bgp", text),)
    return _Expansion(topology, own, template).run()


class _Expansion:
    """One run for one node."""

    def __init__(self, topology: Topology, own: Member, template: PeerSettings) -> None:
        self._topology = topology
        self._own = own
        self._template = template
        self._asn = topology.asn_of(own)
        self._peerings: dict[tuple[str, str, int], _Peering] = {}
        self._findings: list[ObjectWarning] = []

    def run(self) -> Peers:
        passes: tuple[Callable[[str, BgpPeerSpec], Iterator[_Peering]], ...] = (
            self._global,
            self._of_node,
            self._reverse,
        )
        for each in passes:
            for name, spec in self._topology.peers.items():
                for peering in each(name, spec):
                    self._add(peering)
        for name, spec in self._topology.peers.items():
            self._check(name, spec)
        settings: dict[tuple[str, int], PeerSettings] = {}
        for peering in self._peerings.values():
            peer = self._explicit(peering)
            settings.setdefault((peer.remote_addr, peer.port), peer)
        for peer in self._mesh():
            settings.setdefault((peer.remote_addr, peer.port), peer)
        peers = sorted(settings.values(), key=lambda peer: peer.name)
        return tuple(peers), tuple(self._findings)

    def _global(self, name: str, spec: BgpPeerSpec) -> Iterator[_Peering]:
        if not spec.node and not spec.node_selector:
            for remote in self._remotes(spec):
                yield _Peering("Global", name, spec, remote)

    def _of_node(self, name: str, spec: BgpPeerSpec) -> Iterator[_Peering]:
        if not spec.node and not spec.node_selector:
            return
        if self._is_for(spec, self._own):
            for remote in self._remotes(spec):
                yield _Peering("Node", name, spec, remote)

    def _reverse(self, name: str, spec: BgpPeerSpec) -> Iterator[_Peering]:
        if spec.reverse_peering == "Manual" or spec.local_workload_selector:
            return
        families = self._pointed_at(spec)
        if not families:
            return
        for member in self._topology.nodes.values():
            if not self._is_for(spec, member):
                continue
            for remote in self._ends(member):
                if remote.family in families:
                    yield _Peering("Node", name, spec, remote)

    def _is_for(self, spec: BgpPeerSpec, member: Member) -> bool:
        if spec.node:
            return spec.node == member.name
        selector = spec.node_selector
        return not selector or self._topology.is_matching(selector, member)

    def _pointed_at(self, spec: BgpPeerSpec) -> tuple[Family, ...]:
        """Return the families in which ``spec`` names this node as its far end."""
        own = self._own
        if spec.peer_selector:
            is_named = self._topology.is_matching(spec.peer_selector, own)
            return tuple(own.addrs) if is_named else ()
        try:
            addr, port = split_peer_ip(spec.peer_ip)
        except ValueError:
            return ()
        if (spec.asn or self._topology.asn) != self._asn:
            return ()
        if port not in {0, own.listen_port}:
            return ()
        return tuple(family for family, text in own.addrs.items() if text == addr)

    def _remotes(self, spec: BgpPeerSpec) -> Iterator[_Remote]:
        if spec.local_workload_selector:
            return
        if spec.peer_selector:
            try:
                members = self._topology.matching(spec.peer_selector)
            except SelectorError:
                return
            for member in members:
                yield from self._ends(member)
            return
        try:
            addr, port = split_peer_ip(spec.peer_ip)
        except ValueError:
            return
        if spec.asn is None:
            return
        node = self._topology.by_addr.get(addr)
        if not port and node is not None and self._topology.asn_of(node) == spec.asn:
            port = node.listen_port
        yield _Remote(addr, port, spec.asn, is_explicit=True, is_node=node is not None)

    def _ends(self, member: Member) -> Iterator[_Remote]:
        asn = self._topology.asn_of(member)
        for addr in member.addrs.values():
            yield _Remote(addr, member.listen_port, asn, member.cluster_id)

    def _add(self, peering: _Peering) -> None:
        remote = peering.remote
        if remote.addr in self._own.addrs.values():
            return
        if remote.family not in self._own.addrs:
            return  # no address of ours to speak from
        port = remote.port or BGP_PORT
        if ("Global", remote.addr, port) not in self._peerings:
            key = (peering.scope, remote.addr, port)
            self._peerings.setdefault(key, peering)

    def _explicit(self, peering: _Peering) -> PeerSettings:
        spec, remote = peering.spec, peering.remote
        own_addr = self._own.addrs[remote.family]
        local_asn = self._asn
        if remote.is_explicit and spec.local_asn is not None:
            local_asn = spec.local_asn
        is_internal = remote.asn == local_asn
        next_hop = _NEXT_HOPS.get(spec.next_hop_mode, NextHopMode.AUTO)
        if not spec.next_hop_mode and spec.keeps_next_hop and not is_internal:
            next_hop = NextHopMode.KEEP
        is_passive = (
            peering.scope == "Global" and remote.is_node and remote.addr > own_addr
        )
        settings = self._common(peering.scope, remote, local_asn)
        return replace(
            settings,
            local_addr=own_addr if spec.source_address != "None" else "",
            is_passive=is_passive,
            next_hop=next_hop,
            ttl_security_hops=spec.ttl_security,
            multihop_ttl=0 if spec.ttl_security else settings.multihop_ttl,
            allow_own_as=spec.allow_own_as if remote.is_explicit else 0,
            keepalive_time=spec.keepalive_time or settings.keepalive_time,
            graceful_restart_time=(
                settings.graceful_restart_time
                if spec.restart_time is None
                else spec.restart_time
            ),
            description=f"BGPPeer {peering.source}",
        )

    def _mesh(self) -> Iterator[PeerSettings]:
        own = self._own
        if own.cluster_id or not self._topology.is_mesh:
            return
        restart_time = self._topology.config.mesh_restart_time
        for member in self._topology.nodes.values():
            if member.cluster_id:
                continue
            asn = self._asn if member.asn is None else member.asn
            for family, addr in member.addrs.items():
                own_addr = own.addrs.get(family)
                if own_addr is None or own_addr == addr:
                    continue
                settings = self._common(
                    "Mesh", _Remote(addr, member.listen_port, asn), self._asn
                )
                # The order of the texts, not of the addresses: what BIRD nodes of a
                # cluster do, and two passive ends would never meet.
                yield replace(
                    settings,
                    local_addr=own_addr,
                    is_passive=addr > own_addr,
                    graceful_restart_time=(
                        settings.graceful_restart_time
                        if restart_time is None
                        else restart_time
                    ),
                    description=f"mesh with {member.name}",
                )

    def _common(self, scope: str, remote: _Remote, local_asn: int) -> PeerSettings:
        template = self._template
        first = template.families[0] if template.families else None
        family = (
            FamilySettings(remote.family)
            if first is None
            else replace(first, family=remote.family)
        )
        port = remote.port or BGP_PORT
        name = f"{scope}_{remote.addr.replace('.', '_').replace(':', '_')}"
        if port != BGP_PORT and scope != "Mesh":
            name += f"_port_{port}"
        is_internal = remote.asn == local_asn
        cluster_id = self._own.cluster_id
        is_client = is_internal and bool(cluster_id) and remote.cluster_id != cluster_id
        return replace(
            template,
            name=name,
            remote_addr=remote.addr,
            interface=remote.addr.partition("%")[2],
            remote_as=remote.asn,
            local_as=local_asn,
            port=port,
            families=(family,),
            is_client=is_client,
            cluster_id=cluster_id if is_client else "",
            multihop_ttl=0 if is_internal else MULTIHOP_TTL,
            # Named, since eBGP without policies denies (RFC 8212): a cluster's objects
            # know no such default, and a gateway of theirs exchanges routes at once.
            import_policy=template.import_policy or ACCEPT_ALL.name,
            export_policy=template.export_policy or ACCEPT_ALL.name,
        )

    def _check(self, name: str, spec: BgpPeerSpec) -> None:
        """Report what of a BGPPeer cannot be understood or has no effect."""

        def warn(field: str, text: str) -> None:
            key = resource_key("BGPPeer", name)
            self._findings.append(ObjectWarning(key, f"spec.{field}", text))

        for field, selector in (
            ("nodeSelector", spec.node_selector),
            ("peerSelector", spec.peer_selector),
        ):
            if selector:
                try:
                    self._topology.matching(selector)
                except SelectorError as error:
                    warn(field, f"{error}; matches no node")
        if spec.peer_ip:
            try:
                split_peer_ip(spec.peer_ip)
            except ValueError as error:
                warn("peerIP", f"{error}; the peer is left out")
            if spec.asn is None:
                warn("asNumber", "is missing; the peer is left out")
        elif not spec.peer_selector and not spec.local_workload_selector:
            warn("peerIP", "is missing; the peer is left out")
        if spec.node and spec.node_selector:
            warn("nodeSelector", "has no effect beside node")
        for field, value in (
            ("localWorkloadSelector", spec.local_workload_selector),
            ("filters", spec.filters),
            ("reachableBy", spec.reachable_by),
            ("password", spec.password),
        ):
            if value:
                warn(field, "has no effect here")
