"""YAML text to a tree of values, within limits. Pure.

The tree is made from the parser's events, so no constructor of the library ever runs: texts,
numbers, booleans, null, lists and mappings are all that a text can make. Any other tag
(``!!timestamp``, ``!!set``, ``!!python/...``, ``!mine``) is an error with its place.

Anchors, aliases and merges (``<<``) work. A node that is named by an alias is shared in the
tree and counts as often as it is named, so what a text unfolds to is known before anything
unfolds it.
"""

import math
import re
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, NamedTuple, NoReturn

import yaml

from bgpd.texts.limits import MAX_DIGITS, LimitError, Limits, TextError
from bgpd.texts.tree import ListNode, MapNode, Node, ScalarNode
from bgpd.texts.yaml_faults import Fault, in_words

# libyaml where PyYAML was built with it: 8x faster, and the same grammar.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_STANDARD: Final = "tag:yaml.org,2002:"
_MAX_SHOWN: Final = 40  # characters of what was found
_MERGE: Final = object()  # what a plain `<<` means as a key


def shown(text: str) -> str:
    """Return a text for a message: quoted, and short."""
    return repr(text) if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]!r}..."


# -- scalars ------------------------------------------------------------------------------

_DECIMAL: Final = re.compile(r"[-+]?[0-9]+")
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]+")
_FRACTION: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
)
_BOOLEANS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


def _whole_number(text: str) -> int:
    is_hexadecimal = _HEXADECIMAL.fullmatch(text) is not None
    if not is_hexadecimal and not _DECIMAL.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a whole number")
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits; the limit is {MAX_DIGITS}")
    return int(text, 16 if is_hexadecimal else 10)


def _fraction(text: str) -> float:
    if not _FRACTION.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a number")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shown(text)} is too large")
    return number


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError(f"{shown(text)} is neither true nor false")
    return _BOOLEANS[text]


def _null(text: str) -> None:
    if text not in _NULLS:
        raise ValueError(f"{shown(text)} is not null")


def _merge(_: str) -> object:
    return _MERGE


_CONSTRUCTORS: Final[dict[str, Callable[[str], object]]] = {
    "str": str,
    "int": _whole_number,
    "float": _fraction,
    "bool": _boolean,
    "null": _null,
    "merge": _merge,
}
_COLLECTIONS: Final = {"seq": ListNode, "map": MapNode}

Rule = tuple[str, str, str]  # tag, pattern of a plain scalar, its first characters


class Scalars:
    """What plain scalars mean, those without quotes and tag; others are texts.

    Args:
        rules: Tag, pattern and first characters; an empty scalar is null.
    """

    def __init__(self, *rules: Rule) -> None:
        self._rules: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
        for tag, pattern, first in rules:
            for letter in first:
                self._rules.setdefault(letter, []).append((tag, re.compile(pattern)))

    # hot-ish: per scalar of a text
    def tag_of(self, text: str) -> str:
        """Return the short name of the tag."""
        if not text:
            return "null"
        for tag, pattern in self._rules.get(text[0], ()):
            if pattern.fullmatch(text):
                return tag
        return "str"


_ANY_NULL: Final = ("null", r"~|null|Null|NULL", "~nN")
_ANY_MERGE: Final = ("merge", r"<<", "<")

# YAML 1.2's core rules, because those of 1.1 betray routing people: there 65000:10 is a
# number in base 60, 010 is eight and `on` is a boolean.
CORE: Final = Scalars(
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    _ANY_NULL,
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
    _ANY_MERGE,
)
# Fewer still: 1.10 is an AS number, 010 a text.
STRICT: Final = Scalars(
    ("bool", r"true|false", "tf"),
    _ANY_NULL,
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    _ANY_MERGE,
)


# -- trees --------------------------------------------------------------------------------


def compose(text: str, limits: Limits, scalars: Scalars) -> Node | None:
    """Return the one document of a text; ``None`` if it is empty.

    The tree takes some 150 octets a value while it is there.

    Raises:
        LimitError: It is more than is taken.
        TextError: It is not YAML, or has an unsupported tag.
    """
    limits.check_octets(len(text))
    parser = None
    try:
        parser = _Parser(text)
        return _Composer(parser, limits, scalars).document()
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(text, error) from error
    except yaml.reader.ReaderError as error:
        raise _unreadable(text, error) from error
    except yaml.YAMLError as error:
        raise TextError(f"not YAML: {error}") from error
    finally:
        if parser is not None:
            parser.dispose()


def parse_scalar(text: str, scalars: Scalars = CORE) -> object:
    """Return what ``text`` would mean as a plain scalar: ``179`` is a number."""
    try:
        return _CONSTRUCTORS[scalars.tag_of(text)](text)
    except ValueError:
        return text


def _not_yaml(text: str, error: Any) -> TextError:  # noqa: ANN401  # the library has no types
    start, place = error.context_mark, error.problem_mark
    place = place or start
    if place is None:
        return TextError("not YAML")
    line = next(islice(text.splitlines(), place.line, None), "")
    fault = Fault(
        error.context or "",
        error.problem or "",
        found=line[place.column : place.column + 1] or "\0",
        before=line[: place.column],
        since=0 if start is None else start.line + 1,
    )
    words, is_at_start = in_words(fault)
    at = start if is_at_start and start is not None else place
    return TextError(f"not YAML: {words}", at.line + 1, at.column + 1)


def _unreadable(text: str, error: Any) -> TextError:  # noqa: ANN401  # the library has no types
    position = error.position if isinstance(error.position, int) else 0
    line = text.count("\n", 0, position) + 1
    code = error.character if isinstance(error.character, int) else ord(error.character)
    return TextError(f"not YAML: the character U+{code:04X} is not allowed", line)


class _Open(NamedTuple):
    """A collection whose end has not come yet.

    Attributes:
        node: What it becomes.
        anchor: Its name for aliases.
        parts: What was met in it so far: items, or keys and values in turn.
        nodes: Counted when it began.
        octets: As ``nodes``.
    """

    node: ListNode | MapNode
    anchor: str | None
    parts: list[Node]
    nodes: int
    octets: int


class _Composer:
    """One pass over the events of a parser; not recursive, so no depth can end it."""

    def __init__(self, parser: Any, limits: Limits, scalars: Scalars) -> None:  # noqa: ANN401  # of two
        self._next = parser.get_event
        self._limits = limits
        self._scalars = scalars
        self._anchors: dict[str, Node | None] = {}  # None: its end has not come yet
        self._stack: list[_Open] = []
        self._root: Node | None = None
        self._nodes = 0
        self._octets = 0

    def document(self) -> Node | None:
        has_document = False
        while True:
            event = self._next()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._begin(event, MapNode)
            elif kind is yaml.SequenceStartEvent:
                self._begin(event, ListNode)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                if has_document:
                    _refuse(event, "not YAML: a second document; expected one")
                has_document = True
            elif kind is yaml.StreamEndEvent:
                return self._root

    def _scalar(self, event: Any) -> None:  # noqa: ANN401  # of two parsers
        text: str = event.value
        tag = event.tag
        if tag is None:
            is_plain = event.implicit[0]
            name = self._scalars.tag_of(text) if is_plain else "str"
        elif tag == "!":
            name = "str"
        else:
            name = self._short(event, tag, _CONSTRUCTORS)
        mark = event.start_mark
        try:
            value = _CONSTRUCTORS[name](text)
        except ValueError as error:
            raise TextError(str(error), mark.line + 1, mark.column + 1) from error
        node = ScalarNode(mark.line + 1, mark.column + 1, text, value)
        self._count(event, 1, len(text))
        self._put(node, event.anchor)

    def _begin(self, event: Any, kind: type[ListNode | MapNode]) -> None:  # noqa: ANN401  # as above
        tag = event.tag
        if tag is not None and tag != "!":
            name = self._short(event, tag, _COLLECTIONS)
            if _COLLECTIONS[name] is not kind:
                _refuse(event, f"tag !!{name} does not fit the value after it")
        mark = event.start_mark
        node = kind(mark.line + 1, mark.column + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        opened = _Open(node, event.anchor, [], self._nodes, self._octets)
        self._stack.append(opened)
        self._check_depth(event, 0)
        self._count(event, 1, 0)

    def _end(self) -> None:
        opened = self._stack.pop()
        node, parts = opened.node, opened.parts
        node.nodes = self._nodes - opened.nodes
        node.octets = self._octets - opened.octets
        if parts:
            node.height = 1 + max([part.height for part in parts])
        if isinstance(node, ListNode):
            node.items = parts
        else:
            for index in range(0, len(parts), 2):
                _add_pair(node, parts[index], parts[index + 1])
        self._put(node, opened.anchor)

    def _alias(self, event: Any) -> None:  # noqa: ANN401  # as above
        name = event.anchor
        if name not in self._anchors:
            _refuse(event, f"not YAML: no anchor {shown(name)} before this alias")
        node = self._anchors[name]
        if node is None:
            _refuse(event, f"alias {shown(name)} refers to the value that contains it")
        self._check_depth(event, node.height)
        self._count(event, node.nodes, node.octets)
        self._put(node, None)

    def _put(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if self._stack:
            self._stack[-1].parts.append(node)
        else:
            self._root = node

    def _count(self, event: Any, nodes: int, octets: int) -> None:  # noqa: ANN401  # as above
        self._nodes += nodes
        self._octets += octets
        if self._nodes > self._limits.nodes:
            found = f"{self._nodes} values up to here, with aliases expanded"
            _refuse(event, f"{found}; the limit is {self._limits.nodes}", LimitError)
        if self._octets > self._limits.octets:
            found = f"{self._octets} characters up to here, with aliases expanded"
            _refuse(event, f"{found}; the limit is {self._limits.octets}", LimitError)

    def _check_depth(self, event: Any, more: int) -> None:  # noqa: ANN401  # as above
        depth = len(self._stack) + more
        if depth > self._limits.depth:
            text = f"{depth} levels deep; the limit is {self._limits.depth}"
            _refuse(event, text, LimitError)

    @staticmethod
    def _short(event: Any, tag: str, known: dict[str, Any]) -> str:  # noqa: ANN401  # as above
        name = tag.removeprefix(_STANDARD)
        if name == tag or name not in known:
            written = f"!!{name}" if name != tag else tag
            _refuse(
                event,
                f"unsupported tag {shown(written)}; "
                + ", ".join(f"!!{each}" for each in known if each != "merge")
                + " are",
            )
        return name


def _add_pair(node: MapNode, key: Node, value: Node) -> None:
    if not isinstance(key, ScalarNode):
        raise TextError("a key must be a word", key.line, key.column)
    if key.value is not _MERGE:
        node.pairs.append((key, value))
        return
    sources = value.items if isinstance(value, ListNode) else [value]
    for source in sources:
        if not isinstance(source, MapNode):
            text = "<< needs a mapping or a list of mappings"
            raise TextError(text, source.line, source.column)
        node.merged.append(source)


def _refuse(event: Any, text: str, kind: type[TextError] = TextError) -> NoReturn:  # noqa: ANN401  # of two parsers
    mark = event.start_mark
    raise kind(text, mark.line + 1, mark.column + 1)
