"""After any history the table is what deciding from scratch gives."""

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reflector.pending import PendingChanges
from rib.change import Change
from rib.decision import DecisionOptions, Ranking, Reason, rank
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable, Reachability
from rib.nlri import parse_prefix
from rib.path import Path, Source, SourceKind
from rib.path_set import best_of, eligible_of, multipath_of, paths_of, reasons_of
from tests.support.routes import slow_twin, some_attributes

PREFIXES = [parse_prefix(f"10.{number}.0.0/16")[1] for number in range(5)]
HOPS = [bytes((192, 0, 2, number)) for number in (1, 2, 3)]
ATTRIBUTES = [
    some_attributes(as_path, next_hop=f"192.0.2.{hop}", med=med, local_pref=pref)
    for as_path, hop, med, pref in (
        ("1 2", 1, 10, 100),
        ("1 2", 2, 10, 100),  # what gateways tell of one route
        ("1 2", 3, 10, 100),
        ("1 3", 2, 5, 100),
        ("2 3", 2, 20, 100),
        ("2", 3, None, 100),
        ("3 4", 3, None, 200),
    )
]
ATTRIBUTES += map(slow_twin, ATTRIBUTES[:2])
some = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=5)
peers = st.integers(0, 3)
ids = st.integers(0, 2)


class Table(RuleBasedStateMachine):
    """Loc-RIB beside a plain dictionary of what each source has announced."""

    @initialize(
        options=st.builds(
            DecisionOptions,
            always_compare_med=st.booleans(),
            max_ecmp=st.sampled_from((1, 2, 16)),
            prefers_oldest_external=st.sampled_from((False, False, True)),
        )
    )
    def begin(self, options: DecisionOptions) -> None:
        self.options = options
        self.loc_rib = LocRib(IPV4_UNICAST, options)
        self.sources = [
            Source(
                f"s{number}",
                kind,
                address=bytes((10, 0, 0, number)),
                router_id=4 - number,
            )
            for number, kind in enumerate(
                (
                    SourceKind.EBGP,
                    SourceKind.EBGP,
                    SourceKind.IBGP,
                    SourceKind.IBGP,
                )
            )
        ]
        self.next_hops = NextHopTable()
        self.announced: dict[tuple[bytes, Source, int], Path] = {}
        self.rankings: dict[bytes, Ranking] = {}
        self.followed: dict[bytes, object] = {}
        self.pending = PendingChanges(self.loc_rib.table)
        self.told: dict[bytes, object] = {}

    def follow(self, changes: list[Change]) -> None:
        """Every change says truly what was and what is, each prefix once."""
        self.pending.add(changes)
        for old, new, nlris in changes:
            assert old is not new
            assert len(set(nlris)) == len(nlris)
            for nlri in nlris:
                assert self.followed.get(nlri) is old
                if new is None:
                    del self.followed[nlri]
                else:
                    self.followed[nlri] = new

    def decide(self, nlris: Iterable[bytes]) -> None:
        """Decide from scratch what changed; only RFC 5004 asks what was best before."""
        for nlri in {*nlris}:
            paths = [path for key, path in self.announced.items() if key[0] == nlri]
            before = self.rankings.pop(nlri, None)
            best = before and before.best
            oldest = None
            if best is not None and best.source.kind is SourceKind.EBGP:
                oldest = self.announced.get((nlri, best.source, best.path_id))
            if paths:
                self.rankings[nlri] = rank(paths, self.options, oldest=oldest)

    def forget(self, keys: Iterable[tuple[bytes, Source, int]]) -> None:
        gone = [key for key in keys if self.announced.pop(key, None) is not None]
        self.decide(nlri for nlri, _, _ in gone)

    @rule(nlris=some, peer=peers, attributes=st.sampled_from(ATTRIBUTES), path_id=ids)
    def announce(self, nlris, peer, attributes, path_id) -> None:
        source = self.sources[peer]
        hop = self.next_hops.get(attributes.next_hop)
        path = Path(source, attributes, hop, path_id=path_id)
        self.follow(self.loc_rib.announce(nlris, path))
        self.announced.update({(nlri, source, path_id): path for nlri in nlris})
        self.decide(nlris)

    @rule(
        runs=st.lists(
            st.tuples(some, st.sampled_from(ATTRIBUTES)), min_size=1, max_size=3
        ),
        peer=peers,
    )
    def announce_all(self, runs, peer) -> None:
        source = self.sources[peer]
        paths = [
            Path(source, attributes, self.next_hops.get(attributes.next_hop))
            for _, attributes in runs
        ]
        self.follow(self.loc_rib.announce_all(paths, [run for run, _ in runs], source))
        for (nlris, _), path in zip(runs, paths, strict=True):
            self.announced.update({(nlri, source, 0): path for nlri in nlris})
            self.decide(nlris)

    @rule(nlris=some, peer=peers, path_id=ids)
    def withdraw(self, nlris, peer, path_id) -> None:
        source = self.sources[peer]
        self.follow(self.loc_rib.withdraw(nlris, source, path_id))
        self.forget((nlri, source, path_id) for nlri in nlris)

    @rule(peer=peers)
    def become_stale(self, peer) -> None:
        self.sources[peer].epoch += 1

    @rule(peer=peers, is_late=st.booleans())
    def sweep(self, peer, is_late) -> None:
        source = self.sources[peer]
        epoch = source.epoch - is_late
        nlris = list(self.loc_rib.table)
        before = dict(self.loc_rib.table)
        after = self.loc_rib.predict_sweep(source)
        self.follow(self.loc_rib.sweep_stale(nlris, source, epoch if is_late else None))
        if not is_late:
            self.comes_true(before, after)
        self.forget(
            [
                key
                for key, path in self.announced.items()
                if path.source is source and path.epoch < epoch
            ]
        )

    @rule(
        hop=st.sampled_from(HOPS),
        is_reachable=st.booleans(),
        metric=st.integers(0, 1),
    )
    def next_hop_changes(self, hop, is_reachable, metric) -> None:
        changed = self.next_hops.apply([Reachability(hop, is_reachable, metric)])
        self.loc_rib.forget_decisions()
        nlris = self.loc_rib.nlris_through(changed)
        before = dict(self.loc_rib.table)
        after = self.loc_rib.predict_decisions(changed)
        self.follow(self.loc_rib.decide_again(nlris))
        self.comes_true(before, after)
        self.decide(
            nlri
            for (nlri, _, _), path in self.announced.items()
            if path.next_hop in changed
        )

    def comes_true(self, before, after) -> None:
        table = self.loc_rib.table
        assert after is not None
        assert after.keys() == set(before.values())
        assert all(table.get(nlri) is after[old] for nlri, old in before.items())

    @rule()
    def sweep_interned(self) -> None:
        self.loc_rib._sets._next_sweep = 0  # as if it had grown
        assert self.loc_rib.is_sweep_due
        for _ in self.loc_rib.sweep_unused():
            pass

    @rule(peer=peers, wrong=ids)
    def recount(self, peer, wrong) -> None:
        source = self.sources[peer]
        self.loc_rib.path_counts[source] = wrong  # as if something was interrupted
        self.loc_rib.recount(source)

    @rule(limit=st.integers(1, 4))
    def drain(self, limit) -> None:
        for old, new, nlris in self.pending.drain(limit):
            assert old is not new
            for nlri in nlris:
                assert self.told.get(nlri) is old
                assert self.loc_rib.table.get(nlri) is new
                self.told[nlri] = new

    @rule()
    def drain_all(self) -> None:
        while self.pending:
            self.drain(3)
        told = {nlri: entry for nlri, entry in self.told.items() if entry is not None}
        assert told == self.loc_rib.table

    @invariant()
    def the_table_is_what_deciding_from_scratch_gives(self) -> None:
        table = self.loc_rib.table
        assert self.followed == table
        assert table.keys() == self.rankings.keys()
        for nlri, expected in self.rankings.items():
            entry = table[nlri]
            assert best_of(entry) is expected.best
            assert paths_of(entry) == expected.ordered
            assert reasons_of(entry) == expected.reasons
            assert multipath_of(entry) == expected.multipath
            assert eligible_of(entry) == expected.eligible
            assert eligible_of(entry) == tuple(
                path
                for path, reason in zip(paths_of(entry), reasons_of(entry), strict=True)
                if reason is not Reason.NEXT_HOP_UNREACHABLE
            )

    @invariant()
    def paths_are_counted(self) -> None:
        counts: dict[Source, int] = {}
        for _, source, _ in self.announced:
            counts[source] = counts.get(source, 0) + 1
        assert self.loc_rib.path_counts == counts


TestTable = Table.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
