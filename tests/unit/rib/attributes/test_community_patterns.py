import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rib.attributes.communities import (
    format_community,
    format_ext_community,
    format_large_community,
    parse_ext_community,
)
from rib.attributes.community_patterns import (
    EXTENDED,
    LARGE,
    STANDARD,
    CommunitySet,
    Kind,
)

TWO_OCTET = parse_ext_community("rt:65000:7")
FOUR_OCTET = parse_ext_community("rt:65000L:7")
LARGE_AS = parse_ext_community("rt:4200000000:7")
BY_ADDRESS = parse_ext_community("ro:10.0.0.1:7")
BANDWIDTH = 0x4004_FC00_4CBE_BC20
EXTENDED_ONES = (TWO_OCTET, FOUR_OCTET, LARGE_AS, BY_ADDRESS, BANDWIDTH)


def means(kind: Kind, text: str, community: object) -> bool:
    return community in CommunitySet([kind.parse(text)], kind)


@pytest.mark.parametrize(
    ("text", "fitting", "others"),
    [
        ("65000:*", [(65000, 0), (65000, 65535)], [(64999, 1), (65001, 1)]),
        ("*:7", [(0, 7), (65535, 7)], [(7, 6), (7, 8)]),
        ("65000:10-20", [(65000, 10), (65000, 20)], [(65000, 9), (65000, 21)]),
        ("64512-65534:0", [(64512, 0), (65534, 0)], [(64511, 0), (65535, 0)]),
        ("*:*", [(0, 0), (65535, 65535)], []),
        ("65000:10", [(65000, 10)], [(65000, 11)]),
        ("no-export", [(0xFFFF, 0xFF01)], [(0xFFFF, 0xFF02)]),
    ],
)
def test_standard_ones(text: str, fitting, others) -> None:
    for high, low in fitting:
        assert means(STANDARD, text, high << 16 | low)
    for high, low in others:
        assert not means(STANDARD, text, high << 16 | low)


@pytest.mark.parametrize(
    ("text", "fitting", "others"),
    [
        ("65000:1:*", [(65000, 1, 0), (65000, 1, 2**32 - 1)], [(65000, 2, 0)]),
        ("*:5-6:7", [(1, 5, 7), (2, 6, 7)], [(1, 4, 7), (1, 7, 7), (1, 5, 8)]),
        ("1:2:3", [(1, 2, 3)], [(1, 2, 4)]),
    ],
)
def test_large_ones(text: str, fitting, others) -> None:
    assert all(means(LARGE, text, each) for each in fitting)
    assert not any(means(LARGE, text, each) for each in others)


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("rt:65000:7", {TWO_OCTET}),
        ("rt:65000:*", {TWO_OCTET, FOUR_OCTET}),
        ("rt:65000L:*", {FOUR_OCTET}),
        ("rt:64512-65534:7", {TWO_OCTET, FOUR_OCTET}),
        ("rt:4200000000-4294967294:*", {LARGE_AS}),
        ("rt:*:7", {TWO_OCTET, FOUR_OCTET, LARGE_AS}),
        ("rt:*:8-9", set()),
        ("ro:*:*", {BY_ADDRESS}),
        ("ro:10.0.0.1:*", {BY_ADDRESS}),
        ("ro:10.0.0.2:*", set()),
        ("0x4004*", {BANDWIDTH}),
        ("0x0*", {TWO_OCTET, FOUR_OCTET, LARGE_AS, BY_ADDRESS}),
        ("0x*", set(EXTENDED_ONES)),
        ("0x4004fc004cbebc20", {BANDWIDTH}),
    ],
)
def test_extended_ones(text: str, fitting: set[int]) -> None:
    assert {each for each in EXTENDED_ONES if means(EXTENDED, text, each)} == fitting


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (STANDARD, "65000:x*", "neither a number, a range such as 1-99, nor *"),
        (STANDARD, "65000:9-5", "the range 9-5 is empty"),
        (STANDARD, "65000:1-65536", "larger than 65535"),
        (STANDARD, "65536:*", "larger than 65535"),
        (STANDARD, "65000:*:*", "is not a community"),
        (LARGE, "1:*", "is not a community"),
        (LARGE, "1:2:4294967296-4294967297", "larger than 4294967295"),
        (LARGE, "1:2:-", "neither a number"),
        (EXTENDED, "rt:65000:**", "neither a number"),
        (EXTENDED, "xx:65000:*", "is not an extended community"),
        (EXTENDED, "rt:1.2.3.400:*", "1.2.3.400"),
        (EXTENDED, "rt:4294967296L:*", "larger"),
        (EXTENDED, "0x12345678901234567*", "is not an extended community"),
    ],
)
def test_an_invalid_pattern_is_an_error_that_says_so(kind, text, said) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        kind.parse(text)


class TestQuantities:
    SOME = CommunitySet([5, STANDARD.parse("0:7-8")], STANDARD)

    @pytest.mark.parametrize(
        ("carried", "any_of", "all_of", "exactly"),
        [
            ((), False, False, False),
            ((5,), True, False, False),
            ((8,), True, False, False),
            ((7, 8), True, False, False),
            ((6, 9), False, False, False),
            ((9, 7, 5), True, True, False),
            ((7, 5), True, True, True),
            ((8, 5, 7), True, True, True),
        ],
    )
    def test_any_all_and_exactly(self, carried, any_of, all_of, exactly) -> None:
        assert self.SOME.meets_any(carried) is any_of
        assert self.SOME.meets_all(carried) is all_of
        assert self.SOME.meets_exactly(carried) is exactly

    def test_exactly_none_at_all(self) -> None:
        assert CommunitySet([], STANDARD).meets_exactly(())
        assert not CommunitySet([], STANDARD).meets_exactly((5,))

    def test_values_alone(self) -> None:
        some = CommunitySet([5, 6], STANDARD)
        assert some.meets_all((6, 5, 1))
        assert not some.meets_all((6, 1))
        assert some.meets_any((1, 6))
        assert not some.meets_any((1, 2))


words = st.integers(0, 5)


@given(st.lists(words, min_size=2, max_size=2), st.lists(words, min_size=4, max_size=4))
def test_a_range_means_what_lies_between_its_ends(parts, ends) -> None:
    (low, high), (least, most) = sorted(ends[:2]), sorted(ends[2:])
    text = f"{low}-{high}:{least}-{most}"
    wanted = low <= parts[0] <= high and least <= parts[1] <= most
    assert means(STANDARD, text, parts[0] << 16 | parts[1]) is wanted


@pytest.mark.parametrize(
    ("kind", "size", "shown"),
    [
        (STANDARD, 32, format_community),
        (EXTENDED, 64, format_ext_community),
    ],
)
@given(data=st.data())
def test_what_is_shown_means_itself(kind, size, shown, data) -> None:
    value = data.draw(st.integers(0, 2**size - 1))
    assert means(kind, shown(value), value)


@given(st.tuples(*(st.integers(0, 2**32 - 1),) * 3))
def test_what_is_shown_of_large_ones_means_itself(value) -> None:
    assert means(LARGE, format_large_community(value), value)
