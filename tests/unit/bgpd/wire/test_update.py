import pytest

from bgpd.wire.errors import NotifyError
from bgpd.wire.pack import pack_announce, pack_withdraw
from bgpd.wire.update import end_of_rib, message, split_fields
from rib.family import IPV4_UNICAST, IPV6_UNICAST


def test_fields() -> None:
    body = b"\0\3" + b"\x10\x0a\1" + b"\0\4" + b"\x40\1\1\0" + b"\x08\x0b"
    assert split_fields(body) == (b"\x10\x0a\1", b"\x40\1\1\0", b"\x08\x0b")
    assert split_fields(bytes(4)) == (b"", b"", b"")


@pytest.mark.rfc("4271", "6.3", "MUST")
@pytest.mark.rfc("7606", "3", "MUST")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"\0\0\0",
        b"\0\1\0\0",
        b"\0\2\x08\x0a\0",
        b"\xff\xff\0\0",
        b"\0\0\0\1",
        b"\0\2\x08\x0a\0\2\0",
    ],
)
def test_lengths_that_run_past_the_end(body: bytes) -> None:
    with pytest.raises(NotifyError) as caught:
        split_fields(body)
    assert (caught.value.code, caught.value.subcode) == (3, 1)


@pytest.mark.rfc("4724", "2", "MUST")
def test_end_of_rib() -> None:
    head = b"\xff" * 16
    assert end_of_rib(IPV4_UNICAST) == head + b"\0\x17\2" + bytes(4)
    assert end_of_rib(IPV6_UNICAST) == head + b"\0\x1d\2\0\0\0\6\x80\x0f\3\0\2\1"


def test_one_announcement() -> None:
    sent = pack_announce(IPV4_UNICAST, b"\x40\1\1\0", b"", [b"\x08\x0a"], 4096)
    assert sent == message(b"\0\0\0\4\x40\1\1\0\x08\x0a")


@pytest.mark.rfc("4760", "3", "MUST")
def test_one_announcement_of_another_family() -> None:
    hop = bytes(15) + b"\1"
    sent = pack_announce(IPV6_UNICAST, b"\x40\1\1\0", hop, [b"\x08\xfd"], 4096)
    reach = b"\x90\x0e\0\x17" + b"\0\2\1\x10" + hop + b"\0" + b"\x08\xfd"
    assert sent == message(b"\0\0\0\x1f" + reach + b"\x40\1\1\0")


def test_one_withdrawal() -> None:
    assert pack_withdraw(IPV4_UNICAST, [b"\x08\x0a"], 4096) == message(
        b"\0\2\x08\x0a\0\0"
    )
    assert pack_withdraw(IPV6_UNICAST, [b"\x08\xfd"], 4096) == message(
        b"\0\0\0\x09\x90\x0f\0\5\0\2\1\x08\xfd"
    )
    assert pack_withdraw(IPV4_UNICAST, [], 4096) == b""
