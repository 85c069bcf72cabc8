from array import array

import pytest

from tests.bench.sampled import figures


def test_a_stall_counts_by_the_time_it_takes() -> None:
    found = figures(array("d", [0.001] * 9900 + [0.1]))
    assert found["max_ms"] == pytest.approx(100)
    assert found["busy_s"] == pytest.approx(10)
    # A thousandth of ten seconds falls into the last 10 ms before the loop is back.
    assert found["p999_ms"] == pytest.approx(90, abs=0.1)


def test_nothing_seen_is_nothing_late() -> None:
    assert figures(array("d")) == {"p999_ms": 0, "max_ms": 0, "busy_s": 0}
