"""What else the machine does while a load runs: a figure of a busy machine is worth less.

``/proc`` is read twice a second, and the load generator's processor time fifty times, since the
last value before it ends is the one that counts.
"""

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PERIOD: Final = 0.02  # seconds
_SYSTEM_EVERY: Final = 25  # periods
_GENERATOR: Final = "bgpload"
# Above these, ratios may not be what another machine gets.
BUSY_STEAL: Final = 2.0  # percent of all processors
BUSY_OTHERS: Final = 15.0  # percent of one processor
BUSY_LOAD: Final = 1.0  # load average before the first measurement


def hardware() -> str:
    """Return what does not change between two measurements of a machine."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    gib = round(memory_kib("MemTotal") / (1 << 20))
    return (
        f"{model}, {os.cpu_count()} processors, {gib} GiB, Linux {os.uname().release}"
    )


def memory_kib(key: str) -> int:
    """Return a value of ``/proc/meminfo``."""
    for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def _processors() -> tuple[float, float, float]:
    """Return seconds that all processors were busy, idle and stolen, since the start."""
    fields = Path("/proc/stat").read_text("utf-8").split("\n", 1)[0].split()[1:]
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, fields[:8])
    busy = user + nice + system + irq + softirq
    return busy / _TICKS, (idle + iowait) / _TICKS, steal / _TICKS


def _own_seconds() -> float:
    """Return the processor time of this process and of all it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(
            resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    )


class Watch:
    """Reads until ``stop``.

    Attributes:
        generator_s: Processor time of the load generator, all of its life.
        least_free_kib: Memory that was left.
        least_idle: Percent of all processors, in the busiest half second.
    """

    def __init__(self) -> None:
        self.generator_s = 0.0
        self.least_free_kib = memory_kib("MemAvailable")
        self.least_idle = 100.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._generator: Path | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        turn, before = 0, _processors()
        while not self._stop.wait(_PERIOD):
            turn += 1
            if self._generator:
                self._read_generator(self._generator)
            if turn % _SYSTEM_EVERY == 0:
                now = _processors()
                spent = sum(now) - sum(before)
                idle = 100 * (now[1] - before[1]) / spent if spent else 100.0
                self.least_idle = min(self.least_idle, idle)
                free = memory_kib("MemAvailable")
                self.least_free_kib = min(self.least_free_kib, free)
                before = now
            if not self._generator and turn % 5 == 0:
                self._generator = _find_generator()

    def _read_generator(self, stat: Path) -> None:
        try:
            fields = stat.read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            return
        used = (int(fields[11]) + int(fields[12])) / _TICKS
        self.generator_s = max(self.generator_s, used)


def _find_generator() -> Path | None:
    ours = str(os.getuid())
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            name = (process / "comm").read_text("utf-8")
            owner = str(process.stat().st_uid)
        except OSError:
            continue
        if name.startswith(_GENERATOR) and owner == ours:
            return process / "stat"
    return None


@contextmanager
def observed(found: dict[str, float]) -> Iterator[None]:
    """Fill in what the machine did while the block ran."""
    watch, started = Watch(), time.monotonic()
    busy, idle, steal = _processors()
    own = _own_seconds()
    watch.start()
    try:
        yield
    finally:
        watch.stop()
        seconds = time.monotonic() - started
        busy_now, idle_now, steal_now = _processors()
        spent = busy_now + idle_now + steal_now - busy - idle - steal
        others = busy_now - busy - (_own_seconds() - own)
        found.update(
            total_s=seconds,
            load=os.getloadavg()[0],
            steal=100 * (steal_now - steal) / spent if spent else 0.0,
            others=max(0.0, 100 * others / seconds),
            least_idle=watch.least_idle,
            least_free_kib=watch.least_free_kib,
            generator_s=watch.generator_s,
        )
