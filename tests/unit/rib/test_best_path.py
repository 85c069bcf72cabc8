"""The best path, found by as few steps as it takes; ``rank`` has the whole order."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from rib.best_path import (
    choose,
    choose_beside,
    choose_of_two,
)
from rib.decision import DecisionOptions, Reason, rank
from rib.path import Path, SourceKind
from tests.support.decision_steps import STEPS
from tests.support.routes import a_path, a_source, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

OPTIONS = DecisionOptions()
EVERYWHERE = DecisionOptions(always_compare_med=True)
KEEP = DecisionOptions(prefers_oldest_external=True)
EBGP, IBGP = SourceKind.EBGP, SourceKind.IBGP

each_step = pytest.mark.parametrize("reason", STEPS, ids=lambda reason: reason.name)


def of(name: str, kind: SourceKind = IBGP, metric: int = 0, **attributes) -> Path:
    """A path of the source ``name``, whose last letter orders BGP identifiers."""
    source = a_source(name, kind, router_id=ord(name[-1]))
    return a_path(some_attributes(**attributes), source=source, metric=metric)


def better_of(paths: Sequence[Path], options: DecisionOptions) -> Path:
    one, other = paths
    return choose_of_two(one, other, options)


@each_step
def test_each_step_decides_between_two(reason: Reason) -> None:
    better, worse = STEPS[reason]
    for paths in ((better, worse), (worse, better)):
        assert choose(paths, OPTIONS) is better
        assert better_of(paths, OPTIONS) is better


@each_step
def test_each_step_decides_among_several(reason: Reason) -> None:
    better, worse = STEPS[reason]
    third = Path(worse.source, worse.attributes, worse.next_hop, path_id=100)
    third.weight = worse.weight
    for paths in permutations((better, worse, third)):
        assert choose(paths, OPTIONS) is better


@each_step
def test_each_step_decides_beside_the_best(reason: Reason) -> None:
    better, worse = STEPS[reason]
    assert choose_beside(better, worse, OPTIONS) is better
    # A lower MED puts out what may have put out others: all must be compared.
    expected = None if reason is Reason.MED else better
    assert choose_beside(worse, better, OPTIONS) is expected


def test_without_a_usable_path_there_is_no_choice() -> None:
    lost = a_path(is_reachable=False)
    assert choose((), OPTIONS) is None
    assert choose((lost, lost), OPTIONS) is None
    usable = of("z")
    assert choose((lost, usable, lost), OPTIONS) is usable


def test_unreachable_next_hops_do_not_compete_with_the_best() -> None:
    best = of("b")
    lost = a_path(some_attributes(local_pref=500), is_reachable=False)
    assert choose_beside(best, lost, OPTIONS) is best
    assert choose_beside(lost, best, OPTIONS) is None


class TestMed:
    """A missing one is 0; it counts within a neighbour AS only, but where asked for."""

    LOW = of("b", as_path="1 9")
    HIGH = of("a", as_path="1 9", med=1)
    ELSEWHERE = of("c", as_path="2 9", med=2)

    def test_of_two(self) -> None:
        for paths in ((self.LOW, self.HIGH), (self.HIGH, self.LOW)):
            assert choose(paths, OPTIONS) is self.LOW
        for paths in ((self.ELSEWHERE, self.HIGH), (self.HIGH, self.ELSEWHERE)):
            assert choose(paths, OPTIONS) is self.HIGH
        cheap = of("d", as_path="2 9", med=0)
        for paths in ((cheap, self.HIGH), (self.HIGH, cheap)):
            assert choose(paths, OPTIONS) is self.HIGH
            assert choose(paths, EVERYWHERE) is cheap
            assert better_of(paths, OPTIONS) is self.HIGH
            assert better_of(paths, EVERYWHERE) is cheap

    @pytest.mark.parametrize("med", [0, None])
    def test_none_is_as_low_as_zero(self, med: int | None) -> None:
        one, other = of("a", as_path="1", med=0), of("b", as_path="1", med=med)
        third = of("c", as_path="1", med=med)
        for paths in permutations((one, other, third)):
            assert choose(paths, OPTIONS) is one
            assert choose(paths[:2], OPTIONS) is min(
                paths[:2], key=lambda path: path.source.name
            )
        assert choose_beside(one, other, OPTIONS) is one
        assert choose_beside(other, one, OPTIONS) is one

    def test_of_several(self) -> None:
        """In pairs HIGH beats ELSEWHERE, that beats LAST, and LAST beats HIGH."""
        last = of("d", as_path="1 9", med=0)
        for paths in permutations((self.HIGH, self.ELSEWHERE, last)):
            assert choose(paths, OPTIONS) is self.ELSEWHERE
            assert choose(paths, EVERYWHERE) is last
        first = of("A", as_path="2 9", med=9)
        for paths in permutations((self.HIGH, first, last)):
            assert choose(paths, OPTIONS) is first
            assert choose(paths, EVERYWHERE) is last

    def test_beside_one_of_the_same_as(self) -> None:
        assert choose_beside(self.LOW, self.HIGH, OPTIONS) is self.LOW
        assert choose_beside(self.HIGH, self.LOW, OPTIONS) is None

    def test_beside_one_of_another_as(self) -> None:
        """What loses to the best changes nothing; what wins may have been put out."""
        assert choose_beside(self.HIGH, self.ELSEWHERE, OPTIONS) is self.HIGH
        assert choose_beside(self.ELSEWHERE, self.HIGH, OPTIONS) is None
        assert choose_beside(self.ELSEWHERE, self.HIGH, EVERYWHERE) is None
        assert choose_beside(self.HIGH, self.ELSEWHERE, EVERYWHERE) is self.HIGH
        equal = of("A", as_path="2 9", med=1)
        assert choose_beside(self.HIGH, equal, EVERYWHERE) is equal
        assert choose_beside(self.HIGH, equal, OPTIONS) is None


class TestAigp:
    """RFC 7311 4.1: with the metric to the next hop, if the configuration asks for it."""

    USES = DecisionOptions(uses_aigp=True)
    NEAR = of("b", as_path="1 2", aigp=10, metric=1)
    FAR = of("a", as_path="1", aigp=5, metric=7)
    THIRD = of("c", as_path="1", aigp=5, metric=8)

    @pytest.mark.rfc("7311", "4.1", "MUST")
    def test_the_sum_is_compared_before_as_path(self) -> None:
        for paths in permutations((self.NEAR, self.FAR)):
            assert choose(paths, self.USES) is self.NEAR
            assert better_of(paths, self.USES) is self.NEAR
            assert choose(paths, OPTIONS) is self.FAR
        for paths in permutations((self.NEAR, self.FAR, self.THIRD)):
            assert choose(paths, self.USES) is self.NEAR
            assert choose(paths, OPTIONS) is self.FAR
        assert choose_beside(self.NEAR, self.FAR, self.USES) is self.NEAR
        assert choose_beside(self.FAR, self.NEAR, self.USES) is self.NEAR
        assert choose_beside(self.THIRD, self.FAR, self.USES) is self.FAR


def test_of_equals_the_first_stays() -> None:
    """Two paths of one source and identifier never meet in a table; no order harms."""
    path = of("a")
    twin = Path(path.source, path.attributes, path.next_hop)
    third = of("b")
    for first, second in permutations((path, twin)):
        assert choose((first, second), OPTIONS) is first
        assert choose((first, third, second), OPTIONS) is first
        assert choose_of_two(first, second, OPTIONS) is first
        assert choose_beside(first, second, OPTIONS) is first


class TestOldestExternal:
    """RFC 5004, if the configuration asks for it."""

    OLD = of("b", EBGP, as_path="1")
    NEW = of("a", EBGP, as_path="2")
    WORSE = of("c", EBGP, as_path="3")

    @pytest.mark.rfc("5004", "3", "MUST")
    def test_the_external_best_stays(self) -> None:
        for paths in permutations((self.OLD, self.NEW)):
            assert choose(paths, KEEP, oldest=self.OLD) is self.OLD
            assert choose(paths, OPTIONS, oldest=self.OLD) is self.NEW
        for paths in permutations((self.OLD, self.NEW, self.WORSE)):
            assert choose(paths, KEEP, oldest=self.OLD) is self.OLD
            assert choose(paths, KEEP) is self.NEW
            assert choose(paths, OPTIONS, oldest=self.OLD) is self.NEW

    def test_all_must_be_compared_where_what_came_first_counts(self) -> None:
        assert choose_beside(self.OLD, self.NEW, KEEP) is None
        assert choose_beside(self.OLD, self.WORSE, KEEP) is None
        assert choose_beside(self.OLD, self.WORSE, OPTIONS) is self.OLD

    def test_the_external_best_stays_whatever_step_is_left_out(self) -> None:
        keep = DecisionOptions(
            prefers_oldest_external=True,
            left_out=frozenset({Reason.AS_PATH_LEN}),
        )
        longer = of("b", EBGP, as_path="1 9")
        for paths in permutations((longer, self.NEW)):
            assert choose(paths, keep, oldest=longer) is longer
            assert choose(paths, keep) is self.NEW

    def test_all_must_be_compared_where_a_step_is_left_out(self) -> None:
        """The shorter AS_PATH is no reason then, and the best may be another."""
        without = DecisionOptions(left_out=frozenset({Reason.AS_PATH_LEN}))
        longer = of("a", EBGP, as_path="1 9")
        assert choose_beside(self.OLD, longer, without) is None
        assert choose_beside(self.OLD, longer, OPTIONS) is self.OLD


class TestUsualBlocks:
    """What gateways mostly send: the same route, each by its own next hop."""

    def test_the_lower_identifier_wins(self) -> None:
        one = of("a", next_hop="192.0.2.9", as_path="1 2", med=5)
        other = of("b", next_hop="192.0.2.8", as_path="1 2", med=5)
        assert choose_of_two(one, other, OPTIONS) is one
        assert choose_of_two(other, one, OPTIONS) is one

    def test_of_equal_identifiers_the_lower_address_wins(self) -> None:
        one, other = (
            a_path(
                some_attributes(next_hop=f"192.0.2.{number}"),
                source=a_source(f"s{number}", address=f"10.0.0.{number}"),
            )
            for number in (1, 2)
        )
        assert choose_of_two(one, other, OPTIONS) is one
        assert choose_of_two(other, one, OPTIONS) is one

    @pytest.mark.parametrize(
        ("better", "worse"),
        [
            ({"as_path": "1"}, {"as_path": "1 2"}),
            ({"as_path": "1 2", "med": 1}, {"as_path": "1 2", "med": 2}),
            ({"origin": 0}, {"origin": 1}),
            ({"local_pref": 200}, {"local_pref": 100}),
            ({}, {"communities": (0xFFFF0006,)}),  # LLGR_STALE
        ],
    )
    def test_a_difference_in_what_is_compared_decides(self, better, worse) -> None:
        one = of("b", next_hop="192.0.2.9", **better)
        other = of("a", next_hop="192.0.2.8", **worse)
        assert choose_of_two(one, other, OPTIONS) is one
        assert choose_of_two(other, one, OPTIONS) is one

    def test_so_does_one_in_the_session(self) -> None:
        far = of("a", metric=1)
        assert choose_of_two(far, of("b"), OPTIONS) is not far
        heavy = of("b")
        heavy.weight = 1
        for paths in permutations((heavy, of("a"))):
            assert better_of(paths, OPTIONS) is heavy
        external = of("b", EBGP)
        for paths in permutations((external, of("a"))):
            assert better_of(paths, OPTIONS) is external

    @pytest.mark.parametrize(
        ("better", "worse"),
        [
            ({"med": 1}, {"med": 1 << 24}),
            ({"med": 1 << 24}, {"med": (1 << 24) + 1}),
            ({"med": None}, {"med": 1 << 24}),
            ({"local_pref": 1 << 24}, {"local_pref": 200}),
            ({"local_pref": (1 << 24) + 1}, {"local_pref": 1 << 24}),
            ({"local_pref": 300}, {"local_pref": None}),
            ({"local_pref": None}, {"local_pref": 50}),
            ({"local_pref": 101, "med": 7}, {"local_pref": None, "med": 5}),
            ({"local_pref": None, "med": 7}, {"local_pref": 99, "med": 5}),
            ({"local_pref": 300, "med": 7}, {"local_pref": 200, "med": 5}),
            ({"local_pref": 300, "med": 7}, {"local_pref": 200, "med": None}),
            ({"local_pref": 300, "med": None}, {"local_pref": 200, "med": 5}),
        ],
    )
    def test_med_and_local_pref_are_read_where_they_are(self, better, worse) -> None:
        common = {"as_path": "1 2", "communities": (7,), "local_pref": 200}
        one, other = of("b", **{**common, **better}), of("a", **{**common, **worse})
        for paths in permutations((one, other)):
            assert better_of(paths, OPTIONS) is one
            assert choose(paths, OPTIONS) is one

    def test_what_follows_an_equal_med_decides_nothing(self) -> None:
        one = of("a", as_path="1", med=5, local_pref=100, communities=(7,))
        rests: list[dict[str, Any]] = [{"communities": (7,)}, {"local_pref": 100}, {}]
        for rest in rests:
            facts = {"as_path": "1", "med": 5, "local_pref": None, **rest}
            other = of("b", **facts)
            for paths in permutations((one, other)):
                assert better_of(paths, OPTIONS) is one

    def test_the_default_local_pref_takes_the_place_of_a_missing_one(self) -> None:
        without, with_it = of("b", local_pref=None), of("a", local_pref=200)
        options = DecisionOptions(default_local_pref=1 << 24)
        for paths in permutations((without, with_it)):
            assert better_of(paths, OPTIONS) is with_it
            assert better_of(paths, options) is without

    def test_an_originator_id_is_compared_with_an_identifier(self) -> None:
        """Of a route that came straight from its originator, and one that did not."""
        reflected = of("b", originator_id=ord("a"), cluster_list=(1,))
        for straight, is_better in ((of("A"), True), (of("a"), True), (of("z"), False)):
            better = straight if is_better else reflected
            for paths in permutations((straight, reflected)):
                assert better_of(paths, OPTIONS) is better
                assert choose(paths, OPTIONS) is better


class TestDifferingByClusterList:
    """What reflectors of one AS send: the same route, each with its own CLUSTER_LIST."""

    @staticmethod
    def pair(one: dict[str, Any], other: dict[str, Any]) -> list[Path]:
        shared = {"as_path": "1 2", "med": 5, "originator_id": 7, "local_pref": 100}
        return [
            a_path(
                some_attributes(**{**shared, **facts}),
                source=a_source(name, address=address, router_id=router_id),
            )
            for name, address, router_id, facts in (
                ("z", "10.0.0.1", 9, one),
                ("b", "10.0.0.2", 2, other),
            )
        ]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            # The lower address wins, whatever the identifiers of the reflectors are.
            ({"cluster_list": (9,)}, {"cluster_list": (1,)}),
            ({"cluster_list": (9, 9)}, {"cluster_list": (1, 2, 3)}),
            ({"cluster_list": (9,)}, {"cluster_list": (1,), "originator_id": 8}),
            ({"cluster_list": (9, 8)}, {"cluster_list": (1,), "med": 6}),
            (
                {"cluster_list": (9,), "large_communities": ((1, 1, 1),)},
                {"cluster_list": (1,), "large_communities": ((0, 0, 0),)},
            ),
        ],
    )
    def test_the_first_is_better(
        self, one: dict[str, Any], other: dict[str, Any]
    ) -> None:
        better, worse = self.pair(one, other)
        assert choose_of_two(better, worse, OPTIONS) is better
        assert choose_of_two(worse, better, OPTIONS) is better
        assert rank([worse, better], OPTIONS).best is better

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"cluster_list": (1, 2)}, {"cluster_list": (9,)}),
            ({"cluster_list": (1,), "originator_id": 8}, {"cluster_list": (9,)}),
            ({"cluster_list": (1,), "as_path": "1 2 3"}, {"cluster_list": (9, 9)}),
            # Neither has a CLUSTER_LIST: the identifiers of the peers decide.
            (
                {"originator_id": None, "large_communities": ((1, 1, 1),)},
                {"originator_id": None, "large_communities": ((1, 1, 1),)},
            ),
            ({"originator_id": None, "large_communities": ((1, 1, 1),)}, {}),
        ],
    )
    def test_the_second_is_better(
        self, one: dict[str, Any], other: dict[str, Any]
    ) -> None:
        worse, better = self.pair(one, other)
        assert choose_of_two(better, worse, OPTIONS) is better
        assert choose_of_two(worse, better, OPTIONS) is better
        assert rank([worse, better], OPTIONS).best is better

    def test_of_two_sessions_with_one_address_the_identifier_of_the_path_decides(
        self,
    ) -> None:
        one, other = self.pair({"cluster_list": (1,)}, {"cluster_list": (1,)})
        other.source.address = one.source.address
        one.path_id, other.path_id = 2, 1
        assert choose_of_two(one, other, OPTIONS) is other
        assert choose_of_two(other, one, OPTIONS) is other
