"""Long work in slices of a few milliseconds, so that timers hold under load.

A job is an iterator; each step is one slice. Jobs take turns, and between turns the event
loop serves sockets and timers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from typing import Final

BUDGET: Final = 0.004  # seconds of slices before the loop gets its turn

_log = logging.getLogger(__name__)


class WorkQueue:
    """Runs iterators to their end, a few slices per turn of the event loop.

    Attributes:
        budget: Seconds of slices before the loop gets its turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[Iterator[object]] = deque()
        self._handle: asyncio.Handle | None = None
        self._is_running = False
        self.budget = BUDGET

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, job: Iterator[object]) -> None:
        """Run ``job`` to its end, beginning after what the loop has to do now."""
        self._queue.append(job)
        if self._handle is None and not self._is_running:
            self._handle = self._loop.call_soon(self._turn)

    def begin(self, job: Iterator[object]) -> None:
        """Take the first steps of ``job`` at once, for as long as a turn, then add it."""
        time = self._loop.time
        until = time() + self.budget
        while self._has_more(job):
            if time() >= until:
                self.add(job)
                return

    def _turn(self) -> None:
        self._handle = None
        self._is_running = True
        time = self._loop.time
        until = time() + self.budget
        while self._queue:
            job = self._queue.popleft()
            if self._has_more(job):
                self._queue.append(job)
            if time() >= until:
                break
        self._is_running = False
        if self._queue:
            # Not call_soon: sockets and timers come first.
            self._handle = self._loop.call_later(0, self._turn)

    @staticmethod
    def _has_more(job: Iterator[object]) -> bool:
        """Take one step of a job; return whether another follows."""
        try:
            next(job)
        except StopIteration:
            return False
        except MemoryError:  # half a sweep is worse than a new start
            raise
        except Exception:  # noqa: BLE001  # one job must not end the others
            _log.exception(
                "a background job failed", {"event": "background-job-failed"}
            )
            return False
        return True

    def cancel(self) -> None:
        """Drop all jobs."""
        self._queue.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
