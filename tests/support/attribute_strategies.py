"""Hypothesis strategies: attribute values, blocks that are nearly right, and contexts."""

from hypothesis import strategies as st

from rib.attributes import AttributeContext, encode_attribute, make_attributes
from rib.attributes.as_path import AS_SEQUENCE, AS_SET, encode_segments
from rib.attributes.codes import FLAGS
from tests.support.attributes import LOCAL_AS, PEER_AS

asns = st.one_of(st.integers(1, 0xFFFF), st.integers(1, 0xFFFFFFFF))
words = st.integers(0, 0xFFFFFFFF)
addresses = st.binary(min_size=4, max_size=4).map(lambda octets: b"\x0a" + octets[1:])
sequences = st.tuples(
    st.just(AS_SEQUENCE), st.lists(asns, min_size=1, max_size=70).map(tuple)
)
sets = st.tuples(st.just(AS_SET), st.lists(asns, min_size=1, max_size=4).map(tuple))
as_paths = st.one_of(
    st.just(b""),
    sequences.map(lambda segment: encode_segments([segment])),
    st.lists(st.one_of(sequences, sets), max_size=3).map(encode_segments),
)
contexts = st.builds(
    AttributeContext,
    is_ibgp=st.booleans(),
    four_octet_as=st.sampled_from([True, True, True, False]),
    peer_as=st.just(PEER_AS),
    local_as=st.just(LOCAL_AS),
    enforces_first_as=st.booleans(),
    allows_as_set=st.booleans(),
)


def optional(strategy: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), strategy)


attribute_sets = st.builds(
    make_attributes,
    next_hop=addresses,
    origin=st.integers(0, 2),
    as_path=as_paths,
    med=optional(words),
    local_pref=optional(words),
    atomic_aggregate=st.booleans(),
    aggregator=st.one_of(st.none(), st.tuples(asns, addresses)),
    communities=st.lists(words, max_size=70),
    originator_id=optional(words),
    cluster_list=st.lists(words, max_size=5),
    ext_communities=st.lists(st.integers(0, 2**64 - 1), max_size=5),
    ipv6_ext_communities=st.lists(st.binary(min_size=20, max_size=20), max_size=2),
    aigp=optional(st.integers(0, 2**64 - 2)),
    large_communities=st.lists(st.tuples(words, words, words), max_size=5),
    otc=optional(words),
    others=st.dictionaries(st.integers(200, 250), st.binary(max_size=300), max_size=2),
)

_codes = st.one_of(st.sampled_from(sorted(FLAGS)), st.integers(0, 255))
_flags = st.one_of(st.none(), st.integers(0, 255).map(lambda flags: flags & ~0x10))
_values = st.one_of(
    st.binary(max_size=24), as_paths, addresses, st.sampled_from([b"", b"\0", b"\2"])
)
wild_attributes = st.builds(encode_attribute, _codes, _values, _flags)
"""Any type code, any value, often the right flags."""


@st.composite
def nearly_right_blocks(draw: st.DrawFn) -> bytes:
    """Return a valid block after a few changes: added, cut, repeated, one octet altered."""
    block = draw(attribute_sets).octets
    for change in draw(st.lists(st.sampled_from(("front", "end", "cut", "octet")))):
        if change == "front":
            block = draw(wild_attributes) + block
        elif change == "end":
            block += draw(wild_attributes)
        elif change == "cut":
            block = block[: draw(st.integers(0, len(block)))]
        elif block:
            at = draw(st.integers(0, len(block) - 1))
            octet = draw(st.binary(min_size=1, max_size=1))
            block = block[:at] + octet + block[at + 1 :]
    return block


blocks = st.one_of(st.binary(max_size=80), nearly_right_blocks())
