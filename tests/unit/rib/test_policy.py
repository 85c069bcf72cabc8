import pytest

from rib.attributes import PathAttributes
from rib.attributes.communities import LLGR_STALE, NO_LLGR, parse_ext_community
from rib.attributes.community_patterns import EXTENDED, LARGE, STANDARD
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_address, parse_prefix
from rib.path import SourceKind
from rib.policy import (
    BUILT_IN_POLICIES,
    EBGP_DEFAULT_DENY,
    GRACEFUL_SHUTDOWN,
    NO_ADVERTISE,
    NO_EXPORT,
    NO_EXPORT_SUBCONFED,
    Actions,
    Bounds,
    Match,
    Operator,
    Outcome,
    Policy,
    PolicySpec,
    Term,
    Verdict,
    compile_policy,
    export_allowed,
    is_long_lived_stale,
    long_lived,
    obey_graceful_shutdown,
    prefix_match,
)
from rib.policy.engine import MEMO_MAX, UNMATCHED
from tests.support.cases import cases
from tests.support.routes import a_source, nlris, some_attributes

ACCEPT, REJECT, NEXT = Outcome.ACCEPT, Outcome.REJECT, Outcome.NEXT
IBGP = a_source()
ROUTE = parse_prefix("10.1.2.0/24")[1]
TAG = 65000 << 16 | 1
ROUTE_TARGET = parse_ext_community("rt:65000:1")
OTHER_TAG = 65000 << 16 | 2


def policy_of(*terms: Term, accepts_unmatched: bool = False) -> Policy:
    return compile_policy(PolicySpec("p", terms, accepts_unmatched=accepts_unmatched))


def verdict_of(
    match: Match = Match(),  # noqa: B008  # frozen
    actions: Actions = Actions(),  # noqa: B008  # frozen
    attributes=None,
    *,
    source=IBGP,
    nlri=ROUTE,
    interface="",
    family=IPV4_UNICAST,
) -> Verdict:
    policy = policy_of(Term("t", ACCEPT, match, actions))
    return policy.evaluate(
        attributes or some_attributes("65001 65002"),
        source,
        family,
        nlri,
        interface=interface,
    )


def after(actions: Actions, **attributes):
    return verdict_of(actions=actions, attributes=some_attributes(**attributes))


class TestBuiltIn:
    def test_accept_all_leaves_attributes_alone(self) -> None:
        attributes = some_attributes()
        policy = compile_policy(BUILT_IN_POLICIES["accept-all"])
        assert not policy.needs_prefix
        assert not policy.needs_interface
        assert policy.evaluate(attributes, IBGP, IPV4_UNICAST, None) == Verdict(
            True, attributes, UNMATCHED
        )
        assert repr(policy) == "Policy(accept-all)"

    def test_reject_all_rejects(self) -> None:
        policy = compile_policy(BUILT_IN_POLICIES["reject-all"])
        assert not policy.evaluate(
            some_attributes(), IBGP, IPV4_UNICAST, None
        ).is_accepted

    @pytest.mark.rfc("8212", "3", "MUST")
    def test_ebgp_without_policy_denies_and_says_why(self) -> None:
        policy = compile_policy(BUILT_IN_POLICIES["ebgp-default-deny"])
        verdict = policy.evaluate(some_attributes(), IBGP, IPV4_UNICAST, None)
        assert not verdict.is_accepted
        assert "RFC 8212" in verdict.reason

    def test_policies_are_found_by_their_own_name(self) -> None:
        assert all(spec.name == name for name, spec in BUILT_IN_POLICIES.items())
        assert EBGP_DEFAULT_DENY in BUILT_IN_POLICIES.values()


# Match, whether it matches, on a route "65001 65002" of 10.1.2.0/24 via 192.0.2.1
CONDITIONS = [
    (Match(), True),
    (Match(family=IPV4_UNICAST), True),
    (Match(family=IPV6_UNICAST), False),
    (Match(source_kinds=frozenset({SourceKind.IBGP, SourceKind.EBGP})), True),
    (Match(source_kinds=frozenset({SourceKind.KERNEL})), False),
    (Match(communities=frozenset({TAG, 5})), True),
    (Match(communities=frozenset({5})), False),
    (Match(large_communities=frozenset({(1, 2, 3)})), True),
    (Match(large_communities=frozenset({(1, 2, 4)})), False),
    (Match(communities=frozenset({STANDARD.parse("65000:*")})), True),
    (Match(communities=frozenset({STANDARD.parse("65001:*")})), False),
    (Match(communities_all=frozenset({TAG})), True),
    (Match(communities_all=frozenset({TAG, STANDARD.parse("65000:1-2")})), True),
    (Match(communities_all=frozenset({TAG, 5})), False),
    (Match(communities_none=frozenset({5})), True),
    (Match(communities_none=frozenset({5, TAG})), False),
    (Match(communities_none=frozenset({STANDARD.parse("65000:*")})), False),
    (Match(communities_exact=frozenset({TAG, 1})), True),
    (Match(communities_exact=frozenset({TAG})), False),
    (Match(communities_exact=frozenset({TAG, 1, 5})), False),
    (Match(communities_exact=frozenset({STANDARD.parse("65000:*"), 1})), True),
    (Match(communities_exact=frozenset()), False),
    (Match(large_communities=frozenset({LARGE.parse("1:2:*")})), True),
    (Match(large_communities_all=frozenset({(1, 2, 3)})), True),
    (Match(large_communities_all=frozenset({(1, 2, 3), (1, 2, 4)})), False),
    (Match(large_communities_none=frozenset({(1, 2, 4)})), True),
    (Match(large_communities_none=frozenset({LARGE.parse("*:2:3")})), False),
    (Match(large_communities_exact=frozenset({LARGE.parse("1:*:3")})), True),
    (Match(large_communities_exact=frozenset({(1, 2, 3), (1, 2, 4)})), False),
    (Match(ext_communities=frozenset({ROUTE_TARGET, 5})), True),
    (Match(ext_communities=frozenset({EXTENDED.parse("rt:9:*")})), False),
    (Match(ext_communities_all=frozenset({EXTENDED.parse("rt:*:*")})), True),
    (Match(ext_communities_all=frozenset({ROUTE_TARGET, 5})), False),
    (Match(ext_communities_none=frozenset({5})), True),
    (Match(ext_communities_none=frozenset({ROUTE_TARGET})), False),
    (Match(ext_communities_exact=frozenset({ROUTE_TARGET})), True),
    (Match(ext_communities_exact=frozenset({EXTENDED.parse("rt:9:*")})), False),
    (Match(origins=frozenset({0, 1})), True),
    (Match(origins=frozenset({2})), False),
    (Match(as_path_regex="^65001"), True),
    (Match(as_path_regex="_65002$"), True),
    (Match(as_path_regex="_65001_65002_"), True),
    (Match(as_path_regex="_6500_"), False),
    (Match(as_path_prefix=(65001,)), True),
    (Match(as_path_prefix=(65001, 65002)), True),
    (Match(as_path_prefix=(65002,)), False),
    (Match(as_path_prefix=(65001, 65002, 65003)), False),
    (Match(neighbour_as=frozenset({65001})), True),
    (Match(neighbour_as=frozenset({65002})), False),
    (Match(origin_as=frozenset({65002})), True),
    (Match(origin_as=frozenset({65001})), False),
    (Match(next_hops=prefix_match(Operator.IN, "192.0.2.0/24")), True),
    (Match(next_hops=prefix_match(Operator.NOT_IN, "192.0.2.0/24")), False),
    (Match(next_hops=prefix_match(Operator.EQUAL, "192.0.2.2")), False),
    (Match(next_hops=prefix_match(Operator.IN, "2001:db8::/32")), False),
    (Match(local_pref=Bounds(100, 100)), True),
    (Match(local_pref=Bounds(101, 200)), False),
    (Match(med=Bounds(0, 0)), True),
    (Match(med=Bounds(1, 9)), False),
    (Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/8")), True),
    (Match(prefixes=prefix_match(Operator.IN, "11.0.0.0/8")), False),
    (Match(prefixes=prefix_match(Operator.IN, "::/0")), False),
    (Match(prefixes=prefix_match(Operator.NOT_IN, "::/0")), True),
    (
        Match(
            communities=frozenset({TAG}),
            prefixes=prefix_match(Operator.EQUAL, "10.1.2.0/24"),
            as_path_prefix=(65001,),
        ),
        True,
    ),
    (
        Match(
            communities=frozenset({TAG}),
            prefixes=prefix_match(Operator.EQUAL, "10.1.2.0/24"),
            as_path_prefix=(65002,),
        ),
        False,
    ),
]


def matched_attributes() -> PathAttributes:
    return some_attributes(
        "65001 65002",
        communities=(1, TAG),
        large_communities=((1, 2, 3),),
        ext_communities=(ROUTE_TARGET,),
    )


@cases(("match", "expected"), CONDITIONS)
def test_conditions(match: Match, *, expected: bool) -> None:
    attributes = matched_attributes()
    assert verdict_of(match, attributes=attributes).is_accepted is expected


def test_every_condition_has_both_examples() -> None:
    for field in Match.__dataclass_fields__:
        if field == "interface":
            continue  # has a test of its own
        outcomes = {
            expected
            for match, expected in CONDITIONS
            if getattr(match, field) != getattr(Match(), field)
        }
        assert outcomes == {True, False}, field


def test_local_pref_and_med_of_the_route_are_compared() -> None:
    attributes = some_attributes(local_pref=2147482623, med=7)
    assert verdict_of(Match(local_pref=Bounds(101, 2**32)), attributes=attributes)[0]
    assert verdict_of(Match(med=Bounds(7, 7)), attributes=attributes)[0]
    assert not verdict_of(Match(med=Bounds(8, 9)), attributes=attributes)[0]


@pytest.mark.parametrize(
    ("glob", "interface", "expected"),
    [
        ("*", "", True),
        ("*", "eth0", True),
        ("*.cali", "vxlan.cali", True),
        ("*.cali", "vxlanxcali", False),
        ("cali*", "cali0123", True),
        ("cali*", "xcali", False),
        ("eth0", "eth0", True),
        ("eth0", "eth01", False),
        ("e*0", "eth0", True),
    ],
)
def test_interface_is_a_glob(glob: str, interface: str, *, expected: bool) -> None:
    verdict = verdict_of(Match(interface=glob), interface=interface)
    assert verdict.is_accepted is expected
    assert policy_of(Term("t", ACCEPT, Match(interface=glob))).needs_interface


def test_negated_next_hops_hold_for_a_route_without_next_hop() -> None:
    policy = policy_of(
        Term("t", ACCEPT, Match(next_hops=prefix_match(Operator.NOT_IN, "::/0")))
    )
    attributes = some_attributes().with_changes({}, next_hop=b"")
    assert policy.evaluate(attributes, IBGP, IPV4_UNICAST, ROUTE).is_accepted


def test_link_local_half_of_a_next_hop_is_not_compared() -> None:
    both = parse_address("2001:db8::1") + parse_address("fe80::1")
    attributes = some_attributes().with_changes({}, next_hop=both)
    match = Match(next_hops=prefix_match(Operator.EQUAL, "2001:db8::1"))
    assert verdict_of(match, attributes=attributes).is_accepted


def test_a_bad_as_path_expression_is_an_error() -> None:
    with pytest.raises(ValueError, match="AS path expression"):
        policy_of(Term("t", ACCEPT, Match(as_path_regex="(")))


class TestActions:
    def test_numbers_are_set(self) -> None:
        verdict = after(Actions(local_pref=7, med=8, weight=9), local_pref=1, med=2)
        assert verdict.attributes.local_pref == 7
        assert verdict.attributes.med == 8
        assert verdict.weight == 9

    def test_med_is_removed(self) -> None:
        assert after(Actions(removes_med=True), med=2).attributes.med is None
        assert after(Actions(removes_med=True, med=0), med=2).attributes.med == 0

    def test_next_hop_is_set_and_marked(self) -> None:
        address = parse_address("192.0.2.7")
        verdict = after(Actions(next_hop=address))
        assert verdict.attributes.next_hop == verdict.next_hop == address

    def test_as_path_is_prepended_in_order(self) -> None:
        verdict = after(Actions(prepend=(1, 2)), as_path="3 {4}")
        assert str(verdict.attributes.as_path) == "1 2 3 {4}"

    @pytest.mark.parametrize(
        ("actions", "expected"),
        [
            (Actions(add_communities=(OTHER_TAG, TAG)), (1, TAG, OTHER_TAG)),
            (Actions(remove_communities=frozenset({1, 9})), (TAG,)),
            (Actions(remove_communities=frozenset({1, TAG})), ()),
            (Actions(set_communities=()), ()),
            (
                Actions(
                    set_communities=(3, 4),
                    remove_communities=frozenset({4, 5}),
                    add_communities=(5,),
                ),
                (3, 5),
            ),
        ],
    )
    def test_communities_are_set_then_removed_then_added(
        self, actions: Actions, expected
    ) -> None:
        verdict = after(actions, communities=(1, TAG))
        assert verdict.attributes.communities == expected

    @pytest.mark.parametrize(
        ("actions", "expected"),
        [
            (Actions(add_large_communities=((1, 1, 2),)), ((1, 1, 1), (1, 1, 2))),
            (Actions(remove_large_communities=frozenset({(1, 1, 1)})), ()),
            (Actions(set_large_communities=((2, 2, 2),)), ((2, 2, 2),)),
        ],
    )
    def test_large_communities_likewise(self, actions: Actions, expected) -> None:
        verdict = after(actions, large_communities=((1, 1, 1),))
        assert verdict.attributes.large_communities == expected

    @pytest.mark.parametrize(
        ("actions", "expected"),
        [
            (Actions(add_ext_communities=(7, 5)), (5, ROUTE_TARGET, 7)),
            (
                Actions(remove_ext_communities=frozenset({EXTENDED.parse("rt:*:*")})),
                (5,),
            ),
            (Actions(set_ext_communities=(9,)), (9,)),
            (Actions(set_ext_communities=()), ()),
        ],
    )
    def test_extended_communities_likewise(self, actions: Actions, expected) -> None:
        verdict = after(actions, ext_communities=(5, ROUTE_TARGET))
        assert verdict.attributes.ext_communities == expected

    def test_patterns_are_removed(self) -> None:
        standard = Actions(remove_communities=frozenset({STANDARD.parse("65000:*")}))
        verdict = after(standard, communities=(TAG, 5, OTHER_TAG))
        assert verdict.attributes.communities == (5,)
        large = Actions(remove_large_communities=frozenset({LARGE.parse("1:*:1")}))
        verdict = after(large, large_communities=((1, 9, 1), (1, 9, 2)))
        assert verdict.attributes.large_communities == ((1, 9, 2),)

    @pytest.mark.parametrize("origin", [0, 1, 2])
    def test_origin_is_set(self, origin: int) -> None:
        assert after(Actions(origin=origin), origin=1).attributes.origin == origin

    def test_what_a_policy_sets_is_distinguished_from_what_was_there(self) -> None:
        assert after(Actions(med=5), med=5).sets_med
        assert after(Actions(med=5), med=6).sets_med
        assert after(Actions(med=5, removes_med=True), med=6).sets_med
        assert not after(Actions(removes_med=True), med=6).sets_med
        assert not after(Actions(local_pref=5), med=6).sets_med
        own = after(
            Actions(set_ext_communities=(5,), add_ext_communities=(7,)),
            ext_communities=(5, 7),
        )
        assert own.own_ext_communities == {5, 7}
        assert not after(Actions(med=5), ext_communities=(5,)).own_ext_communities

    def test_what_terms_set_adds_up(self) -> None:
        policy = policy_of(
            Term("a", NEXT, actions=Actions(med=1, add_ext_communities=(5,))),
            Term("b", NEXT, actions=Actions(add_ext_communities=(6,))),
            Term("c", ACCEPT, actions=Actions(weight=1)),
        )
        verdict = policy.evaluate(some_attributes(), IBGP, IPV4_UNICAST, None)
        assert verdict.sets_med
        assert verdict.own_ext_communities == {5, 6}
        policy = policy_of(
            Term("a", NEXT, actions=Actions(med=1, add_ext_communities=(5,))),
            Term("b", NEXT, actions=Actions(set_ext_communities=(6,))),
            Term("c", ACCEPT, actions=Actions(removes_med=True)),
        )
        verdict = policy.evaluate(some_attributes(), IBGP, IPV4_UNICAST, None)
        assert not verdict.sets_med
        assert verdict.own_ext_communities == {6}

    def test_actions_that_change_nothing_keep_the_object(self) -> None:
        attributes = some_attributes(local_pref=7, communities=(TAG,))
        actions = Actions(
            local_pref=7, add_communities=(TAG,), next_hop=attributes.next_hop
        )
        assert verdict_of(actions=actions, attributes=attributes)[1] is attributes

    def test_a_rejected_route_keeps_its_attributes(self) -> None:
        attributes = some_attributes()
        policy = policy_of(
            Term("n", NEXT, actions=Actions(med=1)),
            Term("r", REJECT, actions=Actions(weight=5)),
        )
        verdict = policy.evaluate(attributes, IBGP, IPV4_UNICAST, None)
        assert verdict == Verdict(False, attributes, "r")


class TestTerms:
    TERMS = (
        Term(
            "no-default",
            REJECT,
            Match(prefixes=prefix_match(Operator.EQUAL, "0.0.0.0/0")),
        ),
        Term(
            "tag-ten",
            NEXT,
            Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/8")),
            Actions(add_communities=(TAG,), weight=3),
        ),
        Term("tagged", ACCEPT, Match(communities=frozenset({TAG})), Actions(med=5)),
        Term("docs", ACCEPT, Match(prefixes=prefix_match(Operator.IN, "192.0.2.0/24"))),
    )
    PREFIXES = nlris(
        "10.0.0.0/8", "0.0.0.0/0", "192.0.2.128/25", "10.9.0.0/16", "9.0.0.0/8"
    )

    def test_batch_is_grouped_by_outcome(self) -> None:
        attributes = some_attributes()
        policy = policy_of(*self.TERMS)
        assert policy.needs_prefix
        groups = policy.apply_batch(self.PREFIXES, attributes, IBGP, IPV4_UNICAST)
        by_reason = {verdict.reason: set(members) for members, verdict in groups}
        assert by_reason == {
            "no-default": set(nlris("0.0.0.0/0")),
            "tagged": set(nlris("10.0.0.0/8", "10.9.0.0/16")),
            "docs": set(nlris("192.0.2.128/25")),
            UNMATCHED: set(nlris("9.0.0.0/8")),
        }
        (tagged,) = (verdict for _, verdict in groups if verdict.reason == "tagged")
        assert tagged.attributes.communities == (TAG,)
        assert tagged.attributes.med == 5
        assert tagged.weight == 3

    def test_a_term_works_once_on_the_part_of_a_batch_it_divides(self) -> None:
        ten = Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/8"))
        policy = policy_of(
            Term("any", NEXT, actions=Actions(prepend=(1,))),
            Term("ten", NEXT, ten, Actions(prepend=(2,))),
            accepts_unmatched=True,
        )
        groups = policy.apply_batch(
            self.PREFIXES, some_attributes(), IBGP, IPV4_UNICAST
        )
        paths = {str(verdict.attributes.as_path) for _, verdict in groups}
        assert paths == {"1", "2 1"}

    def test_later_conditions_see_what_earlier_terms_set(self) -> None:
        policy = policy_of(*self.TERMS)
        ten = policy.evaluate(some_attributes(), IBGP, IPV4_UNICAST, ROUTE)
        assert ten.reason == "tagged"

    def test_equal_outcomes_give_one_attributes_object(self) -> None:
        attributes = some_attributes()
        policy = policy_of(*self.TERMS)
        one = policy.apply_batch(nlris("10.0.0.0/9"), attributes, IBGP, IPV4_UNICAST)
        two = policy.apply_batch(nlris("10.0.0.0/10"), attributes, IBGP, IPV4_UNICAST)
        assert one[0][1].attributes is two[0][1].attributes
        three = policy.evaluate(attributes, IBGP, IPV4_UNICAST, ROUTE)
        assert three.attributes is one[0][1].attributes

    def test_a_term_of_every_prefix_moves_the_whole_batch(self) -> None:
        policy = policy_of(Term("n", NEXT, actions=Actions(med=1)), *self.TERMS[3:])
        groups = policy.apply_batch(
            nlris("192.0.2.0/24", "1.0.0.0/8"), some_attributes(), IBGP, IPV4_UNICAST
        )
        assert [(v.reason, v.is_accepted) for _, v in groups] == [
            ("docs", True),
            (UNMATCHED, False),
        ]
        assert groups[0][1].attributes.med == 1

    def test_an_empty_batch_has_no_groups(self) -> None:
        policy = policy_of(*self.TERMS)
        assert policy.apply_batch([], some_attributes(), IBGP, IPV4_UNICAST) == []

    def test_a_policy_without_prefixes_does_not_divide(self) -> None:
        policy = policy_of(Term("t", ACCEPT))
        attributes = some_attributes()
        ((members, verdict),) = policy.apply_batch(
            self.PREFIXES, attributes, IBGP, IPV4_UNICAST
        )
        assert members is self.PREFIXES
        assert verdict is policy.evaluate(attributes, IBGP, IPV4_UNICAST, None)

    def test_a_policy_with_a_prefix_condition_needs_the_prefix(self) -> None:
        with pytest.raises(ValueError, match="must know the prefix"):
            policy_of(*self.TERMS).evaluate(some_attributes(), IBGP, IPV4_UNICAST, None)

    def test_a_family_without_known_prefixes_matches_no_prefix_condition(
        self,
    ) -> None:
        policy = policy_of(self.TERMS[3], accepts_unmatched=True)
        verdict = policy.evaluate(some_attributes(), IBGP, Family(25, 70), b"\x08x")
        assert verdict.reason == UNMATCHED

    def test_the_verdict_depends_on_all_that_it_is_remembered_by(self) -> None:
        ebgp = a_source("e", SourceKind.EBGP)
        policy = policy_of(
            Term("e", REJECT, Match(source_kinds=frozenset({SourceKind.EBGP}))),
            Term("six", REJECT, Match(family=IPV6_UNICAST)),
            Term("if", REJECT, Match(interface="eth*")),
            accepts_unmatched=True,
        )
        attributes = some_attributes()
        reasons = [
            policy.evaluate(attributes, source, family, None, interface=name).reason
            for source, family, name in (
                (IBGP, IPV4_UNICAST, ""),
                (ebgp, IPV4_UNICAST, ""),
                (IBGP, IPV6_UNICAST, ""),
                (IBGP, IPV4_UNICAST, "eth0"),
            )
        ]
        assert reasons == [UNMATCHED, "e", "six", "if"]

    def test_memory_of_verdicts_and_edits_is_bounded(self) -> None:
        policy = policy_of(Term("t", ACCEPT, actions=Actions(med=1)))
        keep = [some_attributes(med=i) for i in range(MEMO_MAX + 1)]
        for attributes in keep:
            policy.evaluate(attributes, IBGP, IPV4_UNICAST, None)
        assert len(policy._verdicts) <= MEMO_MAX
        assert all(len(term._edited) <= MEMO_MAX for term in policy._terms)


class TestExplain:
    def test_each_term_up_to_the_deciding_one_is_explained(self) -> None:
        policy = policy_of(
            Term("other", REJECT, Match(communities=frozenset({OTHER_TAG}))),
            *TestTerms.TERMS,
        )
        attributes = some_attributes()
        steps, verdict = policy.explain(attributes, IBGP, IPV4_UNICAST, ROUTE)
        assert [(s.term, s.failed_condition, s.outcome) for s in steps] == [
            ("other", "communities", None),
            ("no-default", "prefixes", None),
            ("tag-ten", "", NEXT),
            ("tagged", "", ACCEPT),
        ]
        assert steps[0].after is steps[0].before is attributes
        assert steps[2].after.communities == (TAG,)
        assert steps[3].before is steps[2].after
        assert verdict == policy.evaluate(attributes, IBGP, IPV4_UNICAST, ROUTE)

    def test_the_explanation_covers_routes_that_match_no_term(self) -> None:
        policy = policy_of(*TestTerms.TERMS)
        nine = nlris("9.0.0.0/8")[0]
        steps, verdict = policy.explain(some_attributes(), IBGP, IPV4_UNICAST, nine)
        assert all(step.failed_condition for step in steps)
        assert verdict.reason == UNMATCHED

    @pytest.mark.parametrize(
        ("match", "failed"),
        [
            (Match(family=IPV6_UNICAST), "family"),
            (Match(source_kinds=frozenset({SourceKind.LOCAL})), "source_kinds"),
            (Match(interface="eth*"), "interface"),
            (Match(med=Bounds(1, 1)), "med"),
        ],
    )
    def test_the_failed_condition_is_named(self, match: Match, failed: str) -> None:
        steps, _ = policy_of(Term("t", ACCEPT, match)).explain(
            some_attributes(), IBGP, IPV4_UNICAST, ROUTE
        )
        assert steps[0].failed_condition == failed


class TestWellKnown:
    @pytest.mark.rfc("1997", "Well-known Communities", "MUST")
    @pytest.mark.parametrize(
        ("communities", "to_ebgp", "to_ibgp"),
        [
            ((), True, True),
            ((TAG,), True, True),
            ((0xFFFFFF04,), True, True),
            ((TAG, NO_EXPORT), False, True),
            ((NO_EXPORT_SUBCONFED,), False, True),
            ((NO_ADVERTISE,), False, False),
        ],
    )
    def test_no_export_and_no_advertise(
        self, communities, *, to_ebgp: bool, to_ibgp: bool
    ) -> None:
        attributes = some_attributes(communities=communities)
        assert export_allowed(attributes, is_ebgp=True) is to_ebgp
        assert export_allowed(attributes, is_ebgp=False) is to_ibgp

    @pytest.mark.rfc("8326", "4.1", "SHOULD")
    def test_graceful_shutdown_is_the_last_choice(self) -> None:
        attributes = some_attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=100)
        assert obey_graceful_shutdown(attributes).local_pref == 0

    @pytest.mark.parametrize(
        "attributes",
        [
            some_attributes(communities=(TAG,)),
            some_attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            some_attributes(originator_id=GRACEFUL_SHUTDOWN),
        ],
    )
    def test_other_routes_stay_the_same_object(self, attributes) -> None:
        assert obey_graceful_shutdown(attributes) is attributes


class TestLongLivedRoutes:
    """RFC 9494 4.2 and 4.3."""

    @pytest.mark.rfc("9494", "4.2", "MUST")
    def test_a_stale_route_is_marked_once(self) -> None:
        marked = long_lived(some_attributes(communities=(TAG,)))
        assert marked is not None
        assert marked.communities == (TAG, LLGR_STALE)
        assert is_long_lived_stale(marked)
        assert long_lived(marked) is marked
        assert not is_long_lived_stale(some_attributes(cluster_list=(LLGR_STALE,)))

    @pytest.mark.rfc("9494", "4.2", "MUST")
    def test_one_that_must_not_live_long_goes(self) -> None:
        assert long_lived(some_attributes(communities=(NO_LLGR,))) is None
