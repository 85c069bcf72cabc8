"""What a figure was measured on: it means nothing without."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Return the machine in a line."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} processors, Linux {platform.release()},"
        f" Python {platform.python_version()}, load {load:.1f}"
    )
