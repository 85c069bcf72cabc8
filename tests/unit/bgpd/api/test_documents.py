"""Metrics and health, asked by a real client over loopback."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from bgpd.api.documents import health_documents
from bgpd.api.figures import Figures, PeerFigures, PeerTableFigures, TableFigures
from bgpd.api.health import Check
from tests.support.api_places import ApiPlace
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

    async def source(self) -> "Told":
        return self


@pytest.fixture
def told() -> Told:
    return Told()


@pytest_asyncio.fixture
async def place(told: Told) -> AsyncIterator[ApiPlace]:
    place = ApiPlace("127.0.0.1", {}, (), documents=health_documents(told.source))
    await place.start()
    yield place
    await place.close()


@pytest_asyncio.fixture
async def client(place: ApiPlace) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(place.url) as session:
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
        assert (await answer.json(content_type=None))["status"] == status


@pytest.mark.asyncio
async def test_head_has_no_body(client: aiohttp.ClientSession) -> None:
    for path in ("/metrics", "/healthz"):
        async with client.head(path) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
