"""Daemons as processes, the relay before them, and what the server's audit log says of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import yaml

from bgpd.api.client import UnreachableError, call
from tests.bench.kubernetes.objects import node_name
from tests.bench.kubernetes.reader import FIGURES, WAY, WAYS
from tests.bench.kubernetes.writer import Cluster
from tests.support.daemons import ROOT
from tests.support.kube_apiserver import KubeApi

START_LIMIT: Final = 300.0  # seconds, with whole nodes on a busy machine
_TICK: Final = os.sysconf("SC_CLK_TCK")
_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["ResponseStarted", "ResponseComplete"],
    "rules": [
        {"level": "Metadata", "userGroups": ["pybgpd"]},
        {"level": "None"},
    ],
}


class Usage(NamedTuple):
    """What a process has used.

    Attributes:
        cpu: Seconds of processor time.
        rss: Resident octets.
        peak: The most of it.
    """

    cpu: float
    rss: int
    peak: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return what a process has used until now."""
        folder = Path(f"/proc/{pid}")
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        lines = (folder / "status").read_text().splitlines()
        sizes = dict(line.split(":", 1) for line in lines if line.startswith("Vm"))
        rss, peak = (int(sizes[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
        return cls((int(fields[11]) + int(fields[12])) / _TICK, rss, peak)


class Audit:
    """Counts requests by the server's audit log.

    Args:
        folder: For the policy and the log.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "audit.log"
        policy = folder / "policy.yaml"
        policy.write_text(yaml.safe_dump(_POLICY))
        self.arguments: Final = (
            f"--audit-log-path={self._log}",
            "--audit-log-maxsize=10000",
            f"--audit-policy-file={policy}",
        )
        self._read = 0

    def new(self) -> dict[str, Counter[str]]:
        """Return the requests since the last time: how many of a verb, by user."""
        found: dict[str, Counter[str]] = {}
        if not self._log.exists():
            return found
        with self._log.open("rb") as file:
            file.seek(self._read)
            lines = file.read().split(b"\n")
            self._read = file.tell() - len(lines[-1])
        for line in lines[:-1]:
            event = json.loads(line)
            user = event["user"]["username"]
            found.setdefault(user, Counter())[event["verb"]] += 1
        return found


class Relay:
    """The relay as a process; a context that ends it.

    Args:
        target: Port of the server.
        count: How many readers.
    """

    def __init__(self, target: int, count: int) -> None:
        command = [sys.executable, "-m", "tests.bench.kubernetes.relay"]
        self._process = subprocess.Popen(
            [*command, str(target), str(count)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ports: list[int] = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)

    def ask(self, word: str) -> list[dict[str, int]]:
        """Say ``counts``, ``cut`` or ``mend``; return the counts of each port."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(word + "\n")
        stdin.flush()
        found: list[dict[str, int]] = self._answer()
        return found

    def _answer(self) -> Any:  # JSON
        stdout = self._process.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise RuntimeError("the relay ended")
        return json.loads(line)


def user_of(number: int) -> str:
    """Return the user as which the daemon of a node reads."""
    return f"pybgpd-{number}"


def token_of(number: int) -> str:
    """Return that user's token."""
    return f"token-of-{number}"


def write_configuration(
    folder: Path,
    api: KubeApi,
    cluster: Cluster,
    number: int,
    *,
    port: int,
    way: str = "usual",
) -> Path:
    """Write what the daemon of a node needs; return its configuration file.

    Args:
        folder: For its files.
        api: What it reads.
        cluster: What that holds.
        number: Of the node.
        port: By which it reaches the API.
        way: How it reads; see ``WAYS``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = yaml.safe_load(api.kubeconfig(token_of(number)).read_text())
    known["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(known))
    content = {
        "node": {"name": node_name(number)},
        "bgp": {"listen": {"addresses": [cluster.address(number)]}},
        "datastore": {
            "type": "kubernetes",
            "saved_state": str(folder / "lib" / "datastore.json"),
            **WAYS[way].datastore,
        },
        "kubernetes": {"kubeconfig": str(kubeconfig), "endpoint_status": ""},
        "bird": {"ipv4": "", "ipv6": ""},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control.sock")},
    }
    file = folder / "pybgpd.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


class ReaderProcess:
    """One daemon; a context that ends it.

    Args:
        folder: Has its configuration; takes its log.
        number: Of its node.
        way: How it reads.
        samples: Whether it writes down what it sees, at the cost of processor time.
    """

    def __init__(self, folder: Path, number: int, way: str, *, samples: bool) -> None:
        self.folder, self.number, self.way = folder, number, way
        self.is_sampled = samples
        self._figures = folder / "figures"
        self._lines = 0
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYBGPD_")}
        kept |= {WAY: way, FIGURES: str(self._figures) if samples else ""}
        command = [sys.executable, "-m", "tests.bench.kubernetes.reader", "run"]
        with (folder / "log").open("ab") as log:
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(
                [*command, "--config", str(folder / "pybgpd.yaml")],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=kept,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def usage(self) -> Usage:
        """Return what it has used."""
        return Usage.of(self.process.pid)

    def status(self) -> dict[str, Any]:
        """Return what it says of itself; nothing while it does not listen."""
        try:
            for piece in call(str(self.folder / "control.sock"), "show-status", {}):
                rows = piece if isinstance(piece, list) else [piece]
                return dict(rows[0])
        except UnreachableError:
            pass
        return {}

    def wait_until_connected(self) -> None:
        """Wait until all it wants was read and is watched.

        Raises:
            RuntimeError: It ended, or that takes too long.
        """

        def is_connected() -> bool:
            return bool(self.status().get("datastore", {}).get("is_connected"))

        self._wait_for(is_connected, "is not connected to its datastore")

    def seen(self) -> dict[str, Any]:
        """Return what a sampled daemon has seen since the last time."""
        self.process.send_signal(signal.SIGUSR2)
        lines: list[str] = []

        def has_written() -> bool:
            if self._figures.exists():
                lines[:] = self._figures.read_text().split("\n")[:-1]
            return len(lines) > self._lines

        self._wait_for(has_written, "does not say what it has seen")
        self._lines = len(lines)
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def _wait_for(self, is_true: Callable[[], bool], otherwise: str) -> None:
        until = time.monotonic() + START_LIMIT
        while not is_true():
            if self.process.poll() is not None or time.monotonic() > until:
                log = (self.folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the daemon of {self.folder} {otherwise}:\n{log}")
            time.sleep(0.2)


def total(counters: Iterable[Counter[str]]) -> Counter[str]:
    """Return the sum of some counts."""
    found: Counter[str] = Counter()
    for each in counters:
        found.update(each)
    return found
