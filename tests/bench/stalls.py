"""How long our event loop is away under each load: p99.9 and the longest.

``python -m tests.bench.stalls``; needs what the loads need.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench import beside
from tests.bench.peers import ROOT
from tests.bench.sampled import FILE_VARIABLE
from tests.bench.scenarios import OURS, SCENARIOS, find_compare, missing

COMMAND: Final = f"{sys.executable} -m tests.bench.sampled"
P999: Final = 20.0  # milliseconds, at most
LONGEST: Final = 100.0
_CASES: Final = (
    "gateway",
    "regrouped",
    "fan-out",
    "withdrawn",
    "export-policy",
    "import-policy",
    "nexthop",
    "kernel-gateway",
)


def run_scenario(arguments: tuple[str, ...]) -> None:
    """Run one of ``compare.py``'s loads against the sampled daemon."""
    command = [sys.executable, str(find_compare()), *arguments]
    subprocess.run(
        [*command, "--runs", "1", "--dut", "ours"],
        check=True,
        capture_output=True,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "DUT_CMD": OURS.format(program=COMMAND)},
    )


def run_case(name: str) -> None:
    """Run one of ``beside``'s loads against the sampled daemon."""
    case = beside.CASES[name]
    beside.run_once("ours", case, program=COMMAND)


def say(title: str, file: Path) -> None:
    """Print what the last run wrote."""
    found = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
    is_met = found["p999_ms"] < P999 and found["max_ms"] < LONGEST
    sys.stdout.write(
        f"{title:52}{found['p999_ms']:>10.1f}{found['max_ms']:>10.1f}"
        f"{found['busy_s']:>10.2f}  {'met' if is_met else 'MISSED'}\n"
    )
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--match", default="", help="only what has this in its name")
    arguments = parser.parse_args()
    reason = missing()
    if reason:
        sys.stdout.write(f"left out: {reason}\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stalls"
        os.environ[FILE_VARIABLE] = str(file)
        sys.stdout.write(f"{'load':52}{'p99.9 ms':>10}{'max ms':>10}{'busy s':>10}\n")
        for scenario in SCENARIOS:
            if arguments.match in scenario.name:
                run_scenario(scenario.arguments)
                say(scenario.name, file)
        for name in _CASES:
            if arguments.match in beside.CASES[name].title:
                run_case(name)
                say(beside.CASES[name].title, file)


if __name__ == "__main__":
    main()
