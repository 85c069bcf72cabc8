"""From a topology to ``ip`` commands. Pure: nothing is run here.

Every machine has ``eth0``, a veth pair to port ``p<n>`` of the bridge ``br0`` in the
switch namespace of its network, and maybe further links, ``eth1`` to port ``p<n>x1`` and so
on. A tunnel end has ``tunl0``, as Felix makes it: the kernel's own, or where the kernel has
no IPIP a TUN device that ``bgpd.lab.tunnel`` serves. Pods are wired as Calico wires them: an address without a
subnet, the gateway 169.254.1.1 (IPv6: the link-local address of the host side) with a fixed
neighbour entry, and on the node a host route to a ``cali*`` device with a fixed MAC.

Veth pairs are made with both ends already in their namespaces, so that a crash leaves no
link behind that outlives the namespaces.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from bgpd.lab.topology import Machine, Pod, Topology

POD_GATEWAY: Final = "169.254.1.1"
POD_GATEWAY_V6: Final = (
    "fe80::ecee:eeff:feee:eeee"  # from HOST_MAC, RFC 4291 appendix A
)
HOST_MAC: Final = "ee:ee:ee:ee:ee:ee"  # Calico's, on every host side
TUNNEL_MTU: Final = 1480  # of Ethernet's 1500, less the outer header
_BRIDGE_FILTERS: Final = ("iptables", "ip6tables", "arptables")
_ROUTER_SYSCTLS: Final = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv6/conf/default/accept_dad": "0",
}
_LINK_SYSCTLS: Final = {
    "ipv4/conf/{}/rp_filter": "0",
    "ipv4/conf/{}/send_redirects": "0",
    "ipv6/conf/{}/accept_dad": "0",  # else an address is of no use for a second
}
_POD_SYSCTLS: Final = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/eth0/rp_filter": "0",
    "ipv6/conf/eth0/accept_dad": "0",
}
_SWITCH_SYSCTLS: Final = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    **{f"bridge/bridge-nf-call-{name}": "0" for name in _BRIDGE_FILTERS},
}


@dataclass(slots=True)
class Setup:
    """What is done inside one namespace, sysctls first.

    Attributes:
        sysctls: Path below ``/proc/sys/net`` to value.
        lines: Commands for ``ip -batch``.
    """

    sysctls: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """A whole lab as commands, in the order of the fields.

    Attributes:
        namespaces: Names in the lab, without the prefix of the machine's namespaces.
        links: ``ip`` commands run from outside, once all namespaces exist.
        setups: What is then done in each namespace.
    """

    namespaces: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    setups: dict[str, Setup] = field(default_factory=dict)


def host_device(pod: str) -> str:
    """Return the name of the node's device towards a pod: ``cali`` and 11 hex digits."""
    return "cali" + hashlib.sha256(pod.encode()).hexdigest()[:11]


def port_of(topology: Topology, name: str, device: str) -> str:
    """Return the port of the bridge that a machine's device is plugged into."""
    number = list(topology.machines).index(name)
    return f"p{number}" if device == "eth0" else f"p{number}x{device[3:]}"


def plan(topology: Topology, prefix: str, *, has_ipip: bool = False) -> Plan:
    """Return the commands that build ``topology``.

    Args:
        topology: The lab.
        prefix: Put before every namespace's name.
        has_ipip: Whether the kernel has IPIP, so that every namespace has ``tunl0``.
    """
    result = Plan()
    for network in topology.networks:
        lines = ["link set lo up", "link add br0 type bridge", "link set br0 up"]
        result.namespaces.append(network)
        result.setups[network] = Setup(dict(_SWITCH_SYSCTLS), lines)
    for name, machine in topology.machines.items():
        result.namespaces.append(name)
        result.setups[name] = _machine(machine, has_ipip=has_ipip)
        for device, network in topology.devices_of(machine).items():
            port = port_of(topology, name, device)
            result.links.append(
                f"link add {device} netns {prefix}{name} type veth"
                f" peer name {port} netns {prefix}{network}"
            )
            result.setups[network].lines.append(f"link set {port} master br0 up")
        for pod in machine.pods:
            add_pod(result, name, pod, prefix)
    return result


def add_pod(result: Plan, node: str, pod: Pod, prefix: str) -> None:
    """Add the commands that put ``pod`` behind ``node`` to a plan."""
    device = host_device(pod.name)
    result.namespaces.append(pod.name)
    result.links.append(
        f"link add {device} netns {prefix}{node} address {HOST_MAC} type veth"
        f" peer name eth0 netns {prefix}{pod.name}"
    )
    host = result.setups.setdefault(node, Setup())
    host.sysctls |= {
        f"ipv4/conf/{device}/rp_filter": "0",
        f"ipv6/conf/{device}/accept_dad": "0",
    }
    is_v6 = pod.address.version == 6
    length = 128 if is_v6 else 32
    metric = f" metric {pod.metric}" if pod.metric else ""
    host.lines += [
        f"link set {device} up",
        f"route add {pod.address}/{length} dev {device}{metric}",
    ]
    gateway = POD_GATEWAY_V6 if is_v6 else POD_GATEWAY
    lines = [
        "link set lo up",
        f"addr add {pod.address}/{length} dev eth0" + (" nodad" if is_v6 else ""),
        "link set eth0 up",
        f"neigh add {gateway} lladdr {HOST_MAC} dev eth0 nud permanent",
        f"route add {gateway} dev eth0",
        f"route add default via {gateway} dev eth0",
    ]
    result.setups[pod.name] = Setup(dict(_POD_SYSCTLS), lines)


def _machine(machine: Machine, *, has_ipip: bool) -> Setup:
    lines = ["link set lo up"]
    sysctls = dict(_ROUTER_SYSCTLS)
    links = [machine.addresses, *(link.addresses for link in machine.links)]
    for number, addresses in enumerate(links):
        device = f"eth{number}"
        sysctls |= {path.format(device): v for path, v in _LINK_SYSCTLS.items()}
        for interface in addresses:
            option = " nodad" if interface.version == 6 else ""
            lines.append(f"addr add {interface} dev {device}{option}")
        lines.append(f"link set {device} up")
    lines += [f"addr add {interface} dev lo" for interface in machine.loopback]
    if machine.tunnel is not None:
        if not has_ipip:
            lines.append("tuntap add dev tunl0 mode tun")
            lines.append("link set tunl0 addrgenmode none")  # it carries IPv4 alone
        lines += [
            f"link set tunl0 mtu {TUNNEL_MTU} up",
            f"addr add {machine.tunnel}/32 dev tunl0",
        ]
    for route in machine.routes:
        hops = [f"via {gateway}" for gateway in route.via]
        text = hops[0] if len(hops) == 1 else " ".join(f"nexthop {hop}" for hop in hops)
        lines.append(f"route add {route.to} {text}")
    return Setup(sysctls | machine.sysctls, lines)
