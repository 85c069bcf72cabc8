from dataclasses import replace
from itertools import starmap

from hypothesis import given
from hypothesis import strategies as st

from rib.decision import DecisionOptions, Reason, rank
from rib.path import NextHop, Path, Source, SourceKind
from tests.support.routes import a_path, some_attributes

HOPS = [
    NextHop(bytes((192, 0, 2, i)), metric=i % 2, is_reachable=i != 3) for i in range(4)
]
LLGR_STALE = 0xFFFF0006
few = st.integers(0, 2)

attributes = st.builds(
    some_attributes,
    st.sampled_from(("", "1", "1 2", "2 1", "2 {1,3}", "{1} 2", "3")),
    origin=few,
    med=st.none() | few,
    local_pref=st.sampled_from((None, 99, 100, 101)),
    communities=st.sampled_from(((), (), (), (LLGR_STALE,), (1, LLGR_STALE))),
    originator_id=st.none() | few,
    cluster_list=st.sampled_from(((), (1,), (1, 2))),
    aigp=st.none() | few,
)


def a_peer(number: int, kind: SourceKind, router_id: int, weight: int) -> Source:
    address = bytes((10, 0, 0, number % 3)) if kind >= SourceKind.EBGP else b""
    return Source(
        f"s{number}", kind, address=address, router_id=router_id, weight=weight
    )


@st.composite
def competitors(draw: st.DrawFn) -> list[Path]:
    facts = st.tuples(
        st.sampled_from((*SourceKind, SourceKind.IBGP, SourceKind.EBGP)),
        few,
        st.sampled_from((0, 0, 0, 1)),
    )
    sources = [
        a_peer(n, *draw(facts))
        for n in range(draw(st.integers(min_value=0, max_value=4)))
    ]
    keys = [(source, path_id) for source in sources for path_id in (0, 1)]
    chosen = draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    return [
        a_path(
            draw(attributes),
            source=source,
            path_id=path_id,
            next_hop=draw(st.sampled_from(HOPS)),
        )
        for source, path_id in chosen
    ]


options = st.builds(
    DecisionOptions,
    always_compare_med=st.booleans(),
    uses_aigp=st.booleans(),
    max_ecmp=st.integers(1, 4),
    multipath_relax=st.booleans(),
    left_out=st.frozensets(
        st.sampled_from((Reason.AS_PATH_LEN, Reason.INTERIOR_METRIC))
    ),
)


def by_the_book(paths: list[Path], choices: DecisionOptions) -> Path:
    """RFC 4271 9.1.2.2 literally: drop what is not best, step after step."""

    def keep_lowest(left, value):
        lowest = min(map(value, left))
        return [path for path in left if value(path) == lowest]

    def aigp(path: Path) -> float:
        value = path.attributes.aigp if choices.uses_aigp else None
        return float("inf") if value is None else value + path.next_hop.metric

    def local_pref(path: Path) -> int:
        value = path.attributes.local_pref
        return -100 if value is None else -value

    def group(path: Path) -> int:
        return 0 if choices.always_compare_med else path.attributes.as_path.neighbour_as

    def router_id(path: Path) -> int:
        originator = path.attributes.originator_id
        return path.source.router_id if originator is None else originator

    left = [path for path in paths if path.next_hop.is_reachable]
    for value in (
        lambda p: LLGR_STALE in p.attributes.communities,
        lambda p: -p.weight,
        lambda p: min(p.source.kind, SourceKind.EBGP),
        local_pref,
        aigp,
        lambda p: (
            Reason.AS_PATH_LEN in choices.left_out or p.attributes.as_path.hop_count
        ),
        lambda p: p.attributes.origin,
    ):
        left = keep_lowest(left, value)
    left = [
        path
        for path in left
        if (path.attributes.med or 0)
        == min(p.attributes.med or 0 for p in left if group(p) == group(path))
    ]
    for value in (
        lambda p: p.source.kind > SourceKind.EBGP,
        lambda p: Reason.INTERIOR_METRIC in choices.left_out or p.next_hop.metric,
        router_id,
        lambda p: len(p.attributes.cluster_list),
        lambda p: p.source.address,
        lambda p: p.path_id,
        lambda p: p.source.name,
    ):
        left = keep_lowest(left, value)
    (only,) = left
    return only


@given(competitors(), options, st.randoms(use_true_random=False))
def test_arrival_order_never_decides(paths, choices, rng) -> None:
    shuffled = list(paths)
    rng.shuffle(shuffled)
    assert rank(paths, choices) == rank(shuffled, choices)


@given(competitors(), options)
def test_the_order_is_that_of_removing_the_best_again_and_again(paths, choices) -> None:
    ranking = rank(paths, choices)
    left = list(paths)
    for path in ranking.eligible:
        assert by_the_book(left, choices) is path
        left.remove(path)
    assert not any(path.next_hop.is_reachable for path in left)
    assert set(ranking.ordered[len(ranking.eligible) :]) == set(left)


@given(competitors(), options)
def test_every_path_is_ranked_and_every_loser_has_its_reason(paths, choices) -> None:
    best, ordered, reasons, _ = rank(paths, choices)
    assert set(ordered) == set(paths)
    assert len(ordered) == len(reasons) == len(paths)
    for path, reason in zip(ordered, reasons, strict=True):
        assert (reason is Reason.BEST) == (path is best)
        unreachable = reason is Reason.NEXT_HOP_UNREACHABLE
        assert unreachable == (not path.next_hop.is_reachable)


@given(competitors(), options)
def test_members_of_multipath_cost_the_same_and_differ_in_next_hop(
    paths, choices
) -> None:
    ranking = rank(paths, choices)
    members = ranking.multipath
    assert members[:1] == ranking.eligible[:1]
    assert len(members) <= choices.max_ecmp
    assert len({path.next_hop for path in members}) == len(members)
    left_out = choices.left_out
    facts = [
        (
            p.weight,
            p.attributes.local_pref or 100,
            Reason.AS_PATH_LEN in left_out or p.attributes.as_path.hop_count,
            p.attributes.origin,
            p.source.kind,
            Reason.INTERIOR_METRIC in left_out or p.next_hop.metric,
        )
        for p in members
    ]
    assert len(set(facts)) <= 1


@given(competitors(), options)
def test_a_path_less_among_the_losers_leaves_the_best_unless_med_was_its_work(
    paths, choices
) -> None:
    choices = replace(choices, always_compare_med=True)
    ranking = rank(paths, choices)
    rankings = starmap(
        rank, (([p for p in paths if p is not lost], choices) for lost in paths)
    )
    for lost, without in zip(paths, rankings, strict=True):
        expected = [path for path in ranking.ordered if path is not lost]
        assert list(without.ordered) == expected
