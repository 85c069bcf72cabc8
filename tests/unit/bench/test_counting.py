"""What counts sessions' prefixes counts them right: the clock of a load stops by it."""

import socket

import pytest

from bgpd.wire.framing import MessageType, encode_message
from tests.bench.beside import Case, Target, verdict
from tests.bench.counting import CountingClient, check
from tests.bench.crowds import NEW_MARK
from tests.bench.feed import a_table, an_update, own_routes, withdrawals

COMMUNITY = NEW_MARK[2:]


@pytest.fixture
def pair():
    ours, router = socket.socketpair()
    with ours, router:
        client = CountingClient.__new__(CountingClient)
        client.sock = ours
        client.address = "172.17.0.1"
        client.reset(5, (b"d\0\0\0", b"d\0\0\3"))
        yield client, router


def take(client, router, octets: bytes, piece: int = 0) -> None:
    """Let a client receive octets, so many at a time."""
    piece = piece or len(octets)
    for at in range(0, len(octets), piece):
        router.sendall(octets[at : at + piece])
        client.receive()


@pytest.mark.parametrize("piece", [0, 1, 18, 19, 100])
def test_prefixes_count_however_the_stream_is_cut(pair, piece: int) -> None:
    client, router = pair
    client.count(2000)
    take(client, router, own_routes("172.17.0.2", 3, 2000), piece)
    assert client.announced == 2000
    assert client.done_at


def test_own_routes_and_those_of_the_beacon_do_not_count(pair) -> None:
    client, router = pair
    client.count(1)
    take(client, router, own_routes("172.17.0.1", 0, 3))
    take(client, router, an_update("172.17.0.9", b"\x20\xc0\0\0\1"))
    assert client.announced == 0
    assert not client.done_at


def test_with_a_mark_only_routes_that_have_it_count(pair) -> None:
    client, router = pair
    client.count(1, NEW_MARK)
    take(client, router, an_update("172.17.0.2", b"\x20\x64\1\0\0"))
    assert client.announced == 0
    take(client, router, an_update("172.17.0.2", b"\x20\x64\1\0\0", b"", COMMUNITY))
    assert client.announced == 1


def test_a_prefix_told_twice_is_found(pair) -> None:
    client, router = pair
    client.count(2, keeps_runs=True)
    take(client, router, an_update("172.17.0.2", b"\x20\x64\1\0\0") * 2)
    with pytest.raises(ValueError, match="1 different of 2"):
        check([client])


def test_withdrawn_prefixes_count(pair) -> None:
    client, router = pair
    client.reset(4)
    client.count(2500, keeps_runs=True)
    take(client, router, withdrawals(2500))
    assert client.withdrawn == 2500
    check([client])


def test_a_notification_ends_the_load(pair) -> None:
    client, router = pair
    router.sendall(encode_message(MessageType.NOTIFICATION, b"\6\2"))
    with pytest.raises(ConnectionError, match="NOTIFICATION 0602"):
        client.receive()


def test_a_regrouped_table_has_the_same_prefixes_in_other_runs() -> None:
    first, second = (a_table("172.17.0.2", 500, grouping=n) for n in (0, 1))
    assert runs_of(first) != runs_of(second)
    assert sorted(b"".join(runs_of(first))) == sorted(b"".join(runs_of(second)))


def runs_of(messages: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(messages):
        size = int.from_bytes(messages[at + 16 : at + 18])
        run = at + 23 + int.from_bytes(messages[at + 21 : at + 23])
        found.append(messages[run : at + size])
        at += size
    return found


def test_each_build_has_its_own_limit() -> None:
    target = Target("second_s", "bird", 1.2, compiled=1.0)
    found = {name: {"second_s": n} for name, n in (("bird", 1.0), ("ours", 1.1))}
    found["compiled"] = {"second_s": 1.1}
    assert verdict(target, "ours", found).startswith("met: ours")
    assert verdict(target, "compiled", found).startswith("MISSED: compiled")
    assert verdict(target, "ours", {"ours": {"second_s": 9}}).startswith("open")
    assert verdict(Target("gap_s", "", 0.2), "ours", {"ours": {"gap_s": 0.3}}) == (
        "MISSED: ours: gap_s 0.300, at most 0.2"
    )


def test_changed_parameters_are_named_and_make_sessions() -> None:
    case = Case("a load", "fan_out", {"peers": 50, "prefixes": 9}, 2)
    small = case.changed({"peers": 3})
    assert small.wanted.clients == 5
    assert small.title == "a load; here peers 3"
    assert case.changed({}) is case
