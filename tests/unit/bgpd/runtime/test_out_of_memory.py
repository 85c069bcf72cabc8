"""Memory that runs out in the midst of routing ends the process, wherever it does."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from bgpd.net.poller import Poller
from bgpd.runtime.out_of_memory import EXIT_EXHAUSTED, OutOfMemory
from bgpd.runtime.work_queue import WorkQueue
from tests.support.commands import run as run_command
from tests.support.speakers import until
from tests.support.turns import turn


class Left:
    """How a process would have ended."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.exhaustion = OutOfMemory(self.codes.append)


def run(loop_factory: Callable[[], asyncio.AbstractEventLoop] | None, work) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(work)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Left:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back later
    return Left()


def in_a_callback(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(exhaust)


def in_a_timer(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_later(0.001, exhaust)


def in_a_job(loop: asyncio.AbstractEventLoop) -> None:
    def steps() -> Iterator[None]:
        yield
        exhaust()

    WorkQueue(loop).add(steps())


def in_a_connection(loop: asyncio.AbstractEventLoop) -> None:
    class Reader:
        def ready(self, _events: int) -> None:
            poller.remove(ours.fileno())
            poller.close()
            ours.close()
            theirs.close()
            exhaust()

        def give_up(self) -> None:
            raise AssertionError("one connection is not what is at fault")

    ours, theirs = socket.socketpair()
    poller = Poller(loop)
    poller.add(ours.fileno(), Reader())
    theirs.send(b"x")


def exhaust() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    "place", [in_a_callback, in_a_timer, in_a_job, in_a_connection]
)
@pytest.mark.parametrize("loop_name", ["asyncio", "uvloop"])
def test_the_process_ends(
    left: Left, loop_name: str, place: Callable[[asyncio.AbstractEventLoop], None]
) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        left.exhaustion.watch(loop)
        place(loop)
        await until(lambda: left.codes)

    factory = (
        None
        if loop_name == "asyncio"
        else pytest.importorskip(loop_name).new_event_loop
    )
    run(factory, work())
    assert set(left.codes) == {EXIT_EXHAUSTED}


def test_other_faults_are_logged_and_end_nothing(
    left: Left, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        left.exhaustion.watch(loop)
        loop.call_soon(int, "no number")
        await turn()
        await turn()

    run(None, work())
    assert not left.codes
    assert "no number" in caplog.text


def test_it_ends_though_nothing_can_be_said(
    left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bgpd.runtime.out_of_memory._log.critical", lambda *_: exhaust()
    )
    with pytest.raises(MemoryError):
        left.exhaustion.end()
    assert left.codes == [EXIT_EXHAUSTED]


def test_the_reserve_takes_no_memory() -> None:
    code = """
from pathlib import Path
from resource import getpagesize
from bgpd.runtime.out_of_memory import RESERVE, OutOfMemory
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()
before = resident()
exhaustion = OutOfMemory()
taken = resident() - before
assert taken < RESERVE // 8, taken
"""
    run_command(sys.executable, "-c", code)
