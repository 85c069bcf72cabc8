"""No fast test waits for the wall clock: what happens later is proven on virtual time."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/unit", "tests/property", "tests/conformance", "tests/simulation")
EXCEPTIONS = {
    # A meter of real loops, on asyncio and uvloop: the sleep is the stall.
    "tests/unit/bgpd/runtime/test_loop_lag.py": 1,
    # A client that reads slowly, over a socket of the kernel's.
    "tests/unit/bgpd/api/test_control.py": 1,
}


def calls_of_sleep(path: Path) -> Iterator[int]:
    """Yield the lines that call something named ``sleep``."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if "sleep" in text else ():
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else ""
            if isinstance(called, ast.Name):
                name = called.id
            if name == "sleep":
                yield node.lineno


def test_no_fast_test_sleeps() -> None:
    found = Counter(
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for _ in calls_of_sleep(path)
    )
    assert found == EXCEPTIONS, (
        "use tests.support.simnet.advance, or tests.support.turns"
    )
