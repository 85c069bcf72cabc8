"""The client's end of the control socket, for ``pybgpctl`` and scripts; it blocks.

Imports little, so that a command line starts fast.
"""

import json
import os
import socket
from collections.abc import Iterator
from typing import Final

from bgpd.api.protocol import ControlError, Row, encode

TIMEOUT: Final = 60.0  # seconds without a word from the daemon

_HINTS: Final = (
    (FileNotFoundError, "no such socket; is pybgpd running?"),
    (ConnectionRefusedError, "nothing listens there; is pybgpd running?"),
    (PermissionError, "permission denied; try as root or as a member of its group"),
    (TimeoutError, "the daemon does not answer"),
)


class UnreachableError(Exception):
    """The daemon is unreachable; the text names the path and gives a hint."""


def call(
    path: str, command: str, arguments: Row | None = None, timeout: float = TIMEOUT
) -> Iterator[Row | list[Row]]:
    """Send one request; yield the pieces of the answer as they arrive: rows, or one object.

    Args:
        path: The daemon's control socket.
        command: Name of the command.
        arguments: ``None`` is none.
        timeout: Seconds to wait for each piece.

    Raises:
        UnreachableError: There is no daemon, or it went away before the end.
        ControlError: The daemon says no.
    """
    request = {"id": 1, "command": command, "arguments": arguments or {}}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(path)
            sock.sendall(encode(request))
            with sock.makefile("rb") as lines:
                for line in lines:
                    message = _decode(line)
                    if "data" not in message:
                        _end(message)
                        return
                    yield message["data"]
    except OSError as error:
        raise UnreachableError(f"{path}: {_hint(error)}") from error
    except ValueError as error:
        raise UnreachableError(
            f"{path}: the program that answers is not pybgpd: {error}"
        ) from error
    raise UnreachableError(
        f"{path}: the daemon closed the connection before the end of its answer"
    )


def _decode(line: bytes) -> Row:
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"{line[:40]!r}")  # noqa: TRY004  # as json's own error
    return message


def _end(message: Row) -> None:
    error = message.get("error")
    if error is not None:
        raise ControlError(error["code"], error["message"], error.get("expected", ()))


def _hint(error: OSError) -> str:
    for kind, hint in _HINTS:
        if isinstance(error, kind):
            return hint
    return os.strerror(error.errno) if error.errno else str(error)
