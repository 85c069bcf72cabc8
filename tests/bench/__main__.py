"""``make bench``: the hot functions, whole loads, and a cluster's news, beside others."""

import argparse
import os
import platform
import sys
from pathlib import Path

from tests.bench import affinity
from tests.bench.core import BENCHMARKS
from tests.bench.scenarios import SCENARIOS, missing, rows, run_scenario
from tests.bench.timing import best_time


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def machine() -> str:
    """Return the machine in a line: figures mean nothing without it."""
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


def run_core(pattern: str) -> None:
    say(f"{'function':52}{'ns/op':>12}{'ns/prefix':>12}")
    for name, prepare in BENCHMARKS.items():
        if pattern not in name:
            continue
        work = prepare()
        nanoseconds = best_time(work.run) * 1e9
        each = f"{nanoseconds / work.prefixes:.0f}" if work.prefixes > 1 else ""
        say(f"{name:52}{nanoseconds:>12,.0f}{each:>12}  {work.note}".rstrip())


def run_scenarios(pattern: str, runs: int) -> None:
    reason = missing()
    if reason:
        say(f"loads beside other routers are left out: {reason}")
        return
    for scenario in SCENARIOS:
        if pattern not in scenario.name:
            continue
        try:
            for line in rows(scenario, run_scenario(scenario, runs)):
                say(line)
        except RuntimeError as error:
            say(f"{scenario.name}: failed: {error}")
        say()


def run_affinity(pattern: str) -> None:
    if pattern and pattern not in "affinity":
        return
    reason = affinity.missing()
    if reason:
        say(f"new blocks of a cluster are left out: {reason}")
        return
    for line in affinity.rows():
        say(line)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only",
        choices=("functions", "loads", "affinity"),
        help="leave the others out",
    )
    parser.add_argument("--match", default="", help="only what has this in its name")
    parser.add_argument("--runs", type=int, default=3, help="of each load")
    arguments = parser.parse_args()
    say(machine())
    if arguments.only in {None, "functions"}:
        run_core(arguments.match)
        say()
    if arguments.only in {None, "loads"}:
        run_scenarios(arguments.match, arguments.runs)
    if arguments.only in {None, "affinity"}:
        run_affinity(arguments.match)


main()
