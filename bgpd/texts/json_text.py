"""JSON text to plain values, within limits. Pure.

Stricter than the library's reader, as Go's is: no NaN and Infinity, UTF-8 alone, halves of
characters become U+FFFD. A duplicate key is not an error, for the last one counts there
too; it is reported.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from bgpd.texts.limits import MAX_DIGITS, LimitError, Limits, TextError

_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET: Final = re.compile(r"[\[\]{}]")
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
_MAX_DOUBLED: Final = 8  # reported for one text
_Doubled = tuple[dict[str, object], list[str]]


class Loaded(NamedTuple):
    """What a text holds.

    Attributes:
        value: Plain values.
        doubled: Paths, as ``spec.rules.0.cidr``, of duplicate keys in one object,
            sorted; the first few.
    """

    value: object
    doubled: tuple[str, ...] = ()


def load(text: bytes | str, limits: Limits, *, keeps_halves: bool = False) -> Loaded:
    """Return what ``text`` holds.

    Args:
        text: UTF-8 where it is octets.
        limits: What is taken.
        keeps_halves: Leave halves of characters as they are, for callers that refuse them.

    Raises:
        LimitError: It is more than is taken.
        TextError: It is not JSON.
    """
    limits.check_octets(len(text))
    if isinstance(text, bytes):
        try:
            text = decode(text)
        except TextError as error:
            raise TextError(f"is not JSON: {error.problem}") from error
    _check_shape(text, limits)
    doubled: list[_Doubled] = []

    def pairs_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs) and len(doubled) < _MAX_DOUBLED:
            counts = Counter(key for key, _ in pairs)
            names = [key for key, count in counts.items() if count > 1]
            doubled.append((found, names[:_MAX_DOUBLED]))
        return found

    try:
        value = json.loads(
            text,
            object_pairs_hook=pairs_of,
            parse_int=_whole_number,
            parse_float=_fraction,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        problem = f"is not JSON: line {error.lineno}: {error.msg}"
        raise TextError(problem) from error
    except (ValueError, RecursionError) as error:
        raise TextError(f"is not JSON: {error}") from error
    paths = sorted(_paths(value, doubled)) if doubled else ()
    if not keeps_halves and _HALF.search(text):
        value = _whole_characters(value)
    return Loaded(value, tuple(paths[:_MAX_DOUBLED]))


class LoadedObject(NamedTuple):
    """A mapping out of a longer text.

    Attributes:
        value: Plain values; of a duplicate key the last one counts.
        end: Place of what follows it.
    """

    value: dict[str, Any]
    end: int


def load_object(text: str, start: int, depth: int) -> LoadedObject | None:
    """Return the mapping that begins at a place, at a fifth of the price of ``load``.

    Args:
        text: Of it and of what follows.
        start: Where it begins.
        depth: Levels of mappings and lists that are taken.

    Returns:
        Nothing without one: it may be cut off, nested deeper than the library reads, or not
        JSON. ``load`` distinguishes these.

    Raises:
        LimitError: It is deeper; how deep the library reads depends on its version.
        TextError: A number in it is too large, or none.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError):
        return None
    except ValueError as error:
        raise TextError(f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        return None
    opened = text.count("{", start, end) + text.count("[", start, end)
    if opened > depth and _is_deeper(value, depth):
        raise _too_deep(depth)
    if _HALF.search(text, start, end):
        value = _whole_characters(value)
    return LoadedObject(value, end)


def decode(octets: bytes) -> str:
    """Return text that is UTF-8, without the mark that some editors begin it with.

    Raises:
        TextError: It is not.
    """
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        found = f"octet {error.start} is 0x{octets[error.start]:02x}"
        column = error.start - octets.rfind(b"\n", 0, error.start)
        raise TextError(f"not UTF-8 text: {found}", line, column) from error


def _check_shape(text: str, limits: Limits) -> None:
    """Reject text that is too deep or too large before parsing it."""
    opened = text.count("{") + text.count("[")
    nodes = 1 + opened + text.count(",") + text.count(":")
    if opened <= limits.depth and nodes <= limits.nodes:
        return  # the usual case costs four scans in C
    bare = _STRING.sub("", text)
    opened = bare.count("{") + bare.count("[")
    nodes = 1 + opened + bare.count(",") + bare.count(":")
    if nodes > limits.nodes:
        raise LimitError(f"has {nodes} values; the limit is {limits.nodes}")
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "{[" else -1
        if depth > limits.depth:
            raise _too_deep(limits.depth)


def _too_deep(limit: int) -> LimitError:
    return LimitError(f"is more than {limit} levels deep, which is the limit")


def _is_deeper(value: object, depth: int) -> bool:
    """Return whether a value has more levels; level by level, since recursion has an end."""
    level = [value]
    for _ in range(depth):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        level = [each for each in inner if isinstance(each, (dict, list))]
        if not level:
            return False
    return True


def _paths(value: object, doubled: list[_Doubled]) -> Iterator[str]:
    """Yield the paths of doubled keys; of what a later key replaced there is none."""
    names = {id(found): keys for found, keys in doubled}
    stack: list[tuple[object, str]] = [(value, "")]
    while stack:
        each, above = stack.pop()
        if isinstance(each, dict):
            for key in names.get(id(each), ()):
                yield f"{above}{key}".encode(errors="replace").decode()
            stack += [(item, f"{above}{key}.") for key, item in each.items()]
        elif isinstance(each, list):
            stack += [(item, f"{above}{at}.") for at, item in enumerate(each)]


def _whole_number(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits; the limit is {MAX_DIGITS}")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:MAX_DIGITS]} is too large")
    return number


def _constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON value")


_DECODER: Final = json.JSONDecoder(
    parse_int=_whole_number, parse_float=_fraction, parse_constant=_constant
)


def _whole_characters(value: Any) -> Any:  # noqa: ANN401  # of the same kind
    """Return a value whose texts can be written as UTF-8."""
    if isinstance(value, str):
        octets = value.encode("utf-16", "surrogatepass")
        return octets.decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    if isinstance(value, dict):
        return {
            str(_whole_characters(key)): _whole_characters(item)
            for key, item in value.items()
        }
    return value
