"""Nodes that left a label selector: removed, or given other labels? The API says."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from bgpd.calico.keys import resource_key
from bgpd.datastore.kubernetes.access import Access
from bgpd.datastore.kubernetes.answers import Object
from bgpd.datastore.kubernetes.following import Following
from bgpd.datastore.kubernetes.query import Query
from bgpd.texts.errors import text_of

# Theory
# ------
# A watch with a label selector says DELETED of both. To take another label for a removal would
# let the guard hold it, and the session with a former reflector would stay. So a Node that
# left is requested by name. If it is there, its new state counts for a while, long enough for
# the planner to see it; then it goes, and the guard knows that it was not needed.

LEAVE_AFTER: Final = 30.0  # seconds that a Node stays which left all selectors
_LEFT: Final = "~"  # behind the names of all collections


class LeftNodes:
    """Takes Nodes that left a collection; see ``bgpd.datastore.kubernetes.following.Losses``.

    Args:
        following: Where the collections are.
        access: Credentials.
        everything: All Nodes.
        still_there: Called with the key and value of a Node that was not removed.
        note: Takes failures, for people.
    """

    def __init__(
        self,
        following: Following,
        access: Access,
        everything: Query,
        *,
        still_there: Callable[[str, bytes], None],
        note: Callable[[str], None],
    ) -> None:
        self._following = following
        self._access = access
        self._everything = everything
        self._still_there = still_there
        self._note = note
        self._lost: dict[str, set[str]] = {}  # by name, the collections that it left
        self._request: asyncio.Task[None] | None = None

    def lost(self, collection: str, name: str) -> None:
        """A Node left a collection: it is removed, or has other labels."""
        self._lost.setdefault(name, set()).add(collection)
        if self._request is None or self._request.done():
            loop = asyncio.get_running_loop()
            self._request = loop.create_task(self._settle())

    def found(self, collection: str, name: str) -> None:
        """A Node is in a collection, perhaps again."""
        if name in self._lost:
            self._lost[name].discard(collection)

    def abandon(self) -> None:
        """Request nothing more."""
        if self._request is not None:
            self._request.cancel()

    async def _settle(self) -> None:
        items = self._following.items
        while self._lost:
            name = next(iter(self._lost))
            content = await self._read(name)
            collections = self._lost.pop(name)
            if not collections:
                continue  # it is back
            if content is not None and items.seen_by("Node", name) <= collections:
                self._keep(name, content)
            for collection in collections:
                items.drop(collection, "Node", name)
            self._following.news.set()

    async def _read(self, name: str) -> Object | None:
        """Return a Node; ``None`` if there is none, or the API does not say.

        A list of one, which no other right is needed for, read from etcd: a cache might not
        know of the removal yet.
        """
        query = self._everything._replace(field_selector=f"metadata.name={name}")
        found: Object | None = None
        try:
            async with (
                self._access.connect() as api,
                aclosing(api.cached(query, "")) as pieces,
            ):
                async for piece in pieces:
                    for content in piece.objects:
                        found = content
        except Exception as error:  # noqa: BLE001  # whatever a client may raise
            self._note(f"Node {name}: {text_of(error)}")
        return found

    def _keep(self, name: str, content: Object) -> None:
        items = self._following.items
        items.put(_LEFT, "Node", name, content)
        key = resource_key("Node", name)
        if (value := items.values.get(key)) is not None:
            self._still_there(key, value)
        asyncio.get_running_loop().call_later(LEAVE_AFTER, self._let_go, name)

    def _let_go(self, name: str) -> None:
        self._following.items.drop(_LEFT, "Node", name)
        self._following.news.set()
