"""Words of policies: ours beside FRR, with the words of either for the same thing."""

import json
from typing import Any

import pytest

from bgpd.lab.routers.frr import Frr
from tests.support.routers import a_lab, eventually, has_routes, maker, needs

ORIGIN, INSIDE, OUTSIDE = "10.0.0.2", "10.0.0.3", "10.0.0.4"
OTHER_HOP = "10.0.0.77"  # on the link, an address without a host

# Of each kind: a route with one community, and one with another beside it.
CARRIED: dict[str, dict[str, list[str]]] = {
    "10.2.0.0/24": {"communities": ["65001:1"]},
    "10.2.1.0/24": {"communities": ["65001:1", "65001:2"]},
    "10.2.2.0/24": {"large_communities": ["65001:1:1"]},
    "10.2.3.0/24": {"large_communities": ["65001:1:1", "65001:1:2"]},
}
BY_PEER, BY_SELF = "10.2.2.0/24", "10.2.0.0/24"

FRR = """
bgp community-list standard ONE permit 65001:1
bgp large-community-list standard ONE permit 65001:1:1
ip prefix-list BY-PEER permit 10.2.2.0/24
ip prefix-list BY-SELF permit 10.2.0.0/24
route-map IN permit 10
 match ip address prefix-list BY-PEER
 set ip next-hop peer-address
route-map IN permit 20
route-map EXACT permit 10
 match community ONE exact-match
route-map EXACT permit 20
 match large-community ONE exact-match
route-map HOPS permit 10
 match ip address prefix-list BY-SELF
 set ip next-hop peer-address
route-map HOPS permit 20
 set ip next-hop unchanged
router bgp 65000
address-family ipv4 unicast
neighbor 10.0.0.2 route-map IN in
neighbor 10.0.0.3 route-map HOPS out
neighbor 10.0.0.4 route-map EXACT out
"""

POLICIES = {
    "in": {
        "terms": [
            {
                "match": {"prefixes": [BY_PEER]},
                "set": {"next_hop": "peer"},
                "action": "accept",
            }
        ],
        "default": "accept",
    },
    "exact": {
        "terms": [
            {
                "match": {"communities": {"exact": ["65001:1"]}},
                "action": "accept",
            },
            {
                "match": {"large_communities": {"exact": ["65001:1:1"]}},
                "action": "accept",
            },
        ]
    },
    "hops": {
        "terms": [
            {
                "match": {"prefixes": [BY_SELF]},
                "set": {"next_hop": "self"},
                "action": "accept",
            },
            {"set": {"next_hop": "unchanged"}, "action": "accept"},
        ]
    },
}


def lab_text(kind: str) -> str:
    def peer(address: str, asn: int, **keys: object) -> dict[str, Any]:
        return {"address": address, "as": asn, "connect_retry_time": 1, **keys}

    passes = {"import_policy": "accept-all", "export_policy": "accept-all"}
    middle = [
        peer(ORIGIN, 65001, import_policy="in", export_policy="reject-all"),
        peer(INSIDE, 65000, export_policy="hops", next_hop="keep"),
        peer(OUTSIDE, 65004, import_policy="reject-all", export_policy="exact"),
    ]
    routes = [
        {"prefix": prefix, "next_hop": OTHER_HOP, **carried}
        for prefix, carried in CARRIED.items()
    ]
    first = {
        "peers": [peer("10.0.0.1", 65000, next_hop="keep", **passes)],
        "routes": {"originate": routes},
    }

    def node(address: str, asn: int, neighbours: list[str], **more: object) -> Any:
        router = {"kind": "pybgpd", "as": asn, "fib": False, **more}
        router["neighbours"] = [{"node": name} for name in neighbours]
        return {"addresses": [f"{address}/24"], "router": router}

    config = {"peers": middle, "policies": POLICIES}
    nodes = {
        "m": node(
            "10.0.0.1", 65000, ["origin", "inside", "outside"], kind=kind, config=config
        ),
        "origin": node(ORIGIN, 65001, ["m"], config=first),
        "inside": node(INSIDE, 65000, ["m"]),
        "outside": node(OUTSIDE, 65004, ["m"]),
    }
    return json.dumps({"nodes": nodes})


@needs("frr")
@pytest.mark.parametrize("kind", [maker("frr"), "pybgpd"])
def test_exact_communities_and_next_hops_by_a_rule(kind: str) -> None:
    with a_lab(lab_text(kind)) as lab:
        middle, inside, outside = (lab.routers[n] for n in ("m", "inside", "outside"))
        if isinstance(middle, Frr):
            middle.configure("exit", *FRR.strip().splitlines())

        def hops(router: Any) -> dict[str, str]:
            routes = router.routes()
            return {p: routes[p][0].next_hop for p in CARRIED if p in routes}

        kept = dict.fromkeys(CARRIED, OTHER_HOP) | {BY_PEER: ORIGIN}
        assert eventually(lambda: hops(middle) == kept, 30), hops(middle)
        told = kept | {BY_SELF: "10.0.0.1"}
        assert eventually(lambda: hops(inside) == told, 30), hops(inside)
        exact = {"10.2.0.0/24", "10.2.2.0/24"}
        assert eventually(lambda: hops(outside).keys() == exact, 30), hops(outside)
        assert has_routes(outside, *exact)
