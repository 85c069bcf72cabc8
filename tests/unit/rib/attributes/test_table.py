import pytest

from rib.attributes import DecodedBlock, decode_block, parse_as_path
from rib.attributes.codes import AGGREGATOR, AS4_AGGREGATOR, AS4_PATH
from rib.attributes.table import TABLE, AttributeRow
from rib.errors import Remedy
from tests.support.attributes import EBGP, IBGP, attribute, with_attribute
from tests.support.cases import cases

FAMILY_V6 = b"\0\2\1"
GLOBAL = bytes.fromhex("20010db8000000000000000000000001")

# For each attribute a sound value, and one of a bad length.
SAMPLES = {
    1: (b"\1", b"\1\1"),
    2: (parse_as_path("65001 4200000001"), b"\2\2\0\0\xfd\xe9"),
    3: (bytes([192, 0, 2, 9]), bytes(3)),
    4: (b"\0\0\0\7", b"\7"),
    5: (b"\0\0\0\x64", b"\x64"),
    6: (b"", b"\0"),
    7: (b"\0\0\xfd\xe9" + bytes([192, 0, 2, 1]), bytes(6)),
    8: (b"\xfd\xe9\0\1", b"\xfd\xe9\0"),
    9: (b"\x0a\0\0\1", b"\x0a\0\0"),
    10: (b"\x0a\0\0\1\x0a\0\0\2", b"\x0a\0\0\1\x0a"),
    14: (FAMILY_V6 + b"\x10" + GLOBAL + b"\0", FAMILY_V6),
    15: (FAMILY_V6, b"\0\2"),
    16: (b"\0\2\xfd\xe9\0\0\0\1", b"\0\2\xfd\xe9\0\0\0"),
    17: (parse_as_path("65001"), b"\2\2\0\0\xfd\xe9"),
    18: (b"\0\1\0\1" + bytes([192, 0, 2, 1]), bytes(7)),
    25: (bytes(range(20)), bytes(19)),
    26: (b"\1\0\x0b\0\0\0\0\0\0\0\5", b"\1\0\x0b\0\0\0\5"),
    32: (b"\0\0\xfd\xe9\0\0\0\1\0\0\0\2", b"\0\0\xfd\xe9\0\0\0\1\0\0\0"),
    35: (b"\0\0\xfd\xe9", b"\xfd\xe9"),
}
ROWS = list(TABLE.values())
BY_NAME = [row.name for row in ROWS]
every_row = pytest.mark.parametrize("row", ROWS, ids=BY_NAME)

# RFC 6793 3: a peer with 4-octet AS numbers has no business sending these.
FROM_TWO_OCTET_ONLY = (AS4_PATH, AS4_AGGREGATOR)
CARRY_NLRI = (14, 15)


def decode(block: bytes, *, is_ibgp: bool = True) -> DecodedBlock:
    return decode_block(block, IBGP if is_ibgp else EBGP, has_nlri=True)


def test_every_row_has_samples() -> None:
    assert set(SAMPLES) == set(TABLE)


@every_row
def test_a_sound_value_is_kept(row: AttributeRow) -> None:
    value = SAMPLES[row.code][0]
    decoded = decode(with_attribute(row.code, value))
    attributes = decoded.attributes
    assert attributes is not None
    if row.code in FROM_TWO_OCTET_ONLY:
        assert [p.remedy for p in decoded.problems] == [Remedy.ATTRIBUTE_DISCARD]
        assert attributes.get(row.code) is None
    elif row.code in CARRY_NLRI:
        assert decoded.problems == ()
        assert decoded.mp_reach or decoded.mp_unreach
        assert attributes.get(row.code) is None
    else:
        assert decoded.problems == ()
        assert attributes.get(row.code) == value


@pytest.mark.rfc("7606", "3", "MUST")
@cases("wrong_bit", [0x80, 0x40], ids=["optional", "transitive"])
@every_row
def test_wrong_flags_are_treat_as_withdraw(row: AttributeRow, wrong_bit: int) -> None:
    block = with_attribute(row.code, SAMPLES[row.code][0], row.flags ^ wrong_bit)
    decoded = decode(block)
    problem = decoded.problems[0]
    assert (problem.type_code, problem.subcode) == (row.code, 4)
    assert problem.data == attribute(
        row.code, SAMPLES[row.code][0], row.flags ^ wrong_bit
    )
    if row.name == "AIGP":  # RFC 7311 3: malformed, so discarded
        assert decoded.remedy is Remedy.ATTRIBUTE_DISCARD
        assert decoded.attributes is not None
        assert decoded.attributes.aigp is None
    else:
        assert decoded.remedy is Remedy.TREAT_AS_WITHDRAW
        assert decoded.attributes is None
    if row.code in CARRY_NLRI:  # its routes are to be withdrawn, so they must be known
        assert decoded.mp_reach or decoded.mp_unreach


@pytest.mark.rfc("7606", "7", "MUST")
@every_row
def test_a_bad_length_has_the_rows_remedy(row: AttributeRow) -> None:
    block = with_attribute(row.code, SAMPLES[row.code][1])
    decoded = decode(block)
    assert decoded.remedy is row.malformed
    problem = decoded.problems[0]
    assert problem.type_code == row.code
    assert problem.data == attribute(row.code, SAMPLES[row.code][1])
    assert row.name in problem.text
    if row.malformed is Remedy.ATTRIBUTE_DISCARD:
        assert decoded.attributes is not None
        assert decoded.attributes.get(row.code) is None
    else:
        assert decoded.attributes is None


@pytest.mark.rfc("7606", "3", "MUST")
@every_row
def test_of_duplicates_the_first_wins(row: AttributeRow) -> None:
    first, second = SAMPLES[row.code]
    block = with_attribute(row.code, first)
    decoded = decode(block + attribute(row.code, second))
    if row.code in CARRY_NLRI:
        assert decoded.remedy is Remedy.SESSION_RESET
        assert decoded.problems[-1].subcode == 1
        return
    assert decoded.remedy is Remedy.ATTRIBUTE_DISCARD
    assert decoded.attributes is not None
    if row.code not in FROM_TWO_OCTET_ONLY:
        assert decoded.attributes.get(row.code) == first


@every_row
def test_internal_attributes_from_outside_are_discarded(row: AttributeRow) -> None:
    for value in SAMPLES[row.code]:
        decoded = decode(with_attribute(row.code, value), is_ibgp=False)
        if row.is_internal:
            assert decoded.remedy is Remedy.ATTRIBUTE_DISCARD
            assert decoded.attributes is not None
            assert decoded.attributes.get(row.code) is None


@every_row
def test_a_partial_bit_stands_where_it_may(row: AttributeRow) -> None:
    if row.code in (*CARRY_NLRI, *FROM_TWO_OCTET_ONLY):
        return
    value = SAMPLES[row.code][0]
    decoded = decode(with_attribute(row.code, value, row.flags | 0x20))
    assert decoded.problems == ()
    assert decoded.attributes is not None
    kept = row.flags | (0x20 if row.flags == 0xC0 else 0)
    assert attribute(row.code, value, kept) in decoded.attributes.octets


def test_the_aggregator_of_a_two_octet_peer_has_six_octets() -> None:
    check = TABLE[AGGREGATOR].check
    assert check is not None
    narrow = type(EBGP)(
        is_ibgp=False, four_octet_as=False, peer_as=65001, local_as=65000
    )
    assert check(b"\xfd\xe9" + bytes(4), narrow) is None
    assert check(bytes(8), narrow) is not None
    assert check(bytes(6), EBGP) is not None
