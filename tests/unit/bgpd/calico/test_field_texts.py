"""Errors in objects of the cluster have the words of errors in the file."""

import random
import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from bgpd.calico.resources import MODELS
from bgpd.calico.tolerant_parse import read_resource
from tests.support.cases import cases

VALUES: tuple[object, ...] = (
    *(None, True, 1, -1, 10**30, 1.5, "x", "", [], [1], {}, {"a": 1}, [{}], [[]]),
    *("70000.1", "10.0.0.0/160", "5x", "fe80::1%eth0", ["x"], {"name": "x"}),
)


def texts_of(kind: str, spec: object) -> list[str]:
    content = {"metadata": {"name": "x"}, "spec": spec}
    return [each.text for each in read_resource("/key", kind, content).findings]


@cases(
    ("kind", "spec", "expected"),
    [
        (
            "BGPConfiguration",
            {"asNumber": "x"},
            "expected an AS number, found 'x'; ignored",
        ),
        (
            "BGPConfiguration",
            {"listenPort": 99999},
            "expected at most 65535, found 99999; ignored",
        ),
        (
            "BGPConfiguration",
            {"nodeToNodeMeshEnabled": "maybe"},
            "expected true or false, found 'maybe'; ignored",
        ),
        (
            "BGPConfiguration",
            {"serviceClusterIPs": [{"cidr": "10.244.0.0/160"}]},
            (
                "expected a prefix such as 10.244.0.0/16 or fd00::/48, found "
                "'10.244.0.0/160'; ignored"
            ),
        ),
        (
            "Node",
            {"bgp": {"ipv4Address": "foo"}},
            "expected an IPv4 address such as 10.0.0.1/24, found 'foo'; ignored",
        ),
        (
            "BGPPeer",
            {"maxRestartTime": "5x"},
            "expected a duration such as 1m30s, found '5x'; ignored",
        ),
        (
            "IPPool",
            {"cidr": "10.0.0.0/8", "ipipMode": "Sometimes"},
            (
                "expected one of '', Never, Always, CrossSubnet, found 'Sometimes'; ignored"
            ),
        ),
    ],
)
def test_a_field_says_what_was_expected(kind: str, spec: object, expected: str) -> None:
    assert texts_of(kind, spec) == [expected]


def model_in(annotation: object) -> tuple[type[BaseModel], bool] | None:
    """Return the model that a type holds, and whether in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in get_args(annotation):
        found = model_in(inner)
        if found is not None:
            return found[0], found[1] or get_origin(annotation) in (list, tuple)
    return None


def some_object(model: type[BaseModel], chance: random.Random, depth: int = 0) -> Any:
    made: dict[str, object] = {}
    for name, field in model.model_fields.items():
        if chance.random() > 0.4:
            continue
        found = model_in(field.annotation)
        value: object = chance.choice(VALUES)
        if found is not None and depth < 5 and chance.random() < 0.8:
            value = some_object(found[0], chance, depth + 1)
            value = [value] if found[1] else value
        made[field.alias or name] = value
    return made


def findings() -> Iterator[str]:
    chance = random.Random(5)
    for _ in range(1_000):
        kind = chance.choice(list(MODELS))
        content = some_object(MODELS[kind], chance)
        yield from (each.text for each in read_resource("/key", kind, content).findings)


@pytest.mark.filterwarnings("error")
def test_no_text_is_that_of_a_library() -> None:
    texts = set(findings())
    assert len(texts) > 80
    foreign = re.compile(
        r"Input should|Value error|valid|does not appear|Expected|another kind of value"
        r"|permitted in"
    )
    found = {text.replace("valid value stays", "") for text in texts}
    assert not [text for text in found if foreign.search(text)]
