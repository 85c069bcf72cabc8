"""Addresses and prefixes with their zone, as text (RFC 4007 11). Pure.

The zone is the name of a device: ``fe80::1%eth0``, ``fe80::%eth0/64``. Only an IPv6
link-local address has one, and it means nothing without: equal addresses on two links are
two machines.
"""

from ipaddress import ip_address, ip_network


def split_zone(text: str) -> tuple[str, str]:
    """Return an address or prefix without its zone, and the zone; empty for none."""
    address, slash, length = text.partition("/")
    plain, _, zone = address.partition("%")
    return f"{plain}{slash}{length}", zone


def with_zone(text: str, zone: str) -> str:
    """Add a zone to a link-local address or prefix; return any other unchanged.

    Args:
        text: Canonical text of an address or prefix.
        zone: A device; empty for none.
    """
    if not zone or "%" in text or not is_link_local(text):
        return text
    address, slash, length = text.partition("/")
    return f"{address}%{zone}{slash}{length}"


def is_link_local(text: str) -> bool:
    """Return whether an address, or all of a prefix, is IPv6 link-local."""
    plain, _ = split_zone(text)
    if ":" not in plain:
        return False
    if "/" in plain:
        return ip_network(plain, strict=False).is_link_local
    return ip_address(plain).is_link_local
