"""A node's part of a cluster: its datastore, and what Kubernetes adds, followed.

Loaded only where there is a datastore: Calico's models take 0.2 s and memory that a reflector
does without.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bgpd.calico.desired import NodeDesired
from bgpd.calico.warnings import ObjectWarning
from bgpd.config.settings import DaemonSettings, DatastoreKind, DatastoreSettings
from bgpd.daemon.errors import MisconfigurationError
from bgpd.datastore.kubernetes import ApiStatus
from bgpd.datastore.model import DatastoreError, Status
from bgpd.node.datastore_follower import DatastoreFollower, make_datastore
from bgpd.node.kubernetes_inputs import KubernetesInputs
from bgpd.node.removal_holds import RemovalHolds
from bgpd.runtime.fault_border import FaultBorder
from bgpd.runtime.supervisor import Supervisor

SHOWN_WARNINGS: Final = 200  # about objects; `calico diff` shows all
DATASTORE_NOTICE: Final = 5.0  # seconds between lines while the datastore is awaited
_LOOK: Final = 0.25  # seconds between looks at what the datastore says meanwhile
_MOST_SAID: Final = 16  # reasons that are not logged again at once

_log = logging.getLogger(__name__)

Deliver = Callable[[NodeDesired], Awaitable[None]]


class Cluster:
    """Follows a cluster for one node.

    Args:
        settings: As of the start.
        deliver: Called with what the node must be, whenever that changes after the first
            time.
        border: Around what single objects can be at fault for.

    Attributes:
        latest: What the node must be; ``None`` before the datastore has said so.
        changed_at: When that last changed, on the loop's clock; 0 for never.
        awaited: What the start waits for, in words; empty once nothing is awaited.
        holds: Objects that are held because their removal is implausible.

    Raises:
        MisconfigurationError: There is no such datastore.
    """

    def __init__(
        self, settings: DaemonSettings, deliver: Deliver, border: FaultBorder
    ) -> None:
        self.latest: NodeDesired | None = None
        self.changed_at = 0.0
        self._kind, self._where = _place(settings.datastore)
        self.awaited = self._kind
        self._deliver = deliver
        self._first = asyncio.Event()
        self._is_answered = False
        store, name = settings.datastore, settings.node_name
        try:
            source = make_datastore(
                store,
                name,
                all_blocks=settings.routes.holds_cluster_routes,
                kubernetes=settings.kubernetes,
                uses_pod_cidrs=settings.calico.uses_pod_cidrs,
            )
        except DatastoreError as error:
            raise MisconfigurationError(str(error)) from error
        self._sides = KubernetesInputs(
            settings.kubernetes,
            name,
            removal_hold=store.removal_hold,
            datastore=store.kind,
        )
        self._follower = DatastoreFollower(
            source.datastore,
            name,
            settings.speaker.defaults,
            self._take,
            calico=settings.calico,
            border=border,
            sides=self._sides,
            removal_hold=store.removal_hold,
            claimed=source.claimed,
            needed=source.needed,
        )
        self.holds = RemovalHolds((self._follower.datastore, self._sides.guard))

    def keep(self, supervisor: Supervisor) -> None:
        """Start following."""
        holds = "keeping what was read before"
        supervisor.keep("datastore", self._follower.follow, meanwhile=holds)
        supervisor.keep("local workloads", self._sides.follow, meanwhile=holds)
        other = self._sides.follow_other_datastore
        supervisor.keep("other datastore", other, meanwhile=holds)

    async def wait(self, stop: asyncio.Event) -> bool:
        """Wait until the datastore knows this node; false if told to stop first."""
        waits = [
            asyncio.ensure_future(self._first.wait()),
            asyncio.ensure_future(stop.wait()),
        ]
        try:
            return await self._wait_aloud(waits)
        finally:
            for wait in waits:
                wait.cancel()

    async def _wait_aloud(self, waits: Sequence["asyncio.Future[Any]"]) -> bool:
        """Log why the datastore keeps us waiting: at once, and now and then."""
        time, said = asyncio.get_running_loop().time, set[str]()
        due = 0.0
        while True:
            done, _ = await asyncio.wait(
                waits, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                self.awaited = ""
                return self._first.is_set()
            if self._is_answered:  # and what it lacks was logged
                continue
            status = self.status
            reason = "" if status.is_connected else status.last_error
            reason = reason or f"no answer from {self._where} yet"
            self.awaited = f"{self._kind}: {reason}"
            if reason in said and time() < due:
                continue
            due = time() + DATASTORE_NOTICE
            if len(said) >= _MOST_SAID:
                said.clear()
            said.add(reason)
            _log.warning(
                "waiting for %(source)s: %(reason)s",
                {
                    "event": "datastore-awaited",
                    "source": self._kind,
                    "reason": reason,
                },
            )

    async def _take(self, desired: NodeDesired) -> None:
        if not self._first.is_set() and not desired.is_known:
            self._awaits_node(desired)
            return
        self.latest = desired
        self.changed_at = asyncio.get_running_loop().time()
        if self._first.is_set():
            await self._deliver(desired)
        else:
            self._first.set()

    def _awaits_node(self, desired: NodeDesired) -> None:
        """Say which node the datastore lacks, and which it has."""
        self._is_answered = True
        self.awaited = _unknown_node(desired)
        _log.warning(
            "waiting: %(reason)s",
            {
                "event": "node-awaited",
                "reason": self.awaited,
                "node": desired.name,
            },
        )

    # -- what can be seen (``bgpd.show.daemon_state.ClusterState``) ----------------------

    @property
    def status(self) -> Status:
        """The datastore's state; its applied revision is the one that this node has reached."""
        return self._follower.status

    @property
    def kubernetes(self) -> ApiStatus:
        """The state of the Kubernetes API."""
        return self._sides.status

    def desired(self) -> NodeDesired | None:
        """Return what this node must be, with all findings about objects."""
        if self.latest is None:
            return None
        return replace(self.latest, warnings=self.warnings())

    async def desired_with(self, items: Mapping[str, bytes]) -> NodeDesired:
        """Return what this node would have to be with some other objects."""
        return await self._follower.desired_with(items)

    def warnings(self) -> tuple[ObjectWarning, ...]:
        """Return all findings about objects."""
        return self._follower.warnings()

    def lines(self) -> list[str]:
        """Return what an operator should know now."""
        return self._follower.warning_lines(SHOWN_WARNINGS) + self.holds.warnings()

    async def close(self) -> None:
        """Release what stays open between two attempts to follow."""
        await self._sides.close()


def _unknown_node(desired: NodeDesired) -> str:
    names = ", ".join(desired.other_nodes)
    others = f"; it has {names}" if names else " yet"
    return (
        f"the datastore has no node {desired.name!r} with BGP settings{others}; the name "
        "comes from node.name, NODENAME or /var/lib/calico/nodename"
    )


def _place(settings: DatastoreSettings) -> tuple[str, str]:
    """Return which datastore it is, and where, for people."""
    match settings.kind:
        case DatastoreKind.ETCD:
            return "etcd", ", ".join(settings.endpoints)
        case DatastoreKind.FOLDER:
            return "the folder of objects", settings.path
        case _:
            return "the Kubernetes API", "the server"
