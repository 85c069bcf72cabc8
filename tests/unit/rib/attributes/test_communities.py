import pytest

from rib.attributes.communities import (
    BLACKHOLE,
    GRACEFUL_SHUTDOWN,
    WELL_KNOWN_NAMES,
    format_community,
    format_ext_community,
    format_large_community,
    parse_community,
    parse_ext_community,
    parse_large_community,
)
from tests.support.cases import cases


@cases("community", [0, 1, 0xFDE80001, 0xFFFFFFFF, *WELL_KNOWN_NAMES])
def test_communities_go_both_ways(community: int) -> None:
    assert parse_community(format_community(community)) == community


def test_communities_read_as_people_write_them() -> None:
    assert format_community(0xFDE80001) == "65000:1"
    assert parse_community("65535:666") == BLACKHOLE
    assert parse_community("Graceful-Shutdown") == GRACEFUL_SHUTDOWN


@pytest.mark.parametrize(
    "text", ["", "1", "65536:1", "1:65536", "1:2:3", "a:b", "1:", "-1:1", "no-such"]
)
def test_text_that_is_not_a_community_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):
        parse_community(text)


def test_large_communities_go_both_ways() -> None:
    assert parse_large_community("4200000000:1:2") == (4200000000, 1, 2)
    assert format_large_community((4200000000, 1, 2)) == "4200000000:1:2"
    for text in ("1:2", "1:2:4294967296", "1:2:x"):
        with pytest.raises(ValueError):
            parse_large_community(text)


@pytest.mark.parametrize(
    ("community", "text"),
    [
        (0x0002FDE800000001, "rt:65000:1"),
        (0x0003FDE8FFFFFFFF, "ro:65000:4294967295"),
        (0x01020A0000010007, "rt:10.0.0.1:7"),
        (0x0202FA56EA000007, "rt:4200000000:7"),
        (0x02020000FDE80007, "rt:65000L:7"),
        (0x4300000000000001, "0x4300000000000001"),
        (0x0102030405060708, "rt:3.4.5.6:1800"),
        (0xFFFFFFFFFFFFFFFF, "0xffffffffffffffff"),
    ],
)
def test_extended_communities_go_both_ways(community: int, text: str) -> None:
    assert format_ext_community(community) == text
    assert parse_ext_community(text) == community


@pytest.mark.parametrize(
    "text",
    ["", "rt", "rt:1", "xx:1:2", "rt:1:4294967296", "rt:10.0.0.1:65536", "0x1", "rt::"],
)
def test_text_that_is_not_an_extended_community_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):
        parse_ext_community(text)
