"""``make bench``: the hot functions, whole loads, and a cluster's news, beside others."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Final

from tests.bench import affinity, beside
from tests.bench.core import BENCHMARKS
from tests.bench.machine import machine
from tests.bench.peers import VARIABLE, NoPeersError, use_suite, versions
from tests.bench.scenarios import SCENARIOS, missing, rows, run_scenario
from tests.bench.timing import best_time


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


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


def run_beside(pattern: str, runs: int) -> None:
    if os.geteuid() != 0:
        say("loads of our own are left out: network namespaces need root")
        return
    for name, case in beside.CASES.items():
        if pattern in name or pattern in case.title:
            for line in beside.rows(case, beside.measure(case, runs)):
                say(line)
            say()


PARTS: Final[dict[str, Callable[[argparse.Namespace], None]]] = {
    "functions": lambda asked: run_core(asked.match),
    "loads": lambda asked: run_scenarios(asked.match, asked.runs),
    "beside": lambda asked: run_beside(asked.match, asked.runs),
    "affinity": lambda asked: run_affinity(asked.match),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="leave the others out")
    parser.add_argument("--match", default="", help="only what has this in its name")
    parser.add_argument("--runs", type=int, default=3, help="of each load")
    parser.add_argument(
        "--peers",
        metavar="SUITE",
        default=os.environ.get(VARIABLE, ""),
        help="take the other routers of a Debian suite, such as sid, not the installed",
    )
    asked = parser.parse_args()
    try:
        if asked.peers:
            use_suite(asked.peers)
    except NoPeersError as error:
        parser.exit(1, f"no routers of Debian {asked.peers}: {error}\n")
    say(machine())
    say(f"beside {versions()}")
    for name, run in PARTS.items():
        if asked.only in {None, name}:
            run(asked)
            say()


main()
