"""Kubernetes' API over HTTP: lists in pieces and watches, as plain JSON.

Credentials and TLS are lightkube's. Its lists and watches are not used: they take an object
of an unexpected shape as the end of all, end a line at any character that Unicode calls one,
ask for no bookmarks, wait for ever for a server that fell silent, and ask again at once
whenever a watch ends.
"""

import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from bgpd.texts.json_text import load
from bgpd.texts.limits import ANSWER, TextError

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response
    from lightkube import SingleConfig

Object = Mapping[str, Any]

CHUNK: Final = 100  # objects of one answer; decoding them holds the loop for some 6 ms
ANSWER_OCTETS: Final = 1 << 20  # of several objects; decoding holds the loop for 15 ms
ANSWER_TIME: Final = 10.0  # seconds to connect, and to wait for more of a list
GRACE = 15.0  # seconds that a watch may be silent beyond its time
MAX_SHOWN: Final = 500  # characters of what the API says
EXPIRED: Final = 410
OPEN: Final = "OPEN"  # no verb of the API: a watch was accepted
# A server whose machine is gone is noticed within 30 s.
_SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class ApiError(Exception):
    """The API said no, or something that cannot be understood.

    Attributes:
        code: HTTP status; 0 without one.
        retry_after: Seconds that the server tells us to wait.
    """

    def __init__(self, text: str, code: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after = retry_after


class Piece(NamedTuple):
    """A part of a list, and the version of the whole."""

    objects: list[Object]
    version: str


class ApiClient:
    """One client of the API; a context that closes it.

    Args:
        http: Has credentials and the server's address.
    """

    def __init__(self, http: "AsyncClient") -> None:
        self._http = http

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def pieces(
        self, path: str, selector: Mapping[str, str]
    ) -> AsyncGenerator[Piece, None]:
        """List a collection.

        If that many objects are more than can be decoded at once, it requests fewer.

        Raises:
            ApiError: The answer is none, or one object is larger than is taken.
        """
        params = {**selector, "limit": str(CHUNK)}
        count = CHUNK
        while True:
            params["limit"] = str(count)
            most = ANSWER.octets if count == 1 else ANSWER_OCTETS
            async with self._http.stream("GET", path, params=params) as response:
                octets = await _body(response, most)
                if response.status_code != 200:
                    raise _refusal(response, octets or b"")
            if octets is None:
                if count == 1:
                    raise ApiError(f"an object has more than {most} octets")
                count = max(1, count // 10)
                continue
            body = _read(octets)
            metadata = _mapping(body.get("metadata"))
            items = body.get("items")
            yield Piece(
                [item for item in items if isinstance(item, dict)]
                if isinstance(items, list)
                else [],
                str(metadata.get("resourceVersion") or ""),
            )
            if not metadata.get("continue"):
                return
            params["continue"] = str(metadata["continue"])

    async def watch(
        self, path: str, selector: Mapping[str, str], version: str, seconds: float
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield what changes from a version on, for a time: first of all ``OPEN``.

        Lines without an object are skipped.

        Raises:
            ApiError: The API refuses, or ends the watch with an error.
        """
        from httpx2 import Timeout  # noqa: PLC0415  # with credentials alone

        params = {
            **selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(int(seconds)),
        }
        timeout = Timeout(ANSWER_TIME, read=seconds + GRACE)
        request = self._http.stream("GET", path, params=params, timeout=timeout)
        async with request as response:
            if response.status_code != 200:
                raise _refusal(response, await _body(response, ANSWER_OCTETS) or b"")
            yield OPEN, {}
            async for line in _lines(response):
                event = _read(line)
                verb, content = event.get("type"), event.get("object")
                if not isinstance(verb, str) or not isinstance(content, dict):
                    continue
                if verb == "ERROR":
                    raise _failure(content)
                yield verb, content


def make_client(config: "SingleConfig") -> ApiClient:
    """Return a client for credentials that were read."""
    from httpx2 import AsyncClient, AsyncHTTPTransport  # noqa: PLC0415  # the same
    from lightkube.config.client_adapter import (  # noqa: PLC0415  # the same
        user_auth,
        verify_cluster,
    )
    from lightkube.config.models import User  # noqa: PLC0415  # the same

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # else a line per request
    user = config.user or User()
    context = verify_cluster(config.cluster, user, config.abs_file, trust_env=False)
    transport = AsyncHTTPTransport(
        verify=context, trust_env=False, socket_options=_SOCKET_OPTIONS
    )
    http = AsyncClient(
        base_url=config.cluster.server,
        auth=user_auth(user),
        transport=transport,
        timeout=ANSWER_TIME,
        trust_env=False,
        headers={"Accept-Encoding": "identity"},  # what a body unfolds to is not known
    )
    return ApiClient(http)


async def _lines(response: "Response") -> AsyncIterator[bytes]:
    """Yield whole lines; what a connection that is cut leaves is none."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > ANSWER.octets:
            raise ApiError(f"an event has more than {ANSWER.octets} octets")


async def _body(response: "Response", most: int) -> bytes | None:
    """Return what an answer holds; ``None`` where that is more than ``most`` octets."""
    pieces: list[bytes] = []
    left = most
    async for piece in response.aiter_bytes():
        left -= len(piece)
        if left < 0:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _mapping(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _read(text: bytes) -> dict[str, Any]:
    try:
        body = load(text, ANSWER).value
    except TextError as error:
        raise ApiError(f"the answer {error}") from error
    return body if isinstance(body, dict) else {}


def _refusal(response: "Response", octets: bytes) -> ApiError:
    """Return what an answer that is none says."""
    code = response.status_code
    try:
        said = _read(octets)
    except ApiError:
        said = {}  # of a proxy, or a balancer
    text = (
        str(said.get("message") or "")[:MAX_SHOWN]
        or response.reason_phrase
        or "no reason given"
    )
    wait = response.headers.get("Retry-After", "")
    return ApiError(
        f"{code}: {text}", code, float(wait[:9]) if wait.isdecimal() else 0.0
    )


def _failure(status: Object) -> ApiError:
    code = status.get("code")
    said = status.get("message") or status.get("reason") or "no reason given"
    text = str(said)[:MAX_SHOWN]
    return ApiError(text, code if isinstance(code, int) else 0)
