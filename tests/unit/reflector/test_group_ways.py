"""What a group's members receive for each kind of change, by each of its ways.

Routes are reflected by their blocks, advertised in an outgoing form for all prefixes, or judged
prefix by prefix: the members must not notice which.
"""

import pytest

from bgpd.wire.pack import pack_withdraw
from bgpd.wire.update import split_fields
from reflector.export import Export, PeerType
from reflector.flush import Outbound
from reflector.path_ids import PathIds
from rib.attributes.communities import NO_ADVERTISE
from rib.change import Change
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.nlri import split
from rib.path import NextHop, Path, Source, SourceKind
from rib.path_set import DecisionContext, PathSet
from rib.policy import (
    ACCEPT_ALL,
    Match,
    Operator,
    Outcome,
    Policy,
    PolicySpec,
    Term,
    compile_policy,
    prefix_match,
)
from tests.support.exports import a_client, a_context, group_of
from tests.support.routes import nlris, some_attributes
from tests.support.told import messages_of, octets_of

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
HOP = NextHop(bytes((192, 0, 2, 1)))
NONE = Match(prefixes=prefix_match(Operator.IN, "9.0.0.0/8"))
WAYS = {
    "reflected": ACCEPT_ALL,
    "alike": PolicySpec("all", (), accepts_unmatched=True),
    "one by one": PolicySpec(
        "all", (Term("t", Outcome.REJECT, NONE),), accepts_unmatched=True
    ),
}
GOOD = some_attributes(local_pref=100)
BETTER = some_attributes(local_pref=200)
SECRET = some_attributes(local_pref=300, communities=(NO_ADVERTISE,))
Said = dict[bytes, object]  # prefix -> LOCAL_PREF, or None where it was withdrawn


def said_by(octets: bytes) -> Said:
    said: Said = {}
    for _, body in messages_of(octets):
        withdrawn, block, nlri = split_fields(body)
        said.update(dict.fromkeys(split(withdrawn)))
        at = block.find(b"\x40\x05\x04") + 3
        local_pref = int.from_bytes(block[at : at + 4], "big")
        said.update(dict.fromkeys(split(nlri), local_pref))
    return said


def share(outbound: Outbound | None, source: Source) -> bytes:
    return b"" if outbound is None else octets_of(outbound.share_of(source))


class World:
    """Two members and a reader, a client outside the group, and an external peer."""

    def __init__(self, spec: PolicySpec) -> None:
        self.group = group_of(Export(a_context(cluster_id=7), compile_policy(spec)))
        self.first, self.second, self.reader, self.stranger = map(a_client, range(1, 5))
        for member in (self.first, self.second, self.reader):
            self.group.join(member)
        self.external = Source("external", SourceKind.EBGP, address=bytes(4))

    def path(self, source: Source, attributes=GOOD) -> Path:
        return Path(source, attributes, HOP)

    def say(self, *changes: Change) -> tuple[Said, Said, Said]:
        """Return what the first and second member, and the reader, receive."""
        outbound = self.group.encode(changes)
        if outbound is None:
            return {}, {}, {}
        assert outbound.special <= self.group.members.keys()
        members = (self.first, self.second, self.reader)
        one, two, three = (
            said_by(octets_of(outbound.share_of(source))) for source in members
        )
        return one, two, three


@pytest.fixture(params=WAYS)
def world(request: pytest.FixtureRequest) -> World:
    return World(WAYS[request.param])


def test_a_new_route_goes_to_all_but_its_own_member(world: World) -> None:
    change = Change(None, world.path(world.first), [ONE, TWO])
    both: Said = {ONE: 100, TWO: 100}
    assert world.say(change) == ({}, both, both)


@pytest.mark.parametrize("name", ["stranger", "external"])
def test_a_route_of_no_member_goes_to_all(world: World, name: str) -> None:
    change = Change(None, world.path(getattr(world, name)), [ONE])
    assert world.say(change) == ({ONE: 100},) * 3
    gone = Change(world.path(getattr(world, name)), None, [ONE])
    assert world.say(gone) == ({ONE: None},) * 3
    outbound = world.group.encode([gone, Change(None, world.path(world.first), [TWO])])
    assert outbound is not None
    assert set(outbound.spans) == {world.first}


def test_a_route_that_went_is_withdrawn_from_all_but_its_own_member(world) -> None:
    change = Change(world.path(world.first), None, [ONE])
    assert world.say(change) == ({}, {ONE: None}, {ONE: None})


def test_a_better_one_of_the_same_member_takes_its_place(world: World) -> None:
    change = Change(world.path(world.first), world.path(world.first, BETTER), [ONE])
    assert world.say(change) == ({}, {ONE: 200}, {ONE: 200})
    same = Change(world.path(world.first), world.path(world.first), [ONE])
    assert world.say(same) == ({}, {}, {})


def test_a_member_whose_route_takes_over_withdraws_what_it_held(world: World) -> None:
    """Even if it looks the same: the former holder did not hold it."""
    for attributes in (GOOD, BETTER):
        new = world.path(world.second, attributes)
        change = Change(world.path(world.first), new, [ONE])
        told: Said = {ONE: 100 if attributes is GOOD else 200}
        assert world.say(change) == (told, {ONE: None}, told)


def test_a_member_that_held_nothing_withdraws_nothing(world: World) -> None:
    hidden = world.path(world.first, SECRET)
    change = Change(hidden, world.path(world.second), [ONE])
    assert world.say(change) == ({ONE: 100}, {}, {ONE: 100})


def test_a_member_s_route_after_a_stranger_s(world: World) -> None:
    change = Change(world.path(world.stranger), world.path(world.first), [ONE])
    assert world.say(change) == ({ONE: None}, {ONE: 100}, {ONE: 100})


def test_a_stranger_s_route_after_a_member_s_reaches_that_member_too(world) -> None:
    change = Change(world.path(world.first), world.path(world.stranger), [ONE])
    assert world.say(change) == ({ONE: 100},) * 3


def test_even_if_it_looks_the_same(world: World) -> None:
    """Two sessions of one router, and only one of them is in the group."""
    world.stranger.router_id = world.first.router_id
    change = Change(world.path(world.first), world.path(world.stranger), [ONE])
    assert world.say(change) == ({ONE: 100},) * 3


def test_of_a_stranger_s_routes_what_looks_the_same_is_not_told(world: World) -> None:
    old, new = world.path(world.stranger), world.path(world.stranger)
    assert world.say(Change(old, new, [ONE])) == ({}, {}, {})
    changed = world.path(world.stranger, BETTER)
    assert world.say(Change(old, changed, [ONE])) == ({ONE: 200},) * 3


def test_a_route_that_must_not_be_advertised_is_withdrawn(world: World) -> None:
    hidden = world.path(world.first, SECRET)
    change = Change(world.path(world.first), hidden, [ONE])
    assert world.say(change) == ({}, {ONE: None}, {ONE: None})
    # The member whose route it is holds the other's no more either.
    change = Change(world.path(world.second), hidden, [ONE])
    assert world.say(change) == ({ONE: None}, {}, {ONE: None})
    assert world.say(Change(None, hidden, [ONE])) == ({}, {}, {})
    assert world.say(Change(hidden, None, [ONE])) == ({}, {}, {})
    assert world.say(Change(hidden, world.path(world.stranger, SECRET), [ONE])) == (
        {},
        {},
        {},
    )


def test_one_batch_says_each_thing_to_whom_it_concerns(world: World) -> None:
    said = world.say(
        Change(None, world.path(world.first), [ONE]),
        Change(world.path(world.second), None, [TWO]),
        Change(world.path(world.first), world.path(world.second), [THREE]),
    )
    assert said == (
        {TWO: None, THREE: 100},
        {ONE: 100, THREE: None},
        {ONE: 100, TWO: None, THREE: 100},
    )


def test_an_unchanged_route_does_not_end_a_batch(world: World) -> None:
    same = world.path(world.first)
    hidden = world.path(world.first, SECRET)
    said = world.say(
        Change(same, same, [ONE]),
        Change(None, hidden, [TWO]),
        Change(same, world.path(world.first), [ONE]),
        Change(None, same, [THREE]),
    )
    assert said == ({}, {THREE: 100}, {THREE: 100})


def test_the_best_of_several_is_what_is_advertised(world: World) -> None:
    best, worse = world.path(world.first, BETTER), world.path(world.second)
    situation = DecisionContext(DecisionOptions(), ((True, 0), (True, 0)))
    entry = PathSet((best, worse), best, situation)
    assert world.say(Change(best, entry, [ONE])) == ({}, {}, {})
    assert world.say(Change(entry, best, [ONE])) == ({}, {}, {})
    assert world.say(Change(None, entry, [ONE])) == ({}, {ONE: 200}, {ONE: 200})
    assert world.say(Change(entry, worse, [ONE])) == (
        {ONE: 100},
        {ONE: None},
        {ONE: 100},
    )
    none = PathSet((worse,), None, DecisionContext(DecisionOptions(), ((False, 0),)))
    assert world.say(Change(entry, none, [ONE])) == ({}, {ONE: None}, {ONE: None})
    assert world.say(Change(none, worse, [ONE])) == ({ONE: 100}, {}, {ONE: 100})


def test_a_block_that_needs_several_messages_goes_out_in_them(world: World) -> None:
    many = [b"\x18" + bytes((10, n >> 8, n & 255)) for n in range(1100)]
    outbound = world.group.encode([Change(None, world.path(world.first), many)])
    assert outbound is not None
    octets = octets_of(outbound.share_of(world.reader))
    assert len(messages_of(octets)) == 2
    assert said_by(octets) == dict.fromkeys(many, 100)
    assert outbound.share_of(world.first) == []


class TestSeveralPathsOfAPrefix:
    """RFC 7911: each under an identifier of its own, which lasts."""

    def world(self, most: int = 0, ids: PathIds | None = None) -> World:
        world = World(ACCEPT_ALL)
        context = a_context(cluster_id=7, add_path_max=most)
        group = group_of(Export(context, Policy(ACCEPT_ALL)), ids)
        for member in (world.first, world.second, world.reader):
            group.join(member)
        world.group = group
        return world

    def test_an_identifier_names_a_session_s_path(self) -> None:
        world = self.world()
        paths = [
            Path(world.first, GOOD, HOP, path_id=4),
            Path(world.first, GOOD, HOP, path_id=5),
            world.path(world.stranger),
            Path(Source("local", SourceKind.LOCAL), GOOD, HOP),
            Path(Source("other", SourceKind.LOCAL), GOOD, HOP),
            Path(world.first, BETTER, HOP, path_id=4),
        ]
        ids = [world.group._id_of(path) for path in paths]
        assert ids == [1, 2, 3, 4, 5, 1]

    def test_a_path_has_one_identifier_in_all_groups_of_a_family(self) -> None:
        ids = PathIds()
        one, other = self.world(ids=ids), self.world(1, ids)
        path, stranger = one.path(one.first), one.path(one.stranger)
        assert one.group._id_of(stranger) == 1
        assert other.group._id_of(path) == one.group._id_of(path) == 2

    def test_a_path_that_must_not_be_advertised_takes_no_other_s_place(self) -> None:
        world = self.world(most=1)
        rib = LocRib(IPV4_UNICAST)
        rib.announce([ONE], world.path(world.first, SECRET))
        changes = rib.announce([ONE], world.path(world.stranger))
        outbound = world.group.encode(changes)
        expected = b"\0\0\0\1" + ONE
        assert share(outbound, world.reader).endswith(expected)

    def test_a_path_is_advertised_again_when_another_has_its_identifier(self) -> None:
        """A peer's session ended, and its address belongs to another source now."""
        world = self.world()
        heir = Source(
            "heir",
            SourceKind.IBGP,
            address=world.first.address,
            router_id=world.first.router_id,
            is_client=True,
            cluster_id=7,
        )
        world.group.join(heir)
        before, after = world.path(world.first), world.path(heir)
        outbound = world.group.encode([Change(before, after, [ONE])])
        withdrawal = pack_withdraw(IPV4_UNICAST, [b"\0\0\0\1" + ONE], 4096)
        assert share(outbound, heir) == withdrawal
        assert share(outbound, world.first)
        stranger = Source("s", SourceKind.IBGP, address=world.first.address)
        stranger.is_client = True
        outbound = world.group.encode(
            [Change(before, world.path(stranger, BETTER), [ONE])]
        )
        assert outbound is not None
        assert not outbound.private

    def test_paths_that_went_are_withdrawn_from_all_but_their_member(self) -> None:
        world = self.world()
        gone = [
            Change(world.path(world.first), None, [ONE]),
            Change(world.path(world.stranger), None, [TWO]),
        ]
        outbound = world.group.encode(gone)
        assert outbound is not None
        assert set(outbound.spans) == {world.first}
        one, two = (bytes((0, 0, 0, n)) for n in (1, 2))
        of_stranger = pack_withdraw(IPV4_UNICAST, [two + TWO], 4096)
        of_first = pack_withdraw(IPV4_UNICAST, [one + ONE], 4096)
        assert share(outbound, world.first) == of_stranger
        assert share(outbound, world.reader) == of_first + of_stranger

    def test_an_equal_path_is_not_advertised_again(self) -> None:
        world = self.world()
        old, new = world.path(world.first), world.path(world.first)
        assert world.group.encode([Change(old, new, [ONE])]) is None


def test_towards_internal_peers_only_some_routes_are_reflected() -> None:
    context = a_context(PeerType.NON_CLIENT, cluster_id=7)
    group = group_of(Export(context, Policy(ACCEPT_ALL)))
    internal = Source("internal", SourceKind.IBGP, address=bytes(4))
    client = a_client(1)
    group.join(internal)
    assert group.encode([Change(None, Path(internal, GOOD, HOP), [ONE])]) is None
    outbound = group.encode([Change(None, Path(client, GOOD, HOP), [ONE])])
    assert outbound is not None
    assert said_by(outbound.octets) == {ONE: 100}
