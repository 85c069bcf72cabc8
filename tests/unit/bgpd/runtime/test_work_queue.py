import logging
from collections.abc import Iterator

import pytest

from bgpd.runtime.work_queue import Jobs
from tests.support.told import StepLoop


def steps(name: str, count: int, seen: list[str]) -> Iterator[None]:
    for _ in range(count):
        seen.append(name)
        yield


def test_jobs_take_turns() -> None:
    loop = StepLoop()
    seen: list[str] = []
    jobs = Jobs(loop.as_event_loop())
    jobs.add(steps("a", 3, seen))
    jobs.add(steps("b", 2, seen))
    assert len(jobs) == 2
    assert not seen  # nothing runs inside of add()
    loop.run()
    assert seen == ["a", "b", "a", "b", "a"]
    assert len(jobs) == 0


def test_others_get_their_turn_between_slices() -> None:
    loop = StepLoop()
    seen: list[str] = []
    jobs = Jobs(loop.as_event_loop())
    jobs.add(steps("a", 4, seen))
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
    jobs = Jobs(loop.as_event_loop())
    jobs.add(failing())
    jobs.add(steps("a", 3, seen))
    with caplog.at_level(logging.ERROR):
        loop.run()
    assert seen == ["a"] * 3
    assert "broken" in caplog.text


def test_one_turn_is_scheduled_however_many_jobs_are_added() -> None:
    loop = StepLoop()
    seen: list[str] = []
    jobs = Jobs(loop.as_event_loop())

    def adding() -> Iterator[None]:
        for name in "abc":
            jobs.add(steps(name, 5, seen))
            yield

    jobs.add(adding())
    loop.step()
    assert len(loop._waiting) == 1
    jobs.cancel()
    loop.run()
    assert len(jobs) == 0
    assert len(seen) <= 1


def test_jobs_can_be_added_after_a_cancel() -> None:
    loop = StepLoop()
    seen: list[str] = []
    jobs = Jobs(loop.as_event_loop())
    jobs.add(steps("a", 1, seen))
    jobs.cancel()
    jobs.add(steps("b", 1, seen))
    loop.run()
    assert seen == ["b"]
