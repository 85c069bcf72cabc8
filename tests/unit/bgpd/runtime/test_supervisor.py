"""Tasks that fail are started again, and none of them ends the others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from bgpd.runtime import supervisor
from bgpd.runtime.supervisor import Supervisor, describe
from tests.support.speakers import on_both_loops, until

ERRORS = (
    OSError(28, "No space left on device"),
    OSError(24, "Too many open files"),
    PermissionError(13, "Permission denied", "/etc/secret"),
    OSError(5, "Input/output error"),
    MemoryError(),
    ValueError("not a number"),
)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.004)
    monkeypatch.setattr(supervisor, "STEADY", 0.02)


def failing(
    times: int, error: BaseException
) -> tuple[Callable[[], Awaitable[None]], list[int]]:
    """Return work that fails so many times, then goes on; and its runs."""
    runs: list[int] = []

    async def work() -> None:
        runs.append(len(runs))
        if len(runs) <= times:
            raise error
        await asyncio.Event().wait()

    return work, runs


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@on_both_loops
async def test_work_that_fails_is_run_again_and_its_fault_ends(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    supervisor = Supervisor()
    seen: list[list[str]] = []

    async def work() -> None:
        seen.append(supervisor.faults)
        if len(seen) <= 3:
            raise error
        await asyncio.Event().wait()

    supervisor.keep("file watch", work, meanwhile="SIGHUP reloads")
    await until(lambda: len(seen) == 4)
    fault = f"file watch: {describe(error)}; SIGHUP reloads"
    assert seen == [[], [fault], [fault], [fault]]
    await until(lambda: not supervisor.faults)
    told = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(told) == 1, "one line, however often it fails alike"
    assert bool(told[0].exc_info) == isinstance(error, ValueError)
    assert "file watch: works again" in caplog.text
    await supervisor.close()


@on_both_loops
async def test_another_fault_is_logged_though_the_first_still_holds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor = Supervisor()
    left = list(ERRORS)

    async def work() -> None:
        if left:
            raise left.pop()
        await asyncio.Event().wait()

    supervisor.keep("watch", work, meanwhile="polled")
    await until(lambda: not left)
    await until(lambda: len(caplog.records) == len(ERRORS))
    await supervisor.close()


@on_both_loops
async def test_what_cannot_begin_is_begun_later() -> None:
    supervisor = Supervisor()
    begun: list[str] = []
    attempts: list[int] = []

    async def serve() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError(98, "Address already in use")
        begun.append("server")

    await supervisor.begin("server", serve, meanwhile="no client is served")
    assert supervisor.faults == ["server: Address already in use; no client is served"]
    await until(lambda: begun)
    await until(lambda: not supervisor.faults)
    await supervisor.close()


@on_both_loops
async def test_work_that_returns_is_not_run_again() -> None:
    supervisor = Supervisor()
    runs: list[int] = []

    async def work() -> None:
        runs.append(1)

    supervisor.keep("short", work, meanwhile="")
    forever, again = failing(5, OSError(5, "Input/output error"))
    supervisor.keep("other", forever, meanwhile="")
    await until(lambda: len(again) == 6)
    assert runs == [1]
    await supervisor.close()


@on_both_loops
async def test_closing_ends_all_also_those_that_wait() -> None:
    supervisor = Supervisor()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    failed, runs = failing(10**9, OSError(5, "Input/output error"))
    supervisor.keep("a", work, meanwhile="")
    supervisor.keep("b", failed, meanwhile="")
    await until(lambda: len(runs) > 1)
    await supervisor.close()
    assert ended == ["work"]
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint("ab")


def test_an_error_is_described_by_what_it_says() -> None:
    assert describe(PermissionError(13, "Permission denied", "/x")) == (
        "Permission denied (/x)"
    )
    assert describe(OSError(5, "Input/output error")) == "Input/output error"
    assert describe(MemoryError()) == "MemoryError"
    assert describe(ValueError("bad")) == "bad"
