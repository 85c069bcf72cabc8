"""Sends answers, and cuts off a client that takes nothing of what waits for it. Loads aiohttp."""

import asyncio
from collections.abc import Mapping
from typing import Final, Self

from aiohttp import web

from bgpd.api.answers import compact
from bgpd.api.protocol import ControlError, problem, status_of

PROBLEM: Final = "application/problem+json"
WRITE_BUFFER: Final = 1 << 18  # octets queued for one client before rows stop
STREAM_BUFFER: Final = (
    1 << 15
)  # likewise for a stream: a thousand clients may follow it
_ALWAYS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Reply:
    """One answer on its way.

    Args:
        request: What is answered.
        stall_time: Seconds in which a client may take nothing of what waits for it.

    Attributes:
        has_begun: The status is sent; what fails now can only end the connection.
    """

    def __init__(self, request: web.BaseRequest, stall_time: float) -> None:
        self.has_begun = False
        self._request = request
        self._stall_time = stall_time
        self._response: web.StreamResponse | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the client is gone."""
        transport = self._request.transport
        return transport is None or transport.is_closing()

    @property
    def has_no_body(self) -> bool:
        """Whether the client wants the head alone."""
        return self._request.method == "HEAD"

    async def begin(
        self,
        status: int,
        content_type: str,
        headers: Mapping[str, str] | None = None,
        length: int | None = None,
        *,
        is_stream: bool = False,
    ) -> web.StreamResponse:
        """Send status and headers.

        Raises:
            ConnectionError: The client is gone.
        """
        response = web.StreamResponse(
            status=status,
            headers=_ALWAYS | {"Content-Type": content_type} | dict(headers or {}),
        )
        response.content_length = length
        self._response = response
        self.has_begun = True
        if (transport := self._request.transport) is not None:
            transport.set_write_buffer_limits(
                STREAM_BUFFER if is_stream else WRITE_BUFFER
            )
        await response.prepare(self._request)
        return response

    async def send(self, octets: bytes) -> None:
        """Send a piece, and wait until the client has taken enough.

        Raises:
            ConnectionError: It takes nothing, or is gone.
        """
        if self._response is not None and not self.has_no_body:
            with _Watch(self._request.transport, self._stall_time):
                await self._response.write(octets)

    async def end(self) -> web.StreamResponse:
        """Say that this was all.

        Raises:
            ConnectionError: As ``send``.
        """
        if self._response is None:  # pragma: no cover  # each answer has a beginning
            raise ConnectionError("no answer was begun")
        with _Watch(self._request.transport, self._stall_time):
            await self._response.write_eof()
        return self._response

    async def whole(
        self,
        status: int,
        content_type: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """Send an answer at once."""
        await self.begin(status, content_type, headers, len(body))
        if body:
            await self.send(body)
        return await self.end()

    async def refuse(self, error: ControlError) -> web.StreamResponse:
        """Send an error."""
        headers = {}
        if error.code in ("no-token", "wrong-token"):
            headers["WWW-Authenticate"] = "Bearer"
        elif error.code == "wrong-method":
            headers["Allow"] = ", ".join(error.expected)
        body = f"{compact(problem(error))}\n".encode()
        return await self.whole(status_of(error.code), PROBLEM, body, headers)

    def cut_off(self) -> web.StreamResponse:
        """End the connection: the client must not take what it has for the whole answer."""
        if (transport := self._request.transport) is not None:
            transport.abort()
        if self._response is None:  # pragma: no cover  # each answer has a beginning
            raise ConnectionError("no answer was begun")
        return self._response


class _Watch:
    """Watches a client while something waits for it; one that takes nothing is cut off."""

    def __init__(self, transport: asyncio.Transport | None, stall_time: float) -> None:
        self._transport = transport
        self._stall_time = stall_time
        self._left = -1  # octets that waited when it last looked; not yet known
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._look_later()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._stall_time, self._look)

    def _look(self) -> None:
        if self._transport is None:
            return
        before, self._left = self._left, self._transport.get_write_buffer_size()
        if 0 <= before <= self._left:
            self._transport.abort()
        else:
            self._look_later()
