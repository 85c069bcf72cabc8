"""The state of the running daemon that health checks and metrics read.

The daemon starts the servers that answer with this; a ``Protocol`` keeps what is shown from
knowing the daemon's class, which stands above it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a reflector loads no datastore, and not every daemon a kernel
    from collections.abc import Iterable, Mapping, Sequence

    from bgpd.calico.desired import NodeDesired
    from bgpd.calico.warnings import ObjectWarning
    from bgpd.config.diff import Step
    from bgpd.datastore.kubernetes import ApiStatus
    from bgpd.datastore.model import Status
    from bgpd.node.removal_holds import RemovalHolds
    from bgpd.preview.preview import ChangePreview
    from bgpd.runtime.fault_border import FaultBorder
    from bgpd.speaker.selection_deferral import Report
    from bgpd.speaker.speaker import Speaker
    from fib.kernel_policy import KernelPolicy
    from fib.kernel_view import Link
    from fib.next_hop_state import NextHopState
    from fib.routes import Fib
    from rib.family import Family


class ReloadState(Protocol):
    """The outcome of the last reload.

    Attributes:
        files: Every file that was read; may be empty.
        refusal: Why the last reload was rejected; empty after a successful one.
        succeeded_at: When the settings in force were read, seconds of the wall clock.
    """

    files: tuple[Path, ...]
    refusal: str
    succeeded_at: float

    def warnings(self) -> list[str]:
        """Return warnings for the operator, a line each."""


class CommitState(Protocol):
    """What of the configuration waits for an operator."""

    @property
    def held_count(self) -> int:
        """Changes that end sessions and wait for consent."""

    @property
    def is_confirmed(self) -> bool:
        """Whether no applied configuration waits for confirmation."""

    def warnings(self) -> list[str]:
        """Return warnings for the operator, a line each."""


class Planned(Protocol):
    """A plan (``bgpd.daemon.transition.ConfigPlan``)."""

    @property
    def steps(self) -> "list[Step]":
        """All steps, with their costs."""

    @property
    def lines(self) -> list[str]:
        """What the next start does with kernel routes."""

    @property
    def held(self) -> "tuple[Step, ...]":
        """Steps that wait for consent."""

    @property
    def preview(self) -> "ChangePreview | None":
        """Sessions and routes, not worked out yet."""


class ClusterState(Protocol):
    """The state of the cluster that a node is part of."""

    @property
    def status(self) -> "Status":
        """The datastore's state."""

    @property
    def kubernetes(self) -> "ApiStatus":
        """The state of the Kubernetes API."""

    @property
    def holds(self) -> "RemovalHolds":
        """Objects that are held because their removal is implausible."""

    def desired(self) -> "NodeDesired | None":
        """Return what this node must be; ``None`` before the datastore has said so."""

    def warnings(self) -> "Sequence[ObjectWarning]":
        """Return all findings about objects."""


class KernelState(Protocol):
    """The visible state of the kernel."""

    @property
    def fib(self) -> "Fib | None":
        """Our table; ``None`` where routes do not go into the kernel."""

    def policies(self) -> "Mapping[Family, KernelPolicy]":
        """Return the kernel policies in force."""

    def tunnel_fault(self) -> str:
        """Return what is wrong with the tunnel device; empty if nothing."""

    def links(self) -> "Iterable[Link]":
        """Return devices with their addresses."""

    def next_hop(self, address: bytes) -> "NextHopState | None":
        """Return how a next hop is reached; ``None`` if it is not tracked."""


class ProcessState(Protocol):
    """The visible state of a started daemon, apart from its parts."""

    @property
    def node(self) -> str:
        """The node's name in the datastore; empty without."""

    @property
    def changed_at(self) -> float:
        """When the desired state last changed, on the loop's clock; 0 for never."""

    def own_as(self) -> int:
        """Return our AS number; 0 leaves it to the peers' settings."""

    def warnings(self) -> "Sequence[str]":
        """Return the present warnings for the operator."""

    def recovery(self) -> "Report | None":
        """Return the progress of selection deferral; ``None`` when it is over."""


class DaemonState(Protocol):
    """A daemon that may still be starting: missing parts are ``None``."""

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

    def mrt_figures(self) -> "Sequence[tuple[str, int, int, int, int]]":
        """Return what became of MRT records: kind, files, records, dropped ones, errors."""

    @property
    def reloading(self) -> ReloadState:
        """The state of the configuration's files."""

    @property
    def commit(self) -> CommitState:
        """The state of what was applied, and of what waits."""

    @property
    def pending_keys(self) -> int:
        """Number of changed keys that wait for the next start."""

    @property
    def is_started(self) -> bool:
        """Whether the start is complete and sessions may come up."""

    @property
    def listen_faults(self) -> list[str]:
        """Listener errors."""

    def recovery(self) -> "Report | None":
        """Return the progress of selection deferral; ``None`` when it is over."""
