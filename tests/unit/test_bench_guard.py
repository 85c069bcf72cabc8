"""The guard counts the same each time, and says what is worse."""

from pathlib import Path

import pytest

from tests.bench import guard
from tests.bench.guard import Counts, compare, count, read, write


def some_work() -> int:
    total = 0
    for number in range(20):
        total += len(str(number))
    return total


def test_counts_are_the_same_each_time() -> None:
    first = count(some_work)
    assert first == count(some_work)
    assert first.instructions > 100
    assert first.calls >= 20


def test_more_work_is_reported_by_name_and_kind() -> None:
    known = {"a": [100, 10], "gone": [1, 1]}
    found = {"a": Counts(110, 10), "new": Counts(1, 1)}
    assert compare(known, found) == [
        "a: 110 instructions, 100 before",
        "new: not in guard.json",
        "gone: no such benchmark",
    ]


def test_less_work_and_a_little_more_are_good() -> None:
    assert compare({"a": [100, 10]}, {"a": Counts(102, 5)}) == []


def test_figures_of_other_pythons_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "FILE", tmp_path / "guard.json")
    monkeypatch.setattr(guard, "VERSION", "3.11")
    write({"a": Counts(1, 2)})
    monkeypatch.setattr(guard, "VERSION", "3.12")
    write({"a": Counts(3, 4)})
    assert read() == {"3.11": {"a": [1, 2]}, "3.12": {"a": [3, 4]}}
