from fib.addresses import sibling_address
from rib.nlri import parse_address


def test_loopback_has_an_address_of_the_other_family() -> None:
    assert sibling_address(parse_address("::1"), 4) == parse_address("127.0.0.1")


def test_an_unknown_address_has_no_sibling_on_loopback() -> None:
    sibling = sibling_address(parse_address("2001:db8::1"), 4)
    assert sibling != parse_address("127.0.0.1")
