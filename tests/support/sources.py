"""The code of the four packages, parsed once for all the gates that one process runs."""

import ast
import gc
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("bgpd", "reflector", "rib", "fib")


@cache
def modules() -> tuple[Path, ...]:
    """Return the files of all modules that people wrote."""
    return tuple(
        path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.name.endswith("_pb2.py")
    )


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a module's tree, which is shared and must not be changed."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a module's tree, as ``ast.walk`` yields them."""
    found = tuple(ast.walk(tree_of(path)))
    # Trees stay: the collector must not look at them again and again.
    gc.freeze()
    return found
