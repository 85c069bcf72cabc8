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
from bgpd.daemon.speaker import FAMILIES, Speaker
from bgpd.session.settings import PeerSettings, RangeSettings
from rib.attributes import PathAttributes, make_attributes
from rib.family import Family
from rib.nlri import Nlri
from rib.path import LOCAL_WEIGHT, Source, SourceKind

if TYPE_CHECKING:  # a reflector without datastore shall not load Calico's models
    from bgpd.calico.blocks import Block
    from bgpd.calico.desired import NodeDesired

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Wanted:
    """What one giver wants."""

    peers: tuple[PeerSettings, ...] = ()
    routes: dict[tuple[Family, Nlri], "_Route"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Route:
    """A prefix of our own and how it is announced."""

    is_blackhole: bool
    attributes: PathAttributes


class Reconciler:
    """Applies desired state to a speaker.

    Attributes:
        blocks: Source of own prefixes that are blackholes in the kernel.
        networks: Source of own prefixes that are only announced.
    """

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._configured = _Wanted()
        self._discovered = _Wanted()
        self._ranges: dict[str, RangeSettings] = {}
        self._attributes: dict[OriginatedRoute, PathAttributes] = {}
        self.blocks = Source("blocks", SourceKind.LOCAL, weight=LOCAL_WEIGHT)
        self.networks = Source("networks", SourceKind.LOCAL, weight=LOCAL_WEIGHT)
        self._plain = make_attributes(next_hop=b"")

    def apply_settings(self, settings: DaemonSettings) -> list[Step]:
        """Apply a configuration; return the steps of its peers, for the log."""
        speaker = self._speaker
        speaker.set_policies(settings.policies)
        self._apply_ranges(settings.ranges)
        self._configured.peers = settings.peers
        steps = self._apply_peers()
        self._configured.routes, before = (
            {
                (route.family, route.nlri): _Route(
                    route.is_blackhole, self._attributes_of(route)
                )
                for route in settings.routes.originated
            },
            self._configured.routes,
        )
        self._apply_routes(before, self._configured.routes)
        return steps

    def apply_node(self, desired: "NodeDesired") -> list[Step]:
        """Apply what the datastore says about this node."""
        self._discovered.peers = desired.peers
        steps = self._apply_peers()
        self.apply_blocks(desired.originated)
        return steps

    def apply_blocks(self, blocks: Iterable["Block"]) -> None:
        """Apply the node's own blocks alone: the short way of an affinity event."""
        wanted = {
            (block.family, block.nlri): _Route(block.has_blackhole, self._plain)
            for block in blocks
        }
        before, self._discovered.routes = self._discovered.routes, wanted
        self._apply_routes(before, wanted)

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
        self,
        before: dict[tuple[Family, Nlri], _Route],
        wanted: dict[tuple[Family, Nlri], _Route],
    ) -> None:
        """Announce and withdraw the difference, in batches of equal attributes."""
        for source, is_blackhole in ((self.blocks, True), (self.networks, False)):
            gone: dict[Family, list[Nlri]] = {family: [] for family in FAMILIES}
            for key, route in before.items():
                new = wanted.get(key)
                if route.is_blackhole is is_blackhole and (
                    new is None or new.is_blackhole is not is_blackhole
                ):
                    gone[key[0]].append(key[1])
            for family, nlris in gone.items():
                if nlris:
                    self._speaker.withdraw(family, nlris, source)
            new_ones: dict[tuple[Family, PathAttributes], list[Nlri]] = {}
            for (family, nlri), route in wanted.items():
                if (
                    route.is_blackhole is is_blackhole
                    and before.get((family, nlri)) != route
                ):
                    new_ones.setdefault((family, route.attributes), []).append(nlri)
            for (family, attributes), nlris in new_ones.items():
                self._speaker.originate(family, nlris, attributes, source)
