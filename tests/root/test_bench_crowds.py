"""Loads of many peers and of changed policies, small, beside the routers that are installed."""

import pytest

from tests.bench import beside
from tests.bench.setups import program_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.xdist_group("bench"),  # each load is pinned to the first processor
]

SMALL = {
    "fan-out": {"peers": 3, "prefixes": 800},
    "withdrawn": {"clients": 3, "prefixes": 3000, "sets": 300},
    "export-policy": {"clients": 3, "prefixes": 800},
    "import-policy": {"clients": 3, "prefixes": 800},
    "regrouped": {"prefixes": 3000},
}
STEPS = {
    "fan-out": "converge_s",
    "withdrawn": "withdraw_s",
    "export-policy": "change_s",
    "import-policy": "change_s",
    "regrouped": "second_s",
}


@pytest.mark.parametrize(
    ("name", "router"),
    [
        *((name, router) for name in SMALL for router in ("bird", "ours")),
        ("fan-out", "frr"),
    ],
)
def test_a_load_of_many_peers_comes_to_its_end(
    name: str, router: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not program_for(router):
        pytest.skip(f"{router} is not installed")
    monkeypatch.setattr(beside, "SETTLE", 0.5)
    found = beside.run_once(router, beside.CASES[name].changed(SMALL[name]))
    assert found[STEPS[name]] > 0
    assert found["peak_kb"] > 0
    assert ("gap_s" in found) == name.endswith("policy")
