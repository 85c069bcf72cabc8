"""Pings inside the namespaces of a lab: once, or all the time while something happens."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import bgpd
from bgpd.lab.errors import LabError
from bgpd.lab.namespace import Namespace
from bgpd.lab.ping import LATE_TIME, PingReport

_END_TIME = LATE_TIME + 5.0  # seconds for the pinger to report, on a busy machine


class Probe:
    """A ping that runs until its report is requested."""

    def __init__(
        self,
        namespace: Namespace,
        targets: Sequence[str],
        *,
        interval: float = 0.05,
        count: int = 0,
    ) -> None:
        """Start pinging; returns once the pinger is about to send.

        Args:
            namespace: Where from.
            targets: Addresses.
            interval: Seconds between two requests to a target.
            count: Requests per target; 0 is until ``finish``.
        """
        self._title = f"{namespace.name} -> {', '.join(targets)}"
        argv = [sys.executable, "-m", "bgpd.lab.ping", f"--interval={interval}"]
        self._process = subprocess.Popen(
            namespace.argv([*argv, f"--count={count}", *targets]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(bgpd.__file__).parents[1])},
            start_new_session=True,
        )
        if self._process.stdout:
            self._process.stdout.readline()

    def __enter__(self) -> Self:
        """Return itself; it runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whether or not its report was taken."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the pinger."""
        self._process.send_signal(number)

    def finish(self) -> dict[str, PingReport]:
        """End it and return what became of the requests, by target.

        Raises:
            LabError: The pinger failed.
        """
        self._process.terminate()
        return self.wait(_END_TIME)

    def wait(self, timeout: float) -> dict[str, PingReport]:
        """Wait for the end of a counted ping and return the reports.

        Raises:
            LabError: The pinger failed, or was not done in ``timeout`` seconds.
        """
        try:
            output, errors = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise LabError(f"ping {self._title}: no report") from None
        with contextlib.suppress(ValueError):
            answer = json.loads(output)
            return {
                target: PingReport(**{**fields, "lost": tuple(fields["lost"])})
                for target, fields in answer.items()
            }
        reason = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise LabError(f"ping {self._title}: {reason or 'no report'}")


def unreachable(namespace: Namespace, targets: Sequence[str]) -> list[str]:
    """Return which targets do not answer two quick pings."""
    with Probe(namespace, targets, interval=0.1, count=2) as probe:
        reports = probe.wait(_END_TIME)
    return [target for target, report in reports.items() if not report.received]
