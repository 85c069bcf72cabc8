"""The kernel's part of the daemon: routes out, next hops and other programs' routes in.

Routes found at start are kept until every configured peer has told all its routes, or a
cap is over (mark and sweep): a daemon that was killed and comes back loses no packet.

A daemon without the kernel's table (``fib: off``) may still watch next hops; one that
trusts them does neither.
"""

import asyncio
from collections.abc import Iterable, Sequence

from bgpd.config.settings import DaemonSettings, LearnSettings
from bgpd.daemon.fib_feed import FibFeed
from bgpd.daemon.peer import Peer
from bgpd.daemon.speaker import FAMILIES, Speaker
from bgpd.session.fsm import State
from fib.kernel import KernelFib
from fib.kernel_view import KernelView
from fib.learned import LearnedChange, LearnedRoute, LearnedRoutes
from fib.next_hop_watch import NextHopState, NextHopWatch
from rib.attributes import ORIGIN_INCOMPLETE, make_attributes
from rib.family import ADDRESS_OCTETS, Family
from rib.next_hops import Reachability, trust
from rib.nlri import Nlri, make_nlri, network_octets
from rib.path import Source, SourceKind


class Forwarding:
    """Connects a speaker with the kernel.

    Args:
        speaker: Whose routes they are.
        settings: Which parts of the kernel are used.
        blackholes: Sources whose prefixes are blackholes here.
    """

    def __init__(
        self, speaker: Speaker, settings: DaemonSettings, blackholes: Iterable[Source]
    ) -> None:
        self.fib: KernelFib | None = None
        self.view: KernelView | None = None
        self.learned_source = Source("kernel", SourceKind.KERNEL)
        self._speaker = speaker
        self._settings = settings
        self._watch: NextHopWatch | None = None
        self._learned: LearnedRoutes | None = None
        self._ways: dict[bytes, NextHopState] = {}
        self._feeds: dict[Family, FibFeed] = {}
        self._inside: tuple[tuple[Family, Nlri], ...] = ()
        self._swept: set[Family] = set()
        self._timers: list[asyncio.TimerHandle] = []
        fib = settings.fib
        if fib.is_enabled:
            self.fib = KernelFib(
                table=fib.table,
                protocol=fib.protocol,
                next_hop_objects="auto" if fib.uses_nexthop_objects else "off",
            )
            self._feeds = {
                family: FibFeed(self.fib, family, fib, self._ways, blackholes)
                for family in FAMILIES
            }
        if not settings.trusts_next_hops or settings.routes.learn.is_enabled:
            self.view = KernelView(protocol=fib.protocol)

    async def start(self) -> None:
        """Read the kernel's tables and begin to follow them.

        Raises:
            FibError: The kernel refused; the text says what to do.
        """
        speaker, loop = self._speaker, self._speaker.loop
        if self.fib is not None:
            await self.fib.start()
            for family, feed in self._feeds.items():
                speaker.tables[family].listeners.append(feed.changed)
            speaker.end_of_rib_listeners.append(self._end_of_rib)
            cap = self._settings.restart.sweep_time
            self._timers.append(loop.call_later(cap, self._sweep_all))
        if self.view is None:
            return
        await self.view.start()
        if not self._settings.trusts_next_hops:
            self._watch = NextHopWatch(self.view, self._next_hops_changed)
            speaker.next_hops.resolve = self._resolve
            speaker.next_hops.release = self._release
        if self._settings.routes.learn.is_enabled:
            self.learn(self._settings.routes.learn)

    def preserved(self) -> Iterable[Family]:
        """Return the families whose forwarding survived our restart (RFC 4724 3).

        A speaker that forwards nothing itself never loses any.
        """
        if self.fib is None or self.fib.counts.adopted:
            return FAMILIES
        return ()

    # -- next hops ----------------------------------------------------------------------

    def _resolve(self, address: bytes) -> Reachability:
        """Begin to watch a next hop; return what is known of it now."""
        if self._watch is None:
            return trust(address)
        state = self._ways[address] = self._watch.watch(address)
        return _reachability(state)

    def _release(self, address: bytes) -> None:
        """Watch a next hop no longer."""
        self._ways.pop(address, None)
        if self._watch is not None:
            self._watch.unwatch(address)

    def _next_hops_changed(self, states: list[NextHopState]) -> None:
        moved = [state.address for state in states if self._is_moved(state)]
        self._ways.update((state.address, state) for state in states)
        for family, feed in self._feeds.items():
            feed.ways_changed(self._speaker.tables[family].loc_rib, moved)
        self._speaker.next_hops_changed(map(_reachability, states))

    def _is_moved(self, state: NextHopState) -> bool:
        before = self._ways.get(state.address)
        return before is not None and before.hops != state.hops and bool(state.hops)

    # -- routes of other programs -------------------------------------------------------

    def learn(self, learn: LearnSettings) -> None:
        """Learn other routes than so far; a daemon without a view of the kernel cannot."""
        if self._learned is not None:
            known = [(family, nlri, None) for family, nlri in self._learned.known]
            self._learned.close()
            self._learned = None
            self._learned_changed(known)
        if self.view is None or not learn.is_enabled:
            return
        self._inside = learn.prefixes
        self._learned = LearnedRoutes(
            self.view,
            self._learned_changed,
            protocols=learn.protocols or None,
            interfaces=learn.interfaces,
        )
        self._learned.start()

    def _learned_changed(self, changes: Sequence[LearnedChange]) -> None:
        """Let other programs' routes compete, without giving them back to the kernel."""
        wanted = self._inside
        gone: dict[Family, list[Nlri]] = {}
        come: dict[tuple[Family, LearnedRoute], list[Nlri]] = {}
        for family, nlri, route in changes:
            if route is None:
                gone.setdefault(family, []).append(nlri)
            elif not wanted or any(
                family == other and _is_inside(nlri, cover, family)
                for other, cover in wanted
            ):
                come.setdefault((family, route), []).append(nlri)
        for family, nlris in gone.items():
            self._speaker.withdraw(family, nlris, self.learned_source)
        for (family, route), nlris in come.items():
            attributes = make_attributes(
                next_hop=b"", origin=ORIGIN_INCOMPLETE, med=route.metric or None
            )
            self._speaker.originate(family, nlris, attributes, self.learned_source)

    # -- adoption -----------------------------------------------------------------------

    def _end_of_rib(self, _peer: Peer, family: Family) -> None:
        """Sweep what was found at start once all peers that can have told their routes."""
        if family in self._swept:
            return
        for peer in self._speaker.peers.values():
            offered = {mine.family for mine in peer.settings.families}
            if family not in offered:
                continue
            if peer.state is not State.ESTABLISHED:
                return  # it may come back; the cap ends the wait
            negotiated = peer.negotiated
            if (
                negotiated is not None
                and family in negotiated.families
                and family not in peer.ended_families
            ):
                return
        self._sweep(family)

    def _sweep_all(self) -> None:
        for family in FAMILIES:
            self._sweep(family)

    def _sweep(self, family: Family) -> None:
        if self.fib is not None and family not in self._swept:
            self._swept.add(family)
            self._speaker.tables[family].flush_now()
            self.fib.adoption_done(family)

    async def close(self, *, flush: bool) -> None:
        """Stop.

        Args:
            flush: Remove our routes; otherwise they stay for a successor.
        """
        for timer in self._timers:
            timer.cancel()
        if self._watch is not None:
            self._watch.close()
        if self._learned is not None:
            self._learned.close()
        if self.view is not None:
            await self.view.close()
        if self.fib is not None:
            await self.fib.close(flush=flush)


def _reachability(state: NextHopState) -> Reachability:
    """Return what the decision process must know; our own address is no way."""
    return Reachability(
        state.address, state.is_reachable and not state.is_local, state.metric
    )


def _is_inside(nlri: Nlri, cover: Nlri, family: Family) -> bool:
    """Return whether a prefix is ``cover`` or more specific."""
    if nlri[0] < cover[0]:
        return False
    octets = network_octets(nlri, family.afi)
    return make_nlri(octets[: ADDRESS_OCTETS[family.afi]], cover[0]) == cover
