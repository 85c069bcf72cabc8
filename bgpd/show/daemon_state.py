"""What of the running daemon its health checks and metrics read, and nothing else.

The daemon starts the servers that answer with this; a ``Protocol`` keeps what is shown from
knowing the daemon's class, which stands above it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a reflector loads no datastore, and not every daemon a kernel
    from bgpd.kernel.forwarding import Forwarding
    from bgpd.node.datastore_follower import DatastoreFollower
    from bgpd.node.removal_holds import Holds
    from bgpd.runtime.fault_border import FaultBorder
    from bgpd.speaker.selection_deferral import Report
    from bgpd.speaker.speaker import Speaker


class ReloadState(Protocol):
    """How the last reading of the configuration went.

    Attributes:
        files: Every file that was read; empty where there is none.
        refusal: Why the last reload was refused; empty after one that was not.
        succeeded_at: When the settings in force were read, seconds of the wall clock.
    """

    files: tuple[Path, ...]
    refusal: str
    succeeded_at: float

    def warnings(self) -> list[str]:
        """Return what an operator should know of it, a line each."""


class DaemonState(Protocol):
    """A daemon that may still be starting: what is not there yet is ``None``."""

    border: "FaultBorder"

    @property
    def speaker(self) -> "Speaker | None":
        """Tables and peers."""

    @property
    def forwarding(self) -> "Forwarding | None":
        """The kernel's part."""

    @property
    def cluster(self) -> "DatastoreFollower | None":
        """What follows the datastore; ``None`` also where there is none to follow."""

    @property
    def holds(self) -> "Holds | None":
        """What is held because nobody can have meant its removal."""

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
