"""A Calico cluster's objects as confd reads them, for BIRD nodes of a lab. Pure.

Written on its own, not by way of ``bgpd.calico``: a lab where BIRD nodes and ours meet would
prove little if both took their sessions from the same code.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any, Final, NamedTuple

from bgpd.calico.keys import split_affinity_key, split_resource_key
from bgpd.calico.selectors import SelectorError, compile_selector

Object = dict[str, Any]

DEFAULT_ASN: Final = 64512
DEFAULT_PORT: Final = 179
_FAMILIES: Final = {4: "ipv4Address", 6: "ipv6Address"}


@dataclass(frozen=True, slots=True)
class Session:
    """One ``protocol bgp``.

    Attributes:
        scope: ``Mesh``, ``Global`` or ``Node``.
        addr: The neighbour.
        asn: Its AS.
        port: Its port.
        source: Our address; empty lets the system choose.
        is_passive: Only accept.
        is_client: Route-reflector client.
        local_asn: Our AS on this session.
        restart_time: Graceful restart, seconds; 0 is BIRD's default.
        keepalive_time: Seconds; 0 is BIRD's default.
        ttl_security: Hops; 0 is off.
        next_hop: ``keep``, ``self`` or empty.
        filters: Names of BGPFilters, in order.
    """

    scope: str
    addr: str
    asn: int
    source: str
    local_asn: int
    port: int = DEFAULT_PORT
    is_passive: bool = False
    is_client: bool = False
    restart_time: int = 0
    keepalive_time: int = 0
    ttl_security: int = 0
    next_hop: str = ""
    filters: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        """IP version of the session, and of all that it carries."""
        return 6 if ":" in self.addr else 4

    @property
    def is_internal(self) -> bool:
        """Whether it is iBGP."""
        return self.asn == self.local_asn

    @property
    def name(self) -> str:
        """The protocol's name."""
        addr = self.addr.replace(".", "_").replace(":", "_")
        port = "" if self.port == DEFAULT_PORT else f"_port_{self.port}"
        return f"{self.scope}_{addr}{port}"


class _End(NamedTuple):
    """A far end; its cluster id is known only where it was found as a node."""

    addr: str
    asn: int
    cluster_id: str


class Objects:
    """What is stored of a cluster, from the point of view of one node."""

    def __init__(self, items: Mapping[str, bytes], node: str) -> None:
        """Read keys and values; skip what is not a JSON object.

        Args:
            items: Key to value, as stored.
            node: Whose view.
        """
        self.node = node
        self.blocks: dict[str, str] = {}  # own blocks, each with its affinity's state
        self._kinds: dict[str, dict[str, Object]] = {}
        for key in sorted(items):
            affinity = split_affinity_key(key)
            resource = split_resource_key(key)
            try:
                value = json.loads(items[key] or b"{}")
            except ValueError:
                continue
            if affinity is not None and affinity.node == node:
                self.blocks[affinity.cidr] = value.get("state", "")
            elif resource is not None:
                self._kinds.setdefault(resource[0], {})[resource[1]] = value

    def specs(self, kind: str) -> dict[str, Object]:
        """Return the objects of a kind: name to ``spec``."""
        found = self._kinds.get(kind, {})
        return {name: value.get("spec") or {} for name, value in found.items()}

    @property
    def settings(self) -> Object:
        """The cluster's BGPConfiguration."""
        return self.specs("BGPConfiguration").get("default", {})

    @property
    def release(self) -> tuple[int, int]:
        """Calico's version, ``(3, 30)``; by default the last that has one behaviour."""
        spec = self.specs("ClusterInformation").get("default", {})
        parts = str(spec.get("calicoVersion", "v3.31")).lstrip("v").split(".")
        return int(parts[0]), int(parts[1])

    def bgp(self, node: str) -> Object:
        """Return ``spec.bgp`` of a node."""
        spec = self.specs("Node").get(node, {})
        found: Object = spec.get("bgp") or {}
        return found

    def address(self, node: str, version: int) -> str:
        """Return a node's address without its length; empty if it has none."""
        text = self.bgp(node).get(_FAMILIES[version])
        return str(ip_interface(text).ip) if text else ""

    def asn(self, node: str) -> int:
        """Return a node's AS, or the cluster's."""
        own = self.bgp(node).get("asNumber") or self.settings.get("asNumber")
        return int(own or DEFAULT_ASN)

    def cluster_id(self, node: str) -> str:
        """Return what makes a node a reflector; empty for others."""
        return str(self.bgp(node).get("routeReflectorClusterID") or "")

    def matching(self, selector: str) -> list[str]:
        """Return the nodes that a selector picks; none if it is wrong."""
        try:
            matches = compile_selector(selector)
        except SelectorError:
            return []
        nodes = self._kinds.get("Node", {})
        return [
            name
            for name, value in nodes.items()
            if matches((value.get("metadata") or {}).get("labels") or {})
        ]


def sessions(objects: Objects) -> list[Session]:
    """Return the sessions of a node, by name: mesh, global, its own, reverse ones."""
    found: dict[tuple[str, str, int], Session] = {}
    for session in (*_mesh(objects), *_explicit(objects)):
        key = session.addr, session.port
        if session.scope == "Node" and ("Global", *key) in found:
            continue
        found.setdefault((session.scope, *key), session)
    return sorted(found.values(), key=lambda session: session.name)


def _mesh(objects: Objects) -> Iterator[Session]:
    node = objects.node
    settings = objects.settings
    if objects.cluster_id(node) or settings.get("nodeToNodeMeshEnabled") is False:
        return
    for other in objects.specs("Node"):
        if objects.cluster_id(other):
            continue
        for version in _FAMILIES:
            own, addr = objects.address(node, version), objects.address(other, version)
            if own and addr and own != addr:
                yield Session(
                    "Mesh",
                    addr,
                    objects.asn(other),
                    own,
                    objects.asn(node),
                    # The order of the texts: "10.0.0.9" is above "10.0.0.10".
                    is_passive=addr > own,
                    restart_time=_seconds(settings.get("nodeMeshMaxRestartTime")),
                )


def _explicit(objects: Objects) -> Iterator[Session]:
    node = objects.node
    peers = objects.specs("BGPPeer").values()
    scoped = [spec for spec in peers if spec.get("node") or spec.get("nodeSelector")]
    for spec in peers:
        if spec not in scoped:
            yield from _ends(objects, spec, "Global")
    for spec in scoped:
        if node in _local_nodes(objects, spec):
            yield from _ends(objects, spec, "Node")
    for spec in peers:
        yield from _reverse(objects, spec)


def _local_nodes(objects: Objects, spec: Object) -> list[str]:
    if spec.get("node"):
        return [spec["node"]]
    return objects.matching(spec.get("nodeSelector") or "all()")


def _ends(objects: Objects, spec: Object, scope: str) -> Iterator[Session]:
    """Yield what a BGPPeer says for this node."""
    if spec.get("peerSelector"):
        for other in objects.matching(spec["peerSelector"]):
            yield from _node_ends(objects, spec, scope, other)
    elif spec.get("peerIP") and spec.get("asNumber"):
        end = _End(str(spec["peerIP"]), int(spec["asNumber"]), "")
        yield from _session(objects, spec, scope, end)


def _node_ends(
    objects: Objects, spec: Object, scope: str, other: str
) -> Iterator[Session]:
    for version in _FAMILIES:
        addr = objects.address(other, version)
        if addr:
            end = _End(addr, objects.asn(other), objects.cluster_id(other))
            yield from _session(objects, spec, scope, end)


def _reverse(objects: Objects, spec: Object) -> Iterator[Session]:
    """Yield the way back of a BGPPeer that points at this node."""
    node = objects.node
    own = [objects.address(node, version) for version in _FAMILIES]
    if spec.get("reversePeering") == "Manual":
        return
    if spec.get("peerSelector"):
        is_meant = node in objects.matching(spec["peerSelector"])
    else:
        is_meant = str(spec.get("peerIP", "-")) in own and (
            int(spec.get("asNumber") or objects.asn("")) == objects.asn(node)
        )
    if is_meant:
        for other in _local_nodes(objects, spec):
            yield from _node_ends(objects, spec, "Node", other)


def _session(
    objects: Objects, spec: Object, scope: str, end: _End
) -> Iterator[Session]:
    addr, asn, cluster_id = end
    node = objects.node
    version = 6 if ":" in addr else 4
    own = objects.address(node, version)
    if not own or own == addr:
        return
    local_asn = int(spec.get("localASNumber") or objects.asn(node))
    own_id = objects.cluster_id(node)
    is_node = addr in (objects.address(n, version) for n in objects.specs("Node"))
    next_hop = str(spec.get("nextHopMode") or "").lower()
    if not next_hop and spec.get("keepOriginalNextHop") and asn != local_asn:
        next_hop = "keep"
    yield Session(
        scope,
        addr,
        asn,
        "" if spec.get("sourceAddress") == "None" else own,
        local_asn,
        is_passive=(
            scope == "Global" and bool(spec.get("peerIP")) and is_node and addr > own
        ),
        is_client=asn == local_asn and bool(own_id) and cluster_id != own_id,
        restart_time=_seconds(spec.get("maxRestartTime")),
        keepalive_time=_seconds(spec.get("keepaliveTime")),
        ttl_security=int(spec.get("ttlSecurity") or 0),
        next_hop="" if next_hop == "auto" else next_hop,
        filters=tuple(spec.get("filters") or ()),
    )


def _seconds(text: str | None) -> int:
    """Return whole seconds of ``90s`` or ``2m``; 0 for none."""
    if not text:
        return 0
    units = {"s": 1, "m": 60, "h": 3600}
    return int(text[:-1]) * units[text[-1]]
