"""Follows the objects that are wanted of Kubernetes' API, and no others."""

import asyncio
from contextlib import suppress
from typing import Final, NamedTuple

from bgpd.datastore.kubernetes.access import Access, ApiStatus
from bgpd.datastore.kubernetes.collection import Collection, Receiver
from bgpd.datastore.kubernetes.query import Query
from bgpd.datastore.kubernetes.troubles import TroubleLog

_SERVICES: Final = (
    Query("Service", "api/v1/services"),
    Query("EndpointSlice", "apis/discovery.k8s.io/v1/endpointslices"),
)


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
        self._collections: dict[Query, Collection] = {}
        self._tasks: dict[Query, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._synced = asyncio.Event()
        self._synced.set()
        self._last_error = ""
        self._troubles = TroubleLog(self._collections.values)

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
        path = f"api/v1/namespaces/{self._namespace}/secrets"
        wanted = {
            Query("Secret", path, f"metadata.name={name}") for name in wants.secrets
        }
        if wants.has_services:
            wanted.update(_SERVICES)
        for query in self._collections.keys() - wanted:
            self._end(query)
            self._collections.pop(query).forget()
        for query in wanted - self._collections.keys():
            self._begin(query)
        self._note("")

    async def close(self) -> None:
        """Follow nothing any more."""
        self._troubles.close()
        for query in list(self._tasks):
            self._end(query)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _begin(self, query: Query) -> None:
        access = self._access
        collection = Collection(query, access.connect, self._receiver, self._noted)
        self._collections[query] = collection
        loop = asyncio.get_running_loop()
        self._tasks[query] = loop.create_task(
            collection.follow(), name=f"kubernetes {query}"
        )

    def _end(self, query: Query) -> None:
        task = self._tasks.pop(query)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.cancel()

    def _noted(self, error: str) -> None:
        self._troubles.changed()
        self._note(error)

    def _note(self, error: str) -> None:
        if error:
            self._last_error = error
        if all(each.is_listed for each in self._collections.values()):
            self._synced.set()
        else:
            self._synced.clear()
