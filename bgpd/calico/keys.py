"""Calico's key layout in etcd v3, both ways.

A resource is ``/calico/resources/v3/projectcalico.org/<plural>/<name>``; a block affinity is
``/calico/ipam/v2/host/<node>/ipv4/block/10.244.0.0-26``, the slash of the prefix written as
a dash, and the IPAM block itself
``/calico/ipam/v2/assignment/ipv4/block/10.244.0.0-26``. The root ``/calico/`` cannot be configured in Calico, nor here.
"""

from types import MappingProxyType
from typing import Final, NamedTuple

RESOURCES: Final = "/calico/resources/v3/projectcalico.org/"
IPAM_HOST: Final = "/calico/ipam/v2/host/"
IPAM_BLOCKS: Final = "/calico/ipam/v2/assignment/"

# Kind to plural, for every kind that a manifest may hold; all are cluster scoped.
PLURALS: Final = MappingProxyType(
    {
        "Node": "nodes",
        "BGPConfiguration": "bgpconfigurations",
        "BGPPeer": "bgppeers",
        "BGPFilter": "bgpfilters",
        "IPPool": "ippools",
        "IPReservation": "ipreservations",
        "IPAMConfiguration": "ipamconfigurations",
        "ClusterInformation": "clusterinformations",
        "CalicoNodeStatus": "caliconodestatuses",
        "FelixConfiguration": "felixconfigurations",
    }
)
KINDS: Final = MappingProxyType({plural: kind for kind, plural in PLURALS.items()})

# What BGP needs to know; the rest of the tree (endpoints, handles) changes with every pod.
WATCHED_KINDS: Final = (
    "Node",
    "BGPConfiguration",
    "BGPPeer",
    "BGPFilter",
    "IPPool",
    "IPReservation",
    "ClusterInformation",
)


class AffinityKey(NamedTuple):
    """The parts of a block affinity's key."""

    node: str
    cidr: str


def resource_key(kind: str, name: str) -> str:
    """Return the key of a resource.

    Raises:
        KeyError: ``kind`` is none of ``PLURALS``.
    """
    return f"{RESOURCES}{PLURALS[kind]}/{name}"


def split_resource_key(key: str) -> tuple[str, str] | None:
    """Return ``(kind, name)`` of a known resource's key, else None."""
    if not key.startswith(RESOURCES):
        return None
    plural, _, name = key[len(RESOURCES) :].partition("/")
    kind = KINDS.get(plural)
    return (kind, name) if kind and name else None


def affinity_key(node: str, cidr: str) -> str:
    """Return the key of the affinity of ``cidr`` (canonical text) to ``node``."""
    version = "ipv6" if ":" in cidr else "ipv4"
    return f"{IPAM_HOST}{node}/{version}/block/{cidr.replace('/', '-')}"


# hot: per block
def split_affinity_key(key: str) -> AffinityKey | None:
    """Return node and prefix text of a block affinity's key, else None."""
    parts = key.split("/")
    # "", calico, ipam, v2, host, <node>, ipv4, block, <cidr>
    if len(parts) != 9 or parts[7] != "block" or not key.startswith(IPAM_HOST):
        return None
    address, dash, length = parts[8].rpartition("-")
    return AffinityKey(parts[5], f"{address}/{length}") if dash else None


def assignment_key(cidr: str) -> str:
    """Return the key of the IPAM block of ``cidr`` (canonical text)."""
    version = "ipv6" if ":" in cidr else "ipv4"
    return f"{IPAM_BLOCKS}{version}/block/{cidr.replace('/', '-')}"


def split_assignment_key(key: str) -> str | None:
    """Return the prefix text of an IPAM block's key, else None."""
    if not key.startswith(IPAM_BLOCKS):
        return None
    version, _, rest = key[len(IPAM_BLOCKS) :].partition("/")
    kind, _, name = rest.partition("/")
    address, dash, length = name.rpartition("-")
    is_block = version in ("ipv4", "ipv6") and kind == "block" and dash
    return f"{address}/{length}" if is_block else None


def prefixes(node: str = "") -> tuple[str, ...]:
    """Return the key prefixes to read and watch.

    Args:
        node: Affinities of this node only; empty for those of all nodes (what reflectors
            hold beside BGP's routes).
    """
    resources = tuple(f"{RESOURCES}{PLURALS[kind]}/" for kind in WATCHED_KINDS)
    return (*resources, f"{IPAM_HOST}{node}/" if node else IPAM_HOST)
