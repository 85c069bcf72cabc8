"""Kubernetes' API over HTTP: lists and watches, as plain JSON.

Lists come in pieces, each read from etcd, or as one answer out of the server's cache, which
is decoded as it arrives: what takes a second to decode must not hold the loop for it.

Who asks, and whom, is ``bgpd.datastore.kubernetes.kubeconfig``'s to know.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.kubeconfig import Server, User
from bgpd.datastore.kubernetes.lists import ListDecoder
from bgpd.datastore.kubernetes.query import Query
from bgpd.texts.json_text import decode, load, load_object
from bgpd.texts.limits import ANSWER, TextError

if TYPE_CHECKING:
    import ssl

    from httpx2 import AsyncClient, Response

Object = Mapping[str, Any]

PAGE: Final = 500  # objects of one answer out of a cache, if the server has pages there
CHUNK: Final = 100  # objects of one answer; decoding them holds the loop for some 6 ms
ANSWER_OCTETS: Final = 1 << 20  # of several objects; decoding holds the loop for 15 ms
CONNECT_TIME: Final = 10.0  # seconds to connect, and to send a request
# Seconds to wait for more of an answer. A server that a thousand nodes ask at once takes that
# long, and a client that gives up asks again. One whose machine is gone is noticed as soon.
ANSWER_TIME: Final = 30.0
GRACE = 15.0  # seconds that a watch may be silent beyond its time
LIST_OCTETS: Final = 512 << 20  # of a whole list; 5,000 whole nodes are 100 MB
LIST_TIME: Final = 300.0  # seconds for all of it
DECODED: Final = 64 << 10  # octets in one go, a millisecond or two
MAX_SHOWN: Final = 500  # characters of what the API says
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
EXPIRED: Final = 410
_TOO_NEW: Final = "ResourceVersionTooLarge"
OPEN: Final = "OPEN"  # no verb of the API: a watch was accepted
# A server whose machine is gone is noticed within 30 s.
_SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


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

    async def get(self, path: str) -> Object:
        """Return what is at a path.

        Raises:
            ApiError: The answer is none.
        """
        octets = await self._ask(path, {}, {})
        if octets is None:
            raise ApiError(f"the answer has over {ANSWER.octets} octets")
        return _read(octets)

    async def lacks(self, query: Query) -> bool:
        """Return whether the server has the API group of a kind, and no such kind in it.

        A 404 of a collection does not say so: a server that is starting answers it until
        it has read what kinds there are, and has no such group until then.
        """
        *_, plural = parts = query.path.split("/")
        group = "/".join(parts[: 3 if parts[0] == "apis" else 2])
        try:
            found = (await self.get(group)).get("resources")
        except ApiError as error:
            return (
                error.code == FORBIDDEN
            )  # it cannot be known: the collection's word counts
        rows = found if isinstance(found, list) else ()
        return plural not in [_mapping(each).get("name") for each in rows]

    async def send(
        self, method: str, path: str, content: Object | None = None
    ) -> Object:
        """Change what is at a path; the daemon itself only reads.

        Args:
            method: ``POST``, ``PUT`` or ``DELETE``.
            path: Of the collection or of the object.
            content: The object.

        Raises:
            ApiError: The API refuses.
        """
        async with self._http.stream(method, path, json=content) as response:
            octets = await _body(response, ANSWER.octets) or b""
            if not response.is_success:
                raise _refusal(response, octets)
        return _read(octets)

    async def _ask(
        self,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        most: int = ANSWER.octets,
    ) -> bytes | None:
        """Return an answer's octets; ``None`` if there are more than ``most``.

        Raises:
            ApiError: The API refuses.
        """
        async with self._http.stream(
            "GET", path, params=params, headers=headers
        ) as response:
            octets = await _body(response, most)
            if response.status_code != 200:
                raise _refusal(response, octets or b"")
        return octets

    async def knows(self, query: Query, version: str) -> bool:
        """Return whether the server has got as far as a version; costs it one object.

        The request has no selectors: with a limit the server reads from
        etcd, and in many releases object by object until one is selected, which of 20,000
        affinities that all have labels takes minutes.

        Raises:
            ApiError: The answer is none.
        """
        params = {"limit": "1", **_not_older_than(version)}
        try:
            await self._ask(query.path, params, query.list_headers)
        except ApiError as error:
            if error.is_too_new:
                return False
            raise
        return True

    async def cached(
        self, query: Query, version: str, page: int = 0
    ) -> AsyncGenerator[Piece, None]:
        """List a collection out of the server's cache, decoding it as it arrives.

        Args:
            query: Which.
            version: No older state is taken; ``0`` takes any, and empty asks etcd.
            page: Objects of one answer; 0 asks for all. A server may send more.

        Raises:
            ApiError: The answer is none.
        """
        params = {**query.selectors, **(_not_older_than(version) if version else {})}
        if page:
            params["limit"] = str(page)
        async with asyncio.timeout(LIST_TIME):
            while True:
                decoder = ListDecoder()
                answer = self._decoded(query, params, decoder)
                async with aclosing(answer) as pieces:
                    async for piece in pieces:
                        yield piece
                version = decoder.finish()
                if not decoder.next_page:
                    break
                params = {**query.selectors, "limit": str(page or CHUNK)}
                params["continue"] = decoder.next_page
        yield Piece([], version)

    async def _decoded(
        self, query: Query, params: Mapping[str, str], decoder: ListDecoder
    ) -> AsyncGenerator[Piece, None]:
        """Yield the objects of one answer as they arrive."""
        headers = query.list_headers
        left = LIST_OCTETS
        request = self._http.stream("GET", query.path, params=params, headers=headers)
        async with request as response:
            if response.status_code != 200:
                raise _refusal(response, await _body(response, ANSWER_OCTETS) or b"")
            async for octets in response.aiter_bytes(DECODED):
                left -= len(octets)
                if left < 0:
                    raise ApiError(f"a list has over {LIST_OCTETS} octets")
                if objects := decoder.feed(octets):
                    yield Piece(objects, "")

    async def pieces(self, query: Query) -> AsyncGenerator[Piece, None]:
        """List a collection piece by piece, each read from etcd.

        If that many objects are more than can be decoded at once, it requests fewer.

        Raises:
            ApiError: The answer is none, or one object is larger than is taken.
        """
        params, count = query.selectors, CHUNK
        while True:
            params["limit"] = str(count)
            most = ANSWER.octets if count == 1 else ANSWER_OCTETS
            octets = await self._ask(query.path, params, query.list_headers, most)
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
        self, query: Query, version: str, seconds: float
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield what changes from a version on, for a time: first of all ``OPEN``.

        Lines without an object are skipped.

        Raises:
            ApiError: The API refuses, or ends the watch with an error.
        """
        from httpx2 import Timeout  # noqa: PLC0415  # with credentials alone

        params = {
            **query.selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(int(seconds)),
        }
        timeout = Timeout(CONNECT_TIME, read=seconds + GRACE)
        headers = query.watch_headers
        request = self._http.stream(
            "GET", query.path, params=params, headers=headers, timeout=timeout
        )
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


def _not_older_than(version: str) -> dict[str, str]:
    match = {"resourceVersionMatch": "NotOlderThan"}
    return {"resourceVersion": version, **match}


def make_client(server: Server, user: User, context: "ssl.SSLContext") -> ApiClient:
    """Return a client for credentials that were read.

    Raises:
        OSError: A file that they name cannot be read.
        ValueError: It has no certificate, key or token.
    """
    from httpx2 import AsyncClient, Proxy, Timeout  # noqa: PLC0415  # the same

    from bgpd.datastore.kubernetes.authentication import (  # noqa: PLC0415  # the same
        authentication,
    )
    from bgpd.datastore.kubernetes.transport import (  # noqa: PLC0415  # the same
        NamingTransport,
    )

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # else a line per request
    transport = NamingTransport(
        verify=context,
        trust_env=False,
        proxy=Proxy(server.proxy) if server.proxy else None,
        socket_options=_SOCKET_OPTIONS,
    )
    transport.tls_name = server.tls_name
    http = AsyncClient(
        base_url=server.url,
        auth=authentication(user),
        transport=transport,
        timeout=Timeout(CONNECT_TIME, read=ANSWER_TIME),
        trust_env=False,
        headers=[
            ("Accept-Encoding", "identity"),  # what a body unfolds to is not known
            *user.headers,
        ],
    )
    return ApiClient(http)


async def _lines(response: "Response") -> AsyncIterator[bytes]:
    """Yield whole lines; the rest of a connection that was cut is not one."""
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


def _read(octets: bytes) -> dict[str, Any]:
    try:
        text = decode(octets)
        if len(text) <= ANSWER.nodes:  # so it has fewer values than that
            loaded = load_object(text, 0)
            if loaded is not None and not text[loaded.end :].strip():
                return loaded.value
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
        f"{code}: {text}",
        code,
        float(wait[:9]) if wait.isdecimal() else 0.0,
        is_too_new=_is_too_new(said),
    )


def _failure(status: Object) -> ApiError:
    code = status.get("code")
    said = status.get("message") or status.get("reason") or "no reason given"
    text = str(said)[:MAX_SHOWN]
    return ApiError(
        text, code if isinstance(code, int) else 0, is_too_new=_is_too_new(status)
    )


def _is_too_new(status: Object) -> bool:
    """Return whether a server says that it does not know a version yet."""
    causes = _mapping(status.get("details")).get("causes")
    named = causes if isinstance(causes, list) else []
    reasons = [_mapping(each).get("reason") for each in named]
    text = str(status.get("message") or "")
    return _TOO_NEW in reasons or "Too large resource version" in text
