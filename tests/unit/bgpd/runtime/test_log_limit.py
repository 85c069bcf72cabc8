"""Which lines are written and which are counted, with time as a number."""

import logging

from hypothesis import given
from hypothesis import strategies as st

from bgpd.runtime.log_limit import (
    BURST,
    INTERVAL,
    MOST_KINDS,
    MOST_REASONS,
    MOST_SUBJECTS,
    Kind,
    LogLimit,
)

HERE = ("file.py", 1)
THERE = ("file.py", 2)


def feed(limit: LogLimit, kind: Kind, now: float = 0.0, burst: int = BURST) -> bool:
    if limit.admits(kind, now, burst=burst):
        return True
    limit.hold(kind, logging.WARNING, "bgpd", f"{kind.subject} {kind.reason}")
    return False


def test_the_first_are_written_and_the_others_counted() -> None:
    limit = LogLimit()
    kind = Kind(HERE, "a")
    assert [feed(limit, kind) for _ in range(BURST + 2)] == [True] * BURST + [False] * 2
    assert limit.counted == 2
    assert limit.summaries(INTERVAL - 1) == []
    [summary] = limit.summaries(INTERVAL)
    assert (summary.number, summary.seconds) == (2, INTERVAL)
    assert (summary.level, summary.logger) == (logging.WARNING, "bgpd")


def test_what_goes_on_is_logged_once_an_interval_and_what_ends_is_forgotten() -> None:
    limit = LogLimit()
    kind = Kind(HERE, "a", "r")
    assert feed(limit, kind, burst=1)
    for round_ in range(1, 4):
        for _ in range(1000):
            assert not feed(limit, kind, round_ * INTERVAL - 1, burst=1)
        [summary] = limit.summaries(round_ * INTERVAL)
        assert summary.number == 1000
    assert limit.summaries(5 * INTERVAL) == []
    assert len(limit) == 0
    assert feed(limit, kind, 5 * INTERVAL, burst=1)


def test_each_subject_and_reason_has_its_own_first_line() -> None:
    limit = LogLimit()
    kinds = [Kind(place, s, r) for place in (HERE, THERE) for s in "ab" for r in "xy"]
    assert all(feed(limit, kind, burst=1) for kind in kinds)
    assert not any(feed(limit, kind, burst=1) for kind in kinds)


def test_reasons_that_a_peer_makes_up_are_counted_together() -> None:
    limit = LogLimit()
    written = sum(feed(limit, Kind(HERE, "a", str(n)), burst=1) for n in range(10_000))
    assert written == MOST_REASONS + 1
    assert len(limit) == MOST_REASONS + 1
    assert feed(limit, Kind(HERE, "b", "1"), burst=1)
    [summary] = limit.summaries(INTERVAL)
    assert summary.number == 10_000 - written


def test_thousands_of_subjects_are_counted_together() -> None:
    limit = LogLimit()
    written = sum(feed(limit, Kind(HERE, str(n))) for n in range(10_000))
    assert written == MOST_SUBJECTS
    assert feed(limit, Kind(THERE, "a"))
    [summary] = limit.summaries(INTERVAL)
    assert summary.number == 10_000 - MOST_SUBJECTS
    limit.summaries(3 * INTERVAL)
    assert len(limit) == 0
    assert not limit._subjects
    assert not limit._reasons


kinds = st.builds(
    Kind,
    st.tuples(st.just("f"), st.integers(0, 40)),
    st.integers(0, 2000).map(str),
    st.integers(0, 30).map(str),
)


@given(
    st.lists(
        st.one_of(
            st.tuples(kinds, st.integers(1, 200)),
            st.floats(0.1, 30.0),
        ),
        max_size=60,
    ),
    st.integers(1, BURST),
)
def test_every_line_is_written_or_counted_and_memory_is_bounded(story, burst) -> None:
    limit, now = LogLimit(), 0.0
    fed = written = told = 0
    for act in story:
        if isinstance(act, float):
            now += act
            told += sum(each.number for each in limit.summaries(now))
            continue
        kind, spread = act
        for n in range(spread):  # as many new subjects
            written += feed(
                limit, kind._replace(subject=f"{kind.subject}/{n}"), now, burst
            )
            fed += 1
        assert len(limit) <= MOST_KINDS + 50 * 2  # and one for the others of each place
    told += sum(each.number for each in limit.summaries(now, at_once=True))
    assert written + told == fed
    assert told == limit.counted
    for _ in range(2):
        now += INTERVAL
        limit.summaries(now)
    assert len(limit) == 0
    assert not limit._subjects
    assert not limit._reasons
