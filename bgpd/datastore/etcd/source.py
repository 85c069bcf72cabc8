"""etcd as a datastore: a snapshot at one revision, then watches from the next one.

While no member answers there are no events, so nothing that runs changes; the watch resumes
where it stood, on whichever endpoint answers first. A full snapshot is read again only
where continuity is lost: the history was compacted, or the cluster is another one or was
restored from a backup (its revision went back).
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from grpclib.client import Stream

from bgpd.calico.events import DatastoreEvent, Snapshot
from bgpd.calico.keys import prefixes as calico_prefixes
from bgpd.datastore.etcd.client import (
    CompactedError,
    Connection,
    EtcdSettings,
    TooLargeError,
    errors_named,
    prefix_end,
)
from bgpd.datastore.etcd.diagnosis import explained
from bgpd.datastore.etcd.rpc_pb2 import (
    RangeRequest,
    RangeResponse,
    WatchRequest,
    WatchResponse,
)
from bgpd.datastore.etcd.watch import WatchCursor
from bgpd.datastore.model import DatastoreError, Status

FIRST_DELAY: Final = 0.1  # seconds; once every endpoint has failed
MAX_DELAY: Final = 5.0
STABLE_AFTER: Final = 5.0  # seconds a session must last to count as a success

_log = logging.getLogger(__name__)


class EtcdDatastore:
    """A watched etcd cluster.

    Args:
        settings: How to reach it.
        prefixes: Keys to read; ``bgpd.calico.keys.prefixes(node)`` by default of all
            nodes.

    Raises:
        DatastoreError: There is no endpoint.
    """

    def __init__(
        self, settings: EtcdSettings, prefixes: Sequence[str] = calico_prefixes()
    ) -> None:
        if not settings.endpoints:
            raise DatastoreError("etcd: no endpoint is configured")
        self._settings = settings
        self._prefixes = tuple(prefixes)
        self._cursor: WatchCursor | None = None
        self._status = Status("etcd", since=time.monotonic())

    @property
    def status(self) -> Status:
        """The state now."""
        return self._status

    def describe(self, key: str, field: str = "") -> str:
        """Return the key itself, and the field."""
        return f"{key} {field}".rstrip()

    async def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield a snapshot, then changes, through all outages; see ``Datastore``."""
        self._cursor = None
        failures = 0
        while True:
            endpoints = self._settings.endpoints
            endpoint = endpoints[failures % len(endpoints)]
            started = time.monotonic()
            try:
                with Connection(endpoint, self._settings) as connection:
                    async with aclosing(self._session(connection)) as session:
                        async for event in session:
                            yield event
                            self._set(applied_revision=event.revision)
            except CompactedError as error:
                self._cursor = None
                self._disconnected(endpoint, error)
            except DatastoreError as error:
                # A server that served us is not asked why it stopped.
                if not self._status.is_connected:
                    reason = await explained(endpoint, self._settings, error)
                    error = DatastoreError(reason)
                self._disconnected(endpoint, error)
            if time.monotonic() - started > STABLE_AFTER:
                # The next endpoint is tried at once, then the ones after it.
                failures -= failures // len(endpoints) * len(endpoints)
            failures += 1
            await asyncio.sleep(_delay(failures // len(endpoints)))

    async def read(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the values of some keys that are not followed; see ``claimed.Reader``."""
        ranges = [(key.encode(), b"") for key in keys]
        return await self._read_apart(ranges)

    async def read_below(self, prefix: str) -> dict[str, bytes]:
        """Return all that is below a prefix; see ``claimed.Reader``."""
        key = prefix.encode()
        return await self._read_apart([(key, prefix_end(key))])

    async def _read_apart(
        self, ranges: Sequence[tuple[bytes, bytes]]
    ) -> dict[str, bytes]:
        """Read by a connection of its own, from the member that is watched if there is one.

        Raises:
            DatastoreError: No member answers.
        """
        fault = DatastoreError("etcd: no endpoint answers")
        others = self._settings.endpoints
        for endpoint in dict.fromkeys((self._status.source, *others)):
            if not endpoint:
                continue
            items: dict[str, bytes] = {}
            try:
                with Connection(endpoint, self._settings) as connection:
                    await connection.authenticate()
                    for key, end in ranges:
                        async for reply in self._pages(connection, key, end, 0):
                            items |= _items(reply)
            except DatastoreError as error:
                fault = error
            else:
                return items
        raise fault

    async def _pages(
        self, connection: Connection, key: bytes, end: bytes, revision: int
    ) -> AsyncGenerator[RangeResponse, None]:
        """Yield the pages of a range; all but the first at the revision of the first.

        A page that is too large, and those behind it, are requested again with fewer keys.
        """
        limit = self._settings.page_keys
        while True:
            try:
                reply = await connection.read(
                    RangeRequest(key=key, range_end=end, limit=limit, revision=revision)
                )
            except TooLargeError:
                if limit == 1:
                    raise
                limit = max(1, limit // 4)
                continue
            yield reply
            if not reply.more or not reply.kvs:
                return
            revision = revision or reply.header.revision
            key = reply.kvs[-1].key + b"\0"

    async def _session(
        self, connection: Connection
    ) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield events until the connection breaks.

        Raises:
            CompactedError: Only a snapshot helps.
            EtcdError: The connection or a call failed.
        """
        await connection.authenticate()
        cursor = self._cursor
        if cursor is None or not await self._is_continuous(connection, cursor):
            cursor, snapshot = await self._snapshot(connection)
            self._set(snapshots=self._status.snapshots + 1)
            yield snapshot
            self._cursor = cursor
            await connection.authenticate()  # reading may have outlived the token
        with errors_named():
            async with connection.watch() as stream:
                await self._start(stream, cursor)
                is_watching = False
                async for response in stream:
                    self._saw(response.header.revision)
                    changes = cursor.take(response)
                    if cursor.is_watching and not is_watching:
                        is_watching = True  # not before: the server may refuse
                        self._connected(connection.endpoint)
                    if changes is not None:
                        yield changes

    async def _start(
        self, stream: "Stream[WatchRequest, WatchResponse]", cursor: WatchCursor
    ) -> None:
        async with asyncio.timeout(self._settings.call_timeout):
            for request in cursor.start():
                await stream.send_message(request)

    async def _is_continuous(self, connection: Connection, cursor: WatchCursor) -> bool:
        """Ask, through the leader, whether the history still goes on from ``cursor``.

        A watch from a revision in the future is silent until the cluster gets there,
        which after a restore from a backup would hide every change until then.
        """
        first = self._prefixes[0].encode()
        reply = await connection.read(
            RangeRequest(
                key=first, range_end=prefix_end(first), limit=1, keys_only=True
            )
        )
        self._saw(reply.header.revision)
        return (
            reply.header.cluster_id == cursor.cluster_id
            and reply.header.revision >= max(cursor.next_revisions) - 1
        )

    async def _snapshot(self, connection: Connection) -> tuple[WatchCursor, Snapshot]:
        """Read all prefixes in pages, every one at the revision of the first."""
        items: dict[str, bytes] = {}
        revision = cluster_id = 0
        for prefix in self._prefixes:
            key, end = prefix.encode(), prefix_end(prefix.encode())
            async for reply in self._pages(connection, key, end, revision):
                if not revision:
                    revision = reply.header.revision
                    cluster_id = reply.header.cluster_id
                items |= _items(reply)
        self._set(server_revision=revision)
        cursor = WatchCursor(self._prefixes, revision, cluster_id)
        return cursor, Snapshot(revision, items)

    def _saw(self, revision: int) -> None:
        if revision > self._status.server_revision:
            self._set(server_revision=revision)

    def _connected(self, endpoint: str) -> None:
        _log.info(
            "etcd %(source)s: watching",
            {"event": "datastore-connected", "source": endpoint},
        )
        self._set(source=endpoint, is_connected=True, since=time.monotonic())

    def _disconnected(self, endpoint: str, error: DatastoreError) -> None:
        text = f"{endpoint}: {error}"
        if self._status.is_connected:
            _log.warning(
                "etcd %(source)s: %(reason)s; keeping what was read before",
                {
                    "event": "datastore-disconnected",
                    "source": endpoint,
                    "reason": error,
                },
            )
            self._set(since=time.monotonic())
        self._set(source="", is_connected=False, last_error=text)

    def _set(self, **values: object) -> None:
        self._status = replace(self._status, **values)  # type: ignore[arg-type]


def _items(reply: RangeResponse) -> dict[str, bytes]:
    return {kv.key.decode("utf-8", "replace"): kv.value for kv in reply.kvs}


def _delay(rounds: int) -> float:
    """Return seconds to wait after ``rounds`` times through all endpoints."""
    if rounds == 0:
        return 0.0
    longest = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(rounds - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, no secret
