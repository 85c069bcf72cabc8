"""Kubernetes' API over HTTP: lists and watches, as plain JSON.

Lists come in pieces, each read from etcd, or as one answer out of the server's cache, which
is decoded as it arrives: what takes a second to decode must not hold the loop for it. Everything
has a limit of time and of octets (``answers``). Who iterates
must not wait for anything else meanwhile, for the limits are those of the iteration.

Who asks, and whom, is ``bgpd.datastore.kubernetes.kubeconfig``'s to know.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from bgpd.datastore.kubernetes.answers import (
    Object,
    body,
    check_head,
    event_in,
    lines,
    named,
    page,
    read,
)
from bgpd.datastore.kubernetes.errors import ApiError, Unreadable
from bgpd.datastore.kubernetes.kubeconfig import Server, User
from bgpd.datastore.kubernetes.lists import ListDecoder
from bgpd.datastore.kubernetes.query import Query
from bgpd.texts.limits import ANSWER

if TYPE_CHECKING:
    import ssl

    from httpx2 import AsyncClient

PAGE: Final = 500  # objects of one answer out of a cache, if the server has pages there
CHUNK: Final = 100  # objects of one answer; decoding them holds the loop for some 6 ms
ANSWER_OCTETS: Final = 1 << 20  # of several objects; decoding holds the loop for 15 ms
CONNECT_TIME: Final = 10.0  # seconds to connect, and to send a request
# Seconds to wait for more of an answer. A server that a thousand nodes ask at once takes that
# long, and a client that gives up asks again. One whose machine is gone is noticed as soon.
ANSWER_TIME: Final = 30.0
HEAD_TIME = 60.0  # seconds for the head of an answer, or for all of a small one
GRACE = 15.0  # seconds that a watch may go on beyond its time
LIST_OCTETS: Final = 512 << 20  # of a whole list; 5,000 whole nodes are 100 MB
LIST_TIME: Final = 300.0  # seconds for all of it
DECODED: Final = 64 << 10  # octets in one go, a millisecond or two
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
EXPIRED: Final = 410
OPEN: Final = "OPEN"  # no verb of the API: a watch was accepted
UNREADABLE: Final = "UNREADABLE"  # neither: an event that could not be read
# A server whose machine is gone is noticed within 30 s.
_SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class Piece(NamedTuple):
    """A part of a list, and the version of the whole.

    Attributes:
        objects: That could be read.
        version: Empty until all was read.
        unreadable: The others.
    """

    objects: list[Object]
    version: str
    unreadable: tuple[Unreadable, ...] = ()


class ApiClient:
    """One client of the API; a context that closes it. Its errors name the server.

    Args:
        http: Has credentials and the server's address.
    """

    def __init__(self, http: "AsyncClient") -> None:
        self._http = http
        self._server = str(http.base_url).rstrip("/")

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
        with named(self._server):
            octets = await self._ask(path, {}, {})
            if octets is None:
                raise ApiError(f"the answer has over {ANSWER.octets} octets")
            return read(octets)

    async def date(self) -> str:
        """Return what the server's clock says, as HTTP has it; empty if it does not say."""
        response = await self._http.get("/version")
        found: str = response.headers.get("date", "")
        return found

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
            return error.code == FORBIDDEN  # unknown: the collection's answer counts
        rows = found if isinstance(found, list) else ()
        return plural not in [e.get("name") for e in rows if isinstance(e, dict)]

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
        with named(self._server):
            async with self._http.stream(method, path, json=content) as response:
                await check_head(response)
                return read(await body(response, ANSWER.octets) or b"")

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
        async with (
            asyncio.timeout(HEAD_TIME),
            self._http.stream("GET", path, params=params, headers=headers) as response,
        ):
            await check_head(response)
            return await body(response, most)

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
            with named(self._server):
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
        with named(self._server):
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
        async with asyncio.timeout(HEAD_TIME) as limit, request as response:
            await check_head(response)
            limit.reschedule(None)
            async for octets in response.aiter_raw(DECODED):
                left -= len(octets)
                if left < 0:
                    raise ApiError(f"a list has over {LIST_OCTETS} octets")
                objects = decoder.feed(octets)
                unreadable = decoder.drain_unreadable()
                if objects or unreadable:
                    yield Piece(objects, "", unreadable)
        rest = decoder.feed(b"", is_last=True)
        yield Piece(rest, "", decoder.drain_unreadable())

    async def pieces(self, query: Query) -> AsyncGenerator[Piece, None]:
        """List a collection piece by piece, each read from etcd.

        If that many objects are more than can be decoded at once, it requests fewer.

        Raises:
            ApiError: The answer is none, or one object is larger than is taken.
        """
        params, count = query.selectors, CHUNK
        with named(self._server):
            async with asyncio.timeout(LIST_TIME):
                while True:
                    params["limit"] = str(count)
                    most = ANSWER.octets if count == 1 else ANSWER_OCTETS
                    octets = await self._ask(
                        query.path, params, query.list_headers, most
                    )
                    if octets is None:
                        if count == 1:
                            raise ApiError(f"an object has more than {most} octets")
                        count = max(1, count // 10)
                        continue
                    objects, version, goes_on = page(octets)
                    yield Piece(objects, version)
                    if not goes_on:
                        return
                    params["continue"] = goes_on

    async def watch(
        self, query: Query, version: str, seconds: float
    ) -> AsyncGenerator[tuple[str, Object | Unreadable], None]:
        """Yield what changes from a version on, for a time: first of all ``OPEN``.

        Lines without an event are skipped. Of an event that cannot be read only the object's
        name and the problem are returned, as an ``Unreadable``.

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
        request = self._http.stream(
            "GET",
            query.path,
            params=params,
            headers=query.watch_headers,
            timeout=Timeout(CONNECT_TIME, read=seconds + GRACE),
        )
        with named(self._server):
            async with asyncio.timeout(HEAD_TIME) as limit, request as response:
                await check_head(response)
                limit.reschedule(asyncio.get_running_loop().time() + seconds + GRACE)
                yield OPEN, {}
                async for line in lines(response):
                    event = event_in(line)
                    if isinstance(event, Unreadable):
                        yield UNREADABLE, event
                    elif event is not None:
                        yield event


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
