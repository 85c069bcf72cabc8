import json

from rib.attributes import describe, format_next_hop, make_attributes, parse_as_path
from tests.support.attributes import NEXT_HOP

GLOBAL = bytes.fromhex("20010db8000000000000000000000001")
LINK_LOCAL = bytes.fromhex("fe800000000000000000000000000001")


def test_all_attributes_are_described_by_name() -> None:
    made = make_attributes(
        next_hop=NEXT_HOP,
        as_path=parse_as_path("65001 {65002,65003}"),
        med=0,
        local_pref=100,
        atomic_aggregate=True,
        aggregator=(65001, NEXT_HOP),
        communities=[0xFDE90001, 0xFFFFFF01],
        originator_id=0x0A000001,
        cluster_list=[0x0A000002],
        ext_communities=[0x0002FDE900000001],
        ipv6_ext_communities=[bytes(20)],
        aigp=0,
        large_communities=[(1, 2, 3)],
        otc=65001,
        others={200: b"abc"},
    )
    shown = describe(made)
    assert shown == {
        "origin": "IGP",
        "as_path": "65001 {65002,65003}",
        "next_hop": "192.0.2.1",
        "med": 0,
        "local_pref": 100,
        "atomic_aggregate": True,
        "aggregator": "65001 192.0.2.1",
        "communities": ["65001:1", "no-export"],
        "originator_id": "10.0.0.1",
        "cluster_list": ["10.0.0.2"],
        "ext_communities": ["rt:65001:1"],
        "ipv6_ext_communities": ["00" * 20],
        "aigp": 0,
        "large_communities": ["1:2:3"],
        "otc": 65001,
        "unknown": [{"type": 200, "flags": "0xe0", "value": "616263"}],
    }
    assert json.loads(json.dumps(shown)) == shown


def test_absent_attributes_are_left_out() -> None:
    bare = make_attributes(next_hop=b"", origin=2)
    assert describe(bare) == {"origin": "INCOMPLETE", "as_path": ""}


def test_next_hops_with_a_link_local_address_show_both() -> None:
    assert format_next_hop(GLOBAL) == "2001:db8::1"
    assert format_next_hop(GLOBAL + LINK_LOCAL) == "2001:db8::1 (fe80::1)"
