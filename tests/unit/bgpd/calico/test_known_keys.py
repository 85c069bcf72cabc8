"""Each unknown key is reported once; those that Calico and Kubernetes know are not."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any, Final

import pytest

from bgpd.calico import ClusterState, Snapshot
from bgpd.calico.keys import resource_key
from bgpd.calico.known_keys import MAX_TOLD, unknown_keys
from bgpd.datastore.manifests import parse
from tests.support.calico_cases import Object

METADATA: Final = {
    "annotations": {"any": "thing", "kubectl.kubernetes.io/x": "{}"},
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "deletionGracePeriodSeconds": 0,
    "deletionTimestamp": None,
    "finalizers": [],
    "generateName": "x",
    "generation": 3,
    "labels": {"rack": "a", "any/label": "x"},
    "managedFields": [{"manager": "calicoctl", "fieldsV1": {"f:spec": {}}}],
    "name": "x",
    "namespace": "",
    "ownerReferences": [{"kind": "Node"}],
    "resourceVersion": "17",
    "selfLink": "/x",
    "uid": "5d0",
}
# Every field of the CRDs of these kinds, of 3.21 to 3.34.
SPECS: Final[dict[str, Object]] = {
    "Node": {
        "addresses": [{"address": "10.0.0.1", "type": "InternalIP"}],
        "bgp": {
            "asNumber": 64512,
            "ipv4Address": "10.0.0.1/24",
            "ipv4IPIPTunnelAddr": "10.244.0.1",
            "ipv6Address": "fd00::1/64",
            "routeReflectorClusterID": "244.0.0.1",
        },
        "interfaces": [{"name": "eth0", "addresses": ["10.0.0.1"]}],
        "ipv4VXLANTunnelAddr": "10.244.0.2",
        "ipv6VXLANTunnelAddr": "fd00::2",
        "orchRefs": [{"nodeName": "n", "orchestrator": "k8s"}],
        "vxlanTunnelMACAddr": "66:00:00:00:00:01",
        "vxlanTunnelMACAddrV6": "66:00:00:00:00:02",
        "wireguard": {
            "interfaceIPv4Address": "10.0.1.1",
            "interfaceIPv6Address": "fd00::3",
        },
    },
    "BGPConfiguration": {
        "asNumber": 64512,
        "bindMode": "NodeIP",
        "communities": [{"name": "bgp-large", "value": "1:2:3"}],
        "ignoredInterfaces": ["eth9"],
        "ipv4NormalRoutePriority": 1024,
        "ipv6NormalRoutePriority": 1024,
        "listenPort": 178,
        "localWorkloadPeeringIPV4": "169.254.1.1",
        "localWorkloadPeeringIPV6": "fe80::1",
        "logSeverityScreen": "Info",
        "nodeMeshMaxRestartTime": "120s",
        "nodeMeshPassword": {
            "secretKeyRef": {"name": "s", "key": "k", "optional": True}
        },
        "nodeToNodeMeshEnabled": True,
        "prefixAdvertisements": [{"cidr": "10.0.0.0/8", "communities": ["65000:1"]}],
        "programClusterRoutes": "Enabled",
        "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}],
        "serviceExternalIPs": [{"cidr": "10.97.0.0/16"}],
        "serviceLoadBalancerAggregation": "Enabled",
        "serviceLoadBalancerIPs": [{"cidr": "10.98.0.0/16"}],
    },
    "BGPPeer": {
        "asNumber": 65000,
        "filters": ["f"],
        "keepOriginalNextHop": False,
        "keepaliveTime": "20s",
        "localASNumber": 65001,
        "localWorkloadSelector": "",
        "maxRestartTime": "60s",
        "nextHopMode": "Auto",
        "node": "n1",
        "nodeSelector": "",
        "numAllowedLocalASNumbers": 1,
        "password": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}},
        "peerIP": "10.9.9.9",
        "peerSelector": "",
        "reachableBy": "10.0.0.254",
        "reversePeering": "Auto",
        "sourceAddress": "UseNodeIP",
        "ttlSecurity": 1,
    },
    "BGPFilter": {
        name: [
            {
                "action": "Accept",
                "asPathPrefix": [65000],
                "cidr": cidr,
                "communities": {"values": ["65000:1"]},
                "interface": "eth*",
                "matchOperator": "In",
                "operations": [
                    {"addCommunity": {"value": "65000:2"}},
                    {"prependASPath": {"prefix": [65000]}},
                    {"setPriority": {"value": 512}},
                ],
                "peerType": "eBGP",
                "prefixLength": {"min": 24, "max": 26},
                "priority": 1024,
                "source": "RemotePeers",
            }
        ]
        for name, cidr in (
            ("exportV4", "10.0.0.0/8"),
            ("importV4", "10.0.0.0/8"),
            ("exportV6", "fd00::/16"),
            ("importV6", "fd00::/16"),
        )
    },
    "IPPool": {
        "allowedUses": ["Workload"],
        "assignmentMode": "Automatic",
        "blockSize": 26,
        "cidr": "10.244.0.0/16",
        "disableBGPExport": False,
        "disabled": False,
        "ipip": {"enabled": True, "mode": "always"},
        "ipipMode": "Never",
        "namespaceSelector": "all()",
        "nat-outgoing": True,
        "natOutgoing": True,
        "nodeSelector": "all()",
        "vxlanMode": "Never",
    },
    "IPReservation": {"reservedCIDRs": ["10.244.0.0/30"]},
    "ClusterInformation": {
        "calicoVersion": "v3.31.0",
        "clusterGUID": "x",
        "clusterType": "k8s,bgp",
        "datastoreReady": True,
        "variant": "Calico",
    },
    "BlockAffinity": {
        "cidr": "10.244.0.0/26",
        "deleted": "false",
        "node": "n1",
        "state": "confirmed",
        "type": "host",
    },
}
FREE: Final = frozenset(  # below these anything may stand
    {"annotations", "labels", "managedFields", "ownerReferences", "status"}
    | {"addresses", "interfaces", "orchRefs", "ipip"}
)


def whole(kind: str) -> Object:
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": deepcopy(METADATA),
        "spec": deepcopy(SPECS[kind]),
        "status": {"podCIDRs": [], "conditions": [{"type": "x"}], "any": 1},
    }


def mappings(value: object, above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every mapping whose keys are known, and the path of what is in it."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from mappings(item, f"{above}{at}.")
    if isinstance(value, dict):
        yield above, value
        for key, item in list(value.items()):
            if key not in FREE:
                yield from mappings(item, f"{above}{key}.")


@pytest.mark.parametrize("kind", SPECS)
def test_whatever_calico_and_kubernetes_have_is_known(kind: str) -> None:
    assert unknown_keys("key", kind, whole(kind)) == ()


@pytest.mark.parametrize("kind", SPECS)
def test_each_unknown_key_is_reported_once_wherever_it_stands(kind: str) -> None:
    for path, _ in mappings(whole(kind)):
        content = whole(kind)
        (place,) = (found for where, found in mappings(content) if where == path)
        place["surprise"] = {"nested": 1}
        (told,) = unknown_keys("key", kind, content)
        assert told.field == f"{path}surprise"
        assert told.text == f"{kind} has no such field; ignored"


@pytest.mark.parametrize("seed", range(20))
def test_several_are_listed_and_very_many_are_counted(seed: int) -> None:
    random = Random(seed)
    for kind in SPECS:
        content, wanted = whole(kind), set()
        for path, place in list(mappings(content)):
            for n in range(random.randint(0, 2)):
                place[f"surprise{n}"] = random.choice(
                    [None, 1, "x", [], [{}], {"a": 1}]
                )
                wanted.add(f"{path}surprise{n}")
        told = unknown_keys("key", kind, content)
        fields = [each.field for each in told if each.field]
        assert len(fields) == len(set(fields)) == min(len(wanted), MAX_TOLD)
        assert set(fields) <= wanted
        assert len(told) == len(fields) + (len(wanted) > MAX_TOLD)


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [
        ("BGPPeer", "keepAliveTime", "keepaliveTime"),
        ("BGPPeer", "peerIp", "peerIP"),
        ("BGPPeer", "nextHopmode", "nextHopMode"),
        ("BGPConfiguration", "nodeToNodeMeshEnable", "nodeToNodeMeshEnabled"),
        ("IPPool", "ipIpMode", "ipipMode"),
        ("IPPool", "blocksize", "blockSize"),
        ("Node", "orchrefs", "orchRefs"),
    ],
)
def test_the_message_proposes_what_is_probably_meant(
    kind: str, name: str, meant: str
) -> None:
    (told,) = unknown_keys("key", kind, {"spec": {name: "x"}})
    assert told.text.endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("content", [None, [], "x", 1, {"spec": 1}, {"spec": [[1]]}])
def test_the_report_of_a_value_that_is_not_an_object_comes_from_elsewhere(
    content: object,
) -> None:
    assert unknown_keys("key", "BGPPeer", content) == ()


def test_an_object_of_a_cluster_with_unknown_and_doubled_keys_counts_all_the_same() -> (
    None
):
    value = (
        b'{"metadata":{"name":"default","lables":{}},"spec":{"routerID":"1.2.3.4",'
        b'"nodeToNodeMeshEnabled":false,"asNumber":65001,"nodeToNodeMeshEnabled":true}}'
    )
    state = ClusterState()
    key = resource_key("BGPConfiguration", "default")
    node = json.dumps({"spec": {"bgp": {"ipv4Address": "10.0.0.1/24"}}}).encode()
    state.apply(Snapshot(1, {key: value, resource_key("Node", "n1"): node}))
    assert state.desired("n1").asn == 65001
    assert sorted((each.field, each.text) for each in state.warnings()) == [
        (
            "metadata.lables",
            "BGPConfiguration has no such field; ignored; did you mean labels?",
        ),
        ("spec.nodeToNodeMeshEnabled", "duplicate key; the last one counts"),
        ("spec.routerID", "BGPConfiguration has no such field; ignored"),
    ]


def test_a_manifest_of_an_affinity_has_keys_of_its_own() -> None:
    text = """\
apiVersion: projectcalico.org/v3
kind: BlockAffinity
metadata: {name: x}
spec: {node: n1, cidr: 10.0.0.0/26, sate: confirmed}
"""
    parsed = parse(text)
    assert len(parsed.entries) == 1
    assert parsed.warnings == (
        (1, "spec.sate: BlockAffinity has no such field; ignored; did you mean state?"),
    )
