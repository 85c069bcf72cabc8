import itertools

import pytest

from bgpd.session.events import DownKind, DownReason
from bgpd.session.gr_helper import are_ours_kept, kept_families, kept_of_ours
from bgpd.session.negotiation import RestartState, negotiate, offer
from bgpd.session.settings import FamilySettings
from bgpd.wire.capabilities import GracefulRestart
from bgpd.wire.errors import CeaseSubcode
from bgpd.wire.notification import Notification, cease
from bgpd.wire.open import OpenMessage
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.session_pair import settings

BOTH = (FamilySettings(IPV4_UNICAST), FamilySettings(IPV6_UNICAST))
SENT, RECEIVED = DownKind.NOTIFICATION_SENT, DownKind.NOTIFICATION_RECEIVED
STOP = DownKind.ADMIN_STOP
ERROR = Notification(3, 1)
RESET = cease(CeaseSubcode.ADMINISTRATIVE_RESET)
SHUTDOWN = cease(CeaseSubcode.ADMINISTRATIVE_SHUTDOWN)
HARD = cease(CeaseSubcode.ADMINISTRATIVE_RESET, is_hard=True)


def agreed(*, n_flag=True, lists_families=True, **changes):
    mine = settings(families=BOTH, **changes)
    local = offer(mine, 1, restart=RestartState())
    caps = offer(mine, 2, restart=RestartState()).capabilities
    if caps.graceful_restart is not None:
        rows = ((IPV4_UNICAST, True),) if lists_families else ()
        graceful = GracefulRestart(
            has_notification=n_flag, restart_time=60, families=rows
        )
        fields = {name: getattr(caps, name) for name in caps.__slots__}
        caps = type(caps)(**fields | {"graceful_restart": graceful})
    return negotiate(mine, local, OpenMessage(65001, 90, 2, caps))


@pytest.mark.rfc("8538", "4", "MUST")
@pytest.mark.parametrize(
    ("kind", "notification", "without_n", "with_n"),
    [
        (DownKind.CONNECTION_LOST, None, True, True),
        (DownKind.REPLACED, None, True, True),
        (DownKind.HOLD_TIMER_EXPIRED, Notification(4), False, True),
        (DownKind.SEND_HOLD_TIMER_EXPIRED, Notification(8), False, True),
        (DownKind.UNEXPECTED_MESSAGE, None, False, True),
        (SENT, ERROR, False, True),
        (RECEIVED, ERROR, False, True),
        (RECEIVED, SHUTDOWN, False, True),
        (RECEIVED, HARD, False, False),
        (SENT, HARD, False, False),
        (STOP, RESET, False, True),
        (STOP, SHUTDOWN, False, False),
        (STOP, HARD, False, False),
    ],
)
def test_whose_routes_stay(kind, notification, without_n, with_n) -> None:
    reason = DownReason(kind, "", notification)
    for n_flag, stays in ((False, without_n), (True, with_n)):
        kept = kept_families(agreed(n_flag=n_flag), reason)
        assert kept == (frozenset({IPV4_UNICAST}) if stays else frozenset())


LOST = DownReason(DownKind.CONNECTION_LOST)


@pytest.mark.parametrize("kind", DownKind)
def test_without_the_capability_nothing_stays(kind) -> None:
    found = agreed(has_graceful_restart=False)
    for notification in (None, ERROR):
        assert kept_families(found, DownReason(kind, "", notification)) == frozenset()


@pytest.mark.rfc("4724", "4.2", "MUST")
def test_a_peer_that_only_helps_keeps_nothing_here() -> None:
    assert kept_families(agreed(lists_families=False), LOST) == frozenset()


@pytest.mark.rfc("9494", "4.2", "MUST")
@pytest.mark.parametrize(
    ("n_flag", "lists_families"), list(itertools.product([True, False], repeat=2))
)
def test_long_lived_families_stay_too(n_flag, lists_families) -> None:
    found = agreed(
        n_flag=n_flag, lists_families=lists_families, long_lived_stale_time=60
    )
    assert kept_families(found, LOST) == {IPV4_UNICAST, IPV6_UNICAST}


def test_the_reason_reads_as_one_line() -> None:
    assert str(LOST) == "connection lost"
    assert str(DownReason(SENT, "bad ORIGIN", ERROR)) == (
        "notification sent; 3/1 update, malformed attribute list; bad ORIGIN"
    )


@pytest.mark.rfc("4724", "4.2", "MUST")
@pytest.mark.parametrize(
    ("changes", "preserved", "are_kept", "kept"),
    [
        ({}, {IPV4_UNICAST}, True, {IPV4_UNICAST}),
        ({}, set(), True, set()),
        ({"graceful_restart_time": 0}, {IPV4_UNICAST}, False, set()),
        ({"has_graceful_restart": False}, {IPV4_UNICAST}, False, set()),
    ],
)
def test_the_peer_keeps_our_routes_if_both_agreed_on_it(
    changes, preserved, are_kept, kept
) -> None:
    mine = settings(families=BOTH, **changes)
    local = offer(mine, 1, restart=RestartState(preserved=frozenset(preserved)))
    theirs = offer(settings(families=BOTH), 2, restart=RestartState())
    found = negotiate(mine, local, theirs)
    assert are_ours_kept(found) is are_kept
    assert kept_of_ours(found) == kept
    deaf = offer(
        settings(families=BOTH, has_graceful_restart=False), 2, restart=RestartState()
    )
    found = negotiate(mine, local, deaf)
    assert not are_ours_kept(found)
    assert kept_of_ours(found) == frozenset()
