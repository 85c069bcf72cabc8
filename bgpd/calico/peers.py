"""Mesh and BGPPeers to the sessions of one node, as Calico's confd makes them.

The mesh joins all nodes that are not route reflectors. BGPPeers come in three passes, the
first to name an address and port wins: global ones, those of this node, and *reverse* ones
(a BGPPeer that points at this node makes it peer back). Objects are taken by name, so the
result does not depend on their order.

Ours, where Calico leaves an outage: there is one session per address and port; a BGPPeer
takes the place of the mesh's session instead of standing beside it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bgpd.calico.compat import Compat
from bgpd.calico.culprits import CulpritError, blaming
from bgpd.calico.endpoints import LocalEndpoint
from bgpd.calico.filters import Session
from bgpd.calico.keys import resource_key
from bgpd.calico.members import Member
from bgpd.calico.objects import ObjectName
from bgpd.calico.peer_checks import PeerChecks
from bgpd.calico.peer_ends import is_for, makes_nodes_peer_back, pointed_at
from bgpd.calico.peer_facts import PeerFacts
from bgpd.calico.peerings import Kind, Peering, PeeringMemo, Remote, Wanted
from bgpd.calico.resources import BgpPeerSpec, Password
from bgpd.calico.slices import Slices
from bgpd.calico.topology import BGP_PORT, Topology
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import FamilySettings, NextHopMode, PeerSettings

MIN_HOLD_TIME: Final = 3  # seconds, RFC 4271 4.2
MAX_HOLD_TIME: Final = 0xFFFF  # seconds, RFC 4271 4.2: 16 bits
PEERS: Final = 256  # BGPPeers, or ends of them, looked at in one slice
SESSIONS: Final = 64  # made in one slice, some 3 ms where all are new
MAX_RESTART_TIME: Final = 4095  # seconds, RFC 4724 3: 12 bits
MULTIHOP_TTL: Final = 64  # every session of Calico is multihop
_NEXT_HOPS: Final = {"Keep": NextHopMode.KEEP, "Self": NextHopMode.SELF_ALL}


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


NO_NODE: Final = "there is no such Node with BGP settings; no session"
"""What is found where the own node is missing."""

Peers = tuple[tuple[Peering, ...], tuple[ObjectWarning, ...]]


def expand_peers(
    topology: Topology,
    node: str,
    template: PeerSettings,
    inputs: PeerInputs,
    memo: PeeringMemo,
) -> Slices[Peers]:
    """Return the sessions of ``node`` sorted by name, and what is wrong with BGPPeers.

    Args:
        topology: The cluster.
        node: This node's name.
        template: Settings of every peer that Calico says nothing about.
        inputs: What sessions depend on beside.
        memo: Of the last time; brought up to date when all is done.

    Raises:
        CulpritError: No session can be made of an object.
    """
    own = topology.nodes.get(node)
    if own is None:
        return (), (ObjectWarning(resource_key("Node", node), "", NO_NODE),)
    if not own.addrs:
        text = "has no address; no session"
        return (), (ObjectWarning(resource_key("Node", node), "spec.bgp", text),)
    return (yield from _Expansion(topology, own, template, inputs, memo).run())


class _Expansion:
    """One run for one node."""

    def __init__(
        self,
        topology: Topology,
        own: Member,
        template: PeerSettings,
        inputs: PeerInputs,
        memo: PeeringMemo,
    ) -> None:
        self._inputs = inputs
        self._topology = topology
        self._own = own
        self._template = template
        self._asn = topology.asn_of(own)
        # Up to 3.31 a node without an AS number is in the cluster's, not in ours.
        self._is_old = inputs.compat is Compat.V3_31
        self._mesh_asn = topology.asn if self._is_old else self._asn
        self._wanted: dict[tuple[str, str, int], Wanted] = {}
        config = topology.config
        context = (
            (own.name, own.addrs, own.cluster_id, self._asn, self._mesh_asn),
            (config.mesh_restart_time, config.mesh_password),
            (template, inputs.passwords, inputs.compat),
            tuple(topology.filters),
        )
        self._memo = memo if memo.context == context else PeeringMemo()
        self._target, self._new = memo, PeeringMemo(context)
        self._findings: list[ObjectWarning] = []

    def run(self) -> Slices[Peers]:
        passes: tuple[Callable[[str, PeerFacts], Iterator[Wanted]], ...] = (
            self._global,
            self._of_node,
            self._reverse,
        )
        for each in passes:
            yield from self._pass(each)
        sessions: dict[tuple[str, int], Peering] = {}
        for made in (self._explicit_ones(), self._mesh()):
            for number, peering in enumerate(made, 1):
                settings = peering.settings
                place = settings.remote_addr, settings.port
                sessions.setdefault(place, peering)
                if number % SESSIONS == 0:
                    yield
        checks = PeerChecks(self._topology, self._inputs.passwords)
        for number, (name, facts) in enumerate(self._topology.peers.items(), 1):
            checks.check(name, facts)
            if number % PEERS == 0:
                yield
        checks.check_addresses(self._own.name, sessions.keys())
        yield
        peers = sorted(sessions.values(), key=lambda made: made.settings.name)
        self._target.context = self._new.context
        self._target.explicit, self._target.mesh = self._new.explicit, self._new.mesh
        return tuple(peers), (*self._findings, *checks.findings)

    def _pass(self, find: Callable[[str, PeerFacts], Iterator[Wanted]]) -> Slices[None]:
        """Take in what each BGPPeer asks for in one of the ways."""
        number = 0
        for name, facts in self._topology.peers.items():
            number += 1
            if number % PEERS == 0:
                yield
            try:
                for wanted in find(name, facts):
                    self._add(wanted)
                    number += 1
                    if number % PEERS == 0:
                        yield
            except Exception as error:
                raise CulpritError(ObjectName("BGPPeer", name)) from error

    def _global(self, name: str, facts: PeerFacts) -> Iterator[Wanted]:
        if facts.is_global:
            yield from self._towards("Global", name, facts)

    def _of_node(self, name: str, facts: PeerFacts) -> Iterator[Wanted]:
        if not facts.is_global and is_for(facts, self._own):
            yield from self._towards("Node", name, facts)

    def _towards(self, scope: str, name: str, facts: PeerFacts) -> Iterator[Wanted]:
        if facts.spec.local_workload_selector:
            for remote in self._workloads(name, facts.spec):
                yield Wanted("Local_Workload", name, facts, remote)
            return
        for remote in self._remotes(facts):
            yield Wanted(scope, name, facts, remote)

    def _workloads(self, name: str, spec: BgpPeerSpec) -> Iterator[Remote]:
        """Yield the addresses of local workloads that Felix says are this peer's."""
        if spec.asn is None:
            return
        for endpoint in self._inputs.endpoints:
            if endpoint.peer_name == name:
                for net in (*endpoint.ipv4_nets, *endpoint.ipv6_nets):
                    yield Remote(net.partition("/")[0], 0, spec.asn, is_explicit=True)

    def _reverse(self, name: str, facts: PeerFacts) -> Iterator[Wanted]:
        if not makes_nodes_peer_back(facts):
            return
        families = pointed_at(self._topology, self._own, facts)
        if not families:
            return
        for member in self._topology.nodes.values():
            if not is_for(facts, member):
                continue
            for remote in self._ends(member):
                if remote.family in families:
                    yield Wanted("Node", name, facts, remote)

    def _remotes(self, facts: PeerFacts) -> Iterator[Remote]:
        spec = facts.spec
        if facts.peer_selector is not None:
            for member in self._topology.matching(
                spec.peer_selector, facts.peer_selector
            ):
                yield from self._ends(member)
            return
        if facts.end is None or spec.asn is None:
            return
        addr, port = facts.end
        node = self._topology.by_addr.get(addr)
        if not port and node is not None and self._topology.asn_of(node) == spec.asn:
            port = node.listen_port
        name = "" if node is None else node.name
        yield Remote(addr, port, spec.asn, is_explicit=True, node=name)

    def _ends(self, member: Member) -> Iterator[Remote]:
        asn = self._topology.asn_of(member)
        for addr in member.addrs.values():
            yield Remote(
                addr, member.listen_port, asn, member.cluster_id, node=member.name
            )

    def _add(self, wanted: Wanted) -> None:
        remote = wanted.remote
        port = remote.port or BGP_PORT
        if remote.addr in self._own.addrs.values():
            listens = self._topology.listen_port(self._own.name)
            if port == listens or not remote.is_explicit:
                self._note_itself(wanted)
                return  # it would be a session with ourselves
        if remote.family not in self._own.addrs:
            return  # we have no source address
        if ("Global", remote.addr, port) not in self._wanted:
            self._wanted.setdefault((wanted.scope, remote.addr, port), wanted)

    def _explicit_ones(self) -> Iterator[Peering]:
        """Yield the sessions that BGPPeers ask for; unchanged ones as the same objects."""
        known, new = self._memo.explicit, self._new.explicit
        for wanted in self._wanted.values():
            key = wanted.scope, wanted.source, wanted.remote
            entry = known.get(key)
            if entry is None or entry[0] is not wanted.facts:
                with blaming("BGPPeer", wanted.source):
                    entry = wanted.facts, self._explicit(wanted)
            new[key] = entry
            yield entry[1]

    def _note_itself(self, wanted: Wanted) -> None:
        """Warn if a BGPPeer is for this node alone and names only this node."""
        if wanted.facts.spec.node and wanted.remote.is_explicit:
            key = resource_key("BGPPeer", wanted.source)
            text = "is this node's own address and port; no session"
            self._findings.append(ObjectWarning(key, "spec.peerIP", text))

    def _workload(self, wanted: Wanted) -> Peering:
        """Return the session with a local workload, which opens it (always passive)."""
        spec, remote = wanted.facts.spec, wanted.remote
        settings = self._common(wanted.scope, remote, spec.local_asn or self._asn)
        return self._peering(
            replace(
                settings,
                is_passive=True,
                description=f"BGPPeer {wanted.source}, local workload",
            ),
            spec,
        )

    def _peering(self, settings: PeerSettings, spec: BgpPeerSpec) -> Peering:
        is_internal = settings.remote_as == settings.local_as
        filters = self._topology.filters
        named = tuple(name for name in spec.filters if name in filters)
        return Peering(
            settings, _kind(settings, named, keeps_tunnel_routes=is_internal)
        )

    def _explicit(self, wanted: Wanted) -> Peering:
        spec, remote = wanted.facts.spec, wanted.remote
        own_addr = self._own.addrs[remote.family]
        if wanted.scope == "Local_Workload":
            return self._workload(wanted)
        local_asn = self._asn
        if remote.is_explicit and spec.local_asn is not None:
            local_asn = spec.local_asn
        is_internal = remote.asn == local_asn
        next_hop = _NEXT_HOPS.get(spec.next_hop_mode, NextHopMode.AUTO)
        if not spec.next_hop_mode and spec.keeps_next_hop and not is_internal:
            next_hop = NextHopMode.KEEP
        is_passive = (
            wanted.scope == "Global"
            and remote.is_explicit
            and bool(remote.node)
            and remote.addr > own_addr
        )
        settings = self._common(wanted.scope, remote, local_asn)
        settings = replace(
            settings,
            local_addr=own_addr if spec.source_address != "None" else "",
            is_passive=is_passive,
            next_hop=next_hop,
            ttl_security_hops=spec.ttl_security,
            multihop_ttl=0 if spec.ttl_security else settings.multihop_ttl,
            allow_own_as=spec.allow_own_as if remote.is_explicit else 0,
            password=self._password(spec.password),
            description=f"BGPPeer {wanted.source}",
        )
        if spec.keepalive_time:
            # As in BIRD, the hold time follows from it.
            settings = replace(
                settings,
                keepalive_time=min(spec.keepalive_time, MAX_HOLD_TIME // 3),
                hold_time=min(
                    max(MIN_HOLD_TIME, 3 * spec.keepalive_time), MAX_HOLD_TIME
                ),
            )
        return replace(
            self._peering(_with_restart(settings, spec.restart_time), spec),
            restart_time=spec.restart_time,
            keepalive_time=spec.keepalive_time or None,
            gateway=wanted.facts.gateway if remote.is_explicit else "",
        )

    def _password(self, password: Password | None) -> str:
        """Return a password as far as it is known; without it the session has none."""
        if password is None or password.reference is None:
            return ""
        reference = password.reference
        return self._inputs.passwords.get((reference.name, reference.key), "")

    def _mesh(self) -> Iterator[Peering]:
        """Yield the sessions of the mesh; known ones as they were."""
        own = self._own
        if own.cluster_id or not self._topology.is_mesh:
            return
        known, new = self._memo.mesh, self._new.mesh
        for member in self._topology.nodes.values():
            if member.cluster_id:
                continue
            for family, addr in member.addrs.items():
                own_addr = own.addrs.get(family)
                if own_addr is None or own_addr == addr:
                    continue
                key = member.name, addr, member.listen_port, member.asn
                made = known.get(key)
                if made is None:
                    with blaming("Node", member.name):
                        made = self._meshed(member, addr, own_addr)
                new[key] = made
                yield made

    def _meshed(self, member: Member, addr: str, own_addr: str) -> Peering:
        config = self._topology.config
        asn = self._mesh_asn if member.asn is None else member.asn
        settings = self._common(
            "Mesh",
            Remote(addr, member.listen_port, asn, node=member.name),
            self._asn,
            local_addr=own_addr,
            # The order of the texts, not of the addresses: what BIRD nodes of a
            # cluster do, and two passive ends would never meet.
            is_passive=addr > own_addr,
            password=self._password(config.mesh_password),
            description=f"mesh with {member.name}",
        )
        settings = _with_restart(settings, config.mesh_restart_time)
        keeps = self._is_old or asn == self._asn
        return Peering(
            settings,
            _kind(settings, (), keeps_tunnel_routes=keeps),
            restart_time=config.mesh_restart_time,
        )

    def _common(
        self,
        scope: str,
        remote: Remote,
        local_asn: int,
        **more: Any,  # noqa: ANN401  # other fields of the settings
    ) -> PeerSettings:
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
            node=remote.node,
            families=(family,),
            is_client=is_client,
            cluster_id=cluster_id if is_client else "",
            multihop_ttl=0 if is_internal else MULTIHOP_TTL,
            **more,
        )


def _kind(
    settings: PeerSettings, filters: tuple[str, ...], *, keeps_tunnel_routes: bool
) -> Kind:
    is_internal = settings.remote_as == settings.local_as
    session = Session(settings.families[0].family, is_internal, settings.local_as)
    return session, filters, keeps_tunnel_routes


def _with_restart(settings: PeerSettings, restart_time: int | None) -> PeerSettings:
    if restart_time is None:
        return settings
    return replace(settings, graceful_restart_time=min(restart_time, MAX_RESTART_TIME))
