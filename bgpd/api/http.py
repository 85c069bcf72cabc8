"""The HTTP server: metrics for Prometheus, health for Kubernetes, status for people.

    /metrics      Prometheus' text
    /healthz      200 while the event loop serves in time: restart the process otherwise
    /readyz       200 once everything that was waited for at the start is there
    /api/status   what metrics tell, without single peers, as JSON

Bounded: a reader that stops reading is cut off, and a long answer gives way to BGP after
each piece.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from bgpd.api.figures import Figures, summary
from bgpd.api.metrics import render

REQUEST_TIMEOUT: Final = 30.0  # seconds
SHUTDOWN: Final = 1.0  # seconds that answers in the making get at the end
BACKLOG: Final = 64

OK: Final = 200
UNAVAILABLE: Final = 503


class Check(NamedTuple):
    """One condition of health.

    Attributes:
        name: A word, such as ``listener``.
        is_met: Whether it holds.
        text: What is known, for people.
    """

    name: str
    is_met: bool
    text: str


class HealthSource(Protocol):
    """What the server needs from the daemon; each call returns at once."""

    def figures(self) -> Figures:
        """Return a snapshot for metrics."""

    def liveness(self) -> Iterable[Check]:
        """Return the liveness checks."""

    def readiness(self) -> Iterable[Check]:
        """Return the readiness checks."""


class HttpError(Exception):
    """The server cannot listen; the text says why."""


class HttpServer:
    """Serves ``health_source`` from ``start`` to ``close``.

    Args:
        health_source: The daemon.
        address: To listen on.
        port: TCP port; 0 lets the kernel choose.
        patience: Seconds until a reader of metrics that does not read is cut off.
    """

    def __init__(
        self,
        health_source: HealthSource,
        address: str,
        port: int,
        patience: float = REQUEST_TIMEOUT,
    ) -> None:
        self._insight = health_source
        self._patience = patience
        self._address = address
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 before ``start``."""
        addresses = self._runner.addresses if self._runner is not None else ()
        return next((int(found[1]) for found in addresses), 0)

    async def start(self) -> None:
        """Listen.

        Raises:
            HttpError: The port is unavailable.
        """
        routes: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            "/metrics": self._metrics,
            "/healthz": self._liveness,
            "/readyz": self._readiness,
            "/api/status": self._status,
        }
        app = web.Application()
        app.add_routes([web.get(path, handler) for path, handler in routes.items()])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN)
        await runner.setup()
        site = web.TCPSite(runner, self._address, self._port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise HttpError(
                f"cannot serve metrics on {self._address} port {self._port}: "
                f"{error.strerror}"
            ) from error
        self._runner = runner

    async def close(self) -> None:
        """Stop serving."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE_LATEST})
        try:
            async with asyncio.timeout(self._patience):
                await response.prepare(request)
                if request.method == "HEAD":
                    return response
                for piece in render(self._insight.figures()):
                    if piece:
                        await response.write(piece)
                    await asyncio.sleep(0)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _liveness(self, _request: web.Request) -> web.Response:
        return _answer(self._insight.liveness())

    async def _readiness(self, _request: web.Request) -> web.Response:
        return _answer(self._insight.readiness())

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(summary(self._insight.figures()))


def _answer(checks: Iterable[Check]) -> web.Response:
    """Return a line for each check, and 503 if one fails."""
    found = list(checks)
    lines = [
        f"{'ok' if check.is_met else 'not ok'}: {check.name}: {check.text}\n"
        for check in found
    ]
    is_met = all(check.is_met for check in found)
    return web.Response(status=OK if is_met else UNAVAILABLE, text="".join(lines))
