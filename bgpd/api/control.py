"""The control socket's server: many clients, none of whom can hold up the daemon.

Answers of millions of rows are made in slices of a few milliseconds, one slice per turn of
the event loop however many clients ask; a client that does not read is waited for with a
bounded buffer, and dropped after a while. What a client sends may be anything.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

from bgpd.api.protocol import (
    MAX_REQUEST_LEN,
    Command,
    ControlError,
    RequestId,
    Row,
    decode_request,
    encode_data,
    encode_done,
    encode_error,
    find_command,
)

SLICE_TIME: Final = 0.004  # seconds of making rows before the loop gets its turn
SLICE_ROWS: Final = 256  # bounds a line, so that a client need not hold much either
WRITE_BUFFER: Final = 1 << 18  # octets queued for one client before rows stop
SOCKET_MODE: Final = 0o660
_BACKLOG: Final = 128
_MAX_PATH: Final = 107  # octets, sun_path of unix(7) without its NUL
_CREDENTIALS: Final = Struct("iII")  # pid, uid, gid: SO_PEERCRED of unix(7)

_log = logging.getLogger(__name__)


class ControlSocketError(Exception):
    """The control socket cannot be opened; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may cost.

    Attributes:
        request_len: Octets of a request's line.
        idle_time: Seconds without a whole request.
        stall_time: Seconds in which a client takes nothing of what waits for it.
        max_clients: At a time; more are told so and dropped.
    """

    request_len: int = MAX_REQUEST_LEN
    idle_time: float = 300.0
    stall_time: float = 30.0
    max_clients: int = 256


class ControlServer:
    """Answers commands on a unix socket.

    Args:
        path: Where the socket is made; its folder is made too.
        commands: Name -> what it does.
        limits: Of each client.
    """

    def __init__(
        self,
        path: str,
        commands: Mapping[str, Command],
        limits: Limits | None = None,
    ) -> None:
        self.path = path
        self.commands = {"help": Command(self._help, "List the commands."), **commands}
        self._limits = limits or Limits()
        self._server: asyncio.AbstractServer | None = None
        self._inode = 0
        self._clients: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ControlSocketError: The socket cannot be made, or another daemon has it.
        """
        sock = listening_socket(self.path)
        self._inode = _inode_of(self.path)
        self._server = await asyncio.start_unix_server(
            self._accepted, sock=sock, limit=self._limits.request_len
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
        if _inode_of(self.path) == self._inode:
            _unlink(self.path)

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    def _help(self, _: Mapping[str, object]) -> list[Row]:
        return [
            {
                "command": name,
                "help": command.help,
                "arguments": {n: t.__name__ for n, t in command.arguments.items()},
                "required": list(command.required),
            }
            for name, command in sorted(self.commands.items())
        ]

    # -- one client ---------------------------------------------------------------------

    async def _accepted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover  # streams call this inside a task
            return
        self._clients.add(task)
        client = _Client(reader, writer, self._limits)
        try:
            if len(self._clients) > self._limits.max_clients:
                error = ControlError("too-many-clients", "too many clients; try again")
                await client.send(encode_error(None, error))
                return
            async for line in client.lines():
                await self._serve(client, line)
        except ControlError as error:
            with contextlib.suppress(_GoneError):
                await client.send(encode_error(None, error))
        except _GoneError as gone:
            _log.info("control: a client was dropped: %s", gone)
        except asyncio.CancelledError:
            writer.transport.abort()  # the server closes: nothing is owed any more
        finally:
            self._clients.discard(task)
            client.close()

    async def _serve(self, client: "_Client", line: bytes) -> None:
        """Answer one request; only nonsense ends the connection."""
        request = decode_request(line)
        name = request.command
        try:
            command = find_command(self.commands, request)
            if command.is_change:
                arguments = dict(request.arguments)
                _log.info("control: %s %s, asked by %s", name, arguments, client.who())
            answer = command.handle(request.arguments)
            if isinstance(answer, dict):
                await client.send(encode_data(request.request_id, answer))
            else:
                await self._stream(client, request.request_id, answer)
            await client.send(encode_done(request.request_id))
        except ControlError as error:
            await client.send(encode_error(request.request_id, error))
        except _GoneError:
            raise
        except Exception:  # noqa: BLE001  # logged whole, and told to the client
            # A fault of ours in one command: the client is told, all else goes on.
            _log.exception("control: %s failed", name)
            fault = ControlError("internal", f"{name} failed; see the daemon's log")
            await client.send(encode_error(request.request_id, fault))

    async def _stream(
        self, client: "_Client", request_id: RequestId, answer: Iterable[Row | None]
    ) -> None:
        """Send rows as they are made: a slice, then everybody else, then the next."""
        rows = iter(answer)
        is_over = False
        while not is_over:
            async with self._turn:
                octets, is_over = _slice(rows, request_id)
                await asyncio.sleep(0)
            if octets:
                await client.send(octets)
            elif client.is_gone:
                return


def _slice(rows: Iterator[Row | None], request_id: RequestId) -> tuple[bytes, bool]:
    """Make rows for a few milliseconds; return their line and whether that was all."""
    now = asyncio.get_running_loop().time
    until = now() + SLICE_TIME
    made: list[Row] = []
    is_over = True
    for row in rows:
        if row is not None:
            made.append(row)
        if len(made) >= SLICE_ROWS or now() >= until:
            is_over = False
            break
    return (encode_data(request_id, made) if made else b""), is_over


class _GoneError(Exception):
    """A client went away, or is as good as gone; the text says which."""


class _Client:
    """One connection, with its limits."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._limits = limits
        writer.transport.set_write_buffer_limits(WRITE_BUFFER)

    @property
    def is_gone(self) -> bool:
        """Whether nobody is there any more."""
        return self._writer.is_closing()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield requests' lines until the client has no more.

        Raises:
            ControlError: A line is too long.
            _GoneError: No whole line came for too long, or the client is gone.
        """
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_time):
                    line = await self._reader.readuntil(b"\n")
            except TimeoutError as error:
                raise _GoneError("it was idle") from error
            except OSError as error:
                raise _GoneError(str(error)) from error
            except asyncio.IncompleteReadError as error:
                if error.partial.strip():
                    yield error.partial
                return
            except asyncio.LimitOverrunError as error:
                raise ControlError(
                    "bad-request",
                    f"a request has {self._limits.request_len} octets at most",
                ) from error
            if line.strip():
                yield line

    async def send(self, octets: bytes) -> None:
        """Write, and wait until the client has taken enough.

        Raises:
            _GoneError: It takes nothing, or is gone.
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
                    raise _GoneError("it does not read") from error
            except OSError as error:
                raise _GoneError(str(error)) from error
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
    """Return the inode of a file; 0 where there is none."""
    try:
        return Path(path).stat().st_ino
    except OSError:
        return 0


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        Path(path).unlink()


def listening_socket(path: str) -> socket.socket:
    """Return a unix socket bound at ``path``, not listening yet; a stale one is replaced.

    Raises:
        ControlSocketError: It cannot be made, or another daemon listens there.
    """
    if len(os.fsencode(path)) > _MAX_PATH:
        raise ControlSocketError(
            f"control socket {path}: a socket's path has {_MAX_PATH} octets at most"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        sock.bind(path)
        # Before listen(): nobody can connect while the mode is still the default one.
        Path(path).chmod(SOCKET_MODE)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        raise ControlSocketError(
            f"control socket {path}: {reason}; choose another path with --control"
        ) from error
    except ControlSocketError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket of a daemon that is gone."""
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlSocketError(
            f"control socket {path}: a file that is no socket stands there"
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
    raise ControlSocketError(
        f"control socket {path}: another daemon listens there; "
        "stop it, or choose another path with --control"
    )
