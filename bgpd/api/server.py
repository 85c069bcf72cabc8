"""The HTTP server: commands, metrics, health, and whatever else has a path. Loads aiohttp.

    GET  /api/v1/peers            rows: a JSON array, or a line each (application/x-ndjson)
    GET  /api/v1/status           one object
    POST /api/v1/peers/x/reset    acts; arguments are a JSON object
    GET  /metrics, /healthz       text

Requests are parsed some a turn of the loop (``bgpd.api.read_turns``), and their answers begin one by one.
Rights are checked before arguments, arguments before the command is called, and no status is sent
before the first row is there: what fails until then has its own. Rows are made in slices
(``bgpd.api.slices``).
"""

import asyncio
import json
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
)
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from bgpd.api.access import Caller, Entrance
from bgpd.api.answers import HEARTBEAT, JSON, Form, form_of
from bgpd.api.connection import Connection
from bgpd.api.paths import READS, Document, Foreign
from bgpd.api.protocol import (
    Answer,
    Arguments,
    Command,
    ControlError,
    Handler,
    Kind,
    Rights,
    Rows,
    check,
    parse_query,
)
from bgpd.api.read_turns import ReadTurns
from bgpd.api.replies import Reply
from bgpd.api.slices import Beginnings, Slices
from bgpd.api.unix_socket import client_of
from bgpd.texts.json_text import load
from bgpd.texts.limits import Limits as TextLimits
from bgpd.texts.limits import TextError

SHUTDOWN: Final = 1.0  # seconds that answers in the making get at the end
LINGERING: Final = 2.0  # seconds for what a client sends and no command reads
MAX_NODES: Final = 10_000  # values in a body
MAX_DEPTH: Final = 8
MAX_FIELDS: Final = 200  # of a query
MAX_LOGGED: Final = 300  # characters of an argument
FORMAT: Final = "format"  # argument of every command
AFTER: Final = (
    "after"  # argument of a stream: the number of the last event that was seen
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of a client.

    Attributes:
        header_time: Seconds to send a request's head, and between two requests.
        body_time: Seconds to send its body.
        stall_time: Seconds in which a client takes nothing of what waits for it.
    """

    header_time: float = 30.0
    body_time: float = 30.0
    stall_time: float = 30.0


class Api:
    """Answers requests of all places.

    Args:
        handlers: Returns what answers commands, by their names; asked until there is something.
        starting: Returns what answers while ``handlers`` says no.
        limits: Of each client.
    """

    def __init__(
        self,
        handlers: Callable[[], Awaitable[Mapping[str, Handler]]],
        limits: ServerLimits | None = None,
        *,
        starting: Callable[[], Awaitable[Mapping[str, Handler]]] | None = None,
    ) -> None:
        self.limits = limits or ServerLimits()
        self.read_turns = ReadTurns()
        self._beginnings = Beginnings()
        self._slices = Slices()
        # Apart, so that metrics need not wait for clients that read whole tables; their pieces
        # take milliseconds each.
        self._document_slices = Slices(1)
        self._ask_handlers = handlers
        self._ask_starting = starting
        self._handlers: Mapping[str, Handler] = {}
        self._changes: set[asyncio.Future[Answer]] = set()
        self._sending: set[asyncio.Task[Any] | None] = set()

    def server(self, entrance: Entrance) -> "ApiServer":
        """Return what serves the connections of one place."""
        return ApiServer(self, entrance)

    def break_off(self) -> None:
        """End answers in the making: the daemon ends, and some of them never would."""
        for task in self._sending:
            if task is not None:
                task.cancel()

    async def serve(
        self, entrance: Entrance, request: web.BaseRequest
    ) -> web.StreamResponse:
        """Answer one request.

        Raises:
            ConnectionError: The client is gone.
        """
        reply = Reply(request, self.limits.stall_time)
        await self._beginnings.wait()
        try:
            return await self._answer(entrance, request, reply)
        except ControlError as error:
            if not reply.has_begun:
                return await reply.refuse(error)
            reason = error.message
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  # logged whole, and told to the client
            # An internal error in one command: the client gets it, all else goes on.
            _log.exception(
                "%(part)s: %(command)s failed",
                {
                    "event": "command-failed",
                    "part": entrance.title,
                    "command": f"{request.method} {request.path}",
                },
            )
            if not reply.has_begun:
                text = f"{request.path} failed; see the daemon's log"
                return await reply.refuse(ControlError("internal", text))
            reason = type(error).__name__
        _log.info(
            "%(part)s: closed the connection of a client: %(reason)s",
            {"event": "client-dropped", "part": entrance.title, "reason": reason},
        )
        return reply.cut_off()

    async def _answer(
        self, entrance: Entrance, request: web.BaseRequest, reply: Reply
    ) -> web.StreamResponse:
        path = request.rel_url.raw_path
        target, in_path = entrance.paths.find(request.method, path)
        if target.rights is not Rights.NONE:
            _check_rights(target.rights, entrance.access.rights(_caller(request)))
        if isinstance(target, Document):
            return await self._document(target, in_path, request, reply)
        query = _query(request)
        if isinstance(target, Foreign):
            pieces = await target.make(dict(query) | dict(in_path))
            return await self._foreign(pieces, reply)
        formats = [text for name, text in query if name == FORMAT]
        query = [pair for pair in query if pair[0] != FORMAT]
        accept = request.headers.get("Accept", "")
        form = form_of(target.kind, formats[-1] if formats else None, accept)
        given: dict[str, object]
        if request.method in READS:
            given = parse_query(target, query + _last_event(target, request, query))
        else:
            if query:
                raise ControlError(
                    "bad-request",
                    f"arguments of {target.name} are a JSON object in the body",
                )
            given = await self._body(target, request)
        handlers = self._handlers or await self._first_handlers(target)
        if twice := sorted(given.keys() & in_path):
            raise ControlError("bad-argument", f"{twice[0]} is in the path already")
        arguments = check(target, given | dict(in_path))
        handle = _handle(handlers, target)
        if target.rights is Rights.FULL:
            _log_change(entrance, target, arguments, _who(request))
        answer = handle(arguments)
        if isinstance(answer, Awaitable):
            answer = await self._whole(answer)
        if isinstance(answer, dict):
            body = form.encode([answer])
            return await reply.whole(200, form.content_type, body)
        task = asyncio.current_task()
        self._sending.add(task)
        try:
            return await self._rows(
                answer, reply, form, is_stream=target.kind is Kind.STREAM
            )
        finally:
            self._sending.discard(task)

    async def _first_handlers(self, command: Command) -> Mapping[str, Handler]:
        """Return what answers, once it is there; until then what answers this command.

        Raises:
            ControlError: ``not-started``.
        """
        try:
            self._handlers = await self._ask_handlers()
        except ControlError:
            starting = {} if self._ask_starting is None else await self._ask_starting()
            if command.name not in starting:
                raise
            return starting
        return self._handlers

    async def _rows(
        self, rows: Rows, reply: Reply, form: Form, *, is_stream: bool
    ) -> web.StreamResponse:
        """Send rows as they are made."""
        made = self._slices.made(rows, form.encode, HEARTBEAT if is_stream else None)
        async with aclosing(made) as pieces:
            # What fails before there is anything to send has a status of its own.
            first = await anext(pieces, None)
            while first == b"" and not is_stream:
                first = await anext(pieces, None)
            await reply.begin(200, form.content_type, is_stream=is_stream)
            if reply.has_no_body:
                return await reply.end()
            if first or is_stream:
                await reply.send(first or form.heartbeat)
            now = asyncio.get_running_loop().time
            sent_at = now()
            async for octets in pieces:
                if reply.is_gone:
                    raise ConnectionResetError("the client is gone")
                if octets or (is_stream and now() - sent_at >= HEARTBEAT):
                    await reply.send(octets or form.heartbeat)
                    sent_at = now()
        if end := form.end():
            await reply.send(end)
        return await reply.end()

    async def _whole(self, work: Awaitable[Answer]) -> Answer:
        """Wait for what a command does; it is done to the end though its client goes."""
        task = asyncio.ensure_future(work)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def _document(
        self,
        document: Document,
        in_path: Mapping[str, str],
        request: web.BaseRequest,
        reply: Reply,
    ) -> web.StreamResponse:
        made = await document.make(request.headers, in_path)
        await reply.begin(made.status, made.content_type, made.headers)
        if request.method == "HEAD":
            return await reply.end()
        if isinstance(made.pieces, tuple):
            for piece in made.pieces:
                await reply.send(piece)
            return await reply.end()
        slices = self._document_slices.made(made.pieces, b"".join)
        return await self._pieces(slices, reply)

    async def _foreign(
        self, made: Iterable[bytes | None], reply: Reply
    ) -> web.StreamResponse:
        """Send an answer in the form of another program."""
        return await self._pieces(self._slices.made(made, b"".join), reply)

    @staticmethod
    async def _pieces(
        made: AsyncGenerator[bytes, None], reply: Reply
    ) -> web.StreamResponse:
        async with aclosing(made) as pieces:
            async for octets in pieces:
                if not reply.has_begun and octets:
                    await reply.begin(200, JSON)
                if reply.is_gone:
                    raise ConnectionResetError("the client is gone")
                if octets:
                    await reply.send(octets)
        return await reply.end()

    async def _body(
        self, command: Command, request: web.BaseRequest
    ) -> dict[str, object]:
        """Return the arguments in a request's body.

        Raises:
            ControlError: ``too-large``, ``slow-request``, ``wrong-media-type`` or
                ``bad-request``.
        """
        too_large = ControlError(
            "too-large",
            f"a body of {command.name} has at most {command.max_body} octets",
        )
        if (request.content_length or 0) > command.max_body:
            raise too_large
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        pieces: list[bytes] = []
        left = command.max_body
        try:
            async with asyncio.timeout(self.limits.body_time):
                while piece := await request.content.readany():
                    pieces.append(piece)
                    left -= len(piece)
                    if left < 0:
                        raise too_large
        except TimeoutError as error:
            raise ControlError(
                "slow-request", "the body of the request took too long"
            ) from error
        octets = b"".join(pieces)
        if not octets.strip():
            return {}
        if request.content_type != JSON or "Content-Encoding" in request.headers:
            raise ControlError(
                "wrong-media-type",
                f"a body is {JSON}, not encoded",
                (f"Content-Type: {JSON}",),
            )
        limits = TextLimits(command.max_body, MAX_NODES, MAX_DEPTH)
        try:
            found = load(octets, limits, keeps_halves=True)
        except TextError as error:
            raise ControlError(
                "bad-request", f"the body {error}", ("a JSON object",)
            ) from error
        if not isinstance(found.value, dict):
            raise ControlError(
                "bad-request", "the body is not a JSON object", ("a JSON object",)
            )
        if found.doubled:
            raise ControlError(
                "bad-request", f"{found.doubled[0]} is in the body twice"
            )
        return found.value


class ApiServer(web.Server):
    """Serves the connections of one place (``bgpd.api.door.Connections``).

    Args:
        api: Answers.
        entrance: What clients find.
    """

    def __init__(self, api: Api, entrance: Entrance) -> None:
        self._api = api
        self._entrance = entrance
        self._open: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": api.limits.header_time,
            "lingering_time": LINGERING,
            "auto_decompress": False,
        }
        # A client that goes ends the making of its answer.
        super().__init__(self._serve, handler_cancellation=True)

    def __call__(self) -> web.RequestHandler:
        """See ``Connections``."""
        loop = asyncio.get_running_loop()
        return Connection(self._api.read_turns, self, loop=loop, **self._open)

    @property
    def count(self) -> int:
        """See ``Connections``."""
        return len(self.connections)

    async def close(self) -> None:
        """See ``Connections``."""
        self._api.break_off()
        self.pre_shutdown()
        await self.shutdown(SHUTDOWN)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._api.serve(self._entrance, request)


def _check_rights(needed: Rights, there: Rights) -> None:
    if there.value < needed.value:
        raise ControlError("read-only", "this needs full rights")


def _caller(request: web.BaseRequest) -> Caller:
    return Caller(request.headers, request.remote or "", request.scheme)


def _query(request: web.BaseRequest) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            request.rel_url.raw_query_string,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise ControlError(
            "bad-request", f"the query cannot be read: {error}"
        ) from error


def _last_event(
    command: Command, request: web.BaseRequest, query: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return where a browser that lost its connection goes on in a stream."""
    at = request.headers.get("Last-Event-ID")
    if at is None or AFTER not in command.names or any(n == AFTER for n, _ in query):
        return []
    return [(AFTER, at)]


def _handle(handlers: Mapping[str, Handler], command: Command) -> Handler:
    handle = handlers.get(command.name)
    if handle is None:
        raise ControlError(
            "not-started", "the daemon is starting, and cannot answer this yet"
        )
    return handle


def _log_change(
    entrance: Entrance, command: Command, arguments: Arguments, client: str
) -> None:
    short = {
        name: f"{len(value)} characters"
        if isinstance(value, str)
        and (len(value) > MAX_LOGGED or name in command.unlogged)
        else value
        for name, value in arguments.items()
    }
    _log.info(
        "%(part)s: %(request)s, requested by %(client)s",
        {
            "event": "command",
            # Similar are only lines about the same.
            "request": " ".join((command.name, *map(_in_words, short.items()))),
            "part": entrance.title,
            "client": client,
            "command": command.name,
            "arguments": short,
        },
    )


def _in_words(argument: tuple[str, object]) -> str:
    """Return an argument as a line of the log has it: ``peer=tor-1``, ``text="two words"``."""
    name, value = argument
    is_word = isinstance(value, str) and value.isprintable() and " " not in value
    text = value if is_word and value else json.dumps(value, ensure_ascii=False)
    return f"{name}={text}"


def _who(request: web.BaseRequest) -> str:
    """Return who asks, for the log."""
    transport = request.transport
    if request.remote:
        return request.remote
    return (
        "gone" if transport is None else client_of(transport.get_extra_info("socket"))
    )
