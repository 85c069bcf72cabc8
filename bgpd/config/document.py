"""YAML text to plain values that remember their places. Pure.

Scalars follow YAML 1.2's core rules. Duplicate keys are problems, for the last one would win
silently. Anchors, aliases and ``<<`` work, within limits on what they unfold to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from bgpd.config.errors import ConfigProblem, Origin
from bgpd.texts.limits import CONFIGURATION, Limits, TextError
from bgpd.texts.tree import (
    KeyPath,
    Node,
    ScalarNode,
    doubled_keys,
    place_of,
    plain,
)
from bgpd.texts.yaml_text import CORE, compose

_SCALAR: Final = Limits(1 << 16, 1, 0)
_MAX_KEY: Final = 64  # characters shown of a key
MAX_PROBLEMS: Final = 50  # reported for one configuration


@dataclass(slots=True)
class Document:
    """Plain values (``dict``, ``list``, ``str``, ``int``, ...) and their places.

    Attributes:
        source: Name for messages.
        data: The values.
        root: What the text says, with places; ``None`` without a text.
        others: Where values stand that are not from the text, by path.
        problems: What was wrong with the text itself.
        is_unreadable: There is nothing to check: the text is not YAML, or something else.
    """

    source: str
    data: dict[str, object] = field(default_factory=dict)
    root: Node | None = None
    others: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)
    is_unreadable: bool = False

    def origin_of(self, path: KeyPath, *, of_key: bool = False) -> Origin:
        """Return the place of ``path``, or of its nearest ancestor that has one."""
        above = path
        while above:
            if above in self.others:
                return self.others[above]
            above = above[:-1]
        if self.root is None:
            return Origin(self.source)
        return self._origin(place_of(self.root, path, of_key=of_key))

    def as_written(self, path: KeyPath) -> KeyPath:
        """Return ``path`` without the keys that the short form of a list stands for."""
        at: Any = self.data
        written: list[str | int] = []
        for part in path:
            if isinstance(at, list) and isinstance(part, str):
                continue
            written.append(part)
            try:
                at = at[part]
            except (KeyError, IndexError, TypeError):
                at = None
        return tuple(written)

    def put(self, path: KeyPath, value: object, origin: Origin) -> None:
        """Override a value of the file with one from the environment or options."""
        at: dict[str, object] = self.data
        for name in path[:-1]:
            inner = at.get(str(name))
            if not isinstance(inner, dict):
                inner = at[str(name)] = {}
            at = inner
        at[str(path[-1])] = value
        self.others[path] = origin

    def take(self, root: Node) -> None:
        """Load a text."""
        self.root = root
        values = plain(root)
        if isinstance(values, dict) and (found := foreign_object(values)):
            self._refuse(root, found)
        elif isinstance(values, dict):
            self.data = values
        elif not (isinstance(root, ScalarNode) and root.text == ""):
            self._refuse(root, "expected a mapping of sections, such as bgp:")
        for path, key, first in islice(doubled_keys(root), MAX_PROBLEMS):
            self._problem(key, path, f"duplicate key; first on line {first.line}")

    def _refuse(self, root: Node, text: str) -> None:
        self._problem(root, (), text)
        self.is_unreadable = True

    def _origin(self, node: Node) -> Origin:
        return Origin(self.source, node.line, node.column)

    def _problem(self, node: Node, path: KeyPath, text: str) -> None:
        problem = ConfigProblem(self._origin(node), format_path(path), text)
        self.problems.append(problem)


def parse_scalar(text: str) -> object:
    """Return ``text`` as a YAML scalar would be read: ``"179"`` is a number."""
    try:
        node = compose(text, _SCALAR, CORE)
    except TextError:
        return text
    return node.value if isinstance(node, ScalarNode) else text


def parse_document(text: str, source: str, limits: Limits = CONFIGURATION) -> Document:
    """Parse ``text``; never raises, errors are in ``problems``."""
    document = Document(source)
    try:
        root = compose(text, limits, CORE)
    except TextError as error:
        origin = Origin(source, error.line, error.column)
        document.problems.append(ConfigProblem(origin, "", error.problem))
        document.is_unreadable = True
        return document
    if root is not None:
        document.take(root)
    return document


def foreign_object(values: Mapping[str, object]) -> str:
    """Return what to do if it is an object of Kubernetes or Calico; empty if it is none."""
    kind, metadata = values.get("kind"), values.get("metadata")
    if not (isinstance(kind, str) and "apiVersion" in values):
        return ""
    name = metadata.get("name") if isinstance(metadata, dict) else None
    what = f"this is a {kind[:_MAX_KEY]} of Kubernetes, not a configuration of pybgpd"
    data = values.get("data")
    if kind != "ConfigMap" or not isinstance(data, dict):
        return f"{what}; a folder of such objects can be the datastore (datastore.path)"
    key = next((str(key) for key in data if str(key).endswith((".yaml", ".yml"))), "")
    if not key:
        return f"{what}, and has no file in it"
    path = key.replace(".", "\\.")
    command = (
        f"kubectl get configmap {name} -o jsonpath='{{.data.{path}}}' >{key}"
        if isinstance(name, str)
        else f"put it into a file {key}"
    )
    return f"{what}; check the text in its data.{key}: {command[: 4 * _MAX_KEY]}"


def format_path(path: KeyPath) -> str:
    """Return a path as people write it: ``peers[2].hold_time``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        word = part if len(part) <= _MAX_KEY else f"{part[:_MAX_KEY]}..."
        text += f".{word}" if text else word
    return text
