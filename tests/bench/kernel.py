"""Routes into the kernel beside the kernel itself: what it takes alone, and what a daemon adds.

``python -m tests.bench.kernel --runs 5``; needs root. In one run, each in namespaces of its own and on
the second processor, take turns:

* ``kernel``: ready-made messages of the same routes, in the order in which BGP tells them
  (``tests.bench.ready_routes``);
* ``spread``: the same messages in the order in which our daemon sends them;
* ``bird``, and our daemon: ``pure``, and ``compiled`` if BENCH_COMPILED names its program.

``first_to_last_s`` is the time from the first route in the kernel to the last, ``all_s`` that from the
established session, ``loop_cpu_s`` and ``writer_cpu_s`` the processor time of the daemon's first thread
and of its others until then: our writer's is the kernel's work on our messages, nearly all of it.
``flush_s`` and ``flush_cpu_s`` are for the loss of the session.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from tests.bench import beside
from tests.bench.beside import BUILDS, Case, medians
from tests.bench.processes import Figures
from tests.bench.setups import COMPILED, ROUTERS

LIMIT: Final = 1.3  # times the kernel's own time
_KEY: Final = "first_to_last_s"
_READY: Final = "{python} -m tests.bench.ready_routes {order} {prefixes}"
_ORDERS: Final = {"kernel": "told", "spread": "spread"}


def a_case(prefixes: int, *, feeds: bool) -> Case:
    """Return the load; without ``feeds`` a session is a connection alone."""
    parameters = {"prefixes": prefixes, "feeds": feeds}
    return Case("", "fill_kernel", parameters, 4, has_kernel=True)


def figures_of(name: str, prefixes: int) -> Figures:
    """Run one of the programs once."""
    order = _ORDERS.get(name)
    case = a_case(prefixes, feeds=order is None)
    if order is not None:
        command = _READY.format(python=sys.executable, order=order, prefixes=prefixes)
        return beside.run_command(case, lambda _: command.split())
    return beside.run_once(name if name in ROUTERS else "ours", case)


def measure(prefixes: int, runs: int) -> dict[str, Figures]:
    """Return the medians of each program; their runs take turns."""
    routers = beside.routers_of(a_case(prefixes, feeds=True))
    names = [*_ORDERS, *(name for name in routers if name not in BUILDS), "pure"]
    if os.environ.get(COMPILED):
        names.append("compiled")
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(runs):
        for name, figures in found.items():
            figures.append(figures_of(name, prefixes))
    return {name: medians(figures) for name, figures in found.items()}


def rows(found: Mapping[str, Figures]) -> Iterator[str]:
    """Yield the table: seconds, and multiples of the kernel's own time."""
    yield f"{'':18}" + "".join(f"{name:>18}" for name in found)
    for key in found["kernel"]:
        alone = found["kernel"][key]
        cells = (f"{f[key]:>9.3f} ({f[key] / alone:5.2f}x)" for f in found.values())
        yield f"{key:18}" + "".join(f"{cell:>18}" for cell in cells)
    for name in ("pure", "compiled"):
        if name in found:
            for order in _ORDERS:
                ratio = found[name][_KEY] / found[order][_KEY]
                word = "met" if ratio <= LIMIT else "MISSED"
                yield f"{word}: {name} {ratio:.2f}x {order}, at most {LIMIT}x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prefixes", type=int, default=100_000)
    arguments = parser.parse_args()
    for line in rows(measure(arguments.prefixes, arguments.runs)):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
