"""An API server over HTTPS that is well, until a test lets it answer anything at all."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import yaml

from bgpd.calico.kubernetes_objects import GROUP_V1, RESOURCES
from tests.support.kubernetes_api import certificates

Object = dict[str, Any]

KINDS = {"Node": "nodes", **RESOURCES}


class Request(NamedTuple):
    """What a client asks for."""

    path: str
    query: dict[str, str]

    @property
    def plural(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_watch(self) -> bool:
        return "watch" in self.query


Misbehaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[bool]]
"""Answers in place of the server, and returns whether it has."""


async def answer(
    writer: asyncio.StreamWriter,
    body: bytes = b"",
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    headers: str = "",
) -> None:
    """Send a whole answer, with the length of its body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


async def begin(writer: asyncio.StreamWriter, headers: str = "") -> None:
    """Send the head of an answer whose chunks follow."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}{headers}Transfer-Encoding: chunked\r\n\r\n".encode())
    await writer.drain()


async def chunk(writer: asyncio.StreamWriter, octets: bytes) -> None:
    """Send a chunk; an empty one is the last.

    Raises:
        ConnectionResetError: The client is gone. Over TLS ``drain`` may miss that for ever, and
            an answer without an end would hold the loop.
    """
    writer.write(f"{len(octets):x}\r\n".encode() + octets + b"\r\n")
    await writer.drain()
    await asyncio.sleep(0)
    if writer.is_closing():
        raise ConnectionResetError


async def pause(seconds: float = 0.02) -> None:
    """Let a client wait for the next octet."""
    await asyncio.sleep(seconds)


class HostileApi:
    """Objects of Calico's v1 group and Nodes, lists and watches of them.

    Attributes:
        misbehave: Asked before each answer.
        requests: All that were made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.misbehave: Misbehaviour | None = None
        self.requests: list[Request] = []
        self.objects: dict[str, dict[str, Object]] = {
            plural: {} for plural in KINDS.values()
        }
        self.version = 100
        self.port = 0
        self._watches: list[tuple[str, asyncio.StreamWriter]] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        if not cert.exists():
            certificates(self.folder)
        await self.serve(cert, key)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def serve(self, cert: Path, key: Path) -> None:
        """Listen, with a certificate; the port stays the same."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Break every connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    @property
    def watch_count(self) -> int:
        return len(self._watches)

    def kubeconfig(self) -> str:
        path = self.folder / "kubeconfig"
        cluster = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(self.folder / "cert.pem"),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(content))
        return str(path)

    # -- what it holds ------------------------------------------------------------------

    async def put(self, *objects: Object) -> None:
        """Create or change objects."""
        for content in objects:
            self.version += 1
            plural, name = KINDS[content["kind"]], content["metadata"]["name"]
            verb = "MODIFIED" if name in self.objects[plural] else "ADDED"
            made = self.objects[plural][name] = {
                **content,
                "metadata": content["metadata"]
                | {"resourceVersion": str(self.version)},
            }
            await self.tell(plural, event(verb, made))

    async def delete(self, content: Object) -> None:
        self.version += 1
        plural = KINDS[content["kind"]]
        gone = self.objects[plural].pop(content["metadata"]["name"])
        gone["metadata"]["resourceVersion"] = str(self.version)
        await self.tell(plural, event("DELETED", gone))

    async def tell(self, plural: str, line: bytes) -> None:
        """Put a line of any content into a kind's watches."""
        for its_plural, writer in tuple(self._watches):
            if its_plural == plural:
                with suppress(OSError):
                    await chunk(writer, line + b"\n")

    # -- answers ------------------------------------------------------------------------

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                place = urlsplit(head.split(b" ", 2)[1].decode())
                query = {name: each[0] for name, each in parse_qs(place.query).items()}
                await self._answer(Request(place.path, query), reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _answer(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.requests.append(request)
        if self.misbehave is not None and await self.misbehave(request, writer):
            return
        if request.path == f"/apis/{GROUP_V1}":
            resources = [
                {"name": plural, "verbs": ["create", "list"]}
                for plural in RESOURCES.values()
            ]
            await answer(writer, json.dumps({"resources": resources}).encode())
        elif request.plural not in self.objects:
            await answer(writer, b"{}", status="404 Not Found")
        elif request.is_watch:
            await self._watch(request, reader, writer)
        else:
            await answer(writer, self.list_of(request))

    def list_of(self, request: Request, *more: bytes) -> bytes:
        """Return a list; ``more`` are objects of any content."""
        found = [
            json.dumps(content).encode()
            for content in self.objects[request.plural].values()
            if not request.query.get("labelSelector", "").startswith("projectcalico")
        ]
        head = json.dumps({"resourceVersion": str(self.version)}).encode()
        items = b",".join((*found, *more))
        return b'{"kind":"List","metadata":' + head + b',"items":[' + items + b"]}"

    async def _watch(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        await begin(writer)
        entry = (request.plural, writer)
        if not request.query.get("labelSelector", "").startswith("projectcalico"):
            version = int(request.query["resourceVersion"])
            for content in self.objects[request.plural].values():
                if int(content["metadata"]["resourceVersion"]) > version:
                    await chunk(writer, event("MODIFIED", content) + b"\n")
            self._watches.append(entry)
        try:
            await reader.read(1)  # nothing comes until the client goes
        finally:
            if entry in self._watches:
                self._watches.remove(entry)
        raise EOFError


def event(verb: str, content: object) -> bytes:
    return json.dumps({"type": verb, "object": content}).encode()
