"""YAML text to plain values that remember where they stood. Pure.

Scalars follow YAML 1.2's core rules, because those of 1.1 betray routing people: there
``65000:10`` is a number in base 60 and ``on`` is a boolean. Duplicate keys are problems,
for the last one would win silently. Anchors, aliases and ``<<`` work, within a bound on
what they may unfold to.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeGuard

import yaml

from bgpd.config.errors import ConfigProblem, Origin

KeyPath = tuple[str | int, ...]

_MAX_NODES: Final = (
    500_000  # 20,000 peers with 25 keys each; stops aliases that explode
)
_MAX_DEPTH: Final = 32


@dataclass(slots=True)
class Document:
    """Plain values (``dict``, ``list``, ``str``, ``int``, ...) and their places.

    Attributes:
        source: Name for messages.
        data: The values.
        keys: Place of each mapping key, by path.
        values: Place of each value, by path.
        problems: What was wrong with the text itself.
    """

    source: str
    data: dict[str, object] = field(default_factory=dict)
    keys: dict[KeyPath, Origin] = field(default_factory=dict)
    values: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)

    def origin_of(self, path: KeyPath, *, of_key: bool = False) -> Origin:
        """Return where ``path`` stands, or its nearest ancestor that stands anywhere."""
        if of_key and path in self.keys:
            return self.keys[path]
        while path:
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return self.values.get((), Origin(self.source))

    def put(self, path: KeyPath, value: object, origin: Origin) -> None:
        """Set one value from elsewhere (environment, options) over what the file says."""
        at: dict[str, object] = self.data
        for name in path[:-1]:
            inner = at.get(str(name))
            if not isinstance(inner, dict):
                inner = at[str(name)] = {}
            at = inner
        at[str(path[-1])] = value
        self.keys[path] = self.values[path] = origin


# libyaml where PyYAML was built with it: 5,000 peers in 1.0 s instead of 2.3 s.
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BaseLoader):  # type: ignore[misc] # one of two classes
    """PyYAML's parser with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[object]] = {}  # noqa: RUF012 - PyYAML's way to begin with none


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("int", r"^(?:[-+]?[0-9]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$",
        "-+.0123456789",
    ),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(_pattern),
        ["" if letter == "\0" else letter for letter in _first],
    )


def parse_scalar(text: str) -> object:
    """Return ``text`` as a YAML scalar would be read: ``"179"`` is a number."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if isinstance(node, yaml.ScalarNode):
            return _scalar(loader, node)
    except (yaml.YAMLError, ValueError):
        return text
    finally:
        if loader is not None:
            loader.dispose()
    return text


def parse_document(text: str, source: str) -> Document:
    """Parse ``text``; never raises, what is wrong is in ``problems``."""
    document = Document(source)
    loader = None
    try:
        _bound_depth(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _Walk(document, loader).start(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        document.problems.append(ConfigProblem(_origin(source, mark), "", what))
    except yaml.YAMLError as error:
        what = str(error).splitlines()[0] if str(error) else "not YAML"
        document.problems.append(ConfigProblem(Origin(source), "", what))
    except RecursionError:
        what = "nested too deeply"
        document.problems.append(ConfigProblem(Origin(source), "", what))
    finally:
        if loader is not None:
            loader.dispose()
    return document


def _bound_depth(text: str) -> None:
    """Refuse what is nested too deeply before libyaml recurses into it, and crashes."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            _refuse(event.start_mark)


def _refuse(mark: Any) -> NoReturn:  # noqa: ANN401 - of either parser
    raise yaml.MarkedYAMLError(
        problem="too large, too deep, or an alias of itself", problem_mark=mark
    )


def format_path(path: KeyPath) -> str:
    """Return a path as people write it: ``peers[2].hold_time``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def _origin(source: str, mark: yaml.Mark | None) -> Origin:
    return (
        Origin(source)
        if mark is None
        else Origin(source, mark.line + 1, mark.column + 1)
    )


def _is_scalar(node: yaml.Node) -> TypeGuard[yaml.ScalarNode]:
    return isinstance(node, yaml.ScalarNode)


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> object:
    # YAML 1.2 has no octal by a leading zero: the base class would read 010 as eight.
    if node.tag == "tag:yaml.org,2002:int" and not node.value.startswith("0x"):
        return int(node.value)
    value: object = loader.construct_object(node)
    return value


class _Walk:
    """One pass over a node tree; bounded in depth and size."""

    def __init__(self, document: Document, loader: _Loader) -> None:
        self._document = document
        self._loader = loader
        self._count = 0

    def start(self, node: yaml.Node) -> None:
        document = self._document
        document.values[()] = self._place(node)
        if isinstance(node, yaml.MappingNode):
            document.data = self._mapping(node, ())
        elif not (isinstance(node, yaml.ScalarNode) and node.value == ""):
            self._problem(node, (), "expected a mapping of sections")

    def _place(self, node: yaml.Node) -> Origin:
        return _origin(self._document.source, node.start_mark)

    def _problem(self, node: yaml.Node, path: KeyPath, text: str) -> None:
        problem = ConfigProblem(self._place(node), format_path(path), text)
        self._document.problems.append(problem)

    def _value(self, node: yaml.Node, path: KeyPath) -> object:
        self._count += 1
        if self._count > _MAX_NODES or len(path) > _MAX_DEPTH:
            _refuse(node.start_mark)
        self._document.values[path] = self._place(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
        try:
            return _scalar(self._loader, node) if _is_scalar(node) else None
        except ValueError as error:
            self._problem(node, path, str(error))
            return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        self._find_duplicates(node, path)
        self._loader.flatten_mapping(node)
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str) or not key:
                self._problem(key_node, path, "a key must be a word")
                continue
            # Merged pairs stand before the mapping's own, which therefore win.
            self._document.keys[(*path, key)] = self._place(key_node)
            result[key] = self._value(value_node, (*path, key))
        return result

    def _find_duplicates(self, node: yaml.MappingNode, path: KeyPath) -> None:
        first: dict[str, yaml.Node] = {}
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key, str) or key_node.tag.endswith(":merge"):
                continue
            if key in first:
                line = first[key].start_mark.line + 1
                text = f"stands twice; first on line {line}"
                self._problem(key_node, (*path, key), text)
            first.setdefault(key, key_node)
