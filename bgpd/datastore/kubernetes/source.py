"""Kubernetes' API as a datastore: Calico's objects as nearly every cluster keeps them.

Several collections are followed at once, each over a connection of its own. There is no common version of
them, so the snapshot comes once all have been listed, and each later event is what arrived
since the last one. A consumer must not rely on an order between kinds; the planner does
not.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from collections.abc import Collection as SizedIterable
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Final, NamedTuple

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import (
    split_affinity_key,
    split_assignment_key,
    split_resource_key,
)
from bgpd.calico.kubernetes_objects import (
    ANNOTATIONS,
    GROUP_V1,
    GROUP_V3,
    HOSTNAME_HASH,
    RESOURCES,
    hostname_hash,
    prefix_in_name,
)
from bgpd.calico.needed_nodes import NodeNeeds
from bgpd.config.settings import NODES_CHECK_TIME
from bgpd.datastore.kubernetes.access import Access
from bgpd.datastore.kubernetes.client import NOT_FOUND, ApiClient
from bgpd.datastore.kubernetes.collection import name_of
from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.following import UNLABELLED, Following
from bgpd.datastore.kubernetes.groups import Readiness, choose, groups_of, is_ready
from bgpd.datastore.kubernetes.items import Items
from bgpd.datastore.kubernetes.node_scope import NodeScope
from bgpd.datastore.kubernetes.query import Query
from bgpd.datastore.model import DatastoreError, NodesRead, Status
from bgpd.texts.errors import text_of

GROUP_LOOK: Final = 300.0  # seconds between looks at the API's groups
GROUP_LOOK_SOON: Final = 5.0  # the same while there are two, or none is known

_log = logging.getLogger(__name__)


class _Extent(NamedTuple):
    """How much is read; see ``KubernetesDatastore``."""

    has_all_blocks: bool
    uses_pod_cidrs: bool
    check_time: float


class KubernetesDatastore:
    """Calico's objects in Kubernetes' API; see ``Datastore``.

    Args:
        access: Credentials.
        node: The own node: of all block affinities, its own are read.
        api_group: ``v1`` or ``v3``; ``auto`` asks the API.
        all_blocks: Read the affinities of every node.
        uses_pod_cidrs: Blocks are the nodes' pod CIDRs; no affinities are read.
        needs_only: Read those Nodes alone that the own node needs; see ``want``.
        check_time: Seconds between two checks that all of them are read; 0 makes none.
    """

    def __init__(
        self,
        access: Access,
        node: str,
        *,
        api_group: str = "auto",
        all_blocks: bool = False,
        uses_pod_cidrs: bool = False,
        needs_only: bool = False,
        check_time: float = NODES_CHECK_TIME,
    ) -> None:
        self._access = access
        self._node = node
        self._fixed = {"v1": GROUP_V1, "v3": GROUP_V3}.get(api_group)
        self._extent = _Extent(all_blocks, uses_pod_cidrs, check_time)
        self._group = self._fixed
        self._looks_soon = False  # at the API's groups: there are two
        self._status = Status("kubernetes", since=time.monotonic())
        self._revision = 0
        self._needs = NodeNeeds(frozenset((node,))) if needs_only else None
        self._following: _Group | None = None
        self._coming: _Group | None = None  # until all of it is listed

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
        if following is None:
            return self._status
        warnings, nodes = following.warnings(), following.nodes
        return replace(self._status, warnings=warnings, nodes=nodes)

    def want(self, needs: NodeNeeds) -> None:
        """Let these Nodes be needed from now on; events say which needs they satisfy."""
        if self._needs is None:
            return
        self._needs = needs
        for each in (self._following, self._coming):
            if each is not None:
                each.want(needs)

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
                items, told = dict(following.items.values), following.needs
                yield Snapshot(self._revision, items, told)
                self._set(applied_revision=self._revision)
                if self._fixed is None:
                    looker = asyncio.create_task(self._other_group())
                async for changes in following.changes(looker, told):
                    self._revision += 1
                    yield replace(changes, revision=self._revision)
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
                    name = prefix_in_name(cidr)
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

    def _begin(self, group: str) -> "_Group":
        self._group = group
        items = Items(uses_pod_cidrs=self._extent.uses_pod_cidrs)
        following = Following(items, self._access, self._note, group)
        all_nodes, *others = self._queries(group)
        scope = None
        if self._needs is None:
            following.add(all_nodes)
        else:
            scope = NodeScope(
                following,
                self._access,
                all_nodes,
                needs=self._needs,
                check_time=self._extent.check_time,
                note=self._note,
            )
        for query in others:
            following.add(query)
        begun = _Group(following, scope)
        if self._following is None:
            self._following = begun  # its failures are what there is to tell
        return begun

    def _take_over(self, following: "_Group") -> None:
        former, self._following = self._following, following
        if former is not None and former is not following:
            former.abandon()
        items = following.items
        items.drain()
        self._revision += 1
        self._set(snapshots=self._status.snapshots + 1, server_revision=self._revision)

    def _queries(self, group: str) -> list[Query]:
        """Return what is read, all Nodes first."""
        base = f"apis/{group}"
        has_metadata_alone = not self._extent.uses_pod_cidrs
        queries = [
            Query(
                "Node",
                "api/v1/nodes",
                has_metadata_alone=has_metadata_alone,
                reads_cache=True,
            )
        ]
        queries += [
            Query(kind, f"{base}/{plural}", reads_cache=True)
            for kind, plural in RESOURCES.items()
            if kind != "BlockAffinity"
        ]
        if not self._extent.uses_pod_cidrs:
            path = f"{base}/{RESOURCES['BlockAffinity']}"
            selectors = [""]
            if not self._extent.has_all_blocks:
                selectors = [f"{HOSTNAME_HASH}={hostname_hash(self._node)}", UNLABELLED]
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
                    self._note(f"API groups: {text_of(error)}")
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


class _Group:
    """What is followed of one API group, and of Nodes.

    Args:
        following: All of it.
        scope: Which Nodes; ``None`` where that is all of them.
    """

    def __init__(self, following: Following, scope: NodeScope | None) -> None:
        self._following = following
        self._scope = scope
        self._scope_task: asyncio.Task[None] | None = None
        if scope is not None:
            loop = asyncio.get_running_loop()
            self._scope_task = loop.create_task(scope.run(), name="kubernetes Nodes")

    @property
    def items(self) -> Items:
        """What there is."""
        return self._following.items

    @property
    def needs(self) -> NodeNeeds | None:
        """Needs for which all Nodes are there; ``None`` where all Nodes are."""
        return None if self._scope is None else self._scope.in_force

    @property
    def nodes(self) -> NodesRead:
        """Which Nodes are read."""
        if self._scope is None:
            return NodesRead("all", events=self._following.node_events)
        return self._scope.status

    @property
    def is_followed(self) -> bool:
        """Whether changes would be noticed now."""
        return self._following.is_followed

    def want(self, needs: NodeNeeds) -> None:
        """Let these Nodes be needed."""
        if self._scope is not None:
            self._scope.want(needs)

    async def listed(self) -> None:
        """Wait until all was read once."""
        following = self._following
        while True:
            following.news.clear()
            is_scoped = self._scope is None or self._scope.in_force is not None
            if is_scoped and following.is_listed:
                return
            await following.news.wait()

    async def changes(
        self, until: "asyncio.Task[str] | None", told: NodeNeeds | None
    ) -> AsyncIterator[Changes]:
        """Yield what has changed, without a revision, until a task is done.

        Args:
            until: The task.
            told: Needs of the last event.
        """
        following = self._following
        if until is not None:
            until.add_done_callback(lambda _: following.news.set())
        while until is None or not until.done():
            following.news.clear()
            puts, deletes = self.items.drain()
            needs = self.needs
            is_loss, following.is_loss = following.is_loss, False
            if puts or deletes or needs != told:
                told = needs
                yield Changes(0, puts, deletes, needs, is_loss)
                continue
            await following.news.wait()

    def warnings(self) -> tuple[str, ...]:
        """Return what is wrong."""
        more = () if self._scope is None else self._scope.warnings()
        return (*self._following.warnings(), *more)

    def abandon(self) -> None:
        """Stop following; the tasks end by themselves."""
        self._following.abandon()
        if self._scope_task is not None:
            self._scope_task.cancel()

    async def close(self) -> None:
        """Stop following, and wait for the end."""
        self.abandon()
        await self._following.close()
        if self._scope_task is not None:
            await asyncio.gather(self._scope_task, return_exceptions=True)


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311  # jitter


@contextmanager
def _datastore_errors() -> Iterator[None]:
    try:
        yield
    except DatastoreError:
        raise
    except Exception as error:
        text = f"kubernetes: {text_of(error)}"
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
