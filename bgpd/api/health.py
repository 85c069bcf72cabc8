"""What a daemon says of its health: checks for Kubernetes, figures for Prometheus."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:  # loaded when metrics are first asked for
    from bgpd.api.figures import Figures


class Check(NamedTuple):
    """One condition of health.

    Attributes:
        name: A word, such as ``listener``.
        is_met: Whether it holds.
        text: What is known, for people.
    """

    name: str
    is_met: bool
    text: str


class HealthSource(Protocol):
    """What the server needs from the daemon; each call returns at once."""

    def figures(self) -> "Figures":
        """Return a snapshot for metrics."""

    def liveness(self) -> Iterable[Check]:
        """Return the liveness checks."""

    def readiness(self) -> Iterable[Check]:
        """Return the readiness checks."""


def report(checks: Iterable[Check]) -> tuple[bool, str]:
    """Return whether all checks are met, and a line for each."""
    found = list(checks)
    lines = [
        f"{'ok' if check.is_met else 'not ok'}: {check.name}: {check.text}\n"
        for check in found
    ]
    return all(check.is_met for check in found), "".join(lines)
