"""Refreshes that a peer begins and ends, or does not, with a clock of our own."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from bgpd.pipeline.inbound_refresh import InboundRefreshes
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from tests.support.clock import Clock

BOUND = 300.0


class Begun:
    def __init__(self) -> None:
        self.clock = Clock()
        self.swept: list[tuple[float, Family, int]] = []
        self.refreshes = InboundRefreshes(
            self.clock,
            lambda family, epoch: self.swept.append((self.clock.now, family, epoch)),
            BOUND,
        )


@pytest.fixture
def begun() -> Iterator[Begun]:
    made = Begun()
    yield made
    made.clock.close()


@pytest.mark.rfc("7313", "4", "MAY")
def test_a_refresh_without_an_end_ends_by_itself(begun: Begun) -> None:
    begun.refreshes.begin(IPV4_UNICAST, 1)
    begun.clock.go(BOUND - 1)
    assert not begun.swept
    begun.clock.go(2 * BOUND)
    assert begun.swept == [(BOUND, IPV4_UNICAST, 1)]
    assert IPV4_UNICAST not in begun.refreshes


def test_the_end_stops_the_clock_and_a_second_end_ends_nothing(begun: Begun) -> None:
    begun.refreshes.begin(IPV4_UNICAST, 1)
    assert begun.refreshes.end(IPV4_UNICAST)
    assert not begun.refreshes.end(IPV4_UNICAST)
    assert not begun.refreshes.end(IPV6_UNICAST)
    begun.clock.go(2 * BOUND)
    assert not begun.swept


def test_beginning_again_and_again_keeps_nothing_stale_for_ever(begun: Begun) -> None:
    for epoch in range(1, 21):
        begun.refreshes.begin(IPV4_UNICAST, epoch)
        begun.clock.go(100.0 * epoch)
    begun.clock.go(10_000.0)
    ages = {epoch: at - 100.0 * (epoch - 1) for at, _, epoch in begun.swept}
    assert set(ages.values()) == {BOUND}
    assert begun.swept[-1][2] == 20
    # Whatever is stale has been so for two bounds at most.
    assert all(b[0] - a[0] <= 2 * BOUND for a, b in pairwise(begun.swept))


def test_families_are_refreshed_on_their_own_and_the_session_ends_all(
    begun: Begun,
) -> None:
    begun.refreshes.begin(IPV4_UNICAST, 1)
    begun.clock.go(100.0)
    begun.refreshes.begin(IPV6_UNICAST, 7)
    begun.clock.go(BOUND + 50.0)
    assert begun.swept == [(BOUND, IPV4_UNICAST, 1)]
    begun.refreshes.close()
    begun.clock.go(10_000.0)
    assert len(begun.swept) == 1


def test_a_standstill_does_not_make_a_refresh_overdue(begun: Begun) -> None:
    begun.refreshes.begin(IPV4_UNICAST, 1)
    begun.clock.go(100)
    begun.refreshes.resume(60.0)
    begun.clock.go(BOUND + 59)
    assert not begun.swept
    begun.clock.go(BOUND + 61)
    assert begun.swept == [(BOUND + 60, IPV4_UNICAST, 1)]


def test_the_end_that_was_waiting_is_heard_after_a_standstill(begun: Begun) -> None:
    begun.refreshes.begin(IPV4_UNICAST, 1)
    begun.refreshes.resume(60.0)
    begun.clock.go(BOUND + 1)
    assert begun.refreshes.end(IPV4_UNICAST)
    begun.clock.go(3 * BOUND)
    assert not begun.swept
