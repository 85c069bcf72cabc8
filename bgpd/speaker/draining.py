"""Takes peers out of service without loss: their routes and ours are made the last choice first.

    drain        what they sent gets LOCAL_PREF 0; what they get carries GRACEFUL_SHUTDOWN, or
                 LOCAL_PREF 0 within the AS (RFC 8326). No session is touched.
    settled      all of that has left, and for ``SETTLE_TIME`` no prefix has found another way
                 any more: so traffic is where it will be.
    shut down    if that is wanted: Cease with the text (RFC 9003), once all is settled or
                 time is over.
    undrain      everything is as before; sessions that were shut down come up again.

A group whose members are all drained keeps its members and changes its context, so that what
changes is encoded once. Of another group those that are drained move, a few at a time. The
orders are in ``SpeakerContext.drains``, where sessions to come find them, and in a file.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, NamedTuple

from bgpd.pipeline.family_tables import FamilyTables
from bgpd.runtime.log_fields import Names
from bgpd.session.settings import peer_fields
from bgpd.speaker.drain_orders import MAX_ORDERS, DrainOrder, DrainOrigin
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from bgpd.wire.errors import CeaseSubcode
from reflector.group import UpdateGroup
from reflector.member_fsm import State
from rib.path import Source
from rib.path_set import Entry, best_of, eligible_of

SETTLE_TIME: Final = 5.0  # seconds in which nothing may change: others answer meanwhile
WATCH_TIME: Final = 300.0  # seconds for which a drain without a limit is watched
INTERVAL: Final = 1.0  # seconds between two looks at the tables
_MOVED_AT_ONCE: Final = 16  # members that catch up in their new group at a time
_SLICE: Final = 16384  # entries counted in one go
_ENTRIES: Final = 256  # distinct ones that are ranked in one go
_SHOWN: Final = 20  # names in a line of the log

_log = logging.getLogger(__name__)


class Use(NamedTuple):
    """What still uses the sessions of a drained peer.

    Attributes:
        best: Prefixes whose best path is the peer's.
        movable: Those of them that have a path of a peer that is not drained.
        is_sent: Everything that the drain changes has left, in either direction.
    """

    best: int
    movable: int
    is_sent: bool


class DrainState(NamedTuple):
    """How far a drained peer is.

    Attributes:
        peer: It.
        order: Who wants it drained, and since when.
        use: What was counted last; ``None`` before.
        time_left: Seconds for which changes are awaited yet; ``None`` if none are.
        shuts: The session is shut down then.
    """

    peer: Peer
    order: DrainOrder
    use: Use | None
    time_left: float | None
    shuts: bool

    @property
    def name(self) -> str:
        """``draining`` while changes are awaited, ``drained``, or ``shut down``."""
        if self.order.is_shut:
            return "shut down"
        return "drained" if self.time_left is None else "draining"


class _Watch:
    """A drain whose effect is awaited."""

    __slots__ = ("quiet_since", "shuts", "until", "use")

    def __init__(self, now: float, until: float, *, shuts: bool) -> None:
        self.quiet_since = now
        self.until = until
        self.shuts = shuts
        self.use: Use | None = None

    def note(self, use: Use, now: float) -> bool:
        """Take what was counted; return whether nothing changes any more."""
        has_changed = self.use is None or self.use.best != use.best
        self.use = use
        if has_changed or use.movable or not use.is_sent:
            self.quiet_since = now
        return now - self.quiet_since >= SETTLE_TIME


class Draining:
    """Drains and undrains the peers of a speaker.

    Args:
        speaker: Whose; its ``context.drains`` are changed here alone.
        changed: Called when what outlives the process has changed.
        wall: Seconds of the wall clock.
    """

    def __init__(
        self,
        speaker: Speaker,
        changed: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._speaker = speaker
        self._orders = speaker.context.drains
        self._changed = changed
        self._wall = wall
        self._watches: dict[str, _Watch] = {}
        self._uses: dict[str, Use] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_looking = False
        self._idle = asyncio.Event()

    # -- orders -------------------------------------------------------------------------

    def drain(
        self, peers: Sequence[Peer], text: str = "", *, wait: float = 0, shuts: bool
    ) -> None:
        """Drain single peers, or change how their drain ends.

        Args:
            peers: At most ``MAX_ORDERS`` in all.
            text: For their operators, at the end of the session.
            wait: Seconds after which the drain counts as done in any case; 0 for no end.
            shuts: The session is shut down then.

        Raises:
            ValueError: There are too many.
        """
        orders = self._orders
        if (
            len(orders.peers.keys() | {p.settings.remote_addr for p in peers})
            > MAX_ORDERS
        ):
            raise ValueError(f"at most {MAX_ORDERS} peers can be drained one by one")
        new = [peer for peer in peers if orders.of(peer.settings.remote_addr) is None]
        now = self._wall()
        for peer in peers:
            address = peer.settings.remote_addr
            known = orders.of(address) or DrainOrder(now)
            by = DrainOrigin.COMMAND
            orders.peers[address] = known._replace(text=text or known.text, by=by)
        self._begin(new, DrainOrigin.COMMAND, text)
        self._watch(peers, wait, shuts=shuts)

    def drain_all(
        self, by: DrainOrigin, text: str = "", *, wait: float = 0, shuts: bool = False
    ) -> None:
        """Drain all peers, those to come included; the arguments are those of ``drain``."""
        orders = self._orders
        peers = [*self._speaker.peers.values()]
        new = [peer for peer in peers if orders.of(peer.settings.remote_addr) is None]
        known = orders.whole.get(by) or DrainOrder(self._wall(), by)
        orders.whole[by] = known._replace(text=text or known.text)
        self._begin(new, by, text)
        self._watch(peers, wait, shuts=shuts)

    def undrain(self, peers: Sequence[Peer]) -> None:
        """End the drains of single peers; one of all that there is goes on for them."""
        found = [self._orders.peers.pop(p.settings.remote_addr, None) for p in peers]
        self._end(zip(peers, found, strict=True), by=DrainOrigin.COMMAND)

    def undrain_all(self, by: DrainOrigin) -> None:
        """End the drain of all peers; one by command ends those of single peers, too."""
        orders, peers = self._orders, self._speaker.peers
        orders.whole.pop(by, None)
        single: dict[str, DrainOrder] = {}
        if by is DrainOrigin.COMMAND:
            single = {**orders.peers}
            orders.peers.clear()
        self._end([(p, single.get(a)) for a, p in [*peers.items()]], by=by)

    def _begin(self, peers: Sequence[Peer], by: DrainOrigin, text: str) -> None:
        self._changed()
        if not peers:
            return
        _log_draining(peers, by, text)
        self._speaker.work_queue.begin(self._follow(peers, is_drained=True))

    def _end(
        self, found: Iterable[tuple[Peer, DrainOrder | None]], *, by: DrainOrigin
    ) -> None:
        self._changed()
        ended: list[Peer] = []
        for peer, order in found:
            address = peer.settings.remote_addr
            if order is not None and order.is_shut:
                peer.enable()
            if self._orders.of(address) is not None:
                continue
            self._watches.pop(address, None)
            self._uses.pop(address, None)
            ended.append(peer)
        if ended:
            _log_undrained(ended, by)
            self._speaker.work_queue.begin(self._follow(ended, is_drained=False))

    # -- what follows -------------------------------------------------------------------

    def _follow(self, peers: Sequence[Peer], *, is_drained: bool) -> Iterator[None]:
        """Make tables and sessions follow the orders; a job."""
        # What we tell first: others need longer than we do.
        for tables in self._speaker.tables.values():
            self._change_groups(tables, peers, is_drained=is_drained)
            yield
        moved: list[Peer] = []
        for peer in peers:
            if self._is_current(peer):
                peer.rejoin()  # nothing, where its group has changed as a whole
                moved.append(peer)
            yield
            # Each that moves holds a copy of the table until it has caught up.
            while len(moved) >= _MOVED_AT_ONCE:
                moved = [each for each in moved if self._is_catching_up(each)]
                yield
        for peer in peers:
            if self._is_current(peer):
                peer.imports.reimport(is_review=True)
                yield

    def _is_current(self, peer: Peer) -> bool:
        return self._speaker.peers.get(peer.settings.remote_addr) is peer

    def _change_groups(
        self, tables: FamilyTables, peers: Iterable[Peer], *, is_drained: bool
    ) -> None:
        """Change the context of groups all of whose members are drained, or undrained."""
        members: Counter[UpdateGroup] = Counter()
        for peer in peers:
            group = tables.group_of(peer.sources[tables.family])
            if group is not None and self._is_current(peer):
                members[group] += 1
        for group, count in members.items():
            context = group.export.context
            if count == len(group.members) and context.is_drained is not is_drained:
                tables.change_context(context, replace(context, is_drained=is_drained))

    def _is_catching_up(self, peer: Peer) -> bool:
        """Whether a peer takes what it is sent, and has not got all of it yet."""
        for family, tables in self._speaker.tables.items():
            member = tables.member(peer.sources[family])
            if member is not None and member.state is State.CATCHING_UP:
                return True
        return False

    # -- waiting for the effect ---------------------------------------------------------

    def _watch(self, peers: Iterable[Peer], wait: float, *, shuts: bool) -> None:
        self._idle.clear()
        now = self._speaker.loop.time()
        until = now + (wait or WATCH_TIME)
        for peer in peers:
            address = peer.settings.remote_addr
            if not self._orders.is_shut(address):
                self._watches[address] = _Watch(now, until, shuts=shuts)
        self._look_later()

    def _look_later(self) -> None:
        if self._timer is None and self._watches:
            self._timer = self._speaker.loop.call_later(INTERVAL, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._is_looking:
            self._is_looking = True
            self._speaker.work_queue.add(self._look_at_tables())

    def _look_at_tables(self) -> Iterator[None]:
        """Count what still uses drained sessions, and end what waits for it; a job."""
        try:
            best: Counter[str] = Counter()
            movable: Counter[str] = Counter()
            for tables in self._speaker.tables.values():
                yield from self._count(tables, best, movable)
            now = self._speaker.loop.time()
            for address, watch in [*self._watches.items()]:
                peer = self._speaker.peers.get(address)
                if peer is None:
                    del self._watches[address]
                    continue
                use = Use(best[address], movable[address], self._is_sent(peer))
                self._uses[address] = use
                is_settled = watch.note(use, now)
                if is_settled or now >= watch.until:
                    self._settle(peer, watch, is_settled=is_settled)
                yield
        finally:
            self._is_looking = False
            self._look_later()
            if not self._watches:
                self._idle.set()

    def _count(
        self, tables: FamilyTables, best: Counter[str], movable: Counter[str]
    ) -> Iterator[None]:
        drained = {
            peer.sources[tables.family]: address
            for address, peer in self._speaker.peers.items()
            if self._orders.of(address) is not None
        }
        entries: Counter[Entry] = Counter()
        rest = iter([*tables.loc_rib.table.values()])
        while piece := [*islice(rest, _SLICE)]:
            entries.update(piece)
            yield
        for number, (entry, count) in enumerate(entries.items(), 1):
            path = best_of(entry)
            address = None if path is None else drained.get(path.source)
            if address is not None:
                best[address] += count
                if any(_is_elsewhere(p.source, drained) for p in eligible_of(entry)):
                    movable[address] += count
            if number % _ENTRIES == 0:
                yield

    def _is_sent(self, peer: Peer) -> bool:
        """Whether all that a drain changes for a peer has been written to it."""
        for family, tables in self._speaker.tables.items():
            source = peer.sources[family]
            group, member = tables.group_of(source), tables.member(source)
            if tables.pending_count:
                return False
            if group is None or member is None:
                continue
            if not group.export.context.is_drained or member.is_slow:
                return False
            if group.pending_re_advertisement_count or member.has_pending:
                return False
        return True

    def _settle(self, peer: Peer, watch: _Watch, *, is_settled: bool) -> None:
        address = peer.settings.remote_addr
        del self._watches[address]
        use = self._uses[address]
        _log.log(
            logging.INFO if is_settled else logging.WARNING,
            "%(peer)s (%(address)s): drained: %(best)d prefixes have no other way"
            if is_settled
            else "%(peer)s (%(address)s): not drained in time: %(best)d prefixes still use it",
            {
                "event": "drain-settled" if is_settled else "drain-incomplete",
                **peer_fields(peer.settings),
                "best": use.best,
                "movable": use.movable,
            },
        )
        if watch.shuts:
            self._shut(peer)

    def _shut(self, peer: Peer) -> None:
        address = peer.settings.remote_addr
        order = self._orders.of(address)
        if order is None:
            return
        self._orders.peers[address] = order._replace(is_shut=True)
        self._changed()
        peer.is_held = True
        peer.driver.stop(
            subcode=CeaseSubcode.ADMINISTRATIVE_SHUTDOWN, text=order.text, hard=True
        )

    # -- what can be seen ---------------------------------------------------------------

    @property
    def is_watching(self) -> bool:
        """Whether the effect of some drain is awaited."""
        return bool(self._watches)

    def states(self) -> Iterator[DrainState]:
        """Yield how far each drained peer is."""
        now = self._speaker.loop.time()
        for address, peer in [*self._speaker.peers.items()]:
            order, watch = self._orders.of(address), self._watches.get(address)
            if order is not None:
                left = None if watch is None else max(0.0, watch.until - now)
                shuts = watch is not None and watch.shuts
                yield DrainState(peer, order, self._uses.get(address), left, shuts)

    async def settled(self) -> None:
        """Return once no effect is awaited any more."""
        if self._watches:
            await self._idle.wait()

    def close(self) -> None:
        """Wait for nothing any more."""
        self._watches.clear()
        self._idle.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _log_draining(peers: Sequence[Peer], by: DrainOrigin, text: str) -> None:
    if len(peers) > _SHOWN:
        _log.info(
            "draining %(count)d peers (%(by)s): %(addresses)s",
            {
                "event": "peers-draining",
                "count": len(peers),
                "by": by.value,
                "addresses": _addresses(peers),
                "text": text,
            },
        )
        return
    for peer in peers:
        _log.info(
            "%(peer)s (%(address)s): draining (%(by)s)",
            {
                "event": "peer-draining",
                **peer_fields(peer.settings),
                "by": by.value,
                "text": text,
            },
        )


def _log_undrained(peers: Sequence[Peer], by: DrainOrigin) -> None:
    if len(peers) > _SHOWN:
        _log.info(
            "%(count)d peers are in service again (%(by)s): %(addresses)s",
            {
                "event": "peers-undrained",
                "count": len(peers),
                "by": by.value,
                "addresses": _addresses(peers),
            },
        )
        return
    for peer in peers:
        _log.info(
            "%(peer)s (%(address)s): in service again (%(by)s)",
            {
                "event": "peer-undrained",
                **peer_fields(peer.settings),
                "by": by.value,
            },
        )


def _addresses(peers: Sequence[Peer]) -> Names:
    shown = tuple(each.settings.remote_addr for each in peers[:_SHOWN])
    return Names(shown, more=len(peers) - len(shown))


def _is_elsewhere(source: Source, drained: dict[Source, str]) -> bool:
    return source not in drained
