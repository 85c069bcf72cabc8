import pytest

from rib.attributes.codes import PREFIX_SID, TUNNEL_ENCAPSULATION
from rib.attributes.scoped import SCOPED
from rib.errors import Remedy

TUNNEL = bytes.fromhex("0008 0006 0604 0a000001".replace(" ", ""))  # VXLAN, endpoint


def fault(code: int, text: str) -> str:
    return SCOPED[code].check(bytes.fromhex(text))


def test_the_remedies_are_those_of_the_rfcs() -> None:
    assert {code: row.malformed for code, row in SCOPED.items()} == {
        TUNNEL_ENCAPSULATION: Remedy.TREAT_AS_WITHDRAW,
        PREFIX_SID: Remedy.ATTRIBUTE_DISCARD,
    }
    assert all(row.clause and row.scope and row.name for row in SCOPED.values())


@pytest.mark.rfc("9012", "13", "MUST")
@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (TUNNEL.hex(), ""),
        ("0008000400000000", ""),  # two sub-TLVs without a value
        ("00080003800000", ""),  # a sub-TLV whose length has two octets
        ("", "no TLV"),
        ("000800", "a TLV runs past the end"),
        ("000806", "a TLV runs past the end"),
        (TUNNEL.hex()[:-2], "a TLV runs past the end"),
        ("0008000206040a0000", "a TLV runs past the end"),
        ("0008000106", "a TLV runs past the end"),
        ("000800028001", "a TLV runs past the end"),
        (TUNNEL.hex() + "00", "a TLV runs past the end"),
    ],
)
def test_the_form_of_tunnels(text, wrong) -> None:
    assert fault(TUNNEL_ENCAPSULATION, text) == wrong


@pytest.mark.rfc("8669", "6", "MUST")
@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("01000700000000000005", ""),  # a label index
        ("0300080000003e8000001f", ""),  # an SRGB of one range
        ("03000e00000000000000000000000000000000"[: 2 * 17], ""),  # of two
        ("05000100", ""),  # of a type that is not checked
        ("", "no TLV"),
        ("010006000000000005", "TLV 1 of 6 octets"),
        ("0300020000", "TLV 3 of 2 octets"),
        ("030009000000000000000000", "TLV 3 of 9 octets"),
        ("0100", "a TLV runs past the end"),
        ("010007000000", "a TLV runs past the end"),
    ],
)
def test_the_form_of_prefix_sids(text, wrong) -> None:
    assert fault(PREFIX_SID, text) == wrong
