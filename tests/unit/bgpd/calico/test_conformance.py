"""The cases made from Calico's own test data, where they lie beside the checkout."""

import json
from pathlib import Path
from typing import Any

import pytest

from bgpd.calico.case import load_case, show_plan
from bgpd.calico.probe import show_probes
from tests.support.generated import ROOT

CASES = ROOT.parent / "shared" / "calico-conformance" / "cases"
FILES = sorted(CASES.glob("*.json"))
_KEYED = {
    "sessions": ("name", "family"),
    "probes": ("id",),
    "aggregates": ("cidr",),
    "static_routes": ("cidr",),
}
_UNORDERED = {"communities", "large_communities", "direct_interfaces"}


def compare(expected: Any, found: Any, path: str, name: str) -> list[str]:
    """Return where ``found`` is not what ``expected`` names; other keys are free."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            line
            for key, value in expected.items()
            for line in compare(
                value,
                found.get(key, "(missing)"),
                f"{path}.{key}",
                key if key in (*_KEYED, *_UNORDERED) else name,
            )
        ]
    if isinstance(expected, list) and isinstance(found, list) and name in _KEYED:
        wanted, have = (
            {tuple(each[k] for k in _KEYED[name]): each for each in items}
            for items in (expected, found)
        )
        lines = [
            f"{path}: {key} is not expected" for key in have.keys() - wanted.keys()
        ]
        for key, value in wanted.items():
            lines += compare(value, have.get(key), f"{path}[{key}]", "")
        return lines
    if name in _UNORDERED and isinstance(expected, list) and isinstance(found, list):
        expected, found = sorted(expected), sorted(found)
    return [] if expected == found else [f"{path}: {expected!r}, found {found!r}"]


@pytest.mark.skipif(not FILES, reason="calico-conformance is not beside the checkout")
@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_a_node_does_what_confd_and_bird_do(file: Path) -> None:
    content = json.loads(file.read_text())
    expected = content.pop("expected")
    case = load_case(content)
    plan = show_plan(case)
    wanted = {key: expected[key] for key in ("node", "sessions") if key in expected}
    lines = compare(wanted, plan, "", "")
    for family, count in expected.get("session_count", {}).items():
        found = sum(each["family"] == family for each in plan["sessions"])
        assert found == count
    if case.routes:
        probes = {"probes": expected["probes"]}
        lines += compare(probes, show_probes(case), "", "")
    assert lines == []


def test_the_cases_are_there_in_continuous_integration() -> None:
    if not (ROOT.parent / "shared").is_dir():
        pytest.skip("nothing lies beside the checkout")
    assert len(FILES) >= 44
