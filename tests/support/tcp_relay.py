"""Stands between a browser and a daemon, and does what networks do: cuts, and keeps waiting."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 1 << 16  # octets


class Relay:
    """Passes TCP connections on, from ``with`` to its end.

    Args:
        port: Of the daemon, on 127.0.0.1.

    Attributes:
        url: Where the browser finds the daemon.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._is_refusing = False
        self._rewriting = (b"", b"")
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    async def _start(self) -> None:
        self._flows.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the next turns of the loop

    def cut(self) -> None:
        """Break all connections, and new ones until ``mend``."""
        self._do(self._cut())

    async def _cut(self) -> None:
        self._is_refusing = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through, and all that waits."""
        self._do(self._mend())

    async def _mend(self) -> None:
        self._is_refusing = False
        self._flows.set()

    def stall(self) -> None:
        """Keep all answers back until ``mend``."""
        self._do(self._stall())

    async def _stall(self) -> None:
        self._flows.clear()

    def rewrite(self, old: bytes, new: bytes) -> None:
        """Change what the browser says from now on: a line of its headers, as a proxy would."""
        self._rewriting = old, new

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._is_refusing:
            writer.transport.abort()
            return
        from_daemon, to_daemon = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, to_daemon}
        for task in (
            asyncio.create_task(self._pass(reader, to_daemon, is_answer=False)),
            asyncio.create_task(self._pass(from_daemon, writer, is_answer=True)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_answer: bool,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while octets := await reader.read(_CHUNK):
                if is_answer:
                    await self._flows.wait()
                elif self._rewriting[0]:
                    octets = octets.replace(*self._rewriting)
                writer.write(octets)
                await writer.drain()
        self._writers.discard(writer)
        writer.transport.abort()
