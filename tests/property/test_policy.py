from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from rib.family import AFI_IPV4, IPV4_UNICAST
from rib.nlri import format_prefix, make_nlri
from rib.path import SourceKind
from rib.policy import (
    Actions,
    Match,
    Outcome,
    PolicySpec,
    PrefixEntry,
    PrefixMatch,
    Term,
    Verdict,
    compile_policy,
)
from rib.policy.edits import Edits
from rib.policy.engine import UNMATCHED
from rib.policy.prefixes import PrefixMatcher
from tests.support.routes import a_source, some_attributes

# A narrow space, so that prefixes meet: 10.0-3.0-3.x of any length
addresses = st.builds(lambda *octets: bytes((10, *octets)), *(st.integers(0, 3),) * 3)
prefixes = st.builds(make_nlri, addresses, st.integers(0, 32))
batches = st.lists(prefixes, min_size=1, unique=True)


@st.composite
def entries(draw: st.DrawFn) -> PrefixEntry:
    nlri = draw(prefixes)
    low, high = sorted((draw(st.integers(0, 32)), draw(st.integers(0, 32))))
    return PrefixEntry(AFI_IPV4, nlri, low, high)


matches = st.builds(
    PrefixMatch, st.lists(entries(), max_size=6).map(tuple), is_negated=st.booleans()
)
tags = st.integers(1, 3)
terms = st.builds(
    Term,
    st.sampled_from(("a", "b", "c")),
    st.sampled_from(Outcome),
    st.builds(
        Match,
        prefixes=st.none() | matches,
        source_kinds=st.frozensets(st.sampled_from(SourceKind), max_size=2),
        communities=st.frozensets(tags, max_size=1),
    ),
    st.builds(
        Actions,
        med=st.none() | st.integers(0, 1),
        weight=st.none() | st.integers(0, 1),
        add_communities=st.lists(tags, max_size=1).map(tuple),
        remove_communities=st.frozensets(tags, max_size=1),
    ),
)
specs = st.builds(
    PolicySpec,
    st.just("p"),
    st.lists(terms, max_size=5).map(tuple),
    accepts_unmatched=st.booleans(),
)
attribute_sets = st.builds(
    some_attributes, communities=st.lists(tags, max_size=2, unique=True)
)
sources = st.builds(a_source, st.just("s"), st.sampled_from(SourceKind))


def contains(match: PrefixMatch, nlri: bytes) -> bool:
    network = IPv4Network(format_prefix(nlri))
    return match.is_negated != any(
        network.subnet_of(IPv4Network(format_prefix(entry.nlri)))
        and entry.min_length_bits <= network.prefixlen <= entry.max_length_bits
        for entry in match.entries
    )


def by_the_book(spec, attributes, source, nlri):
    """What the specification's text says, one route at a time."""
    now, weight = attributes, None
    for term in spec.terms:
        match = term.match
        if match.prefixes is not None and not contains(match.prefixes, nlri):
            continue
        if match.source_kinds and source.kind not in match.source_kinds:
            continue
        if match.communities and not match.communities & {*now.communities}:
            continue
        now = Edits(term.actions)(now)
        weight = weight if term.actions.weight is None else term.actions.weight
        if term.outcome is Outcome.ACCEPT:
            return True, now.octets, term.name, weight
        if term.outcome is Outcome.REJECT:
            return False, attributes.octets, term.name, None
    if spec.accepts_unmatched:
        return True, now.octets, UNMATCHED, weight
    return False, attributes.octets, UNMATCHED, None


def told(verdict: Verdict):
    return (
        verdict.is_accepted,
        verdict.attributes.octets,
        verdict.reason,
        verdict.weight,
    )


@given(matches, batches)
def test_prefix_lists_are_sets_of_networks(match, nlris) -> None:
    inside, outside = PrefixMatcher(match, AFI_IPV4).divide(nlris)
    assert inside == [nlri for nlri in nlris if contains(match, nlri)]
    assert outside == [nlri for nlri in nlris if not contains(match, nlri)]


@given(specs, attribute_sets, sources, batches)
def test_a_batch_says_what_the_text_says_of_each_route(
    spec, attributes, source, nlris
) -> None:
    policy = compile_policy(spec)
    groups = policy.apply_batch(nlris, attributes, source, IPV4_UNICAST)
    assert sorted(n for members, _ in groups for n in members) == sorted(nlris)
    for members, verdict in groups:
        for nlri in members:
            assert told(verdict) == by_the_book(spec, attributes, source, nlri)


@given(specs, attribute_sets, sources, batches)
def test_one_route_alone_fares_as_in_a_batch(spec, attributes, source, nlris) -> None:
    policy = compile_policy(spec)
    for members, verdict in policy.apply_batch(nlris, attributes, source, IPV4_UNICAST):
        for nlri in members:
            alone = policy.evaluate(attributes, source, IPV4_UNICAST, nlri)
            steps, explained = policy.explain(attributes, source, IPV4_UNICAST, nlri)
            assert alone == explained == verdict
            assert len(steps) <= len(spec.terms)
