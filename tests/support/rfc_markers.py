"""Which tests prove which RFC clauses: read from the sources of the tests.

Read, not collected: the outcome is the same whatever can run on this machine, and takes
a second. What counts is ``@pytest.mark.rfc(number, section, level)`` on a test or on its
class.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_Decorated = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Clause(NamedTuple):
    """A clause and one test that proves it.

    Attributes:
        rfc: Number.
        section: As the RFC numbers it; a title where it numbers none.
        level: RFC 2119's word.
        sentence: What the test proves, in the words of its name.
        path: The file, from the root of the tree.
    """

    rfc: int
    section: str
    level: str
    sentence: str
    path: str


def clauses(root: Path) -> list[Clause]:
    """Return all clauses that tests under ``root/tests`` name, by RFC and section."""
    found = {
        clause
        for path in sorted((root / "tests").rglob("test_*.py"))
        for clause in _of_file(path, path.relative_to(root).as_posix())
    }
    return sorted(found, key=lambda clause: (clause.rfc, _order(clause), clause))


def _order(clause: Clause) -> list[tuple[int, str]]:
    """Return a key that puts section 7.2 before 7.11."""
    return [
        (int(part), "") if part.isdigit() else (0, part)
        for part in clause.section.split(".")
    ]


def _of_file(path: Path, name: str) -> Iterator[Clause]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            topic = re.sub(r"(?<!^)(?=[A-Z])", " ", node.name.removeprefix("Test"))
            shared = _marks(node)
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from _of_test(member, name, f"{topic.lower()}: ", shared)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _of_test(node, name, "", [])


def _of_test(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    name: str,
    topic: str,
    shared: list[list[str]],
) -> Iterator[Clause]:
    if not node.name.startswith("test_"):
        return
    sentence = topic + node.name.removeprefix("test_").replace("_", " ")
    for number, section, level in [*shared, *_marks(node)]:
        yield Clause(int(number), section, level, sentence, name)


def _marks(node: _Decorated) -> list[list[str]]:
    return [
        [str(ast.literal_eval(argument)) for argument in decorator.args]
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        and ast.unparse(decorator.func) == "pytest.mark.rfc"
    ]
