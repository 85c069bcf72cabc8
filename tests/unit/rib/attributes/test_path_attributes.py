import pytest

from rib.attributes import (
    PathAttributes,
    edit,
    encode_attribute,
    encode_large_communities,
    make_attributes,
    parse_as_path,
)
from rib.attributes.path_attributes import iterate
from tests.support.attributes import (
    AS_PATH,
    BASE,
    NEXT_HOP,
    NEXT_HOP_ATTRIBUTE,
    ORIGIN,
    attribute,
)

GLOBAL = bytes.fromhex("20010db8000000000000000000000001")


def full() -> PathAttributes:
    return make_attributes(
        next_hop=NEXT_HOP,
        origin=1,
        as_path=parse_as_path("65001 65010 65010"),
        med=7,
        local_pref=200,
        atomic_aggregate=True,
        aggregator=(65010, NEXT_HOP),
        communities=[1, 0xFFFFFF01],
        originator_id=0x0A000001,
        cluster_list=[0x0A000002, 0x0A000003],
        ext_communities=[0x0002FDE900000001],
        ipv6_ext_communities=[bytes(range(20))],
        aigp=5,
        large_communities=[(65001, 1, 2), (65001, 1, 2), (65001, 3, 4)],
        otc=65001,
        others={200: b"abc"},
    )


def test_what_is_made_is_read_back() -> None:
    made = full()
    assert made.origin == 1
    assert made.as_path.asns == (65001, 65010, 65010)
    assert made.med == 7
    assert made.local_pref == 200
    assert made.atomic_aggregate
    assert made.aggregator == (65010, NEXT_HOP)
    assert made.communities == (1, 0xFFFFFF01)
    assert made.originator_id == 0x0A000001
    assert made.cluster_list == (0x0A000002, 0x0A000003)
    assert made.ext_communities == (0x0002FDE900000001,)
    assert made.ipv6_ext_communities == (bytes(range(20)),)
    assert made.aigp == 5
    assert made.large_communities == ((65001, 1, 2), (65001, 3, 4))
    assert made.otc == 65001
    assert made.get(200) == b"abc"
    assert made.get(3) == NEXT_HOP


def test_what_is_absent_reads_as_nothing() -> None:
    bare = make_attributes(next_hop=GLOBAL)
    assert bare.octets == ORIGIN + attribute(2, b"")
    assert bare.as_path.octets == b""
    assert bare.communities == bare.cluster_list == bare.ext_communities == ()
    assert bare.large_communities == ()
    assert bare.ipv6_ext_communities == ()
    assert (bare.med, bare.local_pref, bare.aggregator) == (None, None, None)
    assert (bare.originator_id, bare.otc, bare.aigp) == (None, None, None)
    assert not bare.atomic_aggregate
    assert bare.get(255) is None


def test_attributes_are_equal_only_to_themselves() -> None:
    assert full() != full()
    assert "next_hop=c0000201" in repr(full())


def test_decision_fields_of_the_usual_shape() -> None:
    fields = full().decision_fields()
    assert fields == (200, 3, 1, 7, 65001, 0x0A000001, 2)
    assert make_attributes(next_hop=GLOBAL).decision_fields() == (
        None,
        0,
        0,
        None,
        0,
        None,
        0,
    )


@pytest.mark.parametrize(
    ("path", "hops", "neighbour"),
    [
        ("65001 {65002,65003}", 2, 65001),
        ("{65002,65003}", 1, 0),
        ("(64512 64513) 65001", 1, 65001),
        (" ".join(["65001"] * 300), 300, 65001),
        (" ".join(["65001"] * 63), 63, 65001),
        (" ".join(["65001"] * 64), 64, 65001),
    ],
)
def test_decision_fields_of_any_path(path: str, hops: int, neighbour: int) -> None:
    made = make_attributes(
        next_hop=NEXT_HOP, as_path=parse_as_path(path), cluster_list=[1, 2, 3]
    )
    assert made.decision_fields() == (None, hops, 0, None, neighbour, None, 3)


@pytest.mark.parametrize("count", [1, 63, 64, 200])
def test_long_communities_do_not_hide_the_cluster_list(count: int) -> None:
    made = make_attributes(
        next_hop=NEXT_HOP,
        communities=range(count),
        originator_id=9,
        cluster_list=range(count),
    )
    assert made.decision_fields() == (None, 0, 0, None, 0, 9, count)
    assert made.communities == tuple(range(count))


def test_edit_inserts_replaces_and_removes_in_order() -> None:
    med = attribute(4, b"\0\0\0\1")
    assert edit(BASE, {4: b"\0\0\0\1"}) == BASE + med
    assert edit(BASE + med, {4: b"\0\0\0\2"}) == BASE + attribute(4, b"\0\0\0\2")
    assert edit(BASE + med, {4: None}) == BASE
    assert edit(BASE, {4: None}) == BASE
    assert edit(BASE, {}) == BASE
    assert edit(BASE + med, {3: None, 2: None}) == ORIGIN + med
    assert edit(AS_PATH, {3: NEXT_HOP, 1: b"\0"}) == BASE


def test_a_replaced_attribute_keeps_its_partial_bit() -> None:
    partial = attribute(8, b"\0\0\0\1", 0xE0)
    assert edit(BASE + partial, {8: b"\0\0\0\2"})[-7] == 0xE0
    assert edit(BASE, {8: b"\0\0\0\2"})[-7] == 0xC0


def test_an_unknown_attribute_is_set_as_transitive_and_partial() -> None:
    assert edit(BASE, {200: b"x"}) == BASE + b"\xe0\xc8\1x"


def test_long_values_get_extended_length() -> None:
    assert encode_attribute(8, bytes(256))[:4] == b"\xd0\x08\x01\x00"
    assert encode_attribute(8, bytes(252), 0xD0)[:3] == b"\xc0\x08\xfc"
    long_block = edit(BASE, {8: bytes(400), 16: bytes(8)})
    assert edit(long_block, {8: None, 16: None, 32: None}) == BASE
    assert edit(long_block, {16: None}) == edit(BASE, {8: bytes(400)})
    assert [code for _, code, _ in iterate(long_block)] == [1, 2, 3, 8, 16]
    assert PathAttributes(long_block, NEXT_HOP).ext_communities == (0,)


def test_the_next_hop_attribute_follows_the_next_hop() -> None:
    made = PathAttributes(BASE, NEXT_HOP)
    other = bytes([10, 0, 0, 9])
    moved = made.with_changes({}, other)
    assert moved.octets == ORIGIN + AS_PATH + attribute(3, other)
    over_ipv6 = made.with_changes({4: b"\0\0\0\1"}, GLOBAL)
    assert over_ipv6.octets == ORIGIN + AS_PATH + attribute(4, b"\0\0\0\1")
    assert over_ipv6.next_hop == GLOBAL
    assert over_ipv6.with_changes({4: None}, NEXT_HOP).octets == BASE
    assert made.with_changes({5: b"\0\0\0\1"}).next_hop == NEXT_HOP
    assert NEXT_HOP_ATTRIBUTE in made.with_changes({}, NEXT_HOP).octets


def test_repeated_large_communities_are_sent_once() -> None:
    assert len(encode_large_communities([(1, 2, 3), (1, 2, 3)])) == 12
