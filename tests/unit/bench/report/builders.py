"""Measurements and rows as a report has them, without running anything."""

from collections.abc import Mapping

from tests.bench.report.results import Measurement, Origin
from tests.bench.report.routers import Router
from tests.bench.report.rows import Figures, Row, Target

HERE = Origin(
    "a machine, 2 processors, 24 GiB, Linux 6", "cpython 3.11", "abc", "c0ffee"
)
BIRD_OLD = Router("bird2", "bird2", "BIRD 2.0.12", "2.0.12", "bird", {})
BIRD_NEW = Router("bird2-sid", "bird2", "BIRD 2.20 (sid)", "2.20", "bird", {})
BIRD3 = Router("bird3-sid", "bird3", "BIRD 3.4 (sid)", "3.4", "bird", {})
FRR = Router("frr", "frr", "FRR 8.4", "8.4", "frr", {})
PURE = Router("pure", "pure", "pybgpd, pure", "abc", "ours", {})
COMPILED = Router("compiled", "compiled", "pybgpd, compiled", "abc", "ours", {})
ROUTERS = (BIRD_OLD, BIRD_NEW, BIRD3, FRR, PURE, COMPILED)


def no_load(router: Router) -> Figures:
    raise AssertionError(f"{router.key} is not to be measured")


def a_row(key: str = "full", *targets: Target, part: str = "tables") -> Row:
    return Row(key, part, f"load {key}", f"run {key}", no_load, targets=targets)


def measured(
    router: Router,
    *runs: Mapping[str, float],
    row: str = "full",
    origin: Origin = HERE,
    error: str = "",
    date: str = "2026-11-30T20:00:00+00:00",
) -> list[Measurement]:
    """Return the measurements of a router's runs; one that failed where there is an error."""
    its = [*runs] or [{}]
    return [
        Measurement(
            row,
            f"run {row}",
            router.key,
            router.version,
            run,
            origin,
            date,
            figures,
            error,
        )
        for run, figures in enumerate(its)
    ]


def seconds(*values: float) -> list[Mapping[str, float]]:
    return [{"converge_s": value} for value in values]
