"""The event loop and the garbage collector, set up for tables of millions.

uvloop where it can be imported, stock asyncio otherwise; both are tested.
"""

import asyncio
import gc
import importlib
import resource
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Final

from bgpd.runtime.allocator import map_large_blocks
from bgpd.runtime.out_of_memory import OutOfMemory
from reflector.pending import PendingChanges

# Allocations minus frees since the last collection of the youngest generation. Tables hold few
# objects that the collector tracks, but path sets and attributes count: a full collection takes
# 0.3 s for a full table from two gateways, so it must never happen in the midst of work. Each young
# object is scanned once, after a flush, when little is half-done, or not at all while a table
# grows; in the midst of a turn only if the turn makes very many. The survivors of several such
# collections are scanned once more together, which finds what was in use when it was young. A process
# that is always busy also runs a full collection if there are few objects.
YOUNG: Final = 5_000  # a millisecond
NEARLY: Final = 0.9  # of the young, the share that is nearly all
GC_THRESHOLDS: Final = (4 * YOUNG, 0, 1_000_000_000)
WORTH_COLLECTING: Final = 2_000  # at rest
MIDDLE: Final = 4  # young collections before one of their survivors, some milliseconds
FULL_INTERVAL: Final = 3600.0  # seconds between full collections
AT_ONCE: Final = (
    150_000  # objects that a full collection may scan in the midst of work, some 25 ms
)

_looked_at = 0.0  # monotonic seconds, of the last look at everything
_looks = 0  # at the young since the last one at what they left


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run ``main`` to its end and return its exit code."""
    tune_collector()
    map_large_blocks()
    raise_file_limit()
    exhaustion = OutOfMemory()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        exhaustion.watch(runner.get_loop())
        try:
            code = runner.run(main)
        except MemoryError:
            exhaustion.end()
            raise
    gc.freeze()  # or the collector scans a large table for half a second before it goes
    return code


def loop_factory() -> Any | None:  # noqa: ANN401  # a class of uvloop's
    """Return uvloop's loop factory, or ``None`` for asyncio's own."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    return uvloop.new_event_loop


def tune_collector() -> None:
    """Exclude objects of the start from collections, and make collections rare."""
    global _looked_at, _looks
    _looked_at, _looks = monotonic(), 0
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def has_many_young() -> bool:
    """Whether ``collect_young`` has work."""
    return gc.get_count()[0] > YOUNG


def collect_young(wanted: int = 0) -> bool:
    """Collect the youngest generation if it is large; return whether it was.

    Args:
        wanted: How many objects made since the last collection are in use. If they are
            nearly all, none is scanned before the next full collection.
    """
    global _looks  # noqa: PLW0603  # as the collector, there is one for a process
    if not has_many_young():
        return False
    young = gc.get_count()[0]
    if NEARLY * young < wanted < young / NEARLY:
        gc.freeze()
    elif _is_full_due() and gc.get_freeze_count() < AT_ONCE:
        _collect_everything()
    elif _looks < MIDDLE:
        _looks += 1
        gc.collect(1)
    else:
        _looks = 0
        if gc.get_count()[2] <= MIDDLE:
            gc.collect()
        gc.freeze()  # what work made in one go is too much to scan in one go
    return True


def collect_made(pending: PendingChanges) -> None:
    """Collect garbage after a flush, when nothing of it is left."""
    if collect_young(pending.made):
        pending.made = 0


def keep_young() -> None:
    """Treat the young objects as in use, at next to no cost.

    For work that makes what it keeps, such as a cluster's plan: a collection after one turn
    takes up to 0.1 s and finds nothing. The little garbage waits for the next full
    collection.
    """
    if has_many_young():
        gc.freeze()


def collect_at_rest() -> None:
    """Collect garbage now, in a quiet moment, and not in the next burst."""
    if _is_full_due():
        _collect_everything()
    elif gc.get_count()[0] > WORTH_COLLECTING:
        gc.collect(1)


def _is_full_due() -> bool:
    return monotonic() > _looked_at + FULL_INTERVAL


def _collect_everything() -> None:
    global _looked_at, _looks  # as the collector
    _looked_at, _looks = monotonic(), 0
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def raise_file_limit() -> None:
    """Raise the limit of open files to the maximum: a session is one.

    The soft limit is 1024 for the sake of programs that use ``select``; we do not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
