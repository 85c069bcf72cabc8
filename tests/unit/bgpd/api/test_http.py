"""The HTTP server, asked by a real client over loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from bgpd.api.figures import Figures, PeerFigures, PeerTableFigures, TableFigures
from bgpd.api.http import Check, HttpError, HttpServer
from tests.support.simnet import advance, run_virtually
from tests.support.turns import turn

TABLES = (PeerTableFigures("ipv4-unicast", 4, 4, 0),)


def peers(count: int) -> tuple[PeerFigures, ...]:
    return tuple(
        PeerFigures(
            name=f"node-{i}",
            address=f"10.0.{i >> 8}.{i & 255}",
            state="idle",
            is_established=False,
            flaps=i,
            malformed_updates=i,
            messages_received=i,
            messages_sent=i,
            tables=TABLES,
        )
        for i in range(count)
    )


class Told:
    """An insight that says what a test wants."""

    def __init__(self) -> None:
        table = TableFigures("ipv4-unicast", 4, 4, 0, 1, 1, 0)
        self.shown = Figures("1", 2.0, {"idle": 3}, peers(3), (table,))
        self.live = [Check("event loop", True, "quick")]
        self.ready = [Check("start", True, "done")]

    def figures(self) -> Figures:
        return self.shown

    def liveness(self) -> list[Check]:
        return self.live

    def readiness(self) -> list[Check]:
        return self.ready


@pytest.fixture
def told() -> Told:
    return Told()


@pytest_asyncio.fixture
async def server(told: Told) -> AsyncIterator[HttpServer]:
    server = HttpServer(told, "127.0.0.1", 0)
    await server.start()
    yield server
    await server.close()


@pytest_asyncio.fixture
async def client(server: HttpServer) -> AsyncIterator[aiohttp.ClientSession]:
    base = f"http://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession(base) as session:
        yield session


@pytest.mark.asyncio
async def test_metrics_are_prometheus_text(
    told: Told, client: aiohttp.ClientSession
) -> None:
    async with client.get("/metrics") as answer:
        text = await answer.text()
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(found["pybgpd_peer_up"].samples) == 3
    assert found["pybgpd_uptime_seconds"].samples[0].value == 2.0


@pytest.mark.asyncio
async def test_a_thousand_peers_give_way_to_others(
    told: Told, client: aiohttp.ClientSession
) -> None:
    told.shown = replace(told.shown, peers=peers(1000))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await turn()
            turns += 1

    other = asyncio.create_task(others())
    async with client.get("/metrics") as answer:
        text = await answer.text()
    other.cancel()
    assert text.count("\npybgpd_peer_up{") == 1000
    assert (
        turns >= 1000 // 64 + 10
    )  # peers read some at a time, metrics by some hundred lines


@pytest.mark.asyncio
async def test_health_is_200_while_all_checks_are_met(
    client: aiohttp.ClientSession,
) -> None:
    for path, text in (
        ("/healthz", "ok: event loop: quick\n"),
        ("/readyz", "ok: start: done\n"),
    ):
        async with client.get(path) as answer:
            assert (answer.status, await answer.text()) == (200, text)


@pytest.mark.asyncio
async def test_health_is_503_and_says_which_check_is_not_met(
    told: Told, client: aiohttp.ClientSession
) -> None:
    told.ready.append(Check("fib", False, "9 changes pending"))
    told.live = [Check("event loop", False, "held up")]
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.text() == (
            "ok: start: done\nnot ok: fib: 9 changes pending\n"
        )
    async with client.get("/healthz") as answer:
        assert answer.status == 503


@pytest.mark.asyncio
async def test_status_is_json(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/status") as answer:
        shown = await answer.json()
    assert shown["peers"] == 3
    assert shown["session_states"] == {"idle": 3}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/x", 404), ("POST", "/metrics", 405)],
)
@pytest.mark.asyncio
async def test_other_requests_are_errors(
    client: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with client.request(method, path) as answer:
        assert answer.status == status


@pytest.mark.asyncio
async def test_head_has_no_body(client: aiohttp.ClientSession) -> None:
    for path in ("/metrics", "/healthz"):
        async with client.head(path) as answer:
            assert (answer.status, await answer.read()) == (200, b"")


def test_a_reader_that_does_not_read_is_cut_off(told: Told) -> None:
    async def scenario() -> None:
        told.shown = replace(told.shown, peers=peers(2000))
        server = HttpServer(told, "127.0.0.1", 0, patience=30)
        await server.start()
        lazy, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await advance(20)
        other, answered = await asyncio.open_connection("127.0.0.1", server.port)
        answered.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await other.readline()).startswith(b"HTTP/1.1 200 ")
        await advance(20)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        octets = b""
        with suppress(ConnectionResetError):
            while piece := await lazy.read(1 << 20):
                octets += piece
        for each in (writer, answered):
            each.close()
        await server.close()
        assert octets.startswith(b"HTTP/1.1 200 ")
        assert not octets.endswith(b"\r\n0\r\n\r\n")

    run_virtually(scenario())


@pytest.mark.asyncio
async def test_nonsense_ends_only_its_own_connection(
    server: HttpServer, client: aiohttp.ClientSession
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\xff" * 19 + b"\x00\x13\x04\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    assert b" 400 " in answer.split(b"\r\n")[0]
    writer.close()
    await writer.wait_closed()
    async with client.get("/healthz") as good:
        assert good.status == 200


@pytest.mark.asyncio
async def test_a_taken_port_is_a_clear_error(told: Told, server: HttpServer) -> None:
    second = HttpServer(told, "127.0.0.1", server.port)
    with pytest.raises(HttpError, match=f"127.0.0.1 port {server.port}"):
        await second.start()
    assert second.port == 0
    await second.close()
