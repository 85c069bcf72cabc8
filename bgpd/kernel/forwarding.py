"""The kernel's part of the daemon: routes out, next hops and other programs' routes in.

A daemon without the kernel's table (``fib: off``) may still watch next hops; one that
trusts them does neither. What an earlier run left in the table is ``bgpd.kernel.adoption``'s;
how next hops are reached is ``bgpd.kernel.next_hop_updates``'.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bgpd.config.settings import DaemonSettings
from bgpd.kernel.access import KernelAccess
from bgpd.kernel.adoption import Adoption
from bgpd.kernel.former_places import FormerPlaces
from bgpd.kernel.redistribution_plan import RedistributionPlan
from bgpd.pipeline.local_sources import LocalSources
from bgpd.speaker.early_reconnect import EarlyReconnect
from bgpd.speaker.speaker import FAMILIES, Speaker
from fib.errors import FibError
from fib.kernel_policy import KernelPolicy
from fib.next_hop_state import NextHopState
from fib.routes import Fib
from rib.family import Family

if TYPE_CHECKING:  # each is loaded where it is used: most reflectors use none
    from bgpd.kernel.next_hop_updates import NextHopUpdates
    from bgpd.kernel.redistribution import Redistribution
    from bgpd.kernel.route_programmer import RouteProgrammer
    from fib.kernel_view import KernelView, Link
    from fib.tunnel import Tunnel

_log = logging.getLogger(__name__)


class Forwarding:
    """Connects a speaker with the kernel.

    Args:
        speaker: Whose routes they are.
        settings: Which parts of the kernel are used.
        origins: The sources that are not peers.
        kernel: Opened; closed with this.

    Attributes:
        adoption: What an earlier run left in the kernel.
    """

    def __init__(
        self,
        speaker: Speaker,
        settings: DaemonSettings,
        origins: LocalSources,
        kernel: KernelAccess,
    ) -> None:
        self._speaker = speaker
        self._settings = settings
        self._origins = origins
        self._kernel = kernel
        self._feeds = self._make_feeds()
        self._next_hops: NextHopUpdates | None = None
        self.adoption = Adoption(speaker, kernel, self._feeds)
        self._reconnect = EarlyReconnect(speaker, settings.fib.protocol)
        self._tunnel = self._make_tunnel()
        self._plan = RedistributionPlan(settings.routes.learn, settings.routes.direct)
        self._redistribution: Redistribution | None = None
        self._opening: asyncio.Task[None] | None = None

    def _make_feeds(self) -> "Mapping[Family, RouteProgrammer]":
        kernel = self._kernel
        if kernel.fib is None:
            return {}
        from bgpd.kernel.route_programmer import RouteProgrammer  # noqa: PLC0415

        return {
            family: RouteProgrammer(
                kernel.fib,
                family,
                self._settings.fib,
                kernel.ways.states,
                self._origins,
            )
            for family in FAMILIES
        }

    def _make_tunnel(self) -> "Tunnel | None":
        view = self._kernel.view
        if not (self._feeds and self._settings.calico.keeps_tunnel) or view is None:
            return None
        from fib.tunnel import Tunnel  # noqa: PLC0415

        return Tunnel(view)

    @property
    def fib(self) -> Fib | None:
        """Our table; ``None`` where routes do not go into the kernel."""
        return self._kernel.fib

    @property
    def view(self) -> "KernelView | None":
        """Links and other programs' routes; ``None`` while no part needs them."""
        return self._kernel.view

    @property
    def places(self) -> FormerPlaces:
        """Where runs of this daemon have put routes."""
        return self._kernel.places

    def start(self) -> None:
        """Make the kernel and the speaker follow each other from now on."""
        speaker = self._speaker
        self._reconnect.start()
        speaker.context.addresses.start()
        for family, feed in self._feeds.items():
            feed.hold()
            speaker.context.consumers[family].attach_forwarding(feed)
            speaker.housekeeping.helpers.append(feed.look_after)
        view = self._kernel.view
        if view is None:
            return
        if not self._settings.trusts_next_hops:
            self._track_next_hops(view)
        self._learn_from(view)

    def _track_next_hops(self, view: "KernelView") -> None:
        from bgpd.kernel.next_hop_updates import NextHopUpdates  # noqa: PLC0415

        self._next_hops = NextHopUpdates(self._speaker, self._feeds, self._kernel.ways)
        self._next_hops.follow(view, self._settings, self._origins, self._reconnect)

    # -- what is wanted -----------------------------------------------------------------

    def learn(self, plan: RedistributionPlan) -> None:
        """Change which kernel routes to redistribute."""
        self._plan = plan
        if self._redistribution is not None:
            self._redistribution.follow(plan)
        elif plan.is_wanted and self._kernel.view is None and self._opening is None:
            self._opening = asyncio.create_task(self._open_view(), name="kernel view")

    async def _open_view(self) -> None:
        """Open the kernel, which the start did not need."""
        from fib.kernel_follower import KernelFollower  # noqa: PLC0415

        try:
            follower = await KernelFollower.start(protocol=self._settings.fib.protocol)
        except FibError as error:
            _log.error(
                "cannot redistribute routes from the kernel: %(reason)s",
                {"event": "redistribution-failed", "reason": error},
            )
            self._opening = None  # the next change of the configuration tries again
            return
        self._kernel.follower = follower
        self._learn_from(follower.view)

    def _learn_from(self, view: "KernelView") -> None:
        from bgpd.kernel.redistribution import Redistribution  # noqa: PLC0415

        self._redistribution = Redistribution(self._speaker, view, self._origins)
        self._redistribution.follow(self._plan)

    def set_policies(self, policies: Mapping[Family, KernelPolicy]) -> None:
        """Change the kernel policies; affected routes change in slices."""
        for family, feed in self._feeds.items():
            policy = policies.get(family, KernelPolicy())
            if policy == feed.policy:
                continue
            loc_rib = self._speaker.tables[family].loc_rib
            self._speaker.work_queue.add(feed.set_policy(policy, loc_rib))
            # What it sends elsewhere may lead to next hops.
            self._kernel.ways.note_all()
            if self._next_hops is not None:
                self._next_hops.look_soon()

    def copied_feed(
        self, family: Family, policy: KernelPolicy | None = None
    ) -> "RouteProgrammer | None":
        """Return what tells where routes of a family lead, apart from the one in use.

        Args:
            family: Of the routes.
            policy: The kernel policy; ``None`` for the one in force.
        """
        feed, fib = self._feeds.get(family), self._kernel.fib
        if feed is None or fib is None:
            return None
        copy = type(feed)(
            fib, family, self._settings.fib, self._kernel.ways.states, self._origins
        )
        # Without its steps, nothing is submitted.
        copy.set_policy(policy or feed.policy, self._speaker.tables[family].loc_rib)
        return copy

    def policies(self) -> Mapping[Family, KernelPolicy]:
        """Return the kernel policies in force; none without the kernel's table."""
        return {family: feed.policy for family, feed in self._feeds.items()}

    def reach_through(self, gateways: Mapping[bytes, bytes]) -> None:
        """Resolve next hops through gateways that one of our static routes names.

        Args:
            gateways: Address of 4 or 16 octets -> gateway of the same family.
        """
        self._kernel.ways.reach_through(gateways)

    def keep_tunnel(self, address: bytes) -> None:
        """Keep the IPIP tunnel's device up with ``address``; leave it alone if empty."""
        if self._tunnel is not None:
            self._tunnel.keep(address)

    # -- what can be seen ---------------------------------------------------------------

    def links(self) -> "list[Link]":
        """Return the machine's devices; none without a view of the kernel."""
        view = self._kernel.view
        return [] if view is None else view.devices()

    def tunnel_fault(self) -> str:
        """Return what is wrong with the IPIP tunnel's device; empty if nothing."""
        return "" if self._tunnel is None else self._tunnel.fault

    def next_hop(self, address: bytes) -> NextHopState | None:
        """Return how a next hop is reached; ``None`` if it is not tracked."""
        return self._kernel.ways.states.get(address)

    async def close(self, *, flush: bool) -> None:
        """Stop.

        Args:
            flush: Remove our routes; otherwise they stay for a successor.
        """
        await self.adoption.close()
        self._reconnect.close()
        if self._next_hops is not None:
            self._next_hops.close()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._redistribution is not None:
            self._redistribution.close()
        if self._tunnel is not None:
            await self._tunnel.close()
        await self._kernel.close(flush=flush)
