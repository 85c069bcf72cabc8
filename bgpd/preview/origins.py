"""Our own routes as they would be, on shadow tables; conditions are judged there as well."""

from collections.abc import Generator, Iterable, Mapping
from typing import Final

from bgpd.node.route_origination import OwnRoute, OwnRoutes
from bgpd.pipeline.policy_registry import PolicyRegistry
from bgpd.preview.shadow import ShadowTable, Steps, pieces
from bgpd.speaker.conditional_routes import Conditional, RouteKey, inside
from rib.attributes import PathAttributes
from rib.destinations import divide
from rib.family import Family
from rib.next_hops import NextHopTable
from rib.nlri import Nlri
from rib.path import Path, Source
from rib.path_set import best_of
from rib.policy import PrefixMatch
from rib.policy.prefixes import PrefixMatcher

_SLICE: Final = 4096  # prefixes compared or looked at in one step, about a millisecond

Routes = Mapping[RouteKey, OwnRoute]


class ShadowOrigins:
    """Originates on shadow tables what other settings would.

    Args:
        tables: The shadows.
        next_hops: Interns next hops.
        allows_reserved: 240.0.0.0/4 would be unicast.
    """

    def __init__(
        self,
        tables: Mapping[Family, ShadowTable],
        next_hops: NextHopTable,
        *,
        allows_reserved: bool,
    ) -> None:
        self._tables = tables
        self._next_hops = next_hops
        self._allows_reserved = allows_reserved

    def replace(self, before: Routes, wanted: Routes) -> Steps:
        """Replace routes that are originated always."""
        for some in pieces(list(before.items()), _SLICE):
            for key, route in some:
                new = wanted.get(key)
                if new is None or new.source is not route.source:
                    self._withdraw(key, route.source)
            yield
        for some in pieces(list(wanted.items()), _SLICE):
            for key, route in some:
                known = before.get(key)
                if known is not route and known != route:
                    self._announce(key, route.source, route.attributes, route.weight)
            yield

    def follow_conditions(
        self,
        announced: Mapping[RouteKey, Conditional],
        wanted: OwnRoutes,
        policies: PolicyRegistry,
    ) -> Steps:
        """Announce what depends on the shadows' routes, and note conditions that hold.

        Args:
            announced: Conditional routes that are announced now.
            wanted: Those that there would be.
            policies: Told what is suppressed, and who is advertised a default route.
        """
        for key, route in announced.items():
            new = wanted.conditional.get(key)
            if new is None or new.source is not route.source:
                self._withdraw(key, route.source)
        hidden = []
        for key, route in wanted.conditional.items():
            holds = yield from self._holds(route.when, wanted.conditional)
            if not holds:
                self._withdraw(key, route.source)
                continue
            if announced.get(key) != route:
                self._announce(key, route.source, route.attributes, route.weight)
            if route.hides_inside:
                hidden.append(inside(*key))
        policies.hide(PrefixMatch(tuple(sorted(hidden))) if hidden else None)
        for when in wanted.conditions:
            holds = yield from self._holds(when, wanted.conditional)
            policies.turn(when, holds=holds)

    def _holds(
        self, when: PrefixMatch | None, conditional: Mapping[RouteKey, Conditional]
    ) -> Generator[None, None, bool]:
        """Return whether a condition holds; what stands on a condition does not count."""
        if when is None:
            return True
        for family, table in self._tables.items():
            matcher = PrefixMatcher(when, family.afi)
            for piece in pieces(list(table.loc_rib.table), _SLICE):
                if self._has_any(table, matcher.divide(piece)[0], conditional):
                    return True
                yield
        return False

    @staticmethod
    def _has_any(
        table: ShadowTable,
        nlris: Iterable[Nlri],
        conditional: Mapping[RouteKey, Conditional],
    ) -> bool:
        for nlri in nlris:
            best = best_of(table.loc_rib.table.get(nlri))
            ours = conditional.get((table.family, nlri))
            if best is not None and not (ours and best.source is ours.source):
                return True
        return False

    def _announce(
        self,
        key: RouteKey,
        source: Source,
        attributes: PathAttributes,
        weight: int | None,
    ) -> None:
        family, nlri = key
        good, _ = divide([nlri], family.afi, allows_reserved=self._allows_reserved)
        hop = self._next_hops.get(attributes.next_hop)
        path = Path(source, attributes, hop, weight=weight)
        table = self._tables[family]
        table.take(table.loc_rib.announce(good, path))

    def _withdraw(self, key: RouteKey, source: Source) -> None:
        family, nlri = key
        table = self._tables[family]
        table.take(table.loc_rib.withdraw([nlri], source))
