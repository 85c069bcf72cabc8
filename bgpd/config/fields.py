"""The kinds of values a configuration key can have, each with its check. Pure.

Types are strict: text is not read as a number nor a number as text, so that a slip is
reported at its place and nothing is guessed. Checks return canonical text.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bgpd.session.zones import is_link_local, split_zone, with_zone
from rib.attributes.communities import (
    parse_community,
    parse_ext_community,
    parse_large_community,
)
from rib.attributes.community_patterns import EXTENDED, LARGE, STANDARD
from rib.attributes.table import NEEDED_ATTRIBUTES, TABLE
from rib.nlri import format_address, format_prefix, parse_address, parse_prefix
from rib.policy import NextHopRule

RELEASES: Final = (
    "3.31",
    "3.32",
    "3.33",
)  # of Calico; the first stands for earlier ones
_RELEASE: Final = re.compile(r"v?([0-9]{1,3})\.([0-9]{1,3})(?:\.[0-9]{1,3})?")
_SWITCH: Final = {"on": True, "yes": True, "off": False, "no": False}
_MAX_AS: Final = 0xFFFFFFFF
_ATTRIBUTES: Final = {
    row.name.lower().replace("_", "-"): code
    for code, row in TABLE.items()
    if code not in NEEDED_ATTRIBUTES
}
_AS_CLASSES: Final = ("internal", "external")
_NEXT_HOP_RULES: Final = frozenset(rule.value for rule in NextHopRule)
_INTERFACE: Final = re.compile(r"[^\s/%]{1,15}")  # IFNAMSIZ less its final zero
_PROCESS_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_EXPECTED_SOCKET_ADDRESS: Final = (
    "expected ADDRESS:PORT, such as 127.0.0.1:9179 or [::1]:9179"
)
MD5_KEY_LEN: Final = 80  # octets, the kernel's TCP_MD5SIG_MAXKEYLEN


def _switch(value: object) -> object:
    return _SWITCH.get(value.lower(), value) if isinstance(value, str) else value


def _release(value: object) -> object:
    """Read a release of Calico, whether or not YAML takes it for a fraction.

    No other release is suggested: they differ in what they make of LOCAL_PREF.
    """
    text = str(value) if isinstance(value, float) else value
    found = _RELEASE.fullmatch(text) if isinstance(text, str) else None
    if found is None or text in RELEASES:
        return text
    number = (int(found[1]), int(found[2]))
    first, *_, last = RELEASES
    if isinstance(value, float) and number[1] < 10:
        what = "put a release in quotes"  # 3.4 may have been 3.40
    elif number in {_release_number(name) for name in RELEASES}:
        what = f"write {found[1]}.{found[2]}"
    elif number < _release_number(first):
        what = f"{first} is the name for {first} and earlier"
    else:
        what = f"{last} is the newest that is known here"
    raise ValueError(f"expected auto, {', '.join(RELEASES)}, found {value!r}; {what}")


def _release_number(name: str) -> tuple[int, int]:
    major, minor = name.split(".")
    return int(major), int(minor)


def _on_or_off(value: object) -> object:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _as_number(value: object) -> object:
    """Read asdot (RFC 5396: ``1.10``); plain numbers pass."""
    if isinstance(value, float):
        raise ValueError("put an AS number with a dot in quotes")  # noqa: TRY004 - for pydantic
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,5})\.(\d{1,5})", value)
        if match is None or max(map(int, match.groups())) > 0xFFFF:
            raise ValueError(f"expected an AS number, found {value!r}")
        return int(match[1]) << 16 | int(match[2])
    return value


def _one_as(value: object, least: int = 1) -> int:
    number = _as_number(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError("expected a number")  # noqa: TRY004 - for pydantic
    if not least <= number <= _MAX_AS:
        raise ValueError(f"expected a number from {least} to {_MAX_AS}")
    return number


def _peer_as(value: object) -> object:
    if value in _AS_CLASSES:
        return value
    try:
        return _one_as(value, 0)  # the error for a whole item covers any AS
    except ValueError:
        text = f"expected an AS number, internal or external, found {value!r}"
        raise ValueError(text) from None


def _range_as(value: object) -> object:
    if value in _AS_CLASSES:
        return value
    try:
        if isinstance(value, list):
            return [_as_item(item) for item in value]
        if isinstance(value, str) and "-" in value:
            return [_as_item(value)]
        return _one_as(value, 0)
    except ValueError as error:
        text = (
            "an AS number, 0 for any, internal, external, or a list of numbers and of "
            f"ranges such as 64512-65534, found {value!r} ({error})"
        )
        raise ValueError(f"expected {text}") from None


def _as_item(value: object) -> object:
    if not (isinstance(value, str) and "-" in value):
        return _one_as(value)
    as_interval(value)
    return value


def as_interval(item: int | str) -> tuple[int, int]:
    """Return the closed interval that an AS number, or a range as ``64512-65534``, is.

    Raises:
        ValueError: The text is no such range.
    """
    if isinstance(item, int):
        return item, item
    low, _, high = item.partition("-")
    if not (low.isascii() and low.isdigit() and high.isascii() and high.isdigit()):
        raise ValueError(f"{item!r} is not a range")
    if not 1 <= int(low) <= int(high) <= _MAX_AS:
        raise ValueError(f"the range {item} is empty")
    return int(low), int(high)


def _address(text: str) -> str:
    return format_address(parse_address(text))


def _policy_next_hop(text: str) -> str:
    if text in _NEXT_HOP_RULES:
        return text
    try:
        return _address(text)
    except ValueError:
        rules = ", ".join(sorted(_NEXT_HOP_RULES))
        raise ValueError(
            f"expected an address or one of {rules}, found {text!r}"
        ) from None


def _peer_address(text: str) -> str:
    host, percent, interface = text.partition("%")
    canonical = _address(host)
    if percent and not _INTERFACE.fullmatch(interface):
        raise ValueError(f"{interface!r} is not an interface name")
    if percent and not is_link_local(canonical):
        raise ValueError("only a link-local IPv6 address has an interface")
    return f"{canonical}{percent}{interface}"


def _peer_prefix(text: str) -> str:
    """Read a prefix of neighbours; a link-local one may name its link (RFC 4007 11.7)."""
    plain, interface = split_zone(text)
    canonical = _prefix(plain)
    if not interface:
        return canonical
    if not _INTERFACE.fullmatch(interface):
        raise ValueError(f"{interface!r} is not an interface name")
    if not is_link_local(canonical):
        raise ValueError("only a link-local IPv6 prefix has an interface")
    return with_zone(canonical, interface)


def _prefix(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a prefix such as 10.0.0.0/8") from None
    afi, nlri = parse_prefix(text)
    canonical = format_prefix(nlri, afi)
    if "/" in text and str(ipaddress.ip_interface(text).ip) != str(network[0]):
        raise ValueError(f"{text} has host bits set; did you mean {canonical}?")
    return canonical


def _router_id(text: str) -> str:
    canonical = _address(text)
    if ":" in canonical or canonical == "0.0.0.0":  # noqa: S104 - compared, not bound
        raise ValueError("expected four octets, not all zero, such as 10.0.0.1")
    return canonical


def _router_id_or_hash(text: str) -> str:
    return text if text == "hash" else _router_id(text)


def _interface(text: str) -> str:
    if not _INTERFACE.fullmatch(text):
        raise ValueError(f"{text!r} is not an interface name (1 to 15 characters)")
    return text


def _community(text: str) -> str:
    parse_community(text)
    return text


def _large_community(text: str) -> str:
    parse_large_community(text)
    return text


def _ext_community(text: str) -> str:
    parse_ext_community(text)
    return text


def _community_pattern(text: str) -> str:
    STANDARD.parse(text)
    return text


def _large_community_pattern(text: str) -> str:
    LARGE.parse(text)
    return text


def _ext_community_pattern(text: str) -> str:
    EXTENDED.parse(text)
    return text


def _attribute(value: object) -> object:
    if isinstance(value, str):
        code = _ATTRIBUTES.get(value.lower())
        if code is None:
            known = ", ".join(_ATTRIBUTES)
            raise ValueError(f"expected a type code or one of {known}, found {value!r}")
        return code
    return value


def _hold_time(seconds: int) -> int:
    if seconds in (1, 2):
        raise ValueError("expected 0 or at least 3 (RFC 4271 4.2)")
    return seconds


def _interface_pattern(text: str) -> str:
    if not _INTERFACE.fullmatch(text.removeprefix("-")):
        raise ValueError(
            f"expected a pattern of interfaces such as lo, eth* or -cali*, found {text!r}"
        )
    return text


def _process_name(value: str) -> str:
    if not _PROCESS_NAME.fullmatch(value):
        raise ValueError(
            f"expected the name of a process such as bird, found {value!r}"
        )
    return value


def _password(text: str) -> str:
    if not 1 <= len(text.encode()) <= MD5_KEY_LEN:
        raise ValueError(f"expected 1 to {MD5_KEY_LEN} octets (RFC 2385)")
    return text


def _socket_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise ValueError(f"{_EXPECTED_SOCKET_ADDRESS}, found {text!r}")
    if host in {"", "*"}:
        text = f"0.0.0.0:{port} and [::]:{port} are any address"
        raise ValueError(f"expected an address before the port; {text}")
    address = _address(host.strip("[]"))
    return f"[{address}]:{int(port)}" if ":" in address else f"{address}:{int(port)}"


def _quoted(value: object) -> object:
    """Tell more about what YAML reads as a number, such as a port alone."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{_EXPECTED_SOCKET_ADDRESS}, found {value!r}")  # noqa: TRY004 - for pydantic
    return value


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts; for the documentation."""

    name: str


Switch = Annotated[bool, BeforeValidator(_switch)]
OnOff = Annotated[Literal["on", "off"], BeforeValidator(_on_or_off)]
AutoOff = Annotated[Literal["auto", "off"], BeforeValidator(_on_or_off)]
Release = Annotated[Literal["auto", "3.31", "3.32", "3.33"], BeforeValidator(_release)]
AsNumber = Annotated[int, BeforeValidator(_as_number), Field(ge=1, le=_MAX_AS)]
PeerAs = Annotated[int | Literal["internal", "external"], BeforeValidator(_peer_as)]
RangeAs = Annotated[
    int | Literal["internal", "external"] | list[int | str], BeforeValidator(_range_as)
]
Address = Annotated[str, AfterValidator(_address)]
PolicyNextHop = Annotated[str, AfterValidator(_policy_next_hop)]
PeerAddress = Annotated[str, AfterValidator(_peer_address)]
PeerPrefix = Annotated[str, AfterValidator(_peer_prefix)]
Prefix = Annotated[str, AfterValidator(_prefix)]
RouterId = Annotated[str, AfterValidator(_router_id)]
RouterIdOrHash = Annotated[str, AfterValidator(_router_id_or_hash)]
Interface = Annotated[str, AfterValidator(_interface)]
InterfacePattern = Annotated[str, AfterValidator(_interface_pattern)]
SocketAddress = Annotated[
    str, BeforeValidator(_quoted), AfterValidator(_socket_address)
]
ProcessName = Annotated[str, AfterValidator(_process_name)]
Password = Annotated[str, AfterValidator(_password)]
Community = Annotated[str, AfterValidator(_community)]
LargeCommunity = Annotated[str, AfterValidator(_large_community)]
AttributeCode = Annotated[int, BeforeValidator(_attribute), Field(ge=1, le=255)]
ExtCommunity = Annotated[str, AfterValidator(_ext_community)]
CommunityPattern = Annotated[str, AfterValidator(_community_pattern)]
LargeCommunityPattern = Annotated[str, AfterValidator(_large_community_pattern)]
ExtCommunityPattern = Annotated[str, AfterValidator(_ext_community_pattern)]
Port = Annotated[int, Field(ge=1, le=0xFFFF)]
_SECONDS: Final = Unit("seconds")
HoldTime = Annotated[int, Field(ge=0, le=0xFFFF), AfterValidator(_hold_time), _SECONDS]
Seconds = Annotated[int, Field(ge=0, le=0xFFFF), _SECONDS]
Milliseconds = Annotated[int, Field(ge=10, le=60_000), Unit("milliseconds")]
RestartSeconds = Annotated[int, Field(ge=0, le=0xFFF), _SECONDS]  # RFC 4724 3: 12 bits
LongSeconds = Annotated[int, Field(ge=0, le=0xFFFFFF), _SECONDS]  # RFC 9494 3: 24 bits
Hops = Annotated[int, Field(ge=0, le=255), Unit("hops")]
Count = Annotated[int, Field(ge=0, le=0x7FFFFFFF)]
Metric = Annotated[int, Field(ge=0, le=_MAX_AS)]
Weight = Annotated[int, Field(ge=0, le=0xFFFF)]
Percent = Annotated[int, Field(ge=1, le=100), Unit("percent")]
