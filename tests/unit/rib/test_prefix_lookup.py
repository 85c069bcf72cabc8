from ipaddress import IPv4Network
from random import Random

import pytest

from rib.nlri import format_prefix, parse_address, parse_prefix
from rib.prefix_lookup import PrefixLengths, covered, covering, longest_match
from tests.support.routes import nlris

TABLE = {
    parse_prefix(text)[1]: text
    for text in (
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/26",
        "10.1.2.64/26",
        "10.1.2.65/32",
    )
}
LENGTHS = PrefixLengths(TABLE)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "0.0.0.0/0"),
        ("10.9.9.9", "10.0.0.0/8"),
        ("10.1.2.128", "10.1.0.0/16"),
        ("10.1.2.64", "10.1.2.64/26"),
        ("10.1.2.65", "10.1.2.65/32"),
    ],
)
def test_the_most_specific_prefix_wins(address: str, expected: str) -> None:
    found = longest_match(TABLE, parse_address(address), LENGTHS)
    assert found == (parse_prefix(expected)[1], expected)


def test_nothing_covers_is_none() -> None:
    table = dict.fromkeys(nlris("10.0.0.0/8"), 1)
    lengths = PrefixLengths(table)
    assert longest_match(table, parse_address("11.0.0.1"), lengths) is None
    assert longest_match({}, parse_address("11.0.0.1"), PrefixLengths()) is None


def test_ipv6_is_matched_likewise() -> None:
    table = dict.fromkeys(nlris("fd00::/16", "fd00:1::/29", "fd00:1::/64"), 1)
    lengths = PrefixLengths(table)
    address = parse_address("fd00:7::1")
    found = longest_match(table, address, lengths)
    assert found == (nlris("fd00:1::/29")[0], 1)


def test_covering_goes_from_the_prefix_itself_outwards() -> None:
    [nlri] = nlris("10.1.2.64/26")
    found = covering(TABLE, nlri, LENGTHS)
    assert [text for _, text in found] == [
        "10.1.2.64/26",
        "10.1.0.0/16",
        "10.0.0.0/8",
        "0.0.0.0/0",
    ]


@pytest.mark.parametrize("network", ["10.1.2.0/24", "10.1.2.0/25", "10.1.2.64/26"])
def test_covered_is_all_that_lies_inside(network: str) -> None:
    [nlri] = nlris(network)
    found = {text for _, text in covered(TABLE, nlri, LENGTHS)}
    inside = IPv4Network(network)
    assert found == {t for t in TABLE.values() if IPv4Network(t).subnet_of(inside)}


NETWORKS = (
    "10.1.16.0/20",
    "10.1.16.0/22",
    "10.1.16.0/23",
    "10.2.0.0/27",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "11.0.0.0/13",
    "0.0.0.0/0",
)


def test_covered_by_trying_keys_equals_covered_by_a_pass() -> None:
    rng = Random(7)
    table = {}
    for _ in range(5000):
        address = bytes(
            (
                rng.choice((10, 11)),
                rng.randrange(4),
                rng.randrange(256),
                rng.randrange(256),
            )
        )
        prefix = f"{'.'.join(map(str, address))}/{rng.choice((10, 14, 22, 24, 26, 29))}"
        nlri = parse_prefix(prefix)[1]
        table[nlri] = IPv4Network(format_prefix(nlri))
    lengths = PrefixLengths(table)
    for text in NETWORKS:
        nlri = parse_prefix(text)[1]
        inside = IPv4Network(text)
        expected = {key for key, network in table.items() if network.subnet_of(inside)}
        assert {key for key, _ in covered(table, nlri, lengths)} == expected


def test_lengths_follow_the_table() -> None:
    lengths = PrefixLengths(nlris("10.0.0.0/8", "11.0.0.0/8", "10.0.0.0/26"))
    seen = [lengths.descending]
    lengths.remove(nlris("10.0.0.0/26", "11.0.0.0/8"))
    seen.append(lengths.descending)
    lengths.add(nlris("10.0.0.0/32"))
    seen.append(lengths.descending)
    lengths.remove(nlris("10.0.0.0/32", "10.0.0.0/8"))
    seen.append(lengths.descending)
    assert seen == [(26, 8), (8,), (32, 8), ()]
