"""What a long-lived object gathers is bounded, swept or taken back, and it is written down how.

Every attribute that begins as an empty collection, and is added to after its object was
made, stands in ``growing.toml``: by module, class and attribute, with the reason why it does
not grow for ever.
"""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.sources import ROOT, modules, nodes_of

pytestmark = pytest.mark.xdist_group("sources")  # the code is read once
LIST: Final = Path(__file__).with_name("growing.toml")
SHORT_LIVED: Final = ("bgpd/lab/", "bgpd/cli/")  # programs that end by themselves
REASONS: Final = ("bounded by ", "swept by ", "taken back by ", "ends with ")
GROWS: Final = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "extend",
        "extendleft",
        "insert",
        "setdefault",
        "update",
        "__ior__",
    }
)
# What is called to make a collection; others count by their name's end.
MAKERS: Final = frozenset(
    {
        "dict",
        "set",
        "list",
        "deque",
        "defaultdict",
        "Counter",
        "OrderedDict",
        "bytearray",
    }
)
MAKERS_OF_OURS: Final = ("Table", "Memo", "Registry")


def sources() -> Iterator[Path]:
    for path in modules():
        if not str(path.relative_to(ROOT)).startswith(SHORT_LIVED):
            yield path


def is_collection(value: ast.expr | None) -> bool:
    """Tell whether an expression makes a collection that can grow."""
    if isinstance(value, ast.Dict | ast.List | ast.Set):
        return True
    if isinstance(value, ast.DictComp | ast.ListComp | ast.SetComp):
        return True
    if isinstance(value, ast.IfExp):
        return is_collection(value.body) or is_collection(value.orelse)
    if not isinstance(value, ast.Call):
        return False
    function = value.func
    if isinstance(function, ast.Subscript):  # InternTable[int, str]()
        function = function.value
    name = function.attr if isinstance(function, ast.Attribute) else ""
    name = function.id if isinstance(function, ast.Name) else name
    if name == "field":  # of a dataclass
        return any(
            keyword.arg == "default_factory"
            and isinstance(keyword.value, ast.Name)
            and keyword.value.id in MAKERS
            for keyword in value.keywords
        )
    return name in MAKERS or name.endswith(MAKERS_OF_OURS)


def attribute(node: ast.expr, owner: str = "self") -> str:
    """Return the name in ``self.name``; empty for all else."""
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
    ):
        return node.attr
    return ""


def collections_of(owner: ast.ClassDef) -> set[str]:
    """Return the attributes of a class that are made as collections."""
    found: set[str] = set()
    for node in ast.walk(owner):
        targets: list[ast.expr] = []
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    found.update(
                        attribute(name)
                        for name, value in zip(
                            target.elts, node.value.elts, strict=False
                        )
                        if is_collection(value)
                    )
                else:
                    targets.append(target)
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if targets and is_collection(value):
            found.update(map(attribute, targets))
    for node in owner.body:  # fields of a dataclass
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and is_collection(node.value)
        ):
            found.add(node.target.id)
    return found - {""}


def grown_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names of attributes that some code of a module adds to.

    The name alone counts, whatever object it belongs to: so code that adds through a local
    variable, or from outside the class, is found too.
    """
    found: set[str] = set()
    for scope in nodes:
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= _grown_in(scope)
    return found


def _grown_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    aliases: dict[str, set[str]] = {}
    nodes = [*ast.walk(function)]
    for node in nodes:
        for target, value in _assignments(node):
            if isinstance(target, ast.Name):
                names = set(_attributes_in(value))
                if names:
                    aliases.setdefault(target.id, set()).update(names)
    found: set[str] = set()

    def note(node: ast.expr) -> None:
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.update(aliases.get(node.id, ()))
        elif isinstance(node, ast.Subscript):  # a collection of collections
            note(node.value)

    is_maker = function.name == "__init__"
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in GROWS:
            note(node.value)  # called, or passed on to be called
        elif isinstance(node, ast.AugAssign) and isinstance(
            node.op, ast.Add | ast.BitOr
        ):
            note(node.target)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.For):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for item in target.elts if isinstance(target, ast.Tuple) else (target,):
                    if isinstance(item, ast.Subscript) and not is_maker:
                        note(item.value)
    return found


def _assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(target.elts, node.value.elts, strict=False)
            else:
                yield target, node.value
    elif isinstance(node, ast.NamedExpr | ast.AnnAssign) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, ast.For):
        yield node.target, node.iter


def _attributes_in(value: ast.expr) -> Iterator[str]:
    """Yield the attributes that a variable may stand for, or for an item of."""
    if isinstance(value, ast.Attribute):
        yield value.attr
        yield from _attributes_in(value.value)
    elif isinstance(value, ast.Subscript):
        yield from _attributes_in(value.value)
    elif isinstance(value, ast.IfExp):
        yield from _attributes_in(value.body)
        yield from _attributes_in(value.orelse)
    elif isinstance(value, ast.BoolOp):
        for item in value.values:
            yield from _attributes_in(item)
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        yield from _attributes_in(value.func.value)  # self.x.get(key), self.x.values()


@cache
def growing() -> frozenset[str]:
    """Return every growing attribute as ``path:Class.attribute``."""
    modules_nodes = {str(path.relative_to(ROOT)): nodes_of(path) for path in sources()}
    grown = {name: grown_names(nodes) for name, nodes in modules_nodes.items()}
    everywhere: set[str] = set().union(*grown.values())
    found = set()
    for path, nodes in modules_nodes.items():
        for owner in nodes:
            if not isinstance(owner, ast.ClassDef):
                continue
            for name in collections_of(owner):
                # Private ones are grown where they are made.
                if name in (grown[path] if name.startswith("_") else everywhere):
                    found.add(f"{path}:{owner.name}.{name}")
    return frozenset(found)


def listed() -> dict[str, str]:
    """Return the list's entries: ``path:Class.attribute`` or ``path:Class`` -> reason."""
    found = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return {
        f"{path}:{name}": reason
        for path, entries in found.items()
        for name, reason in entries.items()
    }


def covering(name: str) -> set[str]:
    """Return the entries that may stand for an attribute."""
    return {name, name.rpartition(".")[0]}


def test_every_attribute_that_gathers_has_its_bound_in_the_list() -> None:
    entries = listed()
    assert sorted(n for n in growing() if not covering(n) & entries.keys()) == []


def test_no_entry_of_the_list_is_out_of_date() -> None:
    used = set().union(*map(covering, growing()))
    assert sorted(listed().keys() - used) == []


def test_reasons_begin_with_what_kind_they_are() -> None:
    odd = {n: why for n, why in listed().items() if not why.startswith(REASONS)}
    assert odd == {}


def test_names_in_reasons_are_those_of_the_code() -> None:
    words = {
        word
        for path in sources()
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
    }
    unknown = {
        name: sorted(missing)
        for name, why in listed().items()
        if (missing := set(re.findall(r"`(\w+)`", why)) - words)
    }
    assert unknown == {}


EXAMPLE: Final = """
from collections import deque

class Watched:
    filled: list[int] = field(default_factory=list)
    def __init__(self, given):
        self.given = given  # belongs to the caller
        self.constant = {1: 2}
        self.by_key = {}
        self._queue: deque[int] = deque()
        self._one, self._two = set(), []
        self.nested = {}
        self.counts = Counter()
        self.emptied = []
    def add(self, key):
        self.by_key[key] = 1
        queue = self._queue
        queue.append(key)
        remember = self._one.add
        remember(key)
        self._two += [key]
        self.nested.setdefault(key, {})[key] = key
        self.counts[key] += 1
        self.filled.append(key)
        self.emptied.clear()
        self.given.append(key)
"""


def test_ways_to_gather_are_seen() -> None:
    tree = ast.parse(EXAMPLE)
    (owner,) = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert collections_of(owner) & grown_names(ast.walk(tree)) == {
        "by_key",
        "_queue",
        "_one",
        "_two",
        "nested",
        "counts",
        "filled",
    }
