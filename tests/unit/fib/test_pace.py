"""When next hops are resolved again."""

from fib.pace import BURST, PAUSE, WINDOW, Pace


def test_looks_are_made_at_once_unless_there_are_too_many() -> None:
    pace = Pace()
    assert [pace.pause(n / BURST) for n in range(BURST)] == [0.0] * BURST
    assert pace.pause(1.0) == PAUSE
    assert pace.pause(1.0 + PAUSE) == PAUSE
    later = 1.0 + PAUSE + WINDOW + 1.0
    assert pace.pause(later) == 0.0


def test_a_look_now_and_then_never_waits() -> None:
    pace = Pace()
    gap = WINDOW / (BURST - 1)
    assert {pace.pause(n * gap) for n in range(5 * BURST)} == {0.0}
