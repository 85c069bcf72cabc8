"""A small Kubernetes API server over HTTPS: lists in pieces, watches, and says no."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import yaml
from aiohttp import web

Object = dict[str, Any]

PATHS = {
    "Secret": ("v1", "/api/v1", "secrets"),
    "Service": ("v1", "/api/v1", "services"),
    "EndpointSlice": ("discovery.k8s.io/v1", "/apis/discovery.k8s.io/v1", "endpointslices"),
}  # fmt: skip
PIECE = 2  # objects of one answer, unless a client asks for fewer


def certificates(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *[
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ],
            *[
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=api",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ],
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


class Api:
    """The server; change what it holds, and how it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = "first"
        self.fault = 0  # an HTTP status to answer every request with
        self.watch_fault = 0  # the same for watches alone
        self.retry_after = ""  # what a fault asks for
        self.absent = ""  # a kind that is not there
        self.is_frozen = False  # watches are accepted, and nothing comes ever
        self.is_mute = False  # watches are not answered
        self.is_hasty = False  # watches end at once
        self.requests: list[str] = []
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.version = 100
        self.history: list[tuple[int, str, Object]] = []
        self.objects: dict[tuple[str, str, str], Object] = {}
        self._watches: list[
            tuple[str, str, asyncio.Queue[tuple[str, Object] | None]]
        ] = []
        self._oldest = 0
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        if not cert.exists():
            certificates(self.folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        app = web.Application()
        app.router.add_get("/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def kubeconfig(self, *, has_token_inside: bool = False) -> str:
        path = self.folder / "kubeconfig"
        token = self.folder / "token"
        token.write_text(self.token)
        user = {"token": self.token} if has_token_inside else {"tokenFile": str(token)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "c",
                    "cluster": {
                        "server": f"https://127.0.0.1:{self.port}",
                        "certificate-authority": str(self.folder / "cert.pem"),
                    },
                }
            ],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(content))
        return str(path)

    # -- what it holds ------------------------------------------------------------------

    def put(
        self, kind: str, name: str, namespace: str = "default", **fields: Any
    ) -> None:
        self.version += 1
        key = (kind, namespace, name)
        verb = "MODIFIED" if key in self.objects else "ADDED"
        labels = fields.pop("labels", {})
        self.objects[key] = {
            "kind": kind,
            "apiVersion": PATHS[kind][0],
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                "uid": f"uid-{name}",
                "resourceVersion": str(self.version),
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            **fields,
        }
        self._tell(verb, self.objects[key])

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        self.version += 1
        gone = self.objects.pop((kind, namespace, name))
        metadata = {**gone["metadata"], "resourceVersion": str(self.version)}
        self._tell("DELETED", {**gone, "metadata": metadata})

    def _tell(self, verb: str, content: Object) -> None:
        self.history.append((self.version, verb, content))
        for kind, name, queue in self._watches:
            if _is_asked(content, kind, name):
                queue.put_nowait((verb, content))

    def forget(self) -> None:
        """Know no version before this one, as after a compaction."""
        self._oldest = self.version

    def bookmark(self) -> None:
        """Tell every watch how far it is."""
        for kind, _, queue in self._watches:
            metadata = {
                "resourceVersion": str(self.version),
                "creationTimestamp": None,
            }
            content = {"kind": kind, "apiVersion": PATHS[kind][0], "metadata": metadata}
            queue.put_nowait(("BOOKMARK", content))

    def send(self, text: str, kind: str) -> None:
        """Put a line of any content into a collection's watches."""
        for its_kind, _, queue in self._watches:
            if its_kind == kind:
                queue.put_nowait((text, {}))

    def count(self, kind: str, *, watches: bool) -> int:
        """Return how often a collection was listed, first pieces alone, or watched."""
        plural = PATHS[kind][2]
        return sum(
            path.endswith(f"/{plural}")
            and bool(query.get("watch")) is watches
            and "continue" not in query
            for path, query in self.asked
        )

    def cut(self) -> None:
        """End every watch in the midst of a line."""
        for *_, queue in self._watches:
            queue.put_nowait(None)

    # -- answers ------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        self.asked.append((request.path, dict(request.query)))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        fault = self.fault or (self.watch_fault if request.query.get("watch") else 0)
        if fault:
            response = _status(fault, "it is not well")
            if self.retry_after:
                response.headers["Retry-After"] = self.retry_after
            return response
        kind = next(
            (
                k
                for k, (_, _, plural) in PATHS.items()
                if request.path.endswith(f"/{plural}")
            ),
            "",
        )
        groups = {path for _, path, _ in PATHS.values()}
        if not kind and request.path in groups:
            return self._discovery(request.path)
        if not kind or kind == self.absent:
            return _status(404, "not found")
        selector = request.query.get("fieldSelector", "")
        name = selector.removeprefix("metadata.name=") if selector else ""
        if request.query.get("watch"):
            return await self._watch(request, kind, name)
        return self._list(kind, name, request.query)

    def _discovery(self, path: str) -> web.Response:
        names = [
            plural
            for kind, (_, group, plural) in PATHS.items()
            if group == path and kind != self.absent
        ]
        resources = [{"name": name} for name in names]
        return _json({"kind": "APIResourceList", "resources": resources})

    def _list(self, kind: str, name: str, query: Mapping[str, str]) -> web.Response:
        found = [
            content
            for (k, _, n), content in sorted(self.objects.items())
            if k == kind and name in ("", n)
        ]
        start = int(query.get("continue") or 0)
        rest = start + min(PIECE, int(query.get("limit") or PIECE))
        piece = found[start:rest]
        metadata: Object = {"resourceVersion": str(self.version)}
        if rest < len(found):
            metadata |= {"continue": str(rest), "remainingItemCount": len(found) - rest}
        items = [
            {k: v for k, v in c.items() if k not in ("kind", "apiVersion")}
            for c in piece
        ]
        body = {
            "kind": f"{kind}List",
            "apiVersion": PATHS[kind][0],
            "metadata": metadata,
            "items": items,
        }
        return _json(body)

    async def _watch(
        self, request: web.Request, kind: str, name: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if self.is_mute:
            await asyncio.sleep(3600)
        await response.prepare(request)
        if self.is_hasty:
            return response
        version = int(request.query.get("resourceVersion") or 0)
        queue: asyncio.Queue[tuple[str, Object] | None] = asyncio.Queue()
        entry = (kind, name, queue)
        self._watches.append(entry)
        try:
            if version < self._oldest:
                await response.write(_line("ERROR", _gone()))
                return response
            for its_version, verb, content in self.history:
                if its_version > version and _is_asked(content, kind, name):
                    await response.write(_line(verb, content))
            seconds = float(request.query.get("timeoutSeconds") or 3600)
            with suppress(TimeoutError, ConnectionResetError):
                async with asyncio.timeout(3600 if self.is_frozen else seconds):
                    await self._tell_on(response, queue)
            return response
        finally:
            self._watches.remove(entry)

    async def _tell_on(
        self,
        response: web.StreamResponse,
        queue: asyncio.Queue[tuple[str, Object] | None],
    ) -> None:
        while True:
            event = await queue.get()
            if event is None:
                await response.write(b'{"type": "MODI')
                return
            verb, content = event
            if not self.is_frozen:
                await response.write(
                    _line(verb, content) if content else f"{verb}\n".encode()
                )


def _is_asked(content: Object, kind: str, name: str) -> bool:
    return content["kind"] == kind and name in ("", content["metadata"]["name"])


def _line(verb: str, content: Object) -> bytes:
    """Return a line of a watch; text as it is, as the real server sends it."""
    body = json.dumps({"type": verb, "object": content}, ensure_ascii=False)
    return body.encode() + b"\n"


def _gone() -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 1 (100)",
        "reason": "Expired",
        "code": 410,
    }


def _json(body: Object, code: int = 200) -> web.Response:
    """Return JSON with the very header of the real server."""
    headers = {"Content-Type": "application/json"}
    return web.Response(body=json.dumps(body).encode(), status=code, headers=headers)


def _status(code: int, message: str) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "Unauthorized" if code == 401 else "InternalError",
        "code": code,
    }
    return _json(body, code)
