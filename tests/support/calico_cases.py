"""Cases of a cluster's objects, written short, and what a node makes of them."""

from typing import Any

from bgpd.calico.case import Case, load_case, show_plan
from bgpd.calico.probe import show_probes

Object = dict[str, Any]


def an_object(kind: str, name: str, **spec: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec}


def a_node(name: str, addr: str, **bgp: Any) -> Object:
    """Return a Node; ``addr`` is an IPv4 address, with or without a length."""
    labels = bgp.pop("labels", {})
    more = bgp.pop("spec", {})
    if addr:
        bgp["ipv4Address"] = addr if "/" in addr else f"{addr}/24"
    made = an_object("Node", name, bgp=bgp, **more)
    made["metadata"]["labels"] = labels
    return made


def settings(name: str = "default", **spec: Any) -> Object:
    return an_object("BGPConfiguration", name, **spec)


def a_case(
    *objects: Object, node: str = "n1", compat: str = "3.34", **more: Any
) -> Case:
    affinities = [
        {"cidr": cidr, "state": state}
        for cidr, state in more.pop("affinities", {}).items()
    ]
    return load_case(
        {
            "node": node,
            "compat": compat,
            "resources": list(objects),
            "affinities": affinities,
            **more,
        }
    )


def sessions(case: Case) -> dict[str, Object]:
    return {each["name"]: each for each in show_plan(case)["sessions"]}


def node_of(case: Case) -> Object:
    found: Object = show_plan(case)["node"]
    return found


def a_route(prefix: str, source: str = "bgp", **fields: Any) -> Object:
    """Return a route to be probed; one of BGP comes from inside the AS."""
    family = "ipv6" if ":" in prefix else "ipv4"
    if source == "bgp":
        fields.setdefault("next_hop", "fd00::2" if family == "ipv6" else "10.0.0.2")
        fields.setdefault("learned_from", "internal")
        fields.setdefault("interface", "eth0")
    return {
        "id": fields.pop("id", prefix),
        "family": family,
        "prefix": prefix,
        "source": source,
        **fields,
    }


def probe(
    case_objects: tuple[Object, ...], *routes: Object, **more: Any
) -> list[Object]:
    """Return the outcome of each route, in order."""
    case = a_case(*case_objects, probe_routes=list(routes), **more)
    found: list[Object] = show_probes(case)["probes"]
    return found


def warned(case: Case) -> dict[str, set[str]]:
    """Return the fields with findings, by kind and name of their object."""
    found: dict[str, set[str]] = {}
    for warning in case.desired.warnings:
        name = "/".join(warning.key.split("/")[-2:])
        found.setdefault(name, set()).add(warning.field)
    return found
