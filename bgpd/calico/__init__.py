"""Calico's resources as pure values: what a datastore's content means for one node.

``ClusterState`` takes snapshots and changes of keys and answers ``desired(node)``; it does
no I/O and holds no clock. ``keys`` is Calico's key layout in etcd, which the other kinds of
datastore map themselves to.
"""

from bgpd.calico.blocks import Block
from bgpd.calico.desired import NodeDesired
from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.state import ClusterState, Touched
from bgpd.calico.warnings import ObjectWarning

__all__ = [
    "Block",
    "Changes",
    "ClusterState",
    "DatastoreEvent",
    "NodeDesired",
    "ObjectWarning",
    "Snapshot",
    "Touched",
]
