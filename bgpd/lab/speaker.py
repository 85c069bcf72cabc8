"""One BGP speaker in neutral words, from which every driver writes its own configuration.

Also what any running speaker reports, as plain values: sessions and routes.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from bgpd.lab.topology import (
    FamilyName,
    Machine,
    Role,
    RouterKind,
    StoreKind,
    Topology,
)

ETCD_PORT: Final = 2379
API_PORT: Final = 6443
KUBECONFIG: Final = "kubeconfig"  # the daemons' one, in the datastore's folder


@dataclass(frozen=True, slots=True)
class NeighbourSpec:
    """A neighbour of a speaker.

    Attributes:
        addr: Its address.
        remote_as: Its AS.
        local_addr: Our address towards it.
        other_local_addr: Our address of the other IP version, the next hop of the family
            that is not that of the session's addresses; empty if there is none.
        is_client: Route-reflector client.
        is_passive: Only accept.
        password: TCP MD5 key; empty is none.
        families: What the session carries.
        next_hop_self: Announce ourselves as the next hop of all but reflected routes.
        has_add_path: Offer all paths both ways (RFC 7911), where the maker can.
        has_extended_message: Offer RFC 8654, where the maker has a switch.
        has_four_octet_as: Offer RFC 6793, where the maker has a switch.
        device: Where a link-local neighbour is.
        max_prefixes: End the session beyond so many prefixes of a family; 0 means no limit.
        role: Our role (RFC 9234), where the maker can; empty is none.
        has_ttl_security: Whether RFC 5082 is used, over one hop, where the maker can.
    """

    addr: str
    remote_as: int
    local_addr: str = ""
    other_local_addr: str = ""
    is_client: bool = False
    is_passive: bool = False
    password: str = field(default="", repr=False)
    families: tuple[FamilyName, ...] = ("ipv4",)
    next_hop_self: bool = False
    has_add_path: bool = False
    has_extended_message: bool = True
    has_four_octet_as: bool = True
    device: str = ""
    max_prefixes: int = 0
    role: Role = ""
    has_ttl_security: bool = False

    @property
    def zoned_addr(self) -> str:
        """Its address, with the device where it is link-local (RFC 4007 11)."""
        return f"{self.addr}%{self.device}" if self.device else self.addr

    @property
    def zoned_local_addr(self) -> str:
        """Our address towards it, likewise."""
        return f"{self.local_addr}%{self.device}" if self.device else self.local_addr


@dataclass(frozen=True, slots=True)
class OspfSpec:
    """OSPF beside BGP; see ``bgpd.lab.topology.Ospf``.

    Attributes:
        devices: Where it speaks.
        tag: Mark of the site.
        announce: What of BGP it tells OSPF.
    """

    devices: tuple[str, ...]
    tag: int
    announce: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatastoreSpec:
    """The datastore that says what a speaker does.

    Attributes:
        kind: Which.
        url: Of the etcd-server, or of Kubernetes' API server.
        kubeconfig: File with what opens the latter; empty with etcd.
    """

    kind: StoreKind
    url: str
    kubeconfig: str = ""


@dataclass(frozen=True, slots=True)
class Speaker:
    """A BGP speaker.

    Attributes:
        name: Of its machine.
        local_as: AS number.
        router_id: Dotted quad.
        neighbours: Who it talks to.
        cluster_id: Dotted quad; empty unless it is a reflector.
        originate: Prefixes it announces from the start.
        has_fib: Whether routes go to the kernel.
        hold_time: Seconds.
        has_graceful_restart: Whether RFC 4724 is offered, where the maker has a switch.
        restart_time: Seconds that others are to keep its routes, where the maker has a
            switch.
        long_lived_stale_time: Seconds for which they are to keep them after that
            (RFC 9494), where the maker has a switch; 0 is not at all.
        connect_retry: Seconds between attempts to connect, where the maker has a switch.
        is_preserving: A restart of its own keeps its routes in use, where the maker has
            a switch.
        datastore: Where the objects are that say what it does; ``None`` without a
            cluster.
        ospf: OSPF beside BGP.
        statics: Prefix to gateways, routes of its own making.
        announce: What it takes over into BGP: ``static``, ``ospf``.
        config: Settings of pybgpd itself, merged into its configuration file.
        programs: Folder of the maker's programs; empty for the installed ones.
    """

    name: str
    local_as: int
    router_id: str
    neighbours: tuple[NeighbourSpec, ...] = ()
    cluster_id: str = ""
    originate: tuple[str, ...] = ()
    has_fib: bool = False
    hold_time: int = 90
    has_graceful_restart: bool = True
    restart_time: int = 120
    long_lived_stale_time: int = 0
    connect_retry: int = 1
    is_preserving: bool = False
    datastore: DatastoreSpec | None = None
    ospf: OspfSpec | None = None
    statics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    announce: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    programs: str = ""


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as a router shows it.

    Attributes:
        addr: The neighbour.
        is_established: Whether routes flow.
        state: The router's own word for the state.
    """

    addr: str
    is_established: bool
    state: str


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route that a router learned by BGP.

    What a maker does not show is None.

    Attributes:
        prefix: Canonical text.
        next_hop: Address.
        from_addr: The neighbour that sent it.
        is_best: Whether it is the one in use.
        as_path: AS numbers, nearest first, sets flattened.
        local_pref: LOCAL_PREF.
        med: MULTI_EXIT_DISC.
        communities: As ``64512:1``.
        originator_id: ORIGINATOR_ID (RFC 4456).
        cluster_list: CLUSTER_LIST, nearest first.
    """

    prefix: str
    next_hop: str
    from_addr: str | None = None
    is_best: bool = True
    as_path: tuple[int, ...] = ()
    local_pref: int | None = None
    med: int | None = None
    communities: tuple[str, ...] = ()
    originator_id: str | None = None
    cluster_list: tuple[str, ...] = ()


def speaker_of(topology: Topology, name: str, folder: Path | None = None) -> Speaker:
    """Return the speaker of one machine, its neighbours' names resolved.

    Args:
        topology: The lab.
        name: Machine.
        folder: The lab's, where its datastores have theirs; needed for Kubernetes'.
    """
    machine = topology.machines[name]
    router = machine.router
    neighbours = []
    for entry in router.neighbours:
        # Without a v4 family the session itself runs over IPv6, as in Calico.
        version = 4 if "ipv4" in entry.families else 6
        if entry.address is not None:
            addr, remote_as = str(entry.address), entry.remote_as
        else:
            other = topology.machines[entry.node]
            addr = other.address(version)
            remote_as = entry.remote_as or other.router.local_as
        neighbours.append(
            NeighbourSpec(
                addr=addr,
                remote_as=remote_as,
                local_addr=_near_addr(machine, addr),
                other_local_addr=_local_addr(machine, is_v6=":" not in addr),
                is_client=entry.is_client,
                is_passive=entry.is_passive,
                password=entry.password,
                families=entry.families,
                next_hop_self=entry.next_hop_self,
                has_add_path=entry.has_add_path,
                has_extended_message=entry.has_extended_message,
                has_four_octet_as=entry.has_four_octet_as,
                device=entry.device,
                max_prefixes=entry.max_prefixes,
                role=entry.role,
                has_ttl_security=entry.has_ttl_security,
            )
        )
    return Speaker(
        name=name,
        local_as=router.local_as,
        router_id=_router_id(machine),
        neighbours=tuple(neighbours),
        cluster_id="" if router.cluster_id is None else str(router.cluster_id),
        originate=router.originate,
        has_fib=router.has_fib,
        hold_time=router.hold_time,
        has_graceful_restart=router.has_graceful_restart,
        restart_time=router.restart_time,
        long_lived_stale_time=router.long_lived_stale_time,
        connect_retry=router.connect_retry,
        is_preserving=router.is_preserving,
        datastore=_datastore(topology, router.cluster, folder),
        ospf=_ospf(topology, machine),
        statics={r.to: tuple(map(str, r.via)) for r in router.statics},
        announce=router.announce,
        config=dict(router.config),
        programs=router.programs,
    )


def store_folder(folder: Path, cluster: str) -> Path:
    """Return where the servers of a cluster's datastore have their files.

    Args:
        folder: The lab's.
        cluster: Name of the cluster.
    """
    return folder / f"datastore-{cluster}"


def _datastore(
    topology: Topology, name: str, folder: Path | None
) -> DatastoreSpec | None:
    if not name:
        return None
    cluster = topology.clusters[name]
    addr = topology.machines[cluster.store].address(4)
    if cluster.datastore == "etcd":
        return DatastoreSpec("etcd", f"http://{addr}:{ETCD_PORT}")
    path = store_folder(folder or Path(), name) / KUBECONFIG
    return DatastoreSpec("kubernetes", f"https://{addr}:{API_PORT}", str(path))


def _ospf(topology: Topology, machine: Machine) -> OspfSpec | None:
    ospf = machine.router.ospf
    if ospf is None:
        return None
    devices = topology.devices_of(machine).items()
    chosen = tuple(name for name, network in devices if network in ospf.networks)
    return OspfSpec(chosen, ospf.tag, ospf.announce)


def kind_of(topology: Topology, name: str) -> RouterKind:
    """Return which maker's router a machine runs."""
    return topology.machines[name].router.kind


def _near_addr(machine: Machine, addr: str) -> str:
    """Return the machine's address on the neighbour's subnet, else its first one."""
    other = ip_address(addr)
    near = [a.ip for a in machine.all_addresses if other in a.network]
    return str(near[0]) if near else _local_addr(machine, is_v6=":" in addr)


def _local_addr(machine: Machine, *, is_v6: bool) -> str:
    version = 6 if is_v6 else 4
    return next((str(a.ip) for a in machine.addresses if a.version == version), "")


def _router_id(machine: Machine) -> str:
    if machine.router.router_id is not None:
        return str(machine.router.router_id)
    text = machine.address(4)
    return "192.0.2.1" if ":" in text else text
