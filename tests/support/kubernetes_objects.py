"""Calico's objects as Kubernetes' API has them: what its client writes there."""

import json
from copy import deepcopy
from typing import Any

from bgpd.calico.kubernetes_objects import ANNOTATION, GROUP_V1, GROUP_V3, hostname_hash
from tests.support.calico_cases import an_object

Object = dict[str, Any]

# As Calico documents them, and not by the converter's own table.
BGP_ANNOTATIONS = {
    "ipv4Address": "IPv4Address",
    "ipv6Address": "IPv6Address",
    "asNumber": "ASNumber",
    "routeReflectorClusterID": "RouteReflectorClusterID",
    "ipv4IPIPTunnelAddr": "IPv4IPIPTunnelAddr",
}
WIREGUARD_ANNOTATIONS = {
    "interfaceIPv4Address": "IPv4WireguardInterfaceAddr",
    "interfaceIPv6Address": "IPv6WireguardInterfaceAddr",
}
# What every object has, and what changes without a meaning.
NOISE = {
    "uid": "0b1e9a3c-58c2-4f0a-8f0a-1d9d5f3a7a11",
    "resourceVersion": "123456",
    "generation": 7,
    "creationTimestamp": "2026-11-30T10:00:00Z",
    "managedFields": [{"manager": "calico-node", "operation": "Update"}],
}


def kubernetes_node(node: Object, *, calico_labels: bool = False) -> Object:
    """Return the Node of Kubernetes that stands for one of Calico's.

    Args:
        node: Calico's.
        calico_labels: Labels were given by Calico's tools.
    """
    spec = node.get("spec") or {}
    annotations = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
    for part, names in (("bgp", BGP_ANNOTATIONS), ("wireguard", WIREGUARD_ANNOTATIONS)):
        for field, name in names.items():
            value = (spec.get(part) or {}).get(field)
            if value is not None:
                annotations[ANNOTATION + name] = str(value)
    labels = dict((node["metadata"].get("labels")) or {})
    metadata = {"name": node["metadata"]["name"], **NOISE}
    if calico_labels:
        annotations[f"{ANNOTATION}labels"] = json.dumps(labels)
        labels = {}
    metadata |= {"annotations": annotations, "labels": labels}
    made: Object = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    made["spec"] = {}
    if pod_cidrs := (node.get("status") or {}).get("podCIDRs"):
        made["spec"] = {"podCIDR": pod_cidrs[0], "podCIDRs": pod_cidrs}
    made["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    return made


def custom_resource(resource: Object, group: str) -> Object:
    """Return the custom resource of one of Calico's objects, other than Node."""
    made = deepcopy(resource)
    metadata = made.setdefault("metadata", {})
    if group == GROUP_V1:
        metadata.setdefault("annotations", {})[f"{ANNOTATION}metadata"] = json.dumps(
            {"creationTimestamp": None, "labels": metadata.pop("labels", {})}
        )
    metadata.update(NOISE)
    return made | {"apiVersion": group}


def resource(kind: str, name: str, group: str = GROUP_V1, **spec: Any) -> Object:
    """Return the custom resource of an object with this spec."""
    return custom_resource(an_object(kind, name, **spec), group)


def labelled_affinity(
    node: str, cidr: str, state: str = "confirmed", group: str = GROUP_V1, **spec: Any
) -> Object:
    """Return an affinity as Calico 3.31 and later writes it."""
    made = block_affinity(node, cidr, state, group, **({"type": "host"} | spec))
    made["metadata"]["labels"] = {
        "projectcalico.org/hostname-hash": hostname_hash(node),
        "projectcalico.org/affinity-type": made["spec"]["type"],
        "projectcalico.org/ip-version": "6" if ":" in cidr else "4",
    }
    return made


def block_affinity(
    node: str, cidr: str, state: str, group: str, **spec: object
) -> Object:
    """Return the object of a block affinity."""
    name = f"{node}-{cidr}".translate(str.maketrans(".:/", "---"))
    deleted: object = False if group == GROUP_V3 else "false"
    content = {"cidr": cidr, "node": node, "state": state, "deleted": deleted, **spec}
    return {
        "apiVersion": group,
        "kind": "BlockAffinity",
        "metadata": {"name": name, **NOISE},
        "spec": content,
    }
