"""Kubernetes' API as a datastore: Calico's objects as nearly every cluster keeps them.

Several collections are followed at once, each over a connection of its own. There is no common version of
them, so the snapshot comes once all have been listed, and each later event is what arrived
since the last one. A consumer must not rely on an order between kinds; the planner does
not.
"""

import asyncio
import base64
import hashlib
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from collections.abc import Collection as SizedIterable
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any, Final

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import (
    split_affinity_key,
    split_assignment_key,
    split_resource_key,
)
from bgpd.calico.kubernetes_objects import ANNOTATIONS, GROUP_V1, GROUP_V3, RESOURCES
from bgpd.calico.services import ObjectName
from bgpd.datastore.kubernetes.access import Access
from bgpd.datastore.kubernetes.client import NOT_FOUND, ApiClient
from bgpd.datastore.kubernetes.collection import Collection, name_of
from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.groups import Readiness, choose, groups_of, is_ready
from bgpd.datastore.kubernetes.items import Items
from bgpd.datastore.kubernetes.query import Query
from bgpd.datastore.model import DatastoreError, Status

GROUP_LOOK: Final = 300.0  # seconds between looks at the API's groups
GROUP_LOOK_SOON: Final = 5.0  # the same while there are two, or none is known
LINGER: Final = 5.0
"""Seconds for which an affinity that left one collection may come back in the other: it is
given its labels, and two watches have no common order."""
WITHOUT: Final = frozenset(
    {"BGPConfiguration", "BGPPeer", "BGPFilter", "IPReservation", "ClusterInformation"}
)
"""Kinds that a cluster may lack, such as one of an earlier release. Nodes, pools and
affinities must have been listed before the first snapshot."""
_LABEL: Final = "projectcalico.org/hostname-hash"
_UNLABELLED: Final = "!projectcalico.org/affinity-type"

_AS_NAME: Final = str.maketrans(".:/", "---")  # a block's prefix, as an object's name

_log = logging.getLogger(__name__)


class KubernetesDatastore:
    """Calico's objects in Kubernetes' API; see ``Datastore``.

    Args:
        access: Credentials.
        node: The own node: of all block affinities, its own are read.
        api_group: ``v1`` or ``v3``; ``auto`` asks the API.
        all_blocks: Read the affinities of every node.
        uses_pod_cidrs: Blocks are the nodes' pod CIDRs; no affinities are read.
    """

    def __init__(
        self,
        access: Access,
        node: str,
        *,
        api_group: str = "auto",
        all_blocks: bool = False,
        uses_pod_cidrs: bool = False,
    ) -> None:
        self._access = access
        self._node = node
        self._fixed = {"v1": GROUP_V1, "v3": GROUP_V3}.get(api_group)
        self._all_blocks = all_blocks
        self._uses_pod_cidrs = uses_pod_cidrs
        self._group = self._fixed
        self._looks_soon = False  # at the API's groups: there are two
        self._status = Status("kubernetes", since=time.monotonic())
        self._revision = 0
        self._following: _Following | None = None
        self._coming: _Following | None = None  # until all of it is listed

    @property
    def status(self) -> Status:
        """The state now; revisions count our own events."""
        following = self._following
        is_connected = following is not None and following.is_followed
        if is_connected is not self._status.is_connected:
            self._status = replace(
                self._status,
                is_connected=is_connected,
                source=str(self._access) if is_connected else "",
                since=time.monotonic(),
            )
        warnings = () if following is None else following.warnings()
        return replace(self._status, warnings=warnings)

    def describe(self, key: str, field: str = "") -> str:
        """Return an object and its field: of a Node, the annotation that holds it."""
        if (resource := split_resource_key(key)) is not None:
            kind, name = resource
            if kind == "Node" and field in ANNOTATIONS:
                return f"Node {name}, annotation {ANNOTATIONS[field]}"
            return f"{kind} {name} {field}".rstrip()
        if (affinity := split_affinity_key(key)) is not None:
            place = f"BlockAffinity of {affinity.cidr} to {affinity.node}"
            return f"{place} {field}".rstrip()
        return f"{key} {field}".rstrip()

    async def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield a snapshot, then changes, through all outages; see ``Datastore``."""
        looker: asyncio.Task[str] | None = None
        try:
            group = self._group or await self._other_group()
            while True:
                following = self._coming = self._begin(group)
                await following.listed()
                self._coming = None
                self._take_over(following)
                yield Snapshot(self._revision, dict(following.items.values))
                self._set(applied_revision=self._revision)
                if self._fixed is None:
                    looker = asyncio.create_task(self._other_group())
                async for puts, deletes in following.changes(looker):
                    self._revision += 1
                    yield Changes(self._revision, puts, deletes)
                    self._set(applied_revision=self._revision)
                if looker is None:
                    return
                group = looker.result()
                _log.warning(
                    "kubernetes: objects are read from %(source)s now",
                    {"event": "api-group-changed", "source": group},
                )
        finally:
            if looker is not None:
                looker.cancel()
            for each in (self._following, self._coming):
                if each is not None:
                    await each.close()

    # -- read beside what is followed (``bgpd.datastore.claimed.Reader``) ----------------

    async def read(self, keys: SizedIterable[str]) -> dict[str, bytes]:
        """Return the values of some IPAM blocks, as far as they exist.

        Raises:
            DatastoreError: The API does not answer, or refuses.
        """
        found: dict[str, bytes] = {}
        with _datastore_errors():
            async with self._access.connect() as api:
                for key in keys:
                    cidr = split_assignment_key(key)
                    if cidr is None:
                        continue
                    name = cidr.translate(_AS_NAME)
                    try:
                        block = await api.get(f"apis/{self._group}/ipamblocks/{name}")
                    except ApiError as error:
                        if error.code != NOT_FOUND:
                            raise
                        continue
                    found[key] = json.dumps(block.get("spec") or {}).encode()
        return found

    async def read_below(self, prefix: str) -> dict[str, bytes]:
        """Return the block affinities of all nodes, as etcd has them below a prefix.

        Raises:
            DatastoreError: The API does not answer, or refuses.
        """
        path = f"apis/{self._group}/{RESOURCES['BlockAffinity']}"
        query = Query("BlockAffinity", path, reads_cache=True)
        items = Items()
        with _datastore_errors():
            async with (
                self._access.connect() as api,
                aclosing(api.cached(query, "0")) as pieces,
            ):
                async for piece in pieces:
                    for content in piece.objects:
                        name = name_of(content)[1]
                        items.put("", "BlockAffinity", name, content)
        return {k: v for k, v in items.values.items() if k.startswith(prefix)}

    def _begin(self, group: str) -> "_Following":
        items = Items(uses_pod_cidrs=self._uses_pod_cidrs)
        following = _Following(self._queries(group), items, self._access, self._note)
        if self._following is None:
            self._following = following  # its failures are what there is to tell
        return following

    def _take_over(self, following: "_Following") -> None:
        former, self._following = self._following, following
        if former is not None and former is not following:
            former.abandon()
        items = following.items
        items.drain()
        self._revision += 1
        self._set(snapshots=self._status.snapshots + 1, server_revision=self._revision)

    def _queries(self, group: str) -> list[Query]:
        self._group = group
        base = f"apis/{group}"
        queries = [
            Query(
                "Node",
                "api/v1/nodes",
                has_metadata_alone=not self._uses_pod_cidrs,
                reads_cache=True,
            )
        ]
        queries += [
            Query(kind, f"{base}/{plural}", reads_cache=True)
            for kind, plural in RESOURCES.items()
            if kind != "BlockAffinity"
        ]
        if not self._uses_pod_cidrs:
            path = f"{base}/{RESOURCES['BlockAffinity']}"
            selectors = [""]
            if not self._all_blocks:
                selectors = [f"{_LABEL}={hostname_hash(self._node)}", _UNLABELLED]
            queries += [
                Query("BlockAffinity", path, "", each, reads_cache=True)
                for each in selectors
            ]
        return queries

    # -- which group --------------------------------------------------------------------

    async def _other_group(self) -> str:
        """Return the group to read, once it is another than that in force."""
        while True:
            if self._group is not None:  # and known since the last look
                pause = GROUP_LOOK_SOON if self._looks_soon else GROUP_LOOK
                await _pause(pause)
            try:
                async with self._access.connect() as api:
                    groups = groups_of(await api.get("apis"))
                    self._looks_soon = len(groups) > 1
                    readiness = Readiness()
                    if len(groups) > 1:
                        readiness = await _readiness(api)
                    group = choose(groups, readiness, self._group)
            except Exception as error:  # noqa: BLE001  # whatever a client may raise
                if self._group is None:
                    self._note(f"API groups: {str(error) or type(error).__name__}")
            else:
                if group is not None and group != self._group:
                    return group
                if not groups:
                    self._note("the API has no objects of Calico's")
            if self._group is None:
                await _pause(GROUP_LOOK_SOON)

    def _note(self, error: str) -> None:
        if error and error != self._status.last_error:
            self._set(last_error=error)

    def _set(self, **values: object) -> None:
        self._status = replace(self._status, **values)  # type: ignore[arg-type]


class _Receiver:
    """Takes the objects of one collection."""

    def __init__(self, following: "_Following", name: str, *, lingers: bool) -> None:
        self._following = following
        self._name = name
        self._lingers = lingers

    def put(self, kind: str, name: ObjectName, content: Mapping[str, Any]) -> None:
        self._following.items.put(self._name, kind, name[1], content)

    def drop(self, kind: str, name: ObjectName) -> None:
        drop = self._following.items.drop
        if not self._lingers:
            drop(self._name, kind, name[1])
            return
        loop = asyncio.get_running_loop()
        loop.call_later(LINGER, self._drop_late, kind, name)

    def _drop_late(self, kind: str, name: ObjectName) -> None:
        self._following.items.drop(self._name, kind, name[1])
        self.changed()

    def changed(self) -> None:
        self._following.news.set()


class _Following:
    """The collections of one API group.

    Args:
        queries: Which.
        items: Takes what they have.
        access: Credentials.
        note: Takes failures, for people.
    """

    def __init__(
        self,
        queries: list[Query],
        items: Items,
        access: Access,
        note: Callable[[str], None],
    ) -> None:
        self.items = items
        self.news = asyncio.Event()
        self._note = note
        self._collections = [
            Collection(
                query,
                access.connect,
                _Receiver(
                    self, str(index), lingers=query.label_selector == _UNLABELLED
                ),
                self._noted,
            )
            for index, query in enumerate(queries)
        ]
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(each.follow(), name=f"kubernetes {each.query}")
            for each in self._collections
        ]

    def _noted(self, error: str) -> None:
        self.news.set()
        self._note(error)

    @property
    def is_followed(self) -> bool:
        """Whether changes would be noticed now."""
        return all(each.is_followed or _is_missed(each) for each in self._collections)

    @property
    def _is_listed(self) -> bool:
        return all(each.is_listed or _is_missed(each) for each in self._collections)

    async def listed(self) -> None:
        """Wait until all was read once."""
        while not self._is_listed:
            self.news.clear()
            await self.news.wait()

    async def changes(
        self, until: "asyncio.Task[str] | None"
    ) -> AsyncIterator[tuple[dict[str, bytes], frozenset[str]]]:
        """Yield what has changed, until the task is done."""
        if until is not None:
            until.add_done_callback(lambda _: self.news.set())
        while until is None or not until.done():
            self.news.clear()
            puts, deletes = self.items.drain()
            if puts or deletes:
                yield puts, deletes
                continue
            await self.news.wait()

    def warnings(self) -> tuple[str, ...]:
        """Return what is wrong with objects, and which collections are not followed."""
        away = [each.error for each in self._collections if each.error]
        return (*away, *self.items.warnings())

    def abandon(self) -> None:
        """Follow no more; the tasks end by themselves."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Follow no more, and wait for the end."""
        self.abandon()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _is_missed(collection: Collection) -> bool:
    """Return whether the cluster can do without a kind that its API has not."""
    return collection.is_absent and collection.query.kind in WITHOUT


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311  # jitter


@contextmanager
def _datastore_errors() -> Iterator[None]:
    try:
        yield
    except DatastoreError:
        raise
    except Exception as error:
        text = f"kubernetes: {str(error) or type(error).__name__}"
        raise DatastoreError(text) from error


async def _readiness(api: ApiClient) -> Readiness:
    found = []
    for group in (GROUP_V1, GROUP_V3):
        path = f"apis/{group}/{RESOURCES['ClusterInformation']}/default"
        try:
            found.append(is_ready(await api.get(path)))
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise
            found.append(None)
    return Readiness(*found)


def hostname_hash(node: str) -> str:
    """Return the label by which a node's affinities are found (Calico 3.31 and later)."""
    digest = hashlib.sha3_256(node.encode()).digest()
    return base64.b32encode(digest).rstrip(b"=").decode()
