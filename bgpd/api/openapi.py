"""The OpenAPI 3.1 document, made of the tables of commands and of fields. Pure."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from bgpd import __version__
from bgpd.api.answers import EVENTS, JSON, LINES, names_of_forms
from bgpd.api.commands import TABLE
from bgpd.api.fields import FORMS, Field
from bgpd.api.protocol import Argument, Command, Kind, Rights

PROBLEM: Final = "application/problem+json"
_PLAIN: Final[Mapping[str, object]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "any": {},
}
_ARGUMENT_TYPES: Final[Mapping[type, Mapping[str, object]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    list: {"type": "array", "items": {"type": "string"}},
}
_DESCRIPTION: Final = (
    "Arguments that are not declared are errors. Keys, paths and arguments may be added "
    "within a version."
)


@cache
def document() -> bytes:
    """Return the document as JSON; made once, in some milliseconds."""
    return json.dumps(build(TABLE), indent=1).encode()


def build(commands: Iterable[Command]) -> dict[str, Any]:
    """Return the document for some commands."""
    paths: dict[str, Any] = {}
    for command in commands:
        operation = _operation(command)
        paths.setdefault(command.path, {})[command.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pybgpd",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {name: schema(name) for name in FORMS},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "By TCP; the control socket, and programs on the "
                    "machine that only read, need none.",
                }
            },
        },
    }


def schema(name: str) -> dict[str, Any]:
    """Return the schema of a form."""
    form = FORMS[name]
    return {
        "type": "object",
        "description": f"{form.title}.",
        "properties": {each.name: _property(each) for each in form.fields},
        "required": [each.name for each in form.fields if not each.is_optional],
    }


def _property(field: Field) -> dict[str, Any]:
    return {**_type(field.type), "description": field.help}


def _type(text: str) -> dict[str, Any]:
    """Return the schema of a type as the table of fields writes it."""
    if text.endswith("?"):
        inner = _type(text[:-1])
        if isinstance(inner.get("type"), str):
            return {**inner, "type": [inner["type"], "null"]}
        return {"anyOf": [inner, {"type": "null"}]}
    if text.endswith("[]"):
        return {"type": "array", "items": _type(text[:-2])}
    if text.endswith("{}"):
        return {"type": "object", "additionalProperties": _type(text[:-2])}
    plain = _PLAIN.get(text)
    if isinstance(plain, dict):
        return dict(plain)
    return {"$ref": f"#/components/schemas/{text}"}


def _operation(command: Command) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": command.name,
        "summary": command.help,
        "description": f"Needs {'full' if command.rights is Rights.FULL else 'read'} rights.",
        "parameters": [*_parameters(command), _format_parameter(command)],
        "responses": {
            "200": {"description": "The answer.", "content": _content(command)},
            "default": {
                "description": "An error.",
                "content": {PROBLEM: {"schema": _type("problem")}},
            },
        },
    }
    if command.kind is Kind.STREAM and "after" in command.names:
        operation["parameters"].append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The number of the last event that was seen.",
                "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
            }
        )
    if command.method == "POST":
        operation["requestBody"] = {"content": {JSON: {"schema": _body(command)}}}
        required = any(each.is_required for each in command.beside_path)
        operation["requestBody"]["required"] = required
    return operation


def _parameters(command: Command) -> list[dict[str, Any]]:
    in_query = command.beside_path if command.method == "GET" else ()
    return [
        {
            "name": each.name,
            "in": place,
            "required": place == "path" or each.is_required,
            "description": each.help,
            "schema": _argument(each),
            # Several texts are one parameter each.
            **({"style": "form", "explode": True} if each.type is list else {}),
        }
        for place, arguments in (("path", command.in_path), ("query", in_query))
        for each in arguments
    ]


def _format_parameter(command: Command) -> dict[str, Any]:
    return {
        "name": "format",
        "in": "query",
        "description": "The form of the answer.",
        "schema": {"type": "string", "enum": [*names_of_forms(command.kind)]},
    }


def _argument(argument: Argument) -> dict[str, Any]:
    found = dict(_ARGUMENT_TYPES[argument.type])
    if argument.minimum is not None:
        found["minimum"] = argument.minimum
    if argument.choices and argument.type is list:
        found["items"] = {"type": "string", "enum": [*argument.choices]}
    elif argument.choices:
        found["enum"] = [*argument.choices]
    return found


def _body(command: Command) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            each.name: {**_argument(each), "description": each.help}
            for each in command.beside_path
        },
        "required": [each.name for each in command.beside_path if each.is_required],
        "additionalProperties": False,
    }


def _content(command: Command) -> dict[str, Any]:
    one = _type(command.fields)
    if command.kind is Kind.STREAM:
        return {EVENTS: {"schema": {"type": "string"}}, LINES: {"schema": one}}
    whole = {"type": "array", "items": one} if command.kind is Kind.ROWS else one
    return {JSON: {"schema": whole}, LINES: {"schema": one}}
