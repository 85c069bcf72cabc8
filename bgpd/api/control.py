"""The control socket's server.

Answers of millions of rows are made in slices of a few milliseconds, one slice per turn of
the event loop however many clients ask (``bgpd.api.line_server``).
"""

import logging
from collections.abc import Awaitable, Mapping
from functools import partial

from bgpd.api.line_server import Client, GoneError, Limits, UnixServer
from bgpd.api.protocol import (
    MAX_REQUEST_LEN,
    Command,
    ControlError,
    Row,
    decode_request,
    encode_data,
    encode_done,
    encode_error,
    find_command,
)

_log = logging.getLogger(__name__)


class ControlServer(UnixServer):
    """Answers commands on a unix socket.

    Args:
        path: Where the socket is made; its folder is made too.
        commands: Name -> what it does.
        limits: Of each client.
    """

    title = "control socket"
    hint = "; choose another path with --control"

    def __init__(
        self,
        path: str,
        commands: Mapping[str, Command],
        limits: Limits | None = None,
    ) -> None:
        super().__init__(path, limits or Limits(request_len=MAX_REQUEST_LEN))
        self.commands = {"help": Command(self._help, "List the commands."), **commands}

    async def greet(self, client: Client) -> None:
        """Send no greeting: a client speaks first."""

    async def refuse(self, client: Client, text: str) -> None:
        """Say why a client is dropped."""
        code = "bad-request" if text.startswith("a request") else "too-many-clients"
        await client.send(encode_error(None, ControlError(code, text)))

    def _help(self, _: Mapping[str, object]) -> list[Row]:
        return [
            {
                "command": name,
                "help": command.help,
                "arguments": {n: t.__name__ for n, t in command.arguments.items()},
                "required": list(command.required),
            }
            for name, command in sorted(self.commands.items())
        ]

    async def serve(self, client: Client, line: bytes) -> None:
        """Answer one request; only nonsense ends the connection."""
        try:
            request = decode_request(line)
        except ControlError as error:
            await client.send(encode_error(None, error))
            client.is_over = True
            return
        name = request.command
        try:
            command = find_command(self.commands, request)
            if command.is_change:
                arguments = dict(request.arguments)
                _log.info(
                    "control: %(request)s, requested by %(client)s",
                    {
                        "event": "command",
                        # Similar are only lines about the same.
                        "request": f"{name} {arguments}",
                        "client": client.who(),
                        "command": name,
                        "arguments": arguments,
                    },
                )
            answer = command.handle(request.arguments)
            if isinstance(answer, Awaitable):
                answer = await answer
            if isinstance(answer, dict):
                await client.send(encode_data(request.request_id, answer))
            else:
                encode = partial(encode_data, request.request_id)
                await self.stream(client, answer, encode)
            await client.send(encode_done(request.request_id))
        except ControlError as error:
            await client.send(encode_error(request.request_id, error))
        except GoneError:
            raise
        except Exception:  # noqa: BLE001  # logged whole, and told to the client
            # An internal error in one command: the client gets it, all else goes on.
            _log.exception(
                "control: %(command)s failed",
                {"event": "command-failed", "command": name},
            )
            fault = ControlError("internal", f"{name} failed; see the daemon's log")
            await client.send(encode_error(request.request_id, fault))
