"""The cluster of the demonstration: its topology and its objects in the datastore. Pure.

Four nodes 172.2.2.11 to .14 in one AS with pods in the blocks of node-12 and node-14, and
one block each for the two others; two reflectors that wait; two gateways with a network
behind them, one inside the AS, one outside.
"""

from typing import Any, Final

from bgpd.lab.topology import (
    Cluster,
    Machine,
    Pod,
    RouterKind,
    RouterModel,
    StoreKind,
    Topology,
)

Object = dict[str, Any]

NAME: Final = "demo"
ASN: Final = 64512
GATEWAY_ASN: Final = 65000
CLUSTER_ID: Final = "244.0.0.1"
NODES: Final = {
    "node-11": ("172.2.2.11", ("10.244.11.0/26",)),
    "node-12": ("172.2.2.12", ("10.244.44.192/26", "10.244.45.0/26")),
    "node-13": ("172.2.2.13", ("10.244.13.0/26",)),
    "node-14": ("172.2.2.14", ("10.244.128.0/26", "10.244.127.192/26")),
}
REFLECTORS: Final = {"reflector-21": "172.2.2.21", "reflector-22": "172.2.2.22"}
INNER_GATEWAY: Final = ("gateway-1", "172.2.2.1", "198.51.100.0/24", "198.51.100.1")
OUTER_GATEWAY: Final = ("gateway-2", "172.2.2.2", "203.0.113.0/24", "203.0.113.1")
OUTSIDE: Final = "gateway-networks"
PODS: Final = {
    "pod-11": ("node-11", "10.244.11.1", "10.244.11.0/26"),
    "pod-12a": ("node-12", "10.244.44.193", "10.244.44.192/26"),
    "pod-12b": ("node-12", "10.244.45.1", "10.244.45.0/26"),
    "pod-13": ("node-13", "10.244.13.1", "10.244.13.0/26"),
    "pod-14a": ("node-14", "10.244.128.1", "10.244.128.0/26"),
    "pod-14b": ("node-14", "10.244.127.193", "10.244.127.192/26"),
}
MOVING_POD: Final = "pod-12b"
MOVING_TO: Final = "node-13"
DATASTORE: Final = ("datastore", "172.2.2.5")  # where its servers run, if it has any
FAST: Final = {"bgp": {"defaults": {"connect_retry_time": 1}}}


def a_pod(name: str) -> Pod:
    """Return a pod of the cluster as the lab's model."""
    _, addr, block = PODS[name]
    return Pod.model_validate({"name": name, "address": addr, "block": block})


def topology(
    inner: RouterKind,
    outer: RouterKind,
    datastore: StoreKind | None = None,
    folder: str = "",
) -> Topology:
    """Return the lab.

    Args:
        inner: Maker of the gateway inside the AS.
        outer: Maker of the gateway outside.
        datastore: Servers that hold the cluster's objects, those of the start included.
        folder: Path of a folder of manifests, where there are no servers.
    """
    if datastore is None:
        own: Object = {"config": {**FAST, "datastore": _manifests(folder)}}
    else:
        own = {"config": FAST, "cluster": NAME}
    nodes = {}
    for name, (addr, _) in NODES.items():
        pods = [a_pod(pod) for pod, (node, *_) in PODS.items() if node == name]
        nodes[name] = _machine(addr, RouterModel.model_validate(own), pods)
    for name, addr in REFLECTORS.items():
        router = RouterModel.model_validate({**own, "fib": False})
        nodes[name] = _machine(addr, router)
    clusters = {}
    if datastore is not None:
        nodes[DATASTORE[0]] = _machine(DATASTORE[1], RouterModel(kind="none"))
        clusters[NAME] = Cluster(
            store=DATASTORE[0], datastore=datastore, objects=tuple(base())
        )
    gateways = {
        INNER_GATEWAY[0]: _gateway(INNER_GATEWAY, inner, ASN),
        OUTER_GATEWAY[0]: _gateway(OUTER_GATEWAY, outer, GATEWAY_ASN),
    }
    return Topology(name=NAME, nodes=nodes, gateways=gateways, clusters=clusters)


def _manifests(folder: str) -> Object:
    return {"type": "folder", "path": folder}


def _machine(
    addr: str, router: RouterModel, pods: "list[Pod] | None" = None
) -> Machine:
    return Machine.model_validate(
        {"addresses": [f"{addr}/24"], "router": router, "pods": pods or []}
    )


def _gateway(gateway: tuple[str, ...], kind: RouterKind, asn: int) -> Machine:
    _, addr, prefix, inside = gateway
    neighbours = [{"address": peer, "as": ASN} for peer in REFLECTORS.values()]
    router = {
        "kind": kind,
        "as": asn,
        "originate": [prefix],
        "neighbours": neighbours,
        "config": FAST if kind == "pybgpd" else {},
    }
    return Machine.model_validate(
        {"addresses": [f"{addr}/24"], "loopback": [f"{inside}/32"], "router": router}
    )


def an_object(kind: str, name: str, spec: Object, **metadata: object) -> Object:
    """Return a manifest in Calico's resource form."""
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


def settings(*, is_mesh: bool) -> Object:
    """Return the BGPConfiguration."""
    spec = {"asNumber": ASN, "nodeToNodeMeshEnabled": is_mesh}
    return an_object("BGPConfiguration", "default", spec)


def affinity(block: str, node: str) -> Object:
    """Return the object that says whose a block is."""
    name = f"{node}-{block.replace('.', '-').replace('/', '-')}"
    spec = {"node": node, "cidr": block, "state": "confirmed"}
    return an_object("BlockAffinity", name, spec)


def base() -> list[Object]:
    """Return the cluster as it starts: four nodes in a mesh."""
    pool = {"cidr": "10.244.0.0/16", "blockSize": 26, "ipipMode": "Never"}
    objects = [settings(is_mesh=True), an_object("IPPool", "default-pool", pool)]
    for name, (addr, blocks) in NODES.items():
        objects.append(an_object("Node", name, {"bgp": {"ipv4Address": f"{addr}/24"}}))
        objects += [affinity(block, name) for block in blocks]
    return objects


def reflectors() -> list[Object]:
    """Return two reflectors and the peerings of everybody with them."""
    objects = []
    for name, addr in REFLECTORS.items():
        bgp = {"ipv4Address": f"{addr}/24", "routeReflectorClusterID": CLUSTER_ID}
        labels = {"route-reflector": "true"}
        objects.append(an_object("Node", name, {"bgp": bgp}, labels=labels))
    spec = {
        "nodeSelector": "all()",
        "peerSelector": "has(route-reflector)",
        "filters": [OUTSIDE],
    }
    return [*objects, outside(), an_object("BGPPeer", "reflectors", spec)]


def outside() -> Object:
    """Return the filter that lets the gateways' networks through.

    A cluster's nodes tell each other what lies inside its pools, and nothing else.
    """
    rules = [
        {"action": "Accept", "matchOperator": "In", "cidr": prefix}
        for _, _, prefix, _ in (INNER_GATEWAY, OUTER_GATEWAY)
    ]
    return an_object("BGPFilter", OUTSIDE, {"exportV4": rules})


def gateway_peer(gateway: tuple[str, ...], asn: int) -> Object:
    """Return the peering of the reflectors with a gateway.

    A reflector forwards no packets, so a gateway outside the AS gets the nodes' own
    addresses: the next hop is kept.
    """
    spec = {
        "nodeSelector": "has(route-reflector)",
        "peerIP": gateway[1],
        "asNumber": asn,
        "keepOriginalNextHop": True,
    }
    return an_object("BGPPeer", gateway[0], spec)
