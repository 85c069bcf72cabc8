from rib.next_hops import NextHopTable, Reachability
from rib.nlri import parse_address
from rib.path import Path
from tests.support.next_hops import ScriptedResolver
from tests.support.routes import a_source, some_attributes

IPV4 = parse_address("192.0.2.1")
GLOBAL = parse_address("2001:db8::1")
LINK_LOCAL = parse_address("fe80::1")


def test_each_address_is_one_object() -> None:
    hops = NextHopTable()
    assert hops.get(IPV4) is hops.get(bytes(IPV4))
    assert hops.get(IPV4) is not hops.get(GLOBAL)
    assert hops.get(IPV4).is_reachable


def test_the_global_address_of_a_pair_counts() -> None:
    hops = NextHopTable()
    assert hops.get(GLOBAL + LINK_LOCAL) is hops.get(GLOBAL)
    assert hops.get(GLOBAL).address == GLOBAL


def test_new_addresses_are_resolved_once() -> None:
    resolver = ScriptedResolver(
        lambda key: Reachability(key, is_reachable=False, metric=3)
    )
    asked, hops = resolver.asked, NextHopTable(resolver)
    found = hops.get(GLOBAL + LINK_LOCAL)
    hops.get(GLOBAL)
    assert asked == [GLOBAL]
    assert (found.is_reachable, found.metric) == (False, 3)


def test_what_is_originated_here_needs_no_way() -> None:
    nowhere = ScriptedResolver(lambda key: Reachability(key, is_reachable=False))
    hops = NextHopTable(nowhere)
    assert hops.get(b"").is_reachable


def test_only_changes_are_reported() -> None:
    hops = NextHopTable()
    one, other = hops.get(IPV4), hops.get(GLOBAL)
    states = [
        Reachability(IPV4, is_reachable=False),
        Reachability(GLOBAL, is_reachable=True),
        Reachability(LINK_LOCAL, is_reachable=True),
    ]
    assert hops.apply(states) == [one]
    assert not one.is_reachable
    assert hops.apply(states) == []
    assert hops.apply([Reachability(GLOBAL, is_reachable=True, metric=5)]) == [other]


def test_next_hops_without_paths_are_forgotten() -> None:
    hops = NextHopTable()
    attributes = some_attributes()
    path = Path(a_source(), attributes, hops.get(GLOBAL + LINK_LOCAL))
    hops.get(IPV4)
    hops.get(b"")
    assert hops.forget_unused() == [IPV4]
    assert hops.get(GLOBAL) is path.next_hop
    del path
    assert hops.forget_unused() == [GLOBAL]
    assert len(hops) == 0


def test_equal_link_local_addresses_on_two_links_are_two_next_hops() -> None:
    hops = NextHopTable()
    one, other = hops.get(LINK_LOCAL, "eth0"), hops.get(LINK_LOCAL, "eth1")
    assert one is not other
    assert one is hops.get(bytes(LINK_LOCAL), "eth0")
    assert one.address == other.address == LINK_LOCAL
    assert (one.key, other.key) == (LINK_LOCAL + b"eth0", LINK_LOCAL + b"eth1")
    assert hops.get(LINK_LOCAL) not in (one, other)


def test_a_zone_is_nothing_to_other_addresses() -> None:
    hops = NextHopTable()
    for address in (b"", IPV4, GLOBAL):
        assert hops.get(address, "eth0") is hops.get(address)
        assert hops.get(address).key == address


def test_the_state_of_one_link_does_not_affect_the_other() -> None:
    resolver = ScriptedResolver()
    asked, hops = resolver.asked, NextHopTable(resolver)
    one, other = hops.get(LINK_LOCAL, "eth0"), hops.get(LINK_LOCAL, "eth1")
    assert asked == [one.key, other.key]
    assert hops.known(other.key) is other
    assert hops.apply([Reachability(one.key, is_reachable=False)]) == [one]
    assert (one.is_reachable, other.is_reachable) == (False, True)


def test_a_pair_on_a_known_link_is_a_next_hop_of_its_own() -> None:
    hops = NextHopTable()
    pair = hops.get(GLOBAL + LINK_LOCAL, "eth0")
    assert pair is not hops.get(GLOBAL)
    assert pair is hops.get(GLOBAL + LINK_LOCAL, "eth0")
    assert pair.address == GLOBAL
    assert pair.key == GLOBAL + LINK_LOCAL + b"eth0"


def test_next_hops_with_a_zone_are_forgotten_by_their_keys() -> None:
    resolver = ScriptedResolver()
    released, hops = resolver.released, NextHopTable(resolver)
    for zone in ("eth0", "averylongname15"):  # the latter makes a key of 31 octets
        hops.get(LINK_LOCAL, zone)
        hops.get(GLOBAL + LINK_LOCAL, zone)
    path = Path(a_source(), some_attributes(), hops.get(LINK_LOCAL, "eth0"))
    keys = {
        field + zone.encode()
        for zone in ("eth0", "averylongname15")
        for field in (LINK_LOCAL, GLOBAL + LINK_LOCAL)
    }
    assert set(hops.forget_unused()) == keys - {path.next_hop.key}
    assert set(released) == keys - {path.next_hop.key}
    assert hops.get(LINK_LOCAL, "eth0") is path.next_hop
