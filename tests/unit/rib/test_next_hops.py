from rib.next_hops import NextHopTable, Reachability
from rib.nlri import parse_address
from rib.path import Path
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


def test_new_addresses_are_asked_for_once() -> None:
    asked = []

    def resolve(address: bytes) -> Reachability:
        asked.append(address)
        return Reachability(address, is_reachable=False, metric=3)

    hops = NextHopTable(resolve)
    found = hops.get(GLOBAL + LINK_LOCAL)
    hops.get(GLOBAL)
    assert asked == [GLOBAL]
    assert (found.is_reachable, found.metric) == (False, 3)


def test_what_is_originated_here_needs_no_way() -> None:
    hops = NextHopTable(lambda address: Reachability(address, is_reachable=False))
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
