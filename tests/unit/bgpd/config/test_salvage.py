"""One fault of a configuration hides no other, and makes none up."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from bgpd.config.document import format_path
from bgpd.config.errors import ConfigError
from bgpd.config.loader import load
from bgpd.config.salvage import salvage

SOUND: dict[str, Any] = {
    "node": {"name": "node-1"},
    "bgp": {
        "as": 64512,
        "router_id": "10.0.0.1",
        "cluster_id": "10.0.0.9",
        "listen": {"addresses": ["127.0.0.1"], "port": 1790},
        "defaults": {"hold_time": 30, "keepalive_time": 10},
    },
    "peer_groups": {"racks": {"as": 64512, "client": True, "import_policy": "some"}},
    "peers": [
        {"name": "a", "address": "10.0.0.2", "group": "racks"},
        {"name": "b", "address": "10.0.0.3", "as": 65001, "export_policy": "some"},
        {
            "name": "c",
            "address": "fd00::1",
            "as": 64512,
            "families": ["ipv6-unicast", {"name": "ipv4-unicast", "max_prefixes": 9}],
        },
    ],
    "ranges": [{"prefix": "10.9.0.0/16", "as": 64512, "limit": 5}],
    "policies": {
        "some": {
            "terms": [
                {
                    "match": {"prefixes": [{"prefix": "10.0.0.0/8", "le": 24}]},
                    "action": "next",
                },
                {"set": {"med": 5}, "action": "accept"},
            ]
        }
    },
    "routes": {"originate": [{"prefix": "10.1.0.0/16"}, {"prefix": "10.2.0.0/16"}]},
    "metrics": {"listen": "127.0.0.1:9179"},
    "log": {"level": "info"},
}


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place in ``value``."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else items:
        yield from paths(inner, (*at, key))


def with_at(value: Any, path: tuple[Any, ...], new: object) -> Any:
    copy = json.loads(json.dumps(value))
    at = copy
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = new
    return copy


def problems(folder: Path, content: object) -> list[str]:
    file = folder / "pybgpd.yaml"
    file.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
    try:
        load(file, environment={})
    except ConfigError as error:
        return [f"{each.key}: {each.text}" for each in error.problems]
    return []


def test_the_sound_one_is_sound(tmp_path: Path) -> None:
    assert problems(tmp_path, SOUND) == []
    left = salvage(SOUND)
    assert left is not None
    assert not left.gone


@pytest.mark.parametrize("path", list(paths(SOUND)), ids=format_path)
def test_a_wrong_value_is_the_only_fault(path: tuple[Any, ...], tmp_path: Path) -> None:
    present: Any = SOUND
    for part in path:
        present = present[part]
    wrong: object = [["odd"]] if isinstance(present, dict) else {"odd": {"odd": 1}}
    found = problems(tmp_path, with_at(SOUND, path, wrong))
    assert found
    assert all(each.startswith(format_path(path)) for each in found), found


FAULTS: list[tuple[tuple[Any, ...], object, str]] = [
    (("peers", 0, "address"), "10.0.0.777", "peers[0].address: "),
    (("peers", 1, "name"), "c", "peers[2].name: peers[1] already has the name c"),
    (("ranges", 0, "as"), None, "ranges[0].as: this key is required"),
    (("metrics", "listen"), ":9179", "metrics.listen: "),
    (("peers", 2, "role"), "peer", "peers[2].role: is for eBGP sessions only"),
    (("bgp", "colour"), 1, "bgp.colour: unknown key"),
    (("bgp", "defaults", "keepalive_time"), 40, "bgp.defaults.keepalive_time: 40 s"),
    (("policies", "some", "terms", 0, "colour"), 1, "policies.some.terms[0].colour: "),
    (
        ("peers", 1, "import_policy"),
        "nix",
        "peers[1].import_policy: there is no policy",
    ),
    (
        ("routes", "originate", 1, "prefix"),
        "10.1.0.0/16",
        "routes.originate[1].prefix: ",
    ),
    (
        ("bgp", "defaults", "password_file"),
        "nowhere",
        "bgp.defaults.password_file: cannot",
    ),
]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_faults_of_all_kinds_are_reported_together(count: int, tmp_path: Path) -> None:
    for some in combinations(FAULTS, count):
        content = SOUND
        for path, wrong, _ in some:
            content = with_at(content, path, wrong)
        found = problems(tmp_path, content)
        for _, _, text in some:
            assert any(each.startswith(text) for each in found), (text, found)


def test_without_its_datastores_type_nothing_is_demanded(tmp_path: Path) -> None:
    content = {"datastore": {"type": "zookeeper"}, "routes": {"cluster": True}}
    found = problems(tmp_path, content)
    assert [each.partition(":")[0] for each in found] == ["datastore.type"]


@pytest.mark.parametrize("content", [[], "text", {"bgp": 5}, {"peers": {"a": 1}}])
def test_a_file_that_is_not_a_configuration_is_a_clear_error(
    content: object, tmp_path: Path
) -> None:
    assert problems(tmp_path, content)
