"""What ``make mutants`` is for: all of reflection, and what decides in the tables."""

import ast

import pytest

from tests.mutants.__main__ import (
    PLAN,
    Mutant,
    Outcome,
    changes_of,
    explained,
    function_of,
    is_of,
    report,
)
from tests.support.generated import ROOT

CORE = (
    "best_path",
    "decision",
    "loc_rib",
    "path_set",
    "import_checks",
    "adj_rib_in",
    "admission",
    "outcome",
    "outcome_memo",
    "long_lived",
    "reimport",
    "destinations",
    "ignored",
    "zones",
)


def test_every_module_that_decides_has_its_tests() -> None:
    reflector = {f"reflector/{path.name}" for path in (ROOT / "reflector").glob("*.py")}
    wanted = reflector - {"reflector/__init__.py"} | {f"rib/{name}.py" for name in CORE}
    assert PLAN.keys() == wanted
    for tests in PLAN.values():
        assert all((ROOT / name).exists() for name in tests)


def test_every_survivor_is_explained() -> None:
    for mutant, reason in explained():
        module = mutant.function.rsplit(".", 1)[0].replace(".", "/")
        assert any(f"{module}.py".startswith(name[:-3]) for name in PLAN), mutant
        assert len(reason) > 20, mutant


def test_every_survivor_changes_a_line_that_there_is() -> None:
    gone = []
    for mutant, _ in explained():
        source = source_of(mutant.function)
        if "".join(mutant.removed.split()) not in "".join(source.split()):
            gone.append(f"{mutant.function}: {mutant.removed}")
    assert not gone


def source_of(function: str) -> str:
    """Return the source of a function, by its dotted name; empty if there is none."""
    module = next(
        (name for name in PLAN if is_of(Mutant(function, "", ""), name)), None
    )
    if module is None:
        return ""
    text = (ROOT / module).read_text(encoding="utf-8")
    node: ast.AST = ast.parse(text)
    for name in function.split(".")[module.count("/") + 1 :]:
        found = [
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.ClassDef | ast.FunctionDef) and child.name == name
        ]
        if not found:
            return ""
        node = found[0]
    return ast.get_source_segment(text, node) or ""


def test_mutants_are_known_by_their_function_and_what_they_change() -> None:
    name = "rib.path_set.x\u01c1PathSet\u01c1ranking__mutmut_1"
    assert function_of(name) == "rib.path_set.PathSet.ranking"
    assert function_of("rib.best_path.x__differ__mutmut_12") == "rib.best_path._differ"
    mutated = """
class PathSet:
    def xǁPathSetǁof__mutmut_orig(self, a: int = 0) -> bool:
        return (
            a < self.b
        )

    def xǁPathSetǁof__mutmut_1(self, a: int = 1) -> bool:
        return (
            a < self.b
        )

    def xǁPathSetǁof__mutmut_2(self, a: int = 0) -> bool:
        return (
            a <= self.b
        )
"""
    names = [f"rib.path_set.xǁPathSetǁof__mutmut_{number}" for number in (1, 2)]
    original = "def of(self, a: int = {}) -> bool:"
    assert list(changes_of(mutated, names)) == [
        Mutant("rib.path_set.PathSet.of", original.format(0), original.format(1)),
        Mutant("rib.path_set.PathSet.of", "a < self.b", "a <= self.b"),
    ]


ONE = Mutant("rib.best_path.choose", "a < b", "a <= b")
OTHER = Mutant("rib.best_path.choose", "a < b", "a > b")
GONE = Mutant("rib.choice_of.choose", "a < b", "a > b")
WHY = "nothing can tell"


class TestTheReport:
    def said(self, capsys, alive, rows, **options) -> tuple[int, str]:
        outcome = Outcome(50, 50 - len(alive), 0, tuple(alive))
        code = report([("rib/best_path.py", outcome)], rows, **options)
        return code, capsys.readouterr().out

    def test_each_survivor_has_a_row_with_a_reason(self, capsys) -> None:
        code, text = self.said(capsys, [ONE], [(ONE, WHY), (GONE, WHY)])
        assert code == 0
        first = "rib/best_path.py: 50 mutants, 49 killed, 0 out of time"
        assert f"{first}, 1 alive (2.0%), 1 explained" in text
        assert "all: 1 of 50 mutants survive (2.0%)" in text

    @pytest.mark.parametrize(
        ("alive", "rows"),
        [
            ([ONE], []),
            ([ONE], [(ONE, " ")]),
            ([ONE, OTHER], [(ONE, WHY)]),
            ([ONE, ONE], [(ONE, WHY)]),
        ],
        ids=["none", "no reason", "another's", "two of one kind"],
    )
    def test_one_without_fails(self, capsys, alive, rows) -> None:
        code, text = self.said(capsys, alive, rows)
        assert code == 1
        assert "1 of them are not explained in survivors.toml" in text
        assert f'function = "{ONE.function}"' in text

    def test_so_does_a_row_without_a_survivor(self, capsys) -> None:
        rows = [(ONE, WHY), (ONE, WHY)]
        code, text = self.said(capsys, [ONE], rows)
        assert code == 1
        assert "listed, but killed or gone: rib.best_path.choose: a <= b" in text
        assert self.said(capsys, [ONE], rows, is_part=True)[0] == 0

    def test_so_do_too_many_of_all(self, capsys) -> None:
        for alive, expected in (([ONE], 0), ([ONE, ONE], 1)):
            outcome = Outcome(50, 50 - len(alive), 0, tuple(alive))
            nothing = dict.fromkeys(PLAN, Outcome(0, 0, 0, ()))
            outcomes = {**nothing, "rib/best_path.py": outcome}
            rows = [(ONE, WHY)] * len(alive)
            assert report(outcomes.items(), rows) == expected
            found = "more than 3% survive" in capsys.readouterr().out
            assert found == bool(expected)
