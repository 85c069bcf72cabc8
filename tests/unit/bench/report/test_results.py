from pathlib import Path

import pytest

from tests.bench.report.__main__ import Plan, measure, waiting
from tests.bench.report.results import Measurement, Results, latest
from tests.bench.report.rows import Figures, RunError
from tests.unit.bench.report.builders import (
    BIRD_OLD,
    HERE,
    PURE,
    a_row,
    measured,
    seconds,
)

FOREVER = float("inf")


class Load:
    """Notes who was measured; may fail or be interrupted."""

    def __init__(self, *, fails: str = "", stops_at: int = 99) -> None:
        self.seen: list[str] = []
        self.fails = fails
        self.stops_at = stops_at

    def __call__(self, router) -> Figures:
        if len(self.seen) == self.stops_at:
            raise KeyboardInterrupt
        self.seen.append(router.key)
        if router.key == self.fails:
            raise RunError("did not converge")
        return {"converge_s": 1.0}


def plan(load: Load, runs: int = 2, origin=HERE) -> Plan:
    rows = [a_row(key)._replace(measure=load) for key in ("full", "rr")]
    return Plan(rows, (BIRD_OLD, PURE), (BIRD_OLD, PURE), origin, runs)


def test_routers_take_turns(tmp_path: Path) -> None:
    load = Load()
    assert measure(plan(load), Results(tmp_path / "results"), FOREVER) == 0
    assert load.seen == ["bird2", "pure"] * 4


def test_what_was_interrupted_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "results"
    first, second = Load(stops_at=3), Load()
    with pytest.raises(KeyboardInterrupt):
        measure(plan(first), Results(file), FOREVER)
    assert measure(plan(second), Results(file), FOREVER) == 0
    assert first.seen + second.seen == ["bird2", "pure"] * 4
    assert not [*waiting(plan(Load()), Results(file))]


def test_more_runs_add_to_those_there_are(tmp_path: Path) -> None:
    file, load = tmp_path / "results", Load()
    measure(plan(Load()), Results(file), FOREVER)
    measure(plan(load, runs=3), Results(file), FOREVER)
    assert load.seen == ["bird2", "pure"] * 2


def test_other_sources_are_measured_again_with_all_beside_them(tmp_path: Path) -> None:
    file, load = tmp_path / "results", Load()
    measure(plan(Load()), Results(file), FOREVER)
    measure(plan(load, origin=HERE._replace(sources="def")), Results(file), FOREVER)
    assert load.seen == ["bird2", "pure"] * 4


def test_another_commit_of_the_same_sources_is_not(tmp_path: Path) -> None:
    file, load = tmp_path / "results", Load()
    measure(plan(Load()), Results(file), FOREVER)
    measure(plan(load, origin=HERE._replace(commit="decaf")), Results(file), FOREVER)
    assert not load.seen


def test_one_that_fails_is_not_tried_again_and_ends_no_other(tmp_path: Path) -> None:
    file, load = tmp_path / "results", Load(fails="bird2")
    measure(plan(load, runs=3), Results(file), FOREVER)
    assert load.seen == ["bird2", "pure", "pure", "pure"] * 2
    measure(plan(load, runs=3), Results(file), FOREVER)
    assert len(load.seen) == 8


def test_nothing_starts_when_the_time_is_over(tmp_path: Path) -> None:
    load = Load()
    assert measure(plan(load), Results(tmp_path / "results"), 0.0) == 8
    assert not load.seen


def test_a_load_of_minutes_runs_once(tmp_path: Path) -> None:
    load = Load()
    found = plan(load, runs=3)
    found = found._replace(rows=[found.rows[0]._replace(most_runs=1)])
    measure(found, Results(tmp_path / "results"), FOREVER)
    assert load.seen == ["bird2", "pure"]


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '"x"', '{"row": "full"}', '{"origin": 1}', "nonsense"]
)
def test_a_line_that_was_cut_short_is_skipped(tmp_path: Path, text: str) -> None:
    file = tmp_path / "results"
    (whole,) = measured(PURE, *seconds(1))
    file.write_text(f"{whole.to_line()}\n{text}", "utf-8")
    results = Results(file)
    assert (results.measurements, results.skipped) == ([whole], 1)
    results.add(whole._replace(run=1))
    assert [it.run for it in Results(file).measurements] == [0, 1]


def test_a_measurement_survives_its_line() -> None:
    (it,) = measured(PURE, {"converge_s": 1.5, "dut_cpu_s": 1})
    assert Measurement.of_line(it.to_line()) == it


def test_what_is_measured_again_is_forgotten_alone(tmp_path: Path) -> None:
    file = tmp_path / "results"
    measure(plan(Load()), Results(file), FOREVER)
    Results(file).forget({"rr"}, {"pure"})
    load = Load()
    measure(plan(load), Results(file), FOREVER)
    assert load.seen == ["pure", "pure"]


def test_a_page_has_one_machine_and_one_origin_in_a_row() -> None:
    elsewhere = HERE._replace(machine="another machine")
    newer = HERE._replace(sources="def")
    its = [
        *measured(PURE, *seconds(1)),
        *measured(BIRD_OLD, *seconds(2), origin=newer),
        *measured(PURE, *seconds(3), origin=newer),
        *measured(PURE, *seconds(4), row="rr"),
        *measured(PURE, *seconds(5), origin=elsewhere),
    ]
    found = latest(its, HERE.machine, ["full", "rr", "fib"])
    values = {
        key: [it.figures["converge_s"] for it in some] for key, some in found.items()
    }
    assert values == {"full": [2, 3], "rr": [4]}
