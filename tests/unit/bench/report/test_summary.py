import copy
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.report.rows import Target
from tests.bench.report.summary import differences, is_wide, summarize
from tests.unit.bench.report.builders import (
    BIRD3,
    BIRD_NEW,
    BIRD_OLD,
    COMPILED,
    FRR,
    HERE,
    PURE,
    ROUTERS,
    a_row,
    measured,
    seconds,
)


def of(row, *its):
    """Return the summary of one row."""
    found = summarize([row], ROUTERS, {row.key: [it for some in its for it in some]})
    return found["rows"][0]


def test_ratios_are_to_the_bird_2_whose_median_is_the_best() -> None:
    row = of(
        a_row(),
        measured(BIRD_OLD, *seconds(2, 1, 9)),
        measured(BIRD_NEW, *seconds(1.5, 1.6, 1.4)),
        measured(BIRD3, *seconds(0.1, 0.1, 0.1)),
        measured(PURE, *seconds(3, 3.2, 2.8)),
    )
    values = row["figures"]["converge_s"]
    assert values["pure"]["median"] == 3
    assert values["pure"]["ratio"] == pytest.approx(3 / 1.5)
    assert values["bird2-sid"]["ratio"] == 1
    assert values["bird2"]["ratio"] == pytest.approx(2 / 1.5)


def test_the_spread_is_that_of_the_turns() -> None:
    """A machine that is slower in one turn slows both: the ratio of that turn stays."""
    row = of(
        a_row(),
        measured(BIRD_OLD, *seconds(1, 2, 1)),
        measured(PURE, *seconds(2, 4, 2)),
        measured(COMPILED, *seconds(1, 2.5, 0.8)),
    )
    pure, compiled = (row["figures"]["converge_s"][key] for key in ("pure", "compiled"))
    assert (pure["ratio_low"], pure["ratio_high"]) == (2, 2)
    assert not is_wide(pure)
    assert compiled["ratio_low"] == 0.8
    assert compiled["ratio_high"] == 1.25
    assert is_wide(compiled)


def test_a_turn_that_only_one_of_them_took_has_no_ratio() -> None:
    row = of(
        a_row(), measured(BIRD_OLD, *seconds(1)), measured(PURE, *seconds(2, 50, 2))
    )
    pure = row["figures"]["converge_s"]["pure"]
    assert (pure["ratio_low"], pure["ratio_high"]) == (2, 2)


@pytest.mark.parametrize("zero", [0, 0.0])
def test_no_ratio_to_what_took_no_time(zero: float) -> None:
    row = of(a_row(), measured(BIRD_OLD, *seconds(zero)), measured(PURE, *seconds(1)))
    assert "ratio" not in row["figures"]["converge_s"]["pure"]


def test_a_target_has_a_limit_for_each_build() -> None:
    target = Target("converge_s", "bird2", 1.0, 1.4)
    row = of(
        a_row("full", target),
        measured(BIRD_OLD, *seconds(2)),
        measured(BIRD_NEW, *seconds(1)),
        measured(PURE, *seconds(1.4)),
        measured(COMPILED, *seconds(1.1)),
    )
    verdicts = {it["build"]: it for it in row["verdicts"]}
    assert verdicts["pure"]["is_met"] is True
    assert verdicts["compiled"]["is_met"] is False
    assert verdicts["compiled"]["value"] == pytest.approx(1.1)


def test_a_target_may_be_absolute_or_relative_to_another_router() -> None:
    targets = Target("converge_s", "", 2, 2), Target("converge_s", "frr", 0.5, 0.5)
    row = of(
        a_row("full", *targets), measured(FRR, *seconds(5)), measured(PURE, *seconds(1))
    )
    pure = [it for it in row["verdicts"] if it["build"] == "pure"]
    assert [it["value"] for it in pure] == [1, pytest.approx(0.2)]
    assert all(it["is_met"] for it in pure)


def test_without_the_rival_or_the_build_a_target_is_open() -> None:
    row = of(
        a_row("full", Target("converge_s", "bird2", 1, 1)), measured(PURE, *seconds(1))
    )
    assert [it["is_met"] for it in row["verdicts"]] == [None, None]


def test_a_router_that_failed_does_not_hide_the_others() -> None:
    row = of(
        a_row(), measured(BIRD_OLD, error="no sessions"), measured(PURE, *seconds(1))
    )
    assert row["errors"] == {"bird2": "no sessions"}
    assert set(row["figures"]["converge_s"]) == {"pure"}


def test_figures_of_another_version_are_left_out() -> None:
    older = BIRD_NEW._replace(version="2.19")
    row = of(a_row(), measured(older, *seconds(1)), measured(PURE, *seconds(1)))
    assert set(row["figures"]["converge_s"]) == {"pure"}


def test_a_row_of_older_sources_stays_on_the_page_with_its_commit() -> None:
    older = PURE._replace(version="older")
    origin = HERE._replace(sources="older", commit="0ld")
    row = of(a_row(), measured(older, *seconds(1), origin=origin))
    assert row["figures"]["converge_s"]["pure"]["median"] == 1
    assert row["commit"] == "0ld"


def test_another_machine_may_differ_by_15_percent() -> None:
    row = a_row()
    its = {
        "full": [*measured(BIRD_OLD, *seconds(1)), *measured(PURE, *seconds(2))],
    }
    here = summarize([row], ROUTERS, its)
    near, far, unlike = (copy.deepcopy(here) for _ in range(3))
    near["rows"][0]["figures"]["converge_s"]["pure"]["ratio"] = 2.29
    far["rows"][0]["figures"]["converge_s"]["pure"]["ratio"] = 1.7
    unlike["rows"][0]["command"] = "run full --quick"
    assert differences(here, near) == (1, [])
    assert differences(here, far)[1] == ["full: converge_s, pure: 2.00x and 1.70x"]
    assert differences(here, unlike) == (0, [])
    for one, other in permutations((near, far)):
        assert len(differences(one, other)[1]) == 1


@given(
    st.lists(st.floats(0.01, 100), min_size=1, max_size=7),
    st.lists(st.floats(0.01, 100), min_size=1, max_size=7),
)
def test_median_and_ratio_are_within_their_bounds(
    birds: list[float], ours: list[float]
) -> None:
    row = of(
        a_row(), measured(BIRD_OLD, *seconds(*birds)), measured(PURE, *seconds(*ours))
    )
    value = row["figures"]["converge_s"]["pure"]
    assert value["low"] <= value["median"] <= value["high"]
    assert value["ratio_low"] <= value["ratio"] <= value["ratio_high"]
