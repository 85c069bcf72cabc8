"""The report's ratios as plots: a line for each load, a mark for each router."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench.report.page import name_of
from tests.bench.report.summary import RowSummary, Summary, Value

# File -> its title, and the figures: of each load the first that it has.
PLOTS: Final = {
    "report-time.svg": (
        "Time, ratio to the best BIRD 2",
        ("converge_s", "move_s", "change_s", "withdraw_s", "fib_first_to_last_s"),
    ),
    "report-processor.svg": (
        "Processor time, ratio to the best BIRD 2",
        ("dut_cpu_s", "cpu_s", "move_cpu_s", "churn_dut_cpu_ms_per_event"),
    ),
    "report-memory.svg": (
        "Memory at its peak, ratio to the best BIRD 2",
        ("dut_peak_rss_kb", "peak_kb"),
    ),
}
_MARKS: Final = "sDov^P*X"


def missing() -> str:
    """Return why nothing can be drawn; empty if it can."""
    if importlib.util.find_spec("matplotlib") is None:
        return "matplotlib is not installed: pip install '.[plots]'"
    return ""


def points(
    summary: Summary, figures: Sequence[str]
) -> list[tuple[RowSummary, str, dict[str, Value]]]:
    """Return the loads of a plot: the row, its figure, and the values with a ratio."""
    found = []
    for row in summary["rows"]:
        if row["part"] == "stalls":
            continue
        for figure in figures:
            values = {
                router: value
                for router, value in row["figures"].get(figure, {}).items()
                if value.get("ratio", 0) > 0
            }
            if values:
                found.append((row, figure, values))
                break
    return found


def draw(summary: Summary, folder: Path) -> list[str]:
    """Write the plots as SVG, the same for the same summary; return the files' names."""
    import matplotlib as mpl  # noqa: PLC0415  # an extra of its own

    mpl.use("svg")
    mpl.rcParams["svg.fonttype"] = "none"  # letters, not their outlines
    from matplotlib import pyplot as plt  # noqa: PLC0415

    drawn = []
    for name, (title, figures) in PLOTS.items():
        loads = points(summary, figures)
        if not loads:
            continue
        mpl.rcParams["svg.hashsalt"] = name
        figure, axis = plt.subplots(
            figsize=(9, 1.6 + 0.42 * len(loads)), facecolor="white"
        )
        for at, column in enumerate(summary["columns"]):
            its = [
                (line, values[column["key"]])
                for line, (_, _, values) in enumerate(loads)
                if column["key"] in values
            ]
            if not its:
                continue
            ratios = [value["ratio"] for _, value in its]
            spread = (
                [value["ratio"] - value["ratio_low"] for _, value in its],
                [value["ratio_high"] - value["ratio"] for _, value in its],
            )
            axis.errorbar(
                ratios,
                [line for line, _ in its],
                xerr=spread,
                fmt=_MARKS[at % len(_MARKS)],
                markersize=5,
                elinewidth=1,
                label=column["title"],
            )
        axis.axvline(1, color="grey", linewidth=0.8)
        axis.set_xscale("log")
        axis.set_yticks(
            range(len(loads)), [f"{row['key']}: {name_of(it)}" for row, it, _ in loads]
        )
        axis.invert_yaxis()
        axis.grid(visible=True, which="both", axis="x", linewidth=0.3)
        axis.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        axis.set_title(title)
        figure.savefig(
            folder / name, format="svg", metadata={"Date": None}, bbox_inches="tight"
        )
        plt.close(figure)
        drawn.append(name)
    return drawn
