"""Connections: what one turn has no time for waits, in order, and nothing of it is lost."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop

from bgpd.net import poller as poller_module
from bgpd.net import tcp_connection as connection_module
from bgpd.net.poller import Poller
from bgpd.net.tcp_connection import LOW_WATER, Connection
from tests.support.speakers import on_both_loops, until
from tests.support.turns import turn

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
CHUNK = bytes(range(256)) * 1024  # four times what is read at once


class Recorder:
    """Takes what connections pass on; stands where a peer's driver does."""

    def __init__(self) -> None:
        self.received: dict[int, bytes] = {}
        self.pieces: list[int] = []  # whose, in order
        self.lost: dict[int, str] = {}
        self.resumed: list[int] = []

    def data_received(self, conn_id: int, data: bytes) -> None:
        self.received[conn_id] = self.received.get(conn_id, b"") + data
        self.pieces.append(conn_id)

    def connection_lost(self, conn_id: int, reason: str) -> None:
        self.lost[conn_id] = reason

    def writing_resumed(self, conn_id: int) -> None:
        self.resumed.append(conn_id)


@asynccontextmanager
async def a_poller() -> AsyncIterator[Poller]:
    made = Poller(asyncio.get_running_loop())
    yield made
    made.close()


def a_connection(poller: Poller) -> tuple[Connection, socket.socket]:
    """Return a connection, and the far end, which blocks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    near.setblocking(False)
    return Connection(poller, near), far


def some_connections(
    poller: Poller, recorder: Recorder, count: int
) -> list[socket.socket]:
    """Return the far ends of some connections."""
    far_ends = []
    for conn_id in range(count):
        connection, far = a_connection(poller)
        connection.conn_id = conn_id
        connection.owner = recorder
        far_ends.append(far)
    return far_ends


async def send(far: socket.socket, octets: bytes) -> None:
    far.setblocking(False)
    await asyncio.get_running_loop().sock_sendall(far, octets)


@pytest.mark.parametrize("take_time", [-1.0, 10.0], ids=["no time", "time"])
@on_both_loops
async def test_all_of_it_comes_in_order_however_little_time_there_is(
    take_time: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller_module, "TAKE_TIME", take_time)
    recorder = Recorder()
    async with a_poller() as poller:
        for far in some_connections(poller, recorder, 3):
            await send(far, CHUNK)
            far.close()  # the end waits behind what it ends
        await until(lambda: len(recorder.lost) == 3)
        assert not poller.has_more()
    assert recorder.received == dict.fromkeys(range(3), CHUNK)
    assert {*recorder.lost.values()} == {"closed by the peer"}


@on_both_loops
async def test_connections_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller_module, "TAKE_TIME", -1.0)
    recorder = Recorder()
    async with a_poller() as poller:
        far_ends = some_connections(poller, recorder, 2)
        await asyncio.gather(*[send(far, CHUNK) for far in far_ends])
        await until(lambda: sum(map(len, recorder.received.values())) == 2 * len(CHUNK))
        for far in far_ends:
            far.close()
        await until(lambda: len(recorder.lost) == 2)
    assert {0, 1} == set(recorder.pieces[: len(recorder.pieces) // 2])


@on_both_loops
async def test_a_timer_is_not_held_up_by_peers_that_always_have_more() -> None:
    recorder = Recorder()
    loop = asyncio.get_running_loop()
    async with a_poller() as poller:
        (far,) = some_connections(poller, recorder, 1)
        far.setblocking(False)

        def pour(conn_id: int, data: bytes) -> None:
            recorder.pieces.append(conn_id)
            with suppress(OSError):  # full, or closed
                far.send(data)
                far.send(data)

        recorder.data_received = pour  # type: ignore[method-assign]
        await send(far, CHUNK)
        late = []
        for _ in range(20):
            due = loop.time() + 0.001
            timer = loop.create_future()
            loop.call_later(0.001, timer.set_result, None)
            await timer
            late.append(loop.time() - due)
        assert len(recorder.pieces) > 20
        assert min(late) < 1.0  # it comes at all; how late is measured elsewhere
        far.close()
        await until(lambda: recorder.lost)


@on_both_loops
async def test_what_is_written_arrives_in_order_however_slowly_it_is_read() -> None:
    pieces = [
        bytes([n]) * (n * 1021) for n in range(1, 251)
    ]  # 32 MB, half in two parts
    async with a_poller() as poller:
        connection, far = a_connection(poller)
        for piece in pieces:
            half = len(piece) // 2
            connection.write([piece[:half], piece[half:]] if half % 2 else [piece])
        assert connection.unsent_len > 0  # or this tests nothing
        reader, writer = await asyncio.open_connection(sock=far)
        for piece in pieces:
            assert await reader.readexactly(len(piece)) == piece
        assert connection.unsent_len == 0
        connection.close()
        connection.write([b"too late"])
        assert await reader.read() == b""
        assert connection.is_closed
        writer.close()


@on_both_loops
async def test_a_write_says_when_too_much_waits_and_the_owner_hears_when_it_has_left() -> (
    None
):
    recorder = Recorder()
    async with a_poller() as poller:
        connection, far = a_connection(poller)
        connection.owner = recorder
        answers = []
        while connection.unsent_len <= connection_module.HIGH_WATER:
            answers.append(connection.write([bytes(1 << 20)]))
        assert answers == [True] * (len(answers) - 1) + [False]
        assert not connection.write([b"more"])
        reader, writer = await asyncio.open_connection(sock=far)
        while connection.unsent_len:
            assert not recorder.resumed or connection.unsent_len <= LOW_WATER
            assert connection.write([b""]) == bool(recorder.resumed)
            assert await reader.read(1 << 20)
        assert recorder.resumed == [0]
        assert connection.write([b"again"])
        writer.close()
        await until(lambda: connection.is_closed)
        assert connection.write([b"too late"])


@on_both_loops
async def test_what_was_written_leaves_after_closing_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "LINGER", 0.2)
    async with a_poller() as poller:
        slow, far = a_connection(poller)
        stuck, other = a_connection(poller)
        for connection in (slow, stuck):
            while not connection.unsent_len:
                connection.write([bytes(1 << 20)])
            connection.close()
            connection.close()
        assert not slow.is_closed
        assert not stuck.is_closed
        reader, writer = await asyncio.open_connection(sock=far)
        assert len(await reader.read()) >= 1 << 20
        assert slow.is_closed
        writer.close()
        await until(lambda: stuck.is_closed)
        other.close()


@on_both_loops
async def test_a_reset_connection_is_lost_with_the_reason() -> None:
    recorder = Recorder()
    async with a_poller() as poller:
        idle, writing = some_connections(poller, recorder, 2)
        await turn(3)
        connection, far = a_connection(poller)
        connection.conn_id = 2
        connection.owner = recorder
        while not connection.unsent_len:
            connection.write([bytes(1 << 20)])
        for sock in (idle, writing, far):
            no_linger = b"\1\0\0\0\0\0\0\0"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            sock.close()
        await until(lambda: len(recorder.lost) == 3)
        assert {*recorder.lost.values()} == {"Connection reset by peer"}
        connection.write([b"nobody is there"])
        assert connection.unsent_len == 0
        assert connection.address_pair() == ("", "")


def test_a_fault_costs_one_connection_and_is_reported() -> None:
    async def run() -> None:
        recorder, reports = Recorder(), list[dict[str, object]]()
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reports.append(context)
        )

        def fail(conn_id: int, data: bytes) -> None:
            if conn_id == 0:
                raise RuntimeError("bug")
            recorder.received[conn_id] = data

        recorder.data_received = fail  # type: ignore[method-assign]
        async with a_poller() as poller:
            first, second = some_connections(poller, recorder, 2)
            first.sendall(b"one")
            second.sendall(b"two")
            await until(lambda: recorder.lost and recorder.received)
            assert recorder.received == {1: b"two"}
            assert recorder.lost == {0: "closed because of an internal error"}
            assert [str(report["exception"]) for report in reports] == ["bug"]
            assert first.recv(1) == b""
            first.close()
            second.close()
            await until(lambda: len(recorder.lost) == 2)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def descriptor_count() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@on_both_loops
async def test_a_poller_lets_go_of_the_loop_with_the_last_connection() -> None:
    before = descriptor_count()
    poller = Poller(asyncio.get_running_loop())
    connection, far = a_connection(poller)
    poller.close()
    far.sendall(b"goodbye")
    far.close()
    await until(lambda: connection.is_closed)
    assert not poller.has_more()
    with pytest.raises(OSError, match=rf"Errno {errno.EBADF}|closed"):
        connection.sock.getpeername()
    assert descriptor_count() == before
