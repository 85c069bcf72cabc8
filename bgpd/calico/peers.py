"""Mesh and BGPPeers to the sessions of one node, as Calico's confd makes them.

The mesh joins all nodes that are no route reflectors. BGPPeers come in three passes, the
first to name an address and port wins: global ones, those of this node, and *reverse* ones
(a BGPPeer that points at this node makes it peer back). Objects are taken by name, so the
result does not depend on their order.

Ours, where Calico leaves an outage: there is one session per address and port; a BGPPeer
takes the place of the mesh's session instead of standing beside it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.calico.compat import Compat
from bgpd.calico.endpoints import LocalEndpoint
from bgpd.calico.fields import split_peer_ip
from bgpd.calico.keys import resource_key
from bgpd.calico.peer_checks import PeerChecks
from bgpd.calico.resources import BgpPeerSpec, Password
from bgpd.calico.selectors import SelectorError
from bgpd.calico.topology import BGP_PORT, Member, Topology
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import FamilySettings, NextHopMode, PeerSettings
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

MIN_HOLD_TIME: Final = 3  # seconds, RFC 4271 4.2
MAX_RESTART_TIME: Final = 4095  # seconds, RFC 4724 3: 12 bits
MULTIHOP_TTL: Final = 64  # every session of Calico is multihop
_NEXT_HOPS: Final = {"Keep": NextHopMode.KEEP, "Self": NextHopMode.SELF}


class PeerInputs(NamedTuple):
    """What sessions depend on beside the datastore's objects.

    Attributes:
        passwords: By name and key of the Secret, as far as known.
        endpoints: Local workloads that peer with the node.
        compat: Releases to be like.
    """

    passwords: Mapping[tuple[str, str], str] = MappingProxyType({})
    endpoints: tuple[LocalEndpoint, ...] = ()
    compat: Compat = Compat.V3_33


@dataclass(frozen=True, slots=True)
class Peering:
    """One session and where it comes from.

    Attributes:
        settings: All but the names of its policies.
        filters: BGPFilters in order, those that are not there left out.
        keeps_tunnel_routes: Routes out of tunnel devices stay here.
        restart_time: As an object says, seconds; ``None`` for the daemon's default.
        keepalive_time: As ``restart_time``.
        gateway: Where the far end is reached through; empty without.
    """

    settings: PeerSettings
    filters: tuple[str, ...] = ()
    keeps_tunnel_routes: bool = False
    restart_time: int | None = None
    keepalive_time: int | None = None
    gateway: str = ""


Peers = tuple[tuple[Peering, ...], tuple[ObjectWarning, ...]]


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


def expand_peers(
    topology: Topology,
    node: str,
    template: PeerSettings,
    inputs: PeerInputs = PeerInputs(),  # noqa: B008  # an immutable tuple
) -> Peers:
    """Return the sessions of ``node`` sorted by name, and what is wrong with BGPPeers."""
    own = topology.nodes.get(node)
    if own is None or not own.addrs:
        text = "is missing or has no address of its own: no session is made"
        return (), (ObjectWarning(resource_key("Node", node), "spec.bgp", text),)
    return _Expansion(topology, own, template, inputs).run()


class _Expansion:
    """One run for one node."""

    def __init__(
        self,
        topology: Topology,
        own: Member,
        template: PeerSettings,
        inputs: PeerInputs,
    ) -> None:
        self._inputs = inputs
        self._topology = topology
        self._own = own
        self._template = template
        self._asn = topology.asn_of(own)
        self._peerings: dict[tuple[str, str, int], _Peering] = {}

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
        sessions: dict[tuple[str, int], Peering] = {}
        for made in (*map(self._explicit, self._peerings.values()), *self._mesh()):
            settings = made.settings
            sessions.setdefault((settings.remote_addr, settings.port), made)
        checks = PeerChecks(self._topology, self._inputs.passwords)
        for name, spec in self._topology.peers.items():
            checks.check(name, spec)
        checks.check_addresses(self._own.name, sessions.keys())
        peers = sorted(sessions.values(), key=lambda made: made.settings.name)
        return tuple(peers), tuple(checks.findings)

    def _global(self, name: str, spec: BgpPeerSpec) -> Iterator[_Peering]:
        if not spec.node and not spec.node_selector:
            yield from self._towards("Global", name, spec)

    def _of_node(self, name: str, spec: BgpPeerSpec) -> Iterator[_Peering]:
        if not spec.node and not spec.node_selector:
            return
        if self._is_for(spec, self._own):
            yield from self._towards("Node", name, spec)

    def _towards(self, scope: str, name: str, spec: BgpPeerSpec) -> Iterator[_Peering]:
        if spec.local_workload_selector:
            for remote in self._workloads(name, spec):
                yield _Peering("Local_Workload", name, spec, remote)
            return
        for remote in self._remotes(spec):
            yield _Peering(scope, name, spec, remote)

    def _workloads(self, name: str, spec: BgpPeerSpec) -> Iterator[_Remote]:
        """Yield the addresses of local workloads that Felix says are this peer's."""
        if spec.asn is None:
            return
        for endpoint in self._inputs.endpoints:
            if endpoint.peer_name == name:
                for net in (*endpoint.ipv4_nets, *endpoint.ipv6_nets):
                    yield _Remote(net.partition("/")[0], 0, spec.asn, is_explicit=True)

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
        if spec.node_selector:
            return self._topology.is_matching(spec.node_selector, member)
        return not spec.node or spec.node == member.name

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
        if port and not self._topology.is_listening(own, port):
            return ()
        return tuple(family for family, text in own.addrs.items() if text == addr)

    def _remotes(self, spec: BgpPeerSpec) -> Iterator[_Remote]:
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

    def _workload(self, peering: _Peering) -> Peering:
        """Return the session with a local workload, which opens it (always passive)."""
        spec, remote = peering.spec, peering.remote
        settings = self._common(peering.scope, remote, spec.local_asn or self._asn)
        return self._peering(
            replace(
                settings,
                is_passive=True,
                description=f"BGPPeer {peering.source}, local workload",
            ),
            spec,
        )

    def _peering(self, settings: PeerSettings, spec: BgpPeerSpec) -> Peering:
        is_internal = settings.remote_as == settings.local_as
        filters = self._topology.filters
        return Peering(
            settings,
            filters=tuple(name for name in spec.filters if name in filters),
            keeps_tunnel_routes=is_internal,
        )

    def _explicit(self, peering: _Peering) -> Peering:
        spec, remote = peering.spec, peering.remote
        own_addr = self._own.addrs[remote.family]
        if peering.scope == "Local_Workload":
            return self._workload(peering)
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
        settings = replace(
            settings,
            local_addr=own_addr if spec.source_address != "None" else "",
            is_passive=is_passive,
            next_hop=next_hop,
            ttl_security_hops=spec.ttl_security,
            multihop_ttl=0 if spec.ttl_security else settings.multihop_ttl,
            allow_own_as=spec.allow_own_as if remote.is_explicit else 0,
            password=self._password(spec.password),
            description=f"BGPPeer {peering.source}",
        )
        if spec.keepalive_time:
            # As in BIRD, the hold time follows from it.
            settings = replace(
                settings,
                keepalive_time=spec.keepalive_time,
                hold_time=max(MIN_HOLD_TIME, 3 * spec.keepalive_time),
            )
        return replace(
            self._peering(_with_restart(settings, spec.restart_time), spec),
            restart_time=spec.restart_time,
            keepalive_time=spec.keepalive_time or None,
            gateway=self._gateway(spec, remote),
        )

    def _gateway(self, spec: BgpPeerSpec, remote: _Remote) -> str:
        if not spec.reachable_by or not remote.is_explicit:
            return ""
        try:
            gateway = ip_address(spec.reachable_by)
        except ValueError:
            return ""
        is_same = (gateway.version == 4) is (remote.family == IPV4_UNICAST)
        return str(gateway) if is_same else ""

    def _password(self, password: Password | None) -> str:
        """Return a password as far as it is known; without it the session has none."""
        if password is None or password.reference is None:
            return ""
        reference = password.reference
        return self._inputs.passwords.get((reference.name, reference.key), "")

    def _mesh(self) -> Iterator[Peering]:
        own = self._own
        if own.cluster_id or not self._topology.is_mesh:
            return
        config = self._topology.config
        restart_time = config.mesh_restart_time
        password = self._password(config.mesh_password)
        # Up to 3.31 a node without an AS number is in the cluster's, not in ours.
        is_old = self._inputs.compat is Compat.V3_31
        default_asn = self._topology.asn if is_old else self._asn
        for member in self._topology.nodes.values():
            if member.cluster_id:
                continue
            asn = default_asn if member.asn is None else member.asn
            for family, addr in member.addrs.items():
                own_addr = own.addrs.get(family)
                if own_addr is None or own_addr == addr:
                    continue
                settings = self._common(
                    "Mesh", _Remote(addr, member.listen_port, asn), self._asn
                )
                # The order of the texts, not of the addresses: what BIRD nodes of a
                # cluster do, and two passive ends would never meet.
                settings = replace(
                    settings,
                    local_addr=own_addr,
                    is_passive=addr > own_addr,
                    password=password,
                    description=f"mesh with {member.name}",
                )
                yield Peering(
                    _with_restart(settings, restart_time),
                    keeps_tunnel_routes=is_old or asn == self._asn,
                    restart_time=restart_time,
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
        )


def _with_restart(settings: PeerSettings, restart_time: int | None) -> PeerSettings:
    if restart_time is None:
        return settings
    return replace(settings, graceful_restart_time=min(restart_time, MAX_RESTART_TIME))
