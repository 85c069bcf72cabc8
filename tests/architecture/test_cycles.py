"""Imports go one way: no circle among modules, those for types alone included.

A circle means that neither module can be read, tested or moved without the other. An import
below ``TYPE_CHECKING``, or inside a function, is an arrow as well: it spares the loader,
not the reader. Where a lower part needs something of one above it, it says what with a
``Protocol`` of its own.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.sources import ROOT, modules, nodes_of

pytestmark = pytest.mark.xdist_group("sources")  # the code is read once

# Modules of each circle that there still is. May only shrink.
CIRCLES: Final[frozenset[frozenset[str]]] = frozenset()


def by_name() -> dict[str, Path]:
    """Return the file of each module, by its dotted name."""
    found = {}
    for path in modules():
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(nodes: Iterable[ast.AST], known: Mapping[str, object]) -> Iterator[str]:
    """Yield those of our modules that a module imports, at any place in it."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names = f"{node.module}.{alias.name}", node.module
                yield from [name for name in names if name in known][:1]


def circles(arrows: Mapping[str, frozenset[str]]) -> set[frozenset[str]]:
    """Return the sets of nodes that lead to each other."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        left = [start]
        while left:
            for other in arrows[left.pop()] - seen:
                seen.add(other)
                left.append(other)
        return seen

    reached = {name: reach(name) for name in arrows}
    return {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in arrows
        if name in reached[name]
    }


def test_no_modules_import_each_other() -> None:
    known = by_name()
    arrows = {
        name: frozenset(imported(nodes_of(path), known)) - {name}
        for name, path in known.items()
    }
    assert circles(arrows) == CIRCLES


def test_circles_are_found() -> None:
    arrows = {"a": "b", "b": "cd", "c": "a", "d": "e", "e": "e", "f": "a"}
    found = circles({name: frozenset(to) for name, to in arrows.items()})
    assert found == {frozenset("abc"), frozenset("e")}


def test_imports_for_types_and_in_functions_count() -> None:
    text = (
        "import one.two\n"
        "if TYPE_CHECKING:\n    from one import two, Three\n"
        "def late():\n    from four import five\n    import other\n"
    )
    known = dict.fromkeys(("one", "one.two", "four"))
    found = set(imported(ast.walk(ast.parse(text)), known))
    assert found == {"one.two", "one", "four"}
