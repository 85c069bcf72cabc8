"""Follows the cluster's datastore and says what this node must be.

Level-triggered: whatever an event was, what is delivered is the whole of what is wanted
now. Parts that an event did not touch are the same objects as before, which is what makes
the frequent case, a changed block affinity, cheap to compare.

This module decides when to plan; ``bgpd.node.planning`` makes and delivers the plan. What comes while
a plan is made is taken in as one, and all of it is done in turns of the loop that last a few
milliseconds. Nothing that an object brings about ends this: the border keeps the last plan, part by
part where that is possible.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final, NamedTuple

from bgpd.calico.compat import Compat
from bgpd.calico.desired import NodeDesired
from bgpd.calico.events import DatastoreEvent
from bgpd.calico.keys import prefixes
from bgpd.calico.peers import NO_NODE
from bgpd.calico.planner import PlanOptions, SideInputs
from bgpd.calico.state import ClusterState
from bgpd.calico.warnings import ObjectWarning
from bgpd.config.settings import (
    REMOVAL_HOLD,
    CalicoSettings,
    DatastoreKind,
    DatastoreSettings,
    KubernetesSettings,
)
from bgpd.datastore.claimed import ClaimedBlocks
from bgpd.datastore.folder import FolderDatastore
from bgpd.datastore.guarded import GuardedDatastore
from bgpd.datastore.kubernetes import KubernetesDatastore, find_access
from bgpd.datastore.kubernetes.access import why_none
from bgpd.datastore.model import Datastore, DatastoreError, Status
from bgpd.datastore.needed import NeededNodes
from bgpd.datastore.saved_state import SavedDatastore
from bgpd.node.kubernetes_inputs import KubernetesInputs
from bgpd.node.planning import Deliver, NodePlanning
from bgpd.node.warning_log import WarningLog
from bgpd.runtime.event_loop import keep_young
from bgpd.runtime.fault_border import FaultBorder
from bgpd.session.settings import AddPathMode, PeerSettings
from bgpd.worker.turns import in_turns

MOST_REST: Final = 0.5  # seconds between two plans, while events keep coming

_log = logging.getLogger(__name__)

MAX_CONNECT_RETRY_TIME: Final = 5
"""Seconds; Calico's BIRD has "connect retry time 5" and no back-off."""


class DatastoreFollower:
    """Reads a datastore for one node.

    Args:
        datastore: Where cluster state comes from; what it removes against all
            plausibility is held.
        node: This node's name.
        template: What peers from the datastore are like.
        deliver: Takes what the node must be, and returns once it is.
        calico: How the node behaves where the cluster's objects do not say.
        border: Keeps what an object brings about from ending this.
        sides: What does not come from the datastore; ``None`` for nothing.
        removal_hold: Seconds for which implausible removals are held; 0 holds none.
        claimed: Adds what decides about blocks that several nodes claim; ``None`` where
            the datastore tells that by itself.
        needed: Tells the datastore which Nodes are needed; ``None`` where all are read.

    Attributes:
        datastore: What is followed: the given one, guarded.
    """

    def __init__(
        self,
        datastore: Datastore,
        node: str,
        template: PeerSettings,
        deliver: Deliver,
        *,
        calico: CalicoSettings,
        border: FaultBorder | None = None,
        sides: KubernetesInputs | None = None,
        removal_hold: int = REMOVAL_HOLD,
        claimed: ClaimedBlocks | None = None,
        needed: NeededNodes | None = None,
    ) -> None:
        self.datastore = GuardedDatastore(
            datastore, node, removal_hold, uses_pod_cidrs=calico.uses_pod_cidrs
        )
        # Each takes the events of the one before, and adds or leaves out some.
        self._stages = [stage for stage in (needed, claimed) if stage is not None]
        self._border = border or FaultBorder()
        state = ClusterState(_as_calico(template, calico), _options(calico))
        self._planning = NodePlanning(node, state, deliver, self._border)
        self._sides = sides
        if sides is not None:
            sides.on_change = self._side_changed
        self._has_delivered = self._was_known = False
        self._applied_revision = 0
        self._warning_log = WarningLog(self.datastore.describe)
        self._turn = asyncio.Lock()  # one plan at a time
        self._has_side_news = False
        self._side_task: asyncio.Task[None] | None = None

    @property
    def plan_count(self) -> int:
        """How many plans were made; one for all that came since the last."""
        return self._planning.plan_count

    @property
    def status(self) -> Status:
        """The datastore's state; its applied revision is the one that this node has reached."""
        revision = self._applied_revision
        return replace(self.datastore.status, applied_revision=revision)

    def describe(self, key: str, field: str = "") -> str:
        """Return where the value of ``key`` stands, for people."""
        return self.datastore.describe(key, field)

    def warnings(self) -> tuple[ObjectWarning, ...]:
        """Return the present problems with objects of the cluster, as this node sees them."""
        return tuple(sorted(self._findings()))

    def warning_lines(self, most: int) -> list[str]:
        """Return the first ``most`` of ``warnings`` for people, and how many more."""
        found = self.warnings()
        describe = self.datastore.describe
        lines = [f"{describe(w.key, w.field)}: {w.text}" for w in found[:most]]
        if len(found) > most:
            lines.append(f"{len(found) - most} more problems with cluster objects")
        return lines

    def _findings(self) -> frozenset[ObjectWarning]:
        found = self._planning.warnings()
        return found if self._sides is None else found.union(self._sides.warnings())

    def _news(self) -> frozenset[ObjectWarning]:
        """Return the problems to be logged: while the start awaits the own node, that is none."""
        found = self._findings()
        others = frozenset(each for each in found if each.text != NO_NODE)
        self._was_known |= len(others) == len(found)
        return found if self._was_known else others

    async def follow(self) -> None:
        """Read until cancelled; an unreachable datastore changes nothing."""
        time = asyncio.get_running_loop().time
        try:
            async with aclosing(self._events()) as events:
                async for event in events:
                    started = time()
                    async with self._turn:
                        with self._border.around("the view of the cluster"):
                            await self._take(event)
                    self._applied_revision = event.revision
                    keep_young()
                    # While events keep coming, half of the time is left to others.
                    await asyncio.sleep(min(time() - started, MOST_REST))
        finally:
            self._warning_log.close()
            if self._side_task is not None:
                self._side_task.cancel()

    def _events(self) -> AsyncGenerator[DatastoreEvent, None]:
        events = self.datastore.events()
        for stage in self._stages:
            events = stage.events(events)
        return events

    async def _take(self, event: DatastoreEvent) -> None:
        state, node = self._planning.state, self._planning.node
        touched = await in_turns(state.apply_in_slices(event), keep_young)
        is_ours = touched.is_topology or node in touched.nodes
        if self._sides is not None and touched.is_topology:
            with self._border.around("the selection of Kubernetes objects"):
                wanted = await in_turns(state.needs_in_slices(node), keep_young)
                await in_turns(self._sides.need_in_slices(wanted), keep_young)
            if not self._has_delivered:
                await self._sides.ready()
        if is_ours or not self._has_delivered:
            self._has_delivered = True
            await self._planning.plan(self._side_inputs())
        self._warning_log.follow(self._news())

    async def desired_with(self, items: Mapping[str, bytes]) -> NodeDesired:
        """Return what the node would have to be with some other objects.

        Its warnings are those that there are not yet.

        Args:
            items: Keys of resources, and values.
        """
        planning = self._planning
        async with self._turn:
            state = await in_turns(planning.state.with_objects(items), keep_young)
            plan = state.plan_in_slices(planning.node, self._side_inputs())
            desired = await in_turns(plan, keep_young)
        new = state.warnings() | frozenset(desired.warnings)
        return replace(desired, warnings=tuple(sorted(new - planning.warnings())))

    def _side_changed(self) -> None:
        self._has_side_news = True
        if self._has_delivered and self._side_task is None:
            loop = asyncio.get_running_loop()
            self._side_task = loop.create_task(self._follow_sides())

    async def _follow_sides(self) -> None:
        """Plan again after changes from other sources, at most half of the time."""
        time = asyncio.get_running_loop().time
        async with self._turn:
            started = time()
            self._has_side_news = False
            with self._border.around("the view of Secrets, Services and workloads"):
                if (side := self._side_inputs()) != self._planning.side:
                    await self._planning.plan(side)
                self._warning_log.follow(self._news())
        await asyncio.sleep(min(time() - started, MOST_REST))
        self._side_task = None
        if self._has_side_news:
            self._side_changed()

    def _side_inputs(self) -> SideInputs:
        return SideInputs() if self._sides is None else self._sides.inputs()


def _options(calico: CalicoSettings) -> PlanOptions:
    compat = None if calico.compatibility == "auto" else Compat(calico.compatibility)
    return PlanOptions(
        compat,
        uses_pod_cidrs=calico.uses_pod_cidrs,
        cluster_ips=calico.cluster_ips,
        drain_label=calico.drain_label,
    )


def _as_calico(template: PeerSettings, calico: CalicoSettings) -> PeerSettings:
    """Return a template with Calico's defaults for what it leaves open."""
    if not template.max_connect_retry_time:
        template = replace(template, max_connect_retry_time=MAX_CONNECT_RETRY_TIME)
    return _with_add_path(template, calico)


def _with_add_path(template: PeerSettings, calico: CalicoSettings) -> PeerSettings:
    """Return a template that offers all paths, unless it says something of its own."""
    families = template.families
    if not calico.has_add_path or any(
        each.add_path is not AddPathMode.OFF for each in families
    ):
        return template
    return replace(
        template,
        families=tuple(replace(each, add_path=AddPathMode.BOTH) for each in families),
    )


class Source(NamedTuple):
    """A datastore, and what belongs to it.

    Attributes:
        datastore: What is followed.
        claimed: See ``DatastoreFollower``.
        needed: See ``DatastoreFollower``.
    """

    datastore: Datastore
    claimed: ClaimedBlocks | None = None
    needed: NeededNodes | None = None


def make_datastore(
    settings: DatastoreSettings,
    node: str,
    *,
    all_blocks: bool,
    kubernetes: KubernetesSettings,
    uses_pod_cidrs: bool = False,
) -> Source:
    """Return the datastore of the settings.

    Args:
        settings: Which, and how to reach it.
        node: Whose block affinities are read.
        all_blocks: Read those of every node.
        kubernetes: Where credentials for Kubernetes' API are.
        uses_pod_cidrs: Blocks are the nodes' pod CIDRs.

    Raises:
        DatastoreError: The settings cannot work.
    """
    if settings.kind is DatastoreKind.FOLDER:
        return Source(FolderDatastore(settings.path))
    if settings.kind is DatastoreKind.KUBERNETES:
        source = _kubernetes(
            settings,
            node,
            kubernetes,
            all_blocks=all_blocks,
            uses_pod_cidrs=uses_pod_cidrs,
        )
    else:
        source = _etcd(settings, node, all_blocks=all_blocks)
    if not settings.saved_state:
        return source
    saved = SavedDatastore(
        source.datastore, settings.saved_state, node, settings.saved_state_max_age
    )
    return source._replace(datastore=saved)


def _etcd(settings: DatastoreSettings, node: str, *, all_blocks: bool) -> Source:
    from bgpd.datastore.etcd import (  # noqa: PLC0415  # gRPC costs 0.2 s to import
        EtcdDatastore,
        EtcdSettings,
    )

    etcd = EtcdDatastore(
        EtcdSettings(
            endpoints=settings.endpoints,
            ca_file=settings.ca_file,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            user=settings.username,
            password=settings.password,
        ),
        prefixes("" if all_blocks else node),
    )
    return Source(etcd, ClaimedBlocks(etcd, node, sees_all=all_blocks))


def _kubernetes(
    settings: DatastoreSettings,
    node: str,
    kubernetes: KubernetesSettings,
    *,
    all_blocks: bool,
    uses_pod_cidrs: bool,
) -> Source:
    access = find_access(kubernetes, os.environ, is_datastore=True)
    if access is None:
        raise DatastoreError(
            "datastore.type is kubernetes, and there are no credentials: "
            + why_none(os.environ)
        )
    api = KubernetesDatastore(
        access,
        node,
        api_group=settings.api_group,
        all_blocks=all_blocks,
        uses_pod_cidrs=uses_pod_cidrs,
        needs_only=settings.reads_needed_nodes,
        check_time=settings.nodes_check_time,
    )
    claimed = None
    if not uses_pod_cidrs:
        claimed = ClaimedBlocks(api, node, sees_all=all_blocks)
    needed = NeededNodes(api, node) if settings.reads_needed_nodes else None
    return Source(api, claimed, needed)
