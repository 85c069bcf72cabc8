"""What a datastore tells: a snapshot, then changes; keys as in Calico's etcd layout.

A consumer needs no history: a ``Snapshot`` replaces all that was known, at any time, and
``Changes`` give the newest value of each key they name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys and values at one revision.

    Attributes:
        revision: Grows with every change; comparable within one datastore only.
        items: Key to value, exactly as stored.
    """

    revision: int
    items: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed up to ``revision``; a key stands in one of the two at most.

    Attributes:
        revision: The state after these changes.
        puts: Keys with their newest values.
        deletes: Keys that are gone.
    """

    revision: int
    puts: Mapping[str, bytes]
    deletes: frozenset[str]


DatastoreEvent = Snapshot | Changes
