"""When a connection's MD5 key is held to be the wrong one: by what the kernel counts."""

import pytest

from bgpd.net.key_rollover import ACK_TIMEOUT, NOTHING_SEEN, Sight, Trial


def looks(trial: Trial, *sights: Sight, step: float = 0.5) -> list[bool]:
    """Look every half second; return what was judged each time."""
    return [trial.fails(sight, 100 + step * n) for n, sight in enumerate(sights)]


def test_what_is_acknowledged_works() -> None:
    sights = [Sight(n % 2, 10 + n, 20 + n) for n in range(20)]
    assert not any(looks(Trial(NOTHING_SEEN), *sights))


def test_silence_on_both_sides_says_nothing() -> None:
    assert not any(looks(Trial(Sight(0, 10, 20)), *[Sight(0, 10, 20)] * 50))


def test_our_acknowledgements_want_no_answer() -> None:
    sights = [Sight(0, 10 + n, 20) for n in range(20)]
    assert not any(looks(Trial(Sight(0, 10, 20)), *sights))


def test_what_is_not_acknowledged_in_time_fails() -> None:
    start = Sight(0, 10, 20)
    lost = [Sight(1, 11 + n, 20) for n in range(8)]
    judged = looks(Trial(start), *lost)
    assert judged.index(True) * 0.5 == ACK_TIMEOUT
    assert all(judged[judged.index(True) :])


def test_nothing_fails_before_something_was_sent_under_the_key() -> None:
    """TCP sends again after longer and longer pauses."""
    waits = Sight(1, 11, 20)
    trial = Trial(waits)
    assert not any(looks(trial, *[waits] * 60))
    judged = looks(trial, *[Sight(1, 12, 20)] * 5)
    assert judged.index(True) * 0.5 == ACK_TIMEOUT


@pytest.mark.parametrize("heard_at", range(1, 6))
def test_anything_heard_restarts_the_wait(heard_at: int) -> None:
    trial = Trial(Sight(0, 10, 20))
    sights = [
        Sight(1, 11 + n, 21 if n >= heard_at else 20) for n in range(heard_at + 1)
    ]
    judged = looks(trial, *sights[:4])
    assert True not in judged[:3]
    assert judged[-1] is (heard_at > 3)
