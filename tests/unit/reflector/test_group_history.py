"""What a group remembers: members that fell behind, exports that changed, catching up."""

import pytest

from bgpd.wire.pack import pack_withdraw
from reflector.export import Export
from reflector.member_fsm import State
from rib.change import Change
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.path import NextHop, Path, Source
from rib.policy import (
    ACCEPT_ALL,
    Actions,
    Match,
    Operator,
    Outcome,
    PolicySpec,
    Term,
    compile_policy,
    prefix_match,
)
from tests.support.exports import a_client, a_context, group_of, make_current
from tests.support.routes import nlris, some_attributes
from tests.support.told import Told, octets_of

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
HOP = NextHop(bytes((192, 0, 2, 1)))
TAGS = PolicySpec("p", (Term("t", Outcome.ACCEPT, actions=Actions(local_pref=7)),))
REJECTS = PolicySpec("p", (Term("t", Outcome.REJECT),))
HALF = PolicySpec(
    "p",
    (
        Term(
            "t",
            Outcome.REJECT,
            Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/15")),
        ),
    ),
    accepts_unmatched=True,
)


def an_export(spec: PolicySpec = ACCEPT_ALL, **changes) -> Export:
    return Export(a_context(cluster_id=7, **changes), compile_policy(spec))


class World:
    """A group with a reader and two clients that announce, and what the reader holds."""

    def __init__(self, spec: PolicySpec = ACCEPT_ALL, **changes) -> None:
        self.changes = changes
        self.group = group_of(an_export(spec, **changes))
        self.first, self.second, self.reader = map(a_client, (1, 2, 3))
        self.member = make_current(self.group.join(self.reader))
        make_current(self.group.join(self.first))
        self.rib = LocRib(IPV4_UNICAST)
        self.told = Told(add_path="add_path_max" in changes)

    def path(self, source: Source | None = None, **attributes) -> Path:
        attributes.setdefault("local_pref", 100)
        return Path(source or self.first, some_attributes(**attributes), HOP)

    def take(self, outbound, reader: Source | None = None) -> int:
        """Let the reader take its share; return how many octets it was."""
        if outbound is None:
            return 0
        octets = octets_of(outbound.share_of(reader or self.reader))
        self.told.take(octets)
        return len(octets)

    def held(self) -> dict[bytes, int]:
        """Prefix -> LOCAL_PREF as the reader received it."""
        found = {}
        for (_, nlri), outgoing in self.told.view.items():
            at = outgoing.attributes.index(b"\x40\x05\x04") + 3
            found[nlri] = int.from_bytes(outgoing.attributes[at : at + 4], "big")
        return found


class TestMembersThatFellBehind:
    def test_they_receive_nothing_and_the_changes_are_noted(self) -> None:
        world = World()
        other = world.group.join(world.second)
        world.group.writing_paused(world.reader)
        path = world.path()
        world.group.flush([Change(None, path, [ONE, TWO])])
        assert world.member.pending_changes == {ONE: None, TWO: None}
        assert not other.pending_changes

    def test_the_state_before_the_first_change_is_what_counts(self) -> None:
        world = World()
        world.group.writing_paused(world.reader)
        old, new, newest = world.path(), world.path(med=1), world.path(med=2)
        world.group.flush([Change(old, new, [ONE])])
        world.group.flush([Change(new, newest, [ONE, TWO])])
        world.group.flush([Change(newest, None, [THREE])])
        assert world.member.pending_changes == {ONE: old, TWO: new, THREE: newest}

    def test_what_came_and_went_meanwhile_is_none_of_their_business(self) -> None:
        world = World()
        world.group.writing_paused(world.reader)
        path, newer, other = world.path(), world.path(med=1), world.path(med=2)
        world.group.flush([Change(None, path, [ONE]), Change(other, path, [TWO])])
        world.group.flush([Change(path, newer, [ONE, TWO])])
        assert world.member.pending_changes == {ONE: None, TWO: other}
        world.group.flush([Change(newer, None, [ONE, TWO, THREE])])
        assert world.member.pending_changes == {TWO: other, THREE: newer}

    def test_a_change_behind_the_best_path_is_none_to_them(self) -> None:
        world = World()
        world.group.writing_paused(world.reader)
        best = world.path(local_pref=200)
        world.rib.announce([ONE], best)
        changes = world.rib.announce([ONE], world.path(world.second))
        assert world.group.flush(changes) is None
        assert not world.member.pending_changes

    def test_with_several_paths_told_it_is_one(self) -> None:
        world = World(add_path_max=0)
        world.group.writing_paused(world.reader)
        best = world.path(local_pref=200)
        world.rib.announce([ONE], best)
        world.group.flush(world.rib.announce([ONE], world.path(world.second)))
        assert world.member.pending_changes == {ONE: best}


class TestChangedExports:
    def test_only_what_it_changes_is_advertised(self) -> None:
        world = World()
        world.take(world.group.flush(world.rib.announce([ONE, TWO], world.path())))
        world.take(
            world.group.flush(world.rib.announce([THREE], world.path(local_pref=7)))
        )
        world.group.replace_export(an_export(TAGS), [ONE, TWO, THREE])
        assert world.group.pending_re_advertisement_count == 3
        assert world.held() == {ONE: 100, TWO: 100, THREE: 7}
        outbound = world.group.re_advertise(world.rib.table, [THREE])
        assert outbound is None
        assert world.group.pending_re_advertisement_count == 2
        world.take(world.group.re_advertise(world.rib.table, [ONE, TWO, THREE]))
        assert world.held() == {ONE: 7, TWO: 7, THREE: 7}
        assert world.group.pending_re_advertisement_count == 0
        assert world.group.re_advertise(world.rib.table, [ONE]) is None

    @pytest.mark.parametrize("spec", [REJECTS, HALF])
    def test_what_it_bars_is_withdrawn(self, spec: PolicySpec) -> None:
        world = World()
        world.take(world.group.flush(world.rib.announce([ONE, TWO], world.path())))
        world.group.replace_export(an_export(spec), [ONE, TWO])
        world.take(world.group.re_advertise(world.rib.table, [ONE, TWO]))
        assert world.held() == ({} if spec is REJECTS else {TWO: 100})
        world.group.replace_export(an_export(), [ONE, TWO])
        world.take(world.group.re_advertise(world.rib.table, [ONE, TWO]))
        assert world.held() == {ONE: 100, TWO: 100}

    def test_a_prefix_that_went_is_not_told(self) -> None:
        world = World()
        world.group.flush(world.rib.announce([ONE], world.path()))
        world.group.replace_export(an_export(TAGS), [ONE, TWO])
        assert world.group.re_advertise({}, [ONE, TWO]) is None

    def test_the_first_of_several_exports_is_what_they_know_it_by(self) -> None:
        world = World()
        world.take(world.group.flush(world.rib.announce([ONE], world.path())))
        for spec in (REJECTS, ACCEPT_ALL):
            world.group.replace_export(an_export(spec), [ONE])
        assert world.group.re_advertise(world.rib.table, [ONE]) is None
        assert world.held() == {ONE: 100}

    def test_the_newest_are_next(self) -> None:
        world = World()
        world.group.replace_export(an_export(TAGS), [ONE, TWO, THREE])
        assert world.group.next_to_re_advertise(2) == [THREE, TWO]

    def test_a_change_meanwhile_goes_from_what_they_know(self) -> None:
        world = World()
        path = world.path()
        world.take(world.group.flush(world.rib.announce([ONE, TWO, THREE], path)))
        world.group.replace_export(an_export(REJECTS), [ONE, TWO, THREE])
        changes = world.rib.announce([ONE, THREE], world.path(local_pref=200))
        world.take(world.group.flush(changes))
        assert world.held() == {TWO: 100}
        assert world.group.next_to_re_advertise(9) == [TWO]

    def test_a_new_prefix_meanwhile_goes_out_by_the_current_export(self) -> None:
        world = World()
        world.take(world.group.flush(world.rib.announce([ONE], world.path())))
        world.group.replace_export(an_export(TAGS), [ONE])
        changes = world.rib.announce([ONE, TWO], world.path(med=1))
        world.take(world.group.flush(changes))
        assert world.held() == {ONE: 7, TWO: 7}

    def test_what_is_not_export_stale_is_not_a_change_for_a_slow_peer(self) -> None:
        world = World()
        world.rib.announce([ONE, TWO], world.path())
        world.group.writing_paused(world.reader)
        world.group.replace_export(an_export(TAGS), [ONE])
        world.group.re_advertise(world.rib.table, [ONE, TWO])
        assert set(world.member.pending_changes) == {ONE}

    def test_a_change_behind_the_best_path_is_not_told_meanwhile(self) -> None:
        world = World()
        world.take(world.group.flush(world.rib.announce([ONE], world.path())))
        world.group.replace_export(an_export(TAGS), [TWO])
        worse = world.path(world.second, local_pref=1)
        assert world.group.flush(world.rib.announce([ONE], worse)) is None

    def test_a_slow_peer_has_an_uncertain_export_and_notes_what_it_held(self) -> None:
        world = World()
        path = world.path()
        world.group.flush(world.rib.announce([ONE], path))
        current = world.group.members[world.first]
        world.group.writing_paused(world.reader)
        world.group.replace_export(an_export(TAGS), [ONE])
        assert world.member.has_uncertain_export
        assert not current.has_uncertain_export
        world.group.re_advertise(world.rib.table, [ONE])
        assert world.member.pending_changes == {ONE: path}


class TestDoubt:
    def test_everything_is_advertised_again(self) -> None:
        world = World()
        world.take(world.group.flush(world.rib.announce([ONE], world.path())))
        world.group.mark_export_unknown([ONE])
        assert world.group.pending_re_advertisement_count == 1
        assert world.take(world.group.re_advertise(world.rib.table, [ONE]))
        assert world.held() == {ONE: 100}

    def test_what_may_not_be_advertised_any_more_is_withdrawn(self) -> None:
        world = World(REJECTS)
        path = world.path()
        outbound = world.group.encode(
            [Change(path, path, [ONE])], is_previous_unknown=True
        )
        assert outbound is not None
        assert outbound.octets == pack_withdraw(IPV4_UNICAST, [ONE], 4096)

    def test_what_was_remembered_of_paths_is_not_used_again(self) -> None:
        world = World()
        path = world.path(local_pref=None)
        before = world.group.export.outgoing(path)
        world.first.router_id += 1
        world.group.mark_export_unknown([])
        assert world.group.export.outgoing(path) != before

    def test_a_slow_peer_has_an_uncertain_export_too(self) -> None:
        world = World()
        world.group.writing_paused(world.reader)
        world.group.mark_export_unknown([])
        assert world.member.has_uncertain_export
        assert not world.group.members[world.first].has_uncertain_export

    def test_of_several_paths_too(self) -> None:
        """More may have been advertised than the export allows now."""
        world = World(add_path_max=2)
        paths = [
            world.path(source, local_pref=100 + n)
            for n, source in enumerate((world.first, world.second, a_client(4)))
        ]
        for path in paths:
            world.rib.announce([ONE], path)
        entry = world.rib.table[ONE]
        outbound = world.group.encode([Change(None, entry, [ONE])])
        assert world.take(outbound)
        assert len(world.told.view) == 2
        outbound = world.group.encode(
            [Change(entry, entry, [ONE])], is_previous_unknown=True
        )
        assert world.take(outbound)
        assert len(world.told.view) == 2
        assert outbound is not None
        assert octets_of(outbound.share_of(a_client(9))).count(ONE) == 3


def test_a_peer_that_left_is_not_a_member() -> None:
    world = World()
    for _ in range(2):
        world.group.leave(world.reader)
        world.group.writing_paused(world.reader)
    assert set(world.group.members) == {world.first}
    assert world.member.state is State.OUTSIDE


def test_writing_is_paused_in_a_walk_and_the_rest_is_kept() -> None:
    world = World()
    joining = world.group.join(world.second)
    joining.joined(b"end")
    assert world.group.walks.gather(joining)
    assert world.group.walks.begin([ONE, TWO]) is not None
    world.group.writing_paused(world.second)
    assert joining.pending_walk == [ONE, TWO]
    assert not joining.has_uncertain_export


def test_what_it_was_sent_is_uncertain_while_an_export_is_replaced() -> None:
    world = World()
    world.rib.announce([ONE], world.path())
    world.group.replace_export(an_export(TAGS), [ONE])
    assert not world.member.has_uncertain_export
    world.group.writing_paused(world.reader)
    assert world.member.has_uncertain_export
