"""Track next hops through other programs' routes and our own; decisions and routes follow.

When a link, a kernel route, or one of our routes towards a next hop changes, the next hop is
checked soon, at a pace (``fib.pace``). The result goes to the decision process, and
to the kernel's routes whose hops it changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Final

from bgpd.config.settings import DaemonSettings
from bgpd.kernel.next_hop_tracking import NextHopTracker, reachability
from bgpd.kernel.own_routes import KernelRoutes
from bgpd.kernel.route_programmer import RouteProgrammer
from bgpd.pipeline.local_sources import LocalSources
from bgpd.speaker.early_reconnect import EarlyReconnect
from bgpd.speaker.speaker import Speaker
from fib.kernel_view import KernelView
from fib.next_hop_state import NextHopState
from fib.pace import Pace
from fib.resolution import Resolver
from rib.change import Change
from rib.family import Family

_nlris_of: Final = itemgetter(2)  # of a Change


class _Noting:
    """Follows one family's routes."""

    def __init__(self, updates: "NextHopUpdates", afi: int) -> None:
        self._updates = updates
        self._afi = afi

    def changed(self, changes: Sequence[Change]) -> None:
        """See ``RouteConsumer``."""
        self._updates.routes_changed(self._afi, changes)


class NextHopUpdates:
    """Tracks the next hops of one speaker.

    Args:
        speaker: Whose next hops they are.
        feeds: What writes the speaker's routes; filled by the caller.
        ways: How each next hop is reached, which the speaker asks.
    """

    def __init__(
        self,
        speaker: Speaker,
        feeds: Mapping[Family, RouteProgrammer],
        ways: NextHopTracker,
    ) -> None:
        self._ways = ways
        self._speaker = speaker
        self._feeds = feeds
        self._pace = Pace()
        self._is_looking = False

    def follow(
        self,
        view: KernelView,
        settings: DaemonSettings,
        origins: LocalSources,
        reconnect: EarlyReconnect,
    ) -> None:
        """Resolve next hops from now on, through other programs' routes and our own."""
        speaker, uses_default = self._speaker, settings.resolves_by_default_route
        own = KernelRoutes(
            speaker, self._feeds, origins, settings.fib.metric, self._ways.gateway_of
        )
        watch = self._ways.follow(
            view,
            own,
            self._ways_changed,
            uses_default=uses_default,
            more=self.look_soon,
        )
        own.interest = watch.interest
        resolver = Resolver(view, own, uses_default=uses_default)
        reconnect.follow(lambda address: bool(resolver.resolve(address).through))
        for family, consumers in speaker.context.consumers.items():
            consumers.attach(_Noting(self, family.afi))

    def look_soon(self) -> None:
        """Check the next hops that our changed routes may lead to."""
        if not self._is_looking:
            self._is_looking = True
            pause = self._pace.pause(self._speaker.loop.time())
            if pause:
                self._speaker.loop.call_later(pause, self._look_again)
            else:
                self._look_again()

    def close(self) -> None:
        """Stop tracking."""
        self._ways.close()

    def routes_changed(self, afi: int, changes: Sequence[Change]) -> None:
        """Note our own routes that next hops may lead through."""
        nlris = [*chain.from_iterable(map(_nlris_of, changes))]
        if self._ways.note(afi, nlris):
            self.look_soon()

    def _look_again(self) -> None:
        self._speaker.work_queue.add(self._looking())

    def _looking(self) -> Iterator[None]:
        try:
            yield from self._ways.look_again()
        finally:
            self._is_looking = False

    def _ways_changed(self, states: list[NextHopState], moved: list[bytes]) -> None:
        for family, feed in self._feeds.items():
            loc_rib = self._speaker.tables[family].loc_rib
            self._speaker.work_queue.add(feed.ways_changed(loc_rib, moved))
        known = self._speaker.next_hops.known
        devices = {
            state.address
            for state in states
            if (hop := known(state.address)) and hop.interface != state.interface
        }
        self._speaker.next_hops_changed(map(reachability, states))
        for family, feed in self._feeds.items():
            loc_rib = self._speaker.tables[family].loc_rib
            self._speaker.work_queue.add(feed.devices_changed(loc_rib, devices))
