import pytest

from rib.attributes import format_as_path, make_attributes, to_two_octet
from rib.attributes.as_path import encode_segments, iterate_segments, parse_as_path
from rib.attributes.four_octet_as import merge_as4, widen_as_path
from rib.attributes.path_attributes import iterate
from tests.support.attributes import NEXT_HOP

BIG = 4200000001


def merged(as_path: str, as4_path: str) -> str:
    value, _ = merge_as4(parse_as_path(as_path), None, parse_as_path(as4_path), None)
    return format_as_path(value)


@pytest.mark.rfc("6793", "4.2.3", "MUST")
@pytest.mark.parametrize(
    ("as_path", "as4_path", "result"),
    [
        ("1 23456", f"{BIG}", f"1 {BIG}"),
        ("1 2 23456 3", f"{BIG} 3", f"1 2 {BIG} 3"),
        ("23456", f"{BIG}", f"{BIG}"),
        ("1", f"{BIG} 1", "1"),  # AS4_PATH is longer: ignored
        ("1 {2,3} 23456", f"{BIG}", f"1 {{2,3}} {BIG}"),
        ("1 {2,3} 23456", f"{{2,3}} {BIG}", f"1 {{2,3}} {BIG}"),
        ("1 23456", f"(7) {BIG}", f"1 {BIG}"),  # confederation segments are dropped
        ("1 2", "(7 8)", "1 2"),
    ],
)
def test_paths_are_merged(as_path: str, as4_path: str, result: str) -> None:
    assert merged(as_path, as4_path) == result


def test_a_merge_never_makes_a_segment_of_over_255() -> None:
    older = " ".join(["1"] * 10 + ["23456"] * 250)
    value = merged(older, " ".join([str(BIG)] * 250))
    assert value.split() == ["1"] * 10 + [str(BIG)] * 250


@pytest.mark.rfc("6793", "4.2.3", "MUST")
def test_as4_attributes_are_ignored_after_a_two_octet_aggregator() -> None:
    path, aggregator = b"\2\1\0\0\x5b\xa0", b"\0\0\xfd\xe9" + NEXT_HOP
    as4 = BIG.to_bytes(4, "big") + NEXT_HOP
    as4_path = parse_as_path(str(BIG))
    assert merge_as4(path, aggregator, as4_path, as4) == (path, aggregator)
    trans = b"\0\0\x5b\xa0" + NEXT_HOP
    assert merge_as4(path, trans, as4_path, as4) == (as4_path, as4)
    assert merge_as4(path, None, None, as4) == (path, None)


def test_widening_keeps_segments() -> None:
    narrow = encode_segments([(2, (1, 2)), (1, (3,))], 2)
    assert format_as_path(widen_as_path(narrow)) == "1 2 {3}"


@pytest.mark.rfc("6793", "4.2.2", "MUST")
def test_small_numbers_need_no_as4_attributes() -> None:
    made = make_attributes(
        next_hop=NEXT_HOP, as_path=parse_as_path("1 2"), aggregator=(7, NEXT_HOP)
    )
    values = {code: value for _, code, value in iterate(to_two_octet(made.octets))}
    assert values == {
        1: b"\0",
        2: b"\2\2\0\1\0\2",
        3: NEXT_HOP,
        7: b"\0\7" + NEXT_HOP,
    }


@pytest.mark.rfc("6793", "4.2.2", "MUST")
def test_large_numbers_travel_in_as4_attributes() -> None:
    path = parse_as_path(f"(64512) 1 {BIG}")
    made = make_attributes(next_hop=NEXT_HOP, as_path=path, aggregator=(BIG, NEXT_HOP))
    values = {code: value for _, code, value in iterate(to_two_octet(made.octets))}
    assert list(iterate_segments(values[2], 2)) == [(3, (64512,)), (2, (1, 23456))]
    assert values[17] == parse_as_path(f"1 {BIG}")
    assert values[7] == b"\x5b\xa0" + NEXT_HOP
    assert values[18] == BIG.to_bytes(4, "big") + NEXT_HOP
