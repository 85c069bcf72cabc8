"""Two sessions joined in memory: connections, octets and time are plain values."""

import itertools
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, TypeVar

from bgpd.session.events import (
    CancelConnect,
    CloseConnection,
    Connect,
    Send,
    SessionEvent,
)
from bgpd.session.fsm import State
from bgpd.session.negotiation import RestartState
from bgpd.session.peer import PeerSession
from bgpd.session.settings import PeerSettings

EventT = TypeVar("EventT")


def settings(**changes: object) -> PeerSettings:
    fields: dict[str, Any] = {
        "name": "peer",
        "remote_addr": "192.0.2.2",
        "remote_as": 65001,
        "local_as": 65001,
    }
    return PeerSettings(**(fields | changes))


def session(
    router_id: int = 1,
    *,
    seed: int = 1,
    is_dynamic: bool = False,
    sought_until: float = 0.0,
    restart: RestartState | None = None,
    hostname: str = "",
    **changes: object,
) -> PeerSession:
    return PeerSession(
        settings(**changes),
        router_id,
        rng=Random(seed),
        is_dynamic=is_dynamic,
        sought_until=sought_until,
        restart=restart,
        hostname=hostname,
    )


class Pair:
    """Sessions ``a`` and ``b`` on one wire, with a clock that jumps.

    Attributes:
        now: Monotonic seconds.
        told: Per side, the events that are not about sockets, in order.
        is_cut: Octets and connection attempts vanish while it is set.
        chunk: Octets per delivery; ``None`` delivers each write whole.
    """

    def __init__(self, a: PeerSession, b: PeerSession) -> None:
        self.now = 1000.0
        self.sides = (a, b)
        self.told: tuple[list[SessionEvent], list[SessionEvent]] = ([], [])
        self.sent: tuple[list[bytes], list[bytes]] = ([], [])
        self.is_cut = False
        self.chunk: int | None = None
        self._ids = itertools.count(1)
        self._far: dict[
            int, tuple[int, int]
        ] = {}  # conn_id -> (other side, its conn_id)
        # What happens next, each with the stream (of the receiving connection, or of
        # a side's attempts) whose order it must keep.
        self._inputs: list[tuple[object, Callable[[], None]]] = []

    @property
    def a(self) -> PeerSession:
        return self.sides[0]

    @property
    def b(self) -> PeerSession:
        return self.sides[1]

    @property
    def states(self) -> tuple[State, State]:
        return self.a.state, self.b.state

    def start(self) -> None:
        for side in self.sides:
            side.start(self.now)
        self.settle()

    def settle(self) -> None:
        """Exchange until nothing is left to say at this moment."""
        for _ in range(10_000):
            self._drain()
            if not self._inputs:
                return
            _, put = self._inputs.pop(0)
            put()
        raise AssertionError("the two never fall silent")

    def run(self, seconds: float) -> None:
        """Let time pass, deadline by deadline."""
        end = self.now + seconds
        for _ in range(100_000):
            deadlines = [
                d for side in self.sides if (d := side.next_deadline()) is not None
            ]
            at = min(deadlines, default=end)
            if at > end:
                self.now = end
                return
            self.now = max(self.now, at)
            for side in self.sides:
                due = side.next_deadline()
                if due is not None and due <= self.now:
                    side.handle_timer(self.now)
            self.settle()
            if self.now >= end:
                return
        raise AssertionError("time does not pass")

    def lose(self, side: int) -> None:
        """End the TCP connection of the established session of ``side``."""
        conn_id = self.sides[side].conn_id
        assert conn_id is not None
        far, far_id = self._far.pop(conn_id)
        self._far.pop(far_id)
        self.sides[side].connection_lost(conn_id, "reset", self.now)
        self.sides[far].connection_lost(far_id, "reset", self.now)
        self.settle()

    def write(self, side: int, octets: bytes) -> None:
        """Send as the driver does: straight to the established connection."""
        conn_id = self.sides[side].conn_id
        assert conn_id is not None
        self._send(conn_id, octets)
        self.settle()

    def events_of(self, side: int, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.told[side] if isinstance(event, kind)]

    def _drain(self) -> None:
        for index, side in enumerate(self.sides):
            for event in side.events():
                match event:
                    case Connect():
                        attempt = partial(self._connect, index)
                        self._inputs.append((("attempt", index), attempt))
                    case Send(conn_id, octets):
                        self.sent[index].append(octets)
                        self._send(conn_id, octets)
                    case CloseConnection(conn_id):
                        _, stream = self._far.get(conn_id, (index, None))
                        self._inputs.append((stream, partial(self._close, conn_id)))
                    case CancelConnect():
                        pass
                    case _:
                        self.told[index].append(event)

    def _connect(self, index: int) -> None:
        if self.is_cut:
            self.sides[index].connect_failed("no route to host", self.now)
            return
        near, far = next(self._ids), next(self._ids)
        self._far[near], self._far[far] = (1 - index, far), (index, near)
        self.sides[index].connection_made(near, "a", "b", self.now, is_outgoing=True)
        self.sides[1 - index].connection_made(
            far, "b", "a", self.now, is_outgoing=False
        )

    def _send(self, conn_id: int, octets: bytes) -> None:
        if self.is_cut or conn_id not in self._far:
            return
        far, far_id = self._far[conn_id]
        size = self.chunk or len(octets)
        for at in range(0, len(octets), size):
            piece = octets[at : at + size]
            self._inputs.append((far_id, partial(self._deliver, far, far_id, piece)))

    def _deliver(self, index: int, conn_id: int, piece: bytes) -> None:
        self.sides[index].receive_data(conn_id, piece, self.now)

    def _close(self, conn_id: int) -> None:
        if conn_id in self._far:
            far, far_id = self._far.pop(conn_id)
            self._far.pop(far_id)
            if not self.is_cut:
                self.sides[far].connection_lost(far_id, "closed", self.now)
