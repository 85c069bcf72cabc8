"""The topology of RFC 3345 2.1, whose two reflectors never agree on a path.

    client B: AS path 10 100, MED 10     \\
    client C: AS path 6 100, MED 1        > reflector Ra ---- reflector Rd < client E: 6 100, MED 0

Ra has C's path nearest, Rd's own client is far from everybody. Where Ra knows of E's path, MED
strikes out C's, and B's is nearer than E's; Rd takes B's then, and takes back E's.
"""

from rib.attributes import PathAttributes, make_attributes, parse_as_path
from rib.next_hops import Reachability
from rib.nlri import parse_address
from tests.support.speakers import Node, Rack, until

PREFIX = "192.168.0.0/16"
_VIA = {"b": "10.9.0.1", "c": "10.9.0.2", "e": "10.9.0.3"}
_PATHS = {"b": ("10 100", 10), "c": ("6 100", 1), "e": ("6 100", 0)}
_COSTS = {"ra": {"b": 5, "c": 4, "e": 13}, "rd": {"b": 6, "c": 5, "e": 12}}


def path_of(client: str) -> PathAttributes:
    """Return what a client announces."""
    as_path, med = _PATHS[client]
    return make_attributes(
        next_hop=parse_address(_VIA[client]),
        as_path=parse_as_path(as_path),
        local_pref=100,
        med=med,
    )


def set_costs(node: Node, name: str) -> None:
    """Let a reflector know its interior cost to each next hop."""
    hops = [node.speaker.next_hops.get(parse_address(via)) for via in _VIA.values()]
    node.speaker.next_hops_changed(
        Reachability(hop.address, is_reachable=True, metric=cost)
        for hop, cost in zip(hops, _COSTS[name].values(), strict=True)
    )
    node.kept = hops  # type: ignore[attr-defined]  # else they are forgotten


async def oscillating(rack: Rack, interval: float) -> tuple[Node, Node]:
    """Return the two reflectors, with all clients up."""
    ra, rd = await rack.node(1), await rack.node(2)
    for node, name in ((ra, "ra"), (rd, "rd")):
        set_costs(node, name)
        for tables in node.speaker.tables.values():
            tables.pacing.interval = interval
    ra.peers_with(rd)
    rd.peers_with(ra)
    for number, (name, reflector) in enumerate(
        (("b", ra), ("c", ra), ("e", rd)), start=11
    ):
        client = await rack.node(number)
        reflector.peers_with(client, is_client=True)
        client.peers_with(reflector)
        client.announce(PREFIX, attributes=path_of(name))
        await until(lambda c=client, r=reflector: c.is_up(r) and r.is_up(c))  # type: ignore[misc]
    return ra, rd
