"""Tasks that run as long as the daemon; none of them can end it.

Routing needs none of them from one moment to the next: without the watch of a file, a
reload needs a signal; without the datastore, what was read last holds. So a task that
fails is logged once and started again after a pause, which doubles up to a minute while
the task keeps failing. What is out of order now is in ``faults``, for the operator.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from bgpd.texts.errors import text_of

FIRST_PAUSE: Final = 1.0  # seconds
LONGEST_PAUSE: Final = 60.0
STEADY: Final = 10.0  # seconds; a task that ran for so long works again

_log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Supervisor:
    """Keeps tasks going until ``close``."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._faults: dict[str, str] = {}

    @property
    def faults(self) -> list[str]:
        """Failed tasks and the consequence, a line each."""
        return list(self._faults.values())

    def keep(self, name: str, work: Work, *, meanwhile: str) -> None:
        """Run ``work`` from now on, and again whenever it fails, until it returns.

        Args:
            name: Of the task, for the log; no other of this supervisor's has it.
            work: Is called for each run.
            meanwhile: What holds while it does not run, in words.
        """
        self._start(name, self._keep(name, work, meanwhile, FIRST_PAUSE))

    async def begin(self, name: str, work: Work, *, meanwhile: str) -> None:
        """Run ``work`` once, now; if it fails, return and retry later.

        Args:
            name: As for ``keep``.
            work: Begins something that goes on by itself, such as a server.
            meanwhile: As for ``keep``.
        """
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # none of them ends the daemon
            self._fails(name, error, meanwhile, FIRST_PAUSE)
            self._start(name, self._begin_later(name, work, meanwhile))

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        self._tasks[name] = loop.create_task(work, name=name)

    async def close(self) -> None:
        """End all tasks, and wait until they have ended."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin_later(self, name: str, work: Work, meanwhile: str) -> None:
        await asyncio.sleep(FIRST_PAUSE)
        await self._keep(name, work, meanwhile, 2 * FIRST_PAUSE)

    async def _keep(self, name: str, work: Work, meanwhile: str, pause: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            steady = loop.call_later(STEADY, self._works_again, name)
            try:
                await work()
            except Exception as error:  # noqa: BLE001  # none of them ends the daemon
                if loop.time() - started >= STEADY:
                    pause = FIRST_PAUSE
                self._fails(name, error, meanwhile, pause)
            else:
                self._works_again(name)
                return
            finally:
                steady.cancel()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _fails(self, name: str, error: Exception, meanwhile: str, pause: float) -> None:
        reason = describe(error)
        text = f"{name}: {reason}; {meanwhile}"
        if text != self._faults.get(name):
            # What the machine refuses says all; other faults are to be reported whole.
            root = error.__cause__ or error
            is_ours = not isinstance(root, OSError | MemoryError)
            _log.error(
                "%(part)s: %(reason)s; %(meanwhile)s; retrying in %(seconds)g s, then at "
                "most every %(longest)g s",
                {
                    "event": "task-failed",
                    "part": name,
                    "reason": reason,
                    "meanwhile": meanwhile,
                    "seconds": pause,
                    "longest": LONGEST_PAUSE,
                },
                exc_info=error if is_ours else None,
            )
        self._faults[name] = text

    def _works_again(self, name: str) -> None:
        if self._faults.pop(name, None) is not None:
            _log.info(
                "%(part)s: works again", {"event": "task-recovered", "part": name}
            )


def describe(error: BaseException) -> str:
    """Return what an exception says, or its name where it says nothing."""
    if isinstance(error, OSError) and error.strerror:
        place = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{place}"
    return text_of(error)
