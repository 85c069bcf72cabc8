"""How long one operation takes: the best of several runs, since all noise is delay."""

import gc
import time
from collections.abc import Callable
from typing import Final

RUN_TIME: Final = 0.05  # seconds per run
RUNS: Final = 5


def best_time(run: Callable[[], object]) -> float:
    """Return seconds per call."""
    count = 1
    while (spent := _spent(run, count)) < RUN_TIME:
        count = max(
            count + 1, min(count * 10, int(count * RUN_TIME / max(spent, 1e-9)))
        )
    return min(_spent(run, count) for _ in range(RUNS)) / count


def _spent(run: Callable[[], object], count: int) -> float:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        started = time.perf_counter()
        for _ in range(count):
            run()
        return time.perf_counter() - started
    finally:
        if was_enabled:
            gc.enable()
