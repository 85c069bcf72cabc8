"""Redistribution: kernel routes of other programs as candidates for advertisement.

Other programs' routes (a workload's, those of Calico's Felix, an operator's) and connected
prefixes compete in Loc-RIB like those of peers. They are never given back to the kernel.
"""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from bgpd.kernel.redistribution_plan import RedistributionPlan
from bgpd.pipeline.local_sources import LocalSources
from bgpd.speaker.speaker import Speaker
from fib.connected import Choice, Connected, ConnectedPrefixes
from fib.kernel_policy import ELEVATED_WEIGHT, MAX_METRIC
from fib.kernel_view import KernelView
from fib.redistributed import (
    RedistributedChange,
    RedistributedRoute,
    RedistributedRoutes,
)
from rib.attributes import (
    ORIGIN_IGP,
    ORIGIN_INCOMPLETE,
    PathAttributes,
    make_attributes,
)
from rib.family import Family
from rib.nlri import Nlri, covers
from rib.path import NextHop
from rib.zones import is_link_local

_MEMO_MAX: Final = 4096  # devices of workloads come and go; then all are forgotten


class Redistribution:
    """Redistributes kernel routes.

    Args:
        speaker: Where it is announced.
        view: The kernel.
        origins: The sources it is announced under.
    """

    def __init__(
        self, speaker: Speaker, view: KernelView, origins: LocalSources
    ) -> None:
        self._speaker = speaker
        self._view = view
        self._origins = origins
        self._plan = RedistributionPlan()
        self._routes: RedistributedRoutes | None = None
        self._connected: ConnectedPrefixes | None = None
        self._attributes: dict[tuple[object, ...], PathAttributes] = {}
        self._next_hops: dict[tuple[bytes, str], NextHop] = {}

    def follow(self, plan: RedistributionPlan) -> None:
        """Change which routes to redistribute, or with which attributes."""
        before, self._plan = self._plan, plan
        looks_alike = replace(before, routes=plan.routes, direct=plan.direct) == plan
        if before.routes != plan.routes or not looks_alike:
            self._stop_routes()
            if plan.routes.is_enabled:
                self._routes = RedistributedRoutes(
                    self._view,
                    self._routes_changed,
                    protocols=plan.routes.protocols or None,
                    interfaces=plan.routes.interfaces,
                )
                self._routes.start()
        if self._connected is not None and not looks_alike:
            self._stop_connected()
        direct = plan.direct
        choice = Choice(direct.interfaces, direct.families, direct.prefixes)
        if self._connected is not None:
            self._connected.choose(choice)
        elif choice.interfaces:
            self._connected = ConnectedPrefixes(
                self._view, self._connected_changed, choice
            )
            self._connected.start()

    def close(self) -> None:
        """Stop following the kernel; redistributed routes stay."""
        for part in (self._routes, self._connected):
            if part is not None:
                part.close()
        self._routes = self._connected = None

    def _stop_routes(self) -> None:
        if self._routes is not None:
            known = [(family, nlri, None) for family, nlri in self._routes.known]
            self._routes.close()
            self._routes = None
            self._routes_changed(known)

    def _stop_connected(self) -> None:
        if self._connected is not None:
            known = self._connected.known
            self._connected.close()
            self._connected = None
            self._connected_changed(known, {})

    # -- routes of other programs -------------------------------------------------------

    def _routes_changed(self, changes: Sequence[RedistributedChange]) -> None:
        gone: dict[Family, list[Nlri]] = {}
        come: dict[tuple[Family, RedistributedRoute], list[Nlri]] = {}
        for family, nlri, route in changes:
            if route is None:
                gone.setdefault(family, []).append(nlri)
            elif self._is_wanted(family, nlri):
                come.setdefault((family, route), []).append(nlri)
        for family, nlris in gone.items():
            self._speaker.local_routes.withdraw(family, nlris, self._origins.kernel)
        for (family, route), nlris in come.items():
            gateway, device = _way(route) if self._plan.is_calico else (b"", "")
            attributes = self._of_route(family, gateway, route.metric)
            is_elevated = self._is_elevated(family, attributes, device)
            self._speaker.local_routes.originate(
                family,
                nlris,
                attributes,
                self._origins.kernel,
                self._next_hop(gateway, device),
                weight=ELEVATED_WEIGHT if is_elevated else None,
            )

    def _is_elevated(
        self, family: Family, attributes: PathAttributes, device: str
    ) -> bool:
        plan = self._plan
        normal, mine = plan.local_pref.get(family), attributes.local_pref
        if normal is None or mine is None or mine <= normal:
            return False
        # Other routes have low metrics for reasons of their own: a default route of 100
        # must not go before those of gateways.
        return any(fnmatchcase(device, each) for each in plan.workload_interfaces)

    def _is_wanted(self, family: Family, nlri: Nlri) -> bool:
        wanted = self._plan.routes.prefixes
        return not wanted or any(
            family == other and covers(cover, nlri) for other, cover in wanted
        )

    def _of_route(self, family: Family, gateway: bytes, metric: int) -> PathAttributes:
        plan = self._plan
        local_pref = None
        if family in plan.local_pref:
            local_pref = max(0, MAX_METRIC - metric)
        if plan.is_calico:
            return self._make(gateway, ORIGIN_IGP, local_pref, None)
        return self._make(gateway, ORIGIN_INCOMPLETE, local_pref, metric or None)

    # -- connected prefixes -------------------------------------------------------------

    def _connected_changed(self, before: Connected, now: Connected) -> None:
        source = self._origins.direct
        gone: dict[Family, list[Nlri]] = {}
        for family, nlri in before.keys() - now.keys():
            gone.setdefault(family, []).append(nlri)
        for family, nlris in gone.items():
            self._speaker.local_routes.withdraw(family, nlris, source)
        for (family, nlri), device in now.items():
            if before.get((family, nlri)) != device:
                local_pref = self._plan.local_pref.get(family)
                attributes = self._make(b"", ORIGIN_IGP, local_pref, None)
                way = self._next_hop(b"", device)
                self._speaker.local_routes.originate(
                    family, [nlri], attributes, source, way
                )

    # -- interned values ----------------------------------------------------------------

    def _make(
        self, gateway: bytes, origin: int, local_pref: int | None, med: int | None
    ) -> PathAttributes:
        key = (gateway, origin, local_pref, med)
        known = self._attributes.get(key)
        if known is None:
            if len(self._attributes) >= _MEMO_MAX:
                self._attributes.clear()
            known = self._attributes[key] = make_attributes(
                next_hop=gateway, origin=origin, local_pref=local_pref, med=med
            )
        return known

    def _next_hop(self, gateway: bytes, device: str) -> NextHop:
        """Return the next hop of an existing kernel route, which needs no look-up."""
        key = (gateway, device)
        known = self._next_hops.get(key)
        if known is None:
            if len(self._next_hops) >= _MEMO_MAX:
                self._next_hops.clear()
            known = self._next_hops[key] = NextHop(gateway, interface=device)
        return known


def _way(route: RedistributedRoute) -> tuple[bytes, str]:
    """Return gateway and device of a route's first hop, as BIRD advertises it."""
    if not route.hops:
        return b"", ""
    hop = route.hops[0]
    return (b"" if is_link_local(hop.gateway) else hop.gateway), hop.interface
