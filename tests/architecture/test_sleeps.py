"""No fast test waits for the wall clock: what happens later is proven on virtual time."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/unit", "tests/property", "tests/conformance", "tests/simulation")
VIRTUAL = "tests/simulation/"  # timers there take no time
TIMERS = frozenset({"call_later", "call_at"})
EXCEPTIONS = {
    # A meter of real loops, on asyncio and uvloop: the sleep is the stall.
    "tests/unit/bgpd/runtime/test_loop_lag.py": 1,
    # A client that reads slowly, over a socket of the kernel's.
    # Timers of real loops, of 1 to 8 ms: whether they have their turn is what is tested.
    "tests/unit/bgpd/net/test_tcp_connection.py": 1,
    "tests/unit/bgpd/runtime/test_out_of_memory.py": 1,
    "tests/unit/bgpd/runtime/test_work_queue.py": 1,
}


def waits(text: str, *, is_virtual: bool = False) -> Iterator[int]:
    """Yield the lines that wait for time to pass.

    Those are calls of something named ``sleep``, whatever the module calls it, timers, and
    proofs by a wait that ends in a ``TimeoutError``.
    """
    if not any(word in text for word in ("sleep", "TimeoutError", *TIMERS)):
        return
    nodes = [*ast.walk(ast.parse(text))]
    names = {"sleep"} | {
        alias.asname
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == "sleep" and alias.asname
    }
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in names or (name in TIMERS and not is_virtual):
            yield node.lineno
        elif name in {"raises", "suppress"} and not is_virtual:
            yield from (node.lineno for each in node.args if _is_timeout(each))


def _is_timeout(expected: ast.expr) -> bool:
    inner = expected.elts if isinstance(expected, ast.Tuple) else [expected]
    return any(ast.unparse(each).endswith("TimeoutError") for each in inner)


def test_no_fast_test_sleeps() -> None:
    found: Counter[str] = Counter()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            text = path.read_text(encoding="utf-8")
            found[name] += len([*waits(text, is_virtual=name.startswith(VIRTUAL))])
    assert +found == EXCEPTIONS, (
        "use tests.support.simnet.advance, or tests.support.turns"
    )


@pytest.mark.parametrize(
    "text",
    [
        "await asyncio.sleep(1)",
        "from time import sleep as rest\nrest(1)",
        "loop.call_later(0.2, put)",
        "with pytest.raises(TimeoutError):\n    await asyncio.wait_for(work, 0.3)",
        "with suppress(OSError, (asyncio.TimeoutError, KeyError)):\n    work()",
    ],
)
def test_ways_to_wait_are_seen(text: str) -> None:
    assert len([*waits(text)]) == 1


def test_on_virtual_time_timers_take_no_time() -> None:
    assert not [*waits("loop.call_later(9, put)", is_virtual=True)]
    assert [*waits("time.sleep(9)", is_virtual=True)] == [1]
