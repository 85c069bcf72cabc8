"""What the daemon and its BFD process say to each other arrives as it was."""

from bgpd.bfd.authentication import AuthKey, AuthType
from bgpd.bfd.messages import (
    Target,
    decode,
    encode,
    encode_set,
    report_from,
    target_of,
)
from bgpd.bfd.packet import State
from bgpd.bfd.session import Parameters, Peer
from bgpd.bfd.session_table import Report
from tests.support.cases import cases

PARAMETERS = Parameters(300_000, 100_000, 3)
KEY = AuthKey(AuthType.METICULOUS_KEYED_SHA1, 7, b"s\xffcret")
REPORT = Report(State.UP, 0, 77, Peer(88, State.UP, 0, 3, 100_000, 50_000))


@cases("key", [None, KEY])
@cases("report", [None, REPORT])
def test_a_session_arrives_as_it_is_wanted(key, report) -> None:
    target = Target("fe80::1", "eth0", "", True, PARAMETERS._replace(key=key))
    what, number, *fields = decode(encode_set(5, target, report))
    assert (what, number) == ("set", 5)
    assert target_of(fields[:-1]) == target
    assert report_from(fields[-1]) == report


def test_a_report_arrives_as_it_was() -> None:
    _, number, *fields = decode(encode("report", 5, *REPORT))
    assert number == 5
    assert report_from(fields) == REPORT


def test_no_key_is_shown_where_settings_are() -> None:
    assert "cret" not in repr(Target("a", "", "", False, PARAMETERS._replace(key=KEY)))
