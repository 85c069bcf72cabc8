"""Addresses and numbers of Calico's objects: one parser for each, so that all agree.

What one place of the code accepts and another cannot read ends a daemon. So a text is read
here, once, and what comes of it is canonical: as the kernel writes it, and as connections and
tables know it.
"""

import re
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_network,
)
from typing import Final

from rib.nlri import format_address, parse_address

MAX_ASN: Final = 0xFFFFFFFF
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_DEVICE: Final = re.compile(r"[^\s/%\0]{1,15}")  # IFNAMSIZ less its final zero
_BROADCAST: Final = IPv4Address("255.255.255.255")


def parse_number(text: str) -> int:
    """Return a number of ASCII digits; ``int`` reads those of every script, and signs.

    Raises:
        ValueError: It is none.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def parse_unicast(text: str) -> str:
    """Return the canonical text of a host address.

    A link-local IPv6 address, and no other, may name its interface: ``fe80::1%eth0``.

    Raises:
        ValueError: It is not such an address; the text says why.
    """
    host, percent, device = text.partition("%")
    address = ip_address(format_address(parse_address(host)))
    _check_unicast(address)
    if percent:
        if not (isinstance(address, IPv6Address) and address.is_link_local):
            raise ValueError(f"{text}: only a link-local IPv6 address has an interface")
        if not _DEVICE.fullmatch(device):
            raise ValueError(f"{device!r} is not an interface name")
    return f"{format_address(address.packed)}{percent}{device}"


def parse_gateway(text: str) -> str:
    """Return the canonical text of a gateway.

    Raises:
        ValueError: As ``parse_unicast``, or it names an interface, which a gateway cannot have.
    """
    address = parse_unicast(text)
    if "%" in address:
        raise ValueError(f"{text}: a gateway has no interface")
    return address


def parse_peer(text: str) -> tuple[str, int]:
    """Return address and port (0 if none) of ``ip``, ``ip:port``, ``[v6]:port``.

    Raises:
        ValueError: As ``parse_unicast``, or the port is none.
    """
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not an address with a port")
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    address = parse_unicast(host)
    if not port:
        return address, 0
    number = parse_number(port)
    if not 1 <= number <= 65535:
        raise ValueError(f"{port!r} is not a port")
    return address, number


def canonical_interface(text: str, version: int) -> str:
    """Return an address with its subnet; without one it is a subnet of its own.

    Raises:
        ValueError: It is none of IP version 4 or 6, as given, or no machine can have it.
    """
    if "%" in text:
        raise ValueError(f"{text!r}: an address of a node has no interface")
    try:
        interface = IPv4Interface(text) if version == 4 else IPv6Interface(text)
    except ValueError:
        example = "10.0.0.1/24" if version == 4 else "fd00::1/64"
        expected = f"expected an IPv{version} address such as {example}"
        raise ValueError(f"{expected}, found {text!r}") from None
    _check_unicast(interface.ip)
    return f"{format_address(interface.ip.packed)}/{interface.network.prefixlen}"


def canonical_address(text: str, version: int) -> str:
    """Return an address; a subnet that is given with it is left out.

    Raises:
        ValueError: As ``canonical_interface``.
    """
    return canonical_interface(text, version).partition("/")[0]


def canonical_cidr(text: str) -> str:
    """Return a prefix with its host bits cleared; an address is a prefix of its own.

    Raises:
        ValueError: It is none.
    """
    if "%" in text:
        raise ValueError(f"{text!r}: a prefix has no interface")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        expected = "expected a prefix such as 10.244.0.0/16 or fd00::/48"
        raise ValueError(f"{expected}, found {text!r}") from None
    return f"{format_address(network.network_address.packed)}/{network.prefixlen}"


def canonical_cluster_id(text: str) -> str:
    """Return a cluster id (RFC 4456 7): four octets, written as an IPv4 address.

    Raises:
        ValueError: It is none.
    """
    try:
        return str(IPv4Address(text))
    except ValueError:
        expected = "expected four octets such as 244.0.0.1"
        raise ValueError(f"{expected}, found {text!r}") from None


def parse_asn(value: object) -> object:
    """Return an AS number given as number, text, or dotted text (RFC 5396 asdot).

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str):
        return whole(value)
    high, dot, low = value.partition(".")
    try:
        if not dot:
            return parse_number(value)
        numbers = parse_number(high), parse_number(low)
    except ValueError:
        raise ValueError(f"expected an AS number, found {value[:60]!r}") from None
    if max(numbers) > 0xFFFF:
        raise ValueError(f"expected an AS number, found {value!r}")
    return numbers[0] << 16 | numbers[1]


def whole(value: object) -> object:
    """Return a number, of text too; what else may be there is left as it is.

    Raises:
        ValueError: It is true or false, or text that is not a number.
    """
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004  # the caller makes it a finding
    return parse_number(value) if isinstance(value, str) else value


def _check_unicast(address: IPv4Address | IPv6Address) -> None:
    """Refuse what no connection can be made with.

    IPv6 groups are let pass, as by BIRD: clusters have been seen that use them.
    """
    if address.is_unspecified or address == _BROADCAST:
        raise ValueError(f"{address} is not a host address")
    if isinstance(address, IPv4Address):
        if address.is_multicast:
            raise ValueError(f"{address} is not a host address")
    elif address.ipv4_mapped is not None:
        raise ValueError(f"{address.ipv4_mapped} is IPv4 but written as IPv6")
