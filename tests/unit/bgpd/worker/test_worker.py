"""A real process each: what it does wrong costs its work, and nothing else."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from bgpd.lab.state import start_time
from bgpd.worker.worker import Worker, WorkerError
from tests.support.speakers import until

pytestmark = pytest.mark.slow  # a process each


def count(most: int) -> Iterator[tuple[int, int]]:
    for number in range(most):
        yield os.getpid(), number


def raise_midway() -> Iterator[int]:
    yield 1
    raise ValueError("a figure\nis wrong " + "x" * 10_000)


def recurse() -> Iterator[int]:
    yield from recurse()


def fill_memory() -> Iterator[int]:
    yield len(bytearray(8 << 30))


def yield_what_cannot_be_pickled() -> Iterator[object]:
    yield lambda: None


def kill_itself() -> Iterator[int]:
    yield 1
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> Iterator[int]:
    os._exit(3)
    yield 1


def hang() -> Iterator[int]:
    yield 1
    signal.pause()


def surroundings() -> Iterator[dict[str, str]]:
    status = Path("/proc/self/status").read_text()
    yield {
        "nice": str(os.getpriority(os.PRIO_PROCESS, 0)),
        "files": " ".join(
            sorted(each.name for each in Path("/proc/self/fd").iterdir())
        ),
        "ignored": next(
            line.split()[1] for line in status.splitlines() if "SigIgn" in line
        ),
        "path": os.environ["PYTHONPATH"],
        "oom": Path("/proc/self/oom_score_adj").read_text().strip(),
    }


async def done(worker: Worker, function: object, *arguments: object) -> list[object]:
    return [piece async for piece in worker.pieces(function, *arguments)]  # type: ignore[arg-type]


def with_worker(work: Callable[[Worker], Awaitable[None]], **options: float) -> None:
    async def main() -> None:
        worker = Worker(**options)  # type: ignore[arg-type]
        try:
            await asyncio.wait_for(work(worker), 60)
        finally:
            await worker.close()
            assert worker.pid == 0

    asyncio.run(main())


def test_one_process_does_one_work_after_the_other() -> None:
    async def work(worker: Worker) -> None:
        first, second = await asyncio.gather(
            done(worker, count, 3), done(worker, count, 1000)
        )
        assert first == [(worker.pid, n) for n in range(3)]
        assert second == [(worker.pid, n) for n in range(1000)]
        assert worker.pid != os.getpid()

    with_worker(work)


@pytest.mark.parametrize(
    ("function", "text", "survives"),
    [
        (raise_midway, "ValueError: a figure", True),
        (recurse, "RecursionError", True),
        (fill_memory, "MemoryError", True),
        (yield_what_cannot_be_pickled, "pickle", True),
        (kill_itself, "SIGKILL ended the process", False),
        (leave, "the process exited with code 3", False),
    ],
)
def test_an_error_is_returned_and_the_next_work_is_done(
    function: object, text: str, *, survives: bool
) -> None:
    async def work(worker: Worker) -> None:
        with pytest.raises(WorkerError, match=text) as caught:
            await done(worker, function)
        assert len(str(caught.value)) < 1000
        assert bool(worker.pid) is survives
        assert len(await done(worker, count, 2)) == 2

    with_worker(work)


def test_a_process_that_is_silent_is_given_up() -> None:
    async def work(worker: Worker) -> None:
        with pytest.raises(WorkerError, match=r"no answer within 0\.5 s"):
            await done(worker, hang)
        assert worker.pid == 0

    with_worker(work, patience=0.5)


def test_work_that_is_no_longer_awaited_ends_with_its_process() -> None:
    async def work(worker: Worker) -> None:
        async with aclosing(worker.pieces(count, 1_000_000)) as pieces:
            async for pid, number in pieces:
                assert (pid, number) == (worker.pid, 0)
                break
        assert worker.pid == 0
        task = asyncio.create_task(done(worker, hang))
        await until(lambda: worker.pid)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert worker.pid == 0

    with_worker(work)


def test_a_process_that_rests_ends() -> None:
    async def work(worker: Worker) -> None:
        await done(worker, count, 1)
        pid = worker.pid
        await until(lambda: not worker.pid)
        await worker.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert len(await done(worker, count, 1)) == 1

    with_worker(work, rest=0.1)


def test_a_process_that_was_ended_while_it_rested_is_replaced() -> None:
    async def work(worker: Worker) -> None:
        await done(worker, count, 1)
        pid = worker.pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: start_time(pid) == 0)  # dead, though not reaped yet
        assert len(await done(worker, count, 1)) == 1
        assert worker.pid != pid

    with_worker(work)


def test_it_ends_with_the_daemon_and_has_nothing_of_it() -> None:
    async def work(worker: Worker) -> None:
        with socket.socket() as ours:
            ours.set_inheritable(True)  # as a careless library would
            (found,) = await done(worker, surroundings)
        assert isinstance(found, dict)
        assert int(found["nice"]) >= 10
        # stdin, stdout, stderr, its socket, and the folder that is listed.
        assert len(found["files"].split()) == 5
        assert int(found["ignored"], 16) & 0b11 == 0b11  # SIGHUP and SIGINT
        assert found["oom"] == "1000"
        assert "" not in found["path"].split(os.pathsep)

    with_worker(work)


def test_without_a_process_the_work_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")

    async def work(worker: Worker) -> None:
        with pytest.raises(
            WorkerError, match="cannot start a process: /nonexistent/python"
        ):
            await done(worker, count, 1)
        monkeypatch.undo()
        assert len(await done(worker, count, 1)) == 1

    with_worker(work)
