"""Which prefixes a change of a policy concerns."""

from hypothesis import given
from hypothesis import strategies as st

from rib.family import AFI_IPV4, IPV4_UNICAST
from rib.policy import (
    Actions,
    Match,
    Operator,
    Outcome,
    PolicySpec,
    PrefixMatch,
    Term,
    compile_policy,
    concerned,
    prefix_match,
)
from rib.policy.prefixes import PrefixMatcher
from tests.support.routes import a_source, nlris, some_attributes

CIDRS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "172.16.0.0/12", "0.0.0.0/0")
PROBES = nlris(
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "172.16.0.0/16",
    "9.0.0.0/8",
)


def a_term(cidr: str, outcome: Outcome, operator: Operator = Operator.IN) -> Term:
    return Term(cidr, outcome, Match(prefixes=prefix_match(operator, cidr)))


def test_one_more_block_concerns_that_block_alone() -> None:
    first, second = (a_term(cidr, Outcome.REJECT) for cidr in CIDRS[1:3])
    rest = a_term("10.0.0.0/8", Outcome.ACCEPT)
    old, new = PolicySpec("p", (first, rest)), PolicySpec("p", (first, second, rest))
    assert concerned(old, new) == second.match.prefixes
    assert concerned(new, old) == second.match.prefixes


def a_list(*cidrs: str, outcome: Outcome = Outcome.ACCEPT) -> Term:
    found = [prefix_match(Operator.IN, cidr).entries[0] for cidr in cidrs]
    return Term("list", outcome, Match(prefixes=PrefixMatch(tuple(found))))


def test_one_more_prefix_of_a_list_concerns_that_prefix_alone() -> None:
    old = PolicySpec("p", (a_list("10.1.0.0/16"),))
    new = PolicySpec("p", (a_list("10.1.0.0/16", "172.16.0.0/12"),))
    only = prefix_match(Operator.IN, "172.16.0.0/12")
    assert concerned(old, new) == only
    assert concerned(new, old) == only
    # A list that decides otherwise concerns all that it names.
    other = PolicySpec("p", (a_list("10.1.0.0/16", outcome=Outcome.REJECT),))
    assert concerned(old, other) == prefix_match(Operator.IN, "10.1.0.0/16")


def test_equal_policies_concern_nothing() -> None:
    policy = PolicySpec("p", (a_term("10.0.0.0/8", Outcome.ACCEPT),))
    assert concerned(policy, policy) == PrefixMatch(())


def test_a_term_without_prefixes_or_with_all_others_concerns_everything() -> None:
    base = PolicySpec("p", (a_term("10.0.0.0/8", Outcome.ACCEPT),))
    for term in (
        Term("all", Outcome.REJECT),
        a_term("10.0.0.0/8", Outcome.REJECT, Operator.NOT_IN),
    ):
        assert concerned(base, PolicySpec("p", (term, *base.terms))) is None
    assert concerned(base, PolicySpec("p", base.terms, accepts_unmatched=True)) is None


lists = st.builds(
    lambda cidrs, outcome: a_list(*cidrs, outcome=outcome),
    st.lists(st.sampled_from(CIDRS), min_size=1, max_size=3),
    st.sampled_from(list(Outcome)),
)
terms = lists | st.builds(
    lambda cidr, outcome, operator, pref: Term(
        cidr,
        outcome,
        Match(prefixes=prefix_match(operator, cidr)),
        Actions(local_pref=pref),
    ),
    st.sampled_from(CIDRS),
    st.sampled_from(list(Outcome)),
    st.sampled_from([Operator.IN, Operator.EQUAL, Operator.NOT_IN]),
    st.sampled_from([None, 50]),
)
policies = st.builds(
    lambda some, accepts: PolicySpec("p", tuple(some), accepts_unmatched=accepts),
    st.lists(terms, max_size=4),
    st.booleans(),
)


@given(policies, policies)
def test_prefixes_that_are_not_concerned_are_judged_alike(
    old: PolicySpec, new: PolicySpec
) -> None:
    among = concerned(old, new)
    if among is None:
        return
    _, others = PrefixMatcher(among, AFI_IPV4).divide(PROBES)
    attributes, source = some_attributes(), a_source()
    for nlri in others:
        before, after = (
            compile_policy(spec).evaluate(attributes, source, IPV4_UNICAST, nlri)
            for spec in (old, new)
        )
        assert before.is_accepted == after.is_accepted
        assert before.attributes.octets == after.attributes.octets
