"""Line servers on Unix sockets: many clients, none of which can block the daemon.

A client that does not read is waited for with a bounded buffer, and dropped after a while;
one that says nothing for long is dropped, too. What a client sends may be anything.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, Final, TypeVar

from bgpd.texts.state_files import folder_fault, make_folder

SLICE_TIME: Final = 0.004  # seconds of making rows before the loop gets its turn
SLICE_ROWS: Final = 256  # bounds a piece, so that a client need not hold much either
WRITE_BUFFER: Final = 1 << 18  # octets queued for one client before rows stop
SOCKET_MODE: Final = 0o660
_BACKLOG: Final = 128
_REMOVES_PATHS: Final = sys.version_info >= (3, 13)
_MAX_PATH: Final = 107  # octets, sun_path of unix(7) without its NUL
_CREDENTIALS: Final = Struct("iII")  # pid, uid, gid: SO_PEERCRED of unix(7)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class UnixSocketError(Exception):
    """A socket cannot be opened; the text says why and what to do."""


class SocketTakenError(UnixSocketError):
    """Another daemon listens at the path."""


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
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            SocketTakenError: Another daemon has it.
            UnixSocketError: The socket cannot be made.
        """
        sock = listening_socket(self.path, self.title, self.hint)
        self._inode = _inode_of(self.path)
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
        if self._inode and _inode_of(self.path) == self._inode:
            _unlink(self.path)

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
        source = iter(rows)
        is_over = False
        while not is_over:
            async with self._turn:
                made, is_over, future = _slice(source)
                octets = encode(made) if made else b""
                await asyncio.sleep(0)
            if octets:
                await client.send(octets)
            elif client.is_gone:
                return
            if future is not None:
                await asyncio.wait((future,))


def _slice(
    rows: Iterator[_T | asyncio.Future[Any] | None],
) -> tuple[list[_T], bool, asyncio.Future[Any] | None]:
    """Produce rows for a few milliseconds.

    Returns:
        The rows, whether that was all, and what must be waited for before the next.
    """
    now = asyncio.get_running_loop().time
    until = now() + SLICE_TIME
    made: list[_T] = []
    for row in rows:
        if isinstance(row, asyncio.Future):
            return made, False, row
        if row is not None:
            made.append(row)
        if len(made) >= SLICE_ROWS or now() >= until:
            return made, False, None
    return made, True, None


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

    def who(self) -> str:
        """Return the process at the other end, for the log."""
        sock = self._writer.get_extra_info("socket")
        octets = sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
        pid, uid, _ = _CREDENTIALS.unpack(octets)
        return f"uid {uid}, pid {pid}"

    def close(self) -> None:
        """Let go; what was written still leaves, if the client takes it soon."""
        self._writer.close()
        transport = self._writer.transport
        if transport.get_write_buffer_size():
            loop = asyncio.get_running_loop()
            loop.call_later(self._limits.stall_time, transport.abort)


def _inode_of(path: str) -> int:
    """Return the inode of a socket; 0 if it does not exist."""
    try:
        found = Path(path).lstat()
    except OSError:
        return 0
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else 0


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        Path(path).unlink()


def listening_socket(path: str, title: str, hint: str) -> socket.socket:
    """Return a unix socket that listens at ``path``; a stale one is replaced.

    Args:
        path: Where.
        title: What it is, in errors.
        hint: What to do about one, with its punctuation.

    Raises:
        UnixSocketError: It cannot be made, or another daemon listens there.
    """
    if len(os.fsencode(path)) > _MAX_PATH:
        raise UnixSocketError(
            f"{title} {path}: the path is too long for a socket ({_MAX_PATH} octets at most)"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        make_folder(Path(path).parent)
        if fault := folder_fault(path):
            _log.warning(
                "%(part)s %(file)s: %(reason)s; others could replace the socket",
                {
                    "event": "socket-insecure",
                    "part": title,
                    "file": path,
                    "reason": fault,
                },
            )
        _remove_stale(path, title, hint)
        _bind(sock, path)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        raise UnixSocketError(f"{title} {path}: {reason}{hint}") from error
    except UnixSocketError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _bind(sock: socket.socket, path: str) -> None:
    """Make a socket's file, with its mode from the start and through no link.

    bind(2) follows no link and fails where anything stands; to change the mode afterwards
    would follow a link planted in its place.
    """
    mask = os.umask(~SOCKET_MODE & 0o777)
    try:
        sock.bind(path)
    finally:
        os.umask(mask)


def _remove_stale(path: str, title: str, hint: str) -> None:
    """Remove the socket of a daemon that is gone."""
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UnixSocketError(
            f"{title} {path}: a file that is not a socket is in the way"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)  # a daemon that is alive but busy still accepts in time
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            Path(path).unlink(missing_ok=True)
            return
        except OSError:
            pass  # its backlog is full, or it is not ours to connect to: it is in use
    raise SocketTakenError(
        f"{title} {path}: another daemon listens there; stop it{hint}"
    )
