"""Every hot function has a benchmark of its name, and every benchmark runs."""

import re

import pytest

from tests.bench.core import BENCHMARKS, WITHIN
from tests.support.generated import ROOT
from tests.support.sources import modules

HOT = re.compile(r"^( *)# hot:.*\n(?: *@.*\n)*\1def (\w+)", re.MULTILINE)
CLASS = re.compile(r"^class (\w+)", re.MULTILINE)


def hot_functions() -> set[str]:
    found = set()
    for path in modules():
        text = path.read_text(encoding="utf-8")
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for hit in HOT.finditer(text):
            classes = CLASS.findall(text, 0, hit.start()) if hit[1] else []
            found.add(".".join([module, *classes[-1:], hit[2]]))
    return found


def test_every_hot_function_has_its_benchmark() -> None:
    names = {name.partition(",")[0] for name in BENCHMARKS}
    # ``rank`` is not marked: what it does per path is.
    assert names | set(WITHIN) == hot_functions() | {"rib.decision.rank"}
    assert not names & set(WITHIN)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_can_be_repeated(name: str) -> None:
    work = BENCHMARKS[name]()
    first, second = work.run(), work.run()
    assert work.prefixes >= 1
    assert type(first) is type(second)
