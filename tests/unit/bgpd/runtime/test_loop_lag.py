"""The meter sees a stall, forgets it after a minute, and lets an idle loop sleep."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop

from bgpd.runtime.loop_lag import BUSY_INTERVAL, IDLE_INTERVAL, LagMeter
from tests.support.turns import turn

STALL = 0.05  # seconds that are seen of it
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


class SteppedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock a test moves; what is due is run late at will."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__()
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when, callback, *args, **_):  # type: ignore[override]
        self.due.append((when, lambda: callback(*args)))
        return asyncio.TimerHandle(when, callback, args, self)

    def step(self, late: float) -> float:
        """Run the next timer this much late; return how long it had been set for."""
        when, callback = self.due.pop()
        waited = when - self.now
        self.now = when + late
        callback()
        return waited


@pytest.fixture
def stepped() -> Iterator[SteppedLoop]:
    loop = SteppedLoop()
    yield loop
    loop.close()


def test_a_delay_is_the_worst_until_its_minute_is_over(stepped: SteppedLoop) -> None:
    meter = LagMeter(stepped)
    stepped.step(late=0.5)
    stepped.step(late=0.001)
    assert meter.worst() == 0.5
    assert meter.worst(0.5) == pytest.approx(0.001)
    while stepped.now < 1062:
        stepped.step(late=0.002)
    assert meter.worst() == pytest.approx(0.002)


def test_it_tells_once_when_work_has_ended(
    stepped: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = 0.0
    rests: list[float] = []
    monkeypatch.setattr(time, "process_time", lambda: used)
    LagMeter(stepped, lambda: rests.append(used))
    for more in (0.1, 0.1, 0, 0, 0.5, 0, 0):
        used += more
        stepped.step(late=0)
    assert rests == [pytest.approx(0.2), pytest.approx(0.7)]


def test_a_pause_of_the_process_does_not_count_as_work(
    stepped: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = 0.0
    monkeypatch.setattr(time, "process_time", lambda: used)
    meter = LagMeter(stepped)
    assert meter.worst_by_work(10) == 0
    used += 0.1
    stepped.step(late=30)  # stopped
    assert meter.worst(10) == 30
    assert meter.worst_by_work(10) == pytest.approx(0.1)
    while stepped.now < 1042:
        stepped.step(late=0)
    used += 9
    stepped.step(late=7)  # at work
    assert (meter.worst(10), meter.worst_by_work(10)) == (7, 7)
    assert meter.worst(60) == 30
    stepped.step(late=0)
    assert meter.worst_by_work(10) == 7
    while stepped.now < 1062:
        stepped.step(late=0)
    assert meter.worst_by_work(10) == 0


def test_the_percentile_leaves_rare_delays_out(stepped: SteppedLoop) -> None:
    meter = LagMeter(stepped)
    assert meter.percentile(0.99) == 0
    for _ in range(40):
        stepped.step(late=0.001)
    stepped.step(late=0.3)
    assert meter.percentile(0.5) == pytest.approx(0.001)
    assert meter.percentile(0.99) == pytest.approx(0.3)


def test_an_idle_process_is_woken_once_a_second(
    stepped: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = 0.0
    monkeypatch.setattr(time, "process_time", lambda: used)
    LagMeter(stepped)
    stepped.step(late=0)
    assert stepped.step(late=0) == pytest.approx(IDLE_INTERVAL)
    used += 0.5
    assert stepped.step(late=0) == pytest.approx(IDLE_INTERVAL)
    assert stepped.step(late=0) == pytest.approx(BUSY_INTERVAL)


@pytest.mark.parametrize("make", LOOPS, ids=["asyncio", "uvloop"])
def test_a_real_stall_is_seen(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def stall() -> float:
        meter = LagMeter(asyncio.get_running_loop())
        for _ in range(100):  # one of them falls on a beat of the meter
            time.sleep(0.15)  # noqa: ASYNC251 - this is the stall
            await turn(3)
            if meter.worst() >= STALL:
                break
        meter.close()
        assert meter.age > 0.1
        return meter.worst()

    with asyncio.Runner(loop_factory=make) as runner:
        assert STALL <= runner.run(stall()) < 5
