"""Events of a datastore that reads needed Nodes alone, held back until those are there.

A changed BGPPeer may ask for Nodes that are not read. Were it told at once, the sessions that
it asks for would be missing for a while, and those of before gone. So it waits, and what
decides about sessions with it, until the Nodes are there: then all of it is one event. Blocks,
pools and filters do not wait.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import PLURALS, RESOURCES, resource_key
from bgpd.calico.needed_nodes import NodeNeeds, needed_nodes
from bgpd.calico.objects import ObjectTable, describe
from bgpd.calico.slices import Slices
from bgpd.calico.topology import Topology, make_topology
from bgpd.datastore.coalesce import PendingEvents
from bgpd.worker.turns import in_turns

# Theory
# ------
#       event --> what is needed now? --> the datastore: read it
#         |                 |
#         |                 '--events say that it is there: on with all that waited
#         '--else: of it, what decides about sessions waits; the rest goes on
#
# What is needed follows from BGPConfigurations, BGPPeers and the own Node, as they are in
# force: this stands behind the guard against implausible removals, so a BGPPeer that is held
# keeps its Nodes. A state that was saved passes: it has the Nodes that were needed then.

_DECIDING: Final = ("BGPConfiguration", "BGPPeer")
_NODES: Final = resource_key("Node", "")
_WAITING: Final = tuple(f"{RESOURCES}{PLURALS[kind]}/" for kind in ("Node", *_DECIDING))
_SLICE: Final = 16  # objects read in one slice, some milliseconds at most


class NodeReader(Protocol):
    """Reads Nodes."""

    def want(self, needs: NodeNeeds) -> None:
        """Let these be needed; the events say when they are there."""


class NeededNodes:
    """Says which Nodes are needed, and lets events wait for them.

    Args:
        reader: Of Nodes.
        node: The own node's name.
    """

    def __init__(self, reader: NodeReader, node: str) -> None:
        self._reader = reader
        self._node = node
        self._own_key = resource_key("Node", node)
        self._objects = ObjectTable()
        self._topology: Topology | None = None
        self._version = -1  # of the objects that the needs were made of
        self._needs = NodeNeeds()

    async def events(
        self, source: AsyncGenerator[DatastoreEvent, None]
    ) -> AsyncGenerator[DatastoreEvent, None]:
        """Yield the source's events, each once what it needs is there."""
        self._objects, self._topology, self._version = ObjectTable(), None, -1
        waiting = PendingEvents()
        is_waiting = are_all_waiting = False  # the latter: a snapshot is among it
        async with aclosing(source):
            async for event in source:
                await in_turns(self._follow(event))
                if event.needs is None or event.needs.covers(self._needs):
                    if is_waiting:
                        waiting.add(event)
                        event = waiting.take() or event  # noqa: PLW2901  # one of all
                    is_waiting = are_all_waiting = False
                    yield event
                    continue
                is_waiting = True
                if are_all_waiting or isinstance(event, Snapshot):
                    are_all_waiting = True
                    waiting.add(event)
                    continue
                waits, passes = _divided(event)
                waiting.add(waits)
                if passes.puts or passes.deletes:
                    yield passes

    def _follow(self, event: DatastoreEvent) -> Slices[None]:
        """Take an event in, and tell the reader what is needed by it."""
        objects = self._objects
        if isinstance(event, Snapshot):
            puts = event.items
            gone = frozenset(objects.keys() - event.items.keys())
        else:
            puts, gone = event.puts, event.deletes
        for key in gone:
            objects.delete(key)
        decide = [key for key in puts if self._decides(key)]
        yield
        for number, key in enumerate(decide, 1):
            objects.put(key, puts[key])
            if not number % _SLICE:
                yield
        if objects.version == self._version:
            return
        self._version = objects.version
        needs = yield from self._needed()
        self._needs = needs
        self._reader.want(needs)

    def _decides(self, key: str) -> bool:
        return key == self._own_key or (
            key.startswith(_WAITING) and not key.startswith(_NODES)
        )

    def _needed(self) -> Slices[NodeNeeds]:
        try:
            self._topology = yield from make_topology(
                self._objects.by_kind, self._topology
            )
            return needed_nodes(self._topology, self._node)
        except Exception as error:  # noqa: BLE001  # one object must not end all others
            self._topology = None
            text = f"the needed Nodes are unknown: {describe(error)}"
            return NodeNeeds(frozenset((self._node,)), why_all=text)


def _divided(event: Changes) -> tuple[Changes, Changes]:
    """Return of an event what waits, and what does not."""
    waits = {k: v for k, v in event.puts.items() if k.startswith(_WAITING)}
    passes = {k: v for k, v in event.puts.items() if k not in waits}
    gone = frozenset(key for key in event.deletes if key.startswith(_WAITING))
    return (
        Changes(event.revision, waits, gone, event.needs, event.is_loss),
        Changes(
            event.revision, passes, event.deletes - gone, event.needs, event.is_loss
        ),
    )
