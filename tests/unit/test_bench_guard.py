"""The guard counts the same each time, and says what is worse."""

from pathlib import Path

import pytest

from tests.bench.compiled_guard import counted
from tests.bench.guard import Counts, compare, count, judge, read, write


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


def test_figures_of_other_builds_stay(tmp_path: Path) -> None:
    file = tmp_path / "guard.json"
    write(file, "3.11", {"a": Counts(1, 2)})
    write(file, "3.12", {"a": Counts(3, 4)})
    assert read(file) == {"3.11": {"a": [1, 2]}, "3.12": {"a": [3, 4]}}


def test_the_verdict_names_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "guard.json"
    assert judge(file, "3.11", {"a": Counts(100, 2)}, update=True) == 0
    assert judge(file, "3.11", {"a": Counts(101, 2)}, update=False) == 0
    assert judge(file, "3.11", {"a": Counts(103, 2)}, update=False) == 1
    assert judge(file, "3.12", {"a": Counts(100, 2)}, update=False) == 1
    said = capsys.readouterr()
    assert "3.11: a: 103 instructions, 100 before" in said.out
    assert "no figures of 3.12" in said.err


CALLGRIND = """\
# callgrind format
positions: line
events: Ir

ob=(1) /usr/lib/libpython.so
fl=(1) ceval.c
fn=(1) evaluate
10 500
cob=(2) /here/rib/pybgpd__mypyc.so
cfn=(2) announce
calls=3 0
+1 90

ob=(2)
fn=(2)
0 40
cfn=(3) within
calls=7 0
0 20
cob=(1)
cfn=(4) PyDict_GetItem
calls=5 0
+2 30
* 2

fn=(3)
-1 20

totals: 562
"""


def test_the_module_s_own_instructions_and_its_calls_out_count() -> None:
    lines = iter(CALLGRIND.splitlines(keepends=True))
    assert counted(lines) == Counts(40 + 2 + 20, 5)
