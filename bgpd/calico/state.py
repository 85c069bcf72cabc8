"""A cluster as its datastore tells it, and what follows for one node.

``apply`` takes snapshots and changes in any order that a datastore gives them;
``desired`` is a function of what was applied and nothing else, so a consumer compares it
with what runs and needs no history (level-triggered). The one exception protects running
networks: an object that turns unreadable counts as it was last understood until it is
mended or deleted.

An affinity event costs microseconds: ``apply`` says which nodes' blocks it touched, and
``originated`` of the own node is all that must be compared then.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from pydantic import ValidationError

from bgpd.calico.blocks import Block, BlockTable
from bgpd.calico.desired import NodeDesired
from bgpd.calico.events import DatastoreEvent, Snapshot
from bgpd.calico.keys import IPAM_HOST, RESOURCES, WATCHED_KINDS, split_resource_key
from bgpd.calico.peers import Peers, expand_peers
from bgpd.calico.resources import MODELS, Resource
from bgpd.calico.topology import Topology
from bgpd.calico.warnings import ObjectWarning
from bgpd.session.settings import PeerSettings
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

TEMPLATE = PeerSettings(name="", remote_addr="", remote_as=0, local_as=0)


@dataclass(frozen=True, slots=True)
class Touched:
    """What an event may have changed.

    Attributes:
        nodes: Nodes whose ``originated`` blocks changed.
        is_topology: Anything else of ``desired`` may have changed, of any node.
    """

    nodes: frozenset[str]
    is_topology: bool


class ClusterState:
    """All that was applied, in the form ``desired`` needs.

    Args:
        template: Settings of every peer that Calico says nothing about: hold time,
            add-path and limits (of the first family), graceful restart and the like.
    """

    def __init__(self, template: PeerSettings = TEMPLATE) -> None:
        self._template = template
        self._blocks = BlockTable()
        self._resources: dict[str, dict[str, Resource]] = {kind: {} for kind in MODELS}
        self._values: dict[str, bytes] = {}
        self._warnings: dict[str, tuple[ObjectWarning, ...]] = {}
        self._topology: Topology | None = None
        self._peers: dict[str, Peers] = {}
        self.revision = 0

    def apply(self, event: DatastoreEvent) -> Touched:
        """Take one event; nothing in it can raise."""
        self.revision = event.revision
        if isinstance(event, Snapshot):
            resources, affinities = _split(event.items.items())
            nodes = self._blocks.replace(dict(affinities))
            gone = self._values.keys() - dict(resources).keys()
        else:
            resources, affinities = _split(event.puts.items())
            nodes = self._blocks.update(
                affinities, [key for key in event.deletes if key.startswith(IPAM_HOST)]
            )
            gone = self._values.keys() & event.deletes
        is_topology = False
        for key in gone:
            is_topology = True
            self._delete(key)
        for key, value in resources:
            if self._values.get(key) != value:
                is_topology = True
                self._put(key, value)
        if is_topology:
            self._topology = None
            self._peers.clear()
        return Touched(nodes, is_topology)

    def originated(self, node: str) -> frozenset[Block]:
        """Return the blocks of ``node``; the same object until they change."""
        return self._blocks.of(node)

    def warnings(self) -> tuple[ObjectWarning, ...]:
        """Return the findings about all objects, sorted."""
        found = [warning for some in self._warnings.values() for warning in some]
        return tuple(sorted({*found, *self._blocks.warnings()}))

    def desired(self, node: str) -> NodeDesired:
        """Return what ``node`` must be and do now."""
        topology = self._topology
        if topology is None:
            topology = self._topology = Topology(self._resources)
        if node not in self._peers:
            self._peers[node] = expand_peers(topology, node, self._template)
        peers, findings = self._peers[node]
        own = topology.nodes.get(node)
        addrs: Mapping[Family, str] = {} if own is None else own.addrs
        ipv4_addr = addrs.get(IPV4_UNICAST, "")
        return NodeDesired(
            name=node,
            revision=self.revision,
            is_known=own is not None,
            ipv4_addr=ipv4_addr,
            ipv6_addr=addrs.get(IPV6_UNICAST, ""),
            router_id=ipv4_addr or hashed_router_id(node),
            asn=topology.asn_of(own),
            cluster_id="" if own is None else own.cluster_id,
            listen_port=topology.listen_port(node),
            listens_on_node_addr=topology.config.bind_mode == "NodeIP",
            peers=peers,
            originated=self._blocks.of(node),
            cluster_blocks=self._blocks.others(node),
            pools=topology.pools,
            warnings=tuple(sorted({*self.warnings(), *topology.warnings, *findings})),
        )

    def _put(self, key: str, value: bytes) -> None:
        self._values[key] = value
        named = split_resource_key(key)
        if named is None or named[0] not in MODELS:
            self._warnings.pop(key, None)
            if named is None or named[0] not in WATCHED_KINDS:
                text = "is of a kind that is unknown; ignored"
                self._warnings[key] = (ObjectWarning(key, "", text),)
            return
        kind, name = named
        try:
            content = json.loads(value)
            resource = MODELS[kind].model_validate(content)
        except ValidationError as error:
            self._refuse(key, kind, name, _findings(key, error))
            return
        except (ValueError, RecursionError) as error:
            finding = ObjectWarning(key, "", f"is not JSON: {error}")
            self._refuse(key, kind, name, (finding,))
            return
        self._resources[kind][name] = resource
        self._warnings.pop(key, None)

    def _refuse(
        self, key: str, kind: str, name: str, findings: tuple[ObjectWarning, ...]
    ) -> None:
        if name in self._resources[kind]:
            text = "in force as it was last understood"
            findings = (*findings, ObjectWarning(key, "", text))
        self._warnings[key] = findings

    def _delete(self, key: str) -> None:
        del self._values[key]
        self._warnings.pop(key, None)
        named = split_resource_key(key)
        if named is not None and named[0] in self._resources:
            self._resources[named[0]].pop(named[1], None)


def hashed_router_id(node: str) -> str:
    """Return the router id that Calico derives from a node's name: never multicast."""
    octets = list(sha256(node.encode()).digest()[:4])
    if octets[0] > 223:
        octets[0] -= 32
    return ".".join(map(str, octets))


def _split(
    items: Iterable[tuple[str, bytes]],
) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """Return resources and affinities; other keys are none of BGP's business."""
    resources, affinities = [], []
    for item in items:
        if item[0].startswith(IPAM_HOST):
            affinities.append(item)
        elif item[0].startswith(RESOURCES):
            resources.append(item)
    return resources, affinities


def _findings(key: str, error: ValidationError) -> tuple[ObjectWarning, ...]:
    return tuple(
        ObjectWarning(key, ".".join(map(str, each["loc"])), each["msg"])
        for each in error.errors(include_url=False)
    )
