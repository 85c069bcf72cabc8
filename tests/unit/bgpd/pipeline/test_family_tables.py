"""Moments in the life of a group's members; the property test makes histories of them."""

import asyncio
from collections.abc import Sequence

import pytest

from bgpd.pipeline import flush_scheduler
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.pipeline.flush_scheduler import FLUSH_LIMIT
from bgpd.pipeline.route_consumers import RouteConsumers
from bgpd.runtime.work_queue import WorkQueue
from reflector import walks
from reflector.export import ExportContext, PeerType
from reflector.walks import CATCH_UP_SLICE, Walk
from rib.change import Change
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.nlri import make_nlri, parse_prefix
from rib.path import NextHop, Path, Source, SourceKind
from rib.policy import (
    ACCEPT_ALL,
    Actions,
    Match,
    Operator,
    Outcome,
    Policy,
    PolicySpec,
    Term,
    compile_policy,
    prefix_match,
)
from tests.support.exports import a_context
from tests.support.routes import some_attributes
from tests.support.simnet import run_virtually
from tests.support.speakers import until
from tests.support.told import (
    StepLoop,
    Told,
    begin_refresh,
    by_prefix,
    end_refresh,
    messages_of,
    octets_of,
)
from tests.support.turns import turn

pytestmark = pytest.mark.usefixtures("either_twin")

NLRIS = [parse_prefix(f"10.{number}.0.0/16")[1] for number in range(8)]
HOP = NextHop(bytes((192, 0, 2, 1)))
ANY = Policy(ACCEPT_ALL)


def a_client(number: int) -> Source:
    return Source(
        f"client {number}",
        SourceKind.IBGP,
        address=bytes((10, 255, 0, number)),
        router_id=number,
        asn=64512,
        is_client=True,
        cluster_id=7,
    )


def a_path(source: Source, local_pref: int = 100) -> Path:
    return Path(source, some_attributes(local_pref=local_pref), HOP)


class Peers:
    """Tables with members whose sockets fill when told to."""

    def __init__(self, real_loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = StepLoop()
        loop = real_loop or self.loop.as_event_loop()
        self.work_queue = WorkQueue(loop)
        self.consumers = RouteConsumers()
        self.tables = FamilyTables(
            LocRib(IPV4_UNICAST), loop, self.work_queue, self.consumers
        )
        self.sources: list[Source] = []
        self.told: list[Told] = []
        self.writes: list[int] = []  # by whom, in order
        self.full: set[int] = set()
        self.origin = a_client(99)

    def join(self, context: ExportContext | None = None, policy: Policy = ANY) -> int:
        number = len(self.sources)
        source, told = a_client(number), Told()
        self.sources.append(source)
        self.told.append(told)

        def write(share: Sequence[bytes], count: int) -> bool:
            self.writes.append(number)
            octets = octets_of(share)
            assert count == len(messages_of(octets))
            told.take(octets)
            return number not in self.full

        context = context or a_context(cluster_id=7, policy=policy.name)
        self.tables.join(source, context, policy, write)
        return number

    def announce(self, *nlris: bytes, local_pref: int = 100) -> None:
        path = a_path(self.origin, local_pref)
        self.tables.changed(self.tables.loc_rib.announce(list(nlris), path))

    def withdraw(self, *nlris: bytes) -> None:
        self.tables.changed(self.tables.loc_rib.withdraw(nlris, self.origin))

    def drain(self, number: int) -> None:
        self.full.discard(number)
        self.tables.writing_resumed(self.sources[number])

    def held(self, number: int) -> set[bytes]:
        return set(by_prefix(self.told[number].view))


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Peers:
    monkeypatch.setattr(walks, "CATCH_UP_SLICE", 2)
    return Peers()


def test_members_that_join_together_share_a_walk(peers: Peers) -> None:
    peers.announce(*NLRIS)
    peers.loop.run()
    everybody = [peers.join() for _ in range(3)]
    peers.loop.run()
    assert peers.writes == everybody * (len(NLRIS) // 2) + everybody
    assert all(peers.held(number) == set(NLRIS) for number in everybody)
    assert [told.ends for told in peers.told] == [1, 1, 1]


@pytest.mark.rfc("4724", "2", "SHOULD")
def test_an_empty_table_has_an_end_too(peers: Peers) -> None:
    peers.join()
    peers.loop.run()
    assert peers.told[0].ends == 1


def test_a_prefix_that_comes_back_before_its_withdrawal_was_sent(peers: Peers) -> None:
    path = a_path(peers.origin)
    rib = peers.tables.loc_rib
    peers.tables.changed(rib.announce(NLRIS, path))
    peers.loop.run()
    peers.join()
    peers.tables.changed(rib.withdraw(NLRIS[:1], peers.origin))
    peers.loop.step()  # the snapshot, while the change still waits
    peers.tables.changed(rib.announce(NLRIS[:1], path))
    peers.loop.run()
    assert peers.held(0) == set(NLRIS)


def test_prefixes_that_come_back_while_a_slice_goes_out(peers: Peers) -> None:
    path = a_path(peers.origin)
    rib = peers.tables.loc_rib
    peers.tables.changed(rib.announce(NLRIS, path))
    peers.loop.run()
    peers.join()
    while not peers.writes:
        peers.loop.step()
    peers.tables.changed(rib.withdraw(NLRIS, peers.origin))
    peers.loop.step()  # a slice, while the changes still wait
    peers.tables.changed(rib.announce(NLRIS, path))
    peers.loop.run()
    assert peers.held(0) == set(NLRIS)


def test_a_member_whose_socket_fills_costs_the_others_nothing(peers: Peers) -> None:
    peers.announce(*NLRIS)
    peers.loop.run()
    slow, quick = peers.join(), peers.join()
    peers.full.add(slow)
    peers.loop.run()
    assert peers.held(quick) == set(NLRIS)
    assert len(peers.held(slow)) == 2
    assert peers.told[slow].ends == 0
    peers.drain(slow)
    peers.loop.run()
    assert peers.held(slow) == set(NLRIS)
    assert peers.told[slow].ends == 1


def test_a_member_that_is_full_before_its_first_slice(peers: Peers) -> None:
    peers.announce(*NLRIS)
    peers.loop.run()
    slow = peers.join()
    peers.tables.writing_paused(peers.sources[slow])
    peers.loop.run()
    assert not peers.writes
    peers.drain(slow)
    peers.loop.run()
    assert peers.held(slow) == set(NLRIS)
    assert peers.told[slow].ends == 1


class TestAFlushInSeveralTurns:
    @pytest.fixture
    def half_told(self, peers: Peers, monkeypatch: pytest.MonkeyPatch) -> Peers:
        """The first of three members has received a change, the others have not."""
        monkeypatch.setattr(flush_scheduler, "WRITE_TIME", 0.0)
        for _ in range(3):
            peers.join()
        peers.loop.run()
        peers.writes.clear()
        peers.announce(*NLRIS)
        while not peers.writes:
            peers.loop.step()
        assert peers.writes == [0]
        return peers

    def test_all_receive_it_in_the_end(self, half_told: Peers) -> None:
        half_told.loop.run()
        assert half_told.writes == [0, 1, 2]
        assert all(half_told.held(n) == set(NLRIS) for n in range(3))

    def test_what_changes_meanwhile_comes_after_it(self, half_told: Peers) -> None:
        half_told.withdraw(NLRIS[0])
        half_told.loop.run()
        assert half_told.writes == [0, 1, 2, 0, 1, 2]
        assert all(half_told.held(n) == set(NLRIS[1:]) for n in range(3))

    def test_a_peer_that_becomes_slow_meanwhile_misses_nothing(
        self, half_told: Peers
    ) -> None:
        half_told.tables.writing_paused(half_told.sources[2])
        half_told.withdraw(NLRIS[0])
        half_told.loop.run()
        half_told.drain(2)
        half_told.loop.run()
        assert all(half_told.held(n) == set(NLRIS[1:]) for n in range(3))

    def test_a_peer_that_leaves_meanwhile_receives_nothing_more(
        self, half_told: Peers
    ) -> None:
        half_told.tables.leave(half_told.sources[1])
        half_told.loop.run()
        assert half_told.writes == [0, 2]

    def test_a_peer_that_joins_meanwhile_receives_everything(
        self, half_told: Peers
    ) -> None:
        newcomer = half_told.join()
        half_told.loop.run()
        assert half_told.held(newcomer) == set(NLRIS)
        assert half_told.told[newcomer].ends == 1


def test_a_flush_waits_a_little_for_what_was_received(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peers = Peers()
    has_more = True
    monkeypatch.setattr(peers.tables._flushes, "_has_more", lambda: has_more)
    peers.join()
    peers.loop.run()
    peers.writes.clear()
    peers.announce(NLRIS[0])
    for _ in range(5):
        peers.loop.step()
    assert peers.writes == []
    peers.announce(NLRIS[1])
    has_more = False
    peers.loop.run()
    assert peers.writes == [0]
    assert peers.held(0) == set(NLRIS[:2])


def test_a_socket_that_fills_by_a_change_between_slices(peers: Peers) -> None:
    peers.announce(*NLRIS)
    peers.loop.run()
    slow = peers.join()
    while not peers.writes:
        peers.loop.step()
    peers.full.add(slow)
    peers.announce(NLRIS[0], local_pref=7)
    peers.tables.flush_now()
    peers.loop.run()
    peers.drain(slow)
    peers.loop.run()
    assert peers.held(slow) == set(NLRIS)


def test_what_a_slow_member_misses_is_bounded_by_the_table(peers: Peers) -> None:
    slow = peers.join()
    peers.announce(*NLRIS)
    peers.loop.run()
    peers.tables.writing_paused(peers.sources[slow])
    for local_pref in range(50):
        peers.announce(*NLRIS, local_pref=local_pref)
        peers.loop.run()
    member = peers.tables.member(peers.sources[slow])
    assert member is not None
    assert len(member.pending_changes) == len(NLRIS)
    before = len(peers.writes)
    peers.drain(slow)
    peers.loop.run()
    assert len(peers.writes) - before == len(NLRIS) // 2


def test_changes_while_one_waits_are_advertised_once(peers: Peers) -> None:
    peers.join()
    peers.loop.run()
    peers.announce(*NLRIS)
    peers.withdraw(*NLRIS[:4])
    peers.announce(*NLRIS[:2], local_pref=5)
    peers.writes.clear()
    peers.loop.run()
    assert peers.writes == [0]
    assert peers.held(0) == {*NLRIS[:2], *NLRIS[4:]}


@pytest.mark.rfc("7313", "4", "MUST NOT")
def test_a_refresh_waits_for_the_first_end_of_rib(peers: Peers) -> None:
    peers.announce(*NLRIS)
    peers.loop.run()
    number = peers.join()
    while not peers.writes:
        peers.loop.step()
    source = peers.sources[number]
    for _ in range(2):
        peers.tables.refresh(source, before=begin_refresh(), after=end_refresh())
    peers.loop.run()
    assert peers.told[number].refreshes == 1  # asked for twice, begun once
    assert peers.held(number) == set(NLRIS)


@pytest.mark.rfc("2918", "4", "MUST")
def test_a_plain_refresh_tells_all_again_and_no_more(peers: Peers) -> None:
    peers.announce(*NLRIS)
    number = peers.join()
    peers.loop.run()
    peers.told[number].view.clear()
    peers.tables.refresh(peers.sources[number])
    peers.loop.run()
    assert peers.held(number) == set(NLRIS)
    assert peers.told[number].ends == 1


class TestPolicies:
    HALF = prefix_match(Operator.IN, "10.0.0.0/14")  # the first four
    FIRST = PolicySpec("p", (Term("all", Outcome.ACCEPT),))
    SECOND = PolicySpec(
        "p",
        (
            Term("half", Outcome.REJECT, Match(prefixes=HALF)),
            Term("others", Outcome.ACCEPT),
        ),
    )
    TAGGED = PolicySpec(
        "p",
        (
            Term(
                "half",
                Outcome.ACCEPT,
                Match(prefixes=HALF),
                Actions(add_communities=(1,)),
            ),
            Term("others", Outcome.ACCEPT),
        ),
    )

    def test_a_new_policy_tells_only_what_differs(self, peers: Peers) -> None:
        peers.announce(*NLRIS)
        peers.join(policy=compile_policy(self.FIRST))
        peers.loop.run()
        held = dict(peers.told[0].view)
        peers.told[0].view.clear()
        peers.tables.replace_policy("p", compile_policy(self.TAGGED))
        peers.loop.run()
        assert peers.held(0) == set(NLRIS[:4])
        peers.told[0].view = {**held, **peers.told[0].view}
        peers.tables.replace_policy("p", compile_policy(self.SECOND))
        peers.loop.run()
        assert peers.held(0) == set(NLRIS[4:])

    def test_routes_that_go_meanwhile_are_withdrawn(self, peers: Peers) -> None:
        peers.announce(*NLRIS)
        peers.join(policy=compile_policy(self.FIRST))
        peers.loop.run()
        peers.tables.replace_policy("p", compile_policy(self.SECOND))
        peers.withdraw(*NLRIS)
        peers.loop.run()
        assert peers.held(0) == set()

    def test_routes_that_wait_to_be_withdrawn_are(self, peers: Peers) -> None:
        peers.announce(*NLRIS)
        peers.join(policy=compile_policy(self.FIRST))
        peers.loop.run()
        peers.withdraw(*NLRIS)
        peers.tables.replace_policy("p", compile_policy(self.SECOND))
        peers.loop.run()
        assert peers.held(0) == set()

    @pytest.mark.parametrize("is_joining", [False, True])
    def test_a_peer_that_catches_up_between_two_policies_gets_the_second(
        self, peers: Peers, is_joining
    ) -> None:
        first = compile_policy(self.FIRST)
        tags = Term("tag", Outcome.ACCEPT, actions=Actions(add_communities=(1,)))
        peers.announce(*NLRIS)
        quick, slow = peers.join(policy=first), peers.join(policy=first)
        if is_joining:
            while not peers.writes:
                peers.loop.step()
        else:
            peers.loop.run()
        peers.tables.writing_paused(peers.sources[slow])
        if not is_joining:
            peers.announce(*NLRIS[:2], local_pref=7)
        peers.loop.run()
        peers.drain(slow)
        peers.tables.replace_policy("p", compile_policy(PolicySpec("p", (tags,))))
        peers.loop.step()  # the slow member comes first, the group's turn is next
        tag = b"\xc0\x08\x04\0\0\0\1"
        told = [outgoing.attributes for outgoing in peers.told[slow].view.values()]
        assert any(tag in attributes for attributes in told)
        peers.tables.replace_policy("p", first)
        peers.loop.run()
        assert peers.held(slow) == set(NLRIS)
        assert peers.told[slow].view == peers.told[quick].view

    def test_other_policies_groups_are_left_alone(self, peers: Peers) -> None:
        peers.announce(*NLRIS)
        peers.join()
        peers.loop.run()
        peers.writes.clear()
        peers.tables.replace_policy("p", compile_policy(self.SECOND))
        peers.loop.run()
        assert not peers.writes

    def test_a_member_that_moves_loses_what_its_new_group_does_not_advertise(
        self, peers: Peers
    ) -> None:
        peers.announce(*NLRIS)
        peers.join(policy=compile_policy(self.FIRST))
        peers.loop.run()
        source = peers.sources[0]
        context = a_context(cluster_id=7, policy="other")
        rejects = compile_policy(PolicySpec("other", self.SECOND.terms))
        peers.tables.move(source, context, rejects)
        peers.loop.run()
        assert peers.held(0) == set(NLRIS[4:])
        assert list(peers.tables.groups) == [context]
        assert peers.told[0].ends == 1
        peers.writes.clear()
        peers.tables.move(source, context, rejects)
        peers.loop.run()
        assert not peers.writes


def test_a_source_that_is_no_longer_a_client(peers: Peers) -> None:
    non_client = a_context(PeerType.NON_CLIENT, cluster_id=0)
    peers.announce(*NLRIS)
    peers.join(non_client)
    peers.loop.run()
    assert peers.held(0) == set(NLRIS)
    peers.withdraw(NLRIS[0])
    peers.tables.re_export_routes_of(peers.origin)
    peers.origin.is_client = False
    peers.withdraw(NLRIS[1])
    peers.loop.run()
    assert peers.held(0) == set()


def test_members_that_join_while_others_catch_up_wait_and_go_together(
    peers: Peers,
) -> None:
    peers.announce(*NLRIS)
    peers.loop.run()
    first = peers.join()
    for _ in range(2):
        peers.loop.step()  # it is on its way
    others = []
    for _ in range(5):
        others.append(peers.join())
        peers.loop.step()
        assert len(peers.work_queue) <= 1
    peers.withdraw(NLRIS[0])
    peers.loop.run()
    for number in (first, *others):
        assert peers.held(number) == set(NLRIS[1:])
        assert peers.told[number].ends == 1
    # Two walks through the table, not six: one write for each slice, and one for its end.
    assert peers.writes.count(others[-1]) <= len(NLRIS) // 2 + 2
    (group,) = peers.tables.groups.values()
    assert group.walks.walk is None


def test_a_catch_up_that_fails_does_not_hold_up_those_who_wait(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers.announce(*NLRIS)
    peers.loop.run()
    peers.join()
    peers.loop.step()
    waiting = peers.join()
    (group,) = peers.tables.groups.values()
    with monkeypatch.context() as patch:
        patch.setattr(Walk, "next_slice", lambda _: 1 // 0)
        while group.walks.walk is not None:
            peers.loop.step()
    peers.loop.run()
    assert peers.held(waiting) == set(NLRIS)


def test_leaving_leaves_nothing_behind(peers: Peers) -> None:
    peers.announce(*NLRIS)
    numbers = [peers.join() for _ in range(2)]
    peers.loop.step()
    for number in numbers:
        peers.tables.leave(peers.sources[number])
        peers.tables.leave(peers.sources[number])
    peers.tables.writing_paused(peers.sources[0])
    peers.tables.writing_resumed(peers.sources[0])
    peers.tables.refresh(peers.sources[0])
    peers.tables.move(peers.sources[0], a_context(), ANY)
    peers.loop.run()
    tables = peers.tables
    assert not tables.groups
    assert tables.group_of(peers.sources[0]) is None
    assert not tables._membership.writers  # nothing may be pinned
    assert not peers.work_queue


def test_consumers_see_every_change_in_order(peers: Peers) -> None:
    heard: dict[bytes, object] = {}

    class Consumer:
        def changed(self, changes: Sequence[Change]) -> None:
            for old, new, nlris in changes:
                for nlri in nlris:
                    assert heard.get(nlri) is old
                    heard[nlri] = new

    peers.consumers.attach(Consumer())
    peers.announce(*NLRIS)
    peers.loop.run()
    peers.withdraw(*NLRIS[2:])
    peers.announce(NLRIS[0], local_pref=3)
    assert peers.tables.pending_count == len(NLRIS) - 1
    peers.loop.run()
    left = {nlri: entry for nlri, entry in heard.items() if entry is not None}
    assert left == peers.tables.loc_rib.table


@pytest.mark.slow
def test_on_a_loop_that_turns() -> None:
    """More prefixes than one flush and one slice hold, and a member that is slow."""

    async def main() -> None:
        peers = Peers(asyncio.get_running_loop())
        count = FLUSH_LIMIT + CATCH_UP_SLICE
        nlris = [
            make_nlri((number << 8).to_bytes(4, "big"), 24) for number in range(count)
        ]
        peers.join()
        slow = peers.join()
        await turn()
        peers.full.add(slow)
        peers.announce(*nlris)
        peers.join()
        await until(lambda: not peers.tables.pending_count and peers.told[2].ends)
        assert len(peers.held(0)) == len(peers.held(2)) == count
        peers.drain(slow)
        await until(lambda: len(peers.held(slow)) == count)
        assert peers.told[0].view == peers.told[slow].view == peers.told[2].view

    run_virtually(main())
