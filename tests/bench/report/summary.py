"""What a report says: medians, ratios and verdicts, computed from measurements alone.

The ratio of a figure is that to BIRD 2: where several of its versions were measured, to the one whose
median is the best, so that no old version flatters us. Each run has a ratio of its own, to that
BIRD's run of the same turn; the lowest and the highest of them are the spread. A summary is
plain JSON, so that a page can be drawn again, and compared with another machine's.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NotRequired, TypedDict

from tests.bench.report.results import Measurement
from tests.bench.report.routers import BUILDS, Router
from tests.bench.report.rows import BIRD2, Row, Target

SPREAD: Final = 0.15  # by which ratios may differ, between runs and between machines


class Value(TypedDict):
    """A figure of a router: its median and bounds; the ratio if there is a BIRD 2 beside it."""

    median: float
    low: float
    high: float
    ratio: NotRequired[float]
    ratio_low: NotRequired[float]
    ratio_high: NotRequired[float]


class Verdict(TypedDict):
    """How a build stands to a target; ``is_met`` is ``None`` where it cannot be said."""

    figure: str
    build: str
    rival: str
    limit: float
    value: float | None
    is_met: bool | None


class RowSummary(TypedDict):
    key: str
    part: str
    title: str
    command: str
    commit: str
    date: str
    runs: int
    shape: list[int]
    figures: dict[str, dict[str, Value]]
    errors: dict[str, str]
    left_out: dict[str, str]
    machine: dict[str, dict[str, float]]
    verdicts: list[Verdict]


class Column(TypedDict):
    key: str
    kind: str
    title: str
    version: str


class Summary(TypedDict):
    """All that a page shows."""

    date: str
    machine: str
    python: str
    commit: str
    columns: list[Column]
    rows: list[RowSummary]


Runs = Mapping[int, Mapping[str, float]]  # number of the run -> its figures


def summarize(
    rows: Sequence[Row],
    routers: Sequence[Router],
    measured: Mapping[str, Sequence[Measurement]],
) -> Summary:
    """Summarize what was measured.

    Args:
        rows: In their order; those without a measurement are left out.
        routers: Columns, in their order.
        measured: Row -> its measurements, as ``results.latest`` returns them.
    """
    found = [
        _of_row(row, routers, measured[row.key])
        for row in rows
        if measured.get(row.key)
    ]
    newest = max(
        (it for its in measured.values() for it in its),
        key=lambda it: it.date,
        default=None,
    )
    return {
        "date": newest.date if newest else "",
        "machine": newest.origin.machine if newest else "",
        "python": newest.origin.python if newest else "",
        "commit": newest.origin.commit if newest else "",
        "columns": [
            {"key": it.key, "kind": it.kind, "title": it.title, "version": it.version}
            for it in routers
        ],
        "rows": found,
    }


def _of_row(
    row: Row, routers: Sequence[Router], its: Sequence[Measurement]
) -> RowSummary:
    runs: dict[str, dict[int, Mapping[str, float]]] = {}
    errors: dict[str, str] = {}
    machine: dict[str, list[Mapping[str, float]]] = {}
    # All of a row are of the same sources: a row of older ones says its commit.
    versions = {it.key: it.version for it in routers if it.kind not in BUILDS}
    for it in its:
        if versions.get(it.router, it.version) != it.version:
            continue
        if it.error:
            errors[it.router] = it.error
        else:
            runs.setdefault(it.router, {})[it.run] = it.figures
            machine.setdefault(it.router, []).append(it.machine)
    kinds = {router.key: router.kind for router in routers}
    figures = _figures(kinds, runs)
    last = its[-1]
    return {
        "key": row.key,
        "part": row.part,
        "title": row.title,
        "command": last.command,
        "commit": last.origin.commit,
        "date": last.date,
        "runs": max(map(len, runs.values()), default=0),
        "shape": [*row.shape],
        "figures": figures,
        "errors": {key: text for key, text in errors.items() if key not in runs},
        "left_out": dict(row.left_out),
        "machine": {key: _middle(found) for key, found in machine.items()},
        "verdicts": [*_verdicts(row.targets, kinds, figures)],
    }


def _middle(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    keys = {key for some in found for key in some}
    return {
        key: statistics.median(some.get(key, 0.0) for some in found)
        for key in sorted(keys)
    }


def _figures(
    kinds: Mapping[str, str], runs: Mapping[str, Runs]
) -> dict[str, dict[str, Value]]:
    """Return figure -> router -> its value."""
    names = dict.fromkeys(
        name
        for router in kinds
        for its in runs.get(router, {}).values()
        for name in its
    )
    found: dict[str, dict[str, Value]] = {}
    for name in names:
        series = {
            router: {run: its[name] for run, its in runs[router].items() if name in its}
            for router in kinds
            if router in runs
        }
        series = {router: its for router, its in series.items() if its}
        best = best_of(BIRD2, kinds, series)
        base = series[best] if best else {}
        found[name] = {router: _value(its, base) for router, its in series.items()}
    return found


def best_of(
    kind: str, kinds: Mapping[str, str], series: Mapping[str, Mapping[int, float]]
) -> str:
    """Return the router of a kind with the lowest median; empty without one."""
    its = [router for router in series if kinds[router] == kind]
    return min(its, key=lambda it: statistics.median(series[it].values()), default="")


def _value(its: Mapping[int, float], base: Mapping[int, float]) -> Value:
    values = list(its.values())
    found: Value = {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
    }
    middle = statistics.median(base.values()) if base else 0.0
    if middle:
        # Turns that both have taken; a run that is missing has no partner.
        ratios = [its[run] / base[run] for run in its if base.get(run)]
        ratio = found["median"] / middle
        found["ratio"] = ratio
        found["ratio_low"] = min([*ratios, ratio])
        found["ratio_high"] = max([*ratios, ratio])
    return found


def _verdicts(
    targets: Sequence[Target],
    kinds: Mapping[str, str],
    figures: Mapping[str, Mapping[str, Value]],
) -> Iterator[Verdict]:
    for target in targets:
        values = figures.get(target.figure, {})
        for build in BUILDS:
            if build not in kinds:
                continue
            limit = target.compiled if build == "compiled" else target.pure
            value = values[build]["median"] if build in values else None
            if value is not None and target.rival:
                rivals = [
                    its["median"]
                    for router, its in values.items()
                    if kinds[router] == target.rival
                ]
                best = min(rivals, default=0.0)
                value = value / best if best else None
            yield {
                "figure": target.figure,
                "build": build,
                "rival": target.rival,
                "limit": limit,
                "value": value,
                "is_met": None if value is None else value <= limit,
            }


def is_wide(value: Value) -> bool:
    """Return whether the runs' ratios differ by more than another machine's may."""
    low = value.get("ratio_low", 0.0)
    return low > 0 and value.get("ratio_high", 0.0) > low * (1 + SPREAD)


def differences(one: Summary, other: Summary) -> tuple[int, list[str]]:
    """Compare our builds' ratios on two machines.

    Returns:
        How many were compared, and a line for each that differs by more than ``SPREAD``.
    """
    theirs = {row["key"]: row for row in other["rows"]}
    count, found = 0, []
    for row in one["rows"]:
        their_row = theirs.get(row["key"])
        if their_row is None or their_row["command"] != row["command"]:
            continue
        for figure in row["figures"]:
            for build in BUILDS:
                ratio = _ratio(row, figure, build)
                their = _ratio(their_row, figure, build)
                if not ratio or not their:
                    continue
                count += 1
                if max(ratio, their) > min(ratio, their) * (1 + SPREAD):
                    found.append(
                        f"{row['key']}: {figure}, {build}: {ratio:.2f}x and {their:.2f}x"
                    )
    return count, found


def _ratio(row: RowSummary, figure: str, build: str) -> float:
    values = row["figures"].get(figure, {})
    return values[build].get("ratio", 0.0) if build in values else 0.0
