"""Local workloads that peer with their node, as Felix writes them down.

Felix evaluates ``BGPPeer.spec.localWorkloadSelector`` and leaves one JSON file for each
workload in its folder of endpoint statuses.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Interface, IPv6Interface
from typing import Final, NamedTuple

from bgpd.texts.json_text import load
from bgpd.texts.limits import ENDPOINT_STATUS, TextError

WORKLOAD_DEVICES: Final = "cali*"
"""What Felix calls the devices of workloads, unless its ``interfacePrefix`` differs."""


class EndpointError(ValueError):
    """A status file cannot be understood; the text says why."""


class LocalEndpoint(NamedTuple):
    """One workload.

    Attributes:
        interface: The node's device towards it.
        ipv4_nets: Its addresses with their length.
        ipv6_nets: As ``ipv4_nets``.
        peer_name: The BGPPeer that selects it; empty for none.
    """

    interface: str
    ipv4_nets: tuple[str, ...]
    ipv6_nets: tuple[str, ...]
    peer_name: str


def parse_endpoint(content: object) -> LocalEndpoint:
    """Return the workload that a status file tells of; unknown fields are ignored.

    Raises:
        EndpointError: It is none.
    """
    if isinstance(content, bytes | str):
        try:
            content = load(content, ENDPOINT_STATUS).value
        except TextError as error:
            raise EndpointError(str(error)) from error
    if not isinstance(content, dict):
        raise EndpointError("is not a JSON object")
    texts = {}
    for field in ("ifaceName", "bgpPeerName"):
        value = content.get(field) or ""
        if not isinstance(value, str):
            raise EndpointError(f"{field} is not text")
        texts[field] = value
    return LocalEndpoint(
        texts["ifaceName"],
        _nets(content, "ipv4Nets", IPv4Interface),
        _nets(content, "ipv6Nets", IPv6Interface),
        texts["bgpPeerName"],
    )


def workload_interfaces(endpoints: Iterable[LocalEndpoint]) -> tuple[str, ...]:
    """Return patterns of the devices that lead to the node's workloads."""
    names = {each.interface for each in endpoints if each.interface}
    others = (name for name in names if not fnmatchcase(name, WORKLOAD_DEVICES))
    return (WORKLOAD_DEVICES, *sorted(others))


def _nets(
    content: dict[str, object],
    field: str,
    parse: "type[IPv4Interface | IPv6Interface]",
) -> tuple[str, ...]:
    value = content.get(field) or []
    if not isinstance(value, list):
        raise EndpointError(f"{field} is not a list")
    if not all(isinstance(item, str) for item in value):
        raise EndpointError(
            f"{field} has an item that is not text"
        )  # a number is an address
    try:
        return tuple(str(parse(item)) for item in value)
    except ValueError as error:
        raise EndpointError(f"{field}: {error}") from error
