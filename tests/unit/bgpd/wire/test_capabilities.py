import pytest

from bgpd.wire.capabilities import (
    CAPABILITIES,
    AddPathDirection,
    Capabilities,
    CapabilityCode,
    GracefulRestart,
    LongLivedFamily,
    Role,
    capability_triples,
    decode_capabilities,
    encode_capabilities,
)
from bgpd.wire.errors import NotifyError
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

NONE = Capabilities()
FULL = Capabilities(
    families=(IPV4_UNICAST, IPV6_UNICAST, Family(25, 70)),
    has_route_refresh=True,
    extended_next_hop=((IPV4_UNICAST, 2),),
    has_extended_message=True,
    role=Role.CUSTOMER,
    graceful_restart=GracefulRestart(
        is_restarting=True,
        has_notification=True,
        restart_time=120,
        families=((IPV4_UNICAST, True), (IPV6_UNICAST, False)),
    ),
    four_octet_as=4200000001,
    add_path=((IPV4_UNICAST, AddPathDirection.BOTH),),
    has_enhanced_refresh=True,
    long_lived=(LongLivedFamily(IPV4_UNICAST, True, 70000),),
    hostname="node-1",
    domain="example.net",
    unknown=((128, b""), (200, b"abc")),
)


def decode(*triples: tuple[int, bytes]) -> Capabilities:
    value = b"".join(bytes([code, len(octets)]) + octets for code, octets in triples)
    return decode_capabilities(value, NONE)


def test_all_at_once_round_trip() -> None:
    assert decode_capabilities(b"".join(encode_capabilities(FULL)), NONE) == FULL


def test_every_row_of_the_table_is_in_the_round_trip() -> None:
    codes = {triple[0] for triple in encode_capabilities(FULL)}
    assert codes >= set(CAPABILITIES) == {int(code) for code in CapabilityCode}


def test_nothing_offered_is_nothing_sent() -> None:
    assert encode_capabilities(NONE) == []


@pytest.mark.rfc("5492", "4", "MUST")
@pytest.mark.parametrize("code", CapabilityCode)
def test_equal_duplicates_count_once(code: CapabilityCode) -> None:
    triples = [t for t in encode_capabilities(FULL) if t[0] == code]
    once = decode_capabilities(b"".join(triples), NONE)
    assert decode_capabilities(b"".join(triples * 2), NONE) == once


@pytest.mark.rfc("4724", "3", "MUST")
def test_the_last_graceful_restart_counts() -> None:
    caps = decode((64, b"\x80\x10"), (64, b"\x40\x20"))
    assert caps.graceful_restart == GracefulRestart(
        is_restarting=False, has_notification=True, restart_time=32
    )


@pytest.mark.rfc("9234", "4.2", "MUST")
def test_contradicting_roles_are_a_mismatch() -> None:
    with pytest.raises(NotifyError) as caught:
        decode((9, b"\0"), (9, b"\1"))
    assert (caught.value.code, caught.value.subcode) == (2, 11)


def test_contradicting_as_numbers_are_a_bad_peer_as() -> None:
    with pytest.raises(NotifyError) as caught:
        decode((65, b"\0\0\0\1"), (65, b"\0\0\0\2"))
    assert (caught.value.code, caught.value.subcode) == (2, 2)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (1, b""),
        (1, b"\0\1\0"),
        (1, b"\0\1\0\1\0"),
        (5, b"\0\1\0\1\0"),
        (9, b""),
        (9, b"\0\0"),
        (64, b""),
        (64, b"\0\x78\0"),
        (65, b"\0\1"),
        (65, b"\0\0\0\1\0"),
        (69, b"\0\1\1"),
        (71, b"\0\1\1\0\0\0"),
    ],
)
@pytest.mark.rfc("4271", "6.2", "MUST")
def test_wrong_lengths_are_malformed(code: int, value: bytes) -> None:
    with pytest.raises(NotifyError) as caught:
        decode((code, value))
    assert (caught.value.code, caught.value.subcode) == (2, 0)


@pytest.mark.parametrize("code", [2, 6, 70])
def test_octets_behind_a_capability_without_value_are_ignored(code: int) -> None:
    assert decode((code, b"junk")) == decode((code, b""))


@pytest.mark.rfc("7911", "4", "SHOULD")
def test_unknown_add_path_directions_are_ignored() -> None:
    caps = decode((69, b"\0\1\1\0" + b"\0\2\1\4" + b"\0\1\2\2"))
    assert caps.add_path == ((Family(1, 2), AddPathDirection.SEND),)


@pytest.mark.parametrize("value", [b"", b"\5abc", b"\1a", b"\1a\5b"])
def test_a_hostname_that_cannot_be_read_is_ignored(value: bytes) -> None:
    assert decode((73, value)) == NONE


def test_a_hostname_is_shown_harmlessly() -> None:
    assert decode((73, b"\3a\x1b\xff\0")).hostname == "a\ufffd\ufffd"


@pytest.mark.parametrize("value", [b"\1", b"\1\4\0\1", b"\2\0\1"])
def test_truncated_triples_are_malformed(value: bytes) -> None:
    with pytest.raises(NotifyError) as caught:
        list(capability_triples(value))
    assert (caught.value.code, caught.value.subcode) == (2, 0)


def test_unknown_capabilities_are_kept_once() -> None:
    caps = decode((128, b""), (99, b"x"), (128, b""))
    assert caps.unknown == ((128, b""), (99, b"x"))


def test_times_that_do_not_fit_are_cut() -> None:
    caps = Capabilities(
        graceful_restart=GracefulRestart(restart_time=9999),
        long_lived=(LongLivedFamily(IPV4_UNICAST, False, 1 << 30),),
    )
    read = decode_capabilities(b"".join(encode_capabilities(caps)), NONE)
    assert read.graceful_restart == GracefulRestart(restart_time=4095)
    assert read.long_lived == (LongLivedFamily(IPV4_UNICAST, False, 0xFFFFFF),)
