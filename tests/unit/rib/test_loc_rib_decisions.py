"""How often a table decides, how much it looks at, and how long it remembers that."""

from functools import partial

import pytest

from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.memo import Memo
from rib.nlri import make_nlri
from rib.path import NextHop, Path, Source
from rib.path_set import PathSet, best_of, members_of, paths_of
from tests.support.calls import count_calls
from tests.support.routes import a_source, some_attributes

PREFIXES = [make_nlri(bytes((10, number, 0, 0)), 16) for number in range(5)]
ONE, TWO, THREE, FOUR, FIVE = PREFIXES
ATTRIBUTES = some_attributes("65001")


def a_peer(number: int) -> Source:
    address = f"10.0.{number >> 8}.{number & 255}"
    return a_source(f"peer {number}", address=address, router_id=number)


def a_path(source: Source, hop: NextHop | None = None) -> Path:
    return Path(source, ATTRIBUTES, hop or NextHop(ATTRIBUTES.next_hop))


def a_table(count: int, *nlris: bytes) -> tuple[LocRib, list[Path]]:
    """Return a table whose prefixes have a path of each of so many peers."""
    rib = LocRib(IPV4_UNICAST)
    paths = [a_path(a_peer(number)) for number in range(1, count + 1)]
    for path in paths:
        rib.announce(nlris, path)
    return rib, paths


@pytest.fixture(name="remembered")
def _remembered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, int]]:
    """Return each result that a memo is given from now on: the memo, and its weight."""
    results: list[tuple[object, int]] = []
    put = Memo.put

    def noting(self, key, value, weight=1):
        results.append((self, weight))
        return put(self, key, value, weight)

    monkeypatch.setattr(Memo, "put", noting)
    return results


class TestTransitions:
    def test_one_decision_does_for_all_prefixes_of_an_entry(self, remembered) -> None:
        rib, _ = a_table(3, *PREFIXES)
        fourth = a_path(a_peer(4))
        remembered.clear()
        rib.announce([ONE], fourth)
        assert sum(memo is rib._transitions for memo, _ in remembered) == 1
        rib.announce([TWO], fourth)
        for _ in rib.age():
            pass
        rib.announce([THREE], fourth)  # asked for between two ages: young again
        for _ in rib.age():
            pass
        rib.announce([FOUR], fourth)
        assert sum(memo is rib._transitions for memo, _ in remembered) == 1
        for _ in range(2):
            for _ in rib.age():
                pass
        rib.announce([FIVE], fourth)
        assert sum(memo is rib._transitions for memo, _ in remembered) == 2
        assert len({*map(rib.table.get, (ONE, TWO, THREE, FOUR, FIVE))}) == 1

    def test_what_is_done_to_lone_paths_and_to_two_is_not_remembered(
        self, remembered
    ) -> None:
        rib, paths = a_table(2, *PREFIXES)
        rib.announce([ONE], a_path(a_peer(3)))
        rib.withdraw([TWO], paths[0].source)
        rib.withdraw([TWO], paths[1].source)
        paths[0].source.epoch += 1
        rib.sweep_stale([THREE], paths[0].source)
        assert not any(memo is rib._transitions for memo, _ in remembered)
        rib.withdraw([ONE], paths[0].source)
        assert sum(memo is rib._transitions for memo, _ in remembered) == 1

    @pytest.mark.parametrize("is_swept_first", [True, False])
    def test_sweeping_and_withdrawing_are_distinguished(
        self, *, is_swept_first: bool
    ) -> None:
        """An identifier may be the number of an epoch."""
        rib, _ = a_table(2, ONE, TWO)
        source, hop = a_peer(9), NextHop(ATTRIBUTES.next_hop)
        stale = Path(source, ATTRIBUTES, hop, path_id=2)
        source.epoch = 1
        fresh = Path(source, ATTRIBUTES, hop, path_id=1)
        for path in (stale, fresh):
            rib.announce([ONE, TWO], path)
        if is_swept_first:
            rib.sweep_stale([ONE], source, 1)
        rib.withdraw([TWO], source, 1)
        if not is_swept_first:
            rib.sweep_stale([ONE], source, 1)
        left = [
            [path for path in members_of(rib.table[nlri]) if path.source is source]
            for nlri in (ONE, TWO)
        ]
        assert left == [[fresh], [stale]]

    @pytest.mark.parametrize("count", [3, 31, 32, 63, 64])
    def test_wide_sets_weigh_as_several(self, count: int, remembered) -> None:
        rib, paths = a_table(count, ONE)
        remembered.clear()
        rib.withdraw([ONE], paths[0].source)
        weights = {id(memo): weight for memo, weight in remembered}
        assert weights == {
            id(rib._transitions): 1 + count // 32,
            id(rib._situations): 1 + (count - 1) // 32,
        }


class TestSituations:
    def test_one_does_for_all_sets_of_the_same_next_hops(self, remembered) -> None:
        """Whether the second path came to a lone one, or the third went."""
        rib, hop = LocRib(IPV4_UNICAST), NextHop(ATTRIBUTES.next_hop)
        paths = [a_path(a_peer(number), hop) for number in range(1, 7)]
        elsewhere = a_path(a_peer(7), NextHop(bytes(4)))

        def situations() -> int:
            return sum(memo is rib._situations for memo, _ in remembered)

        for path in paths[:2]:
            rib.announce([ONE], path)
        assert situations() == 1
        for path in (paths[2], elsewhere, paths[3]):
            rib.announce([TWO], path)
        before = situations()
        rib.withdraw([TWO], elsewhere.source)
        assert len(members_of(rib.table[TWO])) == 2
        for _ in rib.age():
            pass
        for path in paths[4:]:
            rib.announce([THREE], path)
        assert situations() == before

    def test_an_order_is_that_of_when_it_was_decided(self) -> None:
        rib, paths = a_table(3, ONE)
        paths[0].next_hop.metric = 7
        assert paths_of(rib.table[ONE]) == (paths[0], paths[1], paths[2])
        rib.forget_decisions()
        rib.decide_again([ONE])
        assert paths_of(rib.table[ONE]) == (paths[1], paths[2], paths[0])


class TestCosts:
    def test_one_more_path_costs_the_same_beside_few_and_many(self) -> None:
        costs = set()
        for count in (3, 4, 20):
            rib, paths = a_table(count, ONE)
            worse = a_path(a_peer(99))
            costs.add(count_calls(partial(rib.announce, [ONE], worse)))
            assert best_of(rib.table[ONE]) is paths[0]
            assert len(members_of(rib.table[ONE])) == count + 1
        assert len(costs) == 1

    def test_wide_sets_are_looked_through_sooner_when_nothing_has_them(self) -> None:
        count = 63
        rib, paths = a_table(count, ONE)
        weight = sum(1 + size // 32 for size in range(2, count + 1))
        assert weight < 1024
        while weight < 1024:
            assert not rib.is_sweep_due
            rib.announce([ONE], a_path(paths[-1].source))
            weight += 1 + count // 32
        assert rib.is_sweep_due
        assert sum(rib.sweep_unused()) > 500
        assert not rib.is_sweep_due
        assert len(members_of(rib.table[ONE])) == count


class TestWhatDidNotChange:
    def test_it_is_not_a_change_even_when_decisions_are_forgotten(self) -> None:
        rib, paths = a_table(3, ONE)
        before = rib.table[ONE]
        rib.forget_decisions()
        assert rib.withdraw([ONE], a_peer(9)) == []
        assert rib.withdraw([ONE], paths[0].source, 5) == []
        assert rib.sweep_stale([ONE], paths[1].source) == []
        assert rib.table[ONE] is before

    def test_nothing_fresh_goes_with_a_sweep(self) -> None:
        """Whichever of two it is: neither their order nor the other's age matters."""
        rib, paths = a_table(2, ONE)
        entry = rib.table[ONE]
        assert isinstance(entry, PathSet)
        for path in paths:
            for epoch in (0, path.source.epoch):
                assert rib.sweep_stale([ONE], path.source, epoch) == []
        paths[0].source.epoch = paths[1].source.epoch = 1
        assert rib.sweep_stale([ONE], paths[0].source, 0) == []
        (change,) = rib.sweep_stale([ONE], paths[0].source, 1)
        assert change == (entry, paths[1], [ONE])
