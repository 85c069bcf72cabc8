"""How fields of Calico's objects are read: canonical text, numbers, and what is refused."""

import re
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from rib.communities import parse_community, parse_large_community
from rib.policy import LargeCommunity

MAX_ASN: Final = 0xFFFFFFFF
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}


def parse_asn(value: object) -> object:
    """Return an AS number given as number, text, or dotted text (RFC 5396 asdot)."""
    if isinstance(value, str):
        high, dot, low = value.partition(".")
        if dot and high.isdecimal() and low.isdecimal() and int(low) <= 0xFFFF:
            return (int(high) << 16) | int(low)
    return value


def parse_duration(value: object) -> object:
    """Return whole seconds of a Go duration such as ``1m30s``, rounded as confd does.

    Raises:
        ValueError: It is no duration.
    """
    if not isinstance(value, str):
        return value
    matches = list(_DURATION.finditer(value))
    if "".join(match.group() for match in matches) != value or not matches:
        raise ValueError("is no duration such as 1m30s")
    return round(sum(float(m[1]) * _SECONDS.get(m[2], 0.0) for m in matches))


def parse_any_community(text: str) -> int | LargeCommunity:
    """Return a community of two numbers, or a large one of three.

    Raises:
        ValueError: It is neither.
    """
    if text.count(":") == 2:
        return parse_large_community(text)
    if not text.replace(":", "").isdecimal():
        raise ValueError(f"{text!r} is no community such as 65000:1 or 65000:1:2")
    return parse_community(text)


def _check_community(text: str) -> str:
    parse_any_community(text)
    return text


def _text_of(parse: Callable[[str], object]) -> BeforeValidator:
    """Accept what ``parse`` does, keep canonical text; empty stays empty."""

    def convert(value: object) -> object:
        return str(parse(value)) if isinstance(value, str) and value else value

    return BeforeValidator(convert)


def _interface4(text: str) -> IPv4Interface:
    return IPv4Interface(text)


def _interface6(text: str) -> IPv6Interface:
    return IPv6Interface(text)


Asn = Annotated[int, Field(ge=1, le=MAX_ASN), BeforeValidator(parse_asn)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=0), BeforeValidator(parse_duration)]
Interface4 = Annotated[str, _text_of(_interface4)]
Interface6 = Annotated[str, _text_of(_interface6)]
ClusterId = Annotated[str, _text_of(lambda text: ip_interface(f"{text}/32").ip)]
Cidr = Annotated[str, _text_of(partial(ip_network, strict=False))]
Address4 = Annotated[str, _text_of(lambda text: IPv4Interface(text).ip)]
Address6 = Annotated[str, _text_of(lambda text: IPv6Interface(text).ip)]
Community = Annotated[str, AfterValidator(_check_community)]
Priority = Annotated[int, Field(ge=1, le=2147483646)]
BindMode = Literal["None", "NodeIP"]
EnabledDisabled = Literal["Enabled", "Disabled"]
ClusterRoutes = Literal[
    "", "Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly"
]
NextHopModeName = Literal["", "Auto", "Self", "Keep"]
SourceAddress = Literal["", "UseNodeIP", "None"]
ReversePeering = Literal["", "Auto", "Manual"]
TunnelMode = Literal["", "Never", "Always", "CrossSubnet"]


class Resource(BaseModel):
    """Shared rules: immutable, unknown fields ignored, null means absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:  # noqa: ANN401 - any JSON may stand here
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


class Metadata(Resource):
    """What every object carries."""

    name: str = ""
    labels: dict[str, str] = {}


def split_peer_ip(text: str) -> tuple[str, int]:
    """Return canonical address and port (0 if none) of ``ip``, ``ip:port``, ``[v6]:port``.

    A link-local address keeps its ``%interface``.

    Raises:
        ValueError: It is no address, or the port is none.
    """
    address, port = text, ""
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        if rest and not rest.startswith(":"):
            raise ValueError(f"{text!r} is no address with port")
        port = rest[1:]
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    canonical = str(ip_address(address))
    if not port:
        return canonical, 0
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{port!r} is no port")
    return canonical, int(port)
