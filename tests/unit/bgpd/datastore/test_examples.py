from pathlib import Path

import pytest

from bgpd.calico import ClusterState, Snapshot
from bgpd.datastore.manifests import parse

EXAMPLES = Path(__file__).parents[4] / "configs" / "manifests"


def load(*folders: str) -> dict[str, bytes]:
    items: dict[str, bytes] = {}
    for folder in folders:
        for file in sorted((EXAMPLES / folder).glob("*.yaml")):
            parsed = parse(file.read_text())
            assert parsed.warnings == ()
            assert not {entry.key for entry in parsed.entries} & items.keys()
            items |= {entry.key: entry.value for entry in parsed.entries}
    return items


def test_every_example_is_covered() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {
        "four-nodes",
        "two-reflectors",
    }


@pytest.mark.parametrize(
    ("node", "blocks"),
    [
        ("node-11", set()),
        ("node-12", {"10.244.44.192/26", "10.244.45.0/26"}),
        ("node-13", set()),
        ("node-14", {"10.244.128.0/26", "10.244.127.192/26"}),
    ],
)
def test_four_nodes_are_a_mesh(node: str, blocks: set[str]) -> None:
    state = ClusterState()
    state.apply(Snapshot(1, load("four-nodes")))
    desired = state.desired(node)
    assert desired.asn == 64512
    assert len(desired.peers) == 3
    assert {str(block) for block in desired.originated} == blocks
    assert desired.warnings == ()


def test_two_reflectors_join_them() -> None:
    state = ClusterState()
    state.apply(Snapshot(1, load("four-nodes", "two-reflectors")))
    assert len(state.desired("node-11").peers) == 5
    reflector = state.desired("reflector-21")
    assert sum(peer.is_client for peer in reflector.peers) == 4
    assert len(reflector.peers) == 5
    assert reflector.warnings == ()
