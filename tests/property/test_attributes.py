from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rib.attributes import (
    AttributeContext,
    DecodedBlock,
    decode,
    decode_block,
    decode_usual,
    describe,
    edit,
    extract_mp,
    to_two_octet,
)
from rib.attributes.as_path import (
    check_segments,
    count_hops,
    format_as_path,
    parse_as_path,
    prepend,
)
from rib.attributes.codes import CLUSTER_LIST, COMMUNITIES, ORIGINATOR_ID
from rib.attributes.communities import format_ext_community, parse_ext_community
from rib.attributes.path_attributes import (
    PathAttributes,
    PlainAttributes,
    SplicedAttributes,
    iterate,
)
from rib.errors import Remedy
from tests.support.attribute_strategies import (
    as_paths,
    asns,
    attribute_sets,
    blocks,
    contexts,
)
from tests.support.attributes import IBGP


def decode_by_walk(
    block: bytes, context: AttributeContext, *, has_nlri: bool, mp_next_hop: bytes
) -> DecodedBlock:
    walk = decode._Walk(context)
    walk.read(block)
    return walk.finish(block, has_nlri=has_nlri, mp_next_hop=mp_next_hop)


def as_tuple(decoded: DecodedBlock) -> tuple[object, ...]:
    attributes = decoded.attributes
    known = attributes and (attributes.octets, attributes.next_hop)
    return known, decoded.mp_reach, decoded.mp_unreach, decoded.problems


next_hops = st.sampled_from([b"", bytes([10, 0, 0, 1]), b"\xfd" + bytes(15)])


@given(block=blocks, context=contexts, has_nlri=st.booleans(), mp_next_hop=next_hops)
def test_any_octets_give_a_decoded_block(
    *,
    block: bytes,
    context: AttributeContext,
    has_nlri: bool,
    mp_next_hop: bytes,
) -> None:
    decoded = decode_block(block, context, has_nlri=has_nlri, mp_next_hop=mp_next_hop)
    if (decoded.remedy or 0) > Remedy.ATTRIBUTE_DISCARD:
        assert decoded.attributes is None
    elif has_nlri or mp_next_hop or decoded.mp_reach:
        assert decoded.attributes is not None
        assert describe(decoded.attributes)["origin"]
        codes = [code for _, code, _ in iterate(decoded.attributes.octets)]
        assert codes == sorted(set(codes))
        assert (3 in codes) == (len(decoded.attributes.next_hop) == 4)


@given(block=blocks, context=contexts, has_nlri=st.booleans(), mp_next_hop=next_hops)
def test_the_fast_way_gives_what_the_walk_gives(
    *,
    block: bytes,
    context: AttributeContext,
    has_nlri: bool,
    mp_next_hop: bytes,
) -> None:
    fast = decode_block(block, context, has_nlri=has_nlri, mp_next_hop=mp_next_hop)
    walked = decode_by_walk(block, context, has_nlri=has_nlri, mp_next_hop=mp_next_hop)
    assert as_tuple(fast) == as_tuple(walked)


@given(blocks, contexts)
def test_canonical_octets_are_a_fixed_point(
    block: bytes, context: AttributeContext
) -> None:
    attributes = decode_block(block, context, has_nlri=True).attributes
    if attributes is None:
        return
    again = decode_block(
        attributes.octets, replace(context, four_octet_as=True), has_nlri=True
    )
    assert again.problems == ()
    assert again.attributes is not None
    assert again.attributes.octets is attributes.octets


@given(blocks, contexts)
def test_extract_mp_and_the_rest_are_the_whole(
    block: bytes, context: AttributeContext
) -> None:
    taken = extract_mp(block)
    whole = decode_block(block, context, has_nlri=True)
    if taken is None:
        assert whole.problems
        return
    rest = decode_block(taken[0], context, has_nlri=True)
    others = tuple(p for p in whole.problems if p.type_code not in (14, 15))
    assert rest.problems == others


@given(attribute_sets)
def test_what_we_make_is_canonical(made: PathAttributes) -> None:
    decoded = decode_block(
        made.octets, replace(IBGP, allows_as_set=True), has_nlri=True
    )
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.octets is made.octets


@given(attribute_sets, contexts, next_hops)
def test_what_counts_as_plain_is_what_reflection_appends_to(
    made: PathAttributes, context: AttributeContext, mp_next_hop: bytes
) -> None:
    decoded = decode_usual(made.octets, context, mp_next_hop)
    if decoded is None:
        return
    codes = [code for _, code, _ in iterate(decoded.octets)]
    assert decoded.is_plain is isinstance(decoded, PlainAttributes)
    assert decoded.is_plain is (
        len(decoded.next_hop) == 4
        and max(codes) <= COMMUNITIES
        and b"\xff\xff" not in decoded.octets
    )


@given(attribute_sets, contexts, next_hops, st.sampled_from(["40", "50"]))
def test_what_counts_as_spliced_knows_where_reflection_adds(
    made: PathAttributes,
    context: AttributeContext,
    mp_next_hop: bytes,
    as_path_flags: str,
) -> None:
    block = made.octets
    if as_path_flags == "50" and block[4] == 0x40:  # as FRR sends it, behind ORIGIN
        block = block[:4] + b"\x50\x02\x00" + block[6:]
    decoded = decode_usual(block, context, mp_next_hop)
    if decoded is None:
        return
    octets = decoded.octets
    codes = [code for _, code, _ in iterate(octets)]
    reflected = {ORIGINATOR_ID, CLUSTER_LIST}.intersection(codes)
    assert decoded.is_spliced is isinstance(decoded, SplicedAttributes)
    assert decoded.is_spliced is (
        context.is_ibgp
        and len(decoded.next_hop) == 4
        and max(codes) > COMMUNITIES
        and len(reflected) != 1
        and b"\xff\xff" not in octets
    )
    if isinstance(decoded, SplicedAttributes):
        at = decoded.cluster_at
        before = [code for _, code, _ in iterate(octets[:at])]
        after = [code for _, code, _ in iterate(octets[at:])]
        assert before + after == codes
        assert (after[0] == CLUSTER_LIST) is bool(reflected)
        assert max(before) < CLUSTER_LIST <= after[0]


@given(attribute_sets)
def test_both_ways_to_the_decision_fields_agree(made: PathAttributes) -> None:
    fields = made.decision_fields()
    assert fields == made._decision_fields_by_walk()
    assert fields == (
        made.local_pref,
        made.as_path.hop_count,
        made.origin,
        made.med,
        made.as_path.neighbour_as,
        made.originator_id,
        len(made.cluster_list),
    )


@given(
    attribute_sets,
    st.dictionaries(st.integers(1, 255), st.one_of(st.none(), st.binary(max_size=300))),
)
def test_an_edit_changes_what_it_names_and_nothing_else(
    made: PathAttributes, changes: dict[int, bytes | None]
) -> None:
    before = {code: value for _, code, value in iterate(made.octets)}
    edited = edit(made.octets, changes)
    after = {code: value for _, code, value in iterate(edited)}
    wanted = {c: v for c, v in {**before, **changes}.items() if v is not None}
    assert after == wanted
    assert list(after) == sorted(after)
    restored = edit(edited, {code: before.get(code) for code in changes})
    assert {c: v for _, c, v in iterate(restored)} == before
    for code, value in wanted.items():
        assert PathAttributes(edited, b"").get(code) == value


@given(attribute_sets)
def test_a_two_octet_peer_would_give_the_same_route_back(made: PathAttributes) -> None:
    context = replace(IBGP, four_octet_as=False, allows_as_set=True)
    decoded = decode_block(to_two_octet(made.octets), context, has_nlri=True)
    assert decoded.problems == ()
    assert decoded.attributes is not None
    given_back = decoded.attributes
    assert given_back.as_path.asns == made.as_path.asns
    assert given_back.aggregator == made.aggregator
    assert edit(given_back.octets, {2: None}) == edit(made.octets, {2: None})


@given(as_paths, asns, st.integers(0, 300))
def test_prepending_puts_so_many_before(path: bytes, asn: int, times: int) -> None:
    longer = prepend(path, asn, times)
    assert check_segments(longer) == ""
    assert count_hops(longer) == count_hops(path) + times


@given(as_paths)
def test_paths_go_to_text_and_back(path: bytes) -> None:
    text = format_as_path(path)
    assert format_as_path(parse_as_path(text)) == text


@given(st.integers(0, 2**64 - 1))
def test_extended_communities_go_to_text_and_back(community: int) -> None:
    assert parse_ext_community(format_ext_community(community)) == community
