"""What ``make mutants`` is for: all of reflection, and what decides in the tables."""

from tests.mutants.__main__ import PLAN, change_of, explained, function_of
from tests.support.generated import ROOT

CORE = ("choice", "decision", "loc_rib", "path_set", "import_rules", "adj_rib_in")


def test_every_module_that_decides_has_its_tests() -> None:
    reflector = {f"reflector/{path.name}" for path in (ROOT / "reflector").glob("*.py")}
    wanted = reflector - {"reflector/__init__.py"} | {f"rib/{name}.py" for name in CORE}
    assert PLAN.keys() == wanted
    for tests in PLAN.values():
        assert all((ROOT / name).exists() for name in tests)


def test_every_survivor_is_explained() -> None:
    for mutant, reason in explained().items():
        module = mutant.function.rsplit(".", 1)[0].replace(".", "/")
        assert any(f"{module}.py".startswith(name[:-3]) for name in PLAN), mutant
        assert len(reason) > 20, mutant


def test_mutants_are_known_by_their_function_and_what_they_change() -> None:
    name = "rib.path_set.x\u01c1PathSet\u01c1ranking__mutmut_1"
    assert function_of(name) == "rib.path_set.PathSet.ranking"
    assert function_of("rib.choice.x__differ__mutmut_12") == "rib.choice._differ"
    diff = "--- a\n+++ b\n@@ -1 +1 @@\n one\n-    if a < b:\n+    if a <= b:\n"
    assert change_of(diff) == ("if a < b:", "if a <= b:")
