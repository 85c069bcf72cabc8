import pytest

from rib.nlri import parse_address
from rib.zones import Scoped, is_link_local, parts_of, scoped
from tests.support.cases import cases

IPV4 = parse_address("192.0.2.1")
GLOBAL = parse_address("2001:db8::1")
LINK_LOCAL = parse_address("fe80::1")
OTHER = parse_address("fe80::2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fe80::", True),
        ("febf:ffff::1", True),
        ("fec0::", False),
        ("fe7f::1", False),
        ("ff80::1", False),
        ("fd80::1", False),
        ("254.128.0.1", False),
        ("169.254.0.1", False),
    ],
)
def test_link_local_is_the_whole_of_fe80_10(text: str, *, expected: bool) -> None:
    assert is_link_local(parse_address(text)) is expected


def test_a_pair_is_judged_by_its_first_address() -> None:
    assert is_link_local(LINK_LOCAL + GLOBAL)
    assert not is_link_local(GLOBAL + LINK_LOCAL)
    assert not is_link_local(b"")


@cases("zone", ["e", "eth0", "bond0.1234", "enp0s31f6np1234"])
@cases(
    ("field", "parts"),
    [
        (b"", (b"", b"", False)),
        (IPV4, (IPV4, b"", False)),
        (GLOBAL, (GLOBAL, b"", False)),
        (LINK_LOCAL, (LINK_LOCAL, b"", True)),
        (GLOBAL + LINK_LOCAL, (GLOBAL, LINK_LOCAL, True)),
        (LINK_LOCAL + OTHER, (LINK_LOCAL, b"", True)),
    ],
)
def test_a_key_has_a_zone_where_the_address_needs_one(
    zone: str, field: bytes, parts: tuple[bytes, bytes, bool]
) -> None:
    address, link_local, has_zone = parts
    key = scoped(field, zone)
    assert parts_of(key) == Scoped(address, link_local, zone if has_zone else "")
    assert scoped(field, "") == field
    assert len(key) not in {4, 16, 32} or not has_zone


def test_equal_addresses_on_two_links_are_two() -> None:
    keys = {scoped(LINK_LOCAL, zone) for zone in ("eth0", "eth1", "")}
    assert len(keys) == 3
    assert len({scoped(GLOBAL, zone) for zone in ("eth0", "eth1", "")}) == 1
