"""From a path to what answers it. Pure.

Paths are compared as they are sent, segment by segment, and only then decoded: nothing is joined or
made shorter, so that ``..`` and an encoded slash are parts of a name like any others.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

from bgpd.api.protocol import Command, ControlError, Rights, near, shown

READS: Final = ("GET", "HEAD")
_MAX_NAMED: Final = 8  # paths in an error


class Made(NamedTuple):
    """What a document answers.

    Attributes:
        content_type: Of the body.
        pieces: Of the body; each is sent before the next is made.
        status: Of HTTP.
        headers: Besides those of every answer.
    """

    content_type: str
    pieces: Iterable[bytes]
    status: int = 200
    headers: Mapping[str, str] = {}


class Document(NamedTuple):
    """A path that answers octets instead of a command's objects; ``GET`` alone.

    Attributes:
        path: Arguments stand in braces, as in a command's.
        make: Makes it, for each request, of its headers and of the arguments in its path; what
            it raises is an error of the daemon, unless it is a ``ControlError``.
        rights: What a client needs.
    """

    path: str
    make: Callable[[Mapping[str, str], Mapping[str, str]], Awaitable[Made]]
    rights: Rights = Rights.READ


class Foreign(NamedTuple):
    """A path with the form of another program's interface: JSON in pieces; ``GET`` alone.

    Attributes:
        path: With arguments in braces.
        make: From the arguments of path and query to pieces, ``None`` being a yield point.
        rights: What a client needs.
    """

    path: str
    make: Callable[[Mapping[str, str]], Awaitable[Iterable[bytes | None]]]
    rights: Rights = Rights.READ


class Found(NamedTuple):
    """What answers a request.

    Attributes:
        target: A command, a document or a foreign path.
        arguments: Those that are parts of the path.
    """

    target: Command | Document | Foreign
    arguments: Mapping[str, str]


class Paths:
    """All paths of one place where clients come in.

    Args:
        commands: Those that are there.
        documents: Those that are there.
    """

    def __init__(
        self,
        commands: Iterable[Command],
        documents: Iterable[Document | Foreign],
    ) -> None:
        self._rows: list[tuple[Sequence[str], str, Command | Document | Foreign]] = [
            (_segments(each.path), each.method, each) for each in commands
        ]
        self._rows += [(_segments(each.path), "GET", each) for each in documents]

    def find(self, method: str, path: str) -> Found:
        """Return what answers a request.

        Args:
            method: As sent.
            path: As sent, without the query.

        Raises:
            ControlError: ``unknown-path`` or ``wrong-method``, with what there is, or
                ``bad-request``.
        """
        segments = _segments(path)
        methods: list[str] = []
        # A path without arguments goes before one that has them.
        for wanted, allowed, target in sorted(self._rows, key=_parts):
            if not _fits(wanted, segments):
                continue
            if method == allowed or (method == "HEAD" and allowed == "GET"):
                return Found(target, _arguments(wanted, segments))
            methods.append(allowed)
        if methods:
            raise ControlError(
                "wrong-method", f"{shown(path)} is not there for {method}", methods
            )
        paths = sorted({target.path for *_, target in self._rows})
        raise ControlError(
            "unknown-path",
            f"there is no {shown(path)}{near(path, paths)}",
            paths if len(paths) <= _MAX_NAMED else ("/api/v1/openapi.json lists them",),
        )


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


def _parts(row: tuple[Sequence[str], str, object]) -> int:
    return sum(each.startswith("{") for each in row[0])


def _fits(wanted: Sequence[str], segments: Sequence[str]) -> bool:
    return len(wanted) == len(segments) and all(
        bool(there) if name.startswith("{") else name == there
        for name, there in zip(wanted, segments, strict=True)
    )


def _arguments(wanted: Sequence[str], segments: Sequence[str]) -> dict[str, str]:
    try:
        return {
            name[1:-1]: unquote(there, errors="strict")
            for name, there in zip(wanted, segments, strict=True)
            if name.startswith("{")
        }
    except UnicodeDecodeError as error:
        raise ControlError("bad-request", "the path is not UTF-8") from error
