"""Kubernetes' objects as keys and values of Calico's etcd layout. Pure.

Calico keeps its state in etcd, or in Kubernetes' API; what reads it here knows the former
layout alone. So the objects of the API become what etcd would hold: a custom resource its
own manifest, a block affinity a key of IPAM, and Kubernetes' Node the Node of Calico, whose
fields stand in annotations.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, ip_network
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bgpd.calico.keys import affinity_key, resource_key

# Theory
# ------
# Two API groups serve the same objects. In `crd.projectcalico.org/v1` they are records of
# Calico's own client: nearly nothing is validated, the metadata that users gave stands in an
# annotation, and a truth value is text. In `projectcalico.org/v3` they are what users write.
# What BGP reads of them is the name and the spec, which both have alike, so one converter
# reads both, and takes either form of each field from either group.
#
# Kubernetes' Node is the exception. Calico writes what it knows of a node into annotations,
# as text. A field whose annotation is wrong is passed on as it is: the models behind are
# tolerant, keep what the field said before, and warn. Were it left out, a mistyped AS number
# would move the node to the cluster's AS without a word.
#
# Invariants:
#
# * Equal meaning gives equal octets: values are canonical JSON of what is read, and nothing
#   else. A node's heartbeat, `managedFields` and `resourceVersion` change no value.
# * An object that says that it does not count (an affinity that is being deleted, or one of
#   a load balancer) has a key and no value.
# * What cannot be converted raises, and costs no other object anything.

ANNOTATION: Final = "projectcalico.org/"
GROUP_V1: Final = "crd.projectcalico.org/v1"
GROUP_V3: Final = "projectcalico.org/v3"

# Labels of block affinities (Calico 3.31 and later).
HOSTNAME_HASH: Final = f"{ANNOTATION}hostname-hash"
AFFINITY_TYPE: Final = f"{ANNOTATION}affinity-type"
_IN_NAMES: Final = str.maketrans(".:/", "---")

RESOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BGPConfiguration": "bgpconfigurations",
        "BGPPeer": "bgppeers",
        "BGPFilter": "bgpfilters",
        "IPPool": "ippools",
        "IPReservation": "ipreservations",
        "ClusterInformation": "clusterinformations",
        "BlockAffinity": "blockaffinities",
    }
)
"""Kinds that are custom resources, with the plural of their paths."""

# Field of `Node.spec.bgp` and of `Node.spec.wireguard`, by the annotation that holds it.
_BGP: Final = MappingProxyType(
    {
        "IPv4Address": "ipv4Address",
        "IPv6Address": "ipv6Address",
        "ASNumber": "asNumber",
        "RouteReflectorClusterID": "routeReflectorClusterID",
        "IPv4IPIPTunnelAddr": "ipv4IPIPTunnelAddr",
    }
)
_WIREGUARD: Final = MappingProxyType(
    {
        "IPv4WireguardInterfaceAddr": "interfaceIPv4Address",
        "IPv6WireguardInterfaceAddr": "interfaceIPv6Address",
    }
)
ANNOTATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{f"spec.bgp.{field}": ANNOTATION + name for name, field in _BGP.items()},
        **{
            f"spec.wireguard.{field}": ANNOTATION + name
            for name, field in _WIREGUARD.items()
        },
        "metadata.labels": f"{ANNOTATION}labels",
    }
)
"""Which annotation of a Kubernetes Node holds a field of Calico's."""

# Of Go's strconv.ParseBool, by which Calico reads text.
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"", "0", "f", "F", "FALSE", "false", "False"})
_HOST_TYPES: Final = frozenset({"", "host"})
_MAX_NAME: Final = 253  # characters, as the API has it
_MAX_SHOWN: Final = 64


class ConversionError(ValueError):
    """An object means nothing to BGP; the text says which field, and what was expected."""


class Item(NamedTuple):
    """What etcd would hold.

    Attributes:
        key: Of Calico's layout.
        value: Canonical JSON; ``None`` where the object says that it does not count.
        warnings: What was skipped in it, for people.
    """

    key: str
    value: bytes | None
    warnings: tuple[str, ...] = ()


def item_of(
    kind: str, content: Mapping[str, Any], *, uses_pod_cidrs: bool = False
) -> Item:
    """Convert one object of the API.

    Args:
        kind: ``Node``, or one of ``RESOURCES``.
        content: As the API has it; metadata alone is enough for a Node without pod CIDRs.
        uses_pod_cidrs: Addresses come from the nodes' pod CIDRs, and so does the address
            of a node's tunnel.

    Raises:
        ConversionError: It has no name, or its block is none.
    """
    if kind == "Node":
        return _node(content, uses_pod_cidrs=uses_pod_cidrs)
    if kind == "BlockAffinity":
        return _affinity(content)
    name = name_of(content)
    value = {
        "apiVersion": GROUP_V3,
        "kind": kind,
        "metadata": {"name": name},
        "spec": content.get("spec") if content.get("spec") is not None else {},
    }
    return Item(resource_key(kind, name), _canonical(value))


def name_of(content: Mapping[str, Any]) -> str:
    """Return an object's name.

    Raises:
        ConversionError: It has none that can be part of a key.
    """
    name = _mapping(content.get("metadata")).get("name")
    if not isinstance(name, str) or not name:
        raise ConversionError("has no metadata.name")
    return _checked_name(name, "metadata.name")


def _checked_name(name: str, field: str) -> str:
    if "/" in name or len(name) > _MAX_NAME or not name.isprintable():
        raise ConversionError(f"{field} {_shown(name)} is not the name of an object")
    return name


# -- nodes ------------------------------------------------------------------------------


def _node(content: Mapping[str, Any], *, uses_pod_cidrs: bool) -> Item:
    name = name_of(content)
    metadata = _mapping(content.get("metadata"))
    annotations = _mapping(metadata.get("annotations"))
    warnings: list[str] = []
    spec: dict[str, object] = {}
    pod_cidrs = _pod_cidrs(content)
    bgp = _fields(annotations, _BGP)
    if uses_pod_cidrs and pod_cidrs:
        tunnel = _first_address(pod_cidrs[0], warnings.append)
        bgp.pop("ipv4IPIPTunnelAddr", None)
        if tunnel:
            bgp["ipv4IPIPTunnelAddr"] = tunnel
    if bgp:
        spec["bgp"] = bgp
    if wireguard := _fields(annotations, _WIREGUARD):
        spec["wireguard"] = wireguard
    labels = {
        **_labels(annotations, warnings.append),
        **_texts(metadata.get("labels")),  # Kubernetes' own win
    }
    value: dict[str, object] = {
        "apiVersion": GROUP_V3,
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }
    if pod_cidrs:
        value["status"] = {"podCIDRs": pod_cidrs}
    return Item(resource_key("Node", name), _canonical(value), tuple(warnings))


def _fields(annotations: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields whose annotations are there; an empty one is an absent one."""
    return {
        field: value
        for name, field in names.items()
        if (value := annotations.get(ANNOTATION + name))
    }


def _labels(
    annotations: Mapping[str, Any], warn: Callable[[str], object]
) -> dict[str, str]:
    """Return labels that were given by Calico's tools."""
    name = ANNOTATIONS["metadata.labels"]
    text = annotations.get(name)
    if not text:
        return {}
    try:
        labels = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        labels = None
    if not isinstance(labels, dict):
        warn(f"annotation {name}: {_shown(text)} is not a JSON map of labels; ignored")
        return {}
    return _texts(labels)


def _texts(value: object) -> dict[str, str]:
    return {key: text for key, text in _mapping(value).items() if isinstance(text, str)}


def _pod_cidrs(content: Mapping[str, Any]) -> list[str]:
    spec = _mapping(content.get("spec"))
    given = spec.get("podCIDRs")
    some = given if isinstance(given, list) else [spec.get("podCIDR")]
    return [each for each in some if isinstance(each, str) and each]


def _first_address(cidr: str, warn: Callable[[str], object]) -> str:
    """Return the address after a pod CIDR's base, if that is of IPv4; else empty."""
    try:
        network = ip_network(cidr, strict=False)
    except ValueError:
        warn(f"spec.podCIDR: {_shown(cidr)} is not a prefix; ignored")
        return ""
    if not isinstance(network, IPv4Network):
        return ""
    *head, last = network.network_address.packed
    return ".".join(map(str, (*head, (last + 1) % 256)))  # without a carry, as Calico


# -- block affinities -------------------------------------------------------------------


def _affinity(content: Mapping[str, Any]) -> Item:
    spec = _mapping(content.get("spec"))
    node = spec.get("node")
    if not isinstance(node, str) or not node:
        raise ConversionError(f"spec.node is {_shown(node)}; a node's name is expected")
    cidr = spec.get("cidr")
    try:
        network = ip_network(cidr if isinstance(cidr, str) else "")
    except ValueError as error:
        text = f"spec.cidr is {_shown(cidr)}; a prefix without host bits is expected"
        raise ConversionError(text) from error
    key = affinity_key(_checked_name(node, "spec.node"), str(network))
    kind = spec.get("type") or ""
    if kind not in _HOST_TYPES or _is_deleted(spec.get("deleted")):
        return Item(key, None)
    state = spec.get("state") or ""
    return Item(key, _canonical({"state": state, "deleted": False}))


def _is_deleted(value: object) -> bool:
    """Read ``deleted``: text in one group, a truth value in the other.

    Raises:
        ConversionError: It is neither.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value in _TRUE | _FALSE:
        return value in _TRUE
    raise ConversionError(
        f'spec.deleted is {_shown(value)}; "true" or "false" is expected'
    )


# -- JSON -------------------------------------------------------------------------------


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _canonical(value: object) -> bytes:
    """Return JSON that is equal where the value is.

    Raises:
        ConversionError: It is nested too deep.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except RecursionError as error:
        raise ConversionError("is nested too deep") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def hostname_hash(node: str) -> str:
    """Return the value of the label by which a node's affinities are found."""
    digest = hashlib.sha3_256(node.encode()).digest()
    return base64.b32encode(digest).rstrip(b"=").decode()


def prefix_in_name(cidr: str) -> str:
    """Return a block's prefix as the names of its objects have it."""
    return cidr.translate(_IN_NAMES)
