"""An asyncio loop whose time is a number: it jumps to the next timer when nothing is ready."""

import asyncio
import random
import socket
from collections.abc import Callable
from typing import Any

from tests.support.simnet.hosts import SimNet
from tests.support.simnet.readiness import DescriptorTable, VirtualSelector

BEGIN = 1000.0  # seconds; 0 is "never" to some
_MOST_TURNS = 30_000  # of one instant


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs callbacks in their order and timers at their times, and waits for nothing.

    Streams and servers of asyncio work on it, over the simulated network. What needs a thread
    is done at once.

    Args:
        seed: Of the network's randomness.

    Attributes:
        now: The time, in seconds; a test that adds to it lets the process stand still.
        net: The network.
    """

    def __init__(self, seed: int = 1) -> None:
        self.now = BEGIN
        self._turn_count = 0  # at this instant
        self._idle_waiters: list[asyncio.Future[None]] = []
        table = DescriptorTable()
        self.net = SimNet(self, table, random.Random(seed))
        super().__init__(VirtualSelector(table, self._jump))

    def time(self) -> float:
        return self.now

    def _jump(self, seconds: float | None) -> None:
        """Nothing is ready: wake those that wait for that, or else go on to the next timer."""
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if waiters:
            return
        assert seconds is not None, (
            "everything waits for something, and no timer is set"
        )
        self._turn_count = 0
        due = self._scheduled[0].when()  # type: ignore[attr-defined]  # of the base class
        self.now = max(self.now, min(due, self.now + seconds))

    def _run_once(self) -> None:
        self._turn_count += 1
        if self._turn_count > _MOST_TURNS:
            self._turn_count = 0
            raise AssertionError("time does not pass: something is always ready")
        super()._run_once()  # type: ignore[misc]  # of the base class

    async def idle(self) -> None:
        """Return once nothing more can happen at this instant."""
        waiter = self.create_future()
        self._idle_waiters.append(waiter)
        await waiter

    # -- in place of sockets and threads --------------------------------------------------

    def run_in_executor(  # type: ignore[override]  # the result is at hand
        self,
        executor: Any,  # noqa: ARG002  # none is needed
        func: Callable[..., Any],
        *args: Any,
    ) -> "asyncio.Future[Any]":
        outcome = self.create_future()
        try:
            outcome.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # it is the caller's
            outcome.set_exception(error)
        return outcome

    async def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        host: str | None = None,
        port: int | None = None,
        *,
        local_addr: tuple[str, int] | None = None,
        sock: Any = None,
        **options: Any,
    ) -> Any:
        if sock is None:
            assert host is not None
            source = local_addr[0] if local_addr else host
            sock = self.net.host(source).socket(socket.AF_INET)
            try:
                sock.bind(local_addr or (source, 0))
                await self.sock_connect(sock, (host, port))
            except BaseException:
                sock.close()
                raise
        return await super().create_connection(protocol_factory, sock=sock, **options)

    async def create_server(  # type: ignore[override]  # what tests need of it
        self,
        protocol_factory: Callable[[], Any],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: Any = None,
        **options: Any,
    ) -> Any:
        if sock is None:
            assert host is not None
            sock = self.net.host(host).socket(socket.AF_INET)
            sock.bind((host, port or 0))
        return await super().create_server(protocol_factory, sock=sock, **options)

    def _make_self_pipe(self) -> None:
        """Make none: no other thread wakes the loop up."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """It never sleeps."""
