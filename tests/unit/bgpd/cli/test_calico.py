"""``pybgpctl calico plan`` and ``probe``: offline, from a file or standard input."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bgpd.cli.control import main
from tests.support.calico_cases import a_node, a_route

CASE: dict[str, Any] = {
    "node": "n1",
    "compat": "3.34",
    "resources": [a_node("n1", "10.0.0.1"), a_node("n2", "10.0.0.2")],
    "probe_routes": [a_route("192.0.2.0/24", id="one")],
}


def run(command: str, file: Path | str, text: str = "") -> Result:
    return CliRunner().invoke(
        main, ["calico", command, "--case", str(file)], input=text
    )


@pytest.mark.parametrize(
    ("command", "part", "names"),
    [("plan", "sessions", "Mesh_10_0_0_2"), ("probe", "probes", "one")],
)
def test_a_case_comes_from_a_file_or_from_standard_input(
    tmp_path: Path, command: str, part: str, names: str
) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(CASE))
    for result in (run(command, file), run(command, "-", json.dumps(CASE))):
        assert result.exit_code == 0, result.output
        (item,) = json.loads(result.stdout)[part]
        assert names in (item.get("name"), item.get("id"))


def test_a_router_id_may_come_from_the_environment_of_the_case() -> None:
    for value, expected in (
        ("192.0.2.7", "192.0.2.7"),
        ("hash", "25.79.212.8"),
        ("", "10.0.0.1"),
    ):
        named = a_node("kube-master", "10.0.0.1")
        case = {
            **CASE,
            "node": "kube-master",
            "resources": [named],
            "env": {"CALICO_ROUTER_ID": value},
        }
        result = run("plan", "-", json.dumps(case))
        assert json.loads(result.stdout)["node"]["router_id"] == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "node"),
        (json.dumps({**CASE, "node": "\ud800"}), "node"),
        (json.dumps({**CASE, "compat": "new"}), "compat"),
        (json.dumps({**CASE, "env": {"USE_POD_CIDR": True}}), "env.USE_POD_CIDR"),
        (
            json.dumps({**CASE, "env": {"CALICO_ADVERTISE_CLUSTER_IPS": "10.96"}}),
            "env.CALICO_ADVERTISE_CLUSTER_IPS",
        ),
        (json.dumps({**CASE, "resources": [{"kind": "Pod"}]}), "resources[0]"),
        (json.dumps({**CASE, "affinities": ["10.0.0.0/26"]}), "affinities[0]"),
        (json.dumps({**CASE, "kubernetes": [1]}), "kubernetes[0]"),
        (json.dumps({**CASE, "local_endpoints": [1]}), "local_endpoints[0]"),
        ("[" * 100_000, ""),
    ],
)
@pytest.mark.parametrize("command", ["plan", "probe"])
def test_the_error_says_what_is_wrong_with_a_case(
    command: str, text: str, said: str
) -> None:
    result = run(command, "-", text)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "ipv5"),
        ("prefix", "192.0.2.0/33"),
        ("prefix", "fd00::/64"),
        ("source", "static route"),
        ("interface", 1),
        ("local_pref", -1),
        ("local_pref", "much"),
        ("as_path", [2**32]),
        ("as_path", "65000"),
        ("communities", ["65000"]),
        ("large_communities", [[1, 2, 3]]),
        ("next_hop", "10.0.0"),
    ],
)
def test_the_error_says_what_is_wrong_with_a_route(field: str, value: Any) -> None:
    case = {**CASE, "probe_routes": [{**CASE["probe_routes"][0], field: value}]}
    result = run("probe", "-", json.dumps(case))
    assert result.exit_code == 2
    assert "probe_routes[0]" in result.stderr


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    result = run("plan", tmp_path / "nowhere.json")
    assert result.exit_code == 2
    assert "nowhere.json" in result.stderr
