"""Calico objects as manifests, for tests."""

from typing import Any

API = "projectcalico.org/v3"


def node(name: str, addr: str = "", **bgp: Any) -> dict[str, Any]:
    """Return a Node; ``labels`` among the keywords go to its metadata."""
    labels = bgp.pop("labels", {})
    if addr:
        bgp["ipv4Address"] = addr
    return {
        "apiVersion": API,
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"bgp": bgp},
    }


def affinity(node_name: str, cidr: str, state: str = "confirmed") -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "BlockAffinity",
        "metadata": {"name": f"{node_name}-{cidr.replace('/', '-')}"},
        "spec": {"node": node_name, "cidr": cidr, "state": state},
    }


def resource(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
