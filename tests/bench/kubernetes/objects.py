"""What a large cluster's API server holds for Calico, by numbers. Pure.

Nodes are as a kubelet writes them: 10 to 20 KB with 50 images, conditions and, added by the
server, `managedFields`. The mesh is off and three nodes are reflectors, since no cluster of
this size has a mesh.
"""

import json
import socket
from collections.abc import Iterator
from typing import Any, Final

from bgpd.calico.kubernetes_objects import (
    ANNOTATION,
    GROUP_V1,
    hostname_hash,
    prefix_in_name,
)
from tests.support.calico_cases import an_object
from tests.support.kubernetes_objects import block_affinity, custom_resource

Object = dict[str, Any]

REFLECTORS: Final = 3
IMAGES: Final = 50  # of a node; the kubelet reports that many
_GIB: Final = 1 << 20  # KiB
_POOL: Final = 0x0A000000  # 10.0.0.0/8, in blocks of 64 addresses
_REASONS: Final = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ("NetworkUnavailable", "False", "CalicoIsUp"),
    ("Ready", "True", "KubeletReady"),
)


def node_name(number: int) -> str:
    """Return a node's name; the first few are the reflectors."""
    return f"ip-172-{16 + (number >> 16)}-{number >> 8 & 255}-{number & 255}.internal"


def node(number: int, address: str, heartbeat: str) -> Object:
    """Return a Node as its kubelet creates it.

    Args:
        number: Of the node, from 0 on.
        address: Its IPv4 address.
        heartbeat: When its kubelet reported last, as RFC 3339 has it.
    """
    name = node_name(number)
    labels = {
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "m5.4xlarge",
        "topology.kubernetes.io/region": "eu-central-1",
        "topology.kubernetes.io/zone": f"eu-central-1{'abc'[number % 3]}",
        "example.com/node-pool": f"pool-{number % 7}",
    }
    if number < REFLECTORS:
        labels["route-reflector"] = "true"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {
                "csi.volume.kubernetes.io/nodeid": json.dumps(
                    {"ebs.csi.aws.com": f"i-{number:017x}"}
                ),
                "kubeadm.alpha.kubernetes.io/cri-socket": "/run/containerd/containerd.sock",
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": {
            "podCIDR": _block(number * 4, 24),
            "podCIDRs": [_block(number * 4, 24)],
            "providerID": f"aws:///eu-central-1a/i-{number:017x}",
        },
        "status": _status(number, address, heartbeat),
    }


def heartbeat_of(heartbeat: str) -> Object:
    """Return what a kubelet sends every five minutes, as a strategic merge patch."""
    return {"status": {"conditions": _conditions(heartbeat)}}


def calico_annotations(number: int, address: str) -> Object:
    """Return what calico-node adds to its Node when it starts, as a patch."""
    annotations = {
        f"{ANNOTATION}IPv4Address": f"{address}/20",
        f"{ANNOTATION}IPv4IPIPTunnelAddr": _block(number * 4, 32).partition("/")[0],
    }
    if number < REFLECTORS:
        annotations[f"{ANNOTATION}RouteReflectorClusterID"] = "244.0.0.1"
    return {"metadata": {"annotations": annotations}}


def _status(number: int, address: str, heartbeat: str) -> Object:
    memory = 64 * _GIB - number % 1000
    resources = {
        "cpu": "16",
        "ephemeral-storage": "104845292Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": f"{memory}Ki",
        "pods": "234",
    }
    return {
        "addresses": [
            {"address": address, "type": "InternalIP"},
            {"address": node_name(number), "type": "InternalDNS"},
            {"address": node_name(number), "type": "Hostname"},
        ],
        "allocatable": resources | {"memory": f"{memory - _GIB}Ki"},
        "capacity": resources,
        "conditions": _conditions(heartbeat),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": [_image(number, image) for image in range(IMAGES)],
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": f"{number:08x}-5df9-4c58-a6b3-cbd7a9b5a6e1",
            "containerRuntimeVersion": "containerd://1.6.20",
            "kernelVersion": "6.1.0-18-amd64",
            "kubeProxyVersion": "v1.20.2",
            "kubeletVersion": "v1.20.2",
            "machineID": f"{number:032x}",
            "operatingSystem": "linux",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "systemUUID": f"ec2{number:05x}-5df9-4c58-a6b3-cbd7a9b5a6e1",
        },
    }


def _conditions(heartbeat: str) -> list[Object]:
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": f"{reason} is what the kubelet says",
            "lastHeartbeatTime": heartbeat,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, status, reason in _REASONS
    ]


def _image(number: int, image: int) -> Object:
    name = f"registry.example.com/team-{image % 9}/service-{image}-{number % 11}"
    digest = f"{number * 7919 + image * 104729:064x}"
    return {
        "names": [f"{name}@sha256:{digest}", f"{name}:v1.{image}.{number % 5}"],
        "sizeBytes": 30_000_000 + 1000 * image + number,
    }


def affinities(number: int, count: int) -> Iterator[Object]:
    """Yield a node's block affinities, as Calico 3.31 and later writes them."""
    name = node_name(number)
    for block in range(number * count, (number + 1) * count):
        made = block_affinity(name, _block(block, 26), "confirmed", GROUP_V1)
        made["spec"]["type"] = "host"
        made["metadata"] = {
            "name": made["metadata"]["name"],
            "labels": {
                "projectcalico.org/hostname-hash": hostname_hash(name),
                "projectcalico.org/affinity-type": "host",
                "projectcalico.org/ip-version": "4",
            },
            "annotations": {f"{ANNOTATION}metadata": '{"creationTimestamp":null}'},
        }
        yield made


def ipam_blocks(number: int, count: int) -> Iterator[Object]:
    """Yield the IPAM blocks of a node's affinities, some of their addresses in use."""
    name = node_name(number)
    for block in range(number * count, (number + 1) * count):
        cidr = _block(block, 26)
        made = an_object(
            "IPAMBlock",
            prefix_in_name(cidr),
            cidr=cidr,
            affinity=f"host:{name}",
            allocations=[0] * 9 + [None] * 55,
            unallocated=list(range(9, 64)),
            attributes=[{"handle_id": f"k8s-pod-network.{block:064x}"}],
            strictAffinity=False,
            deleted=False,
        )
        yield _new(custom_resource(made, GROUP_V1))


def settings(port: int) -> tuple[Object, ...]:
    """Return what is there once in a cluster.

    Args:
        port: On which its nodes listen.
    """
    objects = (
        an_object(
            "BGPConfiguration",
            "default",
            asNumber=64512,
            listenPort=port,
            logSeverityScreen="Info",
            nodeToNodeMeshEnabled=False,
        ),
        an_object(
            "BGPPeer",
            "to-reflectors",
            nodeSelector="all()",
            peerSelector="route-reflector == 'true'",
        ),
        an_object(
            "IPPool",
            "default-ipv4-ippool",
            blockSize=26,
            cidr="10.0.0.0/8",
            ipipMode="Never",
            natOutgoing=True,
            nodeSelector="all()",
            vxlanMode="Never",
        ),
        an_object(
            "ClusterInformation",
            "default",
            calicoVersion="v3.34.0",
            clusterGUID="8d8fbb5b4fa0486ab9ce4d7e6b14ee6d",
            clusterType="k8s,bgp",
            datastoreReady=True,
        ),
    )
    return tuple(_new(custom_resource(each, GROUP_V1)) for each in objects)


def _new(content: Object) -> Object:
    """Return an object without what only the server may say of it."""
    kept = ("name", "labels", "annotations")
    known = content["metadata"].items()
    return content | {"metadata": {key: value for key, value in known if key in kept}}


def _block(number: int, length: int) -> str:
    packed = (_POOL + (number << 6)).to_bytes(4, "big")
    return f"{socket.inet_ntoa(packed)}/{length}"
