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
@pytest.mark.parametrize("subtype", [RefreshSubtype.BEGIN, RefreshSubtype.END])
def test_a_mark_of_wrong_length_is_answered_with_the_whole_message(
    subtype: int,
) -> None:
    body = bytes([0, 1, subtype, 1, 0])
    with pytest.raises(NotifyError) as caught:
        decode_route_refresh(body, has_enhanced=True)
    assert (caught.value.code, caught.value.subcode) == (7, 1)
    assert caught.value.data == b"\xff" * 16 + b"\0\x18\5" + body


@pytest.mark.parametrize("has_enhanced", [True, False])
@pytest.mark.parametrize("rest", [b"\0", b"\1\x80\0\5orf.."])
def test_what_follows_a_request_is_ignored(rest: bytes, has_enhanced: bool) -> None:  # noqa: FBT001
    message = decode_route_refresh(b"\0\1\0\1" + rest, has_enhanced=has_enhanced)
    assert message == RouteRefresh(IPV4_UNICAST)


@pytest.mark.parametrize("rest", [b"", b"\0"])
@pytest.mark.parametrize("subtype", [RefreshSubtype.BEGIN, RefreshSubtype.END])
def test_marks_mean_nothing_without_rfc_7313(subtype: int, rest: bytes) -> None:
    body = bytes([0, 1, subtype, 1]) + rest
    assert decode_route_refresh(body, has_enhanced=False) is None
