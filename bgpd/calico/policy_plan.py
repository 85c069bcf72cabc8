"""The policies of one node's sessions and of its kernel routes, kept from plan to plan.

Sessions of one kind share a policy, so a full mesh of thousands has two. Policies name the node's
own blocks: an affinity changes them and no session, and that is the most frequent change of a
cluster. So a policy, the settings of a session that names it, and a kernel policy are the same
objects as before unless what they depend on changed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from bgpd.calico.peerings import Kind, Peering
from bgpd.calico.policies import (
    ExportFacts,
    KernelFacts,
    export_policy,
    import_policy,
    kernel_policy,
)
from bgpd.calico.policy_inputs import NodeFacts
from bgpd.calico.slices import Slices
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import PeerSettings
from fib.kernel_policy import KernelPolicy
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.policy import ACCEPT_ALL, PolicySpec

FAMILIES: Final = (IPV4_UNICAST, IPV6_UNICAST)
SESSIONS: Final = 64  # named in one slice, a millisecond


class PolicyPlan:
    """The policies of one node.

    Attributes:
        specs: The policies, by name.
        peers: The sessions, each with the names of its policies.
    """

    def __init__(self) -> None:
        self.specs: tuple[PolicySpec, ...] = ()
        self.peers: tuple[PeerSettings, ...] = ()
        self._named: dict[int, _Named] = {}  # by the identity of a peering
        self._export_key: object = None
        self._names: dict[Kind, tuple[str, str]] = {}
        self._kernel: dict[Family, tuple[KernelFacts, KernelPolicy]] = {}

    def follow(
        self, facts: NodeFacts, peerings: Sequence[Peering]
    ) -> Slices[tuple[ObjectWarning, ...]]:
        """Make the policies and name them in the peers; return what is wrong with communities."""
        topology = facts.topology
        exports: dict[Family, ExportFacts] = {}
        unknown: list[ObjectWarning] = []
        for family in FAMILIES:
            exports[family], found = facts.export(family)
            unknown += found
            yield
        # In order of appearance, so that an equal cluster makes an equal key.
        kinds = tuple(dict.fromkeys(peering.kind for peering in peerings))
        yield
        # Compared by value, which is cheap: what did not change is the same object as before.
        key = (topology.filters, exports, kinds)
        if key != self._export_key:
            specs: dict[str, PolicySpec] = {}
            names: dict[Kind, tuple[str, str]] = {}
            for kind in kinds:
                incoming, outgoing = _policies(kind, facts, exports[kind[0].family])
                specs[incoming.name], specs[outgoing.name] = incoming, outgoing
                names[kind] = incoming.name, outgoing.name
                yield
            specs.pop(ACCEPT_ALL.name, None)
            self.specs = tuple(specs[name] for name in sorted(specs))
            self._export_key, self._names = key, names
        yield from self._name(peerings)
        return tuple(unknown)

    def _name(self, peerings: Sequence[Peering]) -> Slices[None]:
        """Name the policies in the sessions; unchanged sessions stay the same objects."""
        known, named = self._named, dict[int, _Named]()
        for number, peering in enumerate(peerings, 1):
            names = self._names[peering.kind]
            entry = known.get(id(peering))
            # By identity: the memo of sessions returns the same object for one that did not
            # change, and no other object gets its id while the entry refers to it.
            if entry is None or entry.peering is not peering or entry.names != names:
                settings = _with_policies(peering.settings, names)
                entry = _Named(peering, names, settings)
            named[id(peering)] = entry
            if number % SESSIONS == 0:
                yield
        self._named = named
        # The same tuple if nothing differs, which ends the comparison of two plans at once.
        peers = tuple(entry.settings for entry in named.values())
        if peers != self.peers:
            self.peers = peers

    def kernel(self, facts: NodeFacts, family: Family) -> KernelPolicy:
        """Return the kernel policy of a family, the same object while it is the same."""
        rests_on = facts.kernel(family)
        known = self._kernel.get(family)
        if known is None or known[0] != rests_on:
            known = rests_on, kernel_policy(family, rests_on)
            self._kernel[family] = known
        return known[1]


class _Named(NamedTuple):
    """A session that names its policies."""

    peering: Peering
    names: tuple[str, str]
    settings: PeerSettings


def _policies(
    kind: Kind, facts: NodeFacts, exports: ExportFacts
) -> tuple[PolicySpec, PolicySpec]:
    """Return what a kind of session lets in, and out."""
    session, filters, keeps_tunnel_routes = kind
    specs = facts.topology.filters
    normal = facts.normal.get(session.family)
    outgoing = export_policy(
        session, filters, specs, exports, is_tunnel_kept=keeps_tunnel_routes
    )
    return import_policy(session, filters, specs, normal), outgoing


def _with_policies(settings: PeerSettings, names: tuple[str, str]) -> PeerSettings:
    """Name its policies in a session; those that the daemon's defaults name take precedence."""
    incoming, outgoing = names
    return replace(
        settings,
        import_policy=settings.import_policy or incoming,
        export_policy=settings.export_policy or outgoing,
    )
