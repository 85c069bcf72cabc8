"""Regular expressions of AS paths: text -> tree. Pure.

The usual syntax, less what cannot be matched in linear time: back references, look-around,
atomic groups and possessive repeats. A ``_`` is a border between numbers, or an end, as
router makers write it. An expression is over the characters that the text of a path has
(``rib.attributes.as_path.format_as_path``); any other character can be written and never occurs.
"""

import re
from typing import Final, NamedTuple, NoReturn, Union

MAX_SIZE: Final = 2_000
"""Characters, groups and so on of one expression, with repeats expanded: some 300 AS
numbers. It bounds what a match of the worst expression costs."""
MAX_DEPTH: Final = 50  # groups in groups

DIGITS: Final = frozenset("0123456789")
BORDERS: Final = frozenset(" ,(){}[]")
ALPHABET: Final = DIGITS | BORDERS

_BOUNDS: Final = re.compile(r"[*+?]|\{(?!\})([0-9]*)(?:(,)([0-9]*))?\}")
_SIGNS: Final[dict[str, tuple[int, int | None]]] = {
    "*": (0, None),
    "+": (1, None),
    "?": (0, 1),
}
_SETS: Final = {
    "d": DIGITS,
    "D": ALPHABET - DIGITS,
    "w": DIGITS,
    "W": ALPHABET - DIGITS,
    "s": frozenset(" "),
    "S": ALPHABET - {" "},
}
_PLACES: Final = {"b": "b", "B": "B", "A": "^", "Z": "$"}
_GROUP: Final = re.compile(r"\?:|\?P<\w+>")


class PatternError(ValueError):
    """An expression is not supported; the text says why."""


class Chars(NamedTuple):
    """One character of these."""

    chars: frozenset[str]
    size: int = 1


class Place(NamedTuple):
    """No character, but a condition on those around: ``^``, ``$``, ``b`` or ``B``."""

    kind: str
    size: int = 1


class Joined(NamedTuple):
    """One part after another."""

    parts: "tuple[Pattern, ...]"
    size: int


class Either(NamedTuple):
    """One of the parts."""

    parts: "tuple[Pattern, ...]"
    size: int


class Repeated(NamedTuple):
    """A repeated part; ``most`` is ``None`` without a limit."""

    part: "Pattern"
    least: int
    most: int | None
    size: int


Pattern = Union[Chars, Place, Joined, Either, Repeated]  # noqa: UP007  # refers to itself

_BORDER: Final = Either((Place("^"), Place("$"), Chars(BORDERS)), 3)


def parse_pattern(text: str) -> Pattern:
    """Return the parsed form of an expression.

    Raises:
        PatternError: It is malformed, uses something unsupported, or is too large.
    """
    try:
        re.compile(text)  # reports malformed syntax, so that the parser below need not
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(str(error)) from error
    return _Parser(text).either()


class _Parser:
    """One pass over an expression that is well-formed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def _refuse(self, problem: str) -> NoReturn:
        raise PatternError(f"{problem} at position {self._at}")

    def _take(self, text: str) -> bool:
        """Take a piece of text if it is next."""
        is_next = self._text.startswith(text, self._at)
        if is_next:
            self._at += len(text)
        return is_next

    def _next(self) -> str:
        """Take one character."""
        self._at += 1
        return self._text[self._at - 1]

    def _sized(self, size: int) -> int:
        """Return a size, unless it is too large."""
        if size > MAX_SIZE:
            self._refuse(
                f"more than {MAX_SIZE} characters, with repeats expanded; "
                "several terms may share them:"
            )
        return size

    def either(self) -> Pattern:
        """Take alternatives, up to the end or a ``)``."""
        parts = [self._joined()]
        while self._take("|"):
            parts.append(self._joined())
        if len(parts) == 1:
            return parts[0]
        return Either(tuple(parts), self._sized(sum(part.size for part in parts)))

    def _joined(self) -> Pattern:
        parts: list[Pattern] = []
        size = 1
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            part = self._repeated()
            size = self._sized(size + part.size)
            parts.append(part)
        return Joined(tuple(parts), size)

    def _repeated(self) -> Pattern:
        part = self._atom()
        bounds = _BOUNDS.match(self._text, self._at)
        if bounds is None:
            return part
        self._at = bounds.end()
        if self._take("+"):
            self._refuse("possessive repeats are not supported")
        self._take("?")  # as few as possible: whether it matches is the same
        least, most = _limits(bounds)
        size = self._sized(part.size * max(least, most or 0, 1))
        return Repeated(part, least, most, size)

    def _atom(self) -> Pattern:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return Chars(self._set())
        if char == "\\":
            return self._escaped()
        if char in "^$":
            return Place(char)
        if char == "_":
            return _BORDER
        return Chars(ALPHABET if char == "." else ALPHABET & {char})

    def _group(self) -> Pattern:
        found = _GROUP.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        elif self._take("?"):
            self._refuse("groups are (...) and (?:...); other kinds are not supported")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._refuse(f"over {MAX_DEPTH} nested groups")
        inside = self.either()
        self._depth -= 1
        self._at += 1  # its end
        return inside

    def _escaped(self) -> Pattern:
        char = self._next()
        if char in _PLACES:
            return Place(_PLACES[char])
        return Chars(self._escaped_set(char) or ALPHABET & {char})

    def _escaped_set(self, char: str) -> frozenset[str] | None:
        """Return the meaning of an escaped character; ``None`` for itself."""
        if char.isalnum() and char not in _SETS:
            self._refuse(f"\\{char} is not supported")
        return _SETS.get(char)

    def _set(self) -> frozenset[str]:
        """Take the rest of ``[...]``."""
        is_negated = self._take("^")
        chars: frozenset[str] = frozenset()
        is_first = True
        while is_first or not self._take("]"):
            is_first = False
            chars |= self._member()
        return ALPHABET - chars if is_negated else chars

    def _member(self) -> frozenset[str]:
        """Take a character of a set, a range of them, or one that stands for several."""
        low = self._next()
        if low == "_":
            self._refuse("_ is not supported inside [...],")
        if low == "\\":
            low = self._next()
            several = self._escaped_set(low)
            if several is not None:
                return several
        if self._text.startswith("-]", self._at) or not self._take("-"):
            return ALPHABET & {low}
        high = self._next()
        if high == "\\":
            high = self._next()
        return frozenset(char for char in ALPHABET if low <= char <= high)


def _limits(bounds: re.Match[str]) -> tuple[int, int | None]:
    """Return how often something is repeated: at least, and at most."""
    if bounds[0] in _SIGNS:
        return _SIGNS[bounds[0]]
    least = int(bounds[1] or 0)
    if not bounds[2]:
        return least, least
    return least, int(bounds[3]) if bounds[3] else None
