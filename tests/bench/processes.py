"""What the kernel says of a process that is measured."""

import os
from pathlib import Path
from typing import Final

Figures = dict[str, float]
"""What a load measured, by name."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def processor_time(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def status_of(pid: int, key: str) -> int:
    """Return a number of ``/proc/PID/status``: KiB, or a count."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0
