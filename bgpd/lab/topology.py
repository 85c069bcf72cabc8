"""The description of a lab: networks, nodes with routers and pods, gateways.

A topology is a YAML file; unknown keys are errors that name file and line.
"""

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from bgpd.lab.errors import TopologyError
from bgpd.texts.files import read_text
from bgpd.texts.limits import TOPOLOGY, TextError
from bgpd.texts.tree import ListNode, MapNode, Node, plain
from bgpd.texts.yaml_text import CORE, compose

RouterKind = Literal[
    "pybgpd",
    "bird",
    "bird3",
    "calico-bird",
    "frr",
    "gobgp",
    "openbgpd",
    "exabgp",
    "none",
]
FamilyName = Literal["ipv4", "ipv6"]
StoreKind = Literal["etcd", "kubernetes"]
ApiGroup = Literal["v1", "v3"]
Role = Literal["", "provider", "customer", "peer", "rs", "rs-client"]
GATEWAYS: Final = frozenset({"frr", "bird", "bird3"})
FROM_OBJECTS: Final = frozenset({"pybgpd", "calico-bird"})

Interface = IPv4Interface | IPv6Interface
Address = IPv4Address | IPv6Address
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,19}$")]


def _prefix(value: object) -> str:
    interface = IPv4Interface(value) if "." in str(value) else IPv6Interface(str(value))
    if interface.ip != interface.network.network_address:
        raise ValueError(f"{value} has host bits set; {interface.network} is meant?")
    return str(interface.network)


Prefix = Annotated[str, BeforeValidator(_prefix)]


def _several(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


# Both end up in a shell's script.
Sysctl = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*$")]
SysctlValue = Annotated[str, Field(pattern=r"^[\w .-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Network(_Strict):
    """An Ethernet segment: a bridge in a namespace of its own."""


class Neighbour(_Strict):
    """One BGP neighbour, named by node or by address.

    Attributes:
        node: Name of a node or gateway of the lab; its first address is meant.
        address: Address of the neighbour, instead of ``node``.
        remote_as: AS of the neighbour; that of ``node`` by default.
        is_client: Route-reflector client (RFC 4456).
        is_passive: Only accept the connection.
        password: TCP MD5 key (RFC 2385).
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

    node: str = ""
    address: Address | None = None
    remote_as: int = Field(default=0, alias="as", ge=0, le=4294967295)
    is_client: bool = Field(default=False, alias="client")
    is_passive: bool = Field(default=False, alias="passive")
    password: str = ""
    families: tuple[FamilyName, ...] = ("ipv4",)
    next_hop_self: bool = False
    has_add_path: bool = Field(default=False, alias="add_path")
    has_extended_message: bool = Field(default=True, alias="extended_message")
    has_four_octet_as: bool = Field(default=True, alias="four_octet_as")
    device: Annotated[str, Field(pattern=r"^[\w.-]{0,15}$")] = ""
    max_prefixes: int = Field(default=0, ge=0, le=4294967295)
    role: Role = ""
    has_ttl_security: bool = Field(default=False, alias="ttl_security")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if bool(self.node) == (self.address is not None):
            raise ValueError("exactly one of node and address is needed")
        if self.address is not None and not self.remote_as:
            raise ValueError("as is needed with address")
        return self


class Link(_Strict):
    """One more link of a machine: ``eth1`` is the first of them.

    Attributes:
        network: Which network it is on.
        addresses: Its addresses with their prefix length.
    """

    network: Name
    addresses: tuple[Interface, ...] = Field(min_length=1)


class Route(_Strict):
    """A static route.

    Attributes:
        to: Destination.
        via: One gateway, or several of equal cost.
    """

    to: Prefix
    via: Annotated[tuple[Address, ...], BeforeValidator(_several)] = Field(min_length=1)


class Ospf(_Strict):
    """OSPF (v2, area 0) beside BGP on a gateway.

    Every gateway of a site marks what it tells OSPF with the site's tag and takes nothing
    back that has it: with two gateways on both sides a route would else come home by OSPF
    and win over BGP.

    Attributes:
        networks: Where it speaks.
        tag: Mark of the site.
        announce: What of BGP it tells OSPF: these prefixes and what lies inside them.
    """

    networks: tuple[Name, ...] = Field(min_length=1)
    tag: int = Field(ge=1, le=4294967295)
    announce: tuple[Prefix, ...] = ()


class RouterModel(_Strict):
    """The BGP speaker of a machine, in words that every maker understands.

    Attributes:
        kind: Which maker; ``none`` for a machine without a router.
        local_as: AS number.
        router_id: The first IPv4 address by default.
        cluster_id: Makes it a reflector (RFC 4456).
        neighbours: Who it talks to.
        originate: Prefixes it announces.
        has_fib: Whether routes go to the kernel.
        hold_time: Seconds.
        has_graceful_restart: Whether RFC 4724 is offered, where the maker has a switch.
        restart_time: Seconds that others are to keep its routes, where the maker has a
            switch.
        long_lived_stale_time: Seconds for which they are to keep them after that
            (RFC 9494), where the maker has a switch; 0 is not at all.
        connect_retry: Seconds between attempts to connect, where the maker has a switch;
            a lab is quick by default, routers as they are delivered take 120.
        is_preserving: A restart of its own keeps its routes in use (the restarting side
            of RFC 4724), where the maker has a switch.
        cluster: The cluster whose objects say what it does, in place of neighbours and
            prefixes; for pybgpd, and needed by ``calico-bird``.
        ospf: OSPF beside BGP; frr and bird only.
        statics: Routes of the router's own making; frr and bird only.
        announce: What it takes over into BGP; frr and bird only.
        config: Settings of pybgpd itself, merged into its configuration file.
        programs: Folder of the maker's programs, in place of the installed ones.
    """

    kind: RouterKind = "pybgpd"
    local_as: int = Field(default=64512, alias="as", ge=1, le=4294967295)
    router_id: IPv4Address | None = None
    cluster_id: IPv4Address | None = None
    neighbours: tuple[Neighbour, ...] = ()
    originate: tuple[Prefix, ...] = ()
    has_fib: bool = Field(default=True, alias="fib")
    hold_time: int = Field(default=90, ge=0, le=65535)
    has_graceful_restart: bool = Field(default=True, alias="graceful_restart")
    restart_time: int = Field(default=120, ge=1, le=4095)
    long_lived_stale_time: int = Field(default=0, ge=0, le=0xFFFFFF)
    connect_retry: int = Field(default=1, ge=1, le=65535)
    is_preserving: bool = Field(default=False, alias="preserving")
    cluster: str = ""
    ospf: Ospf | None = None
    statics: tuple[Route, ...] = ()
    announce: tuple[Literal["static", "ospf"], ...] = ()
    config: dict[str, Any] = {}
    programs: str = ""

    @model_validator(mode="after")
    def _maker_can(self) -> Self:
        if (self.ospf or self.statics or self.announce) and self.kind not in GATEWAYS:
            raise ValueError(f"ospf, statics and announce are not for {self.kind}")
        if self.cluster and self.kind not in FROM_OBJECTS:
            raise ValueError(f"{self.kind} does not read a cluster's objects")
        if self.kind == "calico-bird" and not self.cluster:
            raise ValueError("calico-bird needs cluster")
        return self


class Pod(_Strict):
    """A namespace behind a node, wired as Calico does it.

    Attributes:
        name: Unique in the lab.
        address: Its only address.
        block: The address block of the node that the address is from.
        metric: Of the node's host route; 0 is the kernel's default. Felix has 1024 from
            Calico 3.32 on.
    """

    name: Name
    address: Address
    block: Prefix | None = None
    metric: int = Field(default=0, ge=0, le=4294967295)

    @model_validator(mode="after")
    def _address_is_in_block(self) -> Self:
        if self.block is None:
            return self
        network = (IPv6Interface if ":" in self.block else IPv4Interface)(self.block)
        if self.address not in network.network:
            raise ValueError(f"{self.address} is not in block {self.block}")
        return self


class Machine(_Strict):
    """A node or gateway: one namespace, linked to one network or several.

    Attributes:
        network: Which network its ``eth0`` is on; the only one by default.
        addresses: Addresses of ``eth0`` with their prefix length.
        links: Its further links, ``eth1`` and so on.
        loopback: Further addresses on ``lo``, what a gateway has behind it.
        routes: Static routes in its kernel.
        sysctls: Path below ``/proc/sys/net`` to value.
        tunnel: Address of its IPIP device ``tunl0``, which it has only then.
        router: Its BGP speaker.
        pods: Workloads behind it.
    """

    network: str = ""
    addresses: tuple[Interface, ...] = Field(min_length=1)
    links: tuple[Link, ...] = ()
    loopback: tuple[Interface, ...] = ()
    routes: tuple[Route, ...] = ()
    sysctls: dict[Sysctl, SysctlValue] = {}
    tunnel: IPv4Address | None = None
    router: RouterModel = RouterModel(kind="none")
    pods: tuple[Pod, ...] = ()

    def address(self, version: int = 4) -> str:
        """Return the first address of that IP version as text; any if there is none."""
        texts = [str(a.ip) for a in self.addresses if a.version == version]
        return texts[0] if texts else str(self.addresses[0].ip)

    @property
    def all_addresses(self) -> tuple[Interface, ...]:
        """Addresses of all its links."""
        return (*self.addresses, *(a for link in self.links for a in link.addresses))


class Cluster(_Strict):
    """A Calico cluster: its datastore, and what is in it at the start.

    Attributes:
        store: The machine where the servers of its datastore run.
        datastore: What they are: an etcd-server, or Kubernetes' API server on one.
        api_group: Where Calico's objects are in Kubernetes' API: ``v1`` is
            ``crd.projectcalico.org/v1``, ``v3`` is ``projectcalico.org/v3``.
        objects: Calico's resources as manifests; ``BlockAffinity`` too.
    """

    store: str
    datastore: StoreKind = "etcd"
    api_group: ApiGroup = "v1"
    objects: tuple[dict[str, Any], ...] = ()


class Topology(_Strict):
    """A whole lab.

    Attributes:
        name: What it is called.
        networks: Ethernet segments.
        nodes: Machines of clusters.
        gateways: Machines beside them.
        clusters: Clusters whose objects configure routers.
    """

    name: Name = "lab"
    networks: dict[Name, Network | None] = {"lan": None}
    nodes: dict[Name, Machine] = {}
    gateways: dict[Name, Machine] = {}
    clusters: dict[Name, Cluster] = {}

    @property
    def machines(self) -> dict[str, Machine]:
        """Nodes and gateways together."""
        return {**self.nodes, **self.gateways}

    def network_of(self, machine: Machine) -> str:
        """Return the name of the network that ``eth0`` of ``machine`` is on."""
        return machine.network or next(iter(self.networks))

    def devices_of(self, machine: Machine) -> dict[str, str]:
        """Return the devices of a machine, in order, each with its network."""
        networks = [self.network_of(machine), *(link.network for link in machine.links)]
        return {f"eth{number}": network for number, network in enumerate(networks)}

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [*self.nodes, *self.gateways, *self.networks]
        names += [pod.name for m in self.machines.values() for pod in m.pods]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names used twice: {', '.join(twice)}")
        addrs = [str(a.ip) for m in self.machines.values() for a in m.all_addresses]
        addrs += [str(p.address) for m in self.machines.values() for p in m.pods]
        again = sorted({addr for addr in addrs if addrs.count(addr) > 1})
        if again:
            raise ValueError(f"addresses used twice: {', '.join(again)}")
        for name, cluster in self.clusters.items():
            if cluster.store not in self.machines:
                raise ValueError(f"{name}: no machine {cluster.store!r} for its store")
        for name, machine in self.machines.items():
            self._check_names(name, machine)
        return self

    def _check_names(self, name: str, machine: Machine) -> None:
        router = machine.router
        on = list(self.devices_of(machine).values())
        for network in on:
            if network not in self.networks:
                raise ValueError(f"{name}: no network {network!r}")
        for network in router.ospf.networks if router.ospf else ():
            if network not in on:
                raise ValueError(f"{name}: is not on network {network!r} of its ospf")
        if router.cluster and router.cluster not in self.clusters:
            raise ValueError(f"{name}: no cluster {router.cluster!r}")
        for neighbour in router.neighbours:
            if neighbour.node and neighbour.node not in self.machines:
                raise ValueError(f"{name}: no neighbour node {neighbour.node!r}")


def parse_topology(text: str, source: str = "topology") -> Topology:
    """Return the topology that YAML ``text`` describes.

    Args:
        text: YAML.
        source: File name for messages.

    Raises:
        TopologyError: Every error, one a line, with file and line.
    """
    try:
        tree = compose(text, TOPOLOGY, CORE)
    except TextError as error:
        raise TopologyError(f"{source}:{error.line or 1}: {error.problem}") from None
    data = None if tree is None else plain(tree)
    try:
        return Topology.model_validate({} if data is None else data)
    except ValidationError as error:
        lines = [
            f"{source}:{_line(tree, e['loc'])}: {_key(e['loc'])}: {e['msg']}"
            for e in error.errors(include_url=False)
        ]
        raise TopologyError("\n".join(lines)) from None


def load_topology(path: Path) -> Topology:
    """Read a topology file.

    Raises:
        TopologyError: As ``parse_topology``, or the file cannot be read.
    """
    try:
        text = read_text(path, TOPOLOGY.octets)
    except OSError as error:
        raise TopologyError(f"{path}: {error.strerror}") from None
    except TextError as error:
        raise TopologyError(f"{path}:{error.line or 1}: {error.problem}") from None
    return parse_topology(text, str(path))


def _key(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc)) or "topology"


def _line(tree: Node | None, loc: tuple[int | str, ...]) -> int:
    """Return the line of the deepest part of ``loc`` that the file has."""
    if tree is None:
        return 1
    node = place = tree
    for part in loc:
        if isinstance(node, MapNode):
            pair = node.find(str(part))
            if pair is None:
                continue  # a member of a union, or a key that is missing
            place, node = pair
        elif isinstance(node, ListNode) and isinstance(part, int):
            if part >= len(node.items):
                break
            place = node = node.items[part]
    return place.line
