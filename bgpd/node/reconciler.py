"""Desired state -> the running speaker, by differences only (level-triggered).

Two sources say what there should be: the configuration and the datastore. Each states all it
wants, as often as it likes; what is applied is the difference to what runs, and a session
is reset only where BGP demands it. A configured neighbour goes before one that the
datastore has at the same address. Peers change in slices (``bgpd.speaker.peer_changes``).
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bgpd.config.diff import Step
from bgpd.config.settings import DaemonSettings, OriginatedRoute
from bgpd.pipeline.local_sources import FALLBACK_WEIGHT, LocalSources
from bgpd.runtime.fault_isolation import each
from bgpd.session.settings import PeerSettings, RangeSettings
from bgpd.speaker.conditional_routes import Conditional, ConditionalRoutes
from bgpd.speaker.peer_changes import PeerChanges
from bgpd.speaker.peer_handover import follow_ranges
from bgpd.speaker.speaker import Speaker
from rib.attributes import PathAttributes, make_attributes, prepend
from rib.family import Family
from rib.nlri import Nlri
from rib.path import Source
from rib.policy import PolicySpec

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired

_log = logging.getLogger(__name__)


_Key = tuple[Family, Nlri]
_Place = tuple[Source, Family, PathAttributes, int | None]
DEFAULT_NLRI: Final = b"\0"
_DEFAULT_ROUTE: Final = make_attributes(next_hop=b"")


@dataclass(frozen=True, slots=True)
class _Route:
    """A prefix of our own and how it is announced."""

    source: Source
    attributes: PathAttributes
    weight: int | None = None


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

    def __init__(self, speaker: Speaker, origins: LocalSources) -> None:
        self._speaker = speaker
        self._origins = origins
        self._peers = PeerChanges(speaker, self._settle)
        self._policy_faults: dict[str, str] = {}
        self._former: tuple[PolicySpec, ...] = ()  # that peers may still name
        self._settling: asyncio.Future[None] | None = None
        self._conditional = ConditionalRoutes(speaker)
        self._configured = _Wanted()
        self._discovered = _Wanted()
        self._ranges: dict[str, RangeSettings] = {}
        self._have_ranges_changed = False  # and their neighbours are to follow
        self._attributes: dict[OriginatedRoute, PathAttributes] = {}
        self._routes_key: object = None  # what own routes were made of
        self._plain: dict[tuple[int | None, bytes], PathAttributes] = {}

    def apply_settings(self, settings: DaemonSettings) -> list[Step]:
        """Apply a configuration; return the steps of peers that were taken at once."""
        allows_reserved = settings.speaker.allows_reserved
        self._speaker.local_routes.allow_reserved(is_allowed=allows_reserved)
        for tables in self._speaker.tables.values():
            tables.pacing.interval = settings.speaker.advertisement_interval
        self._former += self._configured.policies
        self._configured.policies = settings.policies
        self._apply_policies()
        self._apply_ranges(settings.ranges)
        self._configured.peers = settings.peers
        told = self._default_originating(settings)
        conditions = {when for peer in told if (when := peer.default_when) is not None}
        self._conditional.follow_defaults(conditions)
        steps = self._apply_peers()
        origins = self._origins
        wanted: dict[_Key, _Route] = {}
        conditional: dict[_Key, Conditional] = {}
        for route in settings.routes.originated:
            key = route.family, route.nlri
            source = origins.blocks if route.is_blackhole else origins.networks
            attributes = self._attributes_of(route)
            if route.when is None and not route.is_fallback:
                wanted[key] = _Route(source, attributes, route.weight)
            else:
                conditional[key] = Conditional(
                    attributes,
                    source,
                    route.when,
                    FALLBACK_WEIGHT if route.is_fallback else route.weight,
                    route.is_summary_only,
                )
        for family in {mine.family for peer in told for mine in peer.families}:
            key = family, DEFAULT_NLRI
            if key not in wanted and key not in conditional:
                conditional[key] = Conditional(_DEFAULT_ROUTE, origins.defaults, None)
        used = dict.fromkeys(settings.routes.originated)
        self._attributes = {route: self._attributes[route] for route in used}
        before, self._configured.routes = self._configured.routes, wanted
        self._apply_routes(before, wanted)
        self._conditional.follow(conditional)
        return steps

    def apply_node(self, desired: "NodeDesired") -> list[Step]:
        """Apply what the datastore says of this node; return as ``apply_settings``."""
        before = self._discovered.policies
        if desired.policies is not before and desired.policies != before:
            self._former += before
            self._discovered.policies = desired.policies
            self._apply_policies()
        steps: list[Step] = []
        if desired.peers is not self._discovered.peers:
            self._discovered.peers = desired.peers
            steps = self._apply_peers()
        self.apply_routes(desired)
        return steps

    def apply_routes(self, desired: "NodeDesired") -> None:
        """Apply the node's own blocks and static routes alone, of which many may stand."""
        key = desired.statics, desired.originated, desired.local_pref
        if key == self._routes_key:
            return
        self._routes_key = key
        origins = self._origins
        shared: dict[tuple[Family, bytes], _Route] = {}  # by family and gateway
        wanted: dict[_Key, _Route] = {}
        for static in desired.statics:
            place = static.family, static.gateway
            route = shared.get(place)
            if route is None:
                source = origins.gateways if static.gateway else origins.blocks
                attributes = self._plain_attributes(desired, *place)
                route = shared[place] = _Route(source, attributes)
            wanted[static.family, static.nlri] = route
        for block in desired.originated:
            attributes = self._plain_attributes(desired, block.family)
            wanted[block.family, block.nlri] = _Route(origins.blocks, attributes)
        used = {route.attributes for route in shared.values()}
        used |= {
            wanted[block.family, block.nlri].attributes for block in desired.originated
        }
        self._plain = {key: one for key, one in self._plain.items() if one in used}
        before, self._discovered.routes = self._discovered.routes, wanted
        self._apply_routes(before, wanted)

    def faults(self) -> list[str]:
        """Return what could not be had of what is wanted, and why."""
        return [
            *(f"policy {name}: {text}" for name, text in self._policy_faults.items()),
            *(f"peer {name}: {text}" for name, text in self._peers.faults.items()),
        ]

    async def settled(self) -> None:
        """Wait until what runs is what is wanted."""
        while not self._peers.is_settled:
            if self._settling is None:
                self._settling = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._settling)

    def _apply_policies(self) -> None:
        """Put policies in force; one that peers still name stays until they change."""
        self._policy_faults = self._speaker.policies.replace(
            (*self._former, *self._discovered.policies, *self._configured.policies)
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
        speaker = self._speaker
        aggregator = (
            speaker.context.numbers.asn,
            speaker.context.router_id.to_bytes(4, "big"),
        )
        known = self._attributes.get(route)
        is_stale = route.is_aggregate and known and known.aggregator != aggregator
        if known is None or is_stale:
            known = self._attributes[route] = make_attributes(
                atomic_aggregate=route.is_aggregate,
                aggregator=aggregator if route.is_aggregate else None,
                next_hop=route.next_hop,
                origin=route.origin,
                as_path=_path_of(route.prepend),
                local_pref=route.local_pref,
                med=route.med,
                communities=route.communities,
                large_communities=route.large_communities,
                ext_communities=route.ext_communities,
            )
        return known

    def _default_originating(self, settings: DaemonSettings) -> list[PeerSettings]:
        """Return settings that advertise our default route, ranges and defaults included."""
        everyone = [settings.speaker.defaults, *settings.peers]
        everyone += [entry.template for entry in settings.ranges]
        return [each for each in everyone if each.originates_default]

    def _apply_peers(self) -> list[Step]:
        wanted = {peer.remote_addr: peer for peer in self._discovered.peers}
        wanted |= {peer.remote_addr: peer for peer in self._configured.peers}
        return self._peers.follow(wanted)

    def _settle(self) -> None:
        """All peers are as wanted: let go of policies that none of them names any more."""
        if self._former:
            self._former = ()
            self._apply_policies()
        if self._have_ranges_changed:  # not before: some neighbours are configured now
            self._have_ranges_changed = False
            self._speaker.jobs.begin(follow_ranges(self._speaker))
        settling, self._settling = self._settling, None
        if settling is not None and not settling.done():
            settling.set_result(None)

    def _apply_ranges(self, ranges: Iterable[RangeSettings]) -> None:
        wanted = {settings.name: settings for settings in ranges}

        changed = [
            settings
            for name, settings in wanted.items()
            if settings != self._ranges.get(name)
        ]
        # A prefix may move from one to another: all give up theirs first.
        gone = [
            name
            for name, before in self._ranges.items()
            if name not in wanted or wanted[name].prefix != before.prefix
        ]
        if not (gone or changed):
            return
        each(self._speaker.neighbours.remove_range, gone, "range")
        each(self._speaker.neighbours.set_range, changed, "range")
        self._ranges, self._have_ranges_changed = wanted, True

    def _apply_routes(
        self, before: dict[_Key, _Route], wanted: dict[_Key, _Route]
    ) -> None:
        """Announce and withdraw the difference, in batches of equal attributes."""
        gone: dict[tuple[Source, Family], list[Nlri]] = {}
        for key, route in before.items():
            new = wanted.get(key)
            if new is None or new.source is not route.source:
                gone.setdefault((route.source, key[0]), []).append(key[1])
        come: dict[_Place, list[Nlri]] = {}
        for key, route in wanted.items():
            known = before.get(key)
            if known is not route and known != route:
                place = (route.source, key[0], route.attributes, route.weight)
                come.setdefault(place, []).append(key[1])

        def announce(place: _Place) -> None:
            source, family, attributes, weight = place
            self._speaker.local_routes.originate(
                family, come[place], attributes, source, weight=weight
            )

        def withdraw(place: tuple[Source, Family]) -> None:
            source, family = place
            self._speaker.local_routes.withdraw(family, gone[place], source)

        each(announce, come, "routes of our own")
        each(withdraw, gone, "routes of our own")


def _path_of(asns: Iterable[int]) -> bytes:
    path = b""
    for asn in reversed([*asns]):
        path = prepend(path, asn)
    return path
