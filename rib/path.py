"""What competes for a prefix: a source's path, interned (RFC 4271 1.1, 3.2).

A ``Path`` is made once per source, attribute set and path identifier, never per prefix;
tables hold references to it. ``Source`` is the neighbour as the RIB sees it: what the
decision process and the reflection rules ask about, and nothing of its session.
"""

from enum import IntEnum
from typing import Final

from rib.attributes import PathAttributes

LOCAL_WEIGHT: Final = 32768  # as most routers weigh what they originate themselves


class SourceKind(IntEnum):
    """Where a path comes from; the lower is preferred if all else is equal."""

    LOCAL = 0  # originated here: the node's own blocks, configured networks
    KERNEL = 1  # another program's route, learned from the kernel's table
    EBGP = 2
    IBGP = 3


class Source:
    """One origin of paths: a peer's session, this speaker itself, or the kernel.

    Attributes:
        name: For people; unique among the sources of one speaker.
        kind: See ``SourceKind``.
        address: The peer's address, 4 or 16 octets; empty for local sources.
        router_id: The peer's BGP identifier, as an integer (RFC 4271 1.1).
        asn: The peer's AS number.
        is_client: Our route-reflector client (RFC 4456 5).
        cluster_id: Our cluster id towards this peer, as an integer; 0 if we do not
            reflect (RFC 4456 7).
        weight: For its paths where no policy sets another.
        is_default: Its routes are only for peers with ``default_originate``.
        zone: The device that the peer is next door on, which its link-local next hops
            mean (RFC 2545 3); empty where it is not.
        heard_at: When it last said something, monotonic seconds: its new paths are of then.
        epoch: Grows when all that was announced so far became stale: session loss, or
            a peer's beginning of route refresh (RFC 7313). Paths of an earlier epoch
            are swept.
    """

    __slots__ = (
        "address",
        "asn",
        "cluster_id",
        "epoch",
        "heard_at",
        "is_client",
        "is_default",
        "kind",
        "name",
        "router_id",
        "weight",
        "zone",
    )

    def __init__(
        self,
        name: str,
        kind: SourceKind,
        *,
        address: bytes = b"",
        router_id: int = 0,
        asn: int = 0,
        is_client: bool = False,
        cluster_id: int = 0,
        weight: int = 0,
        is_default: bool = False,
    ) -> None:
        self.is_default = is_default
        self.name = name
        self.kind = kind
        self.address = address
        self.router_id = router_id
        self.asn = asn
        self.is_client = is_client
        self.cluster_id = cluster_id
        self.weight = weight
        self.zone = ""
        self.heard_at = 0.0
        self.epoch = 0

    def __repr__(self) -> str:
        return f"Source({self.name})"


class NextHop:
    """One next-hop address and its state (RFC 4271 9.1.2.1).

    Equal link-local addresses on two links are two next hops (RFC 4007 5).

    Attributes:
        address: 4 or 16 octets; empty for what is originated here.
        key: By which it is known, its zone included (``rib.zones``).
        is_reachable: Paths through it are eligible.
        metric: Interior cost of reaching it (RFC 4271 9.1.2.2 e).
        interface: Device of the way there, for policies that ask; empty where unknown.
        is_local: It is an address of this machine, which leads nowhere.
    """

    __slots__ = ("address", "interface", "is_local", "is_reachable", "key", "metric")

    def __init__(
        self,
        address: bytes,
        *,
        key: bytes = b"",
        is_reachable: bool = True,
        metric: int = 0,
        interface: str = "",
        is_local: bool = False,
    ) -> None:
        self.is_local = is_local
        self.address = address
        self.key = key or address
        self.is_reachable = is_reachable
        self.metric = metric
        self.interface = interface

    def __repr__(self) -> str:
        return f"NextHop({self.address.hex()}, {self.is_reachable}, {self.metric})"


class Path:
    """One source's path with one attribute set, shared by all its prefixes.

    Attributes:
        source: Who announced it.
        attributes: After import policy; what decision and export see.
        received: Before import policy; the same object where policy changed nothing.
        path_id: RFC 7911 identifier as received; 0 without add-path.
        next_hop: The tracked next hop of ``attributes``.
        made_at: ``source.heard_at`` when it was made. No prefix has had this path for longer;
            one that got it later knows no better.
        epoch: ``source.epoch`` when it was announced.
        weight: Preferred before LOCAL_PREF, never sent; the source's, or what import
            policy set.
        has_own_med: Import policy set MED, whatever the received one was: it is ours to
            tell other ASes (RFC 4271 5.1.4 is about what a neighbour said).
    """

    __slots__ = (
        "attributes",
        "epoch",
        "has_own_med",
        "made_at",
        "next_hop",
        "path_id",
        "received",
        "source",
        "weight",
    )

    def __init__(
        self,
        source: Source,
        attributes: PathAttributes,
        next_hop: NextHop,
        *,
        received: PathAttributes | None = None,
        path_id: int = 0,
        weight: int | None = None,
        has_own_med: bool = False,
    ) -> None:
        self.source = source
        self.attributes = attributes
        self.received = attributes if received is None else received
        self.path_id = path_id
        self.next_hop = next_hop
        self.made_at = source.heard_at
        self.epoch = source.epoch
        self.weight = source.weight if weight is None else weight
        self.has_own_med = has_own_med

    def __repr__(self) -> str:
        return f"Path({self.source.name}, {self.attributes!r}, id={self.path_id})"
