import asyncio
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from bgpd.api.client import UnreachableError, call
from bgpd.api.control import ControlServer
from bgpd.api.line_server import Limits, UnixSocketError, _slice
from bgpd.api.protocol import Command, ControlError
from tests.support.speakers import until
from tests.support.turns import turn

Loops = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> Loops:
    return (
        asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
    )


def rows_of(arguments) -> Iterator[dict[str, object] | None]:
    for number in range(arguments.get("count", 3)):
        yield {"number": number}
        if number % 10 == 0:
            yield None


def refuse(arguments):
    raise ControlError("no-such-peer", "there is no peer 'x'", ("a", "b"))


def refuse_midway(arguments):
    yield {"number": 1}
    raise ControlError("changed", "it changed")


def break_down(arguments):
    raise OSError("disk on fire")


def no_lines(arguments):
    return {"lines": []}


def answer_42(arguments):
    return {"answer": 42}


COMMANDS = {
    "rows": Command(rows_of, "Rows.", {"count": int, "name": str, "all": bool}),
    "one": Command(answer_42, "One object."),
    "need": Command(no_lines, "", {"peer": str}, required=("peer",)),
    "refuse": Command(refuse, "Says no."),
    "refuse-midway": Command(refuse_midway, "Says no after a row."),
    "break": Command(break_down, "Fails."),
    "change": Command(no_lines, "Changes.", is_change=True),
}


class Client:
    """A client in the server's own loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader = reader
        self.writer = writer

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def ask(self, command: str, **arguments: object) -> list[dict[str, object]]:
        request = {"id": 7, "command": command, "arguments": arguments}
        self.send(json.dumps(request).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> list[dict[str, object]]:
        """Return the lines of one answer."""
        lines = []
        while True:
            lines.append(json.loads(await self.reader.readline()))
            if "data" not in lines[-1]:
                return lines

    async def rest(self) -> bytes:
        """Return what comes until the server closes."""
        pieces = []
        try:
            while piece := await self.reader.read(65536):
                pieces.append(piece)
        except ConnectionResetError:
            pass
        return b"".join(pieces)


def serve(
    path: Path,
    loop_factory: Loops,
    talk: Callable[..., Awaitable[None]],
    limits: Limits | None = None,
) -> None:
    """Run ``talk(server, connect)`` beside a server."""

    async def main() -> None:
        server = ControlServer(str(path), COMMANDS, limits)
        await server.start()
        clients = []

        async def connect() -> Client:
            reader, writer = await asyncio.open_unix_connection(
                str(path), limit=1 << 22
            )
            clients.append(writer)
            return Client(reader, writer)

        try:
            async with asyncio.timeout(30):
                await talk(server, connect)
        finally:
            for writer in clients:
                writer.transport.abort()
            await server.close()
            await turn()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert not path.exists()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


def test_rows_come_in_chunks_and_end_with_done(path, loop_factory):
    async def talk(server, connect):
        client = await connect()
        *chunks, end = await client.ask("rows", count=2000)
        assert [row["number"] for c in chunks for row in c["data"]] == [*range(2000)]
        assert len(chunks) > 2000 // 512  # a chunk is bounded
        assert all(chunk["id"] == 7 and chunk["more"] is True for chunk in chunks)
        assert end == {"id": 7, "done": True}
        assert await client.ask("rows", count=0) == [{"id": 7, "done": True}]
        assert await client.ask("one") == [
            {"id": 7, "data": {"answer": 42}, "more": True},
            {"id": 7, "done": True},
        ]

    serve(path, loop_factory, talk)


def test_requests_sent_together_are_answered_in_order(path, loop_factory):
    async def talk(server, connect):
        client = await connect()
        for number in range(20):
            client.send(b'{"id": %d, "command": "one"}\n\n' % number)
        for number in range(20):
            assert (await client.answer())[-1] == {"id": number, "done": True}

    serve(path, loop_factory, talk)


def test_a_request_without_newline_is_answered_when_the_client_stops(
    path, loop_factory
):
    async def talk(server, connect):
        client = await connect()
        client.send(b'{"command": "one"}')
        client.writer.write_eof()
        assert (await client.answer())[-1] == {"id": None, "done": True}
        assert await client.rest() == b""

    serve(path, loop_factory, talk)


@pytest.mark.parametrize(
    ("command", "arguments", "code", "expected"),
    [
        ("nothing", {}, "unknown-command", ["break", "change", "help"]),
        ("rows", {"nmae": "x"}, "unknown-argument", ["all", "count", "name"]),
        ("rows", {"count": "1"}, "bad-argument", ["a whole number"]),
        ("rows", {"count": True}, "bad-argument", ["a whole number"]),
        ("rows", {"all": 1}, "bad-argument", ["true or false"]),
        ("rows", {"name": "\ud800"}, "bad-argument", ["text"]),
        ("rows", {"name": None}, "bad-argument", ["text"]),
        ("need", {}, "missing-argument", ["peer"]),
        ("refuse", {}, "no-such-peer", ["a", "b"]),
        ("break", {}, "internal", None),
    ],
)
def test_an_error_names_what_there_is_and_the_connection_lives(
    path, command, arguments, code, expected
):
    async def talk(server, connect):
        client = await connect()
        (answer,) = await client.ask(command, **arguments)
        assert answer["error"]["code"] == code
        assert answer["error"]["message"]
        if expected is None:
            assert "expected" not in answer["error"]
        else:
            assert answer["error"]["expected"][: len(expected)] == expected
        assert (await client.ask("one"))[-1] == {"id": 7, "done": True}

    serve(path, asyncio.new_event_loop, talk)


def test_an_internal_fault_is_logged_in_full_and_reported_in_brief(path, caplog):
    async def talk(server, connect):
        (answer,) = await (await connect()).ask("break")
        assert "log" in answer["error"]["message"]
        assert "fire" not in json.dumps(answer)

    serve(path, asyncio.new_event_loop, talk)
    assert "disk on fire" in caplog.text


def test_an_error_may_come_after_some_rows(path, loop_factory):
    async def talk(server, connect):
        answer = await (await connect()).ask("refuse-midway")
        assert answer[-1]["error"] == {"code": "changed", "message": "it changed"}

    serve(path, loop_factory, talk)


NONSENSE = {
    "binary": bytes(range(256)) + b"\n",
    "text": b"show peers\n",
    "no object": b"[1, 2]\n",
    "number": b"9" * 5000 + b"\n",
    "no command": b'{"id": 1}\n',
    "command is a list": b'{"id": 1, "command": []}\n',
    "id is an object": b'{"id": {}, "command": "one"}\n',
    "arguments are a list": b'{"id": 1, "command": "one", "arguments": [1]}\n',
    "deep": b"[" * 60000 + b"\n",
    "long line": b"x" * 200_000,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("octets", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_gets_an_error_and_the_door(path, loop_factory, octets, caplog):
    async def talk(server, connect):
        client, other = await connect(), await connect()
        client.send(octets)
        lines = (await client.rest()).splitlines()
        assert json.loads(lines[0])["error"]["code"] == "bad-request"
        assert len(lines) == 1
        assert (await other.ask("one"))[-1] == {"id": 7, "done": True}

    serve(path, loop_factory, talk)
    assert "Traceback" not in caplog.text


def test_a_client_that_never_reads_is_dropped_while_others_are_served(
    path, loop_factory
):
    limits = Limits(stall_time=0.2)

    async def talk(server, connect):
        lazy, other = socket.socket(socket.AF_UNIX), await connect()
        with lazy:
            lazy.connect(str(path))
            lazy.sendall(b'{"command": "rows", "arguments": {"count": 100000000}}\n')
            answered = 0
            await until(lambda: server.client_count == 2)
            while server.client_count > 1:
                await other.ask("one")
                answered += 1
                await turn()
            assert answered > 1

    serve(path, loop_factory, talk, limits)


@pytest.mark.slow
def test_a_slow_client_is_not_dropped_while_it_reads(path, loop_factory):
    async def talk(server, connect):
        slow = await connect()
        slow.reader._limit = 4096
        slow.send(b'{"command": "rows", "arguments": {"count": 100000}}\n')
        read = b""
        for _ in range(18):
            await asyncio.sleep(0.05)
            read += await slow.reader.read(1 << 16)
        slow.reader._limit = 1 << 22
        while not read.endswith(b'"done":true}\n'):
            piece = await slow.reader.read(1 << 20)
            assert piece
            read += piece
        numbers = sum(
            len(json.loads(line).get("data", ())) for line in read.splitlines()
        )
        assert numbers == 100_000

    serve(path, loop_factory, talk, Limits(stall_time=0.7))


def test_an_idle_client_is_dropped(path, loop_factory):
    async def talk(server, connect):
        client = await connect()
        client.send(b'{"command": ')
        assert await client.rest() == b""
        assert server.client_count == 0

    serve(path, loop_factory, talk, Limits(idle_time=0.05))


def test_a_client_that_goes_away_midway_costs_nothing(path, loop_factory, caplog):
    async def talk(server, connect):
        client = await connect()
        client.send(b'{"command": "rows", "arguments": {"count": 100000000}}\n')
        await client.reader.readline()
        client.writer.transport.abort()
        await until(lambda: server.client_count == 0)

    serve(path, loop_factory, talk)
    assert "Traceback" not in caplog.text


def test_a_hundred_clients_at_once(path, loop_factory):
    async def talk(server, connect):
        async def one(number):
            client = await connect()
            *chunks, end = await client.ask("rows", count=100 + number)
            assert end == {"id": 7, "done": True}
            return sum(len(chunk["data"]) for chunk in chunks)

        found = await asyncio.gather(*map(one, range(100)))
        assert found == [100 + number for number in range(100)]

    serve(path, loop_factory, talk)


def test_clients_beyond_the_limit_get_an_error(path, loop_factory):
    async def talk(server, connect):
        first = await connect()
        await first.ask("one")
        second = await connect()
        assert json.loads(await second.rest())["error"]["code"] == "too-many-clients"
        assert (await first.ask("one"))[-1] == {"id": 7, "done": True}

    serve(path, loop_factory, talk, Limits(max_clients=1))


@pytest.mark.slow
def test_a_hundred_thousand_rows_leave_the_loop_alive(path, loop_factory):
    async def talk(server, connect):
        client = await connect()
        turns = 0

        async def watch():
            nonlocal turns
            while True:
                await turn()
                turns += 1

        watcher = asyncio.create_task(watch())
        *chunks, end = await client.ask("rows", count=100_000)
        watcher.cancel()
        assert end == {"id": 7, "done": True}
        assert sum(len(chunk["data"]) for chunk in chunks) == 100_000
        # Each line is one slice, and the loop went round between any two.
        assert turns >= len(chunks)

    serve(path, loop_factory, talk)


def test_a_slice_ends_by_time_though_it_made_no_row():
    async def main():
        nothing: Iterator[int | None] = iter(lambda: None, 0)
        made, is_over, _ = _slice(nothing)
        assert made == []
        assert not is_over

    asyncio.run(main())


def test_a_client_that_changes_something_is_logged(path, caplog):
    caplog.set_level("INFO")

    async def talk(server, connect):
        await (await connect()).ask("change")
        await (await connect()).ask("one")

    serve(path, asyncio.new_event_loop, talk)
    changes = [r.message for r in caplog.records if r.name == "bgpd.api.control"]
    asked = f"control: change {{}}, requested by uid {os.getuid()}, pid {os.getpid()}"
    assert changes == [asked]


def test_help_lists_every_command(path):
    async def talk(server, connect):
        pieces = await asyncio.to_thread(lambda: list(call(str(path), "help")))
        rows = [row for piece in pieces if isinstance(piece, list) for row in piece]
        found = {row["command"]: row for row in rows}
        assert found.keys() == COMMANDS.keys() | {"help"}
        assert found["need"]["required"] == ["peer"]
        assert found["rows"]["arguments"]["count"] == "int"

    serve(path, asyncio.new_event_loop, talk)


# -- the socket file --------------------------------------------------------------------


def test_folder_and_socket_are_made_for_owner_and_group(path):
    async def talk(server, connect):
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660

    serve(path, asyncio.new_event_loop, talk)


def test_a_stale_socket_is_replaced(path):
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))

    async def talk(server, connect):
        assert (await (await connect()).ask("one"))[-1]["done"]

    serve(path, asyncio.new_event_loop, talk)


def test_a_second_daemon_gets_an_error(path):
    async def talk(server, connect):
        second = ControlServer(str(path), COMMANDS)
        with pytest.raises(UnixSocketError, match="another daemon listens there"):
            await second.start()
        await second.close()
        assert (await (await connect()).ask("one"))[-1]["done"]

    serve(path, asyncio.new_event_loop, talk)


def test_a_successor_keeps_its_socket_when_the_former_daemon_closes(path):
    async def main():
        first = ControlServer(str(path), COMMANDS)
        await first.start()
        path.unlink()
        second = ControlServer(str(path), COMMANDS)
        await second.start()
        await first.close()
        assert path.exists()
        await second.close()
        assert not path.exists()

    asyncio.run(main())


def test_a_file_that_is_not_a_socket_is_left_alone(path):
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(UnixSocketError, match="not a socket"):
        asyncio.run(ControlServer(str(path), COMMANDS).start())
    assert path.read_text() == "precious"


@pytest.mark.parametrize("target", ["victim", "missing"])
def test_a_planted_link_is_left_alone_with_what_it_points_at(path, target, tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "victim").chmod(0o600)
    path.parent.mkdir()
    path.symlink_to(tmp_path / target)
    with pytest.raises(UnixSocketError, match="not a socket"):
        asyncio.run(ControlServer(str(path), COMMANDS).start())
    assert (tmp_path / "victim").read_text() == "precious"
    assert stat.S_IMODE((tmp_path / "victim").stat().st_mode) == 0o600
    assert not (tmp_path / "missing").exists()


def test_what_took_the_place_of_our_socket_stays_when_we_close(path, tmp_path):
    async def main():
        server = ControlServer(str(path), COMMANDS)
        await server.start()
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")
        await server.close()
        assert path.is_symlink()
        assert (tmp_path / "moved").exists()

    asyncio.run(main())


def test_a_folder_that_everybody_may_write_to_is_reported(path, caplog):
    path.parent.mkdir()
    path.parent.chmod(0o777)

    async def talk(server, connect):
        assert (
            "is world-writable without the sticky bit; others could replace the socket"
            in caplog.text
        )

    serve(path, asyncio.new_event_loop, talk)


@pytest.mark.parametrize("name", ["x" * 120, "file/control.sock"])
def test_a_socket_that_cannot_be_made_says_why(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnixSocketError, match=r"octets at most|choose another path"):
        asyncio.run(ControlServer(str(tmp_path / name), COMMANDS).start())


# -- the blocking client ----------------------------------------------------------------


def test_the_client_yields_pieces_and_raises_the_daemons_errors(path):
    def talk_blocking():
        assert list(call(str(path), "one")) == [{"answer": 42}]
        pieces = call(str(path), "rows", {"count": 1000})
        rows = [row for piece in pieces if isinstance(piece, list) for row in piece]
        assert [row["number"] for row in rows] == [*range(1000)]
        with pytest.raises(ControlError) as told:
            list(call(str(path), "refuse"))
        assert (told.value.code, told.value.expected) == ("no-such-peer", ("a", "b"))

    async def talk(server, connect):
        await asyncio.to_thread(talk_blocking)

    serve(path, asyncio.new_event_loop, talk)


def test_the_client_says_what_is_wrong_with_the_path(tmp_path):
    with pytest.raises(UnreachableError, match="no such socket"):
        list(call(str(tmp_path / "none"), "one"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
        with pytest.raises(UnreachableError, match="nothing listens"):
            list(call(str(tmp_path / "dead"), "one"))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "closed the connection"),
        (b"220 smtp\r\n", "not pybgpd"),
        (b"[]\n", "not pybgpd"),
    ],
)
def test_the_client_is_not_fooled_by_others(tmp_path, answer, text):
    async def main():
        async def reply(reader, writer):
            await reader.readline()
            writer.write(answer)
            writer.close()
            await writer.wait_closed()

        path = str(tmp_path / "other")
        server = await asyncio.start_unix_server(reply, path)
        async with server:
            with pytest.raises(UnreachableError, match=text):
                await asyncio.to_thread(lambda: list(call(path, "one")))

    asyncio.run(main())


def test_the_client_does_not_wait_for_ever(tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        with pytest.raises(UnreachableError, match="does not answer"):
            list(call(str(tmp_path / "silent"), "one", timeout=0.05))
