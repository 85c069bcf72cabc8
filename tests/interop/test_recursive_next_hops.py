"""Next hops that BGP's own routes lead to: our kernel beside BIRD's and FRR's.

``one`` is the maker's node, with two links to ``tor`` and an eBGP session on the first of
them and on the second. Over these it learns a loopback of ``tor``, over that it has an iBGP
session, and the routes of that session have the loopback, or what lies behind it, as their
next hop.
"""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from bgpd.lab.lab import Lab
from bgpd.lab.routers.pybgpd import PyBgpd
from bgpd.lab.speaker import NeighbourSpec, Speaker
from bgpd.lab.topology import parse_topology
from tests.support.labs import gateways
from tests.support.routers import eventually, maker, needs_root

pytestmark = [pytest.mark.root, pytest.mark.interop, pytest.mark.slow, needs_root]

TOPOLOGY = """
networks: {a: , b: }
nodes:
  one:
    network: a
    addresses: [10.0.0.1/24, "fd00::1/64"]
    links: [{network: b, addresses: [10.1.0.1/24, "fd00:1::1/64"]}]
    loopback: [10.255.0.1/32, "fd00:255::1/128"]
    routes: [{to: 0.0.0.0/0, via: 10.1.0.99}, {to: "::/0", via: "fd00:1::99"}]
  tor:
    network: a
    addresses: [10.0.0.2/24, "fd00::2/64"]
    links: [{network: b, addresses: [10.1.0.2/24, "fd00:1::2/64"]}]
    loopback: [10.255.0.2/32, "fd00:255::2/128"]
    routes: [{to: 10.255.0.1/32, via: 10.0.0.1}, {to: "fd00:255::1/128", via: "fd00::1"}]
"""
LOOPBACKS = ("10.255.0.2/32", "fd00:255::2/128")
BEHIND = {"10.77.0.0/16": "10.255.0.2", "fd77::/32": "fd00:255::2"}
FARTHER = {"10.78.0.0/16": "10.77.1.1", "fd78::/32": "fd77::1"}
# Neighbour, our address, family: on the first link, on the second, between loopbacks.
FIRST = (("10.0.0.2", "10.0.0.1", "ipv4"), ("fd00::2", "fd00::1", "ipv6"))
SECOND = (("10.1.0.2", "10.1.0.1", "ipv4"), ("fd00:1::2", "fd00:1::1", "ipv6"))
INNER = (
    ("10.255.0.2", "10.255.0.1", "ipv4"),
    ("fd00:255::2", "fd00:255::1", "ipv6"),
)


def the_node() -> Speaker:
    neighbours = [
        NeighbourSpec(addr, 65001, local, families=(family,))  # type: ignore[arg-type]
        for addr, local, family in (*FIRST, *SECOND)
    ]
    neighbours += [
        NeighbourSpec(addr, 65000, local, families=(family,))  # type: ignore[arg-type]
        for addr, local, family in INNER
    ]
    return Speaker("one", 65000, "10.255.0.1", tuple(neighbours), has_fib=True)


def the_fabric(**told: bool) -> Mapping[str, Any]:
    """Return the fabric router's configuration: which links tell the loopbacks."""

    def peers(sessions: Any, asn: int, export: str) -> list[dict[str, Any]]:
        return [
            {
                "address": local,
                "local_address": addr,
                "as": 65000,
                "local_as": asn,
                "families": [f"{family}-unicast"],
                "import_policy": "accept-all",
                "export_policy": export,
                "connect_retry_time": 1,
            }
            for addr, local, family in sessions
        ]

    def link(name: str) -> str:
        return "loopbacks" if told[name] else "reject-all"

    loopbacks = {"terms": [{"match": {"prefixes": [*LOOPBACKS]}, "action": "accept"}]}
    inner = {
        "terms": [{"match": {"prefixes": [*BEHIND, *FARTHER]}, "action": "accept"}]
    }
    return {
        "policies": {"loopbacks": loopbacks, "inner": inner},
        "peers": [
            *peers(FIRST, 65001, link("first")),
            *peers(SECOND, 65001, link("second")),
            *peers(INNER, 65000, "inner"),
        ],
        "routes": {
            "originate": [
                *({"prefix": prefix} for prefix in LOOPBACKS),
                *(
                    {"prefix": prefix, "next_hop": address}
                    for prefix, address in (BEHIND | FARTHER).items()
                ),
            ]
        },
        "next_hops": {"resolve": "trust"},
    }


def ways(lab: Lab, *prefixes: str) -> dict[str, str]:
    found = gateways(lab, "one")  # which names a single address without its length
    hosts = [p.removesuffix("/128" if ":" in p else "/32") for p in prefixes]
    # Of the two addresses of an IPv6 next hop (RFC 2545 3) FRR takes the link-local one.
    return {
        p: re.sub(r"^fe80:\S+ (eth\d)$", _global, found.get(host, ""))
        for p, host in zip(prefixes, hosts, strict=True)
    }


def _global(link_local: "re.Match[str]") -> str:
    device = link_local[1]
    return f"{'fd00::2' if device == 'eth0' else 'fd00:1::2'} {device}"


def by(first: bool, *prefixes: str) -> dict[str, str]:  # noqa: FBT001  # of two
    gateway = {
        (True, True): "10.0.0.2 eth0",
        (True, False): "fd00::2 eth0",
        (False, True): "10.1.0.2 eth1",
        (False, False): "fd00:1::2 eth1",
    }
    return {prefix: gateway[first, ":" not in prefix] for prefix in prefixes}


@pytest.mark.parametrize("kind", [maker(each) for each in ("pybgpd", "bird", "frr")])
def test_loopbacks_of_the_fabric_lead_to_what_is_behind_them(kind) -> None:
    with Lab(parse_topology(TOPOLOGY)) as lab:

        def told(**told: bool) -> Speaker:
            config = dict(the_fabric(**told))
            return Speaker("tor", 65001, "10.255.0.2", (), config=config)

        tor = lab.router("tor", "pybgpd", told(first=True, second=False))
        one = lab.router("one", kind, the_node())
        for router in (tor, one):
            router.start()
        for router in (tor, one):
            router.wait_ready()
        try:
            check(lab, tor, told)
        except AssertionError as error:
            error.add_note(one.log_tail(20))
            raise


def check(lab: Lab, tor: Any, told: Any) -> None:
    kind = lab.routers["one"].kind
    assert isinstance(tor, PyBgpd)
    expected = by(True, *LOOPBACKS, *BEHIND)
    if kind != "bird":  # a recursive route leads to no other recursive route there
        expected |= by(True, *FARTHER)
    assert eventually(lambda: ways(lab, *expected) == expected, 40), ways(
        lab, *expected
    )
    # The loopback moves to the other link, and all that leads through it follows.
    tor.speaker = told(first=True, second=True)
    tor._reload()
    assert eventually(
        lambda: "eth0" in ways(lab, "10.77.0.0/16")["10.77.0.0/16"], 20
    ), ways(lab, *expected)
    tor.speaker = told(first=False, second=True)
    tor._reload()
    expected = by(False, *expected)
    assert eventually(lambda: ways(lab, *expected) == expected, 40), ways(
        lab, *expected
    )
    # Without it nothing but the default route leads there.
    tor.speaker = told(first=False, second=False)
    tor._reload()
    assert eventually(lambda: not any(ways(lab, *LOOPBACKS).values()), 40)
