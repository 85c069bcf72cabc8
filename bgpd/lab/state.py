"""What labs exist on this machine, on file, so that a crash leaves nothing behind.

One JSON file per lab names its owner (process id and start time), its namespaces and its
folder. It is written before anything is created. ``sweep`` removes all labs whose owner is
gone, apart from those that were kept on purpose; ``remove`` takes one away.
"""

import contextlib
import json
import os
import shutil
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bgpd.lab.errors import LabError
from bgpd.lab.namespace import batch, run
from bgpd.texts.files import read_octets
from bgpd.texts.json_text import load
from bgpd.texts.limits import LAB_STATE
from bgpd.texts.state_files import make_folder, write_file

PREFIX = "pybgpd"  # every namespace of a lab is named pybgpd-<lab id>-<name>
END_TIME = 2.0  # seconds between SIGTERM and SIGKILL


def state_folder() -> Path:
    """Return the folder of state files; the same for all labs of the machine."""
    return Path("/run/pybgpd-lab")


def start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 if it is gone.

    Together with the process id it names a process for good: ids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


@dataclass(slots=True)
class LabState:
    """The record of one lab.

    Attributes:
        lab_id: Unique on this machine.
        owner_pid: Process that made it.
        owner_start: Its start time, see ``start_time``.
        is_kept: It outlives its owner; only ``remove`` takes it away.
        folder: Where its configuration files and logs are; removed with it.
        name: What its topology is called.
        namespaces: Names of its namespaces, recorded before they are made.
    """

    lab_id: str
    owner_pid: int
    owner_start: int
    is_kept: bool
    folder: str
    name: str = ""
    namespaces: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The state file."""
        return state_folder() / f"{self.lab_id}.json"

    @property
    def is_orphan(self) -> bool:
        """Whether its owner is gone and it is not to be kept."""
        return not self.is_kept and start_time(self.owner_pid) != self.owner_start

    def save(self) -> None:
        """Write the record; a reader sees the old one or the new one."""
        make_folder(self.path.parent)
        write_file(self.path, json.dumps(asdict(self)).encode())


def read_states() -> list[LabState]:
    """Return all recorded labs; skip unreadable records."""
    found = []
    for path in sorted(state_folder().glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            octets = read_octets(path, LAB_STATE.octets, follows=False)
            content = load(octets, LAB_STATE).value
            if isinstance(content, dict):
                found.append(LabState(**content))
    return found


def sweep() -> list[str]:
    """Remove the labs that dead processes left behind; return their ids."""
    orphans = [state for state in read_states() if state.is_orphan]
    for state in orphans:
        remove(state)
    return [state.lab_id for state in orphans]


def remove(state: LabState) -> None:
    """End a lab's processes, delete its namespaces, its folder and its record.

    It ignores what is already gone, so it may run twice.
    """
    names = [name for name in state.namespaces if name.startswith(f"{PREFIX}-")]
    existing = [name for name in names if Path("/run/netns", name).exists()]
    end_processes(existing)
    lines = [f"netns del {name}" for name in existing]
    try:
        batch(lines)
    except LabError:  # another process removed one of them: take the rest one by one
        for line in lines:
            with contextlib.suppress(LabError):
                batch([line])
    shutil.rmtree(state.folder, ignore_errors=True)
    state.path.unlink(missing_ok=True)


def end_processes(namespaces: list[str]) -> None:
    """End every process inside our namespaces: first politely, then for good."""
    pids = _pids(namespaces)
    _signal(pids, signal.SIGTERM)
    deadline = time.monotonic() + END_TIME
    while pids and time.monotonic() < deadline:
        time.sleep(0.02)
        pids = {pid: start for pid, start in pids.items() if start_time(pid) == start}
    _signal(pids | _pids(namespaces), signal.SIGKILL)


def _pids(namespaces: list[str]) -> dict[int, int]:
    pids: dict[int, int] = {}
    for name in namespaces:
        with contextlib.suppress(LabError):
            found = map(int, run(["ip", "netns", "pids", name]).split())
            pids.update({pid: start_time(pid) for pid in found})
    return {pid: start for pid, start in pids.items() if start}


def _signal(pids: dict[int, int], number: signal.Signals) -> None:
    for pid, start in pids.items():
        if start_time(pid) == start:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
