"""How long routes stay that outlived their session, with a clock of our own."""

from dataclasses import replace

import pytest

from bgpd.pipeline.stale_routes import StaleRoutes
from bgpd.session.negotiation import Negotiated, RestartState, negotiate, offer
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from tests.support.clock import Clock
from tests.support.session_pair import settings

RESTART_TIME, BOUND = 100, 300.0


def agreed(*, is_preserved: bool = True) -> Negotiated:
    mine = settings(graceful_restart_time=RESTART_TIME)
    kept = frozenset({IPV4_UNICAST}) if is_preserved else frozenset[Family]()
    theirs = offer(mine, 2, restart=RestartState(preserved=kept))
    return negotiate(mine, offer(mine, 1, restart=RestartState()), theirs)


class Kept:
    def __init__(self) -> None:
        self.clock = Clock()
        self.swept: list[float] = []
        self.stale = StaleRoutes(
            self.clock,
            lambda _family, _mark: self.swept.append(self.clock.now),
            lambda _: None,
            BOUND,
        )

    def lose(self) -> int:
        return self.stale.keep(IPV4_UNICAST, agreed(), settings(), 1)


@pytest.fixture
def kept():
    made = Kept()
    yield made
    made.clock.close()


@pytest.mark.rfc("4724", "4.2", "MUST")
def test_routes_stay_for_the_time_that_the_peer_gave(kept) -> None:
    assert kept.lose() == RESTART_TIME
    kept.clock.go(99)
    assert len(kept.stale) == 1
    kept.clock.go(101)
    assert kept.swept == [100]


@pytest.mark.rfc("4724", "4.2", "MUST")
def test_a_peer_that_is_back_has_a_bounded_time_for_its_end_of_rib(kept) -> None:
    kept.lose()
    kept.clock.go(50)
    kept.stale.came_back(agreed())
    kept.clock.go(1000)
    assert kept.swept == [350]


@pytest.mark.rfc("4724", "4.2", "MUST")
def test_what_was_not_preserved_goes_when_the_peer_is_back(kept) -> None:
    kept.lose()
    kept.clock.go(50)
    kept.stale.came_back(agreed(is_preserved=False))
    assert kept.swept == [50]


@pytest.mark.rfc("8538", "4.1", "MUST NOT")
def test_consecutive_restarts_keep_routes_but_not_for_ever(kept) -> None:
    kept.lose()
    for start in range(0, 400, 40):
        kept.clock.go(start + 10)
        if kept.swept:
            break
        kept.stale.came_back(agreed())
        kept.clock.go(start + 40)
        if len(kept.stale):
            kept.lose()
    kept.clock.go(1000)
    assert kept.swept == [RESTART_TIME + BOUND]


def test_an_end_of_rib_lets_the_time_begin_again(kept) -> None:
    kept.lose()
    kept.clock.go(90)
    kept.stale.came_back(agreed())
    kept.stale.drop(IPV4_UNICAST)
    assert kept.swept == [90]
    kept.clock.go(390)
    assert kept.lose() == RESTART_TIME
    kept.clock.go(1000)
    assert kept.swept == [90, 490]


def test_the_bound_shortens_the_time_that_is_reported(kept) -> None:
    kept.lose()
    kept.clock.go(95)
    kept.stale.came_back(agreed())
    kept.clock.go(360)
    assert kept.lose() == 40
    alone = replace(agreed(), graceful_restart=None)
    assert kept.stale.keep(IPV4_UNICAST, alone, settings(), 1) == 0


def test_a_standstill_does_not_count_as_absence(kept) -> None:
    kept.lose()
    kept.clock.go(50)
    kept.stale.resume(60.0)
    kept.clock.go(159)
    assert kept.swept == []
    kept.clock.go(161)
    assert kept.swept == [160]


def test_a_standstill_is_seen_before_the_time_is_judged() -> None:
    clock, swept = Clock(), list[Family]()
    unseen = [40.0]
    stale = StaleRoutes(
        clock,
        lambda family, _: swept.append(family),
        lambda _: None,
        BOUND,
        lambda: stale.resume(unseen.pop() if unseen else 0.0),
    )
    stale.keep(IPV4_UNICAST, agreed(), settings(), 1)
    clock.go(130)
    assert not swept
    clock.go(141)
    assert swept == [IPV4_UNICAST]
    clock.close()


def test_a_removed_peer_is_waited_for_no_more(kept) -> None:
    kept.lose()
    kept.stale.let_go()
    assert len(kept.stale) == 0
    kept.stale.drop(IPV4_UNICAST)
    kept.clock.go(1000)
    assert kept.swept == []


def test_a_family_whose_sweep_fails_costs_no_other_its_own(caplog) -> None:
    clock, swept = Clock(), list[Family]()

    def sweep(family: Family, _before: int | None) -> None:
        if family == IPV4_UNICAST:
            raise RuntimeError("an internal fault")
        swept.append(family)

    stale = StaleRoutes(clock, sweep, lambda _: None, BOUND)
    for family in (IPV4_UNICAST, IPV6_UNICAST):
        stale.keep(family, agreed(), settings(), 1)
    clock.go(101)
    assert swept == [IPV6_UNICAST]
    assert "an internal fault" in caplog.text
    clock.close()
