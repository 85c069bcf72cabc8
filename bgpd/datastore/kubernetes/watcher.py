"""Follows what is wanted of Kubernetes' API, and nothing else of it."""

import asyncio
from contextlib import suppress
from typing import NamedTuple

from bgpd.datastore.kubernetes.access import Access, ApiStatus
from bgpd.datastore.kubernetes.collection import Collection, Key, Receiver


class Wants(NamedTuple):
    """The collections to watch.

    Attributes:
        secrets: Names of Secrets.
        has_services: Services and their endpoints.
    """

    secrets: frozenset[str] = frozenset()
    has_services: bool = False


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
        self._collections: dict[Key, Collection] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._synced = asyncio.Event()
        self._synced.set()
        self._last_error = ""

    @property
    def status(self) -> ApiStatus:
        """What is known of the API now."""
        is_connected = all(each.is_followed for each in self._collections.values())
        return ApiStatus(str(self._access), is_connected, self._last_error)

    async def wait_until_listed(self, seconds: float) -> bool:
        """Wait until all that is wanted was read once; false if it takes longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._synced.wait()
        return self._synced.is_set()

    def want(self, wants: Wants) -> None:
        """Follow this and nothing else; what is wanted no more is dropped."""
        keys = {Key("Secret", self._namespace, name) for name in wants.secrets}
        if wants.has_services:
            keys |= {Key("Service"), Key("EndpointSlice")}
        for key in self._collections.keys() - keys:
            self._end(key)
            self._collections.pop(key).forget()
        for key in keys - self._collections.keys():
            self._begin(key)
        self._note("")

    async def close(self) -> None:
        """Follow nothing any more."""
        for key in list(self._tasks):
            self._end(key)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _begin(self, key: Key) -> None:
        collection = Collection(key, self._access, self._receiver, self._note)
        self._collections[key] = collection
        loop = asyncio.get_running_loop()
        self._tasks[key] = loop.create_task(
            collection.follow(), name=f"kubernetes {key}"
        )

    def _end(self, key: Key) -> None:
        task = self._tasks.pop(key)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.cancel()

    def _note(self, error: str) -> None:
        if error:
            self._last_error = error
        if all(each.is_listed for each in self._collections.values()):
            self._synced.set()
        else:
            self._synced.clear()
