import pytest

from rib.family import AFI_IPV4, AFI_IPV6
from rib.policy import Operator, PrefixMatch, prefix_entry, prefix_match
from rib.policy.prefixes import PrefixMatcher
from tests.support.routes import nlris

ROUTE = nlris("10.1.2.0/24")[0]


@pytest.mark.parametrize(
    ("operator", "bounds", "inside", "outside"),
    [
        ("Equal", (None, None), "10.0.0.0/8", "10.0.0.0/9 0.0.0.0/0 11.0.0.0/8"),
        ("NotEqual", (None, None), "10.0.0.0/9 0.0.0.0/0 11.0.0.0/8", "10.0.0.0/8"),
        (
            "In",
            (None, None),
            "10.0.0.0/8 10.255.255.255/32",
            "0.0.0.0/0 11.0.0.0/8",
        ),
        ("NotIn", (None, None), "0.0.0.0/0 11.0.0.0/8", "10.0.0.0/8 10.9.0.0/16"),
        ("In", (16, 24), "10.9.0.0/16 10.9.9.0/24", "10.0.0.0/8 10.0.0.0/25"),
        ("In", (None, 9), "10.0.0.0/8 10.128.0.0/9", "10.0.0.0/10"),
        ("In", (4, 99), "10.0.0.0/8 10.0.0.1/32", "10.0.0.0/7"),
        ("NotIn", (16, 24), "10.0.0.0/8 10.0.0.0/25", "10.9.0.0/16"),
        ("Equal", (16, None), "10.9.0.0/16", "10.0.0.0/8"),
        ("In", (24, 16), "", "10.0.0.0/8 10.9.0.0/16 10.9.9.0/24"),
    ],
)
def test_operators_of_calico(operator, bounds, inside, outside) -> None:
    low, high = bounds
    match = prefix_match(
        Operator(operator), "10.0.0.0/8", min_length_bits=low, max_length_bits=high
    )
    matcher = PrefixMatcher(match, AFI_IPV4)
    wanted, others = nlris(*inside.split()), nlris(*outside.split())
    assert matcher.divide(wanted + others) == (wanted, others)


def test_ipv6_prefixes_match_likewise() -> None:
    match = prefix_match(Operator.IN, "fd00:10::/29", max_length_bits=122)
    matcher = PrefixMatcher(match, AFI_IPV6)
    wanted = nlris("fd00:10::/29", "fd00:17:ffff::/48", "fd00:10::40/122")
    others = nlris("fd00:18::/29", "fd00:10::1/128", "::/0")
    assert matcher.divide(wanted + others) == (wanted, others)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, (8, 8)),
        ({"ge": 16}, (16, 32)),
        ({"le": 16}, (8, 16)),
        ({"ge": 16, "le": 24}, (16, 24)),
    ],
)
def test_entries_are_bounded_as_routers_do(bounds, expected) -> None:
    entry = prefix_entry("10.0.0.0/8", **bounds)
    assert (entry.min_length_bits, entry.max_length_bits) == expected


@pytest.mark.parametrize(
    "bounds", [{"ge": 7}, {"le": 7}, {"le": 33}, {"ge": 20, "le": 19}]
)
def test_bounds_that_match_nothing_are_an_error(bounds) -> None:
    with pytest.raises(ValueError, match="length bounds"):
        prefix_entry("10.0.0.0/8", **bounds)


def test_a_list_of_nothing_matches_nothing() -> None:
    matcher = PrefixMatcher(PrefixMatch(()), AFI_IPV4)
    assert not matcher.matches(ROUTE)
    negated = PrefixMatcher(PrefixMatch((), is_negated=True), AFI_IPV4)
    assert negated.matches(ROUTE)
