"""The protocol of the control socket: one JSON object per line, both ways. Pure.

    -> {"id": 1, "command": "show-routes", "arguments": {"family": "ipv4-unicast"}}
    <- {"id": 1, "data": [{...}, {...}], "more": true}     any number of times
    <- {"id": 1, "done": true}
    <- {"id": 1, "error": {"code": "...", "message": "...", "expected": ["..."]}}

``data`` is a list of rows; where a command has one answer instead of rows, an object, sent
once. Each request ends in one ``done`` or one ``error``, also after some data. Requests of
one connection are answered in order.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bgpd.texts.json_text import load
from bgpd.texts.limits import REQUEST, TextError

DEFAULT_PATH: Final = "/run/pybgpd/pybgpd.sock"
PATH_VARIABLE: Final = "PYBGPD_CONTROL_PATH"  # one name for the daemon and its clients
SHORT_PATH_VARIABLE: Final = "PYBGPD_CONTROL"  # means the same
_MAX_SHOWN: Final = 80  # characters of the request
MAX_REQUEST_LEN: Final = REQUEST.octets  # with the line's end

Row = dict[str, Any]
Arguments = Mapping[str, Any]
# ``None`` among the rows is a yield point: nothing to say yet, let others work.
Answer = Row | Iterable[Row | None]
Handler = Callable[[Arguments], Answer | Awaitable[Answer]]
RequestId = str | int | None


class ControlError(Exception):
    """An invalid request; reported to the client, not logged as an internal error.

    Args:
        code: A word for programs, such as ``no-such-peer``.
        message: A sentence for people.
        expected: What would have been right, where there is a list of it.
    """

    def __init__(self, code: str, message: str, expected: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.expected = tuple(expected)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that clients can send.

    Attributes:
        handle: Answers; called with arguments that were checked against ``arguments``.
        help: One line for people.
        arguments: Name -> type of each argument; ``str``, ``int`` or ``bool``.
        required: Arguments that must be there.
        is_change: It changes the daemon: who asked is logged.
    """

    handle: Handler
    help: str
    arguments: Mapping[str, type] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    is_change: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One line from a client.

    Attributes:
        request_id: Returned with each line of the answer.
        command: Not checked yet.
        arguments: Not checked yet.
    """

    request_id: RequestId
    command: str
    arguments: Mapping[str, Any]


def decode_request(line: bytes) -> Request:
    """Return the request of a line.

    Raises:
        ControlError: ``bad-request``: the line is not a request; the connection cannot be
            trusted any more.
    """
    try:
        found = load(line, REQUEST, keeps_halves=True).value
    except TextError as error:
        raise ControlError(
            "bad-request", f"a request is one line of JSON: {error}", ("a JSON object",)
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("command"), str):
        raise ControlError(
            "bad-request",
            "a request is an object with id, command and arguments",
            ('{"id": 1, "command": "show-status", "arguments": {}}',),
        )
    request_id = found.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise ControlError("bad-request", "id is text or a whole number", ("id",))
    arguments = found.get("arguments")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ControlError("bad-request", "arguments is an object", ("arguments",))
    return Request(request_id, found["command"], arguments)


def find_command(commands: Mapping[str, Command], request: Request) -> Command:
    """Return the command a request names, with its arguments checked.

    Raises:
        ControlError: ``unknown-command``, ``unknown-argument``, ``missing-argument`` or
            ``bad-argument``, with what there is.
    """
    command = commands.get(request.command)
    if command is None:
        raise ControlError(
            "unknown-command",
            f"there is no command {_shown(request.command)}",
            sorted(commands),
        )
    for name, value in request.arguments.items():
        kind = command.arguments.get(name)
        if kind is None:
            raise ControlError(
                "unknown-argument",
                f"{request.command} has no argument {_shown(name)}",
                sorted(command.arguments),
            )
        if type(value) is not kind or not _is_sound(value):
            raise ControlError(
                "bad-argument",
                f"invalid value for argument {name} of {request.command}: {_shown(value)}",
                (_TYPE_NAMES[kind],),
            )
    for name in command.required:
        if name not in request.arguments:
            raise ControlError(
                "missing-argument", f"{request.command} needs {name}", command.required
            )
    return command


_TYPE_NAMES: Final = {str: "text", int: "a whole number", bool: "true or false"}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _is_sound(value: object) -> bool:
    """Whether text can be written as UTF-8: JSON allows halves of characters."""
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return True


def encode(message: Row) -> bytes:
    """Return one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def encode_data(request_id: RequestId, data: Row | list[Row]) -> bytes:
    """Return a line of data, with more to come."""
    return encode({"id": request_id, "data": data, "more": True})


def encode_done(request_id: RequestId) -> bytes:
    """Return the last line of an answer."""
    return encode({"id": request_id, "done": True})


def encode_error(request_id: RequestId, error: ControlError) -> bytes:
    """Return the last line of an answer that failed."""
    told: Row = {"code": error.code, "message": error.message}
    if error.expected:
        told["expected"] = list(error.expected)
    return encode({"id": request_id, "error": told})
