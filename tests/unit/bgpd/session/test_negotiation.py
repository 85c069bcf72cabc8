import pytest

from bgpd.session.negotiation import (
    ALL_CAPABILITIES,
    CAPABILITIES_BY_NAME,
    RestartState,
    negotiate,
    offer,
    rejected_capabilities,
    without,
)
from bgpd.session.settings import AddPathMode, FamilySettings
from bgpd.wire.capabilities import Capabilities, CapabilityCode, GracefulRestart, Role
from bgpd.wire.errors import NotifyError
from bgpd.wire.notification import Notification
from bgpd.wire.open import OpenMessage
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.cases import cases
from tests.support.session_pair import settings

BOTH = (FamilySettings(IPV4_UNICAST), FamilySettings(IPV6_UNICAST))


def opened(router_id=1, restart=None, left_out=frozenset(), **changes):
    mine = settings(**changes)
    restart = restart or RestartState()
    message = offer(mine, router_id, restart=restart, hostname="me", left_out=left_out)
    return mine, message


def agreed(ours=None, theirs=None):
    mine, local = opened(1, **(ours or {}))
    _, peer = opened(2, **(theirs or {}))
    return negotiate(mine, local, peer)


def refused(ours=None, theirs=None, router_id=2):
    mine, local = opened(1, **(ours or {}))
    _, peer = opened(router_id, **(theirs or {}))
    with pytest.raises(NotifyError) as caught:
        negotiate(mine, local, peer)
    assert caught.value.code == 2
    return caught.value


def test_what_both_offer_is_agreed_on() -> None:
    found = agreed({"families": BOTH}, {"families": BOTH})
    assert found.families == {IPV4_UNICAST, IPV6_UNICAST}
    assert found.is_ibgp
    assert found.four_octet_as
    assert found.has_route_refresh
    assert found.has_enhanced_refresh
    assert found.max_message_len == 65535
    assert found.peer_hostname == "me"
    assert found.peer_router_id == 2


@pytest.mark.parametrize("name", CAPABILITIES_BY_NAME)
def test_capabilities_that_are_disabled_are_not_offered(name: str) -> None:
    codes = CAPABILITIES_BY_NAME[name]
    _, plain = opened(families=BOTH)
    mine, message = opened(families=BOTH, disabled_capabilities=codes)
    assert message.capabilities == without(plain.capabilities, codes)
    assert message.capabilities != plain.capabilities
    assert (name == "all") is (message.capabilities == Capabilities())
    _, peer = opened(2)
    found = negotiate(mine, message, peer)
    assert found.has_route_refresh is (name not in ("all", "route-refresh"))
    assert found.has_enhanced_refresh is (name not in ("all", "enhanced-route-refresh"))
    assert found.four_octet_as is (name not in ("all", "four-octet-as"))
    assert IPV4_UNICAST in found.families


@pytest.mark.rfc("4271", "4.2", "MUST")
@pytest.mark.parametrize(
    ("ours", "theirs", "hold", "keepalive"),
    [(90, 30, 30, 10.0), (3, 90, 3, 1.0), (0, 90, 0, 0.0), (90, 0, 0, 0.0)],
)
def test_the_smaller_hold_time_counts(ours, theirs, hold, keepalive) -> None:
    found = agreed({"hold_time": ours}, {"hold_time": theirs})
    assert (found.hold_time, found.keepalive_time) == (hold, keepalive)


def test_keepalives_never_come_later_than_a_third_of_the_hold_time() -> None:
    assert agreed({"keepalive_time": 5}).keepalive_time == 5
    assert agreed({"keepalive_time": 60}).keepalive_time == 30


@pytest.mark.rfc("4271", "6.2", "MUST")
def test_another_as_than_configured_is_a_bad_peer_as() -> None:
    assert refused({"remote_as": 65009}).subcode == 2


def test_remote_as_0_takes_any() -> None:
    found = agreed({"remote_as": 0}, {"local_as": 70000})
    assert (found.peer_as, found.is_ibgp) == (70000, False)


@pytest.mark.rfc("6286", "2.2", "MUST")
def test_our_own_identifier_is_rejected_within_the_as_only() -> None:
    assert refused(router_id=1).subcode == 3
    mine, local = opened(1, remote_as=65002)
    _, peer = opened(1, local_as=65002)
    assert negotiate(mine, local, peer).peer_as == 65002


@pytest.mark.rfc("5492", "3", "SHOULD")
def test_no_common_family_names_what_we_need() -> None:
    error = refused({"families": (FamilySettings(IPV6_UNICAST),)})
    assert error.subcode == 7
    assert error.data == b"\1\4\0\2\0\1"


@pytest.mark.rfc("4760", "8", "MUST")
def test_without_the_capability_a_peer_speaks_ipv4_unicast() -> None:
    mine, local = opened(1)
    found = negotiate(mine, local, OpenMessage(65001, 90, 2))
    assert found.families == {IPV4_UNICAST}
    assert not found.four_octet_as
    assert not found.has_route_refresh
    assert found.graceful_restart is None
    assert found.max_message_len == 4096


@pytest.mark.rfc("7911", "4", "MUST")
@cases("ours", AddPathMode)
@cases("theirs", AddPathMode)
def test_add_path_needs_a_sender_and_a_receiver(ours, theirs) -> None:
    found = agreed(
        {"families": (FamilySettings(IPV4_UNICAST, ours),)},
        {"families": (FamilySettings(IPV4_UNICAST, theirs),)},
    )
    sends = (AddPathMode.SEND, AddPathMode.BOTH)
    takes = (AddPathMode.RECEIVE, AddPathMode.BOTH)
    assert bool(found.add_path_receive) == (ours in takes and theirs in sends)
    assert bool(found.add_path_send) == (ours in sends and theirs in takes)


@pytest.mark.rfc("8654", "4", "MUST")
def test_long_messages_need_both_offers() -> None:
    assert agreed({"has_extended_message": False}).max_message_len == 4096
    assert agreed({}, {"has_extended_message": False}).max_message_len == 4096


@pytest.mark.rfc("8950", "4", "MUST")
def test_extended_next_hop_needs_both_offers() -> None:
    on = {"has_extended_next_hop": True}
    assert agreed(on, on).extended_next_hop == {IPV4_UNICAST}
    assert agreed(on, {}).extended_next_hop == frozenset()
    only_v6 = on | {"families": (FamilySettings(IPV6_UNICAST),)}
    assert agreed(only_v6, only_v6).extended_next_hop == frozenset()


EBGP = {"local_as": 65001, "remote_as": 65002}
PEER = {"local_as": 65002, "remote_as": 65001}


@pytest.mark.rfc("9234", "4.2", "MUST")
@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        ("provider", "customer", True),
        ("customer", "provider", True),
        ("rs", "rs-client", True),
        ("rs-client", "rs", True),
        ("peer", "peer", True),
        ("peer", "customer", False),
        ("provider", "provider", False),
        ("rs", "rs", False),
    ],
)
def test_roles_must_fit(ours, theirs, fits) -> None:
    sides = EBGP | {"role": ours}, PEER | {"role": theirs}
    if fits:
        assert agreed(*sides).peer_role is not None
    else:
        assert refused(*sides).subcode == 11


@pytest.mark.rfc("9234", "4.2", "MUST")
def test_strict_mode_asks_for_a_role() -> None:
    mine = EBGP | {"role": "provider"}
    assert agreed(mine, PEER).local_role is None
    assert refused(mine | {"is_role_strict": True}, PEER).subcode == 11


@pytest.mark.rfc("9234", "4.1", "MUST")
def test_roles_are_not_sent_within_an_as() -> None:
    _, message = opened(1, role="peer")
    assert message.capabilities.role is None
    assert agreed(EBGP | {"role": "peer"}, PEER | {"role": "peer"}).local_role is (
        Role.PEER
    )


@pytest.mark.rfc("4724", "3", "MUST")
def test_the_restart_state_shows_in_the_capability() -> None:
    restart = RestartState(
        recovering=frozenset({IPV6_UNICAST}), preserved=frozenset({IPV6_UNICAST})
    )
    _, message = opened(1, restart=restart, families=BOTH, long_lived_stale_time=600)
    assert message.capabilities.graceful_restart == GracefulRestart(
        is_restarting=True,
        has_notification=True,
        restart_time=120,
        families=((IPV4_UNICAST, False), (IPV6_UNICAST, True)),
    )
    rows = message.capabilities.long_lived or ()
    assert [(row.is_preserved, row.stale_time) for row in rows] == [
        (False, 600),
        (True, 600),
    ]


@pytest.mark.rfc("4724", "3", "MUST")
def test_a_mere_helper_lists_no_families() -> None:
    _, message = opened(1, graceful_restart_time=0)
    assert message.capabilities.graceful_restart == GracefulRestart(
        has_notification=True
    )


def test_graceful_restart_can_be_off() -> None:
    off = {"has_graceful_restart": False, "long_lived_stale_time": 600}
    assert agreed(off).graceful_restart is None
    assert agreed({}, off).graceful_restart is None
    assert agreed(off, {"long_lived_stale_time": 600}).long_lived == ()


def test_restart_facts_are_those_of_common_families() -> None:
    long = {"long_lived_stale_time": 600}
    found = agreed(long, long | {"families": BOTH})
    assert found.graceful_restart is not None
    assert found.graceful_restart.families == ((IPV4_UNICAST, False),)
    assert [row.family for row in found.long_lived] == [IPV4_UNICAST]


@pytest.mark.parametrize("code", CapabilityCode)
def test_every_capability_can_be_left_out(code) -> None:
    _, message = opened(
        1,
        left_out=frozenset({int(code)}),
        local_as=65001,
        remote_as=65002,
        role="peer",
        long_lived_stale_time=1,
        has_extended_next_hop=True,
        families=(FamilySettings(IPV4_UNICAST, AddPathMode.BOTH),),
    )
    full = opened(
        1,
        local_as=65001,
        remote_as=65002,
        role="peer",
        long_lived_stale_time=1,
        has_extended_next_hop=True,
        families=(FamilySettings(IPV4_UNICAST, AddPathMode.BOTH),),
    )[1]
    assert message.capabilities == without(full.capabilities, frozenset({int(code)}))
    assert message.capabilities != full.capabilities


def test_all_left_out_is_nothing() -> None:
    _, message = opened(1, left_out=ALL_CAPABILITIES)
    assert message.capabilities == Capabilities()


@pytest.mark.rfc("5492", "3", "SHOULD")
@pytest.mark.parametrize(
    ("notification", "codes"),
    [
        (Notification(2, 4), ALL_CAPABILITIES),
        (Notification(2, 7), ALL_CAPABILITIES - {1, 65}),
        (Notification(2, 7, b"\x46\0\x06\0"), {70, 6}),
        (Notification(2, 7, b"\1\4\0\2\0\1"), frozenset()),
        (Notification(2, 7, b"\x46\5"), frozenset()),
        (Notification(2, 2), frozenset()),
        (Notification(6, 4), frozenset()),
    ],
)
def test_options_that_the_peer_rejected(notification, codes) -> None:
    assert rejected_capabilities(notification) == codes
