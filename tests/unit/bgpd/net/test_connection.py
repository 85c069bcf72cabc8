"""What one turn has no time for waits, in order, and nothing of it is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from bgpd.net import connection as connection_module
from bgpd.net.connection import Connection, Inbox

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
CHUNK = bytes(range(256)) * 1024  # four times the shared buffer


class Recorder:
    """Takes what connections pass on; stands where a peer's driver does."""

    def __init__(self) -> None:
        self.received: dict[int, bytes] = {}
        self.pieces: list[int] = []  # whose, in order
        self.lost: list[int] = []

    def data_received(self, conn_id: int, data: bytes) -> None:
        self.received[conn_id] = self.received.get(conn_id, b"") + data
        self.pieces.append(conn_id)

    def connection_lost(self, conn_id: int, _reason: str) -> None:
        self.lost.append(conn_id)


@asynccontextmanager
async def connected(
    inbox: Inbox, recorder: Recorder, count: int
) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Yield the far ends of some connections."""
    made: list[Connection] = []

    def adopt(connection: Connection) -> None:
        connection.conn_id = len(made)
        connection.driver = recorder  # type: ignore[assignment]  # as far as it is asked
        made.append(connection)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(inbox, adopt), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        yield [writer for _, writer in pairs]
    finally:
        for _, writer in pairs:
            writer.close()
        server.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - whatever it is
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("make", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("take_time", [-1.0, 10.0], ids=["no time", "time"])
def test_all_of_it_comes_in_order_however_little_time_there_is(
    make: Callable[[], asyncio.AbstractEventLoop],
    take_time: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "TAKE_TIME", take_time)

    async def run() -> None:
        inbox, recorder = Inbox(asyncio.get_running_loop()), Recorder()
        async with connected(inbox, recorder, 3) as writers:
            for writer in writers:
                writer.write(CHUNK)
                writer.close()  # the end waits behind what it ends
            await until(lambda: len(recorder.lost) == 3)
        assert recorder.received == dict.fromkeys(range(3), CHUNK)
        assert not inbox

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(run())


def test_connections_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "TAKE_TIME", -1.0)

    async def run() -> list[int]:
        inbox, recorder = Inbox(asyncio.get_running_loop()), Recorder()
        async with connected(inbox, recorder, 2) as writers:
            for writer in writers:
                writer.write(CHUNK)
            await until(
                lambda: sum(map(len, recorder.received.values())) == 2 * len(CHUNK)
            )
        return recorder.pieces

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pieces = runner.run(run())
    first = pieces[: len(pieces) // 2]
    assert {0, 1} == set(first)


@pytest.mark.parametrize("make", LOOPS, ids=["asyncio", "uvloop"])
def test_what_is_written_arrives_in_order_however_slowly_it_is_read(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    pieces = [
        bytes([n]) * (n * 1021) for n in range(1, 251)
    ]  # 32 MB, half in two parts

    async def run() -> None:
        loop = asyncio.get_running_loop()
        made: list[Connection] = []
        inbox = Inbox(loop)
        server = await loop.create_server(
            lambda: Connection(inbox, made.append), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: bool(made))
        (connection,) = made
        for piece in pieces:
            half = len(piece) // 2
            connection.write([piece[:half], piece[half:]] if half % 2 else [piece])
        assert connection.unsent_len > 0  # or this tests nothing
        for piece in pieces:
            assert await reader.readexactly(len(piece)) == piece
        assert connection.unsent_len == 0
        connection.close(loop)
        connection.write([b"too late"])
        assert await reader.read() == b""
        await until(lambda: connection.transport is None)
        connection.write([b"gone"])
        writer.close()
        server.close()

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(run())
