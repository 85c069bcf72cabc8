"""One collection of Kubernetes' API, kept up to date through all failures.

It is listed whole, then watched from there. Whatever ends a watch, it goes on from the last
version seen; it is listed again only if that is not possible. What vanished
meanwhile is dropped then, and until then nothing is. Each attempt after a failure reads the
credentials again, so that tokens and certificates may be replaced at any time.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol

from bgpd.calico.services import ObjectName
from bgpd.datastore.kubernetes.access import Access
from bgpd.datastore.kubernetes.client import (
    EXPIRED,
    OPEN,
    ApiClient,
    ApiError,
    Object,
)

FIRST_DELAY = 0.5  # seconds before the second attempt; then twice as long
MAX_DELAY: Final = 30.0
MAX_WAIT: Final = 300.0  # seconds, whatever a server asks for
WATCH_TIME = 290  # seconds after which the server ends a watch
RESUMES: Final = 4  # watches that fail in a row before a list is tried

_PATHS: Final = {
    "Secret": "api/v1/namespaces/{namespace}/secrets",
    "Service": "api/v1/services",
    "EndpointSlice": "apis/discovery.k8s.io/v1/endpointslices",
}
_log = logging.getLogger(__name__)


class Receiver(Protocol):
    """Who takes objects as they come."""

    def put(self, kind: str, name: ObjectName, content: Object) -> None:
        """Take a new or changed object."""

    def drop(self, kind: str, name: ObjectName) -> None:
        """An object is gone."""

    def changed(self) -> None:
        """Act on new events about objects."""


class Key(NamedTuple):
    """Which collection; ``name`` narrows it to one object."""

    kind: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.kind} {self.name}".rstrip()


class Collection:
    """Follows one collection.

    Args:
        key: Which.
        access: Credentials.
        receiver: Takes what there is.
        note: Called after each list with nothing, after each failure with its text.

    Attributes:
        is_listed: It was read whole once.
        is_followed: A watch was accepted, and nothing went wrong since.
        error: Why it is not followed; empty before the first failure and while it is.
    """

    def __init__(
        self, key: Key, access: Access, receiver: Receiver, note: Callable[[str], None]
    ) -> None:
        self.is_listed = False
        self.is_followed = False
        self.error = ""
        self._key = key
        self._access = access
        self._receiver = receiver
        self._note = note
        self._path = _PATHS[key.kind].format(namespace=key.namespace)
        self._selector = {"fieldSelector": f"metadata.name={key.name}"}
        if not key.name:
            self._selector = {}
        self._known: set[ObjectName] = set()
        self._version = ""  # to go on from; empty: list
        self._failures = (
            0  # in a row, with no event between; watches that end at once too
        )

    async def follow(self) -> None:
        """Follow for ever."""
        while True:
            wait = 0.0
            try:
                async with self._access.connect() as api:
                    while True:
                        await self._follow_once(api)
            except Exception as error:  # noqa: BLE001  # whatever a client may raise
                wait = self._fail(error)
            await asyncio.sleep(max(wait, self._delay()))

    def forget(self) -> None:
        """Drop all known objects."""
        for name in self._known:
            self._receiver.drop(self._key.kind, name)
        self._known.clear()
        self._receiver.changed()

    async def _follow_once(self, api: ApiClient) -> None:
        if not self._version:
            await self._list(api)
        loop = asyncio.get_running_loop()
        start = loop.time()
        has_heard = await self._watch(api)
        is_short = loop.time() - start < MAX_DELAY
        self._failures = self._failures + 1 if is_short and not has_heard else 0
        await asyncio.sleep(self._delay())

    async def _list(self, api: ApiClient) -> None:
        kind, found, version = self._key.kind, set[ObjectName](), ""
        async with aclosing(api.pieces(self._path, self._selector)) as pieces:
            async for piece in pieces:
                version = piece.version
                for content in piece.objects:
                    name = _name_of(content)
                    found.add(name)
                    self._known.add(name)
                    self._receiver.put(kind, name, content)
        for name in self._known - found:
            self._receiver.drop(kind, name)
        self._known, self._version, self.is_listed = found, version, True
        self._receiver.changed()
        self._note("")

    async def _watch(self, api: ApiClient) -> bool:
        """Follow until the watch ends; return whether anything was heard."""
        has_heard = False
        events = api.watch(self._path, self._selector, self._version, WATCH_TIME)
        async with aclosing(events):
            async for verb, content in events:
                if verb == OPEN:
                    self._open()
                    continue
                has_heard, self._failures = True, 0
                self._take(verb, content)
        return has_heard

    def _take(self, verb: str, content: Object) -> None:
        name = _name_of(content)
        if verb == "DELETED":
            self._known.discard(name)
            self._receiver.drop(self._key.kind, name)
        elif verb in ("ADDED", "MODIFIED"):
            self._known.add(name)
            self._receiver.put(self._key.kind, name, content)
        metadata = content.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else ""
        if isinstance(version, str) and version:
            self._version = version
        if verb != "BOOKMARK":
            self._receiver.changed()

    def _open(self) -> None:
        if self.error:
            _log.info("kubernetes: watching %s again", self._key)
        self.is_followed, self.error = True, ""

    def _fail(self, error: Exception) -> float:
        """Note a failure; return what the server asks to wait, in seconds."""
        self._failures += 1
        if isinstance(error, ApiError) and error.code == EXPIRED:
            self._version = ""  # an ordinary reason to list again
            return 0.0
        if self._failures % RESUMES == 0:
            self._version = ""  # the server may have lost versions, or know others
        text = f"{self._key}: {error if str(error) else type(error).__name__}"
        if text != self.error:
            _log.warning("kubernetes: %s", text)
        self.is_followed, self.error = False, text
        self._note(text)
        wait = error.retry_after if isinstance(error, ApiError) else 0.0
        return min(MAX_WAIT, wait)

    def _delay(self) -> float:
        longest = min(MAX_DELAY, FIRST_DELAY * 2 ** min(max(self._failures - 1, 0), 16))
        return random.uniform(longest / 2, longest)  # noqa: S311  # jitter


def _name_of(content: Object) -> ObjectName:
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        return "", ""
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
