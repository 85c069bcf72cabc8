"""A relay of TCP connections between two programs, which can be held up or turned elsewhere."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self


class Relay:
    """Passes octets on, both ways.

    Args:
        port: Of the server on loopback.

    Attributes:
        port: Where clients connect.
        server_port: Of the server; new connections go there.
    """

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.port = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Let nothing through, and end nothing: each side waits for the other."""
        self._flows.clear()

    def release(self) -> None:
        """Let everything through."""
        self._flows.set()

    def cut(self) -> None:
        """Break all connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._flows.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.server_port)
            self._writers |= {writer, back}
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while octets := await reader.read(65536):
                await self._flows.wait()
                writer.write(octets)
                await writer.drain()
        writer.transport.abort()
        self._writers.discard(writer)
