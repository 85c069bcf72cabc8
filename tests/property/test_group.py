"""Whatever happens, a member holds what a lone peer of its export would hold."""

from collections.abc import Sequence
from sys import maxsize
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

import bgpd.pipeline.flush_scheduler
import reflector.pacing
import reflector.path_ids
import reflector.walks
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.pipeline.route_consumers import RouteConsumers
from bgpd.runtime.work_queue import WorkQueue
from reflector.export import Export, ExportContext, PeerType
from reflector.member_fsm import State
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable, Reachability
from rib.nlri import parse_prefix
from rib.path import Path, Source, SourceKind
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
from tests.support.routes import slow_twin, some_attributes
from tests.support.told import (
    StepLoop,
    Told,
    begin_refresh,
    by_prefix,
    end_refresh,
    lone_view,
    messages_of,
    octets_of,
)

PREFIXES = [parse_prefix(f"10.{number}.0.0/16")[1] for number in range(6)]
HOPS = ("192.0.2.1", "192.0.2.2")
ATTRIBUTES = [
    some_attributes(next_hop=hop, local_pref=pref, med=med, communities=communities)
    for hop, pref, med, communities in (
        (HOPS[0], 100, None, ()),
        (HOPS[1], 100, 1, ()),
        (HOPS[0], 200, 2, (0xFC000001,)),
        (HOPS[1], 50, None, (0xFFFFFF01,)),  # NO_EXPORT
        (HOPS[0], 100, 3, (0xFFFFFF02,)),  # NO_ADVERTISE
    )
]
ATTRIBUTES += [slow_twin(ATTRIBUTES[0]), slow_twin(ATTRIBUTES[2])]
SOME = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=4, unique=True)
PEERS = st.integers(0, 4)
NAME = "changing"


def policy(*terms: Term) -> PolicySpec:
    return PolicySpec(NAME, terms, accepts_unmatched=True)


HALF = prefix_match(Operator.IN, "10.0.0.0/14")
VERSIONS = [
    policy(Term("tag", Outcome.ACCEPT, actions=Actions(add_communities=(1,)))),
    policy(Term("half", Outcome.REJECT, Match(prefixes=HALF))),
    policy(Term("marked", Outcome.REJECT, Match(communities=frozenset({0xFC000001})))),
    policy(
        Term(
            "tag half",
            Outcome.ACCEPT,
            Match(prefixes=HALF),
            Actions(add_communities=(2,), next_hop=bytes((10, 9, 9, 9))),
        )
    ),
    policy(Term("nothing", Outcome.REJECT)),
]


def a_peer(number: int, kind: SourceKind, *, is_client: bool = False) -> Source:
    return Source(
        f"peer {number}",
        kind,
        address=bytes((10, 255, 0, number)),
        router_id=number + 1,
        asn=64512 if kind is SourceKind.IBGP else 65001,
        is_client=is_client,
        cluster_id=7,
    )


class Groups(RuleBasedStateMachine):
    """A table, its groups, and peers that come, go, change and stop reading."""

    def __init__(self) -> None:
        super().__init__()
        self.patches: list[Any] = [
            mock.patch.object(reflector.walks, "CATCH_UP_SLICE", 1),
            mock.patch.object(bgpd.pipeline.flush_scheduler, "FLUSH_LIMIT", 3),
            mock.patch.object(  # one each turn
                bgpd.pipeline.flush_scheduler, "WRITE_TIME", 0.0
            ),
            mock.patch.object(reflector.pacing, "FREE", 2),  # the third change waits
            mock.patch.object(reflector.pacing, "FIRST_WAIT", 5.0),
            mock.patch.object(reflector.path_ids, "_FLOOR", 1),  # taken back often
            mock.patch.object(reflector.path_ids, "SLICE", 1),
        ]
        for patch in self.patches:
            patch.start()
        self.loop = StepLoop()
        self.loc_rib = LocRib(IPV4_UNICAST)
        loop = self.loop.as_event_loop()
        work_queue = WorkQueue(loop)
        work_queue.budget = 0.0  # one slice each turn: anything may happen between two
        self.tables = FamilyTables(self.loc_rib, loop, work_queue, RouteConsumers())
        self.next_hops = NextHopTable()
        self.policies = {
            NAME: compile_policy(VERSIONS[0]),
            ACCEPT_ALL.name: Policy(ACCEPT_ALL),
        }
        self.sources = [
            a_peer(0, SourceKind.IBGP, is_client=True),
            a_peer(1, SourceKind.IBGP, is_client=True),
            a_peer(2, SourceKind.EBGP),
            a_peer(3, SourceKind.IBGP),
            Source("local", SourceKind.LOCAL, weight=1),
        ]
        self.told: dict[int, Told] = {}
        self.add_path: dict[int, int | None] = {}
        self.policy_of = dict.fromkeys(range(4), NAME)
        self.room: dict[int, int] = {}  # writes until a socket is full; 0: it is
        self.interned: dict[tuple[int, int, int, int], Path] = {}

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            for patch in self.patches:
                patch.stop()

    @initialize(
        most=st.sampled_from((None, None, 0, 2)),
        first=st.lists(
            st.tuples(PEERS, SOME, st.integers(0, 1), st.integers(0, 1)), max_size=6
        ),
        is_told=st.booleans(),
    )
    def begin(self, most, first, is_told) -> None:
        for peer, nlris, attributes, path_id in first:
            self.announce(peer, nlris, attributes, path_id)
        for peer in range(4):
            self.join(peer, most)
        if is_told:
            self.settle()

    # -- what the peers announce --------------------------------------------------------

    def path(self, peer: int, attributes: int, path_id: int) -> Path:
        source = self.sources[peer]
        key = (peer, attributes, path_id, source.epoch)
        if key not in self.interned:
            block = ATTRIBUTES[attributes]
            hop = self.next_hops.get(block.next_hop)
            self.interned[key] = Path(source, block, hop, path_id=path_id)
        return self.interned[key]

    @rule(
        peer=PEERS,
        nlris=SOME,
        attributes=st.integers(0, len(ATTRIBUTES) - 1),
        path_id=st.integers(0, 1),
    )
    def announce(
        self, peer: int, nlris: list[bytes], attributes: int, path_id: int
    ) -> None:
        path = self.path(peer, attributes, path_id)
        self.tables.changed(self.loc_rib.announce(nlris, path))

    @rule(peer=PEERS, nlris=SOME, path_id=st.integers(0, 1))
    def withdraw(self, peer: int, nlris: list[bytes], path_id: int) -> None:
        source = self.sources[peer]
        self.tables.changed(self.loc_rib.withdraw(nlris, source, path_id))

    @rule(nlris=SOME, peers=st.lists(PEERS, min_size=2, max_size=5))
    def keep_changing(self, nlris: list[bytes], peers: list[int]) -> None:
        for number, peer in enumerate(peers):
            if number % 3 == 2:
                self.withdraw(peers[0], nlris, 0)
            self.announce(peer, nlris, number, 0)
            self.loop.step()

    @rule(peer=PEERS)
    def become_stale(self, peer: int) -> None:
        self.sources[peer].epoch += 1

    @rule(peer=PEERS, nlris=SOME)
    def sweep(self, peer: int, nlris: list[bytes]) -> None:
        self.tables.changed(self.loc_rib.sweep_stale(nlris, self.sources[peer]))

    @rule(hop=st.sampled_from(ATTRIBUTES[:2]), is_reachable=st.booleans())
    def next_hop_changes(self, hop, is_reachable) -> None:
        state = Reachability(hop.next_hop, is_reachable)
        changed = self.next_hops.apply([state])
        if changed:
            self.loc_rib.forget_decisions()
            nlris = self.loc_rib.nlris_through(changed)
            self.tables.changed(self.loc_rib.decide_again(nlris))

    # -- sessions -----------------------------------------------------------------------

    def context(self, peer: int) -> ExportContext:
        source = self.sources[peer]
        peer_type = PeerType.EBGP
        if source.kind is SourceKind.IBGP:
            peer_type = PeerType.CLIENT if source.is_client else PeerType.NON_CLIENT
        return ExportContext(
            family=IPV4_UNICAST,
            peer_type=peer_type,
            local_as=64512,
            local_address=bytes((10, 0, 0, 1)),
            router_id=99,
            cluster_id=source.cluster_id,
            policy=self.policy_of[peer],
            add_path_max=self.add_path[peer],
        )

    @rule(
        peer=st.integers(0, 3),
        most=st.sampled_from((None, None, 0, 1, 2)),
        room=st.sampled_from((None, None, 1, 2)),
    )
    def join(self, peer: int, most: int | None, room: int | None = None) -> None:
        self.leave(peer)
        source = self.sources[peer]
        told = self.told[peer] = Told(add_path=most is not None)
        self.add_path[peer] = most

        def write(share: Sequence[bytes], count: int) -> bool:
            member = self.tables.member(source)
            state = None if member is None else member.state
            octets = octets_of(share)
            assert count == len(messages_of(octets))
            told.take(octets)
            assert state is not State.BLOCKED, "it is full, and was written to"
            if peer not in self.room:
                return True
            self.room[peer] = max(0, self.room[peer] - 1)
            return self.room[peer] > 0

        def swept(keys: set[tuple[int, bytes]]) -> None:
            group = self.tables.group_of(source)
            assert group is not None
            if not group.pending_re_advertisement_count:
                held, lone = by_prefix(told.view), self.lone(peer)
                for _, nlri in keys:
                    assert held.get(nlri) == lone.get(nlri), "lost by a refresh"

        told.swept = swept
        rules = self.policies[self.policy_of[peer]]
        if room is not None:
            self.room[peer] = room
        self.tables.join(source, self.context(peer), rules, write)

    @rule(peer=st.integers(0, 3))
    def leave(self, peer: int) -> None:
        self.told.pop(peer, None)
        self.room.pop(peer, None)
        self.tables.leave(self.sources[peer])

    @precondition(lambda self: self.told)
    @rule(data=st.data(), room=st.integers(0, 2))
    def socket_fills(self, data, room: int) -> None:
        self.room[data.draw(st.sampled_from(sorted(self.told)))] = room

    @precondition(lambda self: self.room)
    @rule(
        data=st.data(),
        steps=st.integers(0, 2),
        version=st.sampled_from((None, *VERSIONS)),
        room=st.sampled_from((None, None, 1)),
    )
    def socket_drains(
        self, data, steps: int, version: PolicySpec | None, room: int | None
    ) -> None:
        """A socket drains, and before the slow peer has caught up, policy changes."""
        peer = data.draw(st.sampled_from(sorted(self.room)))
        del self.room[peer]
        self.tables.writing_resumed(self.sources[peer])
        self.time_passes(steps)
        if version is not None:
            self.policy_changes(version)
        if room is not None:
            self.room[peer] = room

    @precondition(lambda self: self.told)
    @rule(
        data=st.data(),
        is_enhanced=st.booleans(),
        room=st.sampled_from((None, None, 1, 2)),
    )
    def refresh(self, data, is_enhanced, room) -> None:
        peer = data.draw(st.sampled_from(sorted(self.told)))
        before, after = (b"", b"")
        if is_enhanced:
            before, after = begin_refresh(), end_refresh()
        if room is not None:
            self.room[peer] = room
        self.tables.refresh(self.sources[peer], before=before, after=after)

    # -- configuration ------------------------------------------------------------------

    @rule(version=st.sampled_from(VERSIONS))
    def policy_changes(self, version: PolicySpec) -> None:
        self.policies[NAME] = compile_policy(version)
        self.tables.replace_policy(NAME, self.policies[NAME])

    @rule(peer=st.integers(0, 3), name=st.sampled_from((NAME, ACCEPT_ALL.name)))
    def settings_change(self, peer: int, name: str) -> None:
        self.policy_of[peer] = name
        if peer in self.told:
            source = self.sources[peer]
            self.tables.move(source, self.context(peer), self.policies[name])

    @rule(peer=st.sampled_from((0, 1, 3)), cluster_id=st.sampled_from((7, 8)))
    def reflection_changes(self, peer: int, cluster_id: int) -> None:
        source = self.sources[peer]
        self.tables.re_export_routes_of(source)
        source.is_client = not source.is_client
        source.cluster_id = cluster_id
        if peer in self.told:
            rules = self.policies[self.policy_of[peer]]
            self.tables.move(source, self.context(peer), rules)

    # -- time ---------------------------------------------------------------------------

    @rule(steps=st.integers(1, 3))
    def time_passes(self, steps: int) -> None:
        for _ in range(steps):
            self.loop.step()

    @rule()
    def housekeeping(self) -> None:
        for _ in self.tables.look_after():
            pass

    @rule()
    def identifiers_are_taken_back(self) -> None:
        ids = self.tables._membership.path_ids
        if ids._next_sweep < maxsize:  # else one is under way
            ids._next_sweep = 1

    @rule()
    def settle(self) -> None:
        self.loop.run()  # as far as there is room
        for peer in sorted(self.room):
            self.tables.writing_resumed(self.sources[peer])
        self.room.clear()
        self.loop.run()
        for peer, told in self.told.items():
            assert by_prefix(told.view) == self.lone(peer)
            assert told.ends == 1
            assert told.stale is None
            member = self.tables.member(self.sources[peer])
            assert member is not None
            assert member.state is State.CURRENT
            assert not member.has_pending
            assert not member.has_uncertain_export
            assert not member.end_mark

    def lone(self, peer: int):
        rules = self.policies[self.policy_of[peer]]
        export = Export(self.context(peer), rules)
        return lone_view(export, self.loc_rib.table, self.sources[peer])


TestGroups = Groups.TestCase
TestGroups.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, print_blob=True
)
