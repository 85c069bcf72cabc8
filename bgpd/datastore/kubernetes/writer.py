"""Writes Calico's resources to Kubernetes' API; for labs, tests and tools."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from bgpd.datastore.kubernetes.access import Access
from bgpd.datastore.kubernetes.client import NOT_FOUND, ApiClient
from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.stored_objects import StoredObject, stored
from bgpd.datastore.model import DatastoreError, Manifest
from bgpd.texts.errors import text_of

CONFLICT: Final = 409
TRIES: Final = 5  # of a write that another one was faster than
LOOK: Final = 0.1  # seconds between looks for a collection


class KubernetesWriter:
    """Writes one object after another; see ``Writer``.

    Args:
        access: Credentials that may write.
        group: API group of what is written.
    """

    def __init__(self, access: Access, group: str) -> None:
        self._access = access
        self._group = group

    async def apply(self, manifests: Iterable[Manifest]) -> None:
        """Create or replace objects; see ``Writer``."""
        await self.put([stored(each, self._group) for each in manifests])

    async def delete(self, manifests: Iterable[Manifest]) -> None:
        """Delete objects; see ``Writer``."""
        objects = [stored(each, self._group) for each in manifests]
        async with self._connected() as api:
            for each in objects:
                try:
                    await api.send("DELETE", each.path)
                except ApiError as error:
                    if error.code != NOT_FOUND:
                        raise

    async def put(self, objects: Iterable[StoredObject]) -> None:
        """Create or replace objects of any kind, in order.

        Raises:
            DatastoreError: The API does not answer, or refuses one of them.
        """
        async with self._connected() as api:
            for each in objects:
                await _put(api, each)

    async def wait_for(self, collections: Iterable[str], seconds: float) -> None:
        """Wait until collections are served: a new kind takes a moment.

        Raises:
            DatastoreError: One is not, after so many seconds, or the API does not answer.
        """
        async with self._connected() as api:
            for path in collections:
                try:
                    async with asyncio.timeout(seconds):
                        await _until_served(api, path)
                except TimeoutError:
                    text = f"kubernetes: {path} is not served after {seconds:g} s"
                    raise DatastoreError(text) from None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[ApiClient]:
        try:
            async with self._access.connect() as api:
                yield api
        except DatastoreError:
            raise
        except Exception as error:
            # Of any library below: what it says is all there is to tell.
            text = f"kubernetes: {text_of(error)}"
            raise DatastoreError(text) from error


async def _until_served(api: ApiClient, path: str) -> None:
    while True:
        try:
            await api.get(path)
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            await asyncio.sleep(LOOK)
        else:
            return


async def _put(api: ApiClient, item: StoredObject) -> None:
    for left in reversed(range(TRIES)):
        try:
            await api.send("POST", item.collection, item.content)
        except ApiError as error:
            if error.code != CONFLICT:
                raise
        else:
            return
        try:
            known = await api.get(item.path)
            await api.send("PUT", item.path, _replacing(item.content, known))
        except ApiError as error:
            if not left or error.code not in (CONFLICT, NOT_FOUND):
                raise
        else:
            return


def _replacing(content: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object that takes the place of exactly the one that is known."""
    version = (known.get("metadata") or {}).get("resourceVersion")
    return {
        **content,
        "metadata": {**content["metadata"], "resourceVersion": version},
    }
