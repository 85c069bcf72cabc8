import pytest

from bgpd.session.zones import is_link_local, split_zone, with_zone


@pytest.mark.parametrize(
    ("text", "plain", "zone"),
    [
        ("fe80::1%eth0", "fe80::1", "eth0"),
        ("fe80::%eth0/64", "fe80::/64", "eth0"),
        ("fe80::1", "fe80::1", ""),
        ("10.0.0.0/8", "10.0.0.0/8", ""),
        ("", "", ""),
    ],
)
def test_a_zone_is_split_off_and_put_back(text: str, plain: str, zone: str) -> None:
    assert split_zone(text) == (plain, zone)
    if text:
        assert with_zone(plain, zone) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fe80::1", "fe80::1%eth0"),
        ("fe80::/64", "fe80::%eth0/64"),
        ("fe80::/10", "fe80::%eth0/10"),
        ("fe80::1%eth1", "fe80::1%eth1"),
        ("fe80::%eth1/64", "fe80::%eth1/64"),
        ("2001:db8::1", "2001:db8::1"),
        ("169.254.0.1", "169.254.0.1"),
        ("169.254.0.0/16", "169.254.0.0/16"),
        ("fe80::/9", "fe80::/9"),
        ("::/0", "::/0"),
    ],
)
def test_only_link_local_ones_get_a_zone(text: str, expected: str) -> None:
    assert with_zone(text, "eth0") == expected
    assert with_zone(text, "") == text
    assert is_link_local(text) is ("%" in expected)
