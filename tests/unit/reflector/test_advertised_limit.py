"""A limit of what one member is advertised: what leaves, what waits, what comes when."""

from random import Random

import pytest

from bgpd.wire.pack import pack_announce, pack_blocks, pack_withdraw
from reflector.advertised_limit import AdvertisedLimit
from reflector.export import Export, Outgoing, PeerType
from reflector.flush import Batch, Outbound
from reflector.group import UpdateGroup
from rib.change import Change
from rib.path import Path, SourceKind
from rib.policy import ACCEPT_ALL, compile_policy
from tests.support.exports import a_context, from_peer
from tests.support.routes import a_source, nlris
from tests.support.told import Told

MEMBER = a_source("member", SourceKind.IBGP)
OTHER = a_source("other", SourceKind.IBGP)
ONE, TWO, THREE, FOUR = nlris(
    "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"
)
ROUTE = Outgoing(b"block", b"")


def announced(limit: AdvertisedLimit, *pieces: bytes, origin=None, **options) -> Batch:
    batch = Batch()
    batch.announce(origin, ROUTE, pieces)
    limit.admit(
        batch, MEMBER, is_previous_unknown=options.get("is_previous_unknown", False)
    )
    return batch


def withdrawn(limit: AdvertisedLimit, *pieces: bytes, origin=None) -> Batch:
    batch = Batch()
    batch.withdraw(origin, pieces)
    limit.admit(batch, MEMBER, is_previous_unknown=False)
    return batch


def test_what_is_too_much_waits_and_the_rest_leaves() -> None:
    limit = AdvertisedLimit(2, is_add_path=False)
    batch = announced(limit, ONE, TWO, THREE)
    assert batch.announced == {None: {ROUTE: [ONE, TWO]}}
    assert not batch.withdrawn
    assert limit.advertised == {ONE, TWO}
    assert list(limit.waiting) == [THREE]
    assert limit.count == 3
    assert limit.with_room(9) == []


def test_what_is_advertised_may_change_and_what_waits_goes_unsaid() -> None:
    limit = AdvertisedLimit(1, is_add_path=False)
    announced(limit, ONE, TWO)
    assert announced(limit, ONE).announced == {None: {ROUTE: [ONE]}}
    assert not announced(limit, TWO)
    assert limit.count == 2
    assert not withdrawn(limit, TWO)
    assert limit.count == 1
    assert withdrawn(limit, ONE).withdrawn == {None: [ONE]}
    assert limit.count == 0


def test_there_is_room_for_as_many_as_went_the_oldest_first() -> None:
    limit = AdvertisedLimit(2, is_add_path=False)
    announced(limit, ONE, TWO, THREE, FOUR)
    withdrawn(limit, ONE)
    assert limit.with_room(9) == [THREE]
    withdrawn(limit, TWO)
    assert limit.with_room(9) == [THREE, FOUR]
    assert limit.with_room(1) == [THREE]
    announced(limit, THREE)
    assert limit.advertised == {THREE}
    assert list(limit.waiting) == [FOUR]


def test_without_a_number_all_leave_and_are_counted() -> None:
    limit = AdvertisedLimit(0, is_add_path=False)
    assert announced(limit, ONE, TWO).announced == {None: {ROUTE: [ONE, TWO]}}
    assert limit.count == 2
    assert limit.with_room(9) == []


def test_with_add_path_each_path_counts_and_room_is_for_whole_prefixes() -> None:
    limit = AdvertisedLimit(1, is_add_path=True)
    paths = [number.to_bytes(4, "big") + ONE for number in (1, 2, 3)]
    announced(limit, *paths, bytes(4) + TWO)
    assert limit.count == 4
    withdrawn(limit, paths[0])
    assert limit.with_room(9) == [ONE]
    assert AdvertisedLimit(9, is_add_path=True).with_room(9) == []


def test_the_member_s_own_routes_are_not_sent_to_it_and_do_not_count() -> None:
    limit = AdvertisedLimit(1, is_add_path=False)
    batch = announced(limit, ONE, TWO, origin=MEMBER)
    assert batch.announced == {MEMBER: {ROUTE: [ONE, TWO]}}
    assert withdrawn(limit, ONE, origin=MEMBER).withdrawn == {MEMBER: [ONE]}
    assert limit.count == 0
    announced(limit, THREE, FOUR, origin=OTHER)
    assert limit.count == 2
    batch = Batch()
    batch.withdraw_from(MEMBER, [THREE, FOUR])
    limit.admit(batch, MEMBER, is_previous_unknown=False)
    assert batch.private == {MEMBER: [THREE]}
    assert limit.count == 0
    batch = Batch()
    limit.waiting[FOUR] = None
    batch.withdraw_from(MEMBER, [FOUR])
    limit.admit(batch, MEMBER, is_previous_unknown=False)
    assert not batch


def test_what_a_batch_says_stays_apart_by_whose_it_is() -> None:
    limit = AdvertisedLimit(1, is_add_path=False)
    batch = Batch()
    batch.announce(MEMBER, ROUTE, [ONE])
    batch.announce(OTHER, ROUTE, [TWO, THREE])
    limit.admit(batch, MEMBER, is_previous_unknown=False)
    assert batch.announced == {MEMBER: {ROUTE: [ONE]}, OTHER: {ROUTE: [TWO]}}
    assert withdrawn(limit, TWO, THREE, origin=OTHER).withdrawn == {OTHER: [TWO]}


def test_in_doubt_what_waits_is_withdrawn() -> None:
    limit = AdvertisedLimit(1, is_add_path=False)
    batch = announced(limit, ONE, TWO, is_previous_unknown=True)
    assert batch.announced == {None: {ROUTE: [ONE]}}
    assert batch.withdrawn == {None: [TWO]}
    assert list(limit.waiting) == [TWO]


def a_group(most: int, **options: object) -> UpdateGroup:
    context = a_context(PeerType.CLIENT, max_advertised=most, alone="a", **options)
    export = Export(context, compile_policy(ACCEPT_ALL))
    group = UpdateGroup(export, pack_announce, pack_withdraw, pack_blocks)
    group.join(MEMBER)
    return group


def test_a_group_counts_for_those_who_ask_alone() -> None:
    context = a_context(PeerType.CLIENT)
    export = Export(context, compile_policy(ACCEPT_ALL))
    assert export.reflects_only
    group = UpdateGroup(export, pack_announce, pack_withdraw, pack_blocks)
    assert group.limit is None
    limited = a_group(1)
    assert limited.limit is not None
    assert not limited.export.reflects_only


@pytest.mark.parametrize("seed", range(20))
def test_a_member_never_holds_more_and_what_waits_comes(seed: int) -> None:
    random = Random(seed)
    some = nlris(*(f"10.{n}.0.0/16" for n in range(12)))
    group = a_group(5)
    limit = group.limit
    assert limit is not None
    paths = [from_peer(SourceKind.EBGP, router_id=n) for n in (1, 2)]
    own = from_peer(SourceKind.IBGP)
    own.source = MEMBER
    table: dict[bytes, Path] = {}
    told = Told()

    def held() -> set[bytes]:
        return {nlri for _, nlri in told.view}

    def hear(outbound: Outbound | None) -> None:
        if outbound is not None:
            told.take(b"".join(outbound.share_of(MEMBER)))

    for _ in range(200):
        nlri, new = random.choice(some), random.choice([*paths, own, None])
        old = table.get(nlri)
        if new is old:
            continue
        if new is None:
            del table[nlri]
        else:
            table[nlri] = new
        hear(group.flush([Change(old, new, [nlri])]))
        assert len(held()) <= 5
        if more := limit.with_room(9):
            group.mark_export_unknown(more)
            hear(group.re_advertise(table, more))
        wanted = {nlri for nlri, path in table.items() if path is not own}
        assert held() <= wanted
        assert len(held()) == min(5, len(wanted))
        assert limit.advertised == held()
        assert limit.waiting.keys() == wanted - held()
