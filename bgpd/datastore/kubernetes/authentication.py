"""Who a request of Kubernetes' API says it is from: tokens, and programs that print them.

A token of a pod is valid for an hour, and kubelet replaces it in the file before that. The file
is read again every minute, and at once if the API refuses the token.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from httpx2 import Auth, BasicAuth, Request, Response

from bgpd.datastore.kubernetes.kubeconfig import Plugin, User, check_token
from bgpd.datastore.model import DatastoreError
from bgpd.texts.files import read_text
from bgpd.texts.json_text import load
from bgpd.texts.limits import ANSWER, CERTIFICATE_OCTETS, TextError

UNAUTHORIZED: Final = 401
FRESH: Final = 60.0  # seconds for which a token that was read is used unread
PLUGIN_TIME: Final = 30.0  # seconds that a program may take
PLUGIN_OCTETS: Final = 1 << 20  # that it may print
PLUGIN_FRESH: Final = 600.0  # seconds for which a token without an end is used
EARLY: Final = 10.0  # seconds before a token's end
_MAX_SHOWN: Final = 300  # characters of what a program says


def authentication(user: User) -> Auth | None:
    """Return what adds a user's token or password to requests; ``None`` for neither.

    Raises:
        ValueError: The file has no token.
        OSError: It cannot be read.
    """
    if user.token_file:
        return TokenFile(Path(user.token_file))
    if user.token:
        return Token(user.token)
    if user.username:
        return BasicAuth(user.username, user.password)
    if user.plugin is not None:
        return _plugin_token(user.plugin)
    return None


class Token(Auth):
    """A token that stays."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Add the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class TokenFile(Auth):
    """A token in a file that another program replaces.

    Args:
        file: Is read at once, so that a missing one is noticed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._token = self._read()
        self._read_at = time.monotonic()

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Add the token; ask again once if it was replaced."""
        if time.monotonic() - self._read_at > FRESH:
            self._renew()
        sent = self._token
        request.headers["Authorization"] = f"Bearer {sent}"
        response = yield request
        if response.status_code != UNAUTHORIZED:
            return
        self._renew()
        if self._token != sent:
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _renew(self) -> None:
        """Read the file; what was read stays while it cannot be."""
        self._read_at = time.monotonic()
        with suppress(OSError, ValueError):
            self._token = self._read()

    def _read(self) -> str:
        try:
            text = read_text(self._file, CERTIFICATE_OCTETS)
        except OSError as error:
            raise OSError(f"{self._file}: {error.strerror}") from error
        except TextError as error:
            raise ValueError(f"{self._file}: {error}") from error
        return check_token(text, str(self._file))


class PluginToken(Auth):
    """A token that a program prints, until it ends; all connections share it."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._token = ""
        self._until = 0.0  # time.time() up to which it is used
        self._lock = asyncio.Lock()

    async def async_auth_flow(
        self, request: Request
    ) -> AsyncGenerator[Request, Response]:
        """Add the token; run the program once more if it is rejected."""
        if not self._token or time.time() >= self._until:
            await self._renew(self._token)
        sent = self._token
        request.headers["Authorization"] = f"Bearer {sent}"
        response = yield request
        if response.status_code == UNAUTHORIZED:
            await self._renew(sent)
            if self._token != sent:
                request.headers["Authorization"] = f"Bearer {self._token}"
                yield request

    async def _renew(self, former: str) -> None:
        """Run the program, unless another request has done it meanwhile."""
        async with self._lock:
            if self._token == former:
                await self._take_new()

    async def _take_new(self) -> None:
        name = self._plugin.command[0]
        try:
            printed = await _run(self._plugin)
            self._token, self._until = _credential(printed)
        except (OSError, ValueError) as error:
            text = f"exec {name}: {error}"
            if isinstance(error, FileNotFoundError) and self._plugin.hint:
                text += f"; {self._plugin.hint[:_MAX_SHOWN]}"
            raise DatastoreError(text) from error


@lru_cache(maxsize=4)
def _plugin_token(plugin: Plugin) -> PluginToken:
    """Return one authentication for all connections of a user."""
    return PluginToken(plugin)


async def _run(plugin: Plugin) -> bytes:
    """Return what a program prints.

    Raises:
        OSError: It cannot be started.
        ValueError: It fails, takes too long, or prints too much.
    """
    told = {
        "apiVersion": plugin.version,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    environment = {
        **os.environ,
        "KUBERNETES_EXEC_INFO": json.dumps(told),
        **dict(plugin.environment),
    }
    process = await asyncio.create_subprocess_exec(
        *plugin.command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # what it starts itself ends with it
    )
    try:
        async with asyncio.timeout(PLUGIN_TIME):
            printed, said = await asyncio.gather(
                _read(process.stdout), _read(process.stderr)
            )
            code = await process.wait()
    except TimeoutError:
        raise ValueError(f"took longer than {PLUGIN_TIME:.0f} s") from None
    finally:
        if process.returncode is None:
            await _end(process)
    if code:
        text = " ".join(said.decode(errors="replace").split())[:_MAX_SHOWN]
        raise ValueError(f"ended with {code}: {text or 'it says nothing'}")
    return printed


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program and all that it started; what they have printed is lost."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        while stream is not None and await stream.read(1 << 16):
            pass
    await process.wait()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    pieces: list[bytes] = []
    left = PLUGIN_OCTETS
    while stream is not None and (piece := await stream.read(1 << 16)):
        left -= len(piece)
        if left < 0:
            raise ValueError(f"printed over {PLUGIN_OCTETS} octets")
        pieces.append(piece)
    return b"".join(pieces)


def _credential(printed: bytes) -> tuple[str, float]:
    """Return the token that a program printed, and the time up to which it is used.

    Raises:
        ValueError: It printed something else.
    """
    try:
        content: Any = load(printed, ANSWER).value
    except TextError as error:
        raise ValueError(f"what it printed {error}") from error
    status = content.get("status") if isinstance(content, dict) else None
    token = status.get("token") if isinstance(status, dict) else None
    if not isinstance(status, dict) or not isinstance(token, str):
        found = "a certificate" if "clientCertificateData" in (status or ()) else "none"
        raise ValueError(f"expected status.token, found {found}")  # noqa: TRY004  # as the rest
    until = time.time() + PLUGIN_FRESH
    end = status.get("expirationTimestamp")
    if end is not None:
        try:
            until = datetime.fromisoformat(str(end)).timestamp() - EARLY
        except (ValueError, OverflowError):
            text = "expected a time such as 2026-01-31T12:00:00Z, found"
            raise ValueError(f"expirationTimestamp: {text} {end!r}") from None
    return check_token(token, "status.token"), until
