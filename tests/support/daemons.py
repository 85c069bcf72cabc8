"""Whole daemons as processes, on loopback addresses of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from bgpd.api.client import UnreachableError, call
from bgpd.api.protocol import ControlError
from tests.support.answer_forms import check_answer

ROOT = Path(__file__).parents[2]


class Daemon:
    """``pybgpd`` with ``arguments``; its log lines go to a file of ``folder``."""

    def __init__(
        self, folder: Path, *arguments: str, prefix: Sequence[str] = ()
    ) -> None:
        self.log_file = folder / "log"
        self.control = str(folder / "control.sock")
        self._command = [*prefix, sys.executable, "-m", "bgpd.cli.daemon", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYBGPD_")}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=log, stderr=log, env=kept
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(f"log:\n{self.log()[-4000:]}")
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, seconds: float = 10.0) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(seconds)

    def until(self, predicate: Callable[[], object], seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not predicate():
            assert self.process.poll() is None, "the daemon ended"
            assert time.monotonic() < deadline, "did not come true in time"
            time.sleep(0.03)

    def until_logged(self, text: str, seconds: float = 15.0) -> None:
        self.until(lambda: text in self.log(), seconds)

    def ask(self, command: str, **arguments: Any) -> list[dict[str, Any]]:
        """Return the rows the control socket answers; none while the daemon starts."""
        rows: list[dict[str, Any]] = []
        try:
            for piece in call(self.control, command, arguments):
                rows += piece if isinstance(piece, list) else [dict(piece)]
        except UnreachableError:
            return []
        except ControlError as error:
            if error.code != "not-started":
                raise
            return []
        check_answer(command, rows)
        return rows

    def peers(self) -> dict[str, dict[str, Any]]:
        return {row["address"]: row for row in self.ask("show-peers")}

    def are_up(self, *addresses: str) -> bool:
        peers = self.peers()
        return all(
            peers.get(address, {}).get("state", "").lower() == "established"
            for address in addresses
        )

    def prefixes(self) -> set[str]:
        return {row["prefix"] for row in self.ask("show-routes")}


def write_yaml(file: Path, *documents: Any) -> Path:
    """Write documents to a file at once, as a rename would."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    new.rename(file)
    return file
