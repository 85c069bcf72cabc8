"""The interface of all datastores, and the state that they show.

A datastore is read as an endless stream: first a ``Snapshot``, then ``Changes``, and a new
``Snapshot`` whenever continuity was lost. The stream never ends by itself and raises for
nothing that may heal: while the source is away it is silent, and earlier events stay valid.
``Status`` tells people why it is silent.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bgpd.calico.events import DatastoreEvent

Manifest = Mapping[str, Any]


class DatastoreError(Exception):
    """A call to a datastore failed, or its settings cannot work."""


@dataclass(frozen=True, slots=True)
class NodesRead:
    """Which Nodes are read of Kubernetes' API.

    Attributes:
        scope: ``all`` or ``needed``.
        reason: Why all are read although needed ones would do; empty where that is not so.
        names: Those that are read by name.
        selectors: Label selectors of the others.
        is_pending: Others are needed now, and not all of them are read yet.
        checked_at: When a list of all Nodes was last compared with what is read, seconds
            of the wall clock; 0 for never.
        hidden: Names of needed Nodes that no label selector finds.
        events: Events about Nodes that have come.
    """

    scope: str
    reason: str = ""
    names: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    is_pending: bool = False
    checked_at: float = 0.0
    hidden: tuple[str, ...] = ()
    events: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """A datastore's state at one moment.

    Attributes:
        kind: ``etcd``, ``folder`` or ``memory``.
        source: The connected endpoint or the folder; empty while not connected.
        is_connected: Changes would be noticed now.
        applied_revision: Revision of the newest event that the consumer has taken and
            finished (it asked for the next); 0 before the first.
        server_revision: The newest revision the source has mentioned; counts changes to
            unwatched keys too.
        last_error: Why it is not connected, or was not last time; empty if never.
        since: When ``is_connected`` last changed, monotonic seconds.
        snapshots: Number of snapshots; more than one means lost continuity.
        saved_at: When the state in force was saved, seconds of the wall clock; 0 if the
            source itself has supplied it.
        warnings: What is wrong with the source's content, such as ``nodes.yaml:12: ...``.
        nodes: Which Nodes are read; ``None`` where that is always all of them.
    """

    kind: str
    source: str = ""
    is_connected: bool = False
    applied_revision: int = 0
    server_revision: int = 0
    last_error: str = ""
    since: float = 0.0
    snapshots: int = 0
    saved_at: float = 0.0
    warnings: tuple[str, ...] = ()
    nodes: NodesRead | None = None

    @property
    def lag_revisions(self) -> int:
        """Revisions known to the source but not applied here."""
        return max(0, self.server_revision - self.applied_revision)


class Datastore(Protocol):
    """Where cluster state comes from."""

    @property
    def status(self) -> Status:
        """The state now."""

    def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        """Return the stream; one consumer at a time, closed with ``aclosing``.

        Cancelling the consumer and closing the generator releases everything.
        """

    def describe(self, key: str, field: str = "") -> str:
        """Return where a value stands, or a field of it, for people.

        The place is the key itself, file and line, or an object and its annotation.
        """


class Writer(Protocol):
    """Changes a datastore; for labs, tests and tools. The daemon itself never writes."""

    async def apply(self, manifests: Iterable[Manifest]) -> None:
        """Create or replace objects.

        Raises:
            DatastoreError: An object is none that we know, or the write failed.
        """

    async def delete(self, manifests: Iterable[Manifest]) -> None:
        """Delete objects, named by kind and metadata (affinities by spec); absent is fine.

        Raises:
            DatastoreError: As ``apply``.
        """
