import pytest

from bgpd.wire.capabilities import Capabilities
from bgpd.wire.errors import NotifyError
from bgpd.wire.framing import Framer
from bgpd.wire.open import OpenMessage, decode_open, encode_open
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from tests.support.cases import cases


def body(
    parameters: bytes = b"",
    *,
    version: int = 4,
    my_as: int = 65001,
    hold_time: int = 90,
    router_id: int = 0x0A000001,
    length: int | None = None,
) -> bytes:
    head = bytes([version]) + my_as.to_bytes(2, "big") + hold_time.to_bytes(2, "big")
    size = len(parameters) if length is None else length
    return head + router_id.to_bytes(4, "big") + bytes([size]) + parameters


def capabilities(triples: bytes) -> bytes:
    return bytes([2, len(triples)]) + triples


def as_capability(asn: int) -> bytes:
    return capabilities(b"\x41\4" + asn.to_bytes(4, "big"))


def over_the_wire(message: OpenMessage) -> OpenMessage:
    [(kind, octets)] = Framer().feed(encode_open(message))
    assert kind == 1
    return decode_open(octets)


@cases("asn", [1, 23455, 65535, 65536, 4294967295])
@cases("hold_time", [0, 3, 65535])
def test_round_trip(asn: int, hold_time: int) -> None:
    caps = Capabilities(
        families=(IPV4_UNICAST, IPV6_UNICAST),
        has_route_refresh=True,
        four_octet_as=asn,
        hostname="node",
    )
    message = OpenMessage(asn, hold_time, 0xFFFFFFFF, caps)
    assert over_the_wire(message) == message


def test_without_capabilities_there_are_no_parameters() -> None:
    message = OpenMessage(65001, 90, 1)
    assert len(encode_open(message)) == 29
    assert over_the_wire(message) == message


@pytest.mark.rfc("6793", "4.1", "MUST")
def test_an_as_of_four_octets_shows_as_trans() -> None:
    octets = encode_open(OpenMessage(70000, 90, 1, Capabilities(four_octet_as=70000)))
    assert octets[20:22] == (23456).to_bytes(2, "big")


@pytest.mark.rfc("9072", "2", "MUST")
def test_long_parameters_use_the_longer_form() -> None:
    unknown = tuple((code, bytes(100)) for code in (200, 201, 202, 203))
    message = OpenMessage(65001, 90, 1, Capabilities(unknown=unknown))
    octets = encode_open(message)
    assert octets[28:30] == b"\xff\xff"
    assert over_the_wire(message) == message


@pytest.mark.rfc("9072", "2", "MUST")
@pytest.mark.parametrize("length", [1, 4, 255])
def test_the_longer_form_is_known_by_its_type_not_its_length(length: int) -> None:
    parameters = b"\xff\0\x05\2\0\2\2\0"
    assert decode_open(body(parameters, length=length)).capabilities.has_route_refresh


def test_an_open_that_cannot_be_sent_is_an_error() -> None:
    unknown = tuple((200, bytes([n]) * 255) for n in range(20))
    with pytest.raises(ValueError, match="cannot send"):
        encode_open(OpenMessage(65001, 90, 1, Capabilities(unknown=unknown)))


def test_capabilities_may_be_spread_over_parameters() -> None:
    message = decode_open(body(capabilities(b"\2\0") + capabilities(b"\x46\0")))
    assert message.capabilities.has_route_refresh
    assert message.capabilities.has_enhanced_refresh


@pytest.mark.rfc("4271", "6.2", "MUST")
@pytest.mark.parametrize(
    ("octets", "subcode", "data"),
    [
        pytest.param(body(version=3), 1, b"\0\4", id="version 3"),
        pytest.param(body(version=5), 1, b"\0\4", id="version 5"),
        pytest.param(body(my_as=0), 2, b"", id="AS 0"),
        pytest.param(body(as_capability(0)), 2, b"", id="AS 0 in the capability"),
        pytest.param(body(my_as=23456), 2, b"", id="AS_TRANS alone"),
        pytest.param(
            body(as_capability(23456), my_as=23456), 2, b"", id="AS_TRANS twice"
        ),
        pytest.param(body(as_capability(65002)), 2, b"", id="two different AS"),
        pytest.param(body(router_id=0), 3, b"", id="identifier 0"),
        pytest.param(body(b"\1\0"), 4, b"", id="authentication parameter"),
        pytest.param(body(b"\x80\0"), 4, b"", id="unknown parameter"),
        pytest.param(body(hold_time=1), 6, b"", id="hold time 1"),
        pytest.param(body(hold_time=2), 6, b"", id="hold time 2"),
        pytest.param(body(b"\2"), 0, b"", id="parameter without length"),
        pytest.param(body(b"\2\3\2\0"), 0, b"", id="parameter too long"),
        pytest.param(body(b"\2\0", length=1), 0, b"", id="octets left over"),
        pytest.param(body(length=9), 0, b"", id="octets missing"),
        pytest.param(body(b"\xff\0\x09\2\0\2\2\0"), 0, b"", id="long form too short"),
        pytest.param(body(b"\xff"), 0, b"", id="long form cut off"),
        pytest.param(body(b"\xff\0\2\2\0"), 0, b"", id="long parameter cut off"),
        pytest.param(body(b"", version=3, my_as=0), 1, b"\0\4", id="version first"),
    ],
)
def test_open_error(octets: bytes, subcode: int, data: bytes) -> None:
    with pytest.raises(NotifyError) as caught:
        decode_open(octets)
    assert (caught.value.code, caught.value.subcode) == (2, subcode)
    assert caught.value.data == data
    assert caught.value.text


@pytest.mark.rfc("6793", "4.1", "MUST")
def test_the_capability_says_the_true_as() -> None:
    assert decode_open(body(as_capability(70000), my_as=23456)).asn == 70000
