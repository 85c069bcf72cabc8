"""The API's server over a unix socket and over TCP, asked by real clients."""

import asyncio
import json
import os
import re
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from bgpd.api import answers
from bgpd.api.connection import Connection
from bgpd.api.door import DoorLimits
from bgpd.api.protocol import Argument, Command, ControlError, Kind, Rights
from bgpd.api.read_turns import READS
from bgpd.api.server import Api, ServerLimits
from bgpd.api.slices import WAKES, Slices, slice_of
from bgpd.api.unix_socket import UnixSocketError
from tests.support.api_places import ApiPlace
from tests.support.speakers import until
from tests.support.turns import turn

Loops = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=["unix", "tcp"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "127.0.0.1" if request.param == "tcp" else str(tmp_path / "run" / "sock")


@pytest.fixture
def loop_factory(where: str) -> Loops:
    """Both loops, each with one of the ways in."""
    return uvloop.new_event_loop if where == "127.0.0.1" else asyncio.new_event_loop


def rows_of(arguments) -> Iterator[dict[str, object] | None]:
    for number in range(arguments.get("count", 3)):
        yield {"number": number}
        if number % 10 == 0:
            yield None


def refuse(arguments):
    raise ControlError("no-such-peer", "there is no peer 'x'", ("a", "b"))


def refuse_late(arguments):
    yield None
    raise ControlError("no-fib", "there is no kernel table")


def refuse_midway(arguments):
    yield from ({"number": number} for number in range(1000))
    raise ControlError("changed", "it changed")


def break_down(arguments):
    raise OSError("disk on fire")


def no_lines(arguments):
    return {"lines": []}


async def echo(arguments):
    return {"arguments": dict(arguments)}


class News:
    """An endless source: numbers, one after the other."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.closed = 0

    def tell(self, number: int) -> None:
        self.told.append(number)
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def rows(self, arguments):
        at = arguments.get("after", 0)
        try:
            while True:
                while at < len(self.told):
                    at += 1
                    yield {"id": at, "number": self.told[at - 1]}
                future = asyncio.get_running_loop().create_future()
                self.waiting.append(future)
                yield future
        finally:
            self.closed += 1


def command(name: str, kind: Kind = Kind.OBJECT, *arguments: Argument, **more: Any):
    more.setdefault("method", "GET")
    more.setdefault("path", f"/api/v1/{name}")
    return Command(
        name=name, help="For tests.", kind=kind, fields="", arguments=arguments, **more
    )


TEXT = Argument("name", str, "A name.")
CHANGE = {"method": "POST", "rights": Rights.FULL}
COMMANDS = (
    command(
        "rows",
        Kind.ROWS,
        Argument("count", int, "How many.", minimum=0),
        TEXT,
        Argument("all", bool, "All."),
    ),
    command(
        "echo",
        Kind.OBJECT,
        TEXT,
        Argument("several", list, "Many."),
        Argument("flag", bool, ""),
        Argument("number", int, ""),
    ),
    command("need", Kind.OBJECT, Argument("peer", str, "Which.", is_required=True)),
    command("choose", Kind.OBJECT, Argument("kind", str, "Which.", ("one", "two"))),
    command("refuse"),
    command("refuse-late", Kind.ROWS),
    command("refuse-midway", Kind.ROWS),
    command("break"),
    command(
        "change", Kind.LINES, TEXT, Argument("number", int, ""), **CHANGE, max_body=1000
    ),
    command(
        "act",
        Kind.OBJECT,
        Argument("peer", str, "", is_required=True),
        TEXT,
        **CHANGE | {"path": "/api/v1/peers/{peer}/act"},
    ),
    command(
        "news", Kind.STREAM, Argument("after", int, "The last one seen.", minimum=0)
    ),
    command("later"),
)


def handlers(news: News | None = None):
    return {
        "rows": rows_of,
        "echo": echo,
        "need": no_lines,
        "choose": echo,
        "refuse": refuse,
        "refuse-late": refuse_late,
        "refuse-midway": refuse_midway,
        "break": break_down,
        "change": no_lines,
        "act": echo,
        "news": (news or News()).rows,
    }


class Client:
    """One client; each request of it is a connection of its own unless aiohttp keeps it."""

    def __init__(self, place: ApiPlace) -> None:
        self.place = place
        connector = aiohttp.UnixConnector(place.path) if place.path else None
        self.http = aiohttp.ClientSession(place.url, connector=connector)

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        async with self.http.get(path, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path: str, **options: Any) -> tuple[int, Any]:
        async with self.http.post(path, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def raw(
        self, octets: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.place.path:
            reader, writer = await asyncio.open_unix_connection(self.place.path)
        else:
            reader, writer = await asyncio.open_connection(
                self.place.address, self.place.door.port
            )
        writer.write(octets)
        return reader, writer

    async def said(self, octets: bytes) -> bytes:
        """Return all that comes back until the server closes."""
        reader, writer = await self.raw(octets)
        pieces = []
        try:
            while piece := await reader.read(1 << 16):
                pieces.append(piece)
        except ConnectionError:
            pass
        writer.close()
        return b"".join(pieces)


def serve(
    where: str,
    loop_factory: Loops,
    talk: Callable[[Client], Awaitable[None]],
    news: News | None = None,
    **options: Any,
) -> None:
    """Run ``talk`` beside a server."""

    async def main() -> None:
        place = ApiPlace(where, handlers(news), COMMANDS, **options)
        await place.start()
        client = Client(place)
        try:
            async with asyncio.timeout(60):
                await talk(client)
        finally:
            await client.http.close()
            await place.close()
            await turn()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert not Path(where).exists()


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]
    ).encode()


def test_rows_are_an_array_or_lines(where, loop_factory):
    async def talk(client):
        status, rows = await client.get("/api/v1/rows?count=2000")
        assert status == 200
        assert [row["number"] for row in rows] == [*range(2000)]
        assert await client.get("/api/v1/rows?count=0") == (200, [])
        for options in (
            {"params": {"format": "ndjson", "count": 700}},
            {"params": {"count": 700}, "headers": {"Accept": "application/x-ndjson"}},
        ):
            async with client.http.get("/api/v1/rows", **options) as answer:
                assert answer.content_type == "application/x-ndjson"
                lines = (await answer.text()).splitlines()
                assert [json.loads(line)["number"] for line in lines] == [*range(700)]
        status, told = await client.get("/api/v1/rows?format=xml")
        assert (status, told["expected"]) == (400, ["json", "ndjson"])

    serve(where, loop_factory, talk)


def test_requests_of_one_connection_are_answered_in_order(where, loop_factory):
    async def talk(client):
        sent = b"".join(request(f"/api/v1/echo?number={n}") for n in range(20))
        reader, writer = await client.raw(sent)
        for number in range(20):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert json.loads(await reader.readline())["arguments"]["number"] == number
        writer.close()

    serve(where, loop_factory, talk)


@pytest.mark.parametrize(
    ("path", "told_as", "expected"),
    [
        ("nothing", (404, "unknown-path"), None),
        ("rows/", (404, "unknown-path"), None),
        ("rows?nmae=x", (400, "unknown-argument"), ["all", "count", "name"]),
        ("rows?count=one", (400, "bad-argument"), ["a whole number from 0 on"]),
        ("rows?count=-1", (400, "bad-argument"), ["a whole number from 0 on"]),
        ("rows?count=1&count=2", (400, "bad-argument"), None),
        ("rows?count=99999999999999999999", (400, "bad-argument"), None),
        ("rows?all=maybe", (400, "bad-argument"), ["true or false"]),
        ("rows?name=%ff", (400, "bad-request"), None),
        ("rows?" + "name=x&" * 300, (400, "bad-request"), None),
        ("need", (400, "missing-argument"), ["peer"]),
        ("choose?kind=tow", (400, "bad-argument"), ["one", "two"]),
        ("refuse", (404, "no-such-peer"), ["a", "b"]),
        ("refuse-late", (409, "no-fib"), None),
        ("break", (500, "internal"), None),
        ("later", (503, "not-started"), None),
    ],
)  # fmt: skip
def test_an_error_names_what_there_is_and_the_connection_lives(
    where, path, told_as, expected, caplog
):
    status, code = told_as

    async def talk(client):
        async with client.http.get(f"/api/v1/{path}") as answer:
            told = await answer.json(content_type="application/problem+json")
            assert (answer.status, told["status"], told["code"]) == (
                status,
                status,
                code,
            )
        assert told["message"]
        if expected is not None:
            assert told["expected"] == expected
        assert (await client.get("/api/v1/echo"))[0] == 200

    serve(where, asyncio.new_event_loop, talk)
    if code == "internal":
        assert "disk on fire" in caplog.text
    else:
        assert "Traceback" not in caplog.text


def test_what_was_probably_meant_is_suggested(where):
    async def talk(client):
        for path, meant in (
            ("rows?nmae=x", "name"),
            ("rwos", "rows"),
            ("choose?kind=tow", "two"),
        ):
            _, told = await client.get(f"/api/v1/{path}")
            assert meant in told["message"].partition("did you mean")[2]

    serve(where, asyncio.new_event_loop, talk)


def test_a_method_that_is_not_there_gets_those_that_are(where):
    async def talk(client):
        for method, path, allowed in (
            ("DELETE", "rows", "GET"),
            ("GET", "change", "POST"),
        ):
            async with client.http.request(method, f"/api/v1/{path}") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, allowed)

    serve(where, asyncio.new_event_loop, talk)


def test_arguments_come_in_path_query_or_body(where, loop_factory):
    async def talk(client):
        status, told = await client.get(
            "/api/v1/echo?several=a&several=b&flag=&number=-5&name="
        )
        assert told["arguments"] == {
            "several": ["a", "b"],
            "flag": True,
            "number": -5,
            "name": "",
        }
        for name, sent in (
            ("a/b", "a%2Fb"),
            ("..", ".."),
            ("fe80::1%eth0", "fe80::1%25eth0"),
            ("Ä", "%C3%84"),
        ):
            octets = await client.said(
                request(
                    f"/api/v1/peers/{sent}/act",
                    "Content-Length: 0",
                    "Connection: close",
                    method="POST",
                )
            )
            assert json.loads(octets.split(b"\r\n\r\n")[1]) == {
                "arguments": {"peer": name}
            }
        status, told = await client.post("/api/v1/peers/x/act", json={"name": "y"})
        assert (status, told) == (200, {"arguments": {"name": "y", "peer": "x"}})
        for body in ({"peer": "y"}, {"name": 1}, {"name": "\ud800"}, {"other": 1}):
            assert (await client.post("/api/v1/peers/x/act", json=body))[0] == 400
        assert (await client.post("/api/v1/peers/x/act?name=y"))[0] == 400

    serve(where, loop_factory, talk)


BODIES = {
    "binary": (bytes(range(256)), "bad-request"),
    "text": (b"show peers", "bad-request"),
    "no object": (b"[1, 2]", "bad-request"),
    "deep": (b"[" * 900, "bad-request"),
    "twice": (b'{"name": "x", "name": "y"}', "bad-request"),
    "nan": (b'{"number": NaN}', "bad-request"),
    "digits": (b'{"number": ' + b"9" * 500 + b"}", "bad-request"),
    "wrong type": (b'{"number": true}', "bad-argument"),
    "float": (b'{"number": 1.0}', "bad-argument"),
    "null": (b'{"name": null}', "bad-argument"),
    "huge": (b'{"name": "' + b"x" * 100_000 + b'"}', "too-large"),
}


@pytest.mark.parametrize(("body", "code"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_not_arguments_gets_an_error(where, body, code, caplog):
    async def talk(client):
        headers = {"Content-Type": "application/json"}
        status, told = await client.post("/api/v1/change", data=body, headers=headers)
        assert told["code"] == code
        assert status in (400, 413)

        async def pieces():
            for at in range(0, len(body), 700):
                yield body[at : at + 700]

        status, told = await client.post(
            "/api/v1/change", data=pieces(), headers=headers
        )
        assert told["code"] == code
        status, told = await client.post(
            "/api/v1/change", data=b"{}", headers={"Content-Type": "text/plain"}
        )
        assert (status, told["code"]) == (415, "wrong-media-type")
        assert await client.post("/api/v1/change") == (200, {"lines": []})

    serve(where, asyncio.new_event_loop, talk)
    assert "Traceback" not in caplog.text


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(where, loop_factory):
    async def talk(client):
        async with client.http.post(
            "/api/v1/change", json={"name": "x"}, expect100=True
        ) as answer:
            assert answer.status == 200

    serve(where, loop_factory, talk)


NONSENSE = {
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "text": b"show peers\r\n\r\n",
    "json": b'{"id": 1, "command": "show-peers"}\n\n',
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "long line": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
    "long header": request("/api/v1/echo", "X: " + "x" * 20_000),
    "many headers": request("/api/v1/echo", *(f"X{n}: 1" for n in range(3000))),
    "two lengths": request(
        "/api/v1/change", "Content-Length: 1", "Content-Length: 2", method="POST"
    )
    + b"{}",
    "both lengths": request(
        "/api/v1/change",
        "Content-Length: 2",
        "Transfer-Encoding: chunked",
        method="POST",
    )
    + b"{}",
    "bad chunk": request(
        "/api/v1/change",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        method="POST",
    )
    + b"zz\r\n",
}


@pytest.mark.parametrize("octets", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_gets_an_error_and_the_door(where, loop_factory, octets, caplog):
    async def talk(client):
        said = await client.said(octets)
        head, _, body = said.partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1\.[01] 400 ", head)
        assert b"application/problem+json" in head
        assert json.loads(body)["code"] == "bad-request"
        assert (await client.get("/api/v1/echo"))[0] == 200

    serve(where, loop_factory, talk)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"GET /api/v1/ec",
        request("/api/v1/echo")[:-2],
        request("/api/v1/change", "Content-Length: 9", method="POST") + b"{",
    ],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_a_request_that_does_not_end_is_not_waited_for(
    where, loop_factory, octets, monkeypatch
):
    monkeypatch.setattr("bgpd.api.server.LINGERING", 0.1)
    limits = ServerLimits(header_time=0.1, body_time=0.1)

    async def talk(client):
        said = await client.said(octets)
        assert said == b"" or b" 408 " in said.splitlines()[0]
        await until(lambda: client.place.door.client_count == 0)
        assert (await client.get("/api/v1/echo"))[0] == 200

    serve(where, loop_factory, talk, limits=limits)


def test_an_error_after_some_rows_cuts_the_answer_off(where, loop_factory):
    async def talk(client):
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.get("/api/v1/refuse-midway")
        assert (await client.get("/api/v1/echo"))[0] == 200

    serve(where, loop_factory, talk)


@pytest.mark.slow
def test_a_client_that_never_reads_is_dropped_while_others_are_served(
    where, loop_factory
):
    async def talk(client):
        _, writer = await client.raw(request("/api/v1/rows?count=100000000"))
        writer.transport.pause_reading()
        await until(lambda: client.place.door.client_count == 1)
        answered = 0
        while client.place.door.client_count > 1 or not answered:
            assert (await client.get("/api/v1/echo"))[0] == 200
            answered += 1
            await turn()
        writer.transport.abort()

    serve(where, loop_factory, talk, limits=ServerLimits(stall_time=0.1))


@pytest.mark.slow
def test_a_client_that_sends_requests_and_never_reads_is_dropped(where):
    async def talk(client):
        _, writer = await client.raw()
        writer.transport.pause_reading()
        one = request("/api/v1/rows?count=200") * 100
        await until(lambda: client.place.door.client_count == 1)
        while client.place.door.client_count:
            if writer.transport.get_write_buffer_size() < 1 << 20:
                writer.write(one)
            await turn()
        writer.transport.abort()

    serve(where, asyncio.new_event_loop, talk, limits=ServerLimits(stall_time=0.1))


def test_a_client_that_goes_away_midway_costs_nothing(where, loop_factory, caplog):
    async def talk(client):
        reader, writer = await client.raw(request("/api/v1/rows?count=100000000"))
        await reader.readline()
        writer.transport.abort()
        await until(lambda: client.place.door.client_count == 0)

    serve(where, loop_factory, talk)
    assert "Traceback" not in caplog.text


def test_a_hundred_clients_at_once(where, loop_factory):
    async def talk(client):
        async def one(number):
            _, rows = await client.get(f"/api/v1/rows?count={100 + number}")
            return len(rows)

        found = await asyncio.gather(*map(one, range(100)))
        assert found == [100 + number for number in range(100)]

    serve(where, loop_factory, talk)


@pytest.mark.parametrize("path", ["/api/v1/choose?kind=one", "/api/v1/rows", "/no"])
def test_requests_of_the_same_moment_are_parsed_some_a_turn_and_answered_one_by_one(
    where, loop_factory, monkeypatch, path
):
    parsed, begun, most = [], [], []
    parse, serve_one = Connection.parse, Api._answer

    def counted_parse(self, octets):
        parsed.append(octets)
        parse(self, octets)

    async def counted_answer(self, *args):
        begun.append(args)
        return await serve_one(self, *args)

    async def count_each_turn():
        while True:
            before = len(parsed), len(begun)
            await turn()
            most.append((len(parsed) - before[0], len(begun) - before[1]))

    async def talk(client):
        clients = [await client.raw(request("/api/v1/need?peer=x")) for _ in range(100)]
        for reader, _ in clients:
            await reader.readuntil(b"}\n")
        parsed.clear()
        begun.clear()
        counting = asyncio.create_task(count_each_turn())
        for _, writer in clients:
            writer.write(request(path))
        for reader, _ in clients:
            await reader.readuntil(b"\n")
        counting.cancel()
        assert len(parsed) == len(begun) == 100
        assert max(count for count, _ in most) <= READS
        assert max(count for _, count in most) == 1
        for _, writer in clients:
            writer.transport.abort()

    monkeypatch.setattr(Connection, "parse", counted_parse)
    monkeypatch.setattr(Api, "_answer", counted_answer)
    serve(where, loop_factory, talk)


def test_requests_of_one_piece_are_answered_in_turns_of_their_own(where, loop_factory):
    async def talk(client):
        turns = 0

        async def others():
            nonlocal turns
            while True:
                await turn()
                turns += 1

        counting = asyncio.create_task(others())
        last = request("/api/v1/choose?kind=one", "Connection: close")
        said = await client.said(request("/api/v1/choose?kind=one") * 49 + last)
        counting.cancel()
        assert said.count(b"HTTP/1.1 200 ") == 50
        assert turns >= 50

    serve(where, loop_factory, talk)


def test_clients_beyond_the_limit_get_an_error(where, loop_factory):
    async def talk(client):
        first = await client.raw()
        await until(lambda: client.place.door.client_count == 1)
        said = await client.said(request("/api/v1/echo"))
        assert said.startswith(b"HTTP/1.1 503 ")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["code"] == "too-many-clients"
        first[1].close()
        await until(lambda: client.place.door.client_count == 0)
        assert (await client.get("/api/v1/echo"))[0] == 200

    serve(where, loop_factory, talk, door_limits=DoorLimits(max_clients=1))


def test_the_last_descriptors_are_not_for_clients(where, loop_factory):
    async def talk(client):
        said = await client.said(request("/api/v1/echo"))
        assert (
            b"descriptors"
            in json.loads(said.partition(b"\r\n\r\n")[2])["message"].encode()
        )

    serve(where, loop_factory, talk, door_limits=DoorLimits(reserved_files=1 << 40))


@pytest.mark.slow
def test_a_hundred_thousand_rows_leave_the_loop_alive(where, loop_factory):
    async def talk(client):
        turns = 0

        async def watch():
            nonlocal turns
            while True:
                await turn()
                turns += 1

        watcher = asyncio.create_task(watch())
        _, rows = await client.get("/api/v1/rows?count=100000")
        watcher.cancel()
        assert len(rows) == 100_000
        assert turns >= 100_000 / 256

    serve(where, loop_factory, talk)


def test_a_slice_ends_by_time_though_it_made_no_row():
    async def main():
        nothing: Iterator[int | None] = iter(lambda: None, 0)
        made, is_over, _ = slice_of(nothing)
        assert made == []
        assert not is_over

    asyncio.run(main())


async def events_of(
    answer: aiohttp.ClientResponse, count: int
) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    while len(found) < count:
        frame = (await answer.content.readuntil(b"\n\n")).decode()
        if not frame.startswith(":"):
            ident, data = frame.splitlines()[:2]
            found.append(
                (ident.removeprefix("id: "), json.loads(data.removeprefix("data: ")))
            )
    return found


def test_a_stream_goes_on_where_a_client_left_off(where, loop_factory):
    news = News()

    async def talk(client):
        news.tell(7)
        async with client.http.get("/api/v1/news") as answer:
            assert answer.content_type == "text/event-stream"
            assert await events_of(answer, 1) == [("1", {"id": 1, "number": 7})]
            news.tell(8)
            assert await events_of(answer, 1) == [("2", {"id": 2, "number": 8})]
        news.tell(9)
        async with client.http.get(
            "/api/v1/news", headers={"Last-Event-ID": "2"}
        ) as answer:
            assert await events_of(answer, 1) == [("3", {"id": 3, "number": 9})]
        async with client.http.get("/api/v1/news?after=2&format=ndjson") as answer:
            while not (line := await answer.content.readline()).strip():
                pass
            assert json.loads(line)["id"] == 3
        await until(lambda: news.closed == 3)
        assert (await client.get("/api/v1/news", headers={"Last-Event-ID": "x"}))[
            0
        ] == 400

    serve(where, loop_factory, talk, news)


def test_a_stream_without_news_says_that_it_lives(where, loop_factory, monkeypatch):
    monkeypatch.setattr("bgpd.api.server.HEARTBEAT", 0.05)
    assert answers.HEARTBEAT >= 10

    async def talk(client):
        async with client.http.get("/api/v1/news") as answer:
            for _ in range(3):
                assert (await answer.content.readuntil(b"\n\n")).startswith(b":")

    serve(where, loop_factory, talk)


@pytest.mark.slow
def test_a_slow_watcher_is_dropped_and_others_go_on(where, loop_factory):
    news = News()

    async def talk(client):
        reader, writer = await client.raw(request("/api/v1/news"))
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        async with client.http.get("/api/v1/news") as answer:
            await until(lambda: client.place.door.client_count == 2)
            told = 0
            while client.place.door.client_count == 2:
                for _ in range(200):
                    news.tell(told)
                    told += 1
                await events_of(answer, 200)
            assert news.closed == 1
        writer.transport.abort()

    serve(where, loop_factory, talk, news, limits=ServerLimits(stall_time=0.1))


@pytest.mark.slow
def test_a_thousand_watchers_get_all_events(where, loop_factory):
    news = News()

    async def talk(client):
        watchers = [await client.raw(request("/api/v1/news")) for _ in range(1000)]
        for reader, _ in watchers:
            await reader.readuntil(b"\r\n\r\n")
        await until(lambda: len(news.waiting) == 1000)
        for number in range(3):
            news.tell(number)
        for reader, _ in watchers:
            for number in range(3):
                await reader.readuntil(b'"number":%d}' % number)
        for _, writer in watchers:
            writer.transport.abort()
        await until(lambda: news.closed == 1000)

    serve(where, loop_factory, talk, news)


def test_a_client_that_changes_something_is_logged(tmp_path, caplog):
    caplog.set_level("INFO")

    async def talk(client):
        await client.post("/api/v1/change")
        await client.get("/api/v1/echo")

    serve(str(tmp_path / "sock"), asyncio.new_event_loop, talk)
    changes = [r.message for r in caplog.records if r.name == "bgpd.api.server"]
    asked = f"test socket: change, requested by uid {os.getuid()}, pid {os.getpid()}"
    assert changes == [asked]


def test_the_end_waits_for_no_stream(where, loop_factory):
    news = News()

    async def talk(client):
        reader, writer = await client.raw(request("/api/v1/news"))
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: news.waiting)
        async with asyncio.timeout(0.9):  # less than what answers in the making get
            await client.place.door.close()
        assert news.closed == 1
        writer.transport.abort()

    serve(where, loop_factory, talk, news)


def test_the_socket_is_for_its_owner_and_group(tmp_path):
    path = tmp_path / "run" / "sock"

    async def talk(client):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o660

    serve(str(path), asyncio.new_event_loop, talk)


@pytest.mark.parametrize("content", ["file", "folder"])
def test_a_file_that_is_not_a_socket_is_left_alone(tmp_path, content):
    path = tmp_path / "sock"
    if content == "file":
        path.write_text("mine")
    else:
        path.mkdir()

    async def main():
        with pytest.raises(UnixSocketError, match="not a socket"):
            await ApiPlace(path, {}).start()

    asyncio.run(main())
    assert path.exists()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    async def talk(client):
        with pytest.raises(UnixSocketError, match="another daemon"):
            await ApiPlace(path, {}).start()
        assert (await client.get("/api/v1/echo"))[0] == 200

    serve(str(path), asyncio.new_event_loop, talk)


def test_a_path_is_compared_as_it_is_sent(where, loop_factory):
    async def talk(client):
        for path in (
            "/api/v1/../v1/rows",
            "/api/v1/./rows",
            "//api/v1/rows",
            "/api/v1/rows/",
            "/api%2Fv1/rows",
            "/%61pi/v1/rows",
            "/api/v1/peers//act",
            "/api/v1/rows%00",
            "/etc/passwd",
            "/../../../../etc/passwd",
            "*",
        ):
            said = await client.said(request(path, "Connection: close"))
            assert said.split()[1] in (b"404", b"400")

    serve(where, loop_factory, talk)


def test_watchers_of_the_same_news_wake_some_at_a_time():
    async def main():
        slices, news = Slices(), asyncio.get_running_loop().create_future()
        woken: list[int] = []

        async def watch(number: int) -> None:
            async for _ in slices.made(iter([news, None]), lambda _: b""):
                woken.append(number)  # noqa: PERF401  # counted as they come

        watchers = [asyncio.create_task(watch(n)) for n in range(100)]
        await until(lambda: len(woken) == 100)  # all have found that there is nothing
        woken.clear()
        news.set_result(None)
        most, before = 0, 0
        while len(woken) < 100:
            await turn()
            most, before = max(most, len(woken) - before), len(woken)
        assert 0 < most <= WAKES
        await asyncio.gather(*watchers)

    asyncio.run(main())
