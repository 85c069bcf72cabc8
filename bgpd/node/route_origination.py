"""Our own routes, as the configuration and the datastore want them.

Each states all it wants; what is applied is the difference, in batches of equal attributes.
Routes that stand on a condition are ``bgpd.speaker.conditional_routes``'.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bgpd.config.settings import DaemonSettings, OriginatedRoute
from bgpd.pipeline.local_sources import FALLBACK_WEIGHT, LocalSources
from bgpd.runtime.fault_isolation import each
from bgpd.session.settings import PeerSettings
from bgpd.speaker.conditional_routes import Conditional, ConditionalRoutes, RouteKey
from bgpd.speaker.speaker import Speaker
from rib.attributes import PathAttributes, make_attributes, prepend
from rib.family import Family
from rib.nlri import Nlri
from rib.path import Source
from rib.policy import PrefixMatch

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired

_Place = tuple[Source, Family, PathAttributes, int | None]
DEFAULT_NLRI: Final = b"\0"
_DEFAULT_ROUTE: Final = make_attributes(next_hop=b"")


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """One of our own prefixes and its attributes."""

    source: Source
    attributes: PathAttributes
    weight: int | None = None


class OwnRoutes(NamedTuple):
    """Our own routes of one source of settings.

    Attributes:
        plain: Those that are originated always.
        conditional: Those that depend on others.
        conditions: Those of ``default_originate``.
    """

    plain: dict[RouteKey, OwnRoute]
    conditional: dict[RouteKey, Conditional]
    conditions: frozenset[PrefixMatch]


class RouteOrigination:
    """Originates and withdraws our own routes.

    Args:
        speaker: What runs.
        origins: The sources of own routes.
    """

    def __init__(self, speaker: Speaker, origins: LocalSources) -> None:
        self._speaker = speaker
        self._origins = origins
        self._conditional = ConditionalRoutes(speaker)
        self._configured: dict[RouteKey, OwnRoute] = {}
        self._discovered: dict[RouteKey, OwnRoute] = {}
        self._attributes: dict[OriginatedRoute, PathAttributes] = {}
        self._made_of: object = None  # what the node's routes were made of
        self._plain: dict[tuple[int | None, bytes], PathAttributes] = {}

    def follow_defaults(self, settings: DaemonSettings) -> list[PeerSettings]:
        """Follow the conditions for advertising default routes.

        Returns:
            The settings of these peers, ranges and defaults included.
        """
        told = _default_originating(settings)
        conditions = {when for peer in told if (when := peer.default_when) is not None}
        self._conditional.follow_defaults(conditions)
        return told

    def apply_settings(
        self, settings: DaemonSettings, told: Iterable[PeerSettings]
    ) -> None:
        """Originate what a configuration names.

        Args:
            settings: The configuration.
            told: Who is advertised a default route (``follow_defaults``).
        """
        wanted = self.configured_by(settings, told)
        used = dict.fromkeys(settings.routes.originated)
        self._attributes = {route: self._attributes[route] for route in used}
        before, self._configured = self._configured, wanted.plain
        self._apply(before, wanted.plain)
        self._conditional.follow(wanted.conditional)

    def configured_by(
        self, settings: DaemonSettings, told: Iterable[PeerSettings] | None = None
    ) -> OwnRoutes:
        """Return what a configuration originates.

        Args:
            settings: The configuration.
            told: Who is advertised a default route, if the caller knows.
        """
        told = _default_originating(settings) if told is None else told
        origins = self._origins
        wanted: dict[RouteKey, OwnRoute] = {}
        conditional: dict[RouteKey, Conditional] = {}
        for route in settings.routes.originated:
            key = route.family, route.nlri
            source = origins.blocks if route.is_blackhole else origins.networks
            attributes = self._attributes_of(route)
            if route.when is None and not route.is_fallback:
                wanted[key] = OwnRoute(source, attributes, route.weight)
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
        conditions = {when for peer in told if (when := peer.default_when) is not None}
        return OwnRoutes(wanted, conditional, frozenset(conditions))

    def apply_node(self, desired: "NodeDesired") -> None:
        """Apply only the node's blocks and static routes; there may be many."""
        key = desired.statics, desired.originated, desired.local_pref
        if key == self._made_of:
            return
        self._made_of = key
        wanted = self.discovered_by(desired)
        used = {route.attributes for route in wanted.values()}
        self._plain = {key: one for key, one in self._plain.items() if one in used}
        before, self._discovered = self._discovered, wanted
        self._apply(before, wanted)

    def discovered_by(self, desired: "NodeDesired") -> dict[RouteKey, OwnRoute]:
        """Return what the datastore originates."""
        origins = self._origins
        shared: dict[tuple[Family, bytes], OwnRoute] = {}  # by family and gateway
        wanted: dict[RouteKey, OwnRoute] = {}
        for static in desired.statics:
            place = static.family, static.gateway
            route = shared.get(place)
            if route is None:
                source = origins.gateways if static.gateway else origins.blocks
                attributes = self._plain_attributes(desired, *place)
                route = shared[place] = OwnRoute(source, attributes)
            wanted[static.family, static.nlri] = route
        for block in desired.originated:
            attributes = self._plain_attributes(desired, block.family)
            wanted[block.family, block.nlri] = OwnRoute(origins.blocks, attributes)
        return wanted

    @property
    def in_force(self) -> tuple[dict[RouteKey, OwnRoute], dict[RouteKey, OwnRoute]]:
        """What is originated for the configuration, and for the datastore."""
        return self._configured, self._discovered

    @property
    def conditional(self) -> ConditionalRoutes:
        """The routes that depend on others."""
        return self._conditional

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

    def _apply(
        self, before: dict[RouteKey, OwnRoute], wanted: dict[RouteKey, OwnRoute]
    ) -> None:
        """Originate and withdraw the difference, in batches with equal attributes."""
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


def _default_originating(settings: DaemonSettings) -> list[PeerSettings]:
    """Return settings that advertise our default route, ranges and defaults included."""
    everyone = [settings.speaker.defaults, *settings.peers]
    everyone += [entry.template for entry in settings.ranges]
    return [each for each in everyone if each.originates_default]


def _path_of(asns: Iterable[int]) -> bytes:
    path = b""
    for asn in reversed([*asns]):
        path = prepend(path, asn)
    return path
