"""Desired state -> the running speaker, by differences only (level-triggered).

Two givers say what there shall be: the configuration and the datastore. Each says all it
wants, as often as it likes; what is applied is the difference to what runs, and a session
is reset only where BGP demands it. A configured neighbour goes before one that the
datastore has at the same address.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bgpd.config.diff import Change, Step, diff_peers
from bgpd.config.settings import DaemonSettings, OriginatedRoute
from bgpd.daemon.origins import Origins
from bgpd.daemon.speaker import Speaker
from bgpd.session.settings import PeerSettings, RangeSettings
from rib.attributes import PathAttributes, make_attributes
from rib.family import Family
from rib.nlri import Nlri
from rib.path import Source
from rib.policy import PolicySpec

if TYPE_CHECKING:  # a reflector without datastore shall not load Calico's models
    from bgpd.calico.desired import NodeDesired

_log = logging.getLogger(__name__)


_Key = tuple[Family, Nlri]


@dataclass(frozen=True, slots=True)
class _Route:
    """A prefix of our own and how it is announced."""

    source: Source
    attributes: PathAttributes


@dataclass(slots=True)
class _Wanted:
    """What one giver wants."""

    peers: tuple[PeerSettings, ...] = ()
    policies: tuple[PolicySpec, ...] = ()
    routes: dict[_Key, _Route] = field(default_factory=dict)


class Reconciler:
    """Applies desired state to a speaker.

    Args:
        speaker: What runs.
        origins: The sources of own routes.
    """

    def __init__(self, speaker: Speaker, origins: Origins) -> None:
        self._speaker = speaker
        self._origins = origins
        self._configured = _Wanted()
        self._discovered = _Wanted()
        self._ranges: dict[str, RangeSettings] = {}
        self._attributes: dict[OriginatedRoute, PathAttributes] = {}
        self._plain: dict[tuple[int | None, bytes], PathAttributes] = {}

    def apply_settings(self, settings: DaemonSettings) -> list[Step]:
        """Apply a configuration; return the steps of its peers, for the log."""
        self._configured.policies = settings.policies
        self._apply_policies()
        self._apply_ranges(settings.ranges)
        self._configured.peers = settings.peers
        steps = self._apply_peers()
        origins = self._origins
        wanted = {
            (route.family, route.nlri): _Route(
                origins.blocks if route.is_blackhole else origins.networks,
                self._attributes_of(route),
            )
            for route in settings.routes.originated
        }
        before, self._configured.routes = self._configured.routes, wanted
        self._apply_routes(before, wanted)
        return steps

    def apply_node(self, desired: "NodeDesired") -> list[Step]:
        """Apply what the datastore says about this node."""
        if desired.policies != self._discovered.policies:
            self._discovered.policies = desired.policies
            self._apply_policies()
        steps: list[Step] = []
        if desired.peers is not self._discovered.peers:
            self._discovered.peers = desired.peers
            steps = self._apply_peers()
        self.apply_routes(desired)
        return steps

    def apply_routes(self, desired: "NodeDesired") -> None:
        """Apply the node's own blocks and static routes alone."""
        origins = self._origins
        wanted: dict[_Key, _Route] = {}
        for static in desired.statics:
            source = origins.gateways if static.gateway else origins.blocks
            attributes = self._plain_attributes(desired, static.family, static.gateway)
            wanted[static.family, static.nlri] = _Route(source, attributes)
        for block in desired.originated:
            source = origins.blocks if block.has_blackhole else origins.networks
            attributes = self._plain_attributes(desired, block.family)
            wanted[block.family, block.nlri] = _Route(source, attributes)
        before, self._discovered.routes = self._discovered.routes, wanted
        self._apply_routes(before, wanted)

    def _apply_policies(self) -> None:
        self._speaker.set_policies(
            (*self._discovered.policies, *self._configured.policies)
        )

    def _plain_attributes(
        self, desired: "NodeDesired", family: Family, gateway: bytes = b""
    ) -> PathAttributes:
        key = (desired.local_pref.get(family), gateway)
        known = self._plain.get(key)
        if known is None:
            known = self._plain[key] = make_attributes(
                next_hop=gateway, local_pref=key[0]
            )
        return known

    def _attributes_of(self, route: OriginatedRoute) -> PathAttributes:
        known = self._attributes.get(route)
        if known is None:
            known = self._attributes[route] = make_attributes(
                next_hop=route.next_hop,
                local_pref=route.local_pref,
                med=route.med,
                communities=route.communities,
                large_communities=route.large_communities,
            )
        return known

    def _apply_peers(self) -> list[Step]:
        wanted = {peer.remote_addr: peer for peer in self._discovered.peers}
        wanted |= {peer.remote_addr: peer for peer in self._configured.peers}
        running = [
            peer.settings
            for peer in self._speaker.peers.values()
            if not peer.range_name
        ]
        steps = list(diff_peers(running, wanted.values()))
        steps.sort(key=lambda step: step.change is not Change.REMOVE)
        for step in steps:
            try:
                self._apply_peer(step)
            except (OSError, ValueError) as error:
                # One peer that cannot be had must not keep the others from coming.
                _log.error("peer %s: %s", step.name, error)
        return steps

    def _apply_peer(self, step: Step) -> None:
        speaker = self._speaker
        settings = step.value
        _log.info("%s", step)
        if step.change is Change.REMOVE:
            speaker.remove_peer(step.name)
        elif isinstance(settings, PeerSettings):
            if step.change is Change.ADD:
                dynamic = speaker.peers.get(step.name)
                if dynamic is not None:
                    speaker.remove_peer(step.name, "now configured")
                speaker.add_peer(settings)
            else:
                keys = ", ".join(step.keys)
                speaker.change_peer(settings, step.cost, f"changed: {keys}")

    def _apply_ranges(self, ranges: Iterable[RangeSettings]) -> None:
        wanted = {settings.name: settings for settings in ranges}
        for name in self._ranges.keys() - wanted.keys():
            self._speaker.remove_range(name)
        for name, settings in wanted.items():
            before = self._ranges.get(name)
            if before == settings:
                continue
            if before is not None and before.template != settings.template:
                _log.info("range %s: its neighbours start anew", name)
                self._speaker.remove_range(name)
            self._speaker.set_range(settings)
        self._ranges = wanted

    def _apply_routes(
        self, before: dict[_Key, _Route], wanted: dict[_Key, _Route]
    ) -> None:
        """Announce and withdraw the difference, in batches of equal attributes."""
        gone: dict[tuple[Source, Family], list[Nlri]] = {}
        for key, route in before.items():
            new = wanted.get(key)
            if new is None or new.source is not route.source:
                gone.setdefault((route.source, key[0]), []).append(key[1])
        come: dict[tuple[Source, Family, PathAttributes], list[Nlri]] = {}
        for key, route in wanted.items():
            if before.get(key) != route:
                place = (route.source, key[0], route.attributes)
                come.setdefault(place, []).append(key[1])
        for (source, family, attributes), nlris in come.items():
            self._speaker.originate(family, nlris, attributes, source)
        for (source, family), nlris in gone.items():
            self._speaker.withdraw(family, nlris, source)
