"""Lists and watches what is wanted of Kubernetes' API; level-triggered.

Each collection is listed whole, then watched from there. Whatever ends a watch (the server's
time limit, a lost connection, 410 for a version that is too old), it goes on from the last
version, or is listed anew where that is not possible; what vanished meanwhile is dropped
then. While the API is away nothing that was told changes.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from bgpd.calico.services import ObjectName
from bgpd.datastore.kubernetes.access import Access, ApiStatus
from bgpd.datastore.model import DatastoreError

if TYPE_CHECKING:
    from lightkube import AsyncClient

FIRST_DELAY: Final = 0.5  # seconds before the second attempt; then twice as long
MAX_DELAY: Final = 30.0
CHUNK: Final = 500  # objects of one answer
WATCH_TIME: Final = 290  # seconds after which the server ends a watch

_log = logging.getLogger(__name__)


class Wants(NamedTuple):
    """What shall be known.

    Attributes:
        secrets: Names of Secrets.
        has_services: Services and their endpoints.
    """

    secrets: frozenset[str] = frozenset()
    has_services: bool = False


class Receiver(Protocol):
    """Who takes objects as they come; called in the loop's turn, never at once."""

    def put(self, kind: str, name: ObjectName, content: Mapping[str, Any]) -> None:
        """Take a new or changed object."""

    def drop(self, kind: str, name: ObjectName) -> None:
        """An object is gone."""

    def changed(self) -> None:
        """Some objects were told: act on them."""


class _Key(NamedTuple):
    """One collection; ``name`` narrows it to one object."""

    kind: str
    name: str = ""


class KubernetesWatcher:
    """Follows the API.

    Args:
        access: Credentials.
        namespace: Of Secrets.
        receiver: Takes what there is.
    """

    def __init__(self, access: Access, namespace: str, receiver: Receiver) -> None:
        self._access = access
        self._namespace = namespace
        self._receiver = receiver
        self._client: AsyncClient | None = None
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._errors: dict[_Key, str] = {}
        self._listed: set[_Key] = set()
        self._known: dict[_Key, set[ObjectName]] = {}
        self._synced = asyncio.Event()
        self._last_error = ""
        self._synced.set()

    @property
    def status(self) -> ApiStatus:
        """What is known of the API now."""
        is_connected = not self._errors and self._listed >= self._tasks.keys()
        return ApiStatus(str(self._access), is_connected, self._last_error)

    async def wait_until_listed(self, seconds: float) -> bool:
        """Wait until all that is wanted was read once; false if it takes longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._synced.wait()
        return self._synced.is_set()

    def want(self, wants: Wants) -> None:
        """Follow this and nothing else; what is wanted no more is dropped.

        Raises:
            DatastoreError: The credentials cannot be used.
        """
        keys = {_Key("Secret", name) for name in wants.secrets}
        if wants.has_services:
            keys |= {_Key("Service"), _Key("EndpointSlice")}
        if keys and self._client is None:
            self._client = self._access.connect()
        for key in self._tasks.keys() - keys:
            self._tasks.pop(key).cancel()
            self._errors.pop(key, None)
            self._listed.discard(key)
            self._replace(key, {})
        for key in keys - self._tasks.keys():
            name = f"kubernetes {key.kind} {key.name}".strip()
            loop = asyncio.get_running_loop()
            self._tasks[key] = loop.create_task(self._follow(key), name=name)
        self._note_listed()

    async def close(self) -> None:
        """Follow nothing any more."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _note_listed(self) -> None:
        if self._listed >= self._tasks.keys():
            self._synced.set()
        else:
            self._synced.clear()

    # -- one collection -----------------------------------------------------------------

    async def _follow(self, key: _Key) -> None:
        """Keep one collection up to date, through all failures."""
        delay = FIRST_DELAY
        while True:
            try:
                version = await self._list(key)
                delay = FIRST_DELAY
                await self._watch(key, version)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever a client may raise
                self._fail(key, error)
                await asyncio.sleep(random.uniform(delay / 2, delay))  # noqa: S311
                delay = min(MAX_DELAY, delay * 2)

    def _fail(self, key: _Key, error: Exception) -> None:
        if _is_expired(error):
            return  # too old a version: an ordinary reason to list anew
        text = f"{key.kind}{' ' if key.name else ''}{key.name}: {_words(error)}"
        if self._errors.get(key) != text:
            _log.warning("kubernetes: %s", text)
        self._errors[key] = self._last_error = text

    async def _list(self, key: _Key) -> str:
        """Read a collection whole; return the version to watch from."""
        client, found = self._client, {}
        if client is None:
            raise DatastoreError("kubernetes: closed")
        listing = client.list(
            _resource(key.kind),
            namespace=self._namespace if key.name else "*",
            fields={"metadata.name": key.name} if key.name else None,
            chunk_size=CHUNK,
        )
        async for item in listing:
            content = item.to_dict()
            found[_name_of(content)] = content
        if self._errors.pop(key, None) is not None:
            _log.info("kubernetes: %s %s is read again", key.kind, key.name)
        self._replace(key, found)
        self._listed.add(key)
        self._note_listed()
        return str(listing.resourceVersion)

    async def _watch(self, key: _Key, version: str) -> None:
        client = self._client
        if client is None:
            raise DatastoreError("kubernetes: closed")
        known = self._known.setdefault(key, set())
        async for verb, item in client.watch(
            _resource(key.kind),
            namespace=self._namespace if key.name else "*",
            fields={"metadata.name": key.name} if key.name else None,
            resource_version=version,
            server_timeout=WATCH_TIME,
        ):
            content = item.to_dict()
            name = _name_of(content)
            if verb == "DELETED":
                known.discard(name)
                self._receiver.drop(key.kind, name)
            elif verb in ("ADDED", "MODIFIED"):
                known.add(name)
                self._receiver.put(key.kind, name, content)
            self._receiver.changed()

    def _replace(
        self, key: _Key, found: Mapping[ObjectName, Mapping[str, Any]]
    ) -> None:
        for name in self._known.get(key, set()) - found.keys():
            self._receiver.drop(key.kind, name)
        for name, content in found.items():
            self._receiver.put(key.kind, name, content)
        self._known[key] = set(found)
        self._receiver.changed()


def _resource(kind: str) -> Any:  # noqa: ANN401  # lightkube's own types
    from lightkube.resources import core_v1, discovery_v1  # noqa: PLC0415  # with API

    return getattr(discovery_v1 if kind == "EndpointSlice" else core_v1, kind)


def _name_of(content: Mapping[str, Any]) -> ObjectName:
    metadata = content.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _is_expired(error: Exception) -> bool:
    status = getattr(error, "status", None)
    return getattr(status, "code", None) == 410


def _words(error: Exception) -> str:
    status = getattr(error, "status", None)
    text = getattr(status, "message", None) or str(error)
    return text or type(error).__name__
