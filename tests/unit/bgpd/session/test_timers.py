from random import Random

import pytest

from bgpd.session.timers import (
    connect_retry_interval,
    idle_hold_interval,
    jittered,
    keepalive_interval,
    send_hold_interval,
)


@pytest.mark.rfc("4271", "10", "SHOULD")
def test_jitter_is_between_three_quarters_and_one() -> None:
    rng = Random(1)
    factors = [jittered(1.0, rng) for _ in range(1000)]
    assert 0.75 <= min(factors) < 0.77
    assert 0.98 < max(factors) <= 1.0


@pytest.mark.parametrize(
    ("base", "attempts", "longest"),
    [
        (5, 0, 5),
        (5, 1, 10),
        (5, 3, 40),
        (5, 4, 60),
        (5, 99, 60),
        (5, 10**9, 60),
        (120, 9, 120),
    ],
)
def test_connect_retry_backs_off_to_a_limit(base, attempts, longest) -> None:
    interval = connect_retry_interval(base, attempts, Random(1))
    assert 0.75 * longest <= interval <= longest


def test_connect_retry_never_spins() -> None:
    assert connect_retry_interval(0, 0, Random(1)) >= 0.75


@pytest.mark.parametrize(
    ("failures", "longest"), [(0, 0), (1, 1), (4, 8), (50, 60), (10**9, 60)]
)
def test_idle_hold_grows_with_failures(failures, longest) -> None:
    assert 0.75 * longest <= idle_hold_interval(failures, Random(1)) <= longest


@pytest.mark.parametrize(
    ("failures", "first", "most", "longest"),
    [
        (0, 60, 300, 0),
        (1, 60, 300, 60),
        (2, 60, 300, 120),
        (4, 60, 300, 300),
        (1, 90, 0, 90),
        (3, 0, 3, 3),
        (3, 5, 2, 5),
    ],
)
def test_idle_hold_is_as_configured(failures, first, most, longest) -> None:
    found = idle_hold_interval(failures, Random(1), first, most)
    assert 0.75 * longest <= found <= longest


@pytest.mark.rfc("4271", "4.4", "MUST")
def test_keepalives_are_never_more_than_one_a_second() -> None:
    assert all(keepalive_interval(1.0, Random(n)) == 1.0 for n in range(50))


@pytest.mark.rfc("9687", "6", "SHOULD")
@pytest.mark.parametrize(
    ("configured", "hold_time", "expected"),
    [(0, 90, 480), (0, 600, 1200), (30, 90, 30)],
)
def test_send_hold_time(configured, hold_time, expected) -> None:
    assert send_hold_interval(configured, hold_time) == expected
