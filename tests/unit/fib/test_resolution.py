"""What a next hop is reached by: other programs' routes and ours, without loops."""

import pytest

from fib.netlink.rtnetlink import LinkMessage
from fib.resolution import MOST_LEVELS, Resolution, Resolver
from fib.routes import Hop
from rib.nlri import format_prefix, parse_address
from rib.zones import scoped
from tests.support.grounds import BLACKHOLE, ETH0, ETH1, Ground

RFC = pytest.mark.rfc("4271", "9.1.2.1", "SHOULD")


@pytest.fixture
def ground() -> Ground:
    made = Ground()
    made.foreign("10.0.0.0/24", ("", ETH0))
    made.foreign("10.1.0.0/24", ("", ETH1))
    made.foreign("fd00::/64", ("", ETH0))
    made.local("10.0.0.1")
    return made


def resolve(ground: Ground, address: str, *, uses_default: bool = True) -> Resolution:
    resolver = Resolver(ground.view, ground.own, uses_default=uses_default)
    return resolver.resolve(parse_address(address))


def ways(found: Resolution) -> set[str]:
    return {f"{show(hop.gateway)} {hop.interface}" for hop in found.hops}


def show(octets: bytes) -> str:
    text = format_prefix(
        bytes([len(octets) * 8]) + octets, 1 if len(octets) == 4 else 2
    )
    return text.partition("/")[0]


def through(found: Resolution) -> list[str]:
    return [format_prefix(nlri, afi) for afi, nlri in found.through]


def loop(found: Resolution) -> str:
    return "" if found.loop is None else format_prefix(found.loop[1], found.loop[0])


@RFC
@pytest.mark.parametrize("default", ["", "10.1.0.9"])
def test_a_loopback_that_the_fabric_brings_is_reached_by_the_fabric(ground, default):
    if default:
        ground.foreign("0.0.0.0/0", (default, ETH1))
    ground.own.put("10.255.0.2/32", "10.0.0.2")
    found = resolve(ground, "10.255.0.2")
    assert ways(found) == {"10.0.0.2 eth0"}
    assert through(found) == ["10.255.0.2/32"]
    assert found.loop is None


def test_chains_go_level_by_level_in_both_families(ground):
    ground.own.put("10.255.0.0/24", "10.254.0.9")
    ground.own.put("10.254.0.0/16", "10.253.0.1")
    ground.own.put("10.253.0.1/32", "fd00::2")
    found = resolve(ground, "10.255.0.7")
    assert ways(found) == {"fd00::2 eth0"}
    assert through(found) == ["10.255.0.0/24", "10.254.0.0/16", "10.253.0.1/32"]
    assert {show(a): n for a, n in found.looked_at.items()} == {
        "10.255.0.7": 24,
        "10.254.0.9": 16,
        "10.253.0.1": 32,
        "fd00::2": 64,
    }


def test_all_ways_of_a_level_are_used(ground):
    ground.own.put("10.254.0.1/32", "10.0.0.2 10.1.0.2")
    ground.own.put("10.255.0.1/32", "10.254.0.1 10.1.0.2 10.1.0.3")
    found = resolve(ground, "10.255.0.1")
    assert ways(found) == {"10.0.0.2 eth0", "10.1.0.2 eth1", "10.1.0.3 eth1"}
    assert len(found.hops) == 3


def test_the_longer_prefix_counts_whichever_program_it_is_from(ground):
    ground.own.put("10.255.0.0/16", "10.0.0.2")
    ground.foreign("10.255.1.0/24", ("10.1.0.9", ETH1), metric=20)
    assert ways(resolve(ground, "10.255.1.1")) == {"10.1.0.9 eth1"}
    assert resolve(ground, "10.255.1.1").metric == 20
    assert ways(resolve(ground, "10.255.2.1")) == {"10.0.0.2 eth0"}


@pytest.mark.parametrize(
    ("mine", "others", "way"),
    [(20, 30, "10.0.0.2 eth0"), (30, 20, "10.1.0.9 eth1"), (20, 20, "10.1.0.9 eth1")],
)
def test_of_one_prefix_the_lower_metric_counts(ground, mine, others, way):
    ground.own.put("10.255.0.0/16", "10.0.0.2", metric=mine)
    ground.foreign("10.255.0.0/16", ("10.1.0.9", ETH1), metric=others)
    assert ways(resolve(ground, "10.255.1.1")) == {way}


def test_a_gateway_that_announces_itself_is_reached_by_what_else_leads_there(ground):
    ground.own.put("10.0.0.2/32", "10.0.0.2")
    found = resolve(ground, "10.0.0.2")
    assert ways(found) == {"10.0.0.2 eth0"}
    assert through(found) == []
    assert loop(found) == "10.0.0.2/32"


def test_an_ipv6_gateway_that_our_route_hides_is_on_the_link(ground):
    ground.own.put("fd00::2/128", "fd00::2")
    (hop,) = resolve(ground, "fd00::2").hops
    assert hop == Hop(parse_address("fd00::2"), "eth0", is_onlink=True)
    ground.own.put("fd00::3/128", "fd00::2")
    assert resolve(ground, "fd00::3").hops == (hop,)
    (other,) = resolve(ground, "fd00::4").hops
    assert not other.is_onlink
    ground.own.put("10.0.0.2/32", "10.0.0.2")  # IPv4 looks at the link alone
    assert not resolve(ground, "10.0.0.2").hops[0].is_onlink


def test_the_next_best_path_leads_on_where_the_best_leads_back(ground):
    ground.own.put("10.255.0.2/32", "10.255.0.2", "10.0.0.2")
    found = resolve(ground, "10.255.0.2")
    assert ways(found) == {"10.0.0.2 eth0"}
    assert through(found) == ["10.255.0.2/32"]


@pytest.mark.parametrize("length", [8, 16, 31, 32])
@pytest.mark.parametrize("levels", [1, 2, 3, 5])
@pytest.mark.parametrize("is_barred", [False, True])
def test_a_loop_is_not_a_way_and_is_named(ground, length, levels, is_barred):
    for n in range(levels):
        to = f"10{(n + 1) % levels}.0.0.1"
        prefix = f"10{n}.0.0.1/{length}"
        if is_barred:
            ground.own.put(
                prefix.replace(".0.0.1/", f".0.0.{1 if length == 32 else 0}/"),
                barred=to,
            )
        else:
            ground.own.put(prefix, to)
    found = resolve(ground, "100.0.0.1")
    assert found.hops == ()
    assert loop(found).startswith(f"10{levels - 1}.0.0.")
    ground.foreign("0.0.0.0/0", ("10.1.0.9", ETH1))
    assert ways(resolve(ground, "100.0.0.1")) == {"10.1.0.9 eth1"}


def test_two_that_lead_to_each_other_are_reached_by_what_is_wider(ground):
    ground.own.put("10.254.0.1/32", "10.254.0.2")
    ground.own.put("10.254.0.2/32", "10.254.0.1")
    ground.own.put("10.254.0.0/24", "10.0.0.2")
    for address in ("10.254.0.1", "10.254.0.2"):
        assert ways(resolve(ground, address)) == {"10.0.0.2 eth0"}


def test_a_default_route_resolves_unless_told_not_to(ground):
    ground.foreign("0.0.0.0/0", ("10.1.0.9", ETH1))
    assert ways(resolve(ground, "192.0.2.1")) == {"10.1.0.9 eth1"}
    assert resolve(ground, "192.0.2.1", uses_default=False).hops == ()
    ground.own.put("::/0", "fd00::9")
    assert ways(resolve(ground, "2001:db8::1")) == {"fd00::9 eth0"}
    assert resolve(ground, "2001:db8::1", uses_default=False).hops == ()


def test_what_is_discarded_leads_nowhere(ground):
    ground.foreign("0.0.0.0/0", ("10.1.0.9", ETH1))
    ground.own.put("192.0.2.0/24")
    ground.foreign("198.51.100.0/24", kind=BLACKHOLE)
    for address in ("192.0.2.1", "198.51.100.1"):
        found = resolve(ground, address)
        assert (found.hops, found.loop) == ((), None)


def test_our_own_address_is_not_a_way(ground):
    assert resolve(ground, "10.0.0.1").is_local
    ground.own.put("10.255.0.1/32", "10.0.0.1", "10.1.0.2")
    assert ways(resolve(ground, "10.255.0.1")) == {"10.1.0.2 eth1"}


def test_a_tunnel_of_the_kernel_policy_is_the_way_while_it_is_up(ground):
    ground.own.put("10.255.0.0/26", "10.0.0.2%tunl0", "10.1.0.3")
    found = resolve(ground, "10.255.0.1")
    assert found.hops == (Hop(parse_address("10.0.0.2"), "tunl0", is_onlink=True),)
    ground.link(4, "tunl0", is_up=False)
    assert ways(resolve(ground, "10.255.0.1")) == {"10.1.0.3 eth1"}


def test_a_link_without_carrier_is_not_a_way(ground):
    ground.own.put("10.255.0.1/32", "10.0.0.2", "10.1.0.2")
    ground.link(ETH0, "eth0", is_up=False)
    assert ways(resolve(ground, "10.255.0.1")) == {"10.1.0.2 eth1"}
    assert resolve(ground, "10.0.0.2").hops == ()


def test_no_route_redirects_what_goes_to_an_ebgp_neighbour_on_our_link(ground):
    ground.own.put("10.0.0.2/32", "10.1.0.66")
    assert ways(resolve(ground, "10.0.0.2")) == {"10.1.0.66 eth1"}
    ground.own.neighbours.add(parse_address("10.0.0.2"))
    assert ways(resolve(ground, "10.0.0.2")) == {"10.0.0.2 eth0"}
    # One that is not on a link is found as everything else.
    ground.own.neighbours.add(parse_address("10.255.0.1"))
    ground.own.put("10.255.0.1/32", "10.1.0.2")
    assert ways(resolve(ground, "10.255.0.1")) == {"10.1.0.2 eth1"}


def test_levels_end(ground):
    def a_chain(levels: int) -> None:
        for n in range(levels):
            to = f"172.16.0.{n + 1}" if n + 1 < levels else "10.0.0.2"
            ground.own.put(f"172.16.0.{n}/32", to)

    a_chain(MOST_LEVELS)
    assert ways(resolve(ground, "172.16.0.0")) == {"10.0.0.2 eth0"}
    a_chain(MOST_LEVELS + 1)
    assert resolve(ground, "172.16.0.0").hops == ()
    assert resolve(ground, "172.16.0.0").loop is not None


def test_a_knot_costs_no_more_than_it_may(ground):
    everybody = " ".join(f"172.16.0.{n}" for n in range(16))
    for n in range(16):
        ground.own.put(f"172.16.0.{n}/32", everybody)
    found = resolve(ground, "172.16.0.0")
    assert found.hops == ()
    assert found.loop is not None


def test_without_our_own_routes_only_others_count(ground):
    ground.own.put("10.255.0.2/32", "10.0.0.2")
    alone = Resolver(ground.view, uses_default=True)
    assert alone.resolve(parse_address("10.255.0.2")).hops == ()
    assert ways(alone.resolve(parse_address("10.0.0.2"))) == {"10.0.0.2 eth0"}


LINK_LOCAL, GLOBAL = parse_address("fe80::1"), parse_address("fd00::9")


def resolve_key(ground: Ground, field: bytes, zone: str) -> Resolution:
    resolver = Resolver(ground.view, ground.own, uses_default=True)
    return resolver.resolve(scoped(field, zone))


@pytest.mark.parametrize("zone", ["eth0", "eth1"])
def test_a_link_local_address_is_on_its_own_link_alone(ground, zone):
    ground.foreign("fe80::/64", ("", ETH1))
    ground.foreign("::/0", ("fd00::7", ETH1))
    ground.own.put("fe80::/10", "fd00::2")
    assert ways(resolve_key(ground, LINK_LOCAL, zone)) == {f"fe80::1 {zone}"}
    for nowhere in ("", "eth9"):
        assert not resolve_key(ground, LINK_LOCAL, nowhere).hops
    ground.view.links.update(LinkMessage(ETH0, "eth0", False, True))
    assert bool(resolve_key(ground, LINK_LOCAL, zone).hops) is (zone == "eth1")


def test_our_own_link_local_address_is_ours_on_its_link_alone(ground):
    ground.local("fe80::1", ETH0)
    found = resolve_key(ground, LINK_LOCAL, "eth0")
    assert (found.is_local, found.hops) == (True, ())
    found = resolve_key(ground, LINK_LOCAL, "eth1")
    assert (found.is_local, ways(found)) == (False, {"fe80::1 eth1"})


def test_of_two_addresses_the_global_one_counts_where_it_is_reached(ground):
    pair = GLOBAL + LINK_LOCAL
    found = resolve_key(ground, pair, "eth1")
    assert ways(found) == {"fd00::9 eth0"}
    assert found.looked_at == {GLOBAL: 64, scoped(LINK_LOCAL, "eth1"): 0}
    ground.view.links.update(LinkMessage(ETH0, "eth0", False, True))
    assert ways(resolve_key(ground, pair, "eth1")) == {"fe80::1 eth1"}
    ground.view.links.update(LinkMessage(ETH1, "eth1", False, True))
    assert not resolve_key(ground, pair, "eth1").hops
    ground.local("fd00::9")
    assert resolve_key(ground, pair, "eth1").is_local


def test_our_own_routes_lead_over_link_local_next_hops_of_two_links(ground):
    ground.own.put("fd00:1::/64", "fe80::1%eth0 fe80::1%eth1")
    found = resolve_key(ground, parse_address("fd00:1::5"), "")
    assert ways(found) == {"fe80::1 eth0", "fe80::1 eth1"}
    assert through(found) == ["fd00:1::/64"]
    assert scoped(LINK_LOCAL, "eth1") in found.looked_at
