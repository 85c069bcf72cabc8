"""Loads in Python beside BIRD: gateways, kernel, rest, and how cost grows.

``python -m tests.bench.beside NAME --runs 3``; needs root. Each router runs in a network
namespace of its own, on the second processor; the load on the first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench.feed import ROUTER
from tests.bench.machine import machine
from tests.bench.peers import VARIABLE, use_suite, versions
from tests.bench.processes import Figures, status_of
from tests.bench.setups import ROUTERS, Setup, Wanted, program_for

SETTLE: Final = 2.0  # seconds for a router to start
LIMIT: Final = 900  # seconds for one run
BUILDS: Final = ("ours", "compiled")


class Target(NamedTuple):
    """What our figure must not exceed.

    Attributes:
        key: The figure.
        rival: Router whose figure it is a multiple of; empty where ``limit`` is absolute.
        limit: The multiple, or the figure.
        compiled: The same for the compiled build; 0 where it is no other.
    """

    key: str
    rival: str
    limit: float
    compiled: float = 0.0


class Case(NamedTuple):
    """A load with its parameters.

    Attributes:
        title: For the table.
        load: Of ``tests.bench.loads``.
        parameters: Of the load.
        clients: Sessions that the load opens, beside ``peers`` and ``clients`` of its
            parameters.
        targets: What is aimed at; other figures are shown.
        has_kernel: The router writes to the kernel.
        style: How the router is set up, as ``Wanted`` has it.
        has_frr: FRR is set up for it, too.
    """

    title: str
    load: str
    parameters: Mapping[str, Any]
    clients: int
    targets: Sequence[Target] = ()
    has_kernel: bool = False
    style: str = "reflector"
    has_frr: bool = False

    @property
    def wanted(self) -> Wanted:
        """What the load wants of a router."""
        more = sum(self.parameters.get(name, 0) for name in ("peers", "clients"))
        return Wanted(self.style, self.clients + more, self.has_kernel)

    def changed(self, parameters: Mapping[str, int]) -> "Case":
        """Return the load with other parameters, which its title names."""
        if not parameters:
            return self
        text = ", ".join(f"{key} {value:,}" for key, value in parameters.items())
        return self._replace(
            title=f"{self.title}; here {text}",
            parameters={**self.parameters, **parameters},
        )


def _policy(way: str, clients: int, prefixes: int) -> Case:
    return Case(
        f"{way} policy of {clients} clients replaced, {clients * prefixes:,} routes",
        "change_policy",
        {"clients": clients, "prefixes": prefixes},
        2,
        (Target("change_s", "bird", 0.1), Target("gap_s", "", 0.2)),
        style=way,
    )


_SECOND: Final = Target("second_s", "bird", 1.2, compiled=1.0)

CASES: Final[dict[str, Case]] = {
    "gateway": Case(
        "a full table from two gateways, one lost",
        "lose_gateway",
        {"prefixes": 1_000_000},
        3,
        (Target("move_s", "bird", 1.0), _SECOND),
    ),
    "regrouped": Case(
        "a full table from two gateways, in other runs and another order, one lost",
        "lose_gateway",
        {"prefixes": 1_000_000, "grouping": 1},
        3,
        (Target("move_s", "bird", 1.0), _SECOND),
    ),
    "fan-out": Case(
        "50 external peers of 20,000 prefixes each, all told to all",
        "fan_out",
        {"peers": 50, "prefixes": 20_000},
        0,
        (
            Target("converge_s", "bird", 0.3),
            Target("converge_s", "frr", 0.5),
            Target("peak_kb", "bird", 1.0),
        ),
        style="external",
        has_frr=True,
    ),
    "withdrawn": Case(
        "100 clients, a full table of 500,000 from one more, withdrawn",
        "withdraw_table",
        {"clients": 100, "prefixes": 500_000, "sets": 50_000},
        1,
    ),
    "export-policy": _policy("export", 200, 2000),
    "import-policy": _policy("import", 200, 2000),
    "export-policy-700": _policy("export", 700, 143),
    "import-policy-700": _policy("import", 700, 143),
    "nexthop": Case(
        "next hop of 100,000 kernel routes: its way changes",
        "move_next_hop",
        {"prefixes": 100_000},
        6,
        (Target("move_s", "bird", 0.1),),
        has_kernel=True,
    ),
    "kernel-gateway": Case(
        "100,000 kernel routes by two gateways, one lost",
        "lose_kernel_gateway",
        {"prefixes": 100_000},
        6,
        (Target("move_s", "bird", 0.1),),
        has_kernel=True,
    ),
    "idle": Case(
        "1,000 idle sessions, hold time 90 s, 60 s",
        "stay_idle",
        {"sessions": 1000, "blocks": 4, "seconds": 60},
        1000,
        (Target("cpu_s", "bird", 1.0),),
    ),
}


def routers_of(case: Case) -> list[str]:
    """Return the routers that can be measured here."""
    names = [name for name in ROUTERS if name != "frr" or case.has_frr]
    return [name for name in names if program_for(name)]


@contextmanager
def namespaces(*, has_kernel: bool) -> Iterator[tuple[str, str]]:
    """Yield the names of the router's and the load's namespace.

    One for both over loopback; two where the router forwards, joined by a veth pair, so
    that its next hops are on a link.
    """
    router = f"beside-{os.getpid()}"
    load = f"{router}-load" if has_kernel else router
    commands = [f"ip netns add {router}", f"ip -n {router} link set lo up"]
    if has_kernel:
        commands += [
            f"ip netns add {load}",
            f"ip -n {load} link set lo up",
            f"ip link add dut0 netns {router} type veth peer name load0 netns {load}",
            f"ip -n {router} link set dut0 up",
            f"ip -n {load} link set load0 up",
            f"ip -n {router} addr add {ROUTER}/15 dev dut0",
            f"ip -n {load} addr add 172.17.255.254/15 dev load0",
            f"ip -n {load} route add local 172.17.0.0/16 dev lo",
        ]
    else:
        commands.append(f"ip -n {router} route add local 172.16.0.0/15 dev lo")
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        yield router, load
    finally:
        for name in {router, load}:
            subprocess.run(["ip", "netns", "del", name], check=False)


def run_once(router: str, case: Case, program: str = "") -> Figures:
    """Return the figures of one router, started for this run alone.

    Args:
        router: Of ``ROUTERS``.
        case: The load.
        program: Runs instead of the router's own; empty for that.

    Raises:
        RuntimeError: The load failed; the text is its last words.
    """

    program = program or program_for(router)
    set_up = ROUTERS[router]
    return run_setup(case, lambda folder: set_up(folder, case.wanted, program))


def run_command(case: Case, command: Callable[[Path], list[str]]) -> Figures:
    """Return the figures of one program; as ``run_setup``, which needs to know no more."""
    return run_setup(case, lambda folder: Setup(command(folder)))


def run_setup(case: Case, prepare: Callable[[Path], Setup]) -> Figures:
    """Return the figures of one program, started for this run alone.

    Args:
        case: The load.
        prepare: Returns what to start; may leave files in the folder it is given.

    Raises:
        RuntimeError: The load failed; the text is its last words.
    """
    with (
        namespaces(has_kernel=case.has_kernel) as (router_ns, load_ns),
        tempfile.TemporaryDirectory() as folder,
    ):
        setup = prepare(Path(folder))
        daemon = subprocess.Popen(
            [*_inside(router_ns, 1), *setup.command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(SETTLE)
            parameters = {"pid": daemon.pid, **case.parameters, **setup.parameters}
            load = [sys.executable, "-m", "tests.bench.loads", case.load]
            done = subprocess.run(
                [*_inside(load_ns, 0), *load, json.dumps(parameters)],
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT,
            )
            if done.returncode:
                raise RuntimeError(done.stderr[-400:])
            figures: Figures = json.loads(done.stdout)
            return {**figures, "peak_kb": status_of(daemon.pid, "VmHWM")}
        finally:
            daemon.terminate()
            daemon.wait(60)


def _inside(namespace: str, processor: int) -> list[str]:
    pinned = ["taskset", "-c", str(processor)] if (os.cpu_count() or 1) > 1 else []
    return ["ip", "netns", "exec", namespace, *pinned]


def measure(case: Case, runs: int, routers: Sequence[str] = ()) -> dict[str, Figures]:
    """Return the medians of each router, whose runs take turns.

    Args:
        case: The load.
        runs: Of each router.
        routers: Only these of those that are here; empty for all.
    """
    names = [name for name in routers_of(case) if not routers or name in routers]
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(runs):
        for name, figures in found.items():
            figures.append(run_once(name, case))
            sys.stderr.write(json.dumps({"router": name, **figures[-1]}) + "\n")
    return {name: medians(figures) for name, figures in found.items()}


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def rows(case: Case, found: Mapping[str, Figures]) -> Iterator[str]:
    """Yield the table of a case: figures, ratios and what was aimed at."""
    yield case.title
    yield f"  {'':28}" + "".join(f"{name:>12}" for name in found)
    for key in next(iter(found.values()), {}):
        cells = "".join(f"{figures[key]:>12.3f}" for figures in found.values())
        yield f"  {key:28}{cells}"
    for target in case.targets:
        for build in BUILDS:
            if build in found:
                yield f"  {verdict(target, build, found)}"


def verdict(target: Target, build: str, found: Mapping[str, Figures]) -> str:
    """Return how a figure of one of our builds stands to its target, in a line."""
    ours = found[build][target.key]
    limit = target.limit if build == "ours" else target.compiled or target.limit
    if not target.rival:
        word = "met" if ours <= limit else "MISSED"
        return f"{word}: {build}: {target.key} {ours:.3f}, at most {limit}"
    rival = found.get(target.rival, {}).get(target.key)
    if not rival:
        return f"open: {build}: {target.key}: no figure of {target.rival}'s here"
    word = "met" if ours <= limit * rival else "MISSED"
    text = f"{target.key} {ours / rival:.3f}x {target.rival}, at most {limit}x"
    return f"{word}: {build}: {text}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*CASES, []], metavar="NAME")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=NUMBER", help="a parameter"
    )
    parser.add_argument(
        "--routers",
        default="",
        metavar="NAMES",
        help=f"only these, with commas between: {', '.join(ROUTERS)}",
    )
    parser.add_argument(
        "--peers",
        metavar="SUITE",
        default=os.environ.get(VARIABLE, ""),
        help="take the other routers of a Debian suite, such as sid, not the installed",
    )
    arguments = parser.parse_args()
    if arguments.peers:
        use_suite(arguments.peers)
    sys.stdout.write(f"{machine()}\nbeside {versions()}\n")
    changes = {
        key: int(value) for key, _, value in (p.partition("=") for p in arguments.set)
    }
    routers = [name for name in arguments.routers.split(",") if name]
    for name in arguments.names or CASES:
        case = CASES[name].changed(changes)
        for line in rows(case, measure(case, arguments.runs, routers)):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
