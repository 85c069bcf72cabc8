"""What each kind of batch does to a table, and what it says of it."""

import pytest

from rib.change import Change
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.loc_rib import LocRib
from rib.nlri import make_nlri
from rib.path import NextHop, Path, Source, SourceKind
from rib.path_set import PathSet, best_of, members_of, paths_of
from tests.support.routes import a_source, nlris, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO, THREE, FOUR = nlris(
    "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"
)


def many(count: int) -> list[bytes]:
    return [make_nlri((n << 8).to_bytes(4, "big"), 24) for n in range(count)]


class Table:
    """A table with three sources, each with a next hop of its own."""

    def __init__(self, options: DecisionOptions | None = None) -> None:
        self.rib = LocRib(IPV4_UNICAST, options)
        self.a, self.b, self.c = (
            a_source(name, SourceKind.EBGP, address=f"10.0.0.{n}", router_id=n)
            for n, name in enumerate("abc", 1)
        )
        self.hops = {
            source: NextHop(bytes((192, 0, 2, source.router_id)))
            for source in (self.a, self.b, self.c)
        }

    def path(self, source: Source, med: int | None = None, path_id: int = 0) -> Path:
        hop = self.hops[source]
        attributes = some_attributes(
            "65001", next_hop=f"192.0.2.{source.router_id}", med=med
        )
        return Path(source, attributes, hop, path_id=path_id)

    def counts(self) -> dict[str, int]:
        return {source.name: n for source, n in self.rib.path_counts.items()}

    def members(self, nlri: bytes) -> set[Path]:
        return set(members_of(self.rib.table.get(nlri)))


class TestRunsOfOneSource:
    def test_new_prefixes_are_a_change_for_each_run(self) -> None:
        table = Table()
        one, other = table.path(table.a), table.path(table.a, 1)
        runs = [[ONE, TWO], [THREE]]
        changes = table.rib.announce_all([one, other], runs, table.a)
        assert changes == [(None, one, [ONE, TWO]), (None, other, [THREE])]
        assert [change.nlris for change in changes] == runs
        assert changes[0].nlris is runs[0]
        assert table.rib.table == {ONE: one, TWO: one, THREE: other}
        assert table.counts() == {"a": 3}

    @pytest.mark.parametrize("run", [[TWO, THREE], [THREE, TWO, THREE]])
    def test_a_prefix_that_comes_twice_has_its_last_path(self, run) -> None:
        table = Table()
        one, other = table.path(table.a), table.path(table.a, 1)
        table.rib.announce([FOUR], table.path(table.b))
        changes = table.rib.announce_all([one, other], [[ONE, TWO], run], table.a)
        assert changes[0] == (None, one, [ONE, TWO])
        told: dict[bytes, object] = {}
        for old, new, some in changes:
            assert len(set(some)) == len(some)
            for nlri in some:
                assert told.get(nlri) is old
                told[nlri] = new
        assert told == {ONE: one, TWO: other, THREE: other}
        assert {**table.rib.table} == {**told, FOUR: table.rib.table[FOUR]}
        assert table.counts() == {"a": 3, "b": 1}

    def test_no_path_through_a_dead_next_hop_is_taken_for_usable(self) -> None:
        table = Table()
        alive, dead = table.path(table.a), table.path(table.a, 1)
        dead.next_hop = NextHop(bytes((192, 0, 2, 9)), is_reachable=False)
        table.rib.announce_all([alive, dead], [[ONE], [TWO, THREE]], table.a)
        assert table.rib.table[ONE] is alive
        for nlri in (TWO, THREE):
            assert best_of(table.rib.table[nlri]) is None
            assert table.members(nlri) == {dead}
        assert table.counts() == {"a": 3}

    def test_what_is_there_already_is_replaced_or_competes(self) -> None:
        table = Table()
        first = table.path(table.a)
        table.rib.announce([ONE, TWO], first)
        other = table.path(table.b)
        table.rib.announce([THREE], other)
        newer, newest = table.path(table.a, 1), table.path(table.a, 2)
        changes = table.rib.announce_all(
            [newer, newest, first], [[ONE], [TWO, FOUR], [THREE]], table.a
        )
        assert changes[0] == (first, newer, [ONE])
        assert {(c.old, c.new, *c.nlris) for c in changes[1:3]} == {
            (first, newest, TWO),
            (None, newest, FOUR),
        }
        assert table.members(THREE) == {first, other}
        assert table.counts() == {"a": 4, "b": 1}

    def test_nothing_is_not_a_change(self) -> None:
        table = Table()
        assert table.rib.announce([], table.path(table.a)) == []
        assert table.counts() == {}


class TestLonePaths:
    def test_announcing_it_again_is_not_a_change(self) -> None:
        table = Table()
        path = table.path(table.a)
        table.rib.announce([ONE, TWO], path)
        assert table.rib.announce([ONE, TWO], path) == []
        assert table.rib.announce([ONE, TWO, THREE], path) == [(None, path, [THREE])]
        assert table.counts() == {"a": 3}

    def test_a_second_path_makes_a_set_that_equal_prefixes_share(self) -> None:
        table = Table()
        one, other = table.path(table.a), table.path(table.b)
        table.rib.announce([ONE, TWO, THREE], one)
        (change,) = table.rib.announce([ONE, TWO, ONE], other)
        assert change == Change(one, table.rib.table[ONE], [ONE, TWO])
        assert table.rib.table[ONE] is table.rib.table[TWO]
        assert best_of(change.new) is one
        table.rib.announce([FOUR], other)
        (change,) = table.rib.announce([FOUR], one)
        assert change.new is table.rib.table[ONE]
        assert table.counts() == {"a": 4, "b": 3}

    def test_another_identifier_is_another_path(self) -> None:
        table = Table()
        one, other = table.path(table.a, path_id=1), table.path(table.a, path_id=2)
        table.rib.announce([ONE], one)
        table.rib.announce([ONE], other)
        assert table.members(ONE) == {one, other}
        table.rib.withdraw([ONE], table.a)
        assert table.members(ONE) == {one, other}
        table.rib.withdraw([ONE], table.a, 1)
        assert table.rib.table[ONE] is other
        table.rib.withdraw([ONE], table.a, 1)
        assert table.rib.table[ONE] is other
        assert table.counts() == {"a": 1}

    def test_beside_a_dead_one_all_is_decided(self) -> None:
        table = Table()
        dead, alive = table.path(table.a), table.path(table.b)
        table.rib.announce([ONE, TWO], dead)
        dead.next_hop.is_reachable = False
        table.rib.forget_decisions()
        table.rib.announce([ONE, TWO], alive)
        assert best_of(table.rib.table[ONE]) is alive
        assert table.members(TWO) == {dead, alive}
        assert paths_of(table.rib.table[TWO]) == (alive, dead)

    def test_prefixes_of_different_pasts_in_one_batch(self) -> None:
        table = Table()
        one, other, third = (table.path(s) for s in (table.a, table.b, table.c))
        table.rib.announce([ONE, TWO], one)
        table.rib.announce([TWO], other)
        changes = table.rib.announce([ONE, TWO, THREE], third)
        assert [set(c.nlris) for c in changes] == [{ONE}, {TWO}, {THREE}]
        assert table.members(ONE) == {one, third}
        assert table.members(TWO) == {one, other, third}
        assert table.rib.table[THREE] is third
        assert table.counts() == {"a": 2, "b": 1, "c": 3}


class TestSets:
    def of_three(self) -> tuple[Table, list[Path]]:
        table = Table()
        paths = [table.path(source) for source in (table.a, table.b, table.c)]
        for path in paths:
            table.rib.announce([ONE, TWO], path)
        return table, paths

    def test_equal_members_are_one_set(self) -> None:
        table, paths = self.of_three()
        for path in reversed(paths):
            table.rib.announce([THREE], path)
        assert table.rib.table[THREE] is table.rib.table[ONE]

    def test_a_path_replaces_the_former_one_of_its_source(self) -> None:
        table, paths = self.of_three()
        newer = table.path(table.b, 5)
        table.rib.announce([ONE], newer)
        assert table.members(ONE) == {paths[0], newer, paths[2]}
        assert table.counts() == {"a": 2, "b": 2, "c": 2}

    @pytest.mark.parametrize("replaced", ["a", "b"])
    def test_one_of_two_that_prefixes_share_is_replaced(self, replaced: str) -> None:
        table = Table()
        for source in (table.a, table.b):
            table.rib.announce([ONE, TWO], table.path(source, 5))
        before = table.rib.table[ONE]
        source = table.a if replaced == "a" else table.b
        kept = next(p for p in paths_of(before) if p.source is not source)
        newer = table.path(source, 1)
        (change,) = table.rib.announce([TWO, ONE, TWO], newer)
        assert change == Change(before, table.rib.table[ONE], [TWO, ONE])
        assert table.rib.table[ONE] is table.rib.table[TWO]
        assert table.members(ONE) == {kept, newer}
        assert best_of(change.new) is newer
        assert table.rib.announce([ONE, TWO], newer) == []
        assert table.counts() == {"a": 2, "b": 2}
        # The set is the one that the same paths make in another way.
        table.rib.announce([THREE], newer)
        table.rib.announce([THREE], kept)
        assert table.rib.table[THREE] is table.rib.table[ONE]

    def test_a_third_path_replaces_none_of_two(self) -> None:
        table = Table()
        paths = [table.path(table.a, path_id=1), table.path(table.b)]
        for path in paths:
            table.rib.announce([ONE], path)
        third = table.path(table.c)
        table.rib.announce([ONE], third)
        assert table.members(ONE) == {*paths, third}
        table.rib.withdraw([ONE], table.c)
        other = table.path(table.a, path_id=2)
        table.rib.announce([ONE], other)
        assert table.members(ONE) == {*paths, other}
        assert table.counts() == {"a": 2, "b": 1}

    def test_beside_one_that_cannot_be_reached_it_is_replaced_all_the_same(
        self,
    ) -> None:
        table = Table()
        dead = table.path(table.b)
        dead.next_hop = NextHop(bytes((192, 0, 2, 9)), is_reachable=False)
        for path in (dead, table.path(table.a)):
            table.rib.announce([ONE], path)
        newer = table.path(table.a, 7)
        (change,) = table.rib.announce([ONE], newer)
        assert table.members(ONE) == {dead, newer}
        assert best_of(change.new) is newer

    def test_the_oldest_external_path_keeps_its_place_when_another_is_replaced(
        self,
    ) -> None:
        table = Table(DecisionOptions(prefers_oldest_external=True))
        oldest = table.path(table.b)
        table.rib.announce([ONE], oldest)
        for med in (None, 0):
            table.rib.announce([ONE], table.path(table.a, med))
            assert best_of(table.rib.table[ONE]) is oldest

    def test_withdrawing_one_after_the_other(self) -> None:
        table, paths = self.of_three()
        (change,) = table.rib.withdraw([ONE, TWO, THREE, ONE], table.b)
        assert change.nlris == [ONE, TWO]
        assert table.members(ONE) == {paths[0], paths[2]}
        table.rib.withdraw([ONE], table.a)
        assert table.rib.table[ONE] is paths[2]
        assert table.rib.withdraw([ONE], table.c) == [(paths[2], None, [ONE])]
        assert ONE not in table.rib.table
        assert table.rib.withdraw([ONE], table.c) == []
        assert table.counts() == {"a": 1, "c": 1}

    def test_one_path_without_a_next_hop_stays_a_set(self) -> None:
        table, paths = self.of_three()
        paths[2].next_hop.is_reachable = False
        table.rib.forget_decisions()
        table.rib.withdraw([ONE], table.a)
        table.rib.withdraw([ONE], table.b)
        entry = table.rib.table[ONE]
        assert isinstance(entry, PathSet)
        assert entry.best is None
        assert entry.members == (paths[2],)

    def test_what_was_decided_is_remembered_until_it_is_forgotten(self) -> None:
        table, paths = self.of_three()
        before = table.rib.table[ONE]
        paths[0].next_hop.is_reachable = False
        table.rib.announce([THREE], paths[0])
        for path in paths[1:]:
            table.rib.announce([THREE], path)
        table.rib.forget_decisions()
        (change,) = table.rib.decide_again([ONE, TWO, ONE, FOUR])
        assert change == Change(before, table.rib.table[TWO], [ONE, TWO])
        assert best_of(change.new) is paths[1]
        assert best_of(before) is paths[0]
        assert table.counts() == {"a": 3, "b": 3, "c": 3}


class TestSweeping:
    def test_stale_paths_go_and_fresh_ones_stay(self) -> None:
        table = Table()
        lone, both, fresh = (table.path(table.a, med) for med in (1, 2, 3))
        other, third = table.path(table.b), table.path(table.c)
        table.rib.announce([ONE], lone)
        table.rib.announce([TWO, THREE], both)
        table.rib.announce([TWO, THREE], other)
        table.rib.announce([THREE], third)
        table.a.epoch += 1
        fresh.epoch = 1
        table.rib.announce([FOUR], fresh)
        changes = table.rib.sweep_stale([*table.rib.table], table.a)
        assert {tuple(c.nlris): c.new for c in changes}.keys() == {
            (ONE,),
            (TWO,),
            (THREE,),
        }
        assert ONE not in table.rib.table
        assert table.rib.table[TWO] is other
        assert table.members(THREE) == {other, third}
        assert table.rib.table[FOUR] is fresh
        assert table.counts() == {"a": 1, "b": 2, "c": 1}
        assert table.rib.sweep_stale([*table.rib.table], table.a) == []

    def test_a_sweep_of_an_earlier_epoch_leaves_what_became_stale_since(self) -> None:
        table = Table()
        table.rib.announce([ONE], table.path(table.a))
        table.rib.announce([ONE], table.path(table.b))
        table.a.epoch = 2
        assert table.rib.sweep_stale([ONE], table.a, 0) == []
        assert table.rib.sweep_stale([ONE], table.a, 1) != []
        assert table.counts() == {"b": 1}

    def test_the_one_left_may_have_no_next_hop(self) -> None:
        table = Table()
        gone, left = table.path(table.a), table.path(table.b)
        table.rib.announce([ONE], gone)
        table.rib.announce([ONE], left)
        left.next_hop.is_reachable = False
        table.rib.forget_decisions()
        table.a.epoch = 1
        (change,) = table.rib.sweep_stale([ONE], table.a)
        assert best_of(change.new) is None
        assert table.members(ONE) == {left}

    def test_two_paths_of_one_peer_go_together(self) -> None:
        table = Table()
        for path_id in (1, 2):
            table.rib.announce([ONE], table.path(table.a, path_id=path_id))
        table.a.epoch = 1
        (change,) = table.rib.sweep_stale([ONE], table.a)
        assert change.new is None
        assert table.counts() == {}


class TestForeseeing:
    def test_what_a_sweep_will_do(self) -> None:
        table = Table()
        one, other = table.path(table.a), table.path(table.b)
        table.rib.announce([ONE, TWO], one)
        table.rib.announce([TWO, THREE], other)
        table.a.epoch = 1
        both = table.rib.table[TWO]
        predicted = table.rib.predict_sweep(table.a)
        assert predicted == {one: None, both: other, other: other}
        assert table.rib.table[ONE] is one
        table.rib.sweep_stale([ONE, TWO, THREE], table.a)
        assert table.rib.table == {TWO: other, THREE: other}

    def test_what_a_next_hop_will_do(self) -> None:
        table = Table()
        one, other = table.path(table.a), table.path(table.b)
        table.rib.announce([ONE], one)
        table.rib.announce([TWO], other)
        one.next_hop.is_reachable = False
        predicted = table.rib.predict_decisions({one.next_hop})
        assert predicted is not None
        assert predicted[other] is other
        assert best_of(predicted[one]) is None
        assert table.rib.nlris_through({one.next_hop}) == [ONE]
        assert table.rib.nlris_through({one.next_hop}, [TWO, FOUR, ONE]) == [ONE]
        assert table.rib.nlris_through({one.next_hop}, [TWO]) == []

    def test_not_of_more_entries_than_can_be_decided_on_at_once(self) -> None:
        table = Table()
        for number, nlri in enumerate(many(1024)):
            table.rib.announce([nlri], table.path(table.a, number))
        assert len(table.rib.predict_sweep(table.a) or ()) == 1024
        table.rib.announce([ONE], table.path(table.a, 1024))
        assert table.rib.predict_sweep(table.a) is None

    @pytest.mark.slow
    def test_not_of_more_prefixes_than_can_be_looked_through_at_once(self) -> None:
        table = Table()
        path = table.path(table.a)
        table.rib.announce(many(1 << 18), path)
        assert table.rib.predict_sweep(table.a) == {path: path}
        table.rib.announce([ONE], path)
        assert len(table.rib) == (1 << 18) + 1
        assert table.rib.predict_sweep(table.a) is None


class TestUpkeep:
    def test_sets_that_no_prefix_has_are_forgotten(self) -> None:
        table = Table()
        table.rib.announce([ONE], table.path(table.b))
        table.rib.announce([ONE], table.path(table.c))
        assert not table.rib.is_sweep_due
        assert list(table.rib.sweep_unused()) == []
        for med in range(1100):
            table.rib.announce([ONE], table.path(table.a, med))
        assert table.rib.is_sweep_due
        assert sum(table.rib.sweep_unused()) > 1000
        assert len(table.rib._sets) == 1
        assert table.members(ONE) == set(members_of(table.rib.table[ONE]))


class TestCounting:
    """Paths are counted as they come and go, and recounted if that was interrupted."""

    def test_a_table_is_of_its_family(self) -> None:
        assert LocRib(IPV6_UNICAST).family is IPV6_UNICAST

    @pytest.mark.parametrize("wrong", [None, 1, 7])
    def test_recounting(self, wrong: int | None) -> None:
        table = Table()
        table.rib.announce([ONE, TWO], table.path(table.a))
        table.rib.announce([TWO, THREE], table.path(table.b))
        table.rib.announce([TWO], table.path(table.a, path_id=1))
        for source in (table.a, table.c):
            table.rib.path_counts.pop(source, None)
            if wrong is not None:
                table.rib.path_counts[source] = wrong
        for source in (table.a, table.c):
            table.rib.recount(source)
        assert table.counts() == {"a": 3, "b": 2}


class TestWhatCameFirst:
    """RFC 5004: where the oldest path counts, the way to a set is part of it."""

    KEEP = DecisionOptions(prefers_oldest_external=True)

    def test_batches_are_decided_by_what_was(self) -> None:
        table = Table(self.KEEP)
        first, second = table.path(table.b), table.path(table.a)
        table.rib.announce([ONE, TWO], first)
        (change,) = table.rib.announce([ONE, TWO], second)
        assert change == Change(first, table.rib.table[ONE], [ONE, TWO])
        assert best_of(change.new) is first
        table.rib.announce([THREE], second)
        table.rib.announce([THREE], first)
        assert best_of(table.rib.table[THREE]) is second

    def test_an_oldest_path_that_went_has_no_say(self) -> None:
        table = Table(self.KEEP)
        first, second, third = (table.path(s) for s in (table.c, table.b, table.a))
        for path in (first, second, third):
            table.rib.announce([ONE], path)
        assert best_of(table.rib.table[ONE]) is first
        table.rib.withdraw([ONE], table.c)
        assert best_of(table.rib.table[ONE]) is third

    def test_of_one_peer_s_paths_only_the_best_has_it(self) -> None:
        table = Table(self.KEEP)
        first = table.path(table.c, path_id=1)
        table.rib.announce([ONE], first)
        table.rib.announce([ONE], table.path(table.c, path_id=2))
        table.rib.announce([ONE], table.path(table.a))
        assert best_of(table.rib.table[ONE]) is first
