"""Kernels of namespaces, and every removal of a route of pods in them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Node:
    """The kernel of a namespace, and what happened to its routes."""

    def __init__(self, enter: tuple[str, ...], log: Path) -> None:
        self._enter = enter
        self._log = log

    def routes(self) -> str:
        command = [*self._enter, "ip", "route", "show"]
        return subprocess.check_output(command, text=True)

    def has(self, prefix: str) -> bool:
        return any(
            line.removeprefix("blackhole ").startswith(f"{prefix} ")
            and "proto bird" in line
            for line in self.routes().splitlines()
        )

    def lost(self) -> list[str]:
        """Return every removal of a block's route since the watch began."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [ln for ln in lines if ln.startswith("Deleted") and "10.244." in ln]


@contextmanager
def watched(enters: list[tuple[str, ...]], folder: Path) -> Iterator[list[Node]]:
    """Write down what the kernels say of their routes."""
    nodes, monitors = [], []
    for number, enter in enumerate(enters):
        log = folder / f"monitor-{number}"
        with log.open("wb") as output:
            command = [*enter, "stdbuf", "-oL", "ip", "monitor", "route"]
            monitors.append(subprocess.Popen(command, stdout=output))
        nodes.append(Node(enter, log))
    try:
        yield nodes
    finally:
        for monitor in monitors:
            monitor.terminate()
            monitor.wait(10)
