"""Calico's resources as far as BGP reads them; unknown fields are ignored, null is absent.

The Go validators and CEL rules of Calico's API do not guard etcd itself, so nothing is
taken for granted here; what cannot be understood is a ``ValidationError`` of one object.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

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
Cidr = Annotated[str, _text_of(ip_network)]


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


class NodeBgp(Resource):
    """``Node.spec.bgp``.

    Attributes:
        ipv4_address: Address and subnet in canonical text; empty without IPv4.
        ipv6_address: As ``ipv4_address``.
        asn: None takes the cluster's.
        cluster_id: Non-empty makes the node a route reflector.
    """

    ipv4_address: Interface4 = Field(default="", alias="ipv4Address")
    ipv6_address: Interface6 = Field(default="", alias="ipv6Address")
    asn: Asn | None = Field(default=None, alias="asNumber")
    cluster_id: ClusterId = Field(default="", alias="routeReflectorClusterID")


class NodeSpec(Resource):
    """``Node.spec``; ``bgp`` None takes no part in BGP."""

    bgp: NodeBgp | None = None


class Node(Resource):
    """A machine of the cluster."""

    metadata: Metadata = Metadata()
    spec: NodeSpec = NodeSpec()


class BgpConfigurationSpec(Resource):
    """``BGPConfiguration.spec``; None is Calico's default of each."""

    is_mesh: bool | None = Field(default=None, alias="nodeToNodeMeshEnabled")
    asn: Asn | None = Field(default=None, alias="asNumber")
    listen_port: Port | None = Field(default=None, alias="listenPort")
    mesh_restart_time: Seconds | None = Field(
        default=None, alias="nodeMeshMaxRestartTime"
    )
    bind_mode: str = Field(default="None", alias="bindMode")


class BgpConfiguration(Resource):
    """Settings of the cluster (``default``) or of one node (``node.<name>``)."""

    metadata: Metadata = Metadata()
    spec: BgpConfigurationSpec = BgpConfigurationSpec()


class BgpPeerSpec(Resource):
    """``BGPPeer.spec``; see Calico's reference for each field."""

    node: str = ""
    node_selector: str = Field(default="", alias="nodeSelector")
    peer_ip: str = Field(default="", alias="peerIP")
    asn: Asn | None = Field(default=None, alias="asNumber")
    local_asn: Asn | None = Field(default=None, alias="localASNumber")
    peer_selector: str = Field(default="", alias="peerSelector")
    keeps_next_hop: bool = Field(default=False, alias="keepOriginalNextHop")
    next_hop_mode: str = Field(default="", alias="nextHopMode")
    password: dict[str, Any] | None = Field(default=None, repr=False)
    source_address: str = Field(default="UseNodeIP", alias="sourceAddress")
    restart_time: Seconds | None = Field(default=None, alias="maxRestartTime")
    keepalive_time: Seconds | None = Field(default=None, alias="keepaliveTime")
    allow_own_as: int = Field(default=0, ge=0, alias="numAllowedLocalASNumbers")
    ttl_security: int = Field(default=0, ge=0, le=255, alias="ttlSecurity")
    reachable_by: str = Field(default="", alias="reachableBy")
    filters: tuple[str, ...] = ()
    local_workload_selector: str = Field(default="", alias="localWorkloadSelector")
    reverse_peering: str = Field(default="Auto", alias="reversePeering")


class BgpPeer(Resource):
    """Sessions beside the mesh."""

    metadata: Metadata = Metadata()
    spec: BgpPeerSpec = BgpPeerSpec()


class IpPoolSpec(Resource):
    """``IPPool.spec``."""

    cidr: Cidr = Field(min_length=1)
    ipip_mode: str = Field(default="Never", alias="ipipMode")
    vxlan_mode: str = Field(default="Never", alias="vxlanMode")
    is_export_disabled: bool = Field(default=False, alias="disableBGPExport")


class IpPool(Resource):
    """A range that blocks are cut from."""

    metadata: Metadata = Metadata()
    spec: IpPoolSpec


MODELS: Final[dict[str, type[Resource]]] = {
    "Node": Node,
    "BGPConfiguration": BgpConfiguration,
    "BGPPeer": BgpPeer,
    "IPPool": IpPool,
}


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
