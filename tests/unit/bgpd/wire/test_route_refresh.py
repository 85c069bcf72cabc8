import pytest

from bgpd.wire.errors import NotifyError
from bgpd.wire.framing import Framer
from bgpd.wire.route_refresh import (
    RefreshSubtype,
    RouteRefresh,
    decode_route_refresh,
    encode_route_refresh,
)
from rib.family import IPV4_UNICAST, IPV6_UNICAST


@pytest.mark.parametrize("subtype", RefreshSubtype)
@pytest.mark.parametrize("family", [IPV4_UNICAST, IPV6_UNICAST])
def test_round_trip(family, subtype) -> None:
    message = RouteRefresh(family, subtype)
    [(kind, body)] = Framer().feed(encode_route_refresh(message))
    assert kind == 5
    assert decode_route_refresh(body, has_enhanced=True) == message


@pytest.mark.rfc("7313", "5", "MUST")
@pytest.mark.parametrize("subtype", [3, 8, 255])
@pytest.mark.parametrize("rest", [b"", b"orf"])
def test_unknown_subtypes_are_ignored(subtype: int, rest: bytes) -> None:
    body = bytes([0, 1, subtype, 1]) + rest
    assert decode_route_refresh(body, has_enhanced=True) is None


@pytest.mark.rfc("7313", "5", "MUST")
def test_wrong_length_is_answered_with_the_whole_message() -> None:
    with pytest.raises(NotifyError) as caught:
        decode_route_refresh(b"\0\1\1\1\0", has_enhanced=True)
    assert (caught.value.code, caught.value.subcode) == (7, 1)
    assert caught.value.data == b"\xff" * 16 + b"\0\x18\5\0\1\1\1\0"


def test_wrong_length_without_rfc_7313_is_a_bad_message_length() -> None:
    with pytest.raises(NotifyError) as caught:
        decode_route_refresh(b"\0\1\0\1\0", has_enhanced=False)
    assert (caught.value.code, caught.value.subcode) == (1, 2)
    assert caught.value.data == b"\0\x18"
