"""What the task that writes routes has to do, and when."""

from fib.kernel_schedule import (
    AUDIT_INTERVAL,
    RESYNC_PAUSE,
    RETRY_FIRST,
    RETRY_LAST,
    Schedule,
)


def test_signs_of_one_moment_are_one_comparison() -> None:
    schedule = Schedule(100.0)
    schedule.want_resync(101.0)
    schedule.want_resync(101.0 + RESYNC_PAUSE / 2)
    assert schedule.wake.is_set()
    assert not schedule.is_clear
    assert schedule.next_due == 101.0 + RESYNC_PAUSE
    assert not schedule.take_resync(101.0)
    assert schedule.take_resync(101.0 + RESYNC_PAUSE)
    assert not schedule.take_resync(101.0 + RESYNC_PAUSE)
    assert schedule.resync_count == 1
    assert schedule.is_clear


def test_an_audit_compares_at_once_and_comes_back() -> None:
    schedule = Schedule(0.0)
    assert not schedule.take_audit(AUDIT_INTERVAL - 1)
    assert schedule.take_audit(AUDIT_INTERVAL)
    assert schedule.take_resync(AUDIT_INTERVAL)
    assert schedule.next_due == 2 * AUDIT_INTERVAL


def test_after_a_failure_the_comparison_waits() -> None:
    schedule = Schedule(0.0)
    schedule.want_resync(1.0)
    schedule.resync_after(30.0)
    assert schedule.wants_resync
    assert not schedule.take_resync(29.0)
    assert schedule.take_resync(30.0)


def test_all_targets_are_more_than_the_blocked_ones() -> None:
    schedule = Schedule(0.0)
    schedule.want_refresh("blocked")
    assert not schedule.is_clear
    schedule.want_refresh("all")
    schedule.want_refresh("blocked")
    assert schedule.take_refresh() == "all"
    assert schedule.take_refresh() == ""
    assert schedule.is_clear


def test_changed_targets_are_handed_over_once() -> None:
    schedule = Schedule(0.0)
    schedule.want_retarget()
    assert schedule.wake.is_set()
    assert not schedule.is_clear
    assert schedule.take_retarget()
    assert not schedule.take_retarget()
    assert schedule.is_clear


def test_rejected_routes_are_tried_later_and_later_and_soon_again_after_a_success() -> (
    None
):
    schedule = Schedule(0.0)
    now, pauses = 0.0, []
    for _ in range(8):
        schedule.note_refused(now, are_any=True)
        schedule.note_refused(now + 0.5, are_any=True)  # it waits already
        assert schedule.is_clear  # who waits for the table does not wait for these
        due = schedule.next_due
        pauses.append(due - now)
        assert not schedule.take_retry(due - 0.1)
        assert schedule.take_retry(due)
        now = due
    assert pauses == [1, 2, 4, 8, 16, 32, RETRY_LAST, RETRY_LAST]
    schedule.note_refused(now, are_any=True)
    schedule.note_refused(now, are_any=False)
    assert not schedule.take_retry(now + RETRY_LAST)
    schedule.note_refused(now, are_any=True)
    assert schedule.next_due == now + RETRY_FIRST
