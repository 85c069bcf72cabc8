"""Parses fields of Calico's objects: canonical text, numbers, and errors."""

import re
from collections.abc import Callable
from functools import partial
from sys import intern
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from bgpd.calico.addresses import (
    MAX_ASN,
    canonical_address,
    canonical_cidr,
    canonical_cluster_id,
    canonical_interface,
    parse_asn,
    whole,
)
from rib.attributes.communities import parse_community, parse_large_community
from rib.policy import LargeCommunity

MAX_SECONDS: Final = 1 << 32  # longer ones mean for ever
_DURATION: Final = re.compile(
    r"([0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(h|ms|us|µs|ns|m|s)"
)
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}


def parse_duration(value: object) -> object:
    """Return whole seconds of a Go duration such as ``1m30s``, rounded as confd does.

    Raises:
        ValueError: It is not a duration.
    """
    if not isinstance(value, str):
        return whole(value)
    matches = list(_DURATION.finditer(value))
    if "".join(match.group() for match in matches) != value or not matches:
        raise ValueError(f"expected a duration such as 1m30s, found {value[:60]!r}")
    return round(sum(float(m[1]) * _SECONDS.get(m[2], 0.0) for m in matches))


def parse_any_community(text: str) -> int | LargeCommunity:
    """Return a community of two numbers, or a large one of three.

    Raises:
        ValueError: It is neither.
    """
    if text.count(":") == 2:
        return parse_large_community(text)
    if not (text.isascii() and text.replace(":", "").isdigit()):
        raise ValueError(f"{text!r} is not a community such as 65000:1 or 65000:1:2")
    return parse_community(text)


def _check_community(text: str) -> str:
    parse_any_community(text)
    return text


def _text_of(parse: Callable[[str], object]) -> BeforeValidator:
    """Accept what ``parse`` does, keep canonical text; empty stays empty."""

    def convert(value: object) -> object:
        return str(parse(value)) if isinstance(value, str) and value else value

    return BeforeValidator(convert)


Asn = Annotated[int, Field(ge=1, le=MAX_ASN), BeforeValidator(parse_asn)]
Port = Annotated[int, Field(ge=1, le=65535), BeforeValidator(whole)]
Hops = Annotated[int, Field(ge=0, le=255), BeforeValidator(whole)]
Count = Annotated[int, Field(ge=0, le=0x7FFFFFFF), BeforeValidator(whole)]
Length = Annotated[int, Field(ge=0, le=128), BeforeValidator(whole)]
Seconds = Annotated[int, Field(ge=0, le=MAX_SECONDS), BeforeValidator(parse_duration)]
Interface4 = Annotated[str, _text_of(partial(canonical_interface, version=4))]
Interface6 = Annotated[str, _text_of(partial(canonical_interface, version=6))]
ClusterId = Annotated[str, _text_of(canonical_cluster_id)]
Cidr = Annotated[str, _text_of(canonical_cidr)]
Address4 = Annotated[str, _text_of(partial(canonical_address, version=4))]
Address6 = Annotated[str, _text_of(partial(canonical_address, version=6))]
Community = Annotated[str, AfterValidator(_check_community)]
Priority = Annotated[int, Field(ge=1, le=2147483646), BeforeValidator(whole)]
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

    @field_validator("labels")
    @classmethod
    def _share_texts(cls, labels: dict[str, str]) -> dict[str, str]:
        # Thousands of nodes have the same keys, and most values of each: 1 KB a node.
        return {intern(key): intern(value) for key, value in labels.items()}
