import copy
import pickle
from dataclasses import fields
from itertools import permutations

import pytest

from rib.decision import (
    AFTER_MED,
    BEFORE_MED,
    DecisionOptions,
    Reason,
    hops_of,
    rank,
)
from rib.path import NextHop, Path, SourceKind
from tests.support.cases import cases
from tests.support.decision_steps import STEPS
from tests.support.routes import a_path, a_source, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

OPTIONS = DecisionOptions()
LLGR_STALE = 0xFFFF0006
EBGP, IBGP = SourceKind.EBGP, SourceKind.IBGP


def names(paths):
    return [path.source.name for path in paths]


def of(name: str, kind: SourceKind = IBGP, **attributes) -> Path:
    """A path of the source ``name``, whose last letter orders BGP identifiers."""
    source = a_source(name, kind, router_id=ord(name[-1]))
    return a_path(some_attributes(**attributes), source=source)


TOLD_APART_BY_OPTION = {Reason.AIGP, Reason.NOT_OLDEST_EXTERNAL}


@pytest.mark.rfc("4271", "9.1.2.2", "MUST")
@cases("reason", STEPS, ids=lambda reason: reason.name)
def test_each_step_decides_before_all_later_ones(reason: Reason) -> None:
    better, worse = STEPS[reason]
    for paths in ((better, worse), (worse, better)):
        ranking = rank(paths, OPTIONS)
        assert ranking.best is better
        assert ranking.ordered == (better, worse)
        assert ranking.reasons == (Reason.BEST, reason)


def test_every_step_of_the_tables_has_an_example() -> None:
    steps = {*BEFORE_MED, Reason.MED, *AFTER_MED}
    assert steps == STEPS.keys() | TOLD_APART_BY_OPTION
    assert {*Reason} - steps == {Reason.BEST, Reason.NEXT_HOP_UNREACHABLE}


@pytest.mark.parametrize("reason", [Reason.AS_PATH_LEN, Reason.INTERIOR_METRIC])
def test_a_step_that_is_left_out_decides_nothing(reason: Reason) -> None:
    better, worse = STEPS[reason]
    without = DecisionOptions(left_out=frozenset({reason}))
    assert rank((better, worse), without).best is worse
    for other in STEPS.keys() - {reason}:
        better, worse = STEPS[other]
        assert rank((better, worse), without).best is better


def test_members_of_ecmp_may_differ_in_a_metric_that_is_left_out() -> None:
    near, far = (
        a_path(
            some_attributes(next_hop=f"192.0.2.{n}"), source=a_source(str(n)), metric=n
        )
        for n in (1, 2)
    )
    assert rank((near, far), OPTIONS).multipath == (near,)
    without = DecisionOptions(left_out=frozenset({Reason.INTERIOR_METRIC}))
    assert rank((near, far), without).multipath == (near, far)


@pytest.mark.rfc("4271", "9.1.2.1", "MUST")
def test_unreachable_next_hop_is_not_eligible() -> None:
    far = a_path(
        some_attributes(local_pref=500), source=a_source("far"), is_reachable=False
    )
    near = a_path(source=a_source("near"))
    ranking = rank((far, near), OPTIONS)
    assert ranking.ordered == (near, far)
    assert ranking.reasons == (Reason.BEST, Reason.NEXT_HOP_UNREACHABLE)
    assert ranking.eligible == (near,)
    assert ranking.multipath == (near,)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_without_an_eligible_path_there_is_no_best_path(count: int) -> None:
    paths = [a_path(source=a_source(f"p{i}"), is_reachable=False) for i in range(count)]
    ranking = rank(paths[::-1], OPTIONS)
    assert ranking.best is None
    assert ranking.ordered == tuple(paths)
    assert set(ranking.reasons) == {Reason.NEXT_HOP_UNREACHABLE}
    assert ranking.eligible == ranking.multipath == ()


def test_without_paths_there_is_no_best_path() -> None:
    assert rank((), OPTIONS) == (None, (), (), ())


def test_a_lone_path_is_best() -> None:
    path = a_path()
    assert rank((path,), OPTIONS) == (path, (path,), (Reason.BEST,), (path,))
    assert rank((path,), OPTIONS).eligible == (path,)


def test_missing_local_pref_counts_as_the_default() -> None:
    paths = [of("a"), of("b", local_pref=101), of("c", local_pref=99)]
    assert names(rank(paths, OPTIONS).ordered) == ["b", "a", "c"]
    options = DecisionOptions(default_local_pref=200)
    assert names(rank(paths, options).ordered) == ["a", "b", "c"]


@pytest.mark.rfc("4271", "9.1.2.2", "MUST")
def test_missing_med_is_the_lowest() -> None:
    paths = [of("a", as_path="1", med=1), of("b", as_path="1")]
    assert rank(paths, OPTIONS).reasons == (Reason.BEST, Reason.MED)
    assert names(rank(paths, OPTIONS).ordered) == ["b", "a"]


@pytest.mark.rfc("4271", "9.1.2.2", "MUST")
def test_med_is_compared_within_one_neighbour_as_only() -> None:
    one = of("a", as_path="1 9", med=50)
    other = of("b", as_path="2 9", med=10)
    assert names(rank((one, other), OPTIONS).ordered) == ["a", "b"]
    everywhere = DecisionOptions(always_compare_med=True)
    assert names(rank((one, other), everywhere).ordered) == ["b", "a"]
    assert rank((one, other), everywhere).reasons[1] is Reason.MED


# The classic: compared in pairs, a beats b, b beats c, c beats a.
CYCLE = (
    of("a", as_path="1 9", med=20),
    of("b", as_path="2 9", med=0),
    of("c", as_path="1 9", med=10),
)


@pytest.mark.rfc("4271", "9.1.2.2", "MUST")
@pytest.mark.parametrize(
    "paths", [*permutations(CYCLE)], ids=lambda p: "".join(names(p))
)
def test_a_med_cycle_has_one_order_whichever_path_came_first(paths) -> None:
    ranking = rank(paths, OPTIONS)
    assert names(ranking.ordered) == ["b", "c", "a"]
    assert ranking.reasons == (Reason.BEST, Reason.ROUTER_ID, Reason.MED)


def test_every_permutation_of_many_kinds_of_paths_has_one_ranking() -> None:
    paths = (
        *CYCLE,
        of("d", EBGP, as_path="1 9", med=10),
        of("e", local_pref=50),
        a_path(source=a_source("f"), is_reachable=False),
    )
    expected = rank(paths, OPTIONS)
    assert names(expected.ordered) == ["d", "b", "c", "a", "e", "f"]
    for shuffled in permutations(paths):
        assert rank(shuffled, OPTIONS) == expected


@pytest.mark.rfc("7311", "4.1", "MUST")
def test_aigp_is_compared_with_the_way_to_the_next_hop_where_asked_for() -> None:
    near = a_path(some_attributes("1", aigp=10), source=a_source("near"), metric=1)
    far = a_path(some_attributes("1", aigp=5), source=a_source("far"), metric=7)
    none = a_path(some_attributes(""), source=a_source("none"))
    ranking = rank((none, far, near), DecisionOptions(uses_aigp=True))
    assert ranking.ordered == (near, far, none)
    assert ranking.reasons == (Reason.BEST, Reason.AIGP, Reason.AIGP)
    assert rank((none, far, near), OPTIONS).best is none


@pytest.mark.rfc("7311", "4.1", "MUST")
def test_aigp_is_found_whatever_else_is_there() -> None:
    """The least difference counts, and a number that looks like the attribute does not."""
    near = a_path(some_attributes("1", aigp=10), source=a_source("near"), metric=1)
    next_best = a_path(some_attributes("1", aigp=10), source=a_source("n"), metric=2)
    lookalike = a_path(some_attributes("", med=26), source=a_source("none"))
    uses = DecisionOptions(uses_aigp=True)
    assert rank((lookalike, next_best, near), uses).ordered == (
        near,
        next_best,
        lookalike,
    )
    most = a_path(some_attributes("1", aigp=2**64 - 1), source=near.source, metric=9)
    assert rank((lookalike, most), uses).best is most


@pytest.mark.rfc("9494", "4.3", "MUST")
def test_stale_paths_compete_with_each_other_as_ever() -> None:
    one = of("a", communities=(LLGR_STALE,), local_pref=200)
    two = of("b", communities=(LLGR_STALE,))
    fresh = of("c", local_pref=1)
    assert rank((one, two, fresh), OPTIONS).ordered == (fresh, one, two)


def test_octets_that_look_like_the_stale_community_are_none() -> None:
    lookalike = of("a", cluster_list=(LLGR_STALE,), local_pref=101)
    assert rank((lookalike, of("b")), OPTIONS).best is lookalike


def test_a_path_worse_before_med_stays_behind_whatever_follows() -> None:
    paths = [
        of("c", as_path="1"),
        of("a", as_path="2", local_pref=98),
        of("b", as_path="3", local_pref=99),
    ]
    ranking = rank(paths, OPTIONS)
    assert names(ranking.ordered) == ["c", "b", "a"]
    assert ranking.reasons[1:] == (Reason.LOCAL_PREF, Reason.LOCAL_PREF)


def test_so_does_one_behind_several_equal_ones() -> None:
    paths = [of("c", as_path="1"), of("d", as_path="2"), of("e", as_path="3")]
    worse = of("a", as_path="4", local_pref=99)
    worst = of("b", as_path="5", local_pref=98)
    for count in (2, 3):
        expected = (*paths[:count], worse, worst)
        for shuffled in permutations(expected):
            assert rank(shuffled, OPTIONS).ordered == expected


def test_what_was_known_of_next_hops_must_be_known_of_all() -> None:
    two = [of("a"), of("b")]
    with pytest.raises(ValueError, match="zip"):
        rank(two, OPTIONS, hops=hops_of(two[:1]))


class TestOldestExternal:
    OLD = of("b", EBGP, as_path="1")
    NEW = of("a", EBGP, as_path="2")
    KEEP = DecisionOptions(prefers_oldest_external=True)

    @pytest.mark.rfc("5004", "3", "MUST")
    def test_oldest_external_stays(self) -> None:
        ranking = rank((self.NEW, self.OLD), self.KEEP, oldest=self.OLD)
        assert ranking.ordered == (self.OLD, self.NEW)
        assert ranking.reasons[1] is Reason.NOT_OLDEST_EXTERNAL

    def test_age_counts_for_nothing_by_default(self) -> None:
        ranking = rank((self.NEW, self.OLD), OPTIONS, oldest=self.OLD)
        assert ranking.best is self.NEW

    def test_internal_best_has_no_advantage(self) -> None:
        old, new = of("b"), of("a")
        assert rank((old, new), self.KEEP, oldest=old).best is new

    def test_internal_best_says_nothing_about_external_paths(self) -> None:
        internal = of("b")
        ranking = rank((self.OLD, self.NEW), self.KEEP, oldest=internal)
        assert ranking.ordered == (self.NEW, self.OLD)

    def test_newer_external_paths_forward_too(self) -> None:
        ranking = rank((self.NEW, self.OLD), self.KEEP, oldest=self.OLD)
        assert ranking.multipath == (self.OLD, self.NEW)

    @pytest.mark.rfc("5004", "3", "SHOULD")
    def test_parallel_sessions_of_one_router_are_distinguished_by_address(self) -> None:
        high = a_source("high", EBGP, address="10.0.0.9")
        low = a_source("low", EBGP, address="10.0.0.1")
        old = a_path(some_attributes("1"), source=high)
        new = a_path(some_attributes("1"), source=low)
        ranking = rank((old, new), self.KEEP, oldest=old)
        assert ranking.best is new
        assert ranking.reasons[1] is Reason.PEER_ADDRESS


class TestMultipath:
    def test_equal_cost_paths_forward_together_in_order(self) -> None:
        paths = [of(name, as_path="1 2") for name in "cab"]
        assert names(rank(paths, OPTIONS).multipath) == ["a", "b", "c"]

    @pytest.mark.parametrize("max_ecmp", [1, 2])
    def test_at_most_so_many(self, max_ecmp: int) -> None:
        paths = [of(name) for name in "cab"]
        options = DecisionOptions(max_ecmp=max_ecmp)
        assert names(rank(paths, options).multipath) == ["a", "b", "c"][:max_ecmp]

    def test_one_next_hop_counts_once(self) -> None:
        shared = NextHop(b"\xc0\x00\x02\x01")
        paths = [a_path(source=a_source(name), next_hop=shared) for name in "ab"]
        paths.append(a_path(source=a_source("c")))
        options = DecisionOptions(max_ecmp=2)
        assert names(rank(paths, options).multipath) == ["a", "c"]

    def test_metric_and_kind_of_peer_must_be_equal(self) -> None:
        best = a_path(source=a_source("a", EBGP))
        farther = a_path(source=a_source("b", EBGP), metric=1)
        internal = a_path(source=a_source("c"))
        ranking = rank((best, farther, internal), OPTIONS)
        assert ranking.ordered == (best, farther, internal)
        assert ranking.multipath == (best,)

    def test_what_med_eliminated_does_not_forward(self) -> None:
        ranking = rank(CYCLE, OPTIONS)
        assert names(ranking.multipath) == ["b", "c"]

    def test_worse_local_pref_does_not_forward(self) -> None:
        paths = [of("a"), of("b", local_pref=99)]
        assert names(rank(paths, OPTIONS).multipath) == ["a"]

    def test_as_paths_may_differ_only_when_relaxed(self) -> None:
        paths = [of("a", as_path="1 2"), of("b", as_path="3 2"), of("c", as_path="1 2")]
        strict = DecisionOptions(multipath_relax=False)
        assert names(rank(paths, OPTIONS).multipath) == ["a", "b", "c"]
        assert names(rank(paths, strict).multipath) == ["a", "c"]


def test_the_same_source_twice_still_ranks() -> None:
    path = a_path()
    twin = a_path(source=path.source)
    assert rank((path, twin), OPTIONS).reasons == (Reason.BEST, Reason.SOURCE_NAME)


def test_options_come_whole_from_another_process() -> None:
    # A worker reads the configuration and hands it over pickled, on either build.
    options = DecisionOptions(
        always_compare_med=True,
        uses_aigp=True,
        default_local_pref=7,
        max_ecmp=3,
        multipath_relax=False,
        prefers_oldest_external=True,
        left_out=frozenset({Reason.AIGP}),
    )
    assert all(
        getattr(options, field.name) != getattr(OPTIONS, field.name)
        for field in fields(options)
    )
    for each in (OPTIONS, options):
        octets = pickle.dumps(each, pickle.HIGHEST_PROTOCOL)
        assert pickle.loads(octets) == each  # noqa: S301  # of our own
        assert copy.deepcopy(each) == each
