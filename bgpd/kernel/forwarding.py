"""The kernel's part of the daemon: routes out, next hops and other programs' routes in.

Routes found at start are left as they are until the recovery of their family is over
(``bgpd.session.gr_restarting_speaker``): a daemon that was killed and comes back loses no packet.

A daemon without the kernel's table (``fib: off``) may still watch next hops; one that
trusts them does neither.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Final

from bgpd.config.settings import DaemonSettings
from bgpd.kernel.former_places import FormerPlaces
from bgpd.kernel.next_hop_tracking import Ways
from bgpd.kernel.own_routes import KernelRoutes
from bgpd.kernel.redistribution import Learning, LearnPlan
from bgpd.kernel.route_programmer import FibFeed
from bgpd.pipeline.local_sources import Origins
from bgpd.speaker.early_reconnect import Reconnect
from bgpd.speaker.speaker import FAMILIES, Speaker
from fib.errors import FibError
from fib.kernel import KernelFib
from fib.kernel_policy import KernelPolicy
from fib.kernel_view import KernelView, Link
from fib.next_hop_watch import NextHopState
from fib.pace import Pace
from fib.resolution import Resolver
from fib.tunnel import Tunnel
from rib.change import Change
from rib.family import Family
from rib.next_hops import Reachability

_nlris_of: Final = itemgetter(2)  # of a Change

_log = logging.getLogger(__name__)


class Forwarding:
    """Connects a speaker with the kernel.

    Args:
        speaker: Whose routes they are.
        settings: Which parts of the kernel are used.
        origins: The sources that are not peers.
        needs_view: Other programs' routes will be learned.
    """

    def __init__(
        self,
        speaker: Speaker,
        settings: DaemonSettings,
        origins: Origins,
        *,
        needs_view: bool = False,
    ) -> None:
        self.fib: KernelFib | None = None
        self.view: KernelView | None = None
        self._speaker = speaker
        self._settings = settings
        self._origins = origins
        self.tunnel: Tunnel | None = None
        self._learning: Learning | None = None
        self._tunnel_addr = b""
        self._plan = LearnPlan(settings.routes.learn, settings.routes.direct)
        self._opening: asyncio.Task[None] | None = None
        self._is_started = False
        self._ways = Ways(self._ways_changed)
        self.places = FormerPlaces(settings.control_path, settings.fib)
        self._unswept = {*FAMILIES}
        self._clearing: asyncio.Task[None] | None = None
        self._pace = Pace()
        self._is_looking = False
        self._reconnect = Reconnect(speaker, settings.fib.protocol)
        self._feeds: dict[Family, FibFeed] = {}
        fib = settings.fib
        if fib.is_enabled:
            self.fib = KernelFib(
                table=fib.table,
                protocol=fib.protocol,
                next_hop_objects="auto" if fib.uses_nexthop_objects else "off",
            )
            self._feeds = {
                family: FibFeed(self.fib, family, fib, self._ways.states, origins)
                for family in FAMILIES
            }
        if not settings.trusts_next_hops or self._plan.is_wanted or needs_view:
            self.view = KernelView(protocol=fib.protocol)

    async def start(self) -> None:
        """Read the kernel's tables and begin to follow them.

        Raises:
            FibError: The kernel refused; the text says what to do.
        """
        speaker = self._speaker
        self._reconnect.start()
        speaker.context.addresses.start()
        await self.places.begin()
        if self.fib is not None:
            await self.fib.start()
            for family, feed in self._feeds.items():
                feed.hold()
                speaker.tables[family].listeners.append(feed.changed)
                speaker.tables[family].foreseers.append(feed.foresee)
                speaker.upkeep.helpers.append(feed.look_after)
        self._is_started = True
        if self.view is None:
            return
        await self.view.start()
        if not self._settings.trusts_next_hops:
            self._follow_next_hops(self.view)
        if self.fib is not None and self._settings.calico.keeps_tunnel:
            self.tunnel = Tunnel(self.view)
            self.tunnel.keep(self._tunnel_addr)
        self._learning = Learning(speaker, self.view, self._origins)
        self._learning.follow(self._plan)

    # -- after a restart of ours --------------------------------------------------------

    def found(self) -> frozenset[Family]:
        """Return the families of which an earlier run left routes in the kernel."""
        if self.fib is None:
            return frozenset()
        return frozenset(family for family in FAMILIES if self.fib.stale(family))

    def sweep(self, family: Family) -> None:
        """Let the kernel follow a family from now on, and remove what nobody wants."""
        if self.fib is not None:
            tables = self._speaker.tables[family]
            tables.flush_now()
            self._feeds[family].release(tables.loc_rib)
            self.fib.adoption_done(family)
        self._unswept.discard(family)
        if not self._unswept and self.places.left and self._clearing is None:
            self._clearing = asyncio.create_task(self._clear(), name="former places")

    async def _clear(self) -> None:
        """Remove what earlier configurations put elsewhere: its place is taken by now."""
        if self.fib is not None:
            await self.fib.wait_until_synced()
        await self.places.remove()

    # -- what is wanted -----------------------------------------------------------------

    def learn(self, plan: LearnPlan) -> None:
        """Learn other routes than so far."""
        self._plan = plan
        if self._learning is not None:
            self._learning.follow(plan)
        elif plan.is_wanted and self._is_started and self._opening is None:
            self._opening = asyncio.create_task(self._open_view(), name="kernel view")

    async def _open_view(self) -> None:
        """Begin to look at the kernel, which nothing asked for at the start."""
        view = KernelView(protocol=self._settings.fib.protocol)
        try:
            await view.start()
        except FibError as error:
            _log.error("cannot redistribute routes from the kernel: %s", error)
            self._opening = None  # the next change of the configuration tries again
            return
        self.view = view
        self._learning = Learning(self._speaker, view, self._origins)
        self._learning.follow(self._plan)

    def set_policies(self, policies: Mapping[Family, KernelPolicy]) -> None:
        """Follow other kernel policies; routes that they concern change in slices."""
        for family, feed in self._feeds.items():
            policy = policies.get(family, KernelPolicy())
            if policy == feed.policy:
                continue
            loc_rib = self._speaker.tables[family].loc_rib
            self._speaker.jobs.add(feed.set_policy(policy, loc_rib))
            self._ways.note_all()  # what it sends elsewhere may lead to next hops
            self._look_soon()

    def policies(self) -> Mapping[Family, KernelPolicy]:
        """Return the kernel policies in force; none without the kernel's table."""
        return {family: feed.policy for family, feed in self._feeds.items()}

    def reach_through(self, gateways: Mapping[bytes, bytes]) -> None:
        """Reach next hops through gateways that a static route of ours names.

        Args:
            gateways: Address of 4 or 16 octets -> gateway of the same family.
        """
        self._ways.reach_through(gateways)

    def links(self) -> list[Link]:
        """Return the machine's devices; none without a view of the kernel."""
        return [] if self.view is None else self.view.devices()

    def tunnel_fault(self) -> str:
        """Return why the IPIP tunnel's device is not as it must be; empty where it is."""
        return "" if self.tunnel is None else self.tunnel.fault

    def keep_tunnel(self, address: bytes) -> None:
        """Keep the IPIP tunnel's device up with ``address``; empty lets it be."""
        self._tunnel_addr = address
        if self.tunnel is not None:
            self.tunnel.keep(address)

    # -- next hops ----------------------------------------------------------------------

    def _follow_next_hops(self, view: KernelView) -> None:
        """Resolve next hops from now on, through routes of others and of ours."""
        speaker, settings = self._speaker, self._settings
        own = KernelRoutes(
            speaker,
            self._feeds,
            self._origins,
            settings.fib.metric,
            self._ways.gateway_of,
        )
        watch = self._ways.follow(
            view,
            own,
            uses_default=settings.resolves_by_default_route,
            more=self._look_soon,
        )
        own.interest = watch.interest
        resolver = Resolver(view, own, uses_default=settings.resolves_by_default_route)
        self._reconnect.follow(lambda address: bool(resolver.resolve(address).through))
        speaker.next_hops.resolve = self._resolve
        speaker.next_hops.release = self._ways.release
        for family, tables in speaker.tables.items():
            tables.listeners.append(partial(self._routes_changed, family.afi))

    def next_hop(self, address: bytes) -> NextHopState | None:
        """Return how a next hop is reached; ``None`` where nobody watches it."""
        return self._ways.states.get(address)

    def _routes_changed(self, afi: int, changes: Sequence[Change]) -> None:
        """Look again at next hops that changed routes of ours may lead to."""
        nlris = [*chain.from_iterable(map(_nlris_of, changes))]
        if self._ways.note(afi, nlris):
            self._look_soon()

    def _look_soon(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            pause = self._pace.pause(self._speaker.loop.time())
            if pause:
                self._speaker.loop.call_later(pause, self._look_again)
            else:
                self._look_again()

    def _look_again(self) -> None:
        self._speaker.jobs.add(self._looking())

    def _looking(self) -> Iterator[None]:
        try:
            yield from self._ways.look_again()
        finally:
            self._is_looking = False

    def _resolve(self, address: bytes) -> Reachability:
        """Begin to watch a next hop; return what is known of it now."""
        return _reachability(self._ways.resolve(address))

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

    # -- the end ------------------------------------------------------------------------

    async def close(self, *, flush: bool) -> None:
        """Stop.

        Args:
            flush: Remove our routes; otherwise they stay for a successor.
        """
        if self._clearing is not None:
            self._clearing.cancel()
            await asyncio.gather(self._clearing, return_exceptions=True)
        self._reconnect.close()
        self._ways.close()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._learning is not None:
            self._learning.close()
        if self.tunnel is not None:
            await self.tunnel.close()
        if self.view is not None:
            await self.view.close()
        if self.fib is not None:
            await self.fib.close(flush=flush)
        if flush:
            await self.places.remove()
            self.places.forget_here()


def _reachability(state: NextHopState) -> Reachability:
    """Return what the decision process must know; an address of ours is no way."""
    return Reachability(
        state.address,
        state.is_reachable and not state.is_local,
        state.metric,
        state.interface,
        state.is_local,
    )
