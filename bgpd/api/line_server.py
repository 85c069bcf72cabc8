"""Line servers on Unix sockets: many clients, none of which can block the daemon.

A client that does not read is waited for with a bounded buffer, and dropped after a while;
one that says nothing for long is dropped, too. What a client sends may be anything.
"""

import asyncio
import contextlib
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bgpd.api.slices import Slices
from bgpd.api.unix_socket import inode_of, listening_socket, remove

WRITE_BUFFER: Final = 1 << 18  # octets queued for one client before rows stop
_REMOVES_PATHS: Final = sys.version_info >= (3, 13)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a client.

    Attributes:
        request_len: Octets of a request's line.
        idle_time: Seconds without a whole request.
        stall_time: Seconds in which a client takes nothing of what waits for it.
        max_clients: At a time; others get an error and are disconnected.
    """

    request_len: int = 65536
    idle_time: float = 300.0
    stall_time: float = 30.0
    max_clients: int = 256


class UnixServer(ABC):
    """Serves lines on a unix socket.

    Args:
        path: Where the socket is made; its folder is made too.
        limits: Of each client.
    """

    title = "socket"  # in errors and the log
    hint = ""  # what to do if the path is unavailable

    def __init__(self, path: str, limits: Limits | None = None) -> None:
        self.path = path
        self.limits = limits or Limits()
        self._server: asyncio.AbstractServer | None = None
        self._inode = 0
        self._clients: set[asyncio.Task[None]] = set()
        self._slices = Slices()

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            SocketTakenError: Another daemon has it.
            UnixSocketError: The socket cannot be made.
        """
        sock = listening_socket(self.path, self.title, self.hint)
        self._inode = inode_of(self.path)
        self._server = await asyncio.start_unix_server(
            self._accepted,
            sock=sock,
            limit=self.limits.request_len,
            **_keeps_path(),
        )

    async def close(self) -> None:
        """Stop listening, drop all clients and remove the socket, if it is still ours."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        if self._inode and inode_of(self.path) == self._inode:
            remove(self.path)

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    @abstractmethod
    async def greet(self, client: "Client") -> None:
        """Return the greeting for a new client."""

    @abstractmethod
    async def serve(self, client: "Client", line: bytes) -> None:
        """Answer one line.

        Raises:
            GoneError: The client is.
        """

    @abstractmethod
    async def refuse(self, client: "Client", text: str) -> None:
        """Say why a client is dropped."""

    def forget(self, client: "Client") -> None:  # noqa: B027  # most remember nothing
        """Let go of what was remembered of a client."""

    async def _accepted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover  # streams call this inside a task
            return
        self._clients.add(task)
        client = Client(reader, writer, self.limits)
        try:
            if len(self._clients) > self.limits.max_clients:
                await self.refuse(client, "too many clients; try again")
                return
            await self.greet(client)
            async for line in client.lines():
                await self.serve(client, line)
        except TooLongError as error:
            with contextlib.suppress(GoneError):
                await self.refuse(client, str(error))
        except GoneError as gone:
            _log.info(
                "%(part)s: closed the connection of a client: %(reason)s",
                {"event": "client-dropped", "part": self.title, "reason": gone},
            )
        except asyncio.CancelledError:
            writer.transport.abort()  # the server closes: nothing is owed any more
        finally:
            self._clients.discard(task)
            self.forget(client)
            client.close()

    async def stream(
        self,
        client: "Client",
        rows: Iterable[_T | asyncio.Future[Any] | None],
        encode: Callable[[list[_T]], bytes],
    ) -> None:
        """Send rows as they are made: a slice, then other work, then the next.

        ``None`` among the rows is a yield point: nothing to say yet. A future is waited for; its
        outcome is for its producer.

        Raises:
            GoneError: The client is.
        """
        async for octets in self._slices.made(rows, encode):
            if octets:
                await client.send(octets)
            elif client.is_gone:
                return


def _keeps_path() -> dict[str, Any]:
    """Return what keeps asyncio from removing the socket's path at the end.

    That is done here, if the path is still ours; asyncio, from Python 3.13 on, goes through
    a link that stands in its place.
    """
    is_asyncio = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    return {"cleanup_socket": False} if is_asyncio and _REMOVES_PATHS else {}


class GoneError(Exception):
    """A client is gone or unresponsive; the text says which."""


class TooLongError(Exception):
    """A client's line is longer than a request may be."""


class Client:
    """One connection, with its limits.

    Attributes:
        is_over: No further line of it is read.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self.is_over = False
        writer.transport.set_write_buffer_limits(WRITE_BUFFER)

    @property
    def is_gone(self) -> bool:
        """Whether the client is gone."""
        return self._writer.is_closing()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield requests' lines until the client has sent its last.

        Raises:
            TooLongError: A line is too long.
            GoneError: No whole line came for too long, or the client is gone.
        """
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_time):
                    line = await self._reader.readuntil(b"\n")
            except TimeoutError as error:
                raise GoneError("idle for too long") from error
            except OSError as error:
                raise GoneError(str(error)) from error
            except asyncio.IncompleteReadError as error:
                if error.partial.strip():
                    yield error.partial
                return
            except asyncio.LimitOverrunError as error:
                raise TooLongError(
                    f"a request can have at most {self._limits.request_len} octets"
                ) from error
            if line.strip():
                yield line
            if self.is_over:
                return

    async def send(self, octets: bytes) -> None:
        """Write, and wait until the client has taken enough.

        Raises:
            GoneError: It takes nothing, or is gone.
        """
        self._writer.write(octets)
        left = self._writer.transport.get_write_buffer_size()
        while True:
            try:
                async with asyncio.timeout(self._limits.stall_time):
                    await self._writer.drain()
            except TimeoutError as error:
                before, left = left, self._writer.transport.get_write_buffer_size()
                if left >= before:
                    self._writer.transport.abort()
                    raise GoneError("it does not read the answer") from error
            except OSError as error:
                raise GoneError(str(error)) from error
            else:
                return

    def close(self) -> None:
        """Let go; what was written still leaves, if the client takes it soon."""
        self._writer.close()
        transport = self._writer.transport
        if transport.get_write_buffer_size():
            loop = asyncio.get_running_loop()
            loop.call_later(self._limits.stall_time, transport.abort)
