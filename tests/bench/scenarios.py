"""Loads beside other routers: convergence, kernel, churn and memory, as ratios.

They are run by ``compare.py``, which starts each daemon in a network namespace of its own
and loads it from a generator in C. It is not part of this project: BENCH_LOADS names its
folder, else ``../shared/bench`` beside the checkout is tried. It needs root, a C compiler
and the other makers' routers.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.bench.peers import BIRD3, INSTALLED_OPENBGPD, OPENBGPD, ROOT

FOLDER_VARIABLE: Final = "BENCH_LOADS"  # PYBGPD_ is for settings of daemons
OURS: Final = (
    "{program} reflector --listen {{listen}} --port {{port}} --as {{asn}}"
    " --router-id {{router_id}} --clients {{range}} --fib {{fib}}"
)
_OPENBGPD_SCRIPT: Final = ROOT / "tests/bench/openbgpd"
COMPILED: Final = "BENCH_COMPILED"  # names the pybgpd of a compiled build
LIMIT: Final = 1800  # seconds for all runs of one scenario

Run = Mapping[str, object]


class Target(NamedTuple):
    """What our figure must not exceed.

    Attributes:
        key: Figure of ``compare.py``.
        rival: Daemon it is a multiple of; empty where ``limit`` is absolute.
        limit: The multiple, or the absolute figure in the figure's unit.
    """

    key: str
    rival: str
    limit: float


class Scenario(NamedTuple):
    """One load.

    Attributes:
        name: For the table.
        arguments: Of ``compare.py``.
        rivals: Daemons beside ours.
        targets: What is aimed at; other figures are shown only.
        shown: Figures without a target.
    """

    name: str
    arguments: tuple[str, ...]
    rivals: tuple[str, ...]
    targets: tuple[Target, ...]
    shown: tuple[str, ...] = ()


SCENARIOS: Final = (
    Scenario(
        "reflector, 100 clients x 4 blocks",
        ("rr", "--clients", "100", "--blocks", "4", "--churn", "20"),
        ("bird", "frr", "gobgp", "openbgpd"),
        (Target("converge_s", "bird", 1.0), Target("converge_s", "frr", 1.0)),
        ("dut_peak_rss_kb", "churn_p50_ms"),
    ),
    Scenario(
        "reflector, 1,000 clients x 4 blocks",
        ("rr", "--clients", "1000", "--blocks", "4", "--churn", "50"),
        ("bird", "frr"),
        (
            Target("converge_s", "bird", 0.03),
            Target("converge_s", "frr", 0.2),
            Target("dut_peak_rss_kb", "", 60_000),
            Target("churn_p50_ms", "bird", 1.0),
            Target("churn_p99_ms", "bird", 1.0),
            Target("churn_dut_cpu_ms_per_event", "bird", 1.0),
        ),
    ),
    Scenario(
        "reflector, 1,000 clients x 40 blocks",
        ("rr", "--clients", "1000", "--blocks", "40"),
        ("bird", "frr"),
        (Target("converge_s", "bird", 0.05), Target("converge_s", "frr", 0.3)),
        ("dut_peak_rss_kb",),
    ),
    Scenario(
        "reflector, 4,000 clients x 1 block",
        ("rr", "--clients", "4000", "--blocks", "1"),
        ("bird", "frr"),
        (Target("converge_s", "bird", 0.1),),
        ("established_s", "dut_peak_rss_kb"),
    ),
    Scenario(
        "full table, 1,000,000 prefixes",
        ("full", "--prefixes", "1000000"),
        ("bird",),
        (
            Target("converge_s", "bird", 1.0),
            Target("dut_peak_rss_kb", "bird", 1.3),
        ),
    ),
    Scenario(
        "kernel, 100,000 routes",
        ("fib", "--prefixes", "100000"),
        ("bird",),
        (
            Target("fib_first_to_last_s", "bird", 0.5),
            Target("fib_flush_s", "bird", 0.5),
        ),
    ),
    Scenario(
        "1,000 clients connect at once",
        ("rr", "--clients", "1000", "--inflight", "0"),
        ("frr",),
        (Target("established_s", "", 1.0), Target("converge_s", "frr", 0.3)),
    ),
)

# Router of compare.py -> the variable that names its program, and the installed one.
PROGRAMS: Final = {
    "bird": ("BIRD", "bird"),
    "frr": ("FRR", "/usr/lib/frr/bgpd"),
    "gobgp": ("GOBGPD", "gobgpd"),
    # Whichever it is, it runs instead of the installed one: see ``_openbgpd_of``.
    "openbgpd": ("", INSTALLED_OPENBGPD),
}


def find_compare() -> Path | None:
    """Return the load's script, or ``None`` without one."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else ROOT.parent / "shared" / "bench"
    script = folder / "compare.py"
    return script if script.is_file() else None


def missing() -> str:
    """Return why the scenarios cannot run here; empty if they can."""
    if find_compare() is None:
        return f"no compare.py: set {FOLDER_VARIABLE} to the folder it is in"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("cc") is None:
        return "the load generator needs a C compiler"
    return ""


def own_program() -> str:
    """Return what starts our daemon, from this environment."""
    script = Path(sys.executable).with_name("pybgpd")
    is_installed = script.is_file()
    return str(script) if is_installed else f"{sys.executable} -m bgpd.cli.daemon"


def own_command() -> str:
    """Return the command line of our reflector, from this environment."""
    return OURS.format(program=own_program())


def run_scenario(scenario: Scenario, runs: int) -> dict[str, list[Run]]:
    """Return the runs of each daemon that is installed, ours last.

    Raises:
        RuntimeError: The script failed; the text is its last words.
    """
    rivals = [name for name in scenario.rivals if shutil.which(program_of(name))]
    found = compare(scenario.arguments, runs, [*rivals, "ours"])
    if "bird" in rivals and BIRD3 in os.environ:
        of_bird3 = {"BIRD": os.environ[BIRD3]}
        found["bird3"] = compare(scenario.arguments, runs, ["bird"], of_bird3)["bird"]
        found["ours"] = found.pop("ours")  # our columns are the last ones
    if os.environ.get(COMPILED):
        command = OURS.format(program=os.environ[COMPILED])
        # On our path it would find the sources instead of its own modules.
        its = {"DUT_CMD": command, "PYTHONPATH": ""}
        found["compiled"] = compare(scenario.arguments, runs, ["ours"], its)["ours"]
    return found


def program_of(router: str) -> str:
    """Return what is started for a router."""
    variable, program = PROGRAMS[router]
    return os.environ.get(variable, program)


def compare(
    arguments: Sequence[str],
    runs: int,
    routers: Sequence[str],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[Run]]:
    """Return the runs of each router by ``compare.py``.

    Args:
        arguments: Of the script.
        runs: Of each router.
        routers: By its names.
        variables: For its environment.

    Raises:
        RuntimeError: As in ``run_scenario``.
    """
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "DUT_CMD": own_command(),
        **variables,
    }
    command = [
        *_openbgpd_of(environment.get(OPENBGPD), routers),
        sys.executable,
        str(find_compare()),
        *arguments,
        "--runs",
        str(runs),
        "--dut",
        ",".join(routers),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-400:])
    found: dict[str, list[Run]] = {name: [] for name in routers}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            run = json.loads(line)
            found[run["dut"]].append(run)
    return found


def _openbgpd_of(program: str | None, routers: Sequence[str]) -> list[str]:
    """Return what starts a command where a suite's OpenBGPD is the installed one.

    ``compare.py`` knows that router by its path alone, which a mount namespace of its own
    can lead elsewhere; the machine's file keeps its content.
    """
    if not program or "openbgpd" not in routers:
        return []
    script = f'mount --bind "$0" {INSTALLED_OPENBGPD} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(_OPENBGPD_SCRIPT)]


def median(runs: Iterable[Run], key: str) -> float | None:
    """Return the median of a figure over the runs that converged."""
    values = [
        float(str(run[key])) for run in runs if run.get("converged") and key in run
    ]
    return statistics.median(values) if values else None


def rows(scenario: Scenario, found: Mapping[str, list[Run]]) -> Iterator[str]:
    """Yield the table of a scenario: figures, ratios and what was aimed at."""
    names = list(found)
    yield f"{scenario.name}: {' '.join(scenario.arguments)}"
    yield f"  {'':28}" + "".join(f"{name:>12}" for name in names)
    keys = dict.fromkeys([*(t.key for t in scenario.targets), *scenario.shown])
    for key in keys:
        medians = [median(found[name], key) for name in names]
        cells = ("failed" if m is None else f"{m:.3f}" for m in medians)
        yield f"  {key:28}" + "".join(f"{cell:>12}" for cell in cells)
    for target in scenario.targets:
        yield f"  {verdict(target, found)}"


def verdict(target: Target, found: Mapping[str, list[Run]]) -> str:
    """Return how a figure stands to its target, in a line."""
    ours = median(found["ours"], target.key)
    if ours is None:
        return f"MISSED: {target.key}: none of our runs converged"
    if not target.rival:
        is_met = ours <= target.limit
        text = f"{target.key} {ours:.0f}, at most {target.limit:.0f}"
    else:
        rival = median(found.get(target.rival, ()), target.key)
        if rival is None:
            return f"open: {target.key}: no figure of {target.rival}'s here"
        ratio = ours / rival
        is_met = ratio <= target.limit
        text = f"{target.key} {ratio:.3f}x {target.rival}, at most {target.limit}x"
    return f"{'met' if is_met else 'MISSED'}: {text}"
