"""What a check found, and how checks run: none can end another, nor take longer than it may.

Each check has a thread of its own, all at once, since some wait for servers that do not answer. A thread that
is late is left behind: it is a daemon, so the process ends without it.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bgpd.texts.errors import text_of

PATIENCE: Final = (
    5.0  # seconds for a check; those that reach servers have limits of their own
)
MOST_FINDINGS: Final = 50  # of one check
_THREAD: Final = "check: "


class Verdict(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: What was examined.
        verdict: How grave it is.
        text: What was found.
        advice: What to do about it; empty for nothing.
    """

    check: str
    verdict: Verdict
    text: str
    advice: str = ""


Findings = Iterable[Finding]
Examine = Callable[[], Findings]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to examine.

    Attributes:
        name: In the report.
        examine: Returns what it found; may raise, and may wait.
        patience: Seconds after which it is left behind.
    """

    name: str
    examine: Examine
    patience: float = PATIENCE


def ok(check: str, text: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, Verdict.OK, text)


def warning(check: str, text: str, advice: str = "") -> Finding:
    """Return a finding that an operator should know."""
    return Finding(check, Verdict.WARNING, text, advice)


def fault(check: str, text: str, advice: str = "") -> Finding:
    """Return a finding that keeps the daemon from doing what it is asked."""
    return Finding(check, Verdict.FAULT, text, advice)


def unknown(check: str, text: str, advice: str = "") -> Finding:
    """Return a finding of a check that saw nothing."""
    return Finding(check, Verdict.UNKNOWN, f"could not see: {text}", advice)


def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Run all checks at the same time; return what they found, in their order."""
    runs = [_Run(check) for check in checks]
    started = time.monotonic()
    for run in runs:
        run.thread.start()
    findings: list[Finding] = []
    for run in runs:
        left = started + run.check.patience - time.monotonic()
        run.thread.join(max(left, 0.0))
        findings += run.outcome()
    return findings


def has_late_checks() -> bool:
    """Return whether a check still waits for something; a process should end without it."""
    return any(each.name.startswith(_THREAD) for each in threading.enumerate())


class _Run:
    """A check on its way."""

    def __init__(self, check: Check) -> None:
        self.check = check
        name = f"{_THREAD}{check.name}"
        self.thread = threading.Thread(target=self._work, daemon=True, name=name)
        self._found: list[Finding] | None = None

    def _work(self) -> None:
        name = self.check.name
        try:
            found = list(self.check.examine())
        except PermissionError as error:
            where = f": {error.filename}" if error.filename else ""
            found = [unknown(name, f"needs root{where}")]
        except Exception as error:  # noqa: BLE001  # the other checks are of use
            found = [unknown(name, text_of(error))]
        self._found = found

    def outcome(self) -> list[Finding]:
        """Return what it found so far."""
        found, name = self._found, self.check.name
        if found is None:
            return [unknown(name, f"no answer within {self.check.patience:g} s")]
        if len(found) > MOST_FINDINGS:
            more = unknown(name, f"{len(found) - MOST_FINDINGS} more findings")
            return [*found[:MOST_FINDINGS], more]
        return found
