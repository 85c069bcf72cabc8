"""What policies of a cluster do to routes, beyond the cases of Calico's own tests."""

from typing import Any

import pytest

from fib.kernel_policy import MAX_METRIC
from rib.policy import ACCEPT_ALL
from tests.support.calico_cases import (
    Object,
    a_case,
    a_node,
    a_route,
    an_object,
    node_of,
    probe,
    settings,
)

N1, N2 = a_node("n1", "10.0.0.1"), a_node("n2", "10.0.0.2")
NORMAL = MAX_METRIC - 1024
MESH, TOR = "Mesh_10_0_0_2", "Global_10_9_9_9"
GATEWAY = an_object("BGPPeer", "tor", peerIP="10.9.9.9", asNumber=65000)


def a_pool(cidr: str = "10.244.0.0/16", name: str = "pool", **spec: Any) -> Object:
    return an_object("IPPool", name, cidr=cidr, **spec)


def accepts(results: list[Object], session: str) -> list[bool]:
    return [each["export"][session]["accept"] for each in results]


def kernel(results: list[Object]) -> list[Object]:
    return [each["kernel"] for each in results]


# -- export -------------------------------------------------------------------------------


def test_own_blocks_go_out_as_a_whole_and_their_parts_stay():
    results = probe(
        (N1, N2, a_pool()),
        a_route("10.244.1.0/26", "static"),
        a_route("10.244.1.5/32", "kernel", metric=1024, interface="cali1"),
        a_route("10.244.1.6/32", "kernel", metric=512, interface="cali2"),
        a_route("10.244.9.9/32", "kernel", metric=1024, interface="cali3"),
        a_route("192.0.2.0/24", "direct", interface="eth0"),
        affinities={"10.244.1.0/26": "confirmed"},
    )
    # The elevated one moves, and the borrowed one is from another node's block.
    assert accepts(results, MESH) == [True, False, True, True, False]
    prefs = [each["export"][MESH].get("local_pref") for each in results]
    assert prefs == [NORMAL, None, MAX_METRIC - 512, NORMAL, None]


def test_before_priorities_an_elevated_metric_changes_nothing():
    results = probe(
        (N1, N2, a_pool()),
        a_route("10.244.1.0/26", "static"),
        a_route("10.244.1.6/32", "kernel", metric=512, interface="cali2"),
        affinities={"10.244.1.0/26": ""},
        compat="3.31",
    )
    assert accepts(results, MESH) == [True, False]
    assert results[0]["export"][MESH]["local_pref"] == 100


@pytest.mark.parametrize("state", ["confirmed", "", "pendingDeletion"])
@pytest.mark.parametrize("cidr", ["10.244.1.5/32", "fd00:10::5/128"])
def test_a_block_of_one_address_is_left_to_its_workload(cidr, state):
    nodes = [a_node(f"n{n}", f"10.0.0.{n}", ipv6Address=f"fd00::{n}/64") for n in "12"]
    objects = (*nodes, a_pool(), a_pool("fd00:10::/48", "six"))
    case = a_case(*objects, affinities={cidr: state})
    assert case.desired.originated == frozenset()
    assert node_of(case)["static_routes"] == {"ipv4": [], "ipv6": []}
    mesh = "Mesh_fd00__2" if ":" in cidr else MESH
    local = a_route(cidr, "kernel", metric=1024, interface="cali1")
    assert accepts(probe(objects, local, affinities={cidr: state}), mesh) == [True]


@pytest.mark.parametrize("state", ["confirmed", "", "pendingDeletion"])
def test_a_block_is_announced_as_a_whole_until_it_is_given_back(state):
    routes = (
        a_route("10.244.1.0/26", "static"),
        a_route("10.244.1.5/32", "kernel", metric=1024, interface="cali1"),
    )
    objects = (N1, N2, a_pool())
    affinities = {"10.244.1.0/26": state}
    assert accepts(probe(objects, *routes, affinities=affinities), MESH) == [
        True,
        False,
    ]
    case = a_case(*objects, affinities=affinities)
    statics = node_of(case)["static_routes"]["ipv4"]
    assert [each["cidr"] for each in statics] == ["10.244.1.0/26"]
    pending = a_case(*objects, affinities={"10.244.1.0/26": "pending"})
    assert node_of(pending)["static_routes"]["ipv4"] == []


def test_ipv6_blocks_go_out_by_ipv6_sessions():
    nodes = tuple(
        an_object("Node", f"n{n}", bgp={"ipv6Address": f"fd00::{n}/64"}) for n in (1, 2)
    )
    results = probe(
        (*nodes, a_pool("fd00:10::/48", vxlanMode="Never")),
        a_route("fd00:10::/122", "static"),
        a_route("fd00:10::5/128", "kernel", metric=1024, interface="cali1"),
        affinities={"fd00:10::/122": "confirmed"},
    )
    assert accepts(results, "Mesh_fd00__2") == [True, False]
    assert kernel(results)[0]["accept"] is True


def test_a_pool_that_is_not_exported_keeps_an_own_block_inside_it_here():
    results = probe(
        (N1, N2, a_pool(disableBGPExport=True)),
        a_route("10.244.1.0/26", "static"),
        affinities={"10.244.1.0/26": "confirmed"},
    )
    assert accepts(results, MESH) == [False]


@pytest.mark.parametrize(
    ("compat", "passes_external"), [("3.34", True), ("3.32", False)]
)
def test_a_reflector_passes_service_ranges_on(compat, passes_external):
    excluded = {"node.kubernetes.io/exclude-from-external-load-balancers": "true"}
    cluster = settings(
        serviceLoadBalancerIPs=[{"cidr": "192.0.2.0/28"}],
        serviceExternalIPs=[{"cidr": "198.51.100.0/28"}],
        nodeToNodeMeshEnabled=False,
    )
    peer = an_object("BGPPeer", "p", peerSelector="all()")
    routes = (a_route("192.0.2.5/32"), a_route("198.51.100.5/32"))
    for cluster_id, expected in (
        ("244.0.0.1", [True, passes_external]),
        ("", [False] * 2),
    ):
        # Nothing of services is its own: what passes, passes for others.
        own = a_node(
            "n1", "10.0.0.1", routeReflectorClusterID=cluster_id, labels=excluded
        )
        results = probe((own, N2, cluster, peer), *routes, compat=compat)
        assert accepts(results, "Global_10_0_0_2") == expected


def test_routes_of_tunnels_stay_inside_the_as_and_reach_gateways():
    routes = [
        a_route("10.244.2.0/26", "kernel", metric=1024, interface=name, id=name)
        for name in ("vxlan.calico", "wireguard.cali", "tunl0", "bpfin.cali", "eth0")
    ]
    results = probe((N1, N2, a_pool(), GATEWAY), *routes)
    assert accepts(results, MESH) == [False, False, False, False, True]
    assert accepts(results, TOR) == [True, True, True, False, True]
    owned = probe((N1, N2, a_pool(), settings(programClusterRoutes="Enabled")), *routes)
    assert accepts(owned, MESH) == [False, False, True, False, True]


def test_communities_are_added_by_prefix_and_named_where_they_are_used():
    cluster = settings(
        communities=[{"name": "all", "value": "65000:1"}],
        prefixAdvertisements=[
            {"cidr": "10.244.0.0/16", "communities": ["all", "65000:2:3"]}
        ],
    )
    own = settings(
        "node.n1",
        communities=[{"name": "all", "value": "65000:9"}],
        prefixAdvertisements=[{"cidr": "10.244.0.0/16", "communities": ["all"]}],
    )
    routes = (a_route("10.244.1.0/26", "static"),)
    more: dict[str, Any] = {"affinities": {"10.244.1.0/26": "confirmed"}}
    (shown,) = probe((N1, N2, a_pool(), cluster), *routes, **more)
    assert shown["export"][MESH]["communities"] == ["65000:1"]
    assert shown["export"][MESH]["large_communities"] == ["65000:2:3"]
    (shown,) = probe((N1, N2, a_pool(), cluster, own), *routes, **more)
    assert shown["export"][MESH]["communities"] == ["65000:9"]


def test_prefixes_of_one_node_replace_the_cluster_s_in_both_families():
    advertised = [
        {"cidr": "10.244.0.0/16", "communities": ["65000:1"]},
        {"cidr": "fd00:10::/48", "communities": ["65000:1"]},
    ]
    own = [{"cidr": "10.244.0.0/16", "communities": ["65000:9"]}]
    nodes = [
        a_node(f"n{n}", f"10.0.0.{n}", ipv6Address=f"fd00::{n}/64") for n in (1, 2)
    ]
    cluster = settings(prefixAdvertisements=advertised)
    blocks = ("10.244.1.0/26", "fd00:10::/122")
    routes = [a_route(block, "static") for block in blocks]
    affinities = dict.fromkeys(blocks, "")
    for more, expected in (
        ((), [["65000:1"], ["65000:1"]]),
        ((settings("node.n1", prefixAdvertisements=own),), [["65000:9"], []]),
        ((settings("node.n1", listenPort=179),), [["65000:1"], ["65000:1"]]),
    ):
        shown = probe((*nodes, cluster, *more), *routes, affinities=affinities)
        found = [
            each["export"][session]["communities"]
            for each, session in zip(shown, (MESH, "Mesh_fd00__2"), strict=True)
        ]
        assert found == expected


def test_a_community_is_what_it_says_before_it_is_a_name():
    cluster = settings(
        communities=[{"name": "65000:1", "value": "65000:2"}],
        prefixAdvertisements=[
            {"cidr": "10.244.0.0/16", "communities": ["65000:1", "unknown"]}
        ],
    )
    (shown,) = probe(
        (N1, N2, cluster),
        a_route("10.244.1.0/26", "static"),
        affinities={"10.244.1.0/26": ""},
    )
    assert shown["export"][MESH]["communities"] == ["65000:1"]


def test_one_more_block_changes_what_a_policy_says_and_not_its_name():
    objects = (N1, N2, a_node("n3", "10.0.0.3"), a_pool(), GATEWAY)
    before = a_case(*objects, affinities={"10.244.1.0/26": ""}).desired
    after = a_case(
        *objects, affinities={"10.244.1.0/26": "", "10.244.2.0/26": ""}
    ).desired
    assert after.peers == before.peers
    names = [spec.name for spec in before.policies]
    assert [spec.name for spec in after.policies] == names
    assert after.policies != before.policies
    exports = [peer.export_policy for peer in before.peers]
    assert len(exports) == 3
    assert len(set(exports)) == 2  # those of the mesh share one


def test_what_accepts_everything_is_the_policy_that_costs_nothing():
    objects = (N1, N2, GATEWAY, a_pool())
    old = a_case(*objects, compat="3.31").desired
    assert {peer.import_policy for peer in old.peers} == {ACCEPT_ALL.name}
    assert {each.policy for each in old.kernel.values()} == {ACCEPT_ALL}
    assert {each.normal_metric for each in old.kernel.values()} == {None}
    assert old.local_pref == {}
    new = a_case(*objects).desired
    imports = {peer.name: peer.import_policy for peer in new.peers}
    assert imports[TOR] == ACCEPT_ALL.name  # no LOCAL_PREF comes from there
    assert imports[MESH] != ACCEPT_ALL.name
    assert {each.policy for each in new.kernel.values()} == {ACCEPT_ALL}
    assert set(new.local_pref.values()) == {NORMAL}


# -- filters ------------------------------------------------------------------------------


def filtered(direction: str, *rules: Object, **more: Any) -> list[Object]:
    """Probe routes against a filter of a gateway's session."""
    peer = {**GATEWAY, "spec": {**GATEWAY["spec"], "filters": ["f"]}}
    peer["spec"] |= more.pop("peer", {})
    rules_ = an_object("BGPFilter", "f", **{direction: list(rules)})
    objects = (N1, peer, rules_, settings(nodeToNodeMeshEnabled=False))
    return probe(objects, *more.pop("routes"), **more)


def test_prefix_lengths_bound_what_a_prefix_matches():
    rule = {
        "action": "Accept",
        "cidr": "10.0.0.0/8",
        "matchOperator": "In",
        "prefixLength": {"min": 16, "max": 24},
    }
    routes = [a_route(f"10.1.0.0/{n}") for n in (15, 16, 24, 25)]
    results = filtered("exportV4", rule, routes=routes)
    assert accepts(results, TOR) == [False, True, True, False]


@pytest.mark.parametrize(
    ("path", "is_accepted"), [([64512, 65010], True), ([65010], False), ([64512], True)]
)
def test_an_export_rule_sees_our_as_before_the_path_as_bird_does(path, is_accepted):
    rule = {"action": "Accept", "asPathPrefix": path}
    routes = [a_route("192.0.2.0/24", as_path=[65010], learned_from="external")]
    results = filtered("exportV4", rule, routes=routes)
    assert accepts(results, TOR) == [is_accepted]


def test_operations_prepend_add_and_set_priorities_in_their_order():
    rule = {
        "action": "Accept",
        "operations": [
            {"prependASPath": {"prefix": [65001, 65002]}},
            {"prependASPath": {"prefix": [65003]}},
            {"addCommunity": {"value": "65000:7"}},
            {"addCommunity": {"value": "65000:7:8"}},
        ],
    }
    (shown,) = filtered("exportV4", rule, routes=[a_route("192.0.2.0/24")])
    assert shown["export"][TOR]["as_path_prepend"] == [65003, 65001, 65002]
    assert shown["export"][TOR]["communities"] == ["65000:7"]
    assert shown["export"][TOR]["large_communities"] == ["65000:7:8"]
    rule = {"action": "Accept", "operations": [{"setPriority": {"value": 512}}]}
    route = a_route("192.0.2.0/24", learned_from="external", as_path=[65000])
    (shown,) = filtered("importV4", rule, routes=[route])
    # A rule that accepts ends the policy: no preference for what it elevated.
    assert shown["import"][TOR]["local_pref"] == MAX_METRIC - 512
    assert shown["import"][TOR]["preference"] == 100


def test_a_priority_that_is_set_on_export_is_sent_inside_the_as():
    rule = {"action": "Accept", "operations": [{"setPriority": {"value": 100}}]}
    routes = [a_route("192.0.2.0/24", "kernel", metric=7, interface="eth0")]
    for asn, expected in ((64512, MAX_METRIC - 100), (65000, None)):
        (shown,) = filtered("exportV4", rule, routes=routes, peer={"asNumber": asn})
        assert shown["export"][TOR]["local_pref"] == expected


@pytest.mark.parametrize(
    ("condition", "fields", "other"),
    [
        ({"priority": 512}, {"metric": 512}, {"metric": 513}),
        ({"interface": "*"}, {"interface": "cali1"}, None),
        ({"interface": "eth*"}, {"interface": "eth0"}, {"interface": ""}),
        ({"source": "RemotePeers"}, {"source": "bgp"}, {"source": "kernel"}),
        ({"communities": {"values": ["65000:1"]}}, {"source": "bgp", "communities": ["65000:2", "65000:1"]}, {"source": "bgp", "communities": ["65000:2"]}),
        ({"communities": {"values": ["65000:1:2"]}}, {"source": "bgp", "large_communities": ["65000:1:2"]}, {"source": "bgp", "communities": ["65000:1"]}),
    ],
)  # fmt: skip
def test_conditions_of_a_rule(condition, fields, other):
    def route(fields: Object) -> Object:
        given = {"source": "kernel", "metric": 1024, "interface": "eth0", **fields}
        return a_route("192.0.2.0/24", given.pop("source"), **given)

    rule = {"action": "Accept", **condition}
    routes = [route(fields), *([] if other is None else [route(other)])]
    assert accepts(filtered("exportV4", rule, routes=routes), TOR) == [
        True,
        *([] if other is None else [False]),
    ]


def test_a_filter_for_peers_of_one_kind_or_routes_of_peers_alone():
    rules = (
        {"action": "Reject", "peerType": "iBGP"},
        {"action": "Accept", "peerType": "eBGP", "source": "RemotePeers"},
    )
    routes = [a_route("192.0.2.0/24"), a_route("198.51.100.0/24", "kernel", metric=0)]
    assert accepts(filtered("exportV4", *rules, routes=routes), TOR) == [True, False]


def test_an_elevated_route_goes_before_one_that_the_kernel_has():
    route = a_route("10.244.2.5/32", local_pref=MAX_METRIC - 512)
    plain = a_route("10.244.2.6/32", local_pref=NORMAL)
    for compat, preferences in (("3.34", [200, 100]), ("3.31", [100, 100])):
        results = probe((N1, N2), route, plain, compat=compat)
        found = [each["import"][MESH]["preference"] for each in results]
        assert found == preferences


# -- the kernel ---------------------------------------------------------------------------

IPIP = a_pool(ipipMode="Always")
INSIDE = a_route("10.244.2.0/26", local_pref=NORMAL)
ACCEPTED = {"accept": True, "device": None, "onlink": False}
TUNNELLED = {"accept": True, "device": "tunl0", "onlink": True}


@pytest.mark.parametrize(
    ("compat", "setting", "expected"),
    [
        ("3.31", None, {**TUNNELLED, "metric": None}),
        ("3.31", "Disabled", {**TUNNELLED, "metric": None}),  # not known there yet
        ("3.32", None, {**TUNNELLED, "metric": 1024}),
        ("3.32", "Disabled", {"accept": False}),
        ("3.34", None, {"accept": False}),
        ("3.34", "Enabled", {**TUNNELLED, "metric": 1024}),
        ("3.34", "EnabledIPIPOnly", {**TUNNELLED, "metric": 1024}),
        ("3.34", "EnabledNoEncapOnly", {"accept": False}),
    ],
)
def test_release_and_setting_decide_which_program_makes_ipip_routes(
    compat, setting, expected
):
    cluster = settings(**({"programClusterRoutes": setting} if setting else {}))
    results = probe((N1, N2, IPIP, cluster), INSIDE, compat=compat)
    assert kernel(results) == [expected]


@pytest.mark.parametrize(
    ("compat", "setting", "is_ours"),
    [
        ("3.31", None, True),
        ("3.32", "Disabled", False),
        ("3.34", None, True),
        ("3.34", "EnabledIPIPOnly", False),
    ],
)
def test_release_and_setting_decide_which_program_makes_plain_routes(
    compat, setting, is_ours
):
    cluster = settings(**({"programClusterRoutes": setting} if setting else {}))
    (shown,) = probe((N1, N2, a_pool(), cluster), INSIDE, compat=compat)
    assert shown["kernel"]["accept"] is is_ours


def test_across_subnets_only_the_far_next_hop_is_tunnelled():
    pool = a_pool(ipipMode="CrossSubnet")
    far = a_route("10.244.3.0/26", next_hop="10.0.1.2", local_pref=NORMAL)
    results = probe((N1, N2, pool), INSIDE, far, compat="3.31")
    assert kernel(results) == [
        {**ACCEPTED, "metric": None},
        {**TUNNELLED, "metric": None},
    ]


@pytest.mark.parametrize("compat", ["3.31", "3.32", "3.34"])
@pytest.mark.parametrize(
    "pool",
    [
        {"ipipMode": "Always"},
        {"ipipMode": "CrossSubnet"},
        {"vxlanMode": "Always"},
        {"vxlanMode": "CrossSubnet"},
        {},
    ],
)
@pytest.mark.parametrize("setting", [None, "Enabled", "Disabled", "EnabledIPIPOnly"])
@pytest.mark.parametrize("prefix", ["10.244.7.0/24", "fd00:10::/64"])
def test_a_route_to_a_local_workload_needs_no_tunnel_and_no_other_program(
    compat, pool, setting, prefix
):
    nodes = [a_node(f"n{n}", f"10.0.0.{n}", ipv6Address=f"fd00::{n}/64") for n in "12"]
    pools = (a_pool(**pool), a_pool("fd00:10::/48", "six", **pool))
    cluster = settings(**({"programClusterRoutes": setting} if setting else {}))
    endpoint = {"ifaceName": "tap7", "ipv4Nets": ["10.0.9.9/32"], "bgpPeerName": ""}
    results = probe(
        (*nodes, *pools, cluster),
        a_route(prefix, interface="cali7", local_pref=NORMAL),
        a_route(prefix, interface="tap7", local_pref=NORMAL),  # as Felix wrote down
        compat=compat,
        local_endpoints=[endpoint],
    )
    for shown in kernel(results):
        assert (shown["accept"], shown["device"]) == (True, None)


def test_own_blackholes_are_not_tunnelled_and_vxlan_is_felix():
    for pool, is_there in ((IPIP, True), (a_pool(vxlanMode="Always"), False)):
        (shown,) = probe(
            (N1, N2, pool),
            a_route("10.244.1.0/26", "static"),
            affinities={"10.244.1.0/26": "confirmed"},
            compat="3.31",
        )
        assert shown["kernel"]["accept"] is is_there
        assert shown["kernel"].get("device") is None


def test_nodes_that_are_reached_by_wireguard_get_no_route_from_us():
    def guarded(name: str, addr: str) -> Object:
        wireguard = {"interfaceIPv4Address": f"172.16.0.{addr[-1]}"}
        return a_node(name, addr, spec={"wireguard": wireguard})

    both = (guarded("n1", "10.0.0.1"), guarded("n2", "10.0.0.2"), a_pool())
    other = a_route("10.244.3.0/26", next_hop="10.0.0.3", local_pref=NORMAL)
    results = probe((*both, a_node("n3", "10.0.0.3")), INSIDE, other)
    assert [each["accept"] for each in kernel(results)] == [False, True]
    results = probe((N1, both[1], a_pool()), INSIDE)
    assert kernel(results)[0]["accept"] is True  # we do not use it ourselves


def test_wireguard_counts_by_family():
    def node(number: int, **wireguard: str) -> Object:
        return a_node(
            f"n{number}",
            f"10.0.0.{number}",
            ipv6Address=f"fd00::{number}/64",
            spec={"wireguard": wireguard},
        )

    nodes = [node(n, interfaceIPv6Address=f"fd01::{n}") for n in (1, 2)]
    results = probe(tuple(nodes), INSIDE, a_route("fd00:10::/122", local_pref=NORMAL))
    assert [each["accept"] for each in kernel(results)] == [True, False]


def test_of_overlapping_pools_the_first_text_decides():
    inner, outer = (
        a_pool("10.0.0.0/16", "in"),
        a_pool("10.0.0.0/8", "out", vxlanMode="Always"),
    )
    far = a_pool("10.244.0.0/16", "far")
    routes = [
        a_route(prefix) for prefix in ("10.0.1.0/26", "10.9.0.0/26", "10.244.1.0/26")
    ]
    results = probe((N1, N2, inner, outer, far), *routes)
    # "10.0.0.0/16" stands before "10.0.0.0/8", and that before "10.244.0.0/16".
    assert [each["accept"] for each in kernel(results)] == [True, False, False]


@pytest.mark.parametrize(("compat", "is_ours"), [("3.31", True), ("3.34", False)])
def test_a_tunnelled_pool_of_ipv6_has_no_tunnel(compat, is_ours):
    nodes = tuple(
        an_object("Node", f"n{n}", bgp={"ipv6Address": f"fd00::{n}/64"}) for n in (1, 2)
    )
    pool = a_pool("fd00:10::/48", ipipMode="Always")
    (shown,) = probe((*nodes, pool), a_route("fd00:10::/122"), compat=compat)
    assert shown["kernel"]["accept"] is is_ours
    assert not shown["kernel"].get("device")


def test_service_addresses_are_announced_and_never_written():
    cluster = settings(serviceClusterIPs=[{"cidr": "10.96.0.0/12"}])
    results = probe((N1, N2, cluster), a_route("10.96.0.0/12", "static"))
    assert accepts(results, MESH) == [True]
    assert kernel(results) == [{"accept": False}]
    statics = node_of(a_case(N1, N2, cluster))["static_routes"]["ipv4"]
    assert statics == [{"cidr": "10.96.0.0/12", "via": None, "kernel": False}]
    without = a_node(
        "n1",
        "10.0.0.1",
        labels={"node.kubernetes.io/exclude-from-external-load-balancers": "true"},
    )
    excluded = a_case(without, N2, cluster)
    assert node_of(excluded)["static_routes"]["ipv4"] == []


def test_what_is_in_no_pool_is_written_with_the_metric_of_its_preference():
    routes = [
        a_route("0.0.0.0/0", local_pref=100),
        a_route("192.0.2.0/24", local_pref=None),
        a_route("198.51.100.0/24", local_pref=MAX_METRIC - 7),
    ]
    metrics = [each["metric"] for each in kernel(probe((N1, N2), *routes))]
    assert metrics == [MAX_METRIC - 100, 1024, 7]
    cluster = settings(ipv4NormalRoutePriority=2000)
    metrics = [each["metric"] for each in kernel(probe((N1, N2, cluster), *routes))]
    assert metrics == [MAX_METRIC - 100, 2000, 7]
