"""Whether an answer has the keys and types that are declared for it, and no others."""

from typing import Any

from bgpd.api.commands import COMMANDS
from bgpd.api.fields import FORMS
from bgpd.api.protocol import Kind

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def check_answer(command: str, answer: Any) -> None:
    """Fail where an answer is not what the table of fields says."""
    declared = COMMANDS[command]
    if declared.kind in (Kind.ROWS, Kind.STREAM):
        for row in answer:
            check_form(row, declared.fields, command)
    elif isinstance(answer, list):  # as rows of one
        check_form(answer[0], declared.fields, command)
    else:
        check_form(answer, declared.fields, command)


def check_form(value: Any, name: str, place: str) -> None:
    """Fail where an object has other keys than its form, or values of other types."""
    assert isinstance(value, dict), f"{place}: {value!r} is not an object"
    fields = {each.name: each for each in FORMS[name].fields}
    assert value.keys() <= fields.keys(), f"{place}: {value.keys() - fields.keys()}"
    needed = {each.name for each in fields.values() if not each.is_optional}
    assert needed <= value.keys(), f"{place}: no {needed - value.keys()}"
    for key, found in value.items():
        _check(found, fields[key].type, f"{place}.{key}")


def _check(value: Any, kind: str, place: str) -> None:
    if kind == "any":
        return
    if kind.endswith("?"):
        if value is not None:
            _check(value, kind[:-1], place)
    elif kind.endswith("[]"):
        assert isinstance(value, list), f"{place}: {value!r} is not a list"
        for each in value:
            _check(each, kind[:-2], place)
    elif kind.endswith("{}"):
        assert isinstance(value, dict), f"{place}: {value!r} is not an object"
        for each in value.values():
            _check(each, kind[:-2], place)
    elif kind in _TYPES:
        is_bool = isinstance(value, bool)
        assert isinstance(value, _TYPES[kind]), f"{place}: {value!r} is not {kind}"
        assert is_bool == (kind == "boolean"), f"{place}: {value!r} is not {kind}"
    else:
        check_form(value, kind, place)
