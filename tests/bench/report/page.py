"""The report as a page in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.bench.report import observe
from tests.bench.report.routers import BUILDS, KERNEL
from tests.bench.report.summary import (
    SPREAD,
    Column,
    RowSummary,
    Summary,
    Value,
    Verdict,
    is_wide,
)

PARTS: Final = {
    "tables": "Tables and churn",
    "reflector": "Reflectors",
    "beside": "Gateways, policy, crowds, rest",
    "kernel": "Kernel",
    "start": "Start",
    "stalls": "Stalls",
    "functions": "Hot functions",
}
_NAMES: Final = {
    "converge_s": "converged",
    "established_s": "all sessions up",
    "dut_cpu_s": "processor time",
    "dut_peak_rss_kb": "memory, peak",
    "peak_kb": "memory, peak",
    "fib_first_to_last_s": "first route in the kernel to last",
    "first_to_last_s": "first route in the kernel to last",
    "all_s": "session up, until all are in the kernel",
    "loop_cpu_s": "processor time of the first thread",
    "writer_cpu_s": "processor time of the other threads",
    "flush_s": "session lost, until all are gone",
    "flush_cpu_s": "processor time of that",
    "fib_flush_s": "gateway dies, until all are gone",
    "churn_p50_ms": "a block flaps, until all have seen it, p50",
    "churn_p99_ms": "the same, p99",
    "churn_dut_cpu_ms_per_event": "processor time per flap",
    "learn_s": "first table taken in",
    "second_s": "second table taken in",
    "move_s": "all moved to the other gateway",
    "move_cpu_s": "processor time of that",
    "cpu_s": "processor time",
    "opened_s": "first OPEN",
    "announced_s": "all announced",
    "piped_s": "`pybgpctl show peers` into a pipe",
    "drawn_s": "`pybgpctl show peers` on a terminal",
    "resident_kb": "memory at rest",
    "max_ms": "longest stall",
    "p999_ms": "what one in a thousand exceeds",
    "generator_s": "processor time of the generator, all of its life",
}
_UNITS: Final = (
    ("_ms_per_event", "ms"),
    ("_ms", "ms"),
    ("_kb", "MB"),
    ("_ns", "ns"),
    ("_s", "s"),
)


def name_of(figure: str) -> str:
    """Return what a figure is called on the page."""
    if figure in _NAMES:
        return _NAMES[figure]
    if figure.endswith("_ns"):
        return f"`{figure.removesuffix('_ns')}`"
    for ending, _ in _UNITS:
        figure = figure.removesuffix(ending)
    return figure.replace("_", " ")


def unit_of(figure: str) -> str:
    """Return the unit in which the page has a figure; empty for a count."""
    if figure.endswith("_per_s"):
        return "/s"
    return next((unit for ending, unit in _UNITS if figure.endswith(ending)), "")


def amount(figure: str, value: float) -> str:
    """Return a figure with its unit, in three digits."""
    unit = unit_of(figure)
    if unit == "MB":
        value /= 1024
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{text} {unit}".strip()


def page(summary: Summary, plots: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        summary: What was measured.
        plots: Files beside the page.
    """
    lines = [*_head(summary), *_targets(summary)]
    lines += [f"![{name.removesuffix('.svg')}]({name})" for name in plots]
    for part, title in PARTS.items():
        rows = [row for row in summary["rows"] if row["part"] == part]
        if rows:
            lines += ["", f"## {title}", "", *_table(summary["columns"], rows)]
    lines += ["", *_loads(summary)]
    return "\n".join(lines) + "\n"


def _head(summary: Summary) -> Iterator[str]:
    yield "# Report"
    yield ""
    yield "Written by `make bench-report`; [benchmarks](../benchmarks.md) says how, and what was tried."
    yield ""
    yield f"* Machine: {summary['machine']}."
    yield f"* Commit: {summary['commit']}, {summary['python']}; measured until {summary['date'][:16]} UTC."
    ours = {KERNEL, *BUILDS}
    others = [it["title"] for it in summary["columns"] if it["kind"] not in ours]
    yield f"* Beside {', '.join(others) or 'no other routers'}."
    yield (
        "* Each figure is the median of the runs of its row, in which all routers take turns. Below it"
        " stands the ratio to the best BIRD 2 of the row and, in brackets, the lowest and the highest"
        " ratio of a single turn."
    )
    yield (
        f"* A ratio with `~` differs by more than {SPREAD:.0%} between turns: another machine may get"
        " another one."
    )
    texts = busy(summary)
    if texts:
        yield f"* **The machine was busy** while these were measured: {'; '.join(texts)}."
    yield ""


def busy(summary: Summary) -> list[str]:
    """Return the rows in which other programs or machines had a part of the processors."""
    found = []
    for row in summary["rows"]:
        its = row["machine"].values()
        steal = max((it.get("steal", 0.0) for it in its), default=0.0)
        others = max((it.get("others", 0.0) for it in its), default=0.0)
        if steal > observe.BUSY_STEAL or others > observe.BUSY_OTHERS:
            found.append(
                f"{row['key']} (others used {others:.0f} % of a processor,"
                f" {steal:.0f} % was stolen)"
            )
    return found


def _targets(summary: Summary) -> Iterator[str]:
    verdicts = [(row, it) for row in summary["rows"] for it in row["verdicts"]]
    if not verdicts:
        return
    missed = sum(it["is_met"] is False for _, it in verdicts)
    open_ones = sum(it["is_met"] is None for _, it in verdicts)
    yield "## Targets"
    yield ""
    yield f"{len(verdicts) - missed - open_ones} met, {missed} missed, {open_ones} open."
    yield ""
    yield "| load | figure | at most, compiled | at most, pure | compiled | pure |"
    yield "|---|---|---|---|---|---|"
    for row in summary["rows"]:
        grouped: dict[tuple[str, str], dict[str, Verdict]] = {}
        for it in row["verdicts"]:
            grouped.setdefault((it["figure"], it["rival"]), {})[it["build"]] = it
        for (figure, _), its in grouped.items():
            cells = [row["title"], name_of(figure)]
            cells += [_limit(its.get(build)) for build in BUILDS]
            cells += [_verdict(its.get(build)) for build in BUILDS]
            yield f"| {' | '.join(cells)} |"
    yield ""


def _limit(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    if not verdict["rival"]:
        return amount(verdict["figure"], verdict["limit"])
    rival = {"bird2": "BIRD 2", "frr": "FRR", KERNEL: "the kernel"}.get(
        verdict["rival"], verdict["rival"]
    )
    return f"{verdict['limit']:g}x {rival}"


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    value = verdict["value"]
    if value is None:
        return "open"
    text = f"{value:.3g}x" if verdict["rival"] else amount(verdict["figure"], value)
    return f"{text}, met" if verdict["is_met"] else f"**{text}, missed**"


def _table(columns: Sequence[Column], rows: Sequence[RowSummary]) -> Iterator[str]:
    used = [it for it in columns if any(_has(row, it["key"]) for row in rows)]
    yield f"| load | figure | {' | '.join(it['title'] for it in used)} |"
    yield f"|---|---|{'---|' * len(used)}"
    for row in rows:
        title = row["title"]
        for figure, values in _shown(row).items():
            cells = [cell(figure, values, it["key"], row) for it in used]
            yield f"| {title} | {name_of(figure)} | {' | '.join(cells)} |"
            title = "the same"
        if not row["figures"]:
            texts = [row["errors"].get(it["key"], "") for it in used]
            cells = ["failed" if text else "" for text in texts]
            yield f"| {title} | | {' | '.join(cells)} |"


def _has(row: RowSummary, router: str) -> bool:
    return router in row["errors"] or any(
        router in values for values in row["figures"].values()
    )


def _shown(row: RowSummary) -> dict[str, Mapping[str, Value]]:
    """Return the figures of a row; reflectors have the generator's own beside them."""
    found: dict[str, Mapping[str, Value]] = dict(row["figures"])
    if row["part"] == "tables":
        found.pop("established_s", None)  # of two sessions, before the load
    if row["part"] == "reflector":
        spent = {
            router: Value(median=it["generator_s"], low=0, high=0)
            for router, it in row["machine"].items()
            if it.get("generator_s")
        }
        if spent:
            found["generator_s"] = spent
    return found


def cell(figure: str, values: Mapping[str, Value], router: str, row: RowSummary) -> str:
    """Return what stands in a row's column."""
    value = values.get(router)
    if value is None:
        return "failed" if router in row["errors"] else ""
    text = amount(figure, value["median"])
    if "ratio" not in value:
        return text
    mark = "~" if is_wide(value) else ""
    text += f"<br>{mark}{value['ratio']:.2f}x"
    if row["runs"] > 1:
        text += f" ({value['ratio_low']:.2f} to {value['ratio_high']:.2f})"
    return text


def _loads(summary: Summary) -> Iterator[str]:
    """Say how each row was run, and what failed or was left out."""
    yield "## Loads"
    yield ""
    yield "| key | load | runs | commit | |"
    yield "|---|---|---|---|---|"
    titles = {it["key"]: it["title"] for it in summary["columns"]}
    for row in summary["rows"]:
        notes = [
            f"{titles.get(key, key)} failed: {text}"
            for key, text in row["errors"].items()
        ]
        notes += [
            f"{kind} is left out: {text}" for kind, text in row["left_out"].items()
        ]
        note = "; ".join(notes).replace("|", "/").replace("\n", " ")
        yield (
            f"| {row['key']} | `{row['command']}` | {row['runs']} | {row['commit']} | {note} |"
        )
