"""BIRD's control protocol, for tools that query BIRD.

    <- 0001 BIRD v0.3.3+birdv1.6.8 ready.       greeting
    -> show protocols                           one command a line
    <- 2002-name     proto    table ...         NNNN-: more to come
    <- 1002-kernel1  Kernel   master ...
    <-  device1  Device   master ...            a blank: as the line before
    <- 0000                                     NNNN and a blank: the last line

Codes 8xxx and 9xxx are errors. Clients wait some seconds for each line, and take a line that
begins with none of the codes they know for an error of the daemon: so a long answer is sent
in slices, and the last line always comes.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from bgpd.api.line_server import Client, GoneError, Limits, UnixServer

if TYPE_CHECKING:
    from asyncio import Future

MAX_COMMAND_LEN: Final = 1024  # octets; BIRD's own buffer has as many
END: Final = 0

_log = logging.getLogger(__name__)


class Line(NamedTuple):
    """One line of an answer.

    Attributes:
        code: Four digits.
        text: Without code; empty in most last lines.
        is_last: The answer ends with it.
    """

    code: int
    text: str = ""
    is_last: bool = False


class Session:
    """What is remembered of one client.

    Attributes:
        is_restricted: It gave up its right to change anything.
    """

    def __init__(self) -> None:
        self.is_restricted = False


class Answers(Protocol):
    """Answers commands."""

    @property
    def greeting(self) -> str:
        """The text of the first line."""

    def answer(
        self, command: str, session: Session
    ) -> "Iterable[Line | Future[Any] | None]":
        """Yield the lines of an answer, the last one marked; see ``UnixServer.stream``."""


class Encoder:
    """Writes lines, and a code only where it differs from that of the line before."""

    def __init__(self) -> None:
        self._code = -1

    def __call__(self, lines: Iterable[Line]) -> bytes:
        """Return some lines of one answer as octets."""
        made: list[str] = []
        for code, text, is_last in lines:
            if is_last:
                made.append(f"{code:04d} {text}\n")
            elif code == self._code:
                made.append(f" {text}\n")
            else:
                made.append(f"{code:04d}-{text}\n")
                self._code = code
        return "".join(made).encode()


class BirdServer(UnixServer):
    """Answers BIRD's commands on a unix socket.

    Args:
        path: Where the socket is made; its folder is made too.
        answers: Who answers.
        limits: Of each client.
    """

    title = "BIRD socket"
    hint = ", or set bird.ipv4 and bird.ipv6"

    def __init__(
        self, path: str, answers: Answers, limits: Limits | None = None
    ) -> None:
        super().__init__(path, limits or Limits(request_len=MAX_COMMAND_LEN))
        self._answers = answers
        self._sessions: dict[Client, Session] = {}

    async def greet(self, client: Client) -> None:
        """Say who we are; clients wait for it."""
        self._sessions[client] = Session()
        line = Line(1, self._answers.greeting, is_last=True)
        await client.send(Encoder()((line,)))

    def forget(self, client: Client) -> None:
        """Let go of what was remembered of a client."""
        self._sessions.pop(client, None)

    async def refuse(self, client: Client, text: str) -> None:
        """Say why a client is dropped."""
        await client.send(Encoder()((Line(9001, text, is_last=True),)))

    async def serve(self, client: Client, line: bytes) -> None:
        """Answer one command."""
        command = line.decode(errors="replace").strip()
        session = self._sessions[client]
        try:
            await self.stream(client, self._answers.answer(command, session), Encoder())
        except GoneError:
            raise
        except Exception:  # noqa: BLE001  # logged whole, and told to the client
            _log.exception(
                "BIRD socket: %(command)r failed",
                {"event": "command-failed", "command": command},
            )
            fault = Line(8000, "Internal error; see the daemon's log", is_last=True)
            await client.send(Encoder()((fault,)))
