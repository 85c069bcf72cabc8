"""Which sockets are ready, in turns of a few milliseconds.

A loop looks at its timers between turns only, and sees to all sockets that are ready before
it does: there may be thousands. So BGP's sockets are not watched by the loop itself. They
are in a separate epoll, which is one descriptor to the loop, and from which it takes a few
at a time until the turn is over. The others stay ready, and are the first of the next
turn: no octets are kept for later here, and TCP slows down who sends too much.
"""

import asyncio
from collections.abc import Callable, Iterator
from select import EPOLLIN
from time import monotonic
from typing import Final, Protocol

from bgpd.net.network import KERNEL, Network
from bgpd.net.pulse import Pulse, Stall

TAKE_TIME = 0.005  # seconds of one turn; not Final: tests change it
_MOST: Final = 64  # sockets asked for at a time


class Pollable(Protocol):
    """Who has a socket."""

    def ready(self, events: int) -> None:
        """The socket is ready, as epoll(7) says it."""

    def give_up(self) -> None:
        """``ready`` failed with an internal error."""


class ConnectionWatch(Protocol):
    """Hears of connections: captures (``bgpd.speaker.captures``)."""

    def connected(self, connection: Pollable, *, is_outgoing: bool) -> None:
        """A peer has another connection, on which nothing has been sent."""


class Poller:
    """The sockets of one speaker.

    Args:
        loop: Whose turns are kept short.
        resumed: Called after a standstill of the process (``bgpd.net.pulse``).
        network: Whose sockets they are.

    Attributes:
        loop: The same.
        network: The same.
        pulse: To be checked before a timer expires.
        connection_watch: Hears of new connections; ``None`` while there is no capture.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resumed: Callable[[Stall], object] = lambda _: None,
        network: Network = KERNEL,
    ) -> None:
        self.loop = loop
        self.network = network
        self.pulse = Pulse(loop, resumed)
        self.connection_watch: ConnectionWatch | None = None
        self._epoll = network.readiness()
        self._pollables: dict[int, Pollable] = {}
        # The kernel would name the same ones first again: who was left out goes first.
        self._ready: Iterator[tuple[int, int]] = iter(())
        self._ran_out = False  # of time, in the last turn
        self._is_closing = False
        loop.add_reader(self._epoll.fileno(), self._turn)

    def add(self, descriptor: int, pollable: Pollable) -> None:
        """Watch a socket for incoming data, until ``remove``."""
        self._epoll.register(descriptor, EPOLLIN)  # may fail: then it is not ours
        self._pollables[descriptor] = pollable

    def pollables(self) -> tuple[Pollable, ...]:
        """Return who has a socket."""
        return tuple(self._pollables.values())

    def watch(self, descriptor: int, events: int) -> None:
        """Change the watched events: ``EPOLLIN``, ``EPOLLOUT``, both or 0."""
        self._epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Stop watching a socket; to be called before it is closed."""
        del self._pollables[descriptor]
        self._epoll.unregister(descriptor)
        self._end_if_unused()

    def has_more(self) -> bool:
        """Return whether the last turn ran out of time with data left."""
        return self._ran_out and not self._epoll.closed and bool(self._epoll.poll(0, 1))

    # hot: per turn
    def _turn(self) -> None:
        self.pulse.look()
        until = monotonic() + TAKE_TIME
        find = self._pollables.get
        self._ran_out = False
        while True:
            for descriptor, events in self._ready:
                pollable = find(descriptor)  # unless one before it has closed it
                if pollable is not None:
                    try:
                        pollable.ready(events)
                    except MemoryError:  # of all: to go on would lose one after another
                        raise
                    except Exception as error:  # noqa: BLE001  # of one, not of all
                        self._report(pollable, error)
                if monotonic() >= until:
                    self._ran_out = True
                    return
            ready = [] if self._epoll.closed else self._epoll.poll(0, _MOST)
            if not ready:
                return
            self._ready = iter(ready)

    def _report(self, pollable: Pollable, error: Exception) -> None:
        message = "closing a connection after an internal error"
        self.loop.call_exception_handler({"message": message, "exception": error})
        try:
            pollable.give_up()
        except MemoryError:
            raise
        except Exception as other:  # noqa: BLE001  # of one, not of all
            message = "closing a connection failed"
            self.loop.call_exception_handler({"message": message, "exception": other})

    def close(self) -> None:
        """Let go of the loop, once no socket is left."""
        self._is_closing = True
        self.pulse.close()
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._is_closing and not self._pollables and not self._epoll.closed:
            self.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
