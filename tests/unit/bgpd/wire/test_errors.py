from bgpd.wire.errors import BgpError, ErrorCode, NotifyError, OpenSubcode


def test_the_text_names_code_and_subcode() -> None:
    error = NotifyError(ErrorCode.OPEN, OpenSubcode.BAD_PEER_AS, b"\1", "AS 0")
    assert str(error) == "2/2 AS 0"
    assert isinstance(error, BgpError)


def test_text_is_optional() -> None:
    assert str(NotifyError(6)) == "6/0"
