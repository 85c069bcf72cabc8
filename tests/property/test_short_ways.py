"""Each short way gives what the long way gives, for all that may come to it.

Decoding, splitting, packing, policies and taking in UPDATEs have theirs beside their own
laws (``test_attributes``, ``test_nlri``, ``test_pack``, ``test_policy``, ``test_intake``,
``test_session``); the short ways of Loc-RIB are in ``test_loc_rib``.
"""

from hypothesis import assume, given
from hypothesis import strategies as st

from reflector.export import Export, ExportContext, PeerType
from reflector.pending import PendingChanges
from reflector.rewrite import Reflection, reflect
from rib.adj_rib_in import AdjRibIn
from rib.attributes import PathAttributes, decode_usual, edit
from rib.attributes.codes import CLUSTER_LIST, ORIGINATOR_ID
from rib.attributes.communities import (
    GRACEFUL_SHUTDOWN,
    LLGR_STALE,
    NO_ADVERTISE,
    NO_EXPORT,
    NO_LLGR,
)
from rib.best_path import choose, choose_beside, choose_of_two
from rib.decision import DecisionOptions, Reason, rank
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.import_checks import FilteredRoute, ImportChecks
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable
from rib.nlri import parse_prefix
from rib.path import NextHop, Path, Source, SourceKind
from rib.path_set import DecisionContext, PathSet
from rib.policy import (
    ACCEPT_ALL,
    Match,
    Operator,
    Outcome,
    Policy,
    PolicySpec,
    Term,
    compile_policy,
    export_allowed,
    is_long_lived_stale,
    obey_graceful_shutdown,
    prefix_match,
)
from tests.support.attribute_strategies import attribute_sets
from tests.support.attributes import IBGP
from tests.support.exports import group_of
from tests.support.routes import a_path, a_source, slow_twin, some_attributes
from tests.support.told import Told, by_prefix, octets_of

LOCAL_AS, ROUTER_ID, CLUSTER = 64512, 0x0A000001, 7
OWN_ADDRESS = bytes((192, 0, 2, 3))
SELF = bytes((10, 0, 0, 1))
PREFIXES = [parse_prefix(f"10.{number}.0.0/16")[1] for number in range(6)]

# Few values, so that routes are often alike, or alike but for one attribute.
COMMUNITIES = (
    (),
    (),
    (1,),
    (NO_EXPORT,),
    (NO_ADVERTISE,),
    (LLGR_STALE,),
    (NO_LLGR, 1),
    (GRACEFUL_SHUTDOWN,),
    (0x0001FFFF, 0xFFFF0001),
)
few = st.integers(0, 2)
attributes_of_peers = st.builds(
    some_attributes,
    st.sampled_from(("", "", "65001", "65001 65002", "64512", "65001 {1,2}", "65535")),
    next_hop=st.sampled_from(
        ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1")
    ),
    origin=st.sampled_from((0, 0, 0, 1)),
    med=st.sampled_from((None, None, 0, 5)),
    local_pref=st.sampled_from((100, 100, None, 200)),
    communities=st.sampled_from(COMMUNITIES),
    large_communities=st.sampled_from(((), (), ((1, 2, 3),))),
    originator_id=st.sampled_from((None, None, None, ROUTER_ID, 9)),
    cluster_list=st.sampled_from(((), (), (), (CLUSTER,), (8, 9))),
)
kinds = st.sampled_from((SourceKind.IBGP, SourceKind.IBGP, *SourceKind))
either = st.booleans()


# -- the decision process -----------------------------------------------------------------


@st.composite
def competitors(draw: st.DrawFn, least: int = 0, most: int = 5) -> list[Path]:
    """Return paths of different peers, many of them equal but for one thing."""
    hops = [
        NextHop(bytes((192, 0, 2, n)), is_reachable=is_up, metric=metric)
        for n, (is_up, metric) in enumerate(
            draw(
                st.lists(
                    st.tuples(st.sampled_from((True, True, True, False)), few),
                    min_size=3,
                    max_size=3,
                )
            )
        )
    ]
    return [
        a_path(
            draw(attributes_of_peers),
            source=a_source(
                f"s{number}",
                draw(kinds),
                address=f"10.0.0.{number}",
                router_id=draw(few),
                weight=draw(st.sampled_from((0, 0, 0, 1))),
            ),
            next_hop=draw(st.sampled_from(hops)),
            path_id=draw(st.sampled_from((0, 0, 1))),
        )
        for number in range(draw(st.integers(least, most)))
    ]


options = st.builds(
    DecisionOptions,
    always_compare_med=either,
    uses_aigp=either,
    max_ecmp=st.integers(1, 3),
    prefers_oldest_external=st.sampled_from((False, False, True)),
    left_out=st.one_of(
        st.just(frozenset()),
        st.frozensets(st.sampled_from((Reason.AS_PATH_LEN, Reason.INTERIOR_METRIC))),
    ),
)


@given(competitors(), options, st.data())
def test_the_best_alone_is_the_first_of_the_whole_order(paths, choices, data) -> None:
    oldest = data.draw(st.sampled_from([None, *paths]))
    best = choose(paths, choices, oldest=oldest)
    assert best is rank(paths, choices, oldest=oldest).best


@given(competitors(2, 2), options, either)
def test_the_better_of_two_is_the_first_of_both(paths, choices, is_same) -> None:
    one, other = paths
    assume(one.next_hop.is_reachable and other.next_hop.is_reachable)
    if is_same:
        other.attributes = one.attributes
    assert choose_of_two(one, other, choices) is rank(paths, choices).best


@given(
    st.sampled_from(COMMUNITIES),
    st.lists(
        st.tuples(few, few, few, st.sampled_from(SourceKind)), min_size=2, max_size=2
    ),
    options,
)
def test_the_better_of_two_that_differ_by_next_hop(communities, facts, choices) -> None:
    paths = [
        a_path(
            some_attributes(
                "65001", next_hop=f"192.0.2.{hop}", communities=communities, med=5
            ),
            source=a_source(f"s{n}", kind, address=f"10.0.0.{n}", router_id=router_id),
            metric=metric,
        )
        for n, (hop, router_id, metric, kind) in enumerate(facts, 1)
    ]
    one, other = paths
    assert choose_of_two(one, other, choices) is rank(paths, choices).best


@given(
    st.lists(
        st.tuples(
            few,
            few,
            st.lists(few, max_size=3),
            st.sampled_from((None, 9, 9, 9, 8)),
            st.sampled_from(((), (), ((1, 2, 3),))),
        ),
        min_size=2,
        max_size=2,
    ),
    options,
)
def test_the_better_of_two_that_differ_by_cluster_list(facts, choices) -> None:
    paths = [
        a_path(
            some_attributes(
                "65001",
                med=5,
                cluster_list=clusters,
                originator_id=originator,
                large_communities=large,
            ),
            source=a_source(f"s{n}", address=f"10.0.0.{n}", router_id=router_id),
            metric=metric,
        )
        for n, (router_id, metric, clusters, originator, large) in enumerate(facts, 1)
    ]
    one, other = paths
    assert choose_of_two(one, other, choices) is rank(paths, choices).best


@given(competitors(1), options)
def test_the_best_beside_one_more_is_the_best_of_all(paths, choices) -> None:
    *before, added = paths
    best = rank(before, choices).best
    if best is not None:
        found = choose_beside(best, added, choices)
        assert found is None or found is rank(paths, choices).best


@given(
    competitors(1), options, st.lists(st.tuples(either, few), min_size=5, max_size=5)
)
def test_an_order_asked_for_later_is_the_one_of_then(paths, choices, later) -> None:
    then = rank(paths, choices)
    hops = tuple((p.next_hop.is_reachable, p.next_hop.metric) for p in paths)
    entry = PathSet(tuple(paths), then.best, DecisionContext(choices, hops))
    for path, (is_up, metric) in zip(paths, later, strict=False):
        path.next_hop.is_reachable, path.next_hop.metric = is_up, metric
    assert entry.ranking == then
    assert entry.members == then.ordered


# -- what comes in ------------------------------------------------------------------------


def import_rules(spec: PolicySpec = ACCEPT_ALL, **changes) -> ImportChecks:
    return ImportChecks(
        compile_policy(spec),
        local_as=LOCAL_AS,
        router_id=ROUTER_ID,
        cluster_ids=frozenset({CLUSTER}),
        own_addresses=frozenset({OWN_ADDRESS}),
        **changes,
    )


roles = st.sampled_from(("", "", "customer", "peer", "provider", "rs-client"))
all_rules = st.builds(
    import_rules,
    st.sampled_from(
        (
            ACCEPT_ALL,
            ACCEPT_ALL,
            PolicySpec(
                "half", (Term("no", Outcome.REJECT, Match(communities=frozenset({1}))),)
            ),
        )
    ),
    allow_own_as=st.sampled_from((0, 0, 1)),
    role=roles,
)


def refusal_by_the_book(attributes: PathAttributes, kind: SourceKind, allowed: int):
    """The loop checks without looking for octets first."""
    if attributes.next_hop == OWN_ADDRESS:
        return "OWN_NEXT_HOP"
    if attributes.as_path.asns.count(LOCAL_AS) > allowed:
        return "OWN_AS"
    if kind is SourceKind.IBGP and attributes.originator_id == ROUTER_ID:
        return "OWN_ORIGINATOR"
    if kind is SourceKind.IBGP and CLUSTER in attributes.cluster_list:
        return "OWN_CLUSTER"
    return None


@given(attributes_of_peers, kinds, few)
def test_loops_are_found_without_decoding(attributes, kind, allowed) -> None:
    rules = import_rules(allow_own_as=allowed)
    refused = rules.check(attributes, a_source(kind=kind))
    found = refused and refused.refusal.name
    assert found == refusal_by_the_book(attributes, kind, allowed)


def facts_of(outcome: object) -> object:
    if isinstance(outcome, FilteredRoute):
        return outcome.refusal, outcome.detail, outcome.attributes.octets
    assert isinstance(outcome, Path)
    return (
        outcome.attributes.octets,
        outcome.attributes.next_hop,
        outcome.received.octets,
        outcome.next_hop.address,
        outcome.path_id,
        outcome.weight,
        outcome.epoch,
    )


@given(attributes_of_peers, kinds, all_rules, few, either)
def test_a_plain_block_is_learned_as_any_other(
    attributes, kind, rules, path_id, is_known
) -> None:
    source = a_source(kind=kind, weight=3)
    source.epoch = 2
    hops = NextHopTable()
    rib = AdjRibIn(source, LocRib(IPV4_UNICAST), rules, hops)
    if is_known:
        hops.get(attributes.next_hop)
    outcomes = [
        rib.outcomes.decide(number, some, path_id)
        for number, some in enumerate((attributes, slow_twin(attributes)))
    ]
    one, other = map(facts_of, outcomes)
    assert one == other
    assert [rib.outcomes.known(0), rib.outcomes.known(1)] == outcomes


runs = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 2)),
        st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


@given(st.lists(runs, max_size=4), st.lists(st.sampled_from(PREFIXES), max_size=3))
def test_many_runs_are_taken_in_as_one_after_the_other(reads, refused) -> None:
    sides = []
    for is_short in (True, False):
        rib = AdjRibIn(a_source(), LocRib(IPV4_UNICAST), import_rules(), NextHopTable())
        rib.loc_rib.announce(PREFIXES[:2], a_path(source=a_source("other")))
        bad = rib.outcomes.decide("bad", some_attributes(next_hop="192.0.2.3"))
        rib.announce(bad, refused)
        good = [rib.outcomes.decide(n, some_attributes(med=n)) for n in range(3)]
        for read in reads:
            paths = [good[number] for number, _ in read]
            nlris = [list(run) for _, run in read]
            if is_short:
                rib.announce_all(paths, nlris)
                assert not paths
                assert not nlris
            else:
                for outcome, run in zip(paths, nlris, strict=True):
                    rib.announce(outcome, run)
        table = {
            nlri: sorted((p.source.name, p.attributes.octets) for p in entry.members)
            if isinstance(entry, PathSet)
            else [(entry.source.name, entry.attributes.octets)]
            for nlri, entry in rib.loc_rib.table.items()
        }
        counts = {s.name: n for s, n in rib.loc_rib.path_counts.items()}
        sides.append((table, counts, set(rib.filtered), sorted(rib.own_nlris())))
    assert sides[0] == sides[1]


@given(attribute_sets | attributes_of_peers)
def test_well_known_communities_are_obeyed_as_if_decoded(made) -> None:
    communities = set(made.communities)
    assert is_long_lived_stale(made) == (LLGR_STALE in communities)
    assert export_allowed(made, is_ebgp=False) == (NO_ADVERTISE not in communities)
    bars = {NO_EXPORT, NO_ADVERTISE, 0xFFFFFF03}
    assert export_allowed(made, is_ebgp=True) == communities.isdisjoint(bars)
    after = obey_graceful_shutdown(made)
    expected = 0 if GRACEFUL_SHUTDOWN in communities else made.local_pref
    assert after.local_pref == expected


# -- what goes out ------------------------------------------------------------------------


@given(attribute_sets, few, st.sampled_from((b"", bytes(4), bytes(8))))
def test_reflecting_is_editing_two_attributes(made, router_id, clusters) -> None:
    reflection = Reflection(router_id, clusters)
    changes: dict[int, bytes | None] = {
        CLUSTER_LIST: clusters + (made.get(CLUSTER_LIST) or b"")
    }
    if made.originator_id is None:
        changes[ORIGINATOR_ID] = router_id.to_bytes(4, "big")
    expected = edit(made.octets, changes)
    assert reflect(made, reflection) == expected
    decoded = decode_usual(made.octets, IBGP)
    if decoded is not None:
        assert reflect(decoded, reflection) == expected


contexts = st.builds(
    ExportContext,
    family=st.sampled_from((IPV4_UNICAST, IPV4_UNICAST, IPV4_UNICAST, IPV6_UNICAST)),
    peer_type=st.sampled_from((PeerType.CLIENT, *PeerType)),
    local_as=st.just(LOCAL_AS),
    local_address=st.just(SELF),
    router_id=st.just(ROUTER_ID),
    cluster_id=st.sampled_from((CLUSTER, 8)),
    self_from=st.one_of(st.none(), st.frozensets(st.sampled_from(tuple(SourceKind)))),
    four_octet_as=st.sampled_from((True, True, True, False)),
    extended_next_hop=either,
    has_long_lived=either,
    role=st.sampled_from(("", "", "provider", "peer")),
)
UNMATCHED = PolicySpec(
    "all",
    (
        Term(
            "none",
            Outcome.REJECT,
            Match(prefixes=prefix_match(Operator.IN, "9.0.0.0/8")),
        ),
    ),
    accepts_unmatched=True,
)


@given(
    contexts,
    st.lists(st.tuples(attributes_of_peers, kinds, either, few), max_size=5),
    either,
)
def test_plain_paths_are_advertised_as_any_other_path_is(
    context, routes, defers_peer_routes
) -> None:
    """One export for all, so that what it remembers of one path meets the next."""
    short = Export(context, Policy(ACCEPT_ALL), defers_peer_routes=defers_peer_routes)
    asked = compile_policy(UNMATCHED)
    long = Export(context, asked, defers_peer_routes=defers_peer_routes)
    for attributes, kind, is_client, router_id in routes:
        source = Source(
            "peer", kind, router_id=router_id, is_client=is_client, cluster_id=8
        )
        hop = NextHop(attributes.next_hop)
        path = Path(source, attributes, hop)
        slow = Path(source, slow_twin(attributes), hop)
        expected = short(slow)
        assert short(path) == expected
        assert [short.outgoing(path) for _ in range(2)] == [expected] * 2
        assert short.divide(path, PREFIXES) == ((expected, PREFIXES),)
        for some in (path, slow):
            assert long(some, PREFIXES[0]) == expected
            ((outgoing, nlris),) = long.divide(some, PREFIXES)
            assert (outgoing, list(nlris)) == (expected, PREFIXES)
        if short.reflects_only and attributes.is_plain and expected is not None:
            reflection = short.reflection_of(source)
            assert (reflection is None) is (kind is not SourceKind.IBGP)
            tail = reflection.tail if reflection else b""
            assert not tail or expected.attributes == attributes.octets + tail


histories = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=3),
            st.integers(0, 5),
        ),
        max_size=5,
    ),
    max_size=6,
)


@given(
    histories,
    st.lists(attributes_of_peers, min_size=5, max_size=5),
    st.tuples(either, either, either),
)
def test_a_group_tells_the_same_by_all_of_its_ways(
    history, attributes, clients
) -> None:
    """Reflected blocks, other prefixes that fare alike, and prefixes judged one by one."""
    sources = [
        Source(
            f"peer {number}",
            SourceKind.IBGP if number < 3 else SourceKind.EBGP,
            address=bytes((10, 0, 0, number)),
            router_id=number,
            is_client=number < 3 and clients[number],
            cluster_id=CLUSTER,
        )
        for number in range(4)
    ]
    context = ExportContext(
        family=IPV4_UNICAST,
        peer_type=PeerType.CLIENT,
        local_as=LOCAL_AS,
        local_address=SELF,
        router_id=ROUTER_ID,
        cluster_id=CLUSTER,
    )
    groups = [
        group_of(Export(context, compile_policy(spec)))
        for spec in (ACCEPT_ALL, ACCEPT_ALL, UNMATCHED)
    ]
    groups[1].export.reflects_only = False
    hops = NextHopTable()
    views: list[dict[Source, Told]] = []
    for group in groups:
        for source in sources[:3]:
            group.join(source)
        views.append({source: Told() for source in sources[:3]})
    rib = LocRib(IPV4_UNICAST)
    pending = PendingChanges(rib.table)
    known: dict[tuple[int, int], Path] = {}
    for batch in history:
        for peer, nlris, number in batch:
            source = sources[peer]
            if number == 5:
                pending.add(rib.withdraw(nlris, source))
                continue
            some = attributes[number]
            path = known.setdefault(
                (peer, number), Path(source, some, hops.get(some.next_hop))
            )
            pending.add(rib.announce(nlris, path))
        changes = pending.drain(len(pending))
        for group, told in zip(groups, views, strict=True):
            outbound = group.encode(changes)
            if outbound is not None:
                for source in group.members:
                    told[source].take(octets_of(outbound.share_of(source)))
        for source in sources[:3]:
            one, two, three = (by_prefix(told[source].view) for told in views)
            assert one == two == three
