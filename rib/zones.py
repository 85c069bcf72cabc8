"""Link-local addresses and their zones as octets (RFC 4007, RFC 2545 3). Pure.

A link-local address means something on one link alone: the same on another link is another
machine. So what is kept of a next hop is not its field but a *scoped* key, octets as all
keys of the tables:

    4 or 16 octets      an address; a link-local one with an unknown link
    17 to 31            a link-local address, then the name of its device
    33 to 47            a global and a link-local address, then the name of their device

The zone is a device's name, not its number: a recreated device has another number.
"""

from typing import Final, NamedTuple

_ADDRESS: Final = 16  # octets of an IPv6 address


class Scoped(NamedTuple):
    """The parts of a key.

    Attributes:
        address: 4 or 16 octets.
        link_local: The link-local address beside a global one; else empty.
        zone: The device of the link-local address; may be empty.
    """

    address: bytes
    link_local: bytes
    zone: str


def is_link_local(address: bytes) -> bool:
    """Whether octets begin with an IPv6 address in fe80::/10 (RFC 4291 2.5.6)."""
    return len(address) >= _ADDRESS and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def scoped(field: bytes, zone: str) -> bytes:
    """Return the key of a next-hop field that came over a link.

    Args:
        field: 4, 16 or 32 octets.
        zone: The device of the link; empty where the peer is not next door.
    """
    if not zone or len(field) < _ADDRESS:
        return field
    if is_link_local(field):
        return field[:_ADDRESS] + zone.encode()
    return field + zone.encode() if len(field) > _ADDRESS else field


def parts_of(key: bytes) -> Scoped:
    """Return what ``scoped`` made a key of."""
    address, rest = key[:_ADDRESS], key[_ADDRESS:]
    if not rest:
        return Scoped(address, b"", "")
    if is_link_local(address):
        return Scoped(address, b"", rest.decode())
    return Scoped(address, rest[:_ADDRESS], rest[_ADDRESS:].decode())
