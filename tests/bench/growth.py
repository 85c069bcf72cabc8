"""How time and memory grow beside BIRD: ``make bench-plots``.

Measures, keeps the figures in ``docs/benchmarks/growth.json`` and draws them from there. A
load that doubles may take twice the time of its work, and not more: each plot has a line of
the work beside what was measured.
"""

import argparse
import importlib.util
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench import beside
from tests.bench.peers import ROOT
from tests.bench.scenarios import Scenario, median, missing, run_scenario

FOLDER: Final = ROOT / "docs" / "benchmarks"
FIGURES: Final = FOLDER / "growth.json"
_PATH_PREFIXES: Final = 50_000
_SET_PREFIXES: Final = 100_000

Point = Mapping[str, tuple[float, float]]  # router -> seconds, KiB


class Series(NamedTuple):
    """One plot.

    Attributes:
        title: Of the plot.
        label: Of what grows.
        values: Small ones first; the last two give the slope.
        measure: Measures one value so many times.
        power: The work grows with this power of the value.
    """

    title: str
    label: str
    values: tuple[int, ...]
    measure: Callable[[int, int], Point]
    power: float


def _by_compare(arguments: Sequence[str], runs: int) -> Point:
    scenario = Scenario("", tuple(arguments), ("bird",), ())
    found = run_scenario(scenario, runs)
    return {
        name: (
            median(figures, "converge_s") or math.nan,
            median(figures, "dut_peak_rss_kb") or math.nan,
        )
        for name, figures in found.items()
    }


def _by_feeders(paths: int, prefixes: int, sets: int, runs: int) -> Point:
    parameters = {"paths": paths, "prefixes": prefixes, "sets": sets}
    case = beside.Case("", "tell_paths", parameters, paths + 1)
    found = beside.measure(case, runs)
    return {
        name: (figures["converge_s"], figures["peak_kb"])
        for name, figures in found.items()
    }


SERIES: Final[dict[str, Series]] = {
    "clients": Series(
        "A reflector's clients, a block each, all told to all",
        "clients",
        (10, 30, 100, 300, 1000, 4000),
        lambda n, runs: _by_compare(("rr", "--clients", str(n), "--blocks", "1"), runs),
        2,
    ),
    "prefixes": Series(
        "A full table, one in, one out",
        "prefixes",
        (1000, 10_000, 100_000, 1_000_000),
        lambda n, runs: _by_compare(("full", "--prefixes", str(n)), runs),
        1,
    ),
    "paths": Series(
        f"Paths of each of {_PATH_PREFIXES:,} prefixes",
        "paths per prefix",
        (1, 2, 4, 8, 16),
        lambda n, runs: _by_feeders(n, _PATH_PREFIXES, 0, runs),
        1,
    ),
    "sets": Series(
        f"Attribute sets of {_SET_PREFIXES:,} prefixes",
        "attribute sets",
        (100, 1000, 10_000, 100_000),
        lambda n, runs: _by_feeders(1, _SET_PREFIXES, n, runs),
        1,
    ),
}


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the power of ``x`` with which ``y`` grows: least squares on logarithms."""
    points = [
        (math.log(x), math.log(y))
        for x, y in zip(xs, ys, strict=True)
        if y > 0  # a figure that is missing is not a number, and not above 0
    ]
    if len(points) < 2:
        return math.nan
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def measure(names: Sequence[str], runs: int, most: int) -> dict[str, Any]:
    """Measure series; ``most`` leaves larger values out."""
    found: dict[str, Any] = {}
    for name in names:
        series = SERIES[name]
        values = [value for value in series.values if value <= most]
        points = []
        for value in values:
            points.append(series.measure(value, runs))
            cells = ", ".join(
                f"{router} {seconds:.3f} s {kib / 1024:.0f} MiB"
                for router, (seconds, kib) in points[-1].items()
            )
            sys.stdout.write(f"{value:>10} {series.label}: {cells}\n")
            sys.stdout.flush()
        found[name] = {
            "x": values,
            **{
                router: {
                    "seconds": [point[router][0] for point in points],
                    "kib": [point[router][1] for point in points],
                }
                for router in points[0]
            },
        }
    return found


def sentences(found: Mapping[str, Any]) -> Iterator[str]:
    """Say how each series grows over its upper half, and what one more costs."""
    for name, figures in found.items():
        series, xs = SERIES[name], figures["x"]
        if len(xs) < 2:
            continue
        upper = slice((len(xs) - 1) // 2, None)
        for router in figures.keys() - {"x"}:
            seconds, kib = figures[router]["seconds"], figures[router]["kib"]
            power = slope(xs[upper], seconds[upper])
            each = (kib[-1] - kib[-2]) * 1024 / (xs[-1] - xs[-2])
            yield (
                f"{name:10}{router:6} time grows as n^{power:.2f}"
                f" (work n^{series.power:g}), {each:,.0f} octets for one more"
            )


def draw(name: str, figures: Mapping[str, Any], file: Path) -> None:
    """Write one series as SVG, the same for the same figures."""
    import matplotlib as mpl  # noqa: PLC0415  # an extra of its own

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = name
    from matplotlib import pyplot as plt  # noqa: PLC0415

    series, xs = SERIES[name], figures["x"]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), facecolor="white")
    for axis, key, label, scale in (
        (axes[0], "seconds", "seconds to converge", 1.0),
        (axes[1], "kib", "memory, peak, MiB", 1 / 1024),
    ):
        for router in sorted(figures.keys() - {"x"}):
            ys = [y * scale for y in figures[router][key]]
            axis.loglog(
                xs, ys, marker="o", label={"ours": "pybgpd"}.get(router, router)
            )
        axis.set_xlabel(series.label)
        axis.set_ylabel(label)
        axis.grid(visible=True, which="both", linewidth=0.3)
    last = figures["ours"]["seconds"][-1]
    work = [last * (x / xs[-1]) ** series.power for x in xs]
    axes[0].loglog(xs, work, linestyle=":", color="grey", label="the work")
    axes[0].legend()
    figure.suptitle(series.title)
    figure.tight_layout()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)


def _origin() -> dict[str, str]:
    from tests.bench.machine import machine  # noqa: PLC0415

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {"machine": machine(), "commit": commit}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-plots", description=__doc__)
    parser.add_argument("--only", choices=SERIES, action="append")
    parser.add_argument("--runs", type=int, default=3, help="of each value; the median")
    parser.add_argument("--most", type=int, default=10**9, help="leave larger ones out")
    parser.add_argument("--draw-only", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    if importlib.util.find_spec("matplotlib") is None:  # before minutes are spent
        parser.exit(1, "nothing can be drawn: matplotlib is not installed\n")
    kept = json.loads(FIGURES.read_text("utf-8")) if FIGURES.is_file() else {}
    series = kept.get("series", {})
    if not arguments.draw_only:
        reason = missing()
        if reason:
            parser.exit(1, f"nothing can be measured: {reason}\n")
        series |= measure(
            arguments.only or list(SERIES), arguments.runs, arguments.most
        )
        FOLDER.mkdir(exist_ok=True)
        kept = {**_origin(), "runs": arguments.runs, "series": series}
        FIGURES.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    for name, figures in series.items():
        draw(name, figures, FOLDER / f"growth-{name}.svg")
    for line in sentences(series):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
