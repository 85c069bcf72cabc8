"""What of the running daemon its health checks and metrics read, and nothing else.

The daemon starts the servers that answer with this; a ``Protocol`` keeps what is shown from
knowing the daemon's class, which stands above it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a reflector loads no datastore, and not every daemon a kernel
    from collections.abc import Iterable, Mapping, Sequence

    from bgpd.calico.desired import NodeDesired
    from bgpd.calico.warnings import ObjectWarning
    from bgpd.datastore.kubernetes import ApiStatus
    from bgpd.datastore.model import Status
    from bgpd.node.removal_holds import RemovalHolds
    from bgpd.runtime.fault_border import FaultBorder
    from bgpd.speaker.selection_deferral import Report
    from bgpd.speaker.speaker import Speaker
    from fib.kernel_policy import KernelPolicy
    from fib.kernel_view import Link
    from fib.next_hop_watch import NextHopState
    from fib.routes import Fib
    from rib.family import Family


class ReloadState(Protocol):
    """How the last reading of the configuration went.

    Attributes:
        files: Every file that was read; may be empty.
        refusal: Why the last reload was rejected; empty after a successful one.
        succeeded_at: When the settings in force were read, seconds of the wall clock.
    """

    files: tuple[Path, ...]
    refusal: str
    succeeded_at: float

    def warnings(self) -> list[str]:
        """Return what an operator should know of it, a line each."""


class ClusterState(Protocol):
    """What is known of the cluster that a node is part of."""

    @property
    def status(self) -> "Status":
        """The datastore's state."""

    @property
    def kubernetes(self) -> "ApiStatus":
        """What is known of Kubernetes' API."""

    @property
    def holds(self) -> "RemovalHolds":
        """Objects that are held because their removal is implausible."""

    def desired(self) -> "NodeDesired | None":
        """Return what this node must be; ``None`` before the datastore has said so."""

    def warnings(self) -> "Sequence[ObjectWarning]":
        """Return all findings about objects."""


class KernelState(Protocol):
    """What can be seen of the kernel."""

    @property
    def fib(self) -> "Fib | None":
        """Our table; ``None`` where routes do not go into the kernel."""

    def policies(self) -> "Mapping[Family, KernelPolicy]":
        """Return the kernel policies in force."""

    def tunnel_fault(self) -> str:
        """Return why the tunnel device is not as it must be; empty where it is."""

    def links(self) -> "Iterable[Link]":
        """Return devices with their addresses."""

    def next_hop(self, address: bytes) -> "NextHopState | None":
        """Return how a next hop is reached; ``None`` if it is not tracked."""


class ProcessState(Protocol):
    """What can be seen of a daemon that has started, beside what it is made of."""

    @property
    def node(self) -> str:
        """The node's name in the datastore; empty without."""

    @property
    def changed_at(self) -> float:
        """When what it must be last changed, on the loop's clock; 0 for never."""

    def own_as(self) -> int:
        """Return our AS number; 0 leaves it to the peers' settings."""

    def warnings(self) -> "Sequence[str]":
        """Return what an operator should know now."""

    def recovery(self) -> "Report | None":
        """Return how far the recovery after our restart is; ``None`` when it is over."""


class DaemonState(Protocol):
    """A daemon that may still be starting: what is not there yet is ``None``."""

    border: "FaultBorder"

    @property
    def speaker(self) -> "Speaker | None":
        """Tables and peers."""

    @property
    def forwarding(self) -> KernelState | None:
        """The kernel's part."""

    @property
    def cluster(self) -> ClusterState | None:
        """What follows the datastore; ``None`` without a datastore."""

    @property
    def reloading(self) -> ReloadState:
        """The state of the configuration's files."""

    @property
    def pending_keys(self) -> int:
        """How many changed keys wait for the next start."""

    @property
    def is_started(self) -> bool:
        """Whether everything was there and sessions may come up."""

    @property
    def listen_faults(self) -> list[str]:
        """Why it does not listen where it should."""

    def recovery(self) -> "Report | None":
        """Return how far the recovery after our restart is; ``None`` when it is over."""
