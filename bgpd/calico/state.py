"""A cluster as its datastore tells it, and what follows for one node.

``apply`` takes snapshots and changes in any order that a datastore gives them;
``desired`` is a function of what was applied and nothing else, so a consumer compares it
with what runs and needs no history (level-triggered). The one exception protects running
networks: an object, or a field, that turns unreadable counts as it was last understood
until it is mended or deleted.

An affinity event costs microseconds: ``apply`` says which nodes' blocks it touched, and
``originated`` of the own node is all that must be compared then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bgpd.calico.blocks import Block, BlockTable
from bgpd.calico.desired import NodeDesired
from bgpd.calico.events import DatastoreEvent, Snapshot
from bgpd.calico.fields import Resource
from bgpd.calico.keys import IPAM_HOST, RESOURCES, WATCHED_KINDS, split_resource_key
from bgpd.calico.mend import Read, closed_filter, read_resource
from bgpd.calico.planner import Needs, Planner, PlanOptions, SideInputs
from bgpd.calico.resources import MODELS
from bgpd.calico.topology import Topology
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import PeerSettings
from bgpd.texts.json_text import load
from bgpd.texts.limits import VALUE, TextError

_TWICE: Final = "stands twice; the last one counts"
TEMPLATE = PeerSettings(name="", remote_addr="", remote_as=0, local_as=0)


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
        self._resources: dict[str, dict[str, Resource]] = {kind: {} for kind in MODELS}
        self._values: dict[str, bytes] = {}
        self._closed: set[str] = set()  # keys of filters that were never understood
        self._warnings: dict[str, tuple[ObjectWarning, ...]] = {}
        self._topology: Topology | None = None
        self._planners: dict[str, Planner] = {}
        self.revision = 0

    def apply(self, event: DatastoreEvent) -> Touched:
        """Take one event; nothing in it can raise."""
        self.revision = event.revision
        if isinstance(event, Snapshot):
            resources, affinities = _split(event.items.items())
            nodes = self._blocks.replace(dict(affinities))
            gone = self._values.keys() - dict(resources).keys()
        else:
            resources, affinities = _split(event.puts.items())
            nodes = self._blocks.update(
                affinities, [key for key in event.deletes if key.startswith(IPAM_HOST)]
            )
            gone = self._values.keys() & event.deletes
        is_topology = False
        for key in gone:
            is_topology = True
            self._delete(key)
        for key, value in resources:
            if self._values.get(key) != value:
                is_topology = True
                self._put(key, value)
        if is_topology:
            self._topology = None
        return Touched(nodes, is_topology)

    def originated(self, node: str) -> frozenset[Block]:
        """Return the blocks of ``node``; the same object until they change."""
        return self._blocks.of(node)

    def others(self, node: str) -> Mapping[str, frozenset[Block]]:
        """Return the blocks of every node but ``node``."""
        return self._blocks.others(node)

    def warnings(self) -> tuple[ObjectWarning, ...]:
        """Return the findings about all objects, sorted."""
        found = [warning for some in self._warnings.values() for warning in some]
        return tuple(sorted({*found, *self._blocks.warnings()}))

    def desired(
        self,
        node: str,
        side: SideInputs = SideInputs(),  # noqa: B008  # immutable
    ) -> NodeDesired:
        """Return what ``node`` must be and do now.

        Args:
            node: Its name.
            side: What does not come from the datastore.
        """
        desired = self.planner(node).plan(
            self.topology(), self.revision, self._blocks.states(node), side
        )
        return replace(
            desired,
            cluster_blocks=self._blocks.others(node),
            warnings=tuple(sorted({*self.warnings(), *desired.warnings})),
        )

    def needs(self, node: str) -> Needs:
        """Return what a plan of ``node`` asks for from elsewhere."""
        return self.planner(node).needs(self.topology())

    def topology(self) -> Topology:
        """Return a consistent view of the cluster; the same object until it changes."""
        if self._topology is None:
            self._topology = Topology(self._resources)
        return self._topology

    def planner(self, node: str) -> Planner:
        """Return what plans ``node``."""
        planner = self._planners.get(node)
        if planner is None:
            planner = Planner(node, self._template, self._options)
            self._planners[node] = planner
        return planner

    def _put(self, key: str, value: bytes) -> None:
        self._values[key] = value
        named = split_resource_key(key)
        if named is None or named[0] not in MODELS:
            self._warnings.pop(key, None)
            if named is None or named[0] not in WATCHED_KINDS:
                text = "is of a kind that is unknown; ignored"
                self._warnings[key] = (ObjectWarning(key, "", text),)
            return
        kind, name = named
        try:
            content, doubled = load(value, VALUE)
        except TextError as error:
            finding = ObjectWarning(key, "", str(error))
            closed = closed_filter(None) if kind == "BGPFilter" else None
            self._refuse(key, kind, name, Read(None, (finding,), closed))
            return
        known = None if key in self._closed else self._resources[kind].get(name)
        read = read_resource(key, kind, content, known)
        if read.resource is None:
            self._refuse(key, kind, name, read)
            return
        self._closed.discard(key)
        self._resources[kind][name] = read.resource
        twice = (ObjectWarning(key, name, _TWICE) for name in doubled)
        if findings := (*read.findings, *twice):
            self._warnings[key] = findings
        else:
            self._warnings.pop(key, None)

    def _refuse(self, key: str, kind: str, name: str, read: Read) -> None:
        text = "left out"
        if name in self._resources[kind] and key not in self._closed:
            text = "in force as last understood"
        elif read.closed is not None:
            self._resources[kind][name] = read.closed
            self._closed.add(key)
            text = "what gets this far is rejected"
        self._warnings[key] = tuple(
            replace(finding, text=f"{finding.text}; {text}")
            for finding in read.findings
        )

    def _delete(self, key: str) -> None:
        del self._values[key]
        self._warnings.pop(key, None)
        self._closed.discard(key)
        named = split_resource_key(key)
        if named is not None and named[0] in self._resources:
            self._resources[named[0]].pop(named[1], None)


def _split(
    items: Iterable[tuple[str, bytes]],
) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """Return resources and affinities; other keys are none of BGP's business."""
    resources, affinities = [], []
    for item in items:
        if item[0].startswith(IPAM_HOST):
            affinities.append(item)
        elif item[0].startswith(RESOURCES):
            resources.append(item)
    return resources, affinities
