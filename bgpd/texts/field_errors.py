"""What is wrong with a value, in our words, for each kind of error that pydantic has. Pure.

Both the configuration and the objects of a cluster are checked by it; its own texts speak of inputs, parsers
and validators, where a reader wants to know what to write.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

MAX_SHOWN: Final = 60  # characters of a wrong value

Tell = Callable[[Mapping[str, Any]], str]


def shown(value: object) -> str:
    """Return a value for a message: short, and collections by their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value[: MAX_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def choices_of(error: Mapping[str, Any]) -> list[str]:
    """Return the words that were expected; an empty one is quoted."""
    expected: str = error["ctx"]["expected"]
    words = expected.replace(" or ", ", ").split(", ")
    return [word if word == "''" else word.strip("'") for word in words]


def field_error(error: Mapping[str, Any], *, is_secret: bool = False) -> str:
    """Return what was expected, and what was found.

    Args:
        error: Of pydantic, with its ``type``, ``ctx`` and ``input``.
        is_secret: The value is not shown.
    """
    kind: str = error["type"]
    text = _TEXTS.get(kind, _OTHER)(error)
    if kind in _SAY_ALL or is_secret or "input" not in error:
        return text
    return f"{text}, found {shown(error['input'])}"


def _text(text: str) -> Tell:
    return lambda _: text


def _bound(word: str, name: str) -> Tell:
    return lambda error: f"expected {word} {error['ctx'][name]}"


def _literal(error: Mapping[str, Any]) -> str:
    return f"expected one of {', '.join(choices_of(error))}"


def _value(error: Mapping[str, Any]) -> str:
    return str(error["ctx"]["error"])


_NUMBER: Final = _text("expected a whole number")
_SWITCH: Final = _text("expected true or false")
_MAPPING: Final = _text("expected a mapping")
_OTHER: Final = _text("expected another kind of value")  # rather than a library's words
_TEXTS: Final[Mapping[str, Tell]] = MappingProxyType(
    {
        "missing": _text("is missing"),
        "literal_error": _literal,
        "enum": _literal,
        "value_error": _value,
        "int_type": _NUMBER,
        "int_parsing": _NUMBER,
        "int_from_float": _NUMBER,
        "int_parsing_size": _text("expected a smaller number"),
        "float_type": _text("expected a number"),
        "float_parsing": _text("expected a number"),
        "finite_number": _text("expected a number"),
        "string_type": _text("expected text"),
        "string_unicode": _text("expected text without halves of characters"),
        "string_pattern_mismatch": _bound("text that matches", "pattern"),
        "invalid_key": _text("expected text as the name (quote it)"),
        "bool_type": _SWITCH,
        "bool_parsing": _SWITCH,
        "list_type": _text("expected a list"),
        "tuple_type": _text("expected a list"),
        "dict_type": _MAPPING,
        "model_type": _MAPPING,
        "model_attributes_type": _MAPPING,
        "greater_than_equal": _bound("at least", "ge"),
        "greater_than": _bound("more than", "gt"),
        "less_than_equal": _bound("at most", "le"),
        "less_than": _bound("less than", "lt"),
        "too_short": _bound("a number of items of at least", "min_length"),
        "too_long": _bound("a number of items of at most", "max_length"),
        "string_too_short": _bound("a length of at least", "min_length"),
        "string_too_long": _bound("a length of at most", "max_length"),
    }
)
_SAY_ALL: Final = frozenset(
    {"missing", "value_error", "string_unicode", "too_short", "too_long"}
)
