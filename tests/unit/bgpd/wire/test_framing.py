import pytest

from bgpd.wire.framing import (
    KEEPALIVE,
    MARKER,
    MAX_EXTENDED_MESSAGE_LEN,
    Framer,
    MessageType,
    encode_message,
)


def header(length: int, kind: int, marker: bytes = MARKER) -> bytes:
    return marker + length.to_bytes(2, "big") + bytes([kind])


def test_messages_come_without_their_headers() -> None:
    framer = Framer()
    stream = encode_message(2, b"abcd") + KEEPALIVE
    assert framer.feed(stream) == [(2, b"abcd"), (4, b"")]
    assert framer.error is None


def test_a_partial_message_waits_for_its_rest() -> None:
    framer = Framer()
    message = encode_message(2, b"x" * 100)
    assert framer.feed(KEEPALIVE + message[:50]) == [(4, b"")]
    assert framer.feed(message[50:90]) == []
    assert framer.feed(message[90:] + KEEPALIVE[:3]) == [(2, b"x" * 100)]
    assert framer.feed(KEEPALIVE[3:]) == [(4, b"")]


@pytest.mark.rfc("4271", "6.1", "MUST")
@pytest.mark.parametrize(
    ("stream", "subcode", "data"),
    [
        pytest.param(header(19, 4, b"\xfe" + MARKER[1:]), 1, b"", id="marker"),
        pytest.param(header(18, 4), 2, b"\0\x12", id="shorter than a header"),
        pytest.param(header(4097, 2), 2, b"\x10\x01", id="longer than 4096"),
        pytest.param(header(28, 1), 2, b"\0\x1c", id="short OPEN"),
        pytest.param(header(22, 2), 2, b"\0\x16", id="short UPDATE"),
        pytest.param(header(20, 3), 2, b"\0\x14", id="short NOTIFICATION"),
        pytest.param(header(20, 4), 2, b"\0\x14", id="long KEEPALIVE"),
        pytest.param(header(22, 5), 2, b"\0\x16", id="short ROUTE-REFRESH"),
        pytest.param(header(19, 0), 3, b"\0", id="type 0"),
        pytest.param(header(19, 6), 3, b"\x06", id="type 6"),
        pytest.param(header(19, 255), 3, b"\xff", id="type 255"),
        pytest.param(header(5, 77), 2, b"\0\x05", id="length is judged before type"),
    ],
)
def test_header_error_notification(stream: bytes, subcode: int, data: bytes) -> None:
    framer = Framer()
    assert framer.feed(KEEPALIVE + stream) == [(4, b"")]
    assert framer.error is not None
    assert (framer.error.code, framer.error.subcode) == (1, subcode)
    assert framer.error.data == data
    assert framer.error.text


def test_nothing_is_read_behind_an_error() -> None:
    framer = Framer()
    framer.feed(header(19, 9))
    assert framer.feed(KEEPALIVE) == []
    assert framer.error is not None
    assert framer.error.subcode == 3


@pytest.mark.rfc("8654", "4", "MUST")
def test_extended_messages_are_taken_when_offered() -> None:
    framer = Framer(MAX_EXTENDED_MESSAGE_LEN)
    message = encode_message(2, b"y" * (65535 - 19))
    assert framer.feed(message) == [(2, b"y" * (65535 - 19))]
    assert framer.max_len == 65535


@pytest.mark.rfc("8654", "4", "MUST")
def test_open_and_keepalive_never_grow() -> None:
    for kind in (MessageType.OPEN, MessageType.KEEPALIVE):
        framer = Framer(MAX_EXTENDED_MESSAGE_LEN)
        framer.feed(header(4097, kind))
        assert framer.error is not None
        assert framer.error.subcode == 2


def test_what_cannot_be_framed_is_an_error() -> None:
    with pytest.raises(ValueError, match="65536"):
        encode_message(2, bytes(65536 - 19))
