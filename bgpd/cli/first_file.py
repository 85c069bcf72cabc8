"""The file that ``pybgpd init`` writes: one for each role, with comments and this machine's values.

Each text is complete: ``pybgpd check`` accepts it as it is, whatever the values. What only the operator can
know stands in a comment, ready to be used.
"""

import contextlib
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

PRIVATE_AS: Final = 64512
EXAMPLE: Final = "192.0.2.1"  # RFC 5737
_ROUTES: Final = Path("/proc/net/route")
_UP: Final = 0x1
_WHOLE: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the machine and its surroundings.

    Attributes:
        address: Ours, IPv4; also the router ID.
        network: The prefix around it.
        node: Our name.
        asn: Ours.
        remote_as: Of routers of others.
        peers: Addresses of neighbours.
    """

    address: str = EXAMPLE
    network: str = "192.0.2.0/24"
    node: str = "node-1"
    asn: int = PRIVATE_AS
    remote_as: int = 65001
    peers: tuple[str, ...] = ()


_HEAD: Final = """\
# pybgpd as $title. Written by `pybgpd init $role`.
#   pybgpd check FILE     says what it comes to, and what is wrong with it
#   pybgpd doctor --config FILE     says whether this machine can run it
# Changes of this file apply at once; docs/configuration.md has every key and what a change of it costs.
"""

_IDENTITY: Final = """
bgp:
  as: $asn
  router_id: $address          # an address of this machine that stays
  listen:
    addresses: [$address]      # without it: on all addresses
"""

_TAIL: Final = """
metrics:
  listen: 127.0.0.1:9179       # Prometheus: /metrics; probes: /healthz and /readyz

# log:
#   level: info                # debug, info, warning, error
#   format: json               # one object a line
"""

_ORIGINS: Final = """
routes:
  originate: []
  # originate:                 # prefixes of this machine
  #   - prefix: 198.51.100.0/24
  #     blackhole: true        # the kernel drops packets without a more specific route
"""

_NODE: Final = """
node:
  name: $node                  # as Calico calls it: `kubectl get nodes`, /var/lib/calico/nodename

# The datastore says which address and AS this node has, and who its peers are.
datastore:
  type: kubernetes             # Calico's objects in the Kubernetes API
  # type: etcd
  # endpoints: ["https://10.0.0.11:2379", "https://10.0.0.12:2379"]
  # ca_file: /etc/pybgpd/etcd-ca
  # cert_file: /etc/pybgpd/etcd-cert
  # key_file: /etc/pybgpd/etcd-key
# kubernetes:
#   kubeconfig: /etc/pybgpd/kubeconfig   # without it: KUBECONFIG, or the pod's service account

routes:
  learn:
    enabled: true              # advertise what other programs add to the kernel's table
"""

_REFLECTOR: Final = """  cluster_id: $address         # two reflectors of one cluster have the same, or each its own
  defaults:
    families:
      - name: ipv4-unicast
        max_prefixes: 5000     # of each client; a warning by default
      - name: ipv6-unicast
        max_prefixes: 5000

# Any machine that connects from this network with our AS becomes a client.
ranges:
  - name: clients
    prefix: $network
    as: $asn
    client: true
    limit: 4000                # how many may be there at once
    # password_file: md5       # first line: the key (RFC 2385); beside this file

$peers
fib:
  mode: "off"                  # it forwards no packets
next_hops:
  resolve: trust               # so it need not reach the next hops
"""

_GATEWAY: Final = """  defaults:
    graceful_restart_time: 120 # seconds for which peers keep our routes while we restart

# Routers of another AS. Without policies nothing is accepted and nothing advertised (RFC 8212).
peer_groups:
  upstream:
    as: $remote_as
    ttl_security_hops: 1       # drop what does not come from the next machine (RFC 5082)
    import_policy: from-upstream
    export_policy: to-upstream

$peers
policies:
  from-upstream:
    terms:
      - name: the default route alone
        match:
          prefixes: [0.0.0.0/0]
        action: accept
  to-upstream:
    terms:
      - name: ours alone
        match:
          prefixes:
            - prefix: 10.0.0.0/8
              le: 32
        action: accept
$origins"""

_MESH: Final = """
# Every machine of the mesh has one session with every other; each file names all others.
$peers$origins"""

_CLIENT: Final = """
# The reflectors of the cluster; they need no entry for us if one of their ranges holds our address.
$peers$origins"""


@dataclass(frozen=True, slots=True)
class _Role:
    """What a file is made of.

    Attributes:
        title: In words.
        body: Between head and tail.
        has_identity: It names AS and router ID itself.
        peer_lines: Beside name and address, for each peer.
        example: Who the peers are, where none is given.
    """

    title: str
    body: str
    has_identity: bool = True
    peer_lines: tuple[str, ...] = ("as: $asn",)
    example: str = "neighbour"


ROLES: Final = MappingProxyType(
    {
        "node": _Role("a node of a Calico cluster", _NODE, has_identity=False),
        "reflector": _Role("a route reflector", _REFLECTOR, example="reflector"),
        "gateway": _Role(
            "a gateway to routers of another AS",
            _GATEWAY,
            peer_lines=("group: upstream",),
            example="upstream",
        ),
        "mesh": _Role("one machine of a full mesh", _MESH, example="node"),
        "client": _Role("a client of route reflectors", _CLIENT, example="reflector"),
    }
)


def first_file(role: str, facts: Facts) -> str:
    """Return the text of a role's file; each value in it is one of ``facts``."""
    parts = ROLES[role]
    values = {
        "role": role,
        "title": parts.title,
        "asn": str(facts.asn),
        "remote_as": str(facts.remote_as),
        "address": facts.address,
        "network": facts.network,
        "node": json.dumps(facts.node, ensure_ascii=False),
    }
    values["peers"] = _peers(parts, facts, values)
    values["origins"] = _ORIGINS
    identity = _IDENTITY if parts.has_identity else ""
    text = Template(_HEAD + identity + parts.body + _TAIL).substitute(values)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _peers(role: _Role, facts: Facts, values: dict[str, str]) -> str:
    """Return the list of peers; a commented one where none is known."""
    addresses = facts.peers or (_other(facts.address),)
    lines = ["peers:"]
    for number, address in enumerate(addresses, start=1):
        lines += [
            f"  - name: {role.example}-{number}",
            f"    address: {json.dumps(address)}",
        ]
        lines += [
            f"    {Template(line).substitute(values)}" for line in role.peer_lines
        ]
    if not facts.peers:
        lines = ["peers: []", *(f"# {line}" for line in lines)]
    return "\n".join(lines) + "\n"


def _other(address: str) -> str:
    """Return an address beside ours, as an example."""
    number = int(ip_address(address))
    return str(ip_address(number - 1 if number & 1 else number + 1))


# -- this machine ---------------------------------------------------------------------------


def own_address() -> str:
    """Return the IPv4 address that packets to elsewhere come from; empty if there is none."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.connect((EXAMPLE, 9))  # sends nothing: it looks a route up
        found: str = sock.getsockname()[0]
        return "" if ip_address(found).is_loopback else found
    return ""


def network_around(address: str, table: Sequence[str]) -> str:
    """Return the connected network that an address is in; that of 256 addresses if none is.

    Args:
        address: IPv4.
        table: Lines of ``/proc/net/route``.
    """
    number = int(ip_address(address))
    best = 0
    for line in table[1:]:
        words = line.split()
        if len(words) < 8:
            continue
        target, gateway, flags, mask = (
            int(words[column], 16) for column in (1, 2, 3, 7)
        )
        mask = int.from_bytes(mask.to_bytes(4, "little"))
        target = int.from_bytes(target.to_bytes(4, "little"))
        is_connected = flags & _UP and not gateway and mask
        if is_connected and number & mask == target:
            best = max(best, mask)
    length = best.bit_count() or 24
    return str(ip_network((number & (_WHOLE << 32 - length & _WHOLE), length)))


def routing_table() -> list[str]:
    """Return the lines of the kernel's table of IPv4; none if they cannot be read."""
    try:
        return _ROUTES.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
