"""Sessions of one node and what they are found by, as values; see ``bgpd.calico.peers``."""

from dataclasses import dataclass, field
from typing import NamedTuple

from bgpd.calico.filters import Session
from bgpd.calico.peer_facts import PeerFacts
from bgpd.session.settings import PeerSettings
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

Kind = tuple[Session, tuple[str, ...], bool]  # what a session's policies depend on


@dataclass(frozen=True, slots=True)
class Peering:
    """One session and where it comes from.

    Attributes:
        settings: All but the names of its policies.
        kind: What its policies depend on: the kind of session, its BGPFilters in order
            (those that are not there left out), and whether routes out of tunnel devices
            stay here.
        restart_time: As an object says, seconds; ``None`` for the daemon's default.
        keepalive_time: As ``restart_time``.
        gateway: Where the far end is reached through; empty without.
    """

    settings: PeerSettings
    kind: Kind
    restart_time: int | None = None
    keepalive_time: int | None = None
    gateway: str = ""

    @property
    def filters(self) -> tuple[str, ...]:
        """BGPFilters in order, those that are not there left out."""
        return self.kind[1]

    @property
    def keeps_tunnel_routes(self) -> bool:
        """Whether routes out of tunnel devices stay here."""
        return self.kind[2]


class Remote(NamedTuple):
    """One far end.

    Attributes:
        addr: Canonical text.
        port: 0 is the default port.
        asn: Its AS number.
        cluster_id: Known only where it was found as a node.
        is_explicit: It was given by address.
        node: The node of the cluster that has this address; empty if none has.
    """

    addr: str
    port: int
    asn: int
    cluster_id: str = ""
    is_explicit: bool = False
    node: str = ""

    @property
    def family(self) -> Family:
        """Of its address."""
        return IPV6_UNICAST if ":" in self.addr else IPV4_UNICAST


class Wanted(NamedTuple):
    """A session that a BGPPeer asks for."""

    scope: str
    source: str
    facts: PeerFacts
    remote: Remote


ExplicitKey = tuple[str, str, Remote]
MeshKey = tuple[str, str, int, int | None]  # name, address, port and AS of a node


@dataclass(slots=True)
class PeeringMemo:
    """Sessions of the last plan, for the next one.

    Attributes:
        context: What all of them depend on beside what they are found by.
        explicit: Those that a BGPPeer asks for, and what it said.
        mesh: Those of the mesh.
    """

    context: object = None
    explicit: dict[ExplicitKey, tuple[PeerFacts, Peering]] = field(default_factory=dict)
    mesh: dict[MeshKey, Peering] = field(default_factory=dict)
