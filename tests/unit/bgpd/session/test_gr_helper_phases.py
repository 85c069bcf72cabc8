"""The clocks of graceful and long-lived restart, in every order of loss and return."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.session.gr_helper import GrHelper, Phase, StaleAction, StaleWork
from bgpd.session.negotiation import Negotiated, RestartState, negotiate, offer
from bgpd.session.settings import PeerSettings
from bgpd.wire.capabilities import GracefulRestart, LongLivedFamily
from rib.family import IPV4_UNICAST
from tests.support.session_pair import settings

RESTART, LONG, BOUND = 20, 100, 30
V4 = IPV4_UNICAST


def agreed(
    *,
    restart_time: int = RESTART,
    stale_time: int = LONG,
    is_kept: bool | None = True,
    is_kept_long: bool | None = True,
) -> Negotiated:
    """Return what a session agreed on; ``None`` for a family without the capability."""
    mine = settings(graceful_restart_time=RESTART, long_lived_stale_time=LONG)
    theirs = offer(mine, 2, restart=RestartState())
    session = negotiate(mine, offer(mine, 1, restart=RestartState()), theirs)
    families = () if is_kept is None else ((V4, is_kept),)
    graceful = GracefulRestart(restart_time=restart_time, families=families)
    rows = () if is_kept_long is None else ((V4, is_kept_long),)
    long_lived = tuple(LongLivedFamily(f, kept, stale_time) for f, kept in rows)
    return replace(session, graceful_restart=graceful, long_lived=long_lived)


class Kept:
    """Sessions one after another; each tells one route, named by its number."""

    def __init__(self) -> None:
        self.now = 0.0
        self.number = 1
        self.fresh = {1}
        self.stale: dict[int, int] = {}  # route -> session that told it
        self.marked: set[int] = set()
        self.helper = GrHelper(float(BOUND))
        self.options: PeerSettings = settings()

    def _carry_out(self, work: list[StaleWork]) -> None:
        for family, action, before in work:
            assert family == V4
            some = {n for n, of in self.stale.items() if before is None or of < before}
            if action is StaleAction.MARK:
                self.marked |= some
            else:
                for number in some:
                    del self.stale[number]
                self.marked -= some

    @property
    def routes(self) -> set[int]:
        return {*self.stale, *self.fresh}

    def lose(self, session: Negotiated | None = None) -> int:
        self.stale.update(dict.fromkeys(self.fresh, self.number))
        self.fresh = set()
        self.number += 1
        return self.helper.lose(
            V4, session or agreed(), self.options, self.number, self.now
        )

    def come_back(self, session: Negotiated | None = None) -> None:
        self._carry_out(self.helper.come_back(session or agreed(), self.now))
        self.fresh = {self.number}

    def end_of_rib(self) -> None:
        self._carry_out(self.helper.drop(V4))

    def go(self, moment: float) -> None:
        """Let time pass; what is due happens at its own moment."""
        while (due := self.helper.next_deadline()) is not None and due <= moment:
            self.now = max(self.now, due)
            self._carry_out(self.helper.handle_timer(self.now))
        self.now = moment

    def at(self, moment: float) -> set[int]:
        """Return the routes that are there at a moment."""
        self.go(moment)
        return self.routes


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.mark.rfc("9494", "4.2", "MUST")
def test_a_peer_that_returns_late_keeps_its_routes_until_its_end_of_rib(kept) -> None:
    assert kept.lose() == RESTART + LONG
    assert kept.at(21) == kept.marked == {1}
    kept.go(80)
    kept.come_back()
    assert kept.at(109) == {1, 2}  # the bound counts from the return
    kept.end_of_rib()
    assert kept.routes == {2}
    assert kept.helper.phase(V4, kept.now) is None


def test_without_end_of_rib_the_bound_counts_from_the_return(kept) -> None:
    kept.lose()
    kept.go(50)
    kept.come_back()
    assert kept.at(79) == {1, 2}
    assert kept.at(81) == {2}


@pytest.mark.rfc("9494", "4.2", "MUST NOT")
def test_the_long_lived_time_is_not_restarted_before_an_end_of_rib(kept) -> None:
    kept.lose()
    for start in (30, 60, 90):
        kept.go(start)
        kept.come_back()
        kept.go(start + 5)
        kept.lose()
    assert 1 in kept.at(119)
    assert 1 not in kept.at(121)
    assert kept.routes == set()  # there is one such time for the family


def test_after_an_end_of_rib_the_next_loss_restarts_both_times(kept) -> None:
    kept.lose()
    kept.go(100)
    kept.come_back()
    kept.end_of_rib()
    kept.go(110)
    assert kept.lose() == RESTART + LONG
    assert kept.at(229) == {2}
    assert kept.at(231) == set()


def test_a_route_of_a_short_session_has_its_first_phase_for_itself(kept) -> None:
    kept.lose()
    kept.go(115)
    kept.come_back()
    kept.go(116)
    kept.lose()
    assert kept.at(121) == {2}  # the long-lived time of the first is over
    assert not kept.marked
    assert kept.at(137) == kept.marked == {2}
    assert kept.at(235) == {2}
    assert kept.at(237) == set()


def test_a_peer_that_comes_and_goes_ends_in_the_second_phase(kept) -> None:
    kept.lose()
    for start in range(10, 60, 15):
        kept.go(start)
        kept.come_back()
        kept.fresh = set()  # it tells nothing
        kept.go(start + 5)
        kept.lose()
    assert kept.at(51) == kept.marked == {1}
    assert kept.at(151) == set()


@pytest.mark.rfc("9494", "4.2", "MUST")
@pytest.mark.parametrize(
    ("session", "in_first", "in_second"),
    [
        (agreed(), True, True),
        (agreed(is_kept_long=False), True, False),
        (agreed(is_kept_long=None), True, False),
        (agreed(is_kept=False), False, True),
        (agreed(is_kept=None), True, True),
        (agreed(is_kept=None, is_kept_long=None), False, False),
        (replace(agreed(), graceful_restart=None, long_lived=()), False, False),
    ],
    ids=["both", "not long", "no llgr", "not first", "llgr alone", "none", "no gr"],
)
def test_what_the_return_says_of_forwarding_counts_for_its_phase(
    kept, session, in_first, in_second
) -> None:
    kept.lose()
    kept.go(10)
    kept.come_back(session)
    assert (1 in kept.routes) is in_first
    kept.end_of_rib()
    kept.fresh = {kept.number}
    kept.lose()
    kept.go(60)
    name = kept.number - 1
    kept.come_back(session)
    assert (name in kept.routes) is in_second


def test_a_return_without_long_life_leaves_what_is_in_the_first_phase(kept) -> None:
    kept.lose()
    kept.go(40)
    kept.come_back()
    kept.lose()
    assert kept.at(45) == {1, 2}
    kept.come_back(agreed(is_kept_long=None))
    assert kept.routes == {2, 3}


def test_without_long_life_the_routes_go_after_the_restart_time(kept) -> None:
    assert kept.lose(agreed(is_kept_long=None)) == RESTART
    assert kept.at(19) == {1}
    assert kept.at(21) == set()


def test_what_the_peer_gives_can_be_capped(kept) -> None:
    kept.options = settings(max_graceful_restart_time=5, max_long_lived_stale_time=7)
    assert kept.lose() == 12
    assert kept.at(6) == kept.marked == {1}
    assert kept.at(11) == {1}
    assert kept.at(13) == set()
    kept.fresh = {9}
    kept.options = settings(
        max_graceful_restart_time=500, max_long_lived_stale_time=500
    )
    assert kept.lose() == RESTART + LONG


def test_the_log_says_how_long_they_stay(kept) -> None:
    kept.lose()
    assert kept.helper.phase(V4, kept.now) == (Phase.GRACEFUL, 20)
    kept.go(30)
    assert kept.helper.phase(V4, kept.now) == (Phase.LONG_LIVED, 90)
    kept.come_back()
    assert kept.helper.phase(V4, kept.now) == (Phase.RETURNED, 30)
    kept.go(50)
    assert kept.helper.phase(V4, kept.now) == (Phase.RETURNED, 10)


def test_a_standstill_counts_for_neither_phase(kept) -> None:
    kept.lose()
    kept.go(30)
    kept.helper.resume(40)
    assert kept.at(159) == {1}
    assert kept.at(161) == set()


def test_a_family_that_is_forgotten_is_waited_for_no_more(kept) -> None:
    kept.lose()
    assert kept.helper.forget(V4)
    assert not kept.helper.forget(V4)
    assert len(kept.helper) == 0
    assert V4 not in kept.helper
    assert kept.helper.next_deadline() is None
    assert kept.helper.drop(V4) == []
    assert kept.at(500) == {1}


def test_a_stall_in_the_first_phase_puts_off_its_end_and_its_bound(kept) -> None:
    kept.lose()
    assert V4 in kept.helper
    assert list(kept.helper) == [V4]
    kept.go(10)
    kept.helper.resume(15)
    assert kept.at(RESTART + 14) == {1}
    assert not kept.marked
    assert kept.at(RESTART + 16) == kept.marked == {1}


class Model:
    """The same second by second: each route has its own clock."""

    def __init__(self) -> None:
        self.now = 0
        self.is_up = True
        self.number = 1
        self.fresh = {1}
        self.first: set[int] = set()
        self.second: set[int] = set()
        self.first_loss: int | None = None
        self.first_end = self.second_end = self.sync_end = 0
        self.stale_time = 0

    def lose(self, restart: int, long: int) -> None:
        self.is_up = False
        self.first |= self.fresh
        self.fresh = set()
        self.number += 1
        if self.first_loss is None:
            self.first_loss = self.now
        latest = max(self.now, self.first_loss + restart + BOUND)
        self.first_end = min(self.now + restart, latest)
        self.stale_time = long
        self._end_first_phase()

    def come_back(self, restart: int, *, kept: bool, long: bool) -> None:
        self.is_up = True
        if not long:
            self.second = set()
        if not kept and self.first_loss is not None:
            self.first, self.second = set(), set()
        if self.first_loss is None:
            latest = self.now + BOUND
        else:
            latest = max(self.now, self.first_loss + restart + BOUND)
        self.sync_end = min(self.now + BOUND, latest)
        if self._is_done():
            self.first_loss = None
        self.fresh = {self.number}

    def _is_done(self) -> bool:
        return not self.first and not self.second

    def end_of_rib(self) -> None:
        self.first, self.second, self.first_loss = set(), set(), None

    def tick(self) -> None:
        self.now += 1
        if self.second and self.now >= self.second_end:
            self.second = set()
        if self.is_up:
            if self.now >= self.sync_end:
                self.end_of_rib()
        else:
            self._end_first_phase()

    def _end_first_phase(self) -> None:
        if self.first_loss is None or self.now < self.first_end:
            return
        if not self.stale_time:
            self.end_of_rib()
            return
        if not self.second:
            self.second_end = self.now + self.stale_time
        self.second |= self.first
        self.first, self.first_loss = set(), None

    @property
    def routes(self) -> set[int]:
        return self.first | self.second | self.fresh


STEPS = st.lists(
    st.tuples(
        st.integers(1, 60),  # seconds before it
        st.sampled_from(("toggle", "toggle", "end")),
        st.sampled_from((0, 5, RESTART)),
        st.sampled_from((0, 15, LONG)),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)


@given(STEPS)
def test_every_order_of_loss_and_return_is_as_the_model_has_it(steps) -> None:
    kept, model = Kept(), Model()
    kept.end_of_rib()
    for seconds, step, restart, long, is_kept, is_kept_long in steps:
        for _ in range(seconds):
            model.tick()
            assert kept.at(model.now) == model.routes
            assert kept.marked == model.second
        if step == "end":
            if model.is_up:
                model.end_of_rib()
                kept.end_of_rib()
        elif model.is_up:
            model.lose(restart, long)
            lost = agreed(
                restart_time=restart,
                stale_time=long,
                is_kept_long=True if long else None,
            )
            kept.lose(lost)
            kept.go(model.now)
        else:
            model.come_back(restart, kept=is_kept, long=is_kept_long)
            kept.come_back(
                agreed(
                    restart_time=restart,
                    is_kept=is_kept,
                    is_kept_long=is_kept_long,
                )
            )
        assert kept.routes == model.routes
