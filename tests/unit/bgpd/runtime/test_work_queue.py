import logging
from collections.abc import Iterator

import pytest

from bgpd.runtime.work_queue import WorkQueue
from tests.support.told import StepLoop


def steps(name: str, count: int, seen: list[str]) -> Iterator[None]:
    for _ in range(count):
        seen.append(name)
        yield


def test_jobs_take_turns() -> None:
    loop = StepLoop()
    seen: list[str] = []
    work_queue = WorkQueue(loop.as_event_loop())
    work_queue.add(steps("a", 3, seen))
    work_queue.add(steps("b", 2, seen))
    assert len(work_queue) == 2
    assert not seen  # nothing runs inside of add()
    loop.run()
    assert seen == ["a", "b", "a", "b", "a"]
    assert len(work_queue) == 0


def test_others_get_their_turn_between_slices() -> None:
    loop = StepLoop()
    seen: list[str] = []
    work_queue = WorkQueue(loop.as_event_loop())
    work_queue.add(steps("a", 4, seen))
    loop.call_later(0.008, seen.append, "timer")
    loop.run()
    assert "timer" in seen[1:-1]


def test_a_failing_job_is_logged_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing() -> Iterator[None]:
        yield
        raise KeyError("broken")

    loop = StepLoop()
    seen: list[str] = []
    work_queue = WorkQueue(loop.as_event_loop())
    work_queue.add(failing())
    work_queue.add(steps("a", 3, seen))
    with caplog.at_level(logging.ERROR):
        loop.run()
    assert seen == ["a"] * 3
    assert "broken" in caplog.text


def test_one_turn_is_scheduled_however_many_jobs_are_added() -> None:
    loop = StepLoop()
    seen: list[str] = []
    work_queue = WorkQueue(loop.as_event_loop())

    def adding() -> Iterator[None]:
        for name in "abc":
            work_queue.add(steps(name, 5, seen))
            yield

    work_queue.add(adding())
    loop.step()
    assert len(loop._waiting) == 1
    work_queue.cancel()
    loop.run()
    assert len(work_queue) == 0
    assert len(seen) <= 1


def test_jobs_can_be_added_after_a_cancel() -> None:
    loop = StepLoop()
    seen: list[str] = []
    work_queue = WorkQueue(loop.as_event_loop())
    work_queue.add(steps("a", 1, seen))
    work_queue.cancel()
    work_queue.add(steps("b", 1, seen))
    loop.run()
    assert seen == ["b"]
