import math

import pytest

from tests.bench.growth import sentences, slope


def test_the_slope_is_the_power() -> None:
    xs = (10, 100, 1000)
    assert slope(xs, [2 * x**1.5 for x in xs]) == pytest.approx(1.5)


def test_what_is_missing_has_no_part_in_it() -> None:
    assert slope((1, 10, 100), (1, math.nan, 100)) == pytest.approx(1)
    assert math.isnan(slope((1, 10), (0, 5)))


def test_the_upper_half_and_the_last_step_count() -> None:
    figures = {
        "x": [1000, 10_000, 100_000, 1_000_000],
        "ours": {"seconds": [9, 0.1, 1, 10], "kib": [0, 0, 1000, 4000]},
    }
    (line,) = sentences({"prefixes": figures})
    assert "n^1.00 (work n^1)" in line
    assert line.endswith("3 octets for one more")


def test_one_value_says_nothing_of_growth() -> None:
    assert not [*sentences({"prefixes": {"x": [1000], "ours": {}}})]
