"""Histograms of how long routes take, and how batches wait at a stage."""

from hypothesis import given
from hypothesis import strategies as st

from bgpd.pipeline.propagation import (
    BOUNDS,
    MAX_ARRIVALS,
    Arrival,
    Arrivals,
    Histogram,
    Propagation,
)
from rib.change import Change
from rib.family import IPV4_UNICAST, Family
from tests.support.routes import a_path, nlris


class Kernel:
    """What waits for it is what a test says."""

    def __init__(self) -> None:
        self.waiting = 0

    def waiting_count(self, family: Family) -> int:
        assert family is IPV4_UNICAST
        return self.waiting


def changes(count: int) -> list[Change]:
    return [Change(None, a_path(), nlris(*(f"10.{i}.0.0/16" for i in range(count))))]


def seen(histogram: Histogram) -> dict[float, int]:
    """Bound -> prefixes, where there are any; above the last is ``inf``."""
    bounds = (*BOUNDS, float("inf"))
    return {b: n for b, n in zip(bounds, histogram.counts, strict=True) if n}


def test_an_observation_is_counted_under_the_bound_that_it_reaches() -> None:
    histogram = Histogram()
    histogram.observe(0.005, 3)
    histogram.observe(0.0051, 4)
    histogram.observe(61.0, 1)
    assert seen(histogram) == {0.005: 3, 0.01: 4, float("inf"): 1}
    assert round(histogram.total, 6) == round(0.015 + 0.0204 + 61.0, 6)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 50))),
    st.lists(st.integers(0, 60)),
)
def test_batches_leave_in_order_and_none_is_lost(
    added: list[tuple[float, int]], taken: list[int]
) -> None:
    arrivals = Arrivals()
    for at, count in added:
        arrivals.add(Arrival(at, count))
    expected = [at for at, count in added for _ in range(count)]
    for count in taken:
        found = [a.at for a in arrivals.take(count) for _ in range(a.size)]
        assert found == expected[:count]
        del expected[:count]
        assert arrivals.waiting == len(expected)
    assert [a.at for a in arrivals.take_all() for _ in range(a.size)] == expected


def test_the_batches_that_wait_are_bounded() -> None:
    arrivals = Arrivals()
    for moment in range(3 * MAX_ARRIVALS):
        arrivals.add(Arrival(float(moment), 1))
    taken = arrivals.take_all()
    assert len(taken) == MAX_ARRIVALS
    assert sum(arrival.size for arrival in taken) == 3 * MAX_ARRIVALS


def test_a_batch_passes_all_stages() -> None:
    propagation, kernel = Propagation(IPV4_UNICAST), Kernel()
    propagation.kernel = kernel
    batch = changes(10)
    propagation.note_decided(batch, 100.0, 100.004)
    propagation.begin_flush(batch, is_all=True)
    kernel.waiting = 10
    propagation.end_flush(is_queued=True)
    propagation.note_sent(100.02)
    propagation.note_installed(4, 100.2)
    assert seen(propagation.decided) == {0.005: 10}
    assert seen(propagation.sent) == {0.025: 10}
    assert seen(propagation.installed) == {0.25: 6}
    propagation.note_installed(0, 101.2)
    assert seen(propagation.installed) == {0.25: 6, 2.5: 4}


def test_a_flush_in_parts_takes_the_oldest_first() -> None:
    propagation = Propagation(IPV4_UNICAST)
    first, second = changes(3), changes(5)
    propagation.note_decided(first, 10.0, 10.0)
    propagation.note_decided(second, 11.0, 11.0)
    propagation.begin_flush(changes(4), is_all=False)
    propagation.end_flush(is_queued=True)
    propagation.note_sent(11.2)
    assert seen(propagation.sent) == {2.5: 3, 0.25: 1}
    propagation.begin_flush(changes(4), is_all=True)
    propagation.end_flush(is_queued=True)
    propagation.note_sent(11.4)
    assert seen(propagation.sent) == {2.5: 3, 0.25: 1, 0.5: 4}


def test_what_no_peer_sent_is_not_measured() -> None:
    propagation = Propagation(IPV4_UNICAST)
    batch = changes(2)
    propagation.note_decided(batch, None, 5.0)
    propagation.begin_flush(batch, is_all=True)
    propagation.end_flush(is_queued=True)
    propagation.note_sent(6.0)
    assert not seen(propagation.decided)
    assert not seen(propagation.sent)


def test_what_is_sent_to_no_peer_or_stays_in_the_kernel_is_not_measured() -> None:
    propagation = Propagation(IPV4_UNICAST)
    propagation.kernel = Kernel()
    batch = changes(2)
    propagation.note_decided(batch, 5.0, 5.0)
    propagation.begin_flush(batch, is_all=True)
    propagation.end_flush(is_queued=False)
    propagation.note_sent(6.0)
    propagation.note_installed(0, 6.0)
    assert not seen(propagation.sent)
    assert not seen(propagation.installed)


def test_prefixes_that_changed_again_while_they_waited_leave_once() -> None:
    propagation = Propagation(IPV4_UNICAST)
    batch = changes(4)
    propagation.note_decided(batch, 5.0, 5.0)
    propagation.note_decided(batch, 5.5, 5.5)
    propagation.begin_flush(batch, is_all=True)
    propagation.end_flush(is_queued=True)
    propagation.note_sent(6.0)
    propagation.note_decided(batch, 9.0, 9.0)
    propagation.begin_flush(batch, is_all=True)
    propagation.end_flush(is_queued=True)
    propagation.note_sent(9.02)
    assert seen(propagation.sent) == {1.0: 4, 0.5: 4, 0.025: 4}
