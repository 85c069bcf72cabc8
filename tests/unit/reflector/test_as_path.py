from typing import Any

import pytest

from reflector.as_path import PLAIN_PATH, PathRules, outgoing_path
from reflector.export import PeerType
from rib.attributes import PrivateScope, format_as_path, parse_as_path
from rib.attributes.codes import AS_PATH
from rib.path import SourceKind
from rib.policy import Actions, Outcome, PolicySpec, Term
from tests.support.exports import LOCAL_AS, a_context, from_peer, told, values
from tests.support.routes import some_attributes

OURS, PEER = 100, 64999
HIDES: dict[str, Any] = {"private": PrivateScope.ALL, "peer_as": PEER}
OVERRIDES: dict[str, Any] = {"overrides_peer_as": True, "peer_as": PEER}


@pytest.mark.parametrize(
    ("path", "rules", "prepended", "expected"),
    [
        ("1 2", PLAIN_PATH, 0, "100 1 2"),
        ("1 2", PathRules(), 1, "100 1 2"),
        ("1 2", PathRules(hidden_as=99), 0, "100 99 1 2"),
        ("1 64512", PathRules(**HIDES), 0, "100 1"),
        ("1 64512", PathRules(**HIDES, replaces_private=True), 0, "100 1 100"),
        ("64512", PathRules(**HIDES), 0, "100"),
        ("64513 1 64512", PathRules(**HIDES), 1, "100 64513 1"),
        ("64513 64513 64512", PathRules(**HIDES), 2, "100 64513 64513"),
        ("1 64512", PathRules(peer_as=PEER), 0, "100 1 64512"),
        ("1 64999 {64999}", PathRules(**OVERRIDES), 0, "100 1 100 {100}"),
        ("64999 64999 2", PathRules(**OVERRIDES), 1, "100 64999 100 2"),
        ("1 64999", PathRules(peer_as=PEER), 0, "100 1 64999"),
        (
            "64512 64999",
            PathRules(**OVERRIDES, private=PrivateScope.ALL, hidden_as=99),
            0,
            "100 99 100",
        ),
    ],
)
def test_paths(path: str, rules: PathRules, prepended: int, expected: str) -> None:
    value = outgoing_path(parse_as_path(path), OURS, rules, prepended)
    assert format_as_path(value) == expected


@pytest.mark.rfc("6996", "4", "MUST")
def test_peers_receive_routes_by_the_rules_of_their_group() -> None:
    context = a_context(PeerType.EBGP, as_path=PathRules(**HIDES))
    path = from_peer(SourceKind.EBGP, some_attributes("64513 1"))
    value = values(told(path, context))[AS_PATH]
    assert format_as_path(value) == f"{LOCAL_AS} 1"
    inside = a_context(PeerType.CLIENT, as_path=PathRules(**HIDES))
    assert format_as_path(values(told(path, inside))[AS_PATH]) == "64513 1"


def test_what_export_policy_prepends_is_not_hidden() -> None:
    context = a_context(PeerType.EBGP, as_path=PathRules(**HIDES))
    path = from_peer(SourceKind.EBGP, some_attributes("64513 1"))
    spec = PolicySpec(
        "p",
        (
            Term("a", Outcome.NEXT, actions=Actions(prepend=(64512,))),
            Term("b", Outcome.ACCEPT, actions=Actions(prepend=(64513, 64513))),
        ),
    )
    value = values(told(path, context, spec))[AS_PATH]
    assert format_as_path(value) == f"{LOCAL_AS} 64513 64513 64512 1"
