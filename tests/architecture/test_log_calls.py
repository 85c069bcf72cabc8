"""Every module that logs has one logger, spelled and named in the same way."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("bgpd", "fib", "rib", "reflector")
MODULES: Final = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py")
)
LOGGER: Final = re.compile(r"_log(?:ger)?", re.IGNORECASE)
# Not ours to name: the root logger's handlers, and libraries that are set to log less.
FOREIGN: Final = frozenset({"", "httpx2"})


def strays(tree: ast.Module) -> Iterator[str]:
    """Yield what names a logger otherwise, or calls something else a logger."""
    loggers = 0
    for node in ast.walk(tree):
        match node:
            case (
                ast.Import(names=names) | ast.ImportFrom(module="logging", names=names)
            ):
                found = [
                    each for each in names if each.name in ("logging", "getLogger")
                ]
                if isinstance(node, ast.ImportFrom) or any(
                    each.asname for each in found
                ):
                    yield from (f"imports {each.name}" for each in found)
            case ast.Assign(targets=[target], value=value) if _is_ours(value):
                loggers += 1
                if node not in tree.body or ast.unparse(target) != "_log":
                    yield f"calls a logger {ast.unparse(target)}"
            case ast.Assign(targets=targets):
                yield from (name for each in targets for name in _like_a_logger(each))
            case ast.AnnAssign(target=target, value=value):
                if value is not None and _is_ours(value):
                    yield f"calls a logger {ast.unparse(target)}"
                yield from _like_a_logger(target)
            case ast.arg(arg=name) if LOGGER.fullmatch(name):
                yield f"hands around {name}"
            case ast.Call(func=ast.Attribute(attr="getLogger" | "getChild"), args=args):
                name = ast.unparse(args[0]) if args else ""
                if name.strip("'\"") not in FOREIGN | {"__name__"}:
                    yield f"names a logger {name}"
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id="logging"),
                    attr="debug" | "info" | "warning" | "error" | "critical" | "log",
                )
            ):
                yield "logs to the root"
            case _:
                pass
    if loggers > 1:
        yield "has several loggers"


def _is_ours(value: ast.expr) -> bool:
    return ast.unparse(value) == "logging.getLogger(__name__)"


def _like_a_logger(target: ast.expr) -> Iterator[str]:
    name = ast.unparse(target).removeprefix("self.")
    if LOGGER.fullmatch(name):
        yield f"calls something {name}"


def test_loggers_are_spelled_and_named_in_one_way() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    found = {
        f"{path.relative_to(ROOT)}: {stray}"
        for path, tree in trees.items()
        for stray in strays(tree)
    }
    assert found == set()
    logging = {path for path in trees if "_log." in path.read_text(encoding="utf-8")}
    assert len(logging) > 50


@pytest.mark.parametrize(
    "text",
    [
        '_log = logging.getLogger("pybgpd.fib")',
        "_LOG: Final = logging.getLogger(__name__)",
        "log = logging.getLogger(__name__)",
        "LOG: Final = logging.getLogger(__name__)",
        "_log = logging.getLogger(__name__ + '.x')",
        "def f():\n    _log = logging.getLogger(__name__)",
        "self._log = WarningLog()",
        "def f(_log): pass",
        "logging.warning('x')",
        "from logging import getLogger",
        "import logging as l",
        "_log = logging.getLogger(__name__)\n_log = logging.getLogger(__name__)",
        "_log = logging.getLogger(__name__).getChild('x')",
    ],
)
def test_another_way_is_found(text: str) -> None:
    assert [*strays(ast.parse(text))]
