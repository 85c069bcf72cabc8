"""Calico's rules of readiness, on answers of BIRD as Calico's tools see them."""

import pytest

from bgpd.api.bird_health import (
    PeerState,
    UnexpectedAnswerError,
    is_recovering,
    parse_protocols,
    why_not_established,
)

CALICO = """\
0001 BIRD v0.3.3+birdv1.6.8 ready.
2002-name     proto    table    state  since       info
1002-static1  Static   master   up     10:11:12
 kernel1  Kernel   master   up     10:11:12
 device1  Device   master   up     10:11:12
 Mesh_10_0_0_2 BGP      master   up     10:12:13    Established
 Node_10_0_0_3 BGP      master   start  10:12:13    Active        Socket: Connection refused
 Global_10_0_0_9 BGP     master   down   10:12:13
 Local_Workload_10_1_0_1 BGP master up 10:12:13 Established
 upstream BGP      master   up     10:12:13    Established
0000
 Mesh_10_0_0_7 BGP      master   up     10:12:13    Established
"""
BIRD_2 = """\
0001 BIRD 2.0.12 ready.
2002-Name       Proto      Table      State  Since         Info
1002-device1    Device     ---        up     09:00:00.123
 Mesh_fd00__2 BGP        ---        up     09:00:00.123  Established
0000
"""
UP, DOWN = PeerState("10.0.0.2", "Established"), PeerState("10.0.0.3", "Active")


def test_peers_of_calico_are_read_and_nothing_else() -> None:
    assert parse_protocols(CALICO.splitlines(), ".") == [UP, DOWN]


def test_headings_of_bird_2_are_understood() -> None:
    peers = parse_protocols(BIRD_2.splitlines(), ":")
    assert peers == [PeerState("fd00::2", "Established")]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("9001 syntax error", "unexpected output line from BIRD: '9001 syntax error'"),
        ("", "unexpected output line from BIRD: ''"),
        ("2002-name proto table", "unknown BIRD table output format"),
    ],
)
def test_a_missing_table_is_reported(line: str, text: str) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        parse_protocols(["0001 BIRD ready.", line, "0000"], ".")
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["0001 BIRD", "1000-BIRD", "1011-Router ID", " Last", "0013 Daemon"], False),
        (["0001 BIRD", "0024-Graceful restart recovery in progress", "0013 D"], True),
        (["0013 Daemon is up and running", "0024-too late"], False),
        ([], False),
    ],
)
def test_a_recovery_is_seen(lines: list[str], expected: bool) -> None:  # noqa: FBT001
    assert is_recovering(lines) is expected


def test_an_unreadable_status_is_reported() -> None:
    with pytest.raises(UnexpectedAnswerError, match="8001 no"):
        is_recovering(["0001 BIRD", "8001 no"])


@pytest.mark.parametrize(
    ("peers", "is_young", "reason"),
    [
        ([], True, ""),
        ([], False, ""),
        ([UP, UP], True, ""),
        ([UP, DOWN], True, "BGP not established with 10.0.0.3"),
        ([UP, DOWN], False, ""),
        ([DOWN, DOWN], True, "BGP not established with 10.0.0.3,10.0.0.3"),
        ([DOWN], False, "BGP not established with 10.0.0.3"),
    ],
)
def test_all_count_at_first_and_later_one_is_enough(
    peers: list[PeerState],
    is_young: bool,  # noqa: FBT001  # pytest's parameter
    reason: str,
) -> None:
    assert why_not_established(peers, is_young=is_young) == reason
