"""One connection of HTTP: when what it received is parsed, and errors of the protocol. Loads aiohttp."""

import logging
from typing import Any, Final

from aiohttp import web

from bgpd.api.read_turns import ReadTurns

INTERNAL: Final = 500  # HTTP's status of our own faults, and above

_log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """One connection; errors of the protocol are problem objects, too.

    Args:
        turns: Decides when what it received is parsed.
        server: As aiohttp's.
        options: Likewise.

    Attributes:
        held: See ``bgpd.api.read_turns.Reader``.
    """

    __slots__ = ("_turns", "held")

    def __init__(
        self,
        turns: ReadTurns,
        server: web.Server,
        **options: Any,  # noqa: ANN401  # aiohttp's
    ) -> None:
        super().__init__(server, **options)
        self._turns = turns
        self.held = 0

    def data_received(self, data: bytes) -> None:
        """Have a piece parsed, in this turn of the loop or a later one."""
        if data:
            self._turns.received(self, data)
        else:  # aiohttp goes on with what it has
            self.parse(data)

    def parse(self, octets: bytes) -> None:
        """See ``Reader``."""
        super().data_received(octets)

    def hold(self) -> None:
        """See ``Reader``."""
        if self.transport is not None:
            self.transport.pause_reading()

    def go_on(self) -> None:
        """See ``Reader``."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # aiohttp's interface
    ) -> web.StreamResponse:
        """Return the answer to what is not HTTP, or cannot be answered."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client is gone
        if status >= INTERNAL:
            _log.error(
                "%(part)s: %(command)s failed",
                {
                    "event": "command-failed",
                    "part": "API",
                    "command": f"{request.method} {request.path}",
                },
                exc_info=exc,
            )
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        body: dict[str, object] = {
            "status": status,
            "code": "bad-request" if status < INTERNAL else "internal",
            "message": "this is not a request of HTTP that can be read"
            if status < INTERNAL
            else "the request failed; see the daemon's log",
        }
        response = web.json_response(
            body, status=status, content_type="application/problem+json"
        )
        response.force_close()
        return response
