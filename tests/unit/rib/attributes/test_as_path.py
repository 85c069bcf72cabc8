import pytest

from rib.attributes.as_path import (
    AS_CONFED_SEQUENCE,
    AS_CONFED_SET,
    AS_SEQUENCE,
    AS_SET,
    AsPath,
    PrivateScope,
    check_segments,
    encode_segments,
    format_as_path,
    hide_private,
    is_private,
    parse_as_path,
    parse_asn,
    prepend,
    replace_as,
    split_leading,
)


def path(text: str) -> AsPath:
    return AsPath(parse_as_path(text))


@pytest.mark.rfc("4271", "9.1.2.2", "MUST")
@pytest.mark.parametrize(
    ("text", "hops"),
    [
        ("", 0),
        ("65001 65002 65002", 3),
        ("65001 {65002,65003}", 2),
        ("(64512 64513) 65001 [64514,64515]", 1),
    ],
)
def test_a_set_is_one_hop_and_a_confederation_none(text: str, hops: int) -> None:
    assert path(text).hop_count == hops


def test_the_ends_of_a_path() -> None:
    assert (path("65001 65002").neighbour_as, path("65001 65002").origin_as) == (
        65001,
        65002,
    )
    assert path("(64512) 65001 {65002}").neighbour_as == 65001
    assert path("65001 {65002}").origin_as == 0
    assert path("{65002} 65001").neighbour_as == 0
    assert path("").neighbour_as == path("").origin_as == path("(7)").neighbour_as == 0


def test_loops_are_counted_in_any_segment() -> None:
    assert path("65001 65002 {65001,7} (65001)").contains(65001) == 3
    assert path("65001 65002").contains(65003) == 0
    # The octets of 0x0000fdea stand across two numbers here, not as one.
    across = path(f"{0x00010000} {0xFDEA0001}")
    assert b"\0\0\xfd\xea" in across.octets
    assert across.contains(0xFDEA) == 0


def test_paths_are_compared_by_their_octets() -> None:
    assert path("1 2") == path("1  2")
    assert path("1 2") != path("2 1")
    assert path("1") != "1"
    assert len({path("1 2"), path("1 2")}) == 1
    assert repr(path("1 {2,3}")) == "AsPath('1 {2,3}')"


def test_sets_are_found() -> None:
    assert path("1 {2}").has_set
    assert path("1 [2]").has_set
    assert not path("(1) 2").has_set


@pytest.mark.rfc("4271", "5.1.2", "MUST")
def test_prepend_joins_the_leading_sequence() -> None:
    assert format_as_path(prepend(parse_as_path("2 3"), 1)) == "1 2 3"
    assert prepend(b"", 1) == parse_as_path("1")
    assert format_as_path(prepend(parse_as_path("{2}"), 1, 2)) == "1 1 {2}"
    assert prepend(parse_as_path("(2) 3"), 1)[:2] == bytes((AS_SEQUENCE, 1))
    assert prepend(parse_as_path("2"), 1, 0) == parse_as_path("2")


@pytest.mark.rfc("4271", "5.1.2", "MUST")
def test_prepend_starts_a_segment_when_one_is_full() -> None:
    full = parse_as_path(" ".join(["2"] * 255))
    assert full[:2] == b"\2\xff"
    assert AsPath(prepend(full, 1)).segments[0] == (AS_SEQUENCE, (1,))
    grown = AsPath(prepend(parse_as_path(" ".join(["2"] * 250)), 1, 300))
    assert [len(asns) for _, asns in grown.segments] == [40, 255, 255]
    assert grown.asns == (1,) * 300 + (2,) * 250


# Path, what is left of it for a peer of AS 64999, and what it is with AS 7 standing in.
HIDDEN = [
    ("64512 3356 {65534,1}", PrivateScope.NONE, "64512 3356 {65534,1}", None),
    ("64512 3356 {65534,1}", PrivateScope.WHOLE, "64512 3356 {65534,1}", None),
    (
        "64512 3356 {65534,1}",
        PrivateScope.LEADING,
        "3356 {65534,1}",
        "7 3356 {65534,1}",
    ),
    ("64512 3356 {65534,1}", PrivateScope.ALL, "3356 {1}", "7 3356 {7,1}"),
    ("64512 4200000000", PrivateScope.WHOLE, "", "7 7"),
    ("64512 4200000000", PrivateScope.LEADING, "", "7 7"),
    ("64512 {65534}", PrivateScope.ALL, "", "7 {7}"),
    ("3356 64512", PrivateScope.LEADING, "3356 64512", None),
    ("3356 64512", PrivateScope.ALL, "3356", "3356 7"),
    ("64512 64999 64513 1 64999", PrivateScope.LEADING, "64999 1 64999", None),
    ("64512 64999 64513", PrivateScope.WHOLE, "64999", "7 64999 7"),
    ("64512 64999 1 64513", PrivateScope.ALL, "64999 1", "7 64999 1 7"),
    ("", PrivateScope.WHOLE, "", None),
    ("", PrivateScope.ALL, "", None),
]


@pytest.mark.parametrize(("path", "scope", "left", "stood_in"), HIDDEN)
def test_private_numbers_are_hidden(path, scope, left, stood_in) -> None:
    value = parse_as_path(path)
    assert format_as_path(hide_private(value, scope, kept=64999)) == left
    if stood_in is not None:
        found = hide_private(value, scope, kept=64999, stand_in=7)
        assert format_as_path(found) == stood_in


@pytest.mark.parametrize(
    ("number", "parts"),
    [
        (0, ("", "1 2 {3} 4")),
        (1, ("1", "2 {3} 4")),
        (2, ("1 2", "{3} 4")),
        (3, ("1 2 {3}", "4")),
        (4, ("1 2 {3} 4", "")),
        (5, ("1 2 {3} 4", "")),
    ],
)
def test_a_path_is_split(number: int, parts: tuple[str, str]) -> None:
    found = split_leading(parse_as_path("1 2 {3} 4"), number)
    assert tuple(map(format_as_path, found)) == parts


def test_which_numbers_are_private() -> None:
    assert [is_private(n) for n in (64511, 64512, 65534, 65535)] == [
        False,
        True,
        True,
        False,
    ]
    assert is_private(4294967294)
    assert not is_private(4294967295)


def test_numbers_are_replaced_in_place() -> None:
    assert format_as_path(replace_as(parse_as_path("1 2 {1}"), 1, 9)) == "9 2 {9}"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b"", ""),
        (parse_as_path("1 {2} (3) [4]"), ""),
        (b"\2", "one octet"),
        (b"\2\1\0\0\0\1\2", "one octet"),
        (b"\2\2\0\0\0\1", "past the end"),
        (b"\2\0", "no AS numbers"),
        (b"\5\1\0\0\0\1", "type 5"),
        (b"\0\1\0\0\0\1", "type 0"),
    ],
)
def test_structure_is_checked(value: bytes, fault: str) -> None:
    assert fault in check_segments(value)
    assert bool(check_segments(value)) is bool(fault)


def test_two_octet_segments_are_checked_by_their_size() -> None:
    assert check_segments(b"\2\2\0\1\0\2", 2) == ""
    assert check_segments(b"\2\2\0\1\0", 2) != ""


def test_text_and_octets_go_both_ways() -> None:
    for text in ("", "1 2", "{1,2}", "1 {2,3} 4 (5 6) [7,8]"):
        assert format_as_path(parse_as_path(text)) == text
    kinds = [kind for kind, _ in path("1 {2} (3) [4]").segments]
    assert kinds == [AS_SEQUENCE, AS_SET, AS_CONFED_SEQUENCE, AS_CONFED_SET]
    assert parse_as_path(" {1 2} ") == encode_segments([(AS_SET, (1, 2))])
    assert path("1.10").asns == (65546,)


@pytest.mark.parametrize(
    "text", ["x", "1 -2", "{1", "1}", "{}", "1,2", "4294967296", "{1)x", "(1]"]
)
def test_text_that_is_not_a_path_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):
        parse_as_path(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "4294967296", "1.65536", "65536.1", "1.", "²"]
)
def test_text_that_is_not_an_as_number_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):
        parse_asn(text)
