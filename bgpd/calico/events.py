"""What a datastore tells: a snapshot, then changes; keys as in Calico's etcd layout.

A consumer needs no history: a ``Snapshot`` replaces all that was known, at any time, and
``Changes`` give the newest value of each key they name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bgpd.calico.needed_nodes import NodeNeeds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys and values at one revision.

    Attributes:
        revision: Grows with every change; comparable within one datastore only.
        items: Key to value, exactly as stored.
        needs: Which Nodes are there if they exist; ``None`` where that is all of them.
    """

    revision: int
    items: Mapping[str, bytes] = field(repr=False)
    needs: "NodeNeeds | None" = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed up to ``revision``; a key is in at most one of the two.

    Attributes:
        revision: The state after these changes.
        puts: Keys with their newest values.
        deletes: Keys that are gone, or Nodes that are needed no more.
        needs: Which Nodes are there from now on; see ``Snapshot``.
        is_loss: The source itself seems to have lost what is gone; no user has deleted it.
    """

    revision: int
    puts: Mapping[str, bytes]
    deletes: frozenset[str]
    needs: "NodeNeeds | None" = None
    is_loss: bool = False


DatastoreEvent = Snapshot | Changes
