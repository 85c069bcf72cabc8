"""Retries peers at once when the route to them may be back, before the back-off ends.

A cable that is plugged in again, an address that returns, a route that is learned: each
may be what hundreds of peers have waited for. They are tried a few at a time, and once more
a little later, since a neighbour is rarely answered in the very moment its link comes up.
Without the kernel's notifications, peers are tried by their timers alone.

Our own routes cause no notifications. Whether one of them leads to a waiting peer, as an
eBGP fabric's to a loopback, is checked every second, and only for waiting peers.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from bgpd.net.driver import PeerDriver
from bgpd.runtime.fault_isolation import each
from bgpd.session.fsm import State
from bgpd.session.zones import split_zone
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from fib.errors import FibError
from fib.next_hop_events import NextHopEvents, Opened
from rib.nlri import parse_address

TRIED_AT_ONCE: Final = 16  # peers; an attempt costs some 100 us
PACE: Final = 0.02  # seconds between these
ONCE_MORE: Final = 1.0  # seconds until the second attempt
LOOK: Final = 1.0  # seconds between checks for our own routes towards peers
MOST_LOOKED_FOR: Final = 256  # peers in one check, some 10 us each
_WAITING: Final = (State.IDLE, State.CONNECT, State.ACTIVE)

_log = logging.getLogger(__name__)


class EarlyReconnect:
    """Watches the routes to a speaker's peers.

    Args:
        speaker: Whose peers they are.
        protocol: Of our own kernel routes, which lead to no peer.
    """

    def __init__(self, speaker: Speaker, protocol: int) -> None:
        self._speaker = speaker
        self._events = NextHopEvents(self.opened, protocol)
        self._queue: dict[str, None] = {}  # addresses of peers, in the order of trying
        self._is_pacing = False
        self._is_closed = False
        self._leads_to: Callable[[bytes], bool] | None = None
        self._led_to: frozenset[str] = frozenset()
        self._look_timer: asyncio.TimerHandle | None = None

    def follow(self, leads_to: Callable[[bytes], bool]) -> None:
        """Check our own routes too.

        Args:
            leads_to: Says whether one of them leads to an address.
        """
        self._leads_to = leads_to
        self._look()

    def _look(self) -> None:
        """Try the peers that one of our routes leads to since the last check."""
        waiting = (
            address
            for address, peer in self._speaker.peers.items()
            if peer.state in _WAITING and _calls(peer) and "%" not in address
        )
        leads_to = self._leads_to
        led_to = frozenset(
            address
            for address in islice(waiting, MOST_LOOKED_FOR)
            if leads_to is not None and leads_to(parse_address(address))
        )
        self._try_twice([*led_to - self._led_to])
        self._led_to = led_to
        self._look_timer = self._speaker.loop.call_later(LOOK, self._look)

    def start(self) -> None:
        """Begin to watch; if the kernel refuses, only log it."""
        try:
            self._events.start()
        except (FibError, OSError) as error:
            _log.warning(
                "cannot watch the routes to peers; reconnecting by timer only: %(reason)s",
                {"event": "peer-routes-unwatched", "reason": error},
            )

    def close(self) -> None:
        """Stop watching and retrying."""
        self._is_closed = True
        self._queue.clear()
        if self._look_timer is not None:
            self._look_timer.cancel()
        self._events.close()

    def opened(self, opened: Opened) -> None:
        """Try peers whose route may be back, now and once more."""
        if opened.is_any or opened.links or opened.gone:
            self._speaker.listener.follow_links()
        if opened.is_any or opened.gone:
            self._drop_lost(opened)
        concerned = [
            address
            for address, peer in self._speaker.peers.items()
            if peer.state in _WAITING and _leads_to(opened, peer)
        ]
        self._try_twice(concerned)

    def _try_twice(self, addresses: Iterable[str]) -> None:
        concerned = [*addresses]
        if concerned:
            self._try(concerned)
            self._speaker.loop.call_later(ONCE_MORE, self._try, concerned)

    def _drop_lost(self, opened: Opened) -> None:
        """End sessions over links that are gone: no message gets through there."""
        lost = [
            peer.driver
            for address, peer in self._speaker.peers.items()
            if (zone := split_zone(address)[1])
            and (opened.is_any or zone in opened.gone)
        ]
        each(PeerDriver.devices_gone, lost, "session over a link that is gone")

    def _try(self, addresses: Iterable[str]) -> None:
        self._queue.update(dict.fromkeys(addresses))
        if not self._is_pacing:
            self._go_on()

    def _go_on(self) -> None:
        self._is_pacing = False
        each(self._try_one, [*self._queue][:TRIED_AT_ONCE], "attempt to reach a peer")
        if self._queue and not self._is_closed:
            self._is_pacing = True
            self._speaker.loop.call_later(PACE, self._go_on)

    def _try_one(self, address: str) -> None:
        del self._queue[address]
        peer = self._speaker.peers.get(address)
        if peer is not None and not self._is_closed:
            peer.driver.try_now()


def _calls(peer: Peer) -> bool:
    return not (peer.settings.is_passive or peer.range_name)


def _leads_to(opened: Opened, peer: Peer) -> bool:
    settings = peer.settings
    if not _calls(peer):
        return False
    address, _, zone = settings.remote_addr.partition("%")
    source = settings.local_addr.partition("%")[0]
    return opened.leads_to(
        parse_address(address),
        settings.interface or zone,
        parse_address(source) if source else b"",
    )
