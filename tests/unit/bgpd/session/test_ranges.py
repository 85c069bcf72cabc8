"""Which range an address falls to, and what its neighbours are."""

import pytest

from bgpd.session.ranges import RangeTable, neighbour_settings
from bgpd.session.settings import PeerSettings, RangeSettings

SETTINGS = PeerSettings("", "", remote_as=64513, local_as=64512)


def test_the_longest_range_is_the_one() -> None:
    ranges = [
        RangeSettings(name, prefix, 9, SETTINGS)
        for name, prefix in (
            ("all", "10.0.0.0/8"),
            ("nodes", "10.0.0.0/24"),
            ("six", "fe80::/10"),
        )
    ]
    for address, name in (
        ("10.0.0.1", "nodes"),
        ("10.1.0.1", "all"),
        ("fe80::1%eth0", "six"),
    ):
        chosen = RangeTable(ranges).of(address)
        assert chosen is not None
        assert chosen.name == name
    assert RangeTable(ranges).of("192.0.2.1") is None


@pytest.mark.parametrize("turn", [1, -1])
def test_a_range_of_a_link_takes_those_of_that_link_before_one_of_all(turn) -> None:
    prefixes = ("fe80::/64", "fe80::%eth0/64", "fe80::%eth1/128", "fe80::%eth2/10")
    ranges = [RangeSettings(each, each, 9, SETTINGS) for each in prefixes[::turn]]
    for address, name in (
        ("fe80::1%eth0", "fe80::%eth0/64"),
        ("fe80::%eth1", "fe80::%eth1/128"),
        ("fe80::1%eth1", "fe80::/64"),
        ("fe80::1%eth2", "fe80::/64"),
        ("fe80:1::1%eth2", "fe80::%eth2/10"),
    ):
        chosen = RangeTable(ranges).of(address)
        assert chosen is not None
        assert chosen.name == name
    assert RangeTable(ranges).of("fe80:1::1%eth0") is None
    assert RangeTable(ranges).of("2001:db8::1") is None


def test_a_whole_prefix_falls_to_the_range_that_it_is_in() -> None:
    wide, narrow = (
        RangeSettings(each, each, 9, SETTINGS) for each in ("10.0.0.0/8", "10.1.0.0/16")
    )
    assert RangeTable((wide, narrow)).of("10.1.2.0/24") is narrow
    assert RangeTable((wide,)).of("10.1.0.0/16") is wide
    assert RangeTable((wide, narrow)).of("0.0.0.0/0") is None


def test_a_neighbour_of_a_range_connects_by_itself() -> None:
    chosen = RangeSettings("nodes", "10.0.0.0/8", 9, SETTINGS)
    mine = neighbour_settings(chosen, "10.0.0.1")
    assert (mine.name, mine.remote_addr, mine.is_passive) == (
        "10.0.0.1",
        "10.0.0.1",
        True,
    )
    assert mine.remote_as == SETTINGS.remote_as


def test_a_range_that_goes_leaves_its_addresses_to_the_wider_one() -> None:
    wide, narrow = (
        RangeSettings(each, each, 9, SETTINGS) for each in ("10.0.0.0/8", "10.1.0.0/16")
    )
    table = RangeTable((wide, narrow))
    assert table.remove("10.1.0.0/16") is narrow
    assert table.of("10.1.0.1") is wide
    assert dict(table) == {"10.0.0.0/8": wide}
    with pytest.raises(KeyError):
        table.remove("10.1.0.0/16")
    moved = RangeSettings(wide.name, "10.2.0.0/16", 9, SETTINGS)
    table.set(moved)
    assert table.of("10.1.0.1") is None
    assert table.of("10.2.0.1") is moved
    assert len(table) == 1
