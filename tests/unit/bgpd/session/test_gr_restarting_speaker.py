"""When a restart is over, with time as a number."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.session.gr_restarting_speaker import (
    SILENCE,
    DeferralLimits,
    PeerSight,
    PeerStatus,
    RestartingSpeaker,
    Step,
)
from bgpd.session.negotiation import Negotiated, RestartState, negotiate, offer
from bgpd.session.settings import FamilySettings
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from tests.support.session_pair import settings

FOUR, SIX = IPV4_UNICAST, IPV6_UNICAST
BOTH = frozenset({FOUR, SIX})
CAPS = DeferralLimits(tell=60, end=60, sweep=120)
TELL_AND_END = [(FOUR, Step.TELL), (FOUR, Step.END)]
TELL_AND_SWEEP = [*TELL_AND_END, (FOUR, Step.SWEEP)]


def agreed(
    *families: Family, is_graceful: bool = True, is_restarting: bool = False
) -> Negotiated:
    rows = tuple(FamilySettings(family) for family in families or (FOUR,))
    mine = settings(families=rows, has_graceful_restart=is_graceful)
    state = RestartState(recovering=BOTH if is_restarting else frozenset())
    theirs = offer(mine, 2, restart=state)
    return negotiate(mine, offer(mine, 1, restart=RestartState()), theirs)


AWAY = PeerSight(is_wanted=True, families=BOTH)
SENDING = AWAY._replace(negotiated=agreed(), up_since=1.0, heard_at=1.0)
SENT = SENDING._replace(ended=BOTH)
RESTARTING = SENDING._replace(negotiated=agreed(is_restarting=True))
PLAIN = SENDING._replace(negotiated=agreed(is_graceful=False))
DOWN = AWAY._replace(is_wanted=False)
OTHER_FAMILY = SENDING._replace(negotiated=agreed(SIX))


def recovery(*families: Family) -> RestartingSpeaker:
    return RestartingSpeaker(families or (FOUR,), 0.0, CAPS, window=10.0)


@pytest.mark.parametrize(
    ("sight", "status"),
    [
        (AWAY, PeerStatus.AWAY),
        (SENDING, PeerStatus.SENDING),
        (SENT, PeerStatus.SENT),
        (RESTARTING, PeerStatus.RESTARTING),
        (RESTARTING._replace(ended=BOTH), PeerStatus.SENT),
        (PLAIN, PeerStatus.SENDING),
        (PLAIN._replace(heard_at=2.0 - SILENCE), PeerStatus.SENT),
        (DOWN, PeerStatus.NONE),
        (OTHER_FAMILY, PeerStatus.NONE),
        (AWAY._replace(families=frozenset({SIX})), PeerStatus.NONE),
    ],
)
def test_what_a_peer_has_to_do_with_it(sight, status) -> None:
    assert sight.status(FOUR, 2.0) is status


@pytest.mark.rfc("4724", "4.1", "MUST")
def test_it_is_over_when_all_peers_have_told_their_routes() -> None:
    found = recovery()
    assert found.look([SENT, SENDING], 2.0) == []
    assert found.progress(2.0) == (1, 2.0, 60)
    assert found.look([SENT, SENT], 2.5) == TELL_AND_SWEEP
    assert found.is_over
    assert found.progress(3.0) is None
    assert found.look([SENT, SENDING], 4.0) == []


@pytest.mark.rfc("4724", "4.1", "MUST")
def test_peers_that_restart_too_hold_up_the_kernel_alone() -> None:
    found = recovery()
    assert found.look([SENT, RESTARTING], 2.0) == TELL_AND_END
    assert found.progress(2.0) is None
    assert found.look([SENT, RESTARTING], 50.0) == []
    ended = RESTARTING._replace(ended=BOTH)
    assert found.look([SENT, ended], 51.0) == [(FOUR, Step.SWEEP)]


@pytest.mark.rfc("4724", "4.1", "MUST")
@pytest.mark.parametrize("others", [[], [SENDING], [AWAY]])
def test_the_caps_end_it_in_any_case(others) -> None:
    found = recovery()
    peers = [RESTARTING, SENDING, *others]
    assert found.look(peers, 59.0) == []
    assert found.look(peers, 60.0) == TELL_AND_END
    assert found.look(peers, 119.0) == []
    assert found.look(peers, 120.0) == [(FOUR, Step.SWEEP)]


def test_a_peer_that_stays_away_is_waited_for_through_a_window_only() -> None:
    found = recovery()
    peers = [SENT._replace(up_since=3.0), AWAY, AWAY, AWAY]
    assert found.look(peers, 12.9) == []
    assert found.progress(12.9) == (3, 12.9, 60)
    assert found.look(peers, 13.0) == TELL_AND_SWEEP


def test_each_session_that_comes_up_restarts_the_window() -> None:
    found = recovery()
    first, second = SENT._replace(up_since=1.0), SENDING._replace(up_since=10.5)
    assert found.look([first, AWAY, AWAY], 10.5) == []
    assert found.look([first, second, AWAY], 12.0) == []
    told = second._replace(ended=BOTH)
    assert found.look([first, told, AWAY], 20.4) == []
    assert found.look([first, told, AWAY], 20.5) == TELL_AND_SWEEP


def test_until_a_peer_is_back_the_old_routes_are_the_best_there_are() -> None:
    found = recovery()
    assert found.look([AWAY, AWAY, DOWN, OTHER_FAMILY], 59.9) == []
    assert found.progress(59.9) == (2, 59.9, 60)
    assert found.look([AWAY, AWAY], 60.0) == TELL_AND_END
    assert found.look([AWAY, AWAY], 119.9) == []
    assert found.look([AWAY, AWAY], 120.0) == [(FOUR, Step.SWEEP)]


@pytest.mark.parametrize("other", [DOWN, OTHER_FAMILY])
def test_those_who_do_not_matter_are_not_waited_for(other) -> None:
    assert recovery().look([SENT, other], 1.5) == TELL_AND_SWEEP


def test_a_peer_without_graceful_restart_has_told_all_when_it_is_silent() -> None:
    found = recovery()
    busy = PLAIN._replace(heard_at=9.0)
    assert found.look([SENT, busy], 9.0 + SILENCE - 0.1) == []
    assert found.look([SENT, busy], 9.0 + SILENCE) == TELL_AND_SWEEP


def test_peers_of_a_range_may_come_within_the_window() -> None:
    found = recovery()
    assert found.look([], 30.0, has_unknown_peers=True) == []
    up = SENT._replace(up_since=31.0)
    assert found.look([up], 40.9, has_unknown_peers=True) == []
    assert found.look([up], 41.0, has_unknown_peers=True) == TELL_AND_SWEEP


def test_a_family_that_no_peer_has_is_over_once_peers_are_known() -> None:
    found = recovery()
    assert found.look([], SILENCE - 0.1) == []
    assert found.look([OTHER_FAMILY], SILENCE) == TELL_AND_SWEEP


def test_families_recover_each_by_itself() -> None:
    found = recovery(FOUR, SIX)
    six = SENDING._replace(families=frozenset({SIX}), negotiated=agreed(SIX))
    four = SENT._replace(families=frozenset({FOUR}))
    gone = AWAY._replace(families=frozenset({SIX}))
    assert found.look([four, six, gone], 2.0) == TELL_AND_SWEEP
    assert found.progress(2.0) == (2, 2.0, 60)
    told = six._replace(ended=BOTH)
    assert found.look([four, told, gone], 5.0) == []
    steps = found.look([four, told, gone], 11.0)
    assert steps == [(SIX, step) for step in Step]


def test_a_first_start_tells_at_once_and_sweeps_as_ever() -> None:
    found = RestartingSpeaker((FOUR,), 0.0, DeferralLimits(tell=0, end=0, sweep=120))
    assert found.look([], 0.0) == TELL_AND_END
    assert found.progress(0.0) is None
    assert found.look([SENDING], 2.0) == []
    assert found.look([SENT], 3.0) == [(FOUR, Step.SWEEP)]


def test_a_standstill_shortens_neither_the_cap_nor_the_window() -> None:
    made = recovery()
    assert made.look([SENDING, AWAY], 2.0) == []
    made.resume(100.0, 103.0)
    assert made.look([SENT, AWAY], 104.0) == []  # those who are away may knock by now
    assert made.progress(104.0) == (1, 4.0, CAPS.end)
    assert made.look([SENT, AWAY], 113.0) == TELL_AND_SWEEP


def test_our_standstill_does_not_count_as_silence_of_a_peer_without_graceful_restart() -> (
    None
):
    made = recovery()
    assert made.look([PLAIN], 2.0) == []
    made.resume(100.0, 103.0)
    assert made.look([PLAIN], 103.0) == []
    assert made.look([PLAIN], 103.0 + SILENCE) == TELL_AND_SWEEP


# -- those who were up before, and keep our routes --------------------------------------

KEEPING = AWAY._replace(kept=BOTH, kept_until=50.0)


@pytest.mark.parametrize(
    ("sight", "status"),
    [
        (KEEPING, PeerStatus.KEEPING),
        (KEEPING._replace(kept_until=2.0), PeerStatus.AWAY),
        (KEEPING._replace(kept=frozenset({SIX})), PeerStatus.AWAY),
        (KEEPING._replace(is_wanted=False), PeerStatus.NONE),
        (KEEPING._replace(families=frozenset({SIX})), PeerStatus.NONE),
        (KEEPING._replace(negotiated=agreed()), PeerStatus.SENDING),
    ],
)
def test_one_that_was_up_keeps_our_routes_for_its_time(sight, status) -> None:
    assert sight.status(FOUR, 2.0) is status


@pytest.mark.rfc("4724", "4.1", "MUST")
def test_end_of_rib_waits_for_peers_that_keep_our_routes_and_routes_for_a_window() -> (
    None
):
    found = recovery()
    early = SENT._replace(up_since=1.0)
    assert found.look([early, KEEPING], 10.9) == []
    assert found.look([early, KEEPING], 11.0) == [(FOUR, Step.TELL)]
    assert found.look([early, KEEPING], 20.0) == []
    assert found.progress(20.0) == (1, 20.0, 60)
    assert found.awaited == [1]
    late = SENDING._replace(up_since=20.5)
    assert found.look([early, late], 20.5) == []
    assert found.look([early, late._replace(ended=BOTH)], 21.0) == [
        (FOUR, Step.END),
        (FOUR, Step.SWEEP),
    ]


def test_one_that_does_not_come_is_given_up_when_it_keeps_nothing_any_more() -> None:
    found = recovery()
    early = SENT._replace(up_since=1.0)
    assert found.look([early, KEEPING], 49.9) == [(FOUR, Step.TELL)]
    assert found.look([early, KEEPING], 50.0) == [(FOUR, Step.END), (FOUR, Step.SWEEP)]


def test_once_all_that_were_up_are_back_no_other_peer_is_awaited() -> None:
    found = recovery()
    assert found.look([SENT, KEEPING], 2.0) == []
    assert found.look([SENT, SENT], 2.5) == TELL_AND_SWEEP


def test_one_that_restarted_too_holds_up_the_kernel_alone_although_it_was_up() -> None:
    found = recovery()
    back = RESTARTING._replace(kept=BOTH, kept_until=50.0)
    assert found.look([SENT, back], 2.0) == TELL_AND_END


def test_strangers_of_a_range_that_lack_a_family_do_not_hold_it_up() -> None:
    found = recovery(FOUR, SIX)
    four = SENT._replace(up_since=1.0)
    assert found.look([four], 10.9, has_unknown_peers=True) == []
    steps = found.look([four], 11.0, has_unknown_peers=True)
    assert steps == [(family, step) for family in (FOUR, SIX) for step in Step]


def test_what_is_only_possible_tells_at_once_and_holds_back_the_end() -> None:
    found = RestartingSpeaker(
        (FOUR,), 0.0, DeferralLimits(tell=0, end=60, sweep=120), window=10.0
    )
    assert found.look([], 0.0, has_unknown_peers=True) == [(FOUR, Step.TELL)]
    assert found.look([SENDING], 2.0, has_unknown_peers=True) == []
    assert found.look([SENT], 10.9, has_unknown_peers=True) == []
    ends = [(FOUR, Step.END), (FOUR, Step.SWEEP)]
    assert found.look([SENT], 11.0, has_unknown_peers=True) == ends


# -- any order of return, loss and End-of-RIB -------------------------------------------

times = st.floats(0, 150, allow_nan=False)


class Life(NamedTuple):
    """One peer: what it was, and what happens to it.

    Attributes:
        seconds: For which it keeps our routes; 0 where it was not up.
        back: When its session comes up.
        lost: Seconds after that its session is lost for a while, if ever.
        told: Seconds after its session is up until its End-of-RIB.
        is_restarting: It has the R flag.
    """

    seconds: float
    back: float
    lost: float | None
    told: float
    is_restarting: bool

    def sight(self, now: float) -> PeerSight:
        away = AWAY._replace(
            kept=BOTH if self.seconds else frozenset(), kept_until=self.seconds
        )
        up_since = self.back
        if self.lost is not None and now >= self.back + self.lost:
            up_since = self.back + self.lost + 3.0  # it comes again
        if now < up_since:
            return away
        ended = BOTH if now >= up_since + self.told else frozenset[Family]()
        negotiated = agreed(is_restarting=self.is_restarting)
        return away._replace(
            negotiated=negotiated, up_since=up_since, heard_at=up_since, ended=ended
        )


lives = st.builds(
    Life,
    seconds=st.sampled_from([0.0, 4.0, 60.0, 118.0]),
    back=times,
    lost=st.none() | st.floats(0.5, 30),
    told=st.floats(0.1, 40),
    is_restarting=st.booleans(),
)


@given(st.lists(lives, max_size=6), st.booleans(), st.floats(0.2, 3))
def test_in_any_order_end_of_rib_waits_for_all_who_keep_our_routes_and_ends(
    peers, has_unknown_peers, pause
) -> None:
    limits = DeferralLimits(tell=60, end=118, sweep=120)
    found = RestartingSpeaker((FOUR,), 0.0, limits)
    taken: dict[Step, float] = {}
    now = 0.0
    while now < 125:
        sights = [peer.sight(now) for peer in peers]
        for family, step in found.look(
            sights, now, has_unknown_peers=has_unknown_peers
        ):
            assert family == FOUR
            assert step not in taken, "each once"
            taken[step] = now
            if step is Step.END and now < limits.end:
                for peer, sight in zip(peers, sights, strict=True):
                    if sight.negotiated is None:
                        assert now >= peer.seconds, "it still keeps our routes"
                    elif not peer.is_restarting:
                        assert sight.ended, "it has not told its routes"
        now += pause
    assert set(taken) == set(Step), "it always ends"
    assert taken[Step.TELL] <= taken[Step.END] <= limits.end + pause
    assert found.is_over
    assert found.progress(now) is None


def test_the_kernel_is_left_alone_for_long_while_no_peer_is_back() -> None:
    limits = DeferralLimits(tell=60, end=60, sweep=120, alone=1000)
    found = RestartingSpeaker((FOUR, SIX), 0.0, limits)
    away = [AWAY, AWAY._replace(families=frozenset({FOUR}))]
    assert found.look(away, 60.0) == [
        (family, step) for family in (FOUR, SIX) for step in (Step.TELL, Step.END)
    ]
    assert not found.look(away, 999.0)
    found.resume(50.0, 1049.0)  # a standstill: no peer could come back in it
    assert not found.look(away, 1168.0)
    assert found.look(away, 1169.0) == [(FOUR, Step.SWEEP), (SIX, Step.SWEEP)]
    assert found.is_over


def test_a_peer_that_is_back_and_silent_delays_the_sweep_no_longer_than_ever() -> None:
    limits = DeferralLimits(tell=60, end=60, sweep=120, alone=1000)
    found = RestartingSpeaker((FOUR,), 0.0, limits)
    found.look([AWAY, AWAY], 500.0)
    back = [RESTARTING._replace(up_since=500.0), AWAY]
    assert not found.look(back, 619.0)
    assert found.look(back, 620.0) == [(FOUR, Step.SWEEP)]


def test_a_peer_that_is_back_and_whole_ends_it_at_once() -> None:
    limits = DeferralLimits(tell=60, end=60, sweep=120, alone=1000)
    found = RestartingSpeaker((FOUR,), 0.0, limits)
    found.look([AWAY], 500.0)
    assert found.look([SENT._replace(up_since=500.0)], 501.0) == [(FOUR, Step.SWEEP)]


@pytest.mark.parametrize("sights", [[], [DOWN], [DOWN, DOWN]])
def test_without_peers_there_is_no_wait(sights: list[PeerSight]) -> None:
    limits = DeferralLimits(tell=60, end=60, sweep=120, alone=1000)
    found = RestartingSpeaker((FOUR,), 0.0, limits)
    assert found.look(sights, SILENCE) == TELL_AND_SWEEP
