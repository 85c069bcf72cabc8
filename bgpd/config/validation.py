"""From a document to the model, with the place of every error. Pure."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from bgpd.config.document import MAX_PROBLEMS, Document, format_path
from bgpd.config.errors import ConfigProblem
from bgpd.config.model import DaemonConfig
from bgpd.config.schema import keys_of, section_at
from bgpd.texts.tree import KeyPath

_MAX_SHOWN: Final = 60  # characters of a wrong value
_MAX_WORD: Final = 64  # characters; no key, name or choice is longer
_SECRET_KEYS: Final = frozenset({"password"})


def validate(document: Document) -> tuple[DaemonConfig | None, list[ConfigProblem]]:
    """Check ``document`` against the model.

    Returns:
        The model, or ``None`` where there are problems; and the problems, the first
        ``MAX_PROBLEMS`` of the model's: a file that is none has one on every line.
    """
    problems = list(document.problems)
    try:
        config = DaemonConfig.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        problems += [_problem(document, dict(each)) for each in errors[:MAX_PROBLEMS]]
        if (more := len(errors) - MAX_PROBLEMS) > 0:
            text = f"and {more} problem{'s' if more > 1 else ''} more"
            problems.append(ConfigProblem(problems[-1].origin, "", text))
        return None, problems
    return None if problems else config, problems


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` if a known word is similar, else nothing."""
    if len(word) > _MAX_WORD:
        return ""  # comparing costs the product of the lengths
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _problem(document: Document, error: Mapping[str, Any]) -> ConfigProblem:
    path: KeyPath = document.as_written(tuple(error["loc"]))
    kind: str = error["type"]
    is_unknown = kind == "extra_forbidden"
    origin = document.origin_of(path, of_key=is_unknown)
    text = _TEXTS.get(kind, _other)(error)
    key = path[-1] if path else ""
    if key not in _SECRET_KEYS and kind in _TELL_FOUND:
        text = f"{text}, found {_shown(error['input'])}"
    return ConfigProblem(origin, format_path(path), text)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value[: _MAX_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _unknown_key(error: Mapping[str, Any]) -> str:
    path: KeyPath = error["loc"]
    section = section_at(path[:-1])
    known = [] if section is None else list(keys_of(section))
    hint = did_you_mean(str(path[-1]), known)
    return f"unknown key{hint or '; known here: ' + ', '.join(known)}"


def _missing(error: Mapping[str, Any]) -> str:
    section = section_at(error["loc"])
    what = "a mapping" if section is not None else "it must be set"
    return f"this key is required: {what}"


def _literal(error: Mapping[str, Any]) -> str:
    expected: str = error["ctx"]["expected"]
    words = expected.replace("'", "").replace(" or ", ", ").split(", ")
    found = error["input"]
    hint = did_you_mean(found, words) if isinstance(found, str) else ""
    return f"expected one of {', '.join(words)}, found {_shown(found)}{hint}"


def _value(error: Mapping[str, Any]) -> str:
    return str(error["ctx"]["error"])


def _bound(word: str, name: str) -> Callable[[Mapping[str, Any]], str]:
    def tell(error: Mapping[str, Any]) -> str:
        return f"expected {word} {error['ctx'][name]}"

    return tell


def _text(text: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _: text


def _other(error: Mapping[str, Any]) -> str:
    message: str = error["msg"]
    return message


_TEXTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = MappingProxyType(
    {
        "extra_forbidden": _unknown_key,
        "missing": _missing,
        "literal_error": _literal,
        "value_error": _value,
        "int_type": _text("expected a whole number"),
        "int_parsing_size": _text("expected a smaller number"),
        "string_type": _text("expected text (quote it if it looks like a number)"),
        "bool_type": _text("expected true or false"),
        "list_type": _text("expected a list"),
        "dict_type": _text("expected a mapping"),
        "model_type": _text("expected a mapping"),
        "model_attributes_type": _text("expected a mapping"),
        "greater_than_equal": _bound("at least", "ge"),
        "less_than_equal": _bound("at most", "le"),
        "too_short": _bound("a number of items of at least", "min_length"),
        "too_long": _bound("a number of items of at most", "max_length"),
        "string_too_short": _bound("a length of at least", "min_length"),
        "string_too_long": _bound("a length of at most", "max_length"),
    }
)
_TELL_FOUND: Final = frozenset(_TEXTS) - {
    "extra_forbidden",
    "missing",
    "literal_error",
    "value_error",
    "too_short",
    "too_long",
}
