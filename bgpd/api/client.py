"""The client's end of the API, for ``pybgpctl`` and scripts; it blocks.

Imports little, so that a command line starts fast: HTTP's own module, with the mail headers that it
reads, takes 20 ms. What is read here is what our server sends.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from bgpd.api.commands import COMMANDS
from bgpd.api.protocol import Command, ControlError, Row, near

TIMEOUT: Final = 60.0  # seconds without a word from the daemon
_MAX_LINE: Final = 1 << 16  # octets of a head's line
_MAX_ROW: Final = 1 << 26  # octets of one object
_MAX_HEADERS: Final = 100
_BATCH: Final = 1 << 16  # octets of rows that are handed on together

_HINTS: Final = (
    (FileNotFoundError, "no such socket; is pybgpd running?"),
    (ConnectionRefusedError, "nothing listens there; is pybgpd running?"),
    (PermissionError, "permission denied; try as root or as a member of its group"),
    (TimeoutError, "the daemon does not answer"),
)


class UnreachableError(Exception):
    """The daemon is unreachable; the text names the place and gives a hint."""


class Remote(NamedTuple):
    """A daemon on another machine.

    Attributes:
        url: ``https://host:port`` or ``http://host:port``.
        token_file: File with a bearer token; empty for none.
        ca_file: Certificates that sign the server's; empty for those of the system.
        tls_name: Name that the server's certificate has; empty is the URL's host.
    """

    url: str
    token_file: str = ""
    ca_file: str = ""
    tls_name: str = ""


Place = str | Remote
"""Where a daemon is: the path of its control socket, or another machine."""


def call(
    place: Place, command: str, arguments: Row | None = None, timeout: float = TIMEOUT
) -> Iterator[Row | list[Row]]:
    """Send one request; yield the pieces of the answer as they arrive: rows, or one object.

    Args:
        place: The daemon's.
        command: Name of the command.
        arguments: ``None`` is none.
        timeout: Seconds to wait for each piece.

    Raises:
        UnreachableError: There is no daemon, or it went away before the end.
        ControlError: The daemon says no.
    """
    declared = COMMANDS.get(command)
    if declared is None:
        raise ControlError(
            "unknown-command",
            f"there is no command {command!r}{near(command, COMMANDS)}",
            sorted(COMMANDS),
        )
    name = place if isinstance(place, str) else place.url
    try:
        request = _request(place, declared, dict(arguments or {}))
        with _connect(place, timeout) as sock:
            sock.settimeout(timeout)
            # One that refuses us says so without reading what we ask.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(request)
            with sock.makefile("rb") as stream:
                yield from _answer(declared, stream)
    except OSError as error:
        raise UnreachableError(f"{name}: {_hint(error)}") from error
    except _BrokenOffError as error:
        raise UnreachableError(
            f"{name}: the daemon closed the connection before the end of its answer"
        ) from error
    except ValueError as error:
        raise UnreachableError(
            f"{name}: the program that answers is not pybgpd, or of another release: {error}"
        ) from error


class _BrokenOffError(Exception):
    """The connection ended before the answer."""


def _request(place: Place, command: Command, arguments: Row) -> bytes:
    path = command.path
    for argument in command.in_path:
        path = path.replace(
            f"{{{argument.name}}}", _quoted(str(arguments.pop(argument.name, "")))
        )
    body = b""
    headers = ["Accept: application/x-ndjson", "Connection: close"]
    if command.method == "GET":
        pairs = [
            f"{_quoted(name)}={_quoted(_text(each))}"
            for name, value in arguments.items()
            for each in (value if isinstance(value, list | tuple) else [value])
        ]
        path += f"?{'&'.join(pairs)}" if pairs else ""
    else:
        body = json.dumps(arguments).encode()
        headers += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if isinstance(place, Remote):
        host, token = _host(place), _token(place)
        headers += [
            f"Host: {host}",
            *([f"Authorization: Bearer {token}"] if token else []),
        ]
    else:
        headers.append("Host: localhost")
    head = "\r\n".join([f"{command.method} {path} HTTP/1.1", *headers, "", ""])
    return head.encode() + body


def _text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


_SAFE: Final = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
)


def _quoted(text: str) -> str:
    """Return text as part of a path or query (RFC 3986 2.1)."""
    octets = text.encode("utf-8", "surrogatepass")
    return "".join(chr(each) if each in _SAFE else f"%{each:02X}" for each in octets)


def _connect(place: Place, timeout: float) -> socket.socket:
    if isinstance(place, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect(place)
        except BaseException:
            sock.close()
            raise
        return sock
    from bgpd.api.remote import connect  # noqa: PLC0415  # TLS takes 10 ms

    return connect(place.url, place.ca_file, timeout, place.tls_name)


def _host(place: Remote) -> str:
    from bgpd.api.remote import host_of  # noqa: PLC0415  # as above

    return host_of(place.url)


def _token(place: Remote) -> str:
    from bgpd.api.remote import token_of  # noqa: PLC0415  # as above

    return token_of(place.token_file)


def _answer(command: Command, stream: BinaryIO) -> Iterator[Row | list[Row]]:
    status, headers = _head(stream)
    pieces = _pieces(stream, headers)
    if status != 200:
        raise _refusal(status, headers, b"".join(pieces))
    if not headers.get("content-type", "").startswith("application/x-ndjson"):
        raise ValueError("it does not send lines of JSON")
    for lines in _whole_lines(pieces):
        rows = [json.loads(line) for line in lines]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("it does not send objects")
        if command.kind.is_list:
            yield rows
        else:
            yield from rows


def _head(stream: BinaryIO) -> tuple[int, dict[str, str]]:
    """Read the head of an answer; return status and headers."""
    first = _line(stream)
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ValueError(repr(first[:40]))
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = _line(stream)
        if not line:
            return int(rest[:3]), headers
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    raise ValueError("it sends too many headers")


def _line(stream: BinaryIO) -> str:
    line = stream.readline(_MAX_LINE)
    if not line.endswith(b"\n"):
        if len(line) == _MAX_LINE:
            raise ValueError("it sends a line without an end")
        raise _BrokenOffError
    return line.decode("latin-1").rstrip("\r\n")


def _pieces(stream: BinaryIO, headers: dict[str, str]) -> Iterator[bytes]:
    """Yield the body's octets as they come.

    Raises:
        _BrokenOffError: It ends before it should.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while size := int(_line(stream).partition(";")[0], 16):
            yield _exactly(stream, size)
            _line(stream)
        return
    if "content-length" in headers:
        yield _exactly(stream, int(headers["content-length"]))
        return
    while piece := stream.read(_BATCH):
        yield piece


def _exactly(stream: BinaryIO, size: int) -> bytes:
    if not 0 <= size <= _MAX_ROW:
        raise ValueError(f"it sends a piece of {size} octets")
    octets = stream.read(size)
    if len(octets) < size:
        raise _BrokenOffError
    return octets


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines that each piece completes; empty ones are heartbeats."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if found := [line for line in lines if line.strip()]:
            yield found
        if len(rest) > _MAX_ROW:
            raise ValueError("it sends a line without an end")
    if rest.strip():
        yield [rest]


def _refusal(status: int, headers: dict[str, str], body: bytes) -> ControlError:
    if not headers.get("content-type", "").startswith("application/problem+json"):
        raise ValueError(f"it answers with HTTP status {status}")
    found = json.loads(body)
    return ControlError(found["code"], found["message"], found.get("expected", ()))


def _hint(error: OSError) -> str:
    for kind, hint in _HINTS:
        if isinstance(error, kind):
            return hint
    if error.strerror:
        return error.strerror
    return os.strerror(error.errno) if error.errno else str(error)
