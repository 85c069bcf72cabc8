"""Track next hops through other programs' routes and our own; decisions and routes follow.

When a link, a kernel route, or one of our routes towards a next hop changes, the next hop is
checked soon, at a pace (``fib.pace``). The result goes to the decision process, and
to the kernel's routes whose hops it changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Final

from bgpd.config.settings import DaemonSettings
from bgpd.kernel.next_hop_tracking import NextHopTracker
from bgpd.kernel.own_routes import KernelRoutes
from bgpd.kernel.route_programmer import RouteProgrammer
from bgpd.pipeline.local_sources import LocalSources
from bgpd.speaker.early_reconnect import EarlyReconnect
from bgpd.speaker.speaker import Speaker
from fib.kernel_view import KernelView
from fib.next_hop_watch import NextHopState
from fib.pace import Pace
from fib.resolution import Resolver
from rib.change import Change
from rib.family import Family
from rib.next_hops import Reachability

_nlris_of: Final = itemgetter(2)  # of a Change


class NextHopUpdates:
    """Tracks the next hops of one speaker.

    Args:
        speaker: Whose next hops they are.
        feeds: What writes the speaker's routes; filled by the caller.

    Attributes:
        ways: How each next hop is reached.
    """

    def __init__(
        self, speaker: Speaker, feeds: Mapping[Family, RouteProgrammer]
    ) -> None:
        self.ways = NextHopTracker(self._ways_changed)
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
            speaker, self._feeds, origins, settings.fib.metric, self.ways.gateway_of
        )
        watch = self.ways.follow(
            view, own, uses_default=uses_default, more=self.look_soon
        )
        own.interest = watch.interest
        resolver = Resolver(view, own, uses_default=uses_default)
        reconnect.follow(lambda address: bool(resolver.resolve(address).through))
        speaker.next_hops.resolve = self._resolve
        speaker.next_hops.release = self.ways.release
        for family, tables in speaker.tables.items():
            tables.listeners.append(partial(self._routes_changed, family.afi))

    def state(self, address: bytes) -> NextHopState | None:
        """Return how a next hop is reached; ``None`` if it is not tracked."""
        return self.ways.states.get(address)

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
        """Track nothing any more."""
        self.ways.close()

    def _routes_changed(self, afi: int, changes: Sequence[Change]) -> None:
        nlris = [*chain.from_iterable(map(_nlris_of, changes))]
        if self.ways.note(afi, nlris):
            self.look_soon()

    def _look_again(self) -> None:
        self._speaker.jobs.add(self._looking())

    def _looking(self) -> Iterator[None]:
        try:
            yield from self.ways.look_again()
        finally:
            self._is_looking = False

    def _resolve(self, address: bytes) -> Reachability:
        """Begin to watch a next hop; return what is known of it now."""
        return _reachability(self.ways.resolve(address))

    def _ways_changed(self, states: list[NextHopState], moved: list[bytes]) -> None:
        for family, feed in self._feeds.items():
            loc_rib = self._speaker.tables[family].loc_rib
            self._speaker.jobs.add(feed.ways_changed(loc_rib, moved))
        known = self._speaker.next_hops.known
        devices = {
            state.address
            for state in states
            if (hop := known(state.address)) and hop.interface != state.interface
        }
        self._speaker.next_hops_changed(map(_reachability, states))
        for family, feed in self._feeds.items():
            loc_rib = self._speaker.tables[family].loc_rib
            self._speaker.jobs.add(feed.devices_changed(loc_rib, devices))


def _reachability(state: NextHopState) -> Reachability:
    """Return what the decision process must know; our own address is not a way to anywhere."""
    return Reachability(
        state.address,
        state.is_reachable and not state.is_local,
        state.metric,
        state.interface,
        state.is_local,
    )
