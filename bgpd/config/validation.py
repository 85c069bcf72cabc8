"""From a document to the model, with the place of every error. Pure."""

import difflib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import ValidationError

from bgpd.config.document import MAX_PROBLEMS, Document, format_path
from bgpd.config.errors import ConfigProblem
from bgpd.config.model import DaemonConfig
from bgpd.config.schema import annotation_of, keys_of, section_at
from bgpd.texts.field_errors import MAX_SHOWN, choices_of, field_error, shown
from bgpd.texts.tree import KeyPath

_MAX_WORD: Final = 64  # characters; no key, name or choice is longer
_PLAIN_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*")
_DIGIT: Final = re.compile(r"[0-9]")
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
        listed: set[KeyPath] = set()
        problems += [
            _problem(document, dict(each), listed) for each in errors[:MAX_PROBLEMS]
        ]
        if (more := len(errors) - MAX_PROBLEMS) > 0:
            text = f"and {more} problem{'s' if more > 1 else ''} more"
            problems.append(ConfigProblem(problems[-1].origin, "", text))
        return None, problems
    return None if problems else config, problems


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most similar; empty if none is."""
    if len(word) > _MAX_WORD:
        return ""  # comparing costs the product of the lengths
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` if a known word is similar, else nothing."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def _problem(
    document: Document, error: Mapping[str, Any], listed: set[KeyPath]
) -> ConfigProblem:
    """Return what is wrong.

    Args:
        document: What was checked.
        error: What the model's library says.
        listed: Sections whose keys were listed already; changed.
    """
    path: KeyPath = document.as_written(tuple(error["loc"]))
    kind: str = error["type"]
    is_unknown = kind == "extra_forbidden"
    origin = document.origin_of(path, of_key=is_unknown)
    is_secret = bool(path) and path[-1] in _SECRET_KEYS
    if is_unknown:
        text = _unknown_key(error, listed)
    elif kind == "missing":
        text = _missing(error)
    elif kind in _INSTEAD and not is_secret:
        text = f"{_INSTEAD[kind]}, found {shown(error['input'])}"
    else:
        text = field_error(error, is_secret=is_secret)
    if kind == "literal_error":
        text += _hint(error)
    elif kind == "list_type" and _is_plain(error["input"]) and not is_secret:
        text += f"; write [{_written(error['input'])}]"
    return ConfigProblem(origin, format_path(path), text)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= MAX_SHOWN


def _written(value: object) -> str:
    """Return a plain value as a file has it."""
    if isinstance(value, str) and not _PLAIN_WORD.fullmatch(value):
        return repr(value)
    return shown(value) if isinstance(value, bool) else str(value)


def _unknown_key(error: Mapping[str, Any], listed: set[KeyPath]) -> str:
    """Say that there is no such key; which there are, for the first of a section alone."""
    path: KeyPath = error["loc"]
    section = section_at(path[:-1])
    known = [] if section is None else list(keys_of(section))
    hint = did_you_mean(str(path[-1]), known)
    if not hint and path[:-1] not in listed and known:
        listed.add(path[:-1])
        hint = f"; known here: {', '.join(known)}"
    return f"unknown key{hint}"


def _missing(error: Mapping[str, Any]) -> str:
    path: KeyPath = error["loc"]
    if section_at(path) is not None:
        return "this key is required: a mapping"
    section = section_at(path[:-1])
    field = None if section is None else keys_of(section).get(str(path[-1]))
    annotation = None if field is None else annotation_of(field)
    words = get_args(annotation) if get_origin(annotation) is Literal else ()
    return f"this key is required{': one of ' + ', '.join(words) if words else ''}"


def _hint(error: Mapping[str, Any]) -> str:
    """Return the word that was meant, where a choice was misspelt."""
    found, words = error["input"], choices_of(error)
    if not isinstance(found, str):
        return ""
    digits = _DIGIT.findall(found)  # one release is not another one misspelt
    return did_you_mean(
        found, [word for word in words if _DIGIT.findall(word) == digits]
    )


# What the file's form asks for, in place of the shared text.
_INSTEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "string_type": "expected text (quote it if it looks like a number)",
        "dict_type": "expected a mapping, with a name before each item",
    }
)
