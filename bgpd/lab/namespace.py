"""Running things inside network namespaces, with iproute2 alone."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bgpd.lab.errors import LabError

COMMAND_TIME = 20  # seconds that a command may take before the lab gives up


def run(argv: Sequence[str], stdin: str = "", timeout: float = COMMAND_TIME) -> str:
    """Run a command to its end and return what it wrote to stdout.

    Raises:
        LabError: It is missing, failed, or ran longer than ``timeout`` seconds.
    """
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            errors="replace",
        )
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(argv)}: no answer in {timeout} s") from None
    if done.returncode:
        answer = (done.stderr or done.stdout).strip()
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {answer}")
    return done.stdout


def batch(lines: Sequence[str]) -> None:
    """Run many ``ip`` commands in one process; the first failure ends it.

    Raises:
        LabError: With the line that failed.
    """
    if lines:
        run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")


@dataclass(frozen=True, slots=True)
class Namespace:
    """A named network namespace that exists.

    Attributes:
        name: As ``ip netns`` shows it.
    """

    name: str

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs ``argv`` inside; it keeps its process id."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(
        self, argv: Sequence[str], stdin: str = "", timeout: float = COMMAND_TIME
    ) -> str:
        """Run a command inside to its end; see ``run``."""
        return run(self.argv(argv), stdin, timeout)

    def setup(self, sysctls: Mapping[str, str], ip_lines: Sequence[str]) -> None:
        """Write sysctls that exist here, then run ``ip`` commands, in one process each.

        Args:
            sysctls: Path below ``/proc/sys/net`` to value.
            ip_lines: Commands for ``ip -batch``.

        Raises:
            LabError: With the command that failed.
        """
        script = "".join(
            f"[ ! -e /proc/sys/net/{path} ] || echo {value} >/proc/sys/net/{path}\n"
            for path, value in sysctls.items()
        )
        if ip_lines:
            script += "ip -batch - <<'END'\n" + "\n".join(ip_lines) + "\nEND\n"
        if script:
            self.run(["sh", "-e"], stdin=script)

    def popen(
        self,
        argv: Sequence[str],
        log: "IO[bytes] | int",
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: "IO[bytes] | int | None" = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a command inside, as the leader of its own session.

        Args:
            argv: Command; it stays in the foreground.
            log: Where stderr goes, and stdout too unless given.
            cwd: Working directory.
            env: Added to the environment.
            stdout: Where stdout goes, if not to ``log``.
        """
        return subprocess.Popen(
            self.argv(argv),
            stdin=subprocess.DEVNULL,
            stdout=log if stdout is None else stdout,
            stderr=log,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
