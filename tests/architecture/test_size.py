"""Modules and functions stay small enough to read; exceptions may only shrink."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.generated import ROOT

PACKAGES = ("bgpd", "reflector", "rib", "fib")
MAX_MODULE = 500  # lines
MAX_FUNCTION = 60  # lines, docstring excluded
MAX_FOLDERS = 3

# "path": lines, for modules; "path:function": lines, for functions. Both may only shrink.
LONGER_MODULES: dict[str, int] = {}
LONGER_FUNCTIONS: dict[str, int] = {}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not path.name.endswith("_pb2.py"):
                yield path


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    end = function.end_lineno or function.lineno
    lines = end - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        text = function.body[0]
        lines -= (text.end_lineno or text.lineno) - text.lineno + 1
    return lines


def functions() -> Iterator[tuple[str, int]]:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.name}", length(node)


def test_modules_are_short() -> None:
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources()
    }
    assert {n: k for n, k in lines.items() if k > MAX_MODULE} == LONGER_MODULES


def test_functions_are_short() -> None:
    longer = {name: lines for name, lines in functions() if lines > MAX_FUNCTION}
    assert longer == LONGER_FUNCTIONS


def test_folders_are_not_deep() -> None:
    deep = [
        path
        for path in sources()
        if len(path.relative_to(ROOT).parts) > MAX_FOLDERS + 1
    ]
    assert deep == []


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []
