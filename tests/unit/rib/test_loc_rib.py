import pytest

from rib.decision import DecisionOptions, Reason
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.path import NextHop, Path, SourceKind
from rib.path_set import best_of, paths_of, reasons_of
from tests.support.routes import a_path, a_source, nlris, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")


def an_external(name: str, router_id: int):
    return a_source(
        name, SourceKind.EBGP, address=f"10.0.0.{router_id}", router_id=router_id
    )


def test_new_prefixes_are_one_change() -> None:
    rib, path = LocRib(IPV4_UNICAST), a_path()
    (change,) = rib.announce([ONE, TWO, ONE], path)
    assert change == (None, path, [ONE, TWO])
    assert len(rib) == 2
    assert rib.announce([ONE], path) == []


def test_prefixes_with_one_past_have_one_future() -> None:
    rib = LocRib(IPV4_UNICAST)
    first, second = a_path(source=a_source("a")), a_path(source=a_source("b"))
    rib.announce([ONE, TWO, THREE], first)
    (change,) = rib.announce([ONE, TWO], second)
    assert change.old is first
    assert rib.table[ONE] is rib.table[TWO] is change.new
    (change,) = rib.withdraw([ONE, TWO, THREE], second.source)
    assert set(change.nlris) == {ONE, TWO}
    assert set(rib.table.values()) == {first}
    assert rib.withdraw([ONE], second.source) == []


def test_one_read_may_do_all_that_there_is_to_do() -> None:
    """Runs of each kind in one go, in order, are what they are one by one."""
    source = a_source("b")
    other, former, path, lost = (
        a_path(some_attributes(med=med), source=of, is_reachable=is_up)
        for med, of, is_up in (
            (1, a_source("a"), True),
            (2, source, True),
            (3, source, True),
            (4, source, False),
        )
    )
    third = a_path(source=a_source("c"))
    keys = nlris(*(f"10.{number}.0.0/16" for number in range(10)))
    tables = [LocRib(IPV4_UNICAST) for _ in range(2)]
    for table in tables:
        table.announce(keys[0:2], former)
        table.announce(keys[2:6], other)
        table.announce(keys[3:5], former)
        table.announce([keys[4]], third)
    runs = [
        ([keys[0]], former),  # nothing new of one
        ([keys[0], keys[1]], former),  # of two
        ([keys[3]], former),  # of a set
        ([keys[4], keys[4]], path),  # of three
        ([keys[8]], lost),
        (keys[0:7], path),  # all kinds
        ([keys[2], keys[5]], former),
        ([keys[9]], path),
    ]
    together, apart = tables
    source_changes = together.announce_all(
        [path for _, path in runs], [run for run, _ in runs], source
    )
    for run, each in runs:
        apart.announce(run, each)
    seen = {nlri: set(paths_of(entry)) for nlri, entry in together.table.items()}
    assert seen == {nlri: set(paths_of(entry)) for nlri, entry in apart.table.items()}
    assert seen[keys[9]] == {path}
    assert together.path_counts == apart.path_counts
    last = {nlri: new for _, new, some in source_changes for nlri in some}
    assert all(together.table[nlri] is new for nlri, new in last.items())


def test_no_path_through_a_dead_next_hop_is_best() -> None:
    rib = LocRib(IPV4_UNICAST)
    path = a_path(is_reachable=False)
    rib.announce([ONE], path)
    assert best_of(rib.table[ONE]) is None
    assert rib.path_counts == {path.source: 1}
    path.next_hop.is_reachable = True
    rib.forget_decisions()
    (change,) = rib.decide_again(rib.nlris_through({path.next_hop}))
    assert change.new is path


class TestOldestExternal:
    """RFC 5004, if the configuration asks for it."""

    OLD = a_path(some_attributes("1"), source=an_external("old", 9))
    NEW = a_path(some_attributes("2"), source=an_external("new", 1))

    def keeping(self) -> LocRib:
        return LocRib(IPV4_UNICAST, DecisionOptions(prefers_oldest_external=True))

    @pytest.mark.rfc("5004", "3", "MUST")
    def test_the_best_external_path_stays(self) -> None:
        rib = self.keeping()
        rib.announce([ONE], self.OLD)
        rib.announce([ONE], self.NEW)
        assert best_of(rib.table[ONE]) is self.OLD
        rib.announce([TWO], self.NEW)
        rib.announce([TWO], self.OLD)
        assert best_of(rib.table[TWO]) is self.NEW
        assert rib.table[ONE] is not rib.table[TWO]

    def test_arrival_does_not_matter_otherwise(self) -> None:
        rib = LocRib(IPV4_UNICAST)
        rib.announce([ONE], self.OLD)
        rib.announce([ONE], self.NEW)
        assert best_of(rib.table[ONE]) is self.NEW

    def test_announcing_it_again_keeps_its_place(self) -> None:
        rib = self.keeping()
        rib.announce([ONE], self.OLD)
        rib.announce([ONE], self.NEW)
        again = a_path(some_attributes("1", med=3), source=self.OLD.source)
        rib.announce([ONE], again)
        assert best_of(rib.table[ONE]) is again

    def test_without_it_the_usual_order_holds(self) -> None:
        rib = self.keeping()
        third = a_path(some_attributes("3"), source=an_external("third", 5))
        for path in (self.OLD, third, self.NEW):
            rib.announce([ONE], path)
        rib.withdraw([ONE], self.OLD.source)
        assert best_of(rib.table[ONE]) is self.NEW

    def test_a_worse_one_that_goes_takes_nothing_with_it(self) -> None:
        rib = self.keeping()
        third = a_path(some_attributes("3"), source=an_external("third", 5))
        for path in (self.OLD, third, self.NEW):
            rib.announce([ONE], path)
        rib.withdraw([ONE], third.source)
        assert best_of(rib.table[ONE]) is self.OLD

    def test_the_order_says_why(self) -> None:
        rib = self.keeping()
        rib.announce([ONE], self.OLD)
        rib.announce([ONE], self.NEW)
        assert paths_of(rib.table[ONE]) == (self.OLD, self.NEW)
        assert reasons_of(rib.table[ONE]) == (Reason.BEST, Reason.NOT_OLDEST_EXTERNAL)

    def test_what_cannot_be_used_is_not_the_oldest(self) -> None:
        rib = self.keeping()
        lost = a_path(source=self.OLD.source, is_reachable=False)
        rib.announce([ONE], lost)
        for path in (self.NEW, self.OLD):
            rib.announce([ONE], path)
        assert best_of(rib.table[ONE]) is self.NEW

    def test_other_options_count_from_then_on(self) -> None:
        rib = LocRib(IPV4_UNICAST)
        for options, best in (
            (DecisionOptions(prefers_oldest_external=True), self.OLD),
            (DecisionOptions(), self.NEW),
        ):
            rib.set_options(options)
            run = [ONE]
            rib.announce(run, self.OLD)
            (change,) = rib.announce(run, self.NEW)
            assert best_of(rib.table[ONE]) is best
            # Without an oldest path, a second path is put beside a lone one in one go.
            assert (change.nlris is run) == (best is self.NEW)
            for path in (self.OLD, self.NEW):
                rib.withdraw(run, path.source)

    def test_deciding_again_keeps_it(self) -> None:
        rib = self.keeping()
        rib.announce([ONE], self.OLD)
        rib.announce([ONE], self.NEW)
        rib.forget_decisions()
        rib.decide_again([ONE])
        assert best_of(rib.table[ONE]) is self.OLD


def test_many_paths_of_one_prefix_do_not_pile_up_in_sets_of_the_past() -> None:
    loc_rib, source, attributes = LocRib(IPV4_UNICAST), a_source(), some_attributes()
    hop = NextHop(attributes.next_hop)
    (nlri,) = nlris("10.1.0.0/16")
    most = 0
    for number in range(1, 1001):
        path = Path(source, attributes, hop, path_id=number)
        loc_rib.announce([nlri], path)
        for _ in loc_rib.sweep_unused():
            pass
        most = max(most, sum(len(one.members) for one in loc_rib._sets.values()))
    # A thousand sets of up to a thousand paths would be half a million.
    assert most <= 100_000
    assert sum(len(key) for key in loc_rib._situations) <= 600_000
