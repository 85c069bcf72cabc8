"""The state of a cluster from its datastore, and what it means to one node.

``apply`` takes snapshots and changes in any order that a datastore gives them;
``desired`` is a function of what was applied and nothing else, so a consumer compares it
with what runs and needs no history (level-triggered). The one exception protects running
networks: an object, or a field, that turns unreadable counts as it was last understood
until it is fixed or deleted, and so does one that makes planning fail.

An affinity event costs microseconds: ``apply`` says which nodes' blocks it touched, and
``originated`` of the own node is all that must be compared then. An object whose value is
another but says the same, such as a Node with another annotation, touches nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bgpd.calico.blocks import Block, BlockTable
from bgpd.calico.culprits import plan_around
from bgpd.calico.desired import NodeDesired
from bgpd.calico.events import DatastoreEvent, Snapshot
from bgpd.calico.keys import IPAM_BLOCKS, IPAM_HOST, RESOURCES
from bgpd.calico.objects import ObjectTable
from bgpd.calico.planner import Needs, Planner, PlanOptions, SideInputs
from bgpd.calico.slices import Slices, finish, pieces
from bgpd.calico.topology import Topology, make_topology
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import PeerSettings

TEMPLATE = PeerSettings(name="", remote_addr="", remote_as=0, local_as=0)
OBJECTS: Final = 16  # read in one slice, some milliseconds at most
BLOCKS: Final = 256  # taken in one slice
_BLOCKS: Final = (IPAM_HOST, IPAM_BLOCKS)


@dataclass(frozen=True, slots=True)
class Touched:
    """What an event may have changed.

    Attributes:
        nodes: Nodes whose ``originated`` blocks changed.
        is_topology: Anything else of ``desired`` may have changed, of any node.
    """

    nodes: frozenset[str]
    is_topology: bool


class ClusterState:
    """All that was applied, in the form ``desired`` needs.

    Args:
        template: Settings of every peer that Calico says nothing about: hold time,
            add-path and limits (of the first family), graceful restart and the like.
        options: What objects of the cluster do not say.
    """

    def __init__(
        self,
        template: PeerSettings = TEMPLATE,
        options: PlanOptions = PlanOptions(),  # noqa: B008  # immutable
    ) -> None:
        self._template = template
        self._options = options
        self._blocks = BlockTable()
        self._objects = ObjectTable()
        self._topology: Topology | None = None
        self._planned_version = 0  # of the objects that it was made of
        self._planners: dict[str, Planner] = {}
        self.revision = 0

    def apply(self, event: DatastoreEvent) -> Touched:
        """Take one event; nothing in it can raise."""
        return finish(self.apply_in_slices(event))

    def apply_in_slices(self, event: DatastoreEvent) -> Slices[Touched]:
        """Take one event as ``apply``, in slices of a few milliseconds."""
        self.revision = event.revision
        blocks, objects = self._blocks, self._objects
        if isinstance(event, Snapshot):
            resources, affinities = _split(event.items.items())
            gone_blocks = blocks.gone(event.items)
            gone = objects.keys() - event.items.keys()
        else:
            resources, affinities = _split(event.puts.items())
            gone_blocks = {key for key in event.deletes if key.startswith(_BLOCKS)}
            gone = objects.keys() & event.deletes
        nodes: set[str] = set()
        for keys in pieces(tuple(gone_blocks), BLOCKS):
            nodes |= blocks.update((), keys)
            yield
        for some in pieces(affinities, BLOCKS):
            nodes |= blocks.update(some, ())
            yield
        yield from blocks.compare()
        is_topology = False
        for keys in pieces(tuple(gone), OBJECTS):
            for key in keys:
                is_topology |= objects.delete(key)
            yield
        for items in pieces(resources, OBJECTS):
            for key, value in items:
                is_topology |= objects.put(key, value)
            yield
        return Touched(frozenset(nodes), is_topology)

    def with_objects(self, items: Mapping[str, bytes]) -> Slices["ClusterState"]:
        """Return the state as it would be with some other objects, in slices.

        Blocks are the same ones, so the other state is good for a plan and no more.

        Args:
            items: Keys of resources, and values.
        """
        other = ClusterState(self._template, self._options)
        other._blocks = self._blocks
        other._objects = self._objects.copied()
        other._topology, other._planned_version = self._topology, self._planned_version
        other.revision = self.revision
        yield
        for some in pieces(tuple(items.items()), OBJECTS):
            for key, value in some:
                other._objects.put(key, value)
            yield
        return other

    def originated(self, node: str) -> frozenset[Block]:
        """Return the blocks of ``node``; the same object until they change."""
        return self._blocks.of(node)

    def others(self, node: str) -> Mapping[str, frozenset[Block]]:
        """Return the blocks of every node but ``node``."""
        return self._blocks.others(node)

    def warnings(self) -> frozenset[ObjectWarning]:
        """Return the findings about all objects."""
        return frozenset((*self._objects.warnings(), *self._blocks.warnings()))

    def desired(
        self,
        node: str,
        side: SideInputs = SideInputs(),  # noqa: B008  # immutable
    ) -> NodeDesired:
        """Return what ``node`` must be and do now, with the findings about all objects.

        Args:
            node: Its name.
            side: What does not come from the datastore.
        """
        desired = finish(self.plan_in_slices(node, side))
        return replace(
            desired,
            cluster_blocks=self._blocks.others(node),
            warnings=tuple(sorted({*self.warnings(), *desired.warnings})),
        )

    def plan_in_slices(self, node: str, side: SideInputs) -> Slices[NodeDesired]:
        """Return as ``desired`` the node's own part, in slices: what its plan needs.

        Its warnings are those that follow from objects together; there are no blocks of
        other nodes. Objects that no plan can be made with are held back, and warned of.

        Raises:
            Exception: No object that changed since the last plan is to blame.
        """

        def plan() -> Slices[NodeDesired]:
            topology = yield from self._follow_topology()
            states = self._blocks.states(node)
            planner = self.planner(node)
            return (yield from planner.plan(topology, self.revision, states, side))

        return plan_around(self._objects, plan)

    def needs(self, node: str) -> Needs:
        """Return what a plan of ``node`` asks for from elsewhere."""
        return finish(self.needs_in_slices(node))

    def needs_in_slices(self, node: str) -> Slices[Needs]:
        """Return what a plan of ``node`` needs from outside the datastore, in slices."""
        topology = yield from self._follow_topology()
        return self.planner(node).needs(topology)

    def topology(self) -> Topology:
        """Return a consistent view of the cluster; the same object until it changes."""
        return finish(self._follow_topology())

    def _follow_topology(self) -> Slices[Topology]:
        objects = self._objects
        if self._topology is None or self._planned_version != objects.version:
            version, before = objects.version, self._topology
            self._topology = yield from make_topology(objects.by_kind, before)
            self._planned_version = version
        return self._topology

    def planner(self, node: str) -> Planner:
        """Return what plans ``node``."""
        planner = self._planners.get(node)
        if planner is None:
            planner = Planner(node, self._template, self._options)
            self._planners[node] = planner
        return planner


def _split(
    items: Iterable[tuple[str, bytes]],
) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """Return resources, and affinities with IPAM blocks; others are not BGP's business."""
    resources, affinities = [], []
    for item in items:
        if item[0].startswith(_BLOCKS):
            affinities.append(item)
        elif item[0].startswith(RESOURCES):
            resources.append(item)
    return resources, affinities
