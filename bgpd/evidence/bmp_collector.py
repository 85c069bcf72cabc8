"""One BMP collector: its connection, and what waits for it.

Monitoring never slows routing: what a collector does not read waits up to a limit; then the
connection is cut, and begins again with everything. So does one that breaks.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from bgpd.config.evidence_settings import BmpCollectorSettings
from bgpd.evidence.bmp_messages import termination

QUEUE_OCTETS: Final = 1 << 24  # that wait for one collector
PIECE: Final = 1 << 16  # octets written in one go
CONNECT_TIME: Final = 10.0  # seconds
STALL_TIME: Final = 120.0  # seconds without room in the socket
FIRST_PAUSE: Final = 1.0  # seconds
LONGEST_PAUSE: Final = 60.0
STEADY: Final = 60.0  # seconds; a connection that lasted so long works
_TURN: Final = 0.004  # seconds of making messages before the loop gets its turn

_log = logging.getLogger(__name__)


class Collector:
    """Connects to a collector for ever, and sends it what there is.

    Args:
        settings: Where it is, and what it wants.
        everything: Returns all that holds now, in slices: what a connection begins with.

    Attributes:
        settings: See there.
        is_connected: It gets what happens.
        sent_octets: To it, over all connections.
        cuts: Connections that ended.
        fault: Why there is none, for people; empty while there is one.
    """

    def __init__(
        self,
        settings: BmpCollectorSettings,
        everything: Callable[[BmpCollectorSettings], Iterable[bytes | None]],
    ) -> None:
        self.settings = settings
        self.is_connected = False
        self.sent_octets = 0
        self.cuts = 0
        self.fault = ""
        self._everything = everything
        self._queue: deque[bytes] = deque()
        self._size = 0  # octets in the queue
        self._changed = asyncio.Event()
        self._is_too_slow = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def put(self, message: bytes) -> None:
        """Send a message after those that wait; a collector that has too many is cut off."""
        if not self.is_connected or self._is_too_slow:
            return
        self._size += len(message)
        if self._size > QUEUE_OCTETS:
            self._is_too_slow = True
            self._queue.clear()
            self._size = 0
        else:
            self._queue.append(message)
        self._changed.set()

    def close(self) -> None:
        """End the connection."""
        self._task.cancel()

    async def _run(self) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            began = loop.time()
            try:
                await self._serve()
            except (OSError, TimeoutError) as error:
                reason = getattr(error, "strerror", None) or str(error) or "no answer"
                self._note_fault(reason)
            if loop.time() - began >= STEADY:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _note_fault(self, reason: str) -> None:
        where = str(self.settings)
        text = f"BMP collector {where}: {reason}"
        if text != self.fault:
            _log.warning(
                "BMP collector %(collector)s: %(reason)s",
                {
                    "event": "bmp-collector-down",
                    "collector": where,
                    "reason": reason,
                },
            )
        self.fault = text

    async def _serve(self) -> None:
        """Connect, and send until something ends it.

        Raises:
            OSError: It cannot be reached, or its connection broke.
            TimeoutError: It does not answer.
        """
        where = (self.settings.address, self.settings.port)
        async with asyncio.timeout(CONNECT_TIME):
            reader, writer = await asyncio.open_connection(*where)
        watch = asyncio.ensure_future(self._watch(reader))
        try:
            _log.info(
                "BMP collector %(collector)s: connected",
                {
                    "event": "bmp-collector-up",
                    "collector": str(self.settings),
                },
            )
            # In one turn of the loop: what happens from now on comes after all that holds.
            self.is_connected, self._is_too_slow = True, False
            everything = self._everything(self.settings)
            self.fault = ""
            await self._send(everything, writer, watch)
        except asyncio.CancelledError:
            writer.write(termination())
            writer.close()
            raise
        finally:
            self.is_connected = False
            self.cuts += 1
            self._queue.clear()
            self._size = 0
            watch.cancel()
            if writer.transport.get_write_buffer_size() and not writer.is_closing():
                writer.transport.abort()
            writer.close()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        """Return when the collector closes; what it sends has no meaning (RFC 7854 3.3)."""
        try:
            while await reader.read(4096):
                pass
        finally:
            self._changed.set()

    async def _send(
        self,
        everything: Iterable[bytes | None],
        writer: asyncio.StreamWriter,
        watch: "asyncio.Future[None]",
    ) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + _TURN
        for piece in everything:
            if piece:
                await self._write(writer, piece)
                until = clock() + _TURN
            elif clock() >= until:
                await asyncio.sleep(0)
                until = clock() + _TURN
            self._check(watch)
        while True:
            self._check(watch)
            some: list[bytes] = []
            octets = 0
            while self._queue and octets < PIECE:
                some.append(self._queue.popleft())
                octets += len(some[-1])
            self._size -= octets
            if some:
                await self._write(writer, b"".join(some))
            else:
                self._changed.clear()
                await self._changed.wait()

    def _check(self, watch: "asyncio.Future[None]") -> None:
        if self._is_too_slow:
            raise OSError(f"it is too slow: more than {QUEUE_OCTETS:,} octets wait")
        if watch.done():
            watch.result()
            raise OSError("closed by the collector")

    async def _write(self, writer: asyncio.StreamWriter, octets: bytes) -> None:
        writer.write(octets)
        self.sent_octets += len(octets)
        async with asyncio.timeout(STALL_TIME):
            await writer.drain()
