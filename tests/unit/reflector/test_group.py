"""What one flush says, octet by octet; histories are for the property test."""

import pytest

from bgpd.wire.pack import pack_withdraw
from reflector.export import Export
from reflector.group import UpdateGroup
from reflector.pacing import FREE
from rib.change import Change
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.path import NextHop, Path, Source
from rib.policy import ACCEPT_ALL, Policy
from tests.support.exports import a_client, a_context, group_of, make_current
from tests.support.routes import nlris, some_attributes
from tests.support.told import Told, messages_of, octets_of

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
HOP = NextHop(bytes((192, 0, 2, 1)))
BIG = some_attributes(local_pref=100, communities=range(1010))


def a_group(**changes) -> UpdateGroup:
    context = a_context(cluster_id=7, **changes)
    return group_of(Export(context, Policy(ACCEPT_ALL)))


def a_path(source: Source, attributes=None, path_id: int = 0) -> Path:
    return Path(
        source, attributes or some_attributes(local_pref=1), HOP, path_id=path_id
    )


def share(outbound, source: Source) -> bytes:
    return b"" if outbound is None else octets_of(outbound.share_of(source))


def test_nothing_to_say() -> None:
    group, path = a_group(), a_path(a_client(1))
    assert group.encode([]) is None
    assert group.encode([Change(path, path, [ONE])]) is None


@pytest.mark.parametrize("add_path_max", [None, 0, 2])
def test_pacing_is_off_and_knows_whether_other_paths_are_advertised(
    add_path_max,
) -> None:
    """If only the best path is advertised, others may change as often as they like."""
    pacer = a_group(add_path_max=add_path_max).pacer
    assert pacer.interval == 0
    best, entries = a_path(a_client(1), some_attributes(local_pref=9)), []
    for number in (2, 3):
        table = LocRib(IPV4_UNICAST)
        table.announce([ONE], best)
        table.announce([ONE], a_path(a_client(number)))
        entries.append(table.table[ONE])
    one, other = entries
    pacer.interval = 5.0
    for _ in range(FREE):
        for old, new in ((one, other), (other, one)):
            pacer.admit([Change(old, new, [ONE])], 1000.0)
    assert bool(pacer.held) is (add_path_max is not None)


def test_attributes_are_sent_once_for_all_their_prefixes() -> None:
    group, source, member = a_group(), a_client(1), a_client(2)
    group.join(member)
    one, same = a_path(source), a_path(source)
    outbound = group.encode(
        [Change(None, one, [ONE, TWO]), Change(None, same, [THREE])]
    )
    assert len(messages_of(share(outbound, member))) == 1
    told = Told()
    told.take(share(outbound, member))
    assert {nlri for _, nlri in told.view} == {ONE, TWO, THREE}


def test_a_client_is_not_sent_its_own_routes() -> None:
    group = a_group()
    first, second, third = (a_client(number) for number in (1, 2, 3))
    for member in (first, second, third):
        group.join(member)
    outbound = group.encode(
        [Change(None, a_path(first), [ONE]), Change(None, a_path(second), [TWO])]
    )
    for member, expected in ((first, {TWO}), (second, {ONE}), (third, {ONE, TWO})):
        told = Told()
        told.take(share(outbound, member))
        assert {nlri for _, nlri in told.view} == expected


def test_those_without_routes_in_it_share_the_very_same_octets() -> None:
    group = a_group()
    members = [a_client(number) for number in (1, 2, 3)]
    for member in members:
        group.join(member)
    outbound = group.encode([Change(None, a_path(members[0]), [ONE])])
    assert outbound is not None
    assert outbound.share_of(members[1])[0] is outbound.share_of(members[2])[0]
    assert outbound.share_of(members[0]) == []


def test_a_client_whose_route_takes_over_withdraws_what_it_held() -> None:
    group, first, second = a_group(), a_client(1), a_client(2)
    group.join(first)
    group.join(second)
    outbound = group.encode([Change(a_path(first), a_path(second), [ONE])])
    assert share(outbound, second) == pack_withdraw(IPV4_UNICAST, [ONE], 4096)
    told = Told()
    told.take(share(outbound, first))
    assert {nlri for _, nlri in told.view} == {ONE}


def test_a_route_that_looks_the_same_is_not_advertised_again() -> None:
    group, source = a_group(), a_client(1)
    group.join(a_client(2))
    assert group.encode([Change(a_path(source), a_path(source), [ONE])]) is None


@pytest.mark.rfc("8654", "4", "MUST NOT")
def test_a_route_that_no_message_holds_is_withdrawn_and_counted() -> None:
    group, source, member = a_group(), a_client(1), a_client(2)
    group.join(member)
    outbound = group.encode([Change(a_path(source), a_path(source, BIG), [ONE, TWO])])
    assert share(outbound, member) == pack_withdraw(IPV4_UNICAST, [ONE, TWO], 4096)
    assert group.oversized_count == 2
    group.encode([Change(None, a_path(source, BIG), [THREE])])
    assert group.oversized_count == 3
    long = a_group(max_message_len=65535)
    long.join(member)
    outbound = long.encode([Change(None, a_path(source, BIG), [ONE, TWO])])
    assert len(share(outbound, member)) > 4096
    assert long.oversized_count == 0


class TestAddPath:
    def setup_method(self) -> None:
        self.group = a_group(add_path_max=0)
        self.first, self.second, self.reader = (a_client(n) for n in (1, 2, 3))
        for member in (self.first, self.second, self.reader):
            self.group.join(member)
        self.rib = LocRib(IPV4_UNICAST)
        self.told = {
            member: Told(add_path=True)
            for member in (self.first, self.second, self.reader)
        }

    def tell(self, changes: list[Change]) -> None:
        outbound = self.group.encode(changes)
        for member, told in self.told.items():
            told.take(share(outbound, member))

    @pytest.mark.rfc("7911", "2", "MUST")
    def test_each_path_has_its_identifier_and_keeps_it(self) -> None:
        self.tell(self.rib.announce([ONE], a_path(self.first)))
        (first_key,) = self.told[self.reader].view
        self.tell(self.rib.announce([ONE, TWO], a_path(self.second)))
        view = self.told[self.reader].view
        assert first_key in view
        assert len(view) == 3
        better = some_attributes(local_pref=900)
        self.tell(self.rib.announce([ONE], a_path(self.second, better)))
        assert self.told[self.reader].view.keys() == view.keys()
        self.tell(self.rib.withdraw([ONE], self.first))
        assert first_key not in self.told[self.reader].view

    def test_a_client_is_sent_the_others_paths_only(self) -> None:
        self.tell(self.rib.announce([ONE], a_path(self.first)))
        self.tell(self.rib.announce([ONE], a_path(self.second)))
        assert len(self.told[self.first].view) == 1
        assert len(self.told[self.second].view) == 1
        assert self.told[self.first].view.keys() != self.told[self.second].view.keys()

    def test_a_path_whose_next_hop_dies_is_withdrawn(self) -> None:
        hop = NextHop(bytes((192, 0, 2, 9)))
        path = Path(self.first, some_attributes(next_hop="192.0.2.9"), hop)
        self.tell(self.rib.announce([ONE], path))
        self.tell(self.rib.announce([ONE], a_path(self.second)))
        assert len(self.told[self.reader].view) == 2
        for is_reachable, count in ((False, 1), (True, 2)):
            hop.is_reachable = is_reachable
            self.rib.forget_decisions()
            self.tell(self.rib.decide_again([ONE]))
            assert len(self.told[self.reader].view) == count

    def test_several_paths_of_one_peer(self) -> None:
        for path_id in (5, 6):
            self.tell(self.rib.announce([ONE], a_path(self.first, path_id=path_id)))
        assert len(self.told[self.reader].view) == 2
        assert len(self.told[self.first].view) == 0

    def test_at_most_so_many(self) -> None:
        self.group = a_group(add_path_max=1)
        self.group.join(self.reader)
        self.told = {self.reader: Told(add_path=True)}
        self.tell(self.rib.announce([ONE], a_path(self.first)))
        self.tell(self.rib.announce([ONE], a_path(self.second)))
        (held,) = self.told[self.reader].view
        self.tell(self.rib.withdraw([ONE], self.first))
        (now,) = self.told[self.reader].view
        assert now != held


def test_what_is_remembered_of_ever_new_paths_is_bounded() -> None:
    group, source = a_group(), a_client(1)
    group.join(a_client(2))
    for _ in range(8500):
        group.encode([Change(None, a_path(source), [ONE])])
    assert len(group.export._memo) <= 8192


def test_what_came_and_went_while_a_member_was_behind_is_not_remembered() -> None:
    group, source, member = a_group(), a_client(1), a_client(2)
    behind = make_current(group.join(member))
    group.writing_paused(member)
    loc_rib = LocRib(IPV4_UNICAST)
    path, other = a_path(source), a_path(source, some_attributes(local_pref=2))
    held = [ONE, TWO]
    group.flush(loc_rib.announce(held, path))
    behind.pending_changes.clear()  # as if it had received them
    for number in range(2000):
        passing = nlris(f"10.{9 + number % 40}.{number // 40}.0/24")
        for prefixes, some in ((passing, path), (passing, other), (held, other)):
            group.flush(loc_rib.announce(prefixes, some))
        group.flush(loc_rib.withdraw(passing, source))
    assert behind.pending_changes == {ONE: path, TWO: path}
