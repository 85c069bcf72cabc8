import pytest

from bgpd.wire.errors import CeaseSubcode, ErrorCode, NotifyError
from bgpd.wire.framing import Framer
from bgpd.wire.notification import (
    Notification,
    cease,
    decode_notification,
    encode_notification,
    from_error,
)

SHUTDOWN = CeaseSubcode.ADMINISTRATIVE_SHUTDOWN


def sent(notification: Notification, max_len: int = 4096) -> Notification:
    octets = encode_notification(notification, max_len)
    [(kind, body)] = Framer(65535).feed(octets)
    assert kind == 3
    return decode_notification(body)


@pytest.mark.parametrize("code", ErrorCode)
def test_round_trip(code: ErrorCode) -> None:
    notification = Notification(code, 1, b"data")
    assert sent(notification) == notification


def test_an_error_becomes_its_notification() -> None:
    error = NotifyError(ErrorCode.UPDATE, 3, b"\5", "stays in our log")
    assert from_error(error) == Notification(3, 3, b"\5")


def test_data_is_cut_to_what_the_peer_takes() -> None:
    long = Notification(3, 1, bytes(70000))
    assert len(encode_notification(long)) == 4096
    assert len(encode_notification(long, 65535)) == 65535


@pytest.mark.rfc("9003", "2", "MUST")
def test_shutdown_communication_is_carried() -> None:
    notification = sent(cease(SHUTDOWN, "Wartung bis 3 Uhr ☕"))
    assert notification.communication == "Wartung bis 3 Uhr ☕"
    assert str(notification) == (
        '6/2 cease, administrative shutdown: "Wartung bis 3 Uhr ☕"'
    )


@pytest.mark.rfc("9003", "2", "MUST")
def test_long_communication_is_cut_between_characters() -> None:
    notification = cease(SHUTDOWN, "€" * 100)
    assert notification.data[0] == 255
    assert notification.communication == "€" * 85
    assert cease(SHUTDOWN, "x" + "€" * 100).communication == "x" + "€" * 84


def test_other_subcodes_carry_no_text() -> None:
    assert cease(CeaseSubcode.CONNECTION_REJECTED, "text").data == b""


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\0", ""),
        (b"\5ab", "ab"),
        (b"\2\xff\xfe", "\ufffd\ufffd"),
        (b"\3a\x1bb", "a\ufffdb"),
    ],
)
def test_odd_communication_is_shown_harmlessly(data: bytes, text: str) -> None:
    assert Notification(6, 2, data).communication == text


@pytest.mark.rfc("8538", "3.1", "MUST")
def test_hard_reset_wraps_its_reason() -> None:
    notification = sent(cease(SHUTDOWN, "bye", is_hard=True))
    assert notification.is_hard_reset
    assert notification.inner == cease(SHUTDOWN, "bye")
    assert notification.communication == "bye"
    assert str(notification) == (
        'hard reset: 6/2 cease, administrative shutdown: "bye"'
    )


def test_a_hard_reset_is_not_wrapped_again() -> None:
    notification = cease(CeaseSubcode.HARD_RESET, is_hard=True)
    assert notification == Notification(6, 9)
    assert str(notification) == "6/9 cease, hard reset"


def test_unknown_codes_are_shown_as_numbers() -> None:
    assert str(Notification(99, 7)) == "99/7 unknown code"
    assert str(Notification(4, 0)) == "4/0 hold timer expired"
    assert str(Notification(2, 77)) == "2/77 open"
