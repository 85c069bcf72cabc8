"""Loads in Python beside BIRD: gateways, kernel, rest, and how cost grows.

``python -m tests.bench.beside NAME --runs 3``; needs root. Each router runs in a network
namespace of its own, on the second processor; the load on the first.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench.feed import ASN, ROUTER, client_address
from tests.bench.loads import Figures, status_of
from tests.bench.scenarios import OURS, own_command

SETTLE: Final = 2.0  # seconds for a router to start
LIMIT: Final = 900  # seconds for one run

_BIRD: Final = """router id {router};
protocol device {{ scan time 5; }}
template bgp loaded {{
 local {router} as {asn}; rr client; passive on; multihop; hold time 240;
 ipv4 {{ {igp} import all; export all; }};
}}
"""
# Next hops resolve outside of what BGP learns, or BIRD resolves through all of it.
_NO_KERNEL: Final = """ipv4 table igp4;
protocol static { ipv4 { table igp4; }; route 0.0.0.0/0 blackhole; }
"""
_KERNEL: Final = """protocol direct { ipv4; }
protocol kernel { learn; ipv4 { import all; export where source = RTS_BGP; }; }
"""


class Case(NamedTuple):
    """A load with its parameters.

    Attributes:
        title: For the table.
        load: Of ``tests.bench.loads``.
        parameters: Of the load.
        clients: Sessions that the load opens.
        targets: Figure -> the multiple of BIRD's that it may be; other figures are shown.
        has_kernel: The router writes to the kernel.
    """

    title: str
    load: str
    parameters: Mapping[str, Any]
    clients: int
    targets: Mapping[str, float]
    has_kernel: bool = False


CASES: Final[dict[str, Case]] = {
    "gateway": Case(
        "a full table from two gateways, one lost",
        "lose_gateway",
        {"prefixes": 1_000_000},
        3,
        {"move_s": 1.0},
    ),
    "nexthop": Case(
        "next hop of 100,000 kernel routes: its way changes",
        "move_next_hop",
        {"prefixes": 100_000},
        6,
        {"move_s": 0.1},
        has_kernel=True,
    ),
    "kernel-gateway": Case(
        "100,000 kernel routes by two gateways, one lost",
        "lose_kernel_gateway",
        {"prefixes": 100_000},
        6,
        {"move_s": 0.1},
        has_kernel=True,
    ),
    "idle": Case(
        "1,000 idle sessions, hold time 90 s, 60 s",
        "stay_idle",
        {"sessions": 1000, "blocks": 4, "seconds": 60},
        1000,
        {"cpu_s": 1.0},
    ),
}


def bird_command(folder: Path, case: Case) -> list[str]:
    """Write BIRD's configuration and return its command line."""
    igp = "" if case.has_kernel else "igp table igp4;"
    text = "" if case.has_kernel else _NO_KERNEL
    text += _BIRD.format(router=ROUTER, asn=ASN, igp=igp)
    text += _KERNEL if case.has_kernel else ""
    for number in range(1, case.clients + 1):
        peer = f"neighbor {client_address(number)} as {ASN};"
        text += f"protocol bgp c{number} from loaded {{ {peer} }}\n"
    config = folder / "bird.conf"
    config.write_text(text, encoding="utf-8")
    return ["bird", "-f", "-c", str(config), "-s", str(folder / "bird.ctl")]


def our_command(_: Path, case: Case, program: str = "") -> list[str]:
    """Return the command line of our reflector, or of another program that takes it."""
    values = {
        "listen": ROUTER,
        "port": 179,
        "asn": ASN,
        "router_id": ROUTER,
        "range": "172.17.0.0/16",
        "fib": "on" if case.has_kernel else "off",
    }
    command = OURS.format(program=program) if program else own_command()
    return shlex.split(command.format(**values))


ROUTERS: Final[dict[str, Callable[[Path, Case], list[str]]]] = {
    "bird": bird_command,
    "ours": our_command,
}


def installed() -> list[str]:
    """Return the routers that can be measured here."""
    return [name for name in ROUTERS if name != "bird" or shutil.which("bird")]


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
        program: Runs instead of our daemon; empty for ours.

    Raises:
        RuntimeError: The load failed; the text is its last words.
    """

    def command(folder: Path) -> list[str]:
        if program:
            return our_command(folder, case, program)
        return ROUTERS[router](folder, case)

    return run_command(case, command)


def run_command(case: Case, command: Callable[[Path], list[str]]) -> Figures:
    """Return the figures of one program, started for this run alone.

    Args:
        case: The load.
        command: Returns the command line; may leave files in the folder it is given.

    Raises:
        RuntimeError: The load failed; the text is its last words.
    """
    with (
        namespaces(has_kernel=case.has_kernel) as (router_ns, load_ns),
        tempfile.TemporaryDirectory() as folder,
    ):
        daemon = subprocess.Popen(
            [*_inside(router_ns, 1), *command(Path(folder))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(SETTLE)
            parameters = json.dumps({"pid": daemon.pid, **case.parameters})
            load = [sys.executable, "-m", "tests.bench.loads", case.load, parameters]
            done = subprocess.run(
                [*_inside(load_ns, 0), *load],
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


def measure(case: Case, runs: int) -> dict[str, Figures]:
    """Return the medians of each router, whose runs take turns."""
    found: dict[str, list[Figures]] = {name: [] for name in installed()}
    for _ in range(runs):
        for name, figures in found.items():
            figures.append(run_once(name, case))
    return {name: medians(figures) for name, figures in found.items()}


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def rows(case: Case, found: Mapping[str, Figures]) -> Iterator[str]:
    """Yield the table of a case: figures, ratios and what was aimed at."""
    yield case.title
    yield f"  {'':28}" + "".join(f"{name:>12}" for name in found)
    for key in found["ours"]:
        cells = "".join(f"{figures[key]:>12.3f}" for figures in found.values())
        yield f"  {key:28}{cells}"
    for key, limit in case.targets.items():
        ours, bird = found["ours"][key], found.get("bird", {}).get(key)
        if not bird:
            yield f"  open: {key}: no figure of BIRD's here"
            continue
        word = "met" if ours <= limit * bird else "MISSED"
        yield f"  {word}: {key} {ours / bird:.3f}x bird, at most {limit}x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*CASES, []], metavar="NAME")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=NUMBER", help="a parameter"
    )
    arguments = parser.parse_args()
    changes = {
        key: int(value) for key, _, value in (p.partition("=") for p in arguments.set)
    }
    for name in arguments.names or CASES:
        case = CASES[name]
        case = case._replace(parameters={**case.parameters, **changes})
        for line in rows(case, measure(case, arguments.runs)):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
