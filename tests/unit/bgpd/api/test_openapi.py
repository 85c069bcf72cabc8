"""The OpenAPI document: whole, valid, and made of the tables."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from bgpd.api import openapi
from bgpd.api.commands import COMMANDS, TABLE
from bgpd.api.fields import FORMS
from bgpd.api.protocol import Kind, Rights
from bgpd.show.commands import handlers
from tests.support.world import World


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi.document())
    return found


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_command_is_there_once(document):
    found = {
        (operation["operationId"], method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert found == {(each.name, each.method, each.path) for each in TABLE}
    assert len({(each.method, each.path) for each in TABLE}) == len(TABLE)


def test_every_reference_leads_to_a_form_and_each_form_is_used(document):
    there = {f"#/components/schemas/{name}" for name in FORMS}
    assert {*references(document)} == there


def test_every_schema_is_one_and_has_every_key(document):
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert {*schema["properties"]} == {each.name for each in FORMS[name].fields}
        assert all(each["description"] for each in schema["properties"].values())


def test_names_are_in_snake_case_and_reading_changes_nothing():
    for command in TABLE:
        assert all(each.name.isidentifier() for each in command.arguments)
        assert all(each.name == each.name.lower() for each in command.arguments)
        assert "format" not in command.names
        is_read = command.method == "GET"
        assert is_read == (command.rights is Rights.READ)
        assert {each.name for each in command.in_path} <= command.names
        assert command.fields in FORMS
        assert command.kind is not Kind.STREAM or is_read


def test_every_command_is_answered():
    world = World()
    assert handlers(world.view).keys() == COMMANDS.keys()
    world.close()


def test_an_answer_fits_its_schema(document):
    world = World()
    one = world.up("one", "192.0.2.1", is_client=True)
    world.up("two", "192.0.2.2", is_client=True)
    world.announce(one, "10.0.0.0/8", med=5)
    registry = document["components"]["schemas"]
    for command, arguments in (
        ("show-status", {}),
        ("show-peers", {}),
        ("show-peer", {"peer": "one"}),
        ("show-routes", {}),
        ("show-routes", {"advertised_to": "two"}),
        ("show-route", {"prefix": "10.0.0.0/8"}),
        ("show-groups", {}),
    ):
        answer = world.ask(command, **arguments)
        schema = {
            "$ref": f"#/components/schemas/{COMMANDS[command].fields}",
            "components": {"schemas": registry},
        }
        validator = jsonschema.Draft202012Validator(schema)
        found = answer if isinstance(answer, list) else [answer]
        assert found
        for row in found:
            validator.validate(row)
    world.close()
