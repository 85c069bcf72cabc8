from dataclasses import replace

import pytest

from rib.attributes import (
    AttributeContext,
    DecodedBlock,
    MpReach,
    MpUnreach,
    decode_block,
    decode_mp_reach,
    decode_mp_unreach,
    extract_mp,
    make_attributes,
    parse_as_path,
)
from rib.attributes.as_path import AS_CONFED_SEQUENCE, AS_SET, encode_segments
from rib.attributes.codes import AS4_PATH
from rib.errors import Problem, Remedy
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from tests.support.attributes import (
    AS_PATH,
    BASE,
    EBGP,
    IBGP,
    NEXT_HOP,
    NEXT_HOP_ATTRIBUTE,
    ORIGIN,
    attribute,
    with_attribute,
)
from tests.support.cases import cases

WITHDRAW = Remedy.TREAT_AS_WITHDRAW
DISCARD = Remedy.ATTRIBUTE_DISCARD
RESET = Remedy.SESSION_RESET

GLOBAL = bytes.fromhex("20010db8000000000000000000000001")
LINK_LOCAL = bytes.fromhex("fe800000000000000000000000000001")
NLRI_V6 = b"\x20\x20\x01\x0d\xb8"
REACH = b"\0\2\1\x10" + GLOBAL + b"\0" + NLRI_V6


def decode(
    block: bytes, context: AttributeContext = EBGP, *, has_nlri: bool = True
) -> DecodedBlock:
    return decode_block(block, context, has_nlri=has_nlri)


def test_a_usual_block_is_its_own_canonical_form() -> None:
    decoded = decode(BASE)
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.octets is BASE
    assert decoded.attributes.next_hop == NEXT_HOP


MED = attribute(4, bytes(4))
UNKNOWN = attribute(99, b"x", 0xE0)  # Partial: as we pass it on


@pytest.mark.parametrize("extra", [MED, UNKNOWN, MED + UNKNOWN])
def test_attributes_with_the_remedy_discard_are_discarded(extra: bytes) -> None:
    context = replace(EBGP, discarded=frozenset({4, 99}))
    decoded = decode(BASE + extra, context)
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.octets == BASE
    kept = decode(BASE + extra, replace(EBGP, discarded=frozenset({5})))
    assert kept.attributes is not None
    assert kept.attributes.octets == BASE + extra


def test_a_malformed_attribute_that_is_discarded_is_not_an_error() -> None:
    context = replace(EBGP, discarded=frozenset({4}))
    assert decode(BASE + attribute(4, b"odd"), context).problems == ()


@pytest.mark.parametrize(
    ("code", "extra", "name"),
    [(4, MED, "MULTI_EXIT_DISC"), (99, UNKNOWN, "attribute 99")],
)
def test_routes_with_the_remedy_treat_as_withdraw_are_withdrawn(
    code, extra, name
) -> None:
    context = replace(EBGP, withdrawn=frozenset({code, 98}))
    decoded = decode(BASE + extra, context)
    assert decoded.attributes is None
    (problem,) = decoded.problems
    assert (problem.remedy, problem.type_code) == (WITHDRAW, code)
    assert problem.text == f"{name}: treated as withdraw, as configured"
    reach = attribute(14, REACH)
    decoded = decode(ORIGIN + AS_PATH + reach + extra, context, has_nlri=False)
    assert decoded.remedy is WITHDRAW
    assert decoded.mp_reach is not None
    assert decode(BASE, context).attributes is not None


def test_treat_as_withdraw_resets_nothing_without_routes() -> None:
    context = replace(EBGP, withdrawn=frozenset({4}))
    assert decode(BASE + MED, context, has_nlri=False).problems == ()


def test_attributes_in_any_order_become_ascending() -> None:
    decoded = decode(NEXT_HOP_ATTRIBUTE + AS_PATH + ORIGIN)
    assert decoded.attributes is not None
    assert decoded.attributes.octets == BASE


@pytest.mark.parametrize("context", [EBGP, IBGP], ids=["ebgp", "ibgp"])
def test_a_needless_extended_length_is_taken_away(context: AttributeContext) -> None:
    extended = bytes((0x50, 2, 0)) + AS_PATH[2:]
    decoded = decode(ORIGIN + extended + NEXT_HOP_ATTRIBUTE, context)
    assert decoded.attributes is not None
    assert decoded.attributes.octets == BASE


def test_all_attributes_of_an_internal_route_are_one_match() -> None:
    attributes = make_attributes(
        next_hop=NEXT_HOP,
        as_path=parse_as_path("65001"),
        med=1,
        local_pref=100,
        atomic_aggregate=True,
        aggregator=(65001, NEXT_HOP),
        communities=[1, 2],
        originator_id=1,
        cluster_list=[1, 2],
        ext_communities=[1],
        large_communities=[(1, 2, 3)],
        otc=65001,
    )
    decoded = decode(attributes.octets, IBGP)
    assert decoded.attributes is not None
    assert decoded.attributes.octets is attributes.octets


@pytest.mark.rfc("7606", "3", "MUST")
@pytest.mark.parametrize("missing", [ORIGIN, AS_PATH, NEXT_HOP_ATTRIBUTE])
def test_a_missing_mandatory_attribute_is_treat_as_withdraw(missing: bytes) -> None:
    decoded = decode(BASE.replace(missing, b""))
    assert decoded.remedy is WITHDRAW
    assert decoded.attributes is None
    (problem,) = decoded.problems
    assert (problem.subcode, problem.data) == (3, missing[1:2])


def test_routes_in_mp_reach_need_no_next_hop_attribute() -> None:
    decoded = decode(ORIGIN + AS_PATH + attribute(14, REACH), has_nlri=False)
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.octets == ORIGIN + AS_PATH
    assert decoded.attributes.next_hop == GLOBAL
    assert decoded.mp_reach == MpReach(IPV6_UNICAST, GLOBAL, NLRI_V6)
    assert decoded.mp_attributes is decoded.attributes


def test_routes_in_mp_reach_need_origin_and_as_path() -> None:
    decoded = decode(attribute(14, REACH), has_nlri=False)
    assert [p.type_code for p in decoded.problems] == [1, 2]
    assert decoded.remedy is WITHDRAW
    assert decoded.mp_reach is not None


def test_a_next_hop_attribute_without_nlri_is_ignored() -> None:
    decoded = decode(BASE + attribute(14, REACH), has_nlri=False)
    assert decoded.attributes is not None
    assert decoded.attributes.octets == ORIGIN + AS_PATH
    assert decoded.attributes.next_hop == GLOBAL


def test_nlri_and_mp_reach_together_have_each_their_next_hop() -> None:
    decoded = decode(BASE + attribute(14, REACH))
    assert decoded.attributes is not None
    assert decoded.mp_attributes is not None
    assert decoded.attributes.octets == BASE
    assert decoded.attributes.next_hop == NEXT_HOP
    assert decoded.mp_attributes.octets == ORIGIN + AS_PATH
    assert decoded.mp_attributes.next_hop == GLOBAL


def test_ipv4_routes_in_mp_reach_equal_those_of_the_nlri_field() -> None:
    reach = b"\0\1\1\4" + NEXT_HOP + b"\0\x18\x0a\0\0"
    decoded = decode(ORIGIN + AS_PATH + attribute(14, reach), has_nlri=False)
    assert decoded.attributes is not None
    assert decoded.attributes.octets == BASE


def test_a_withdrawal_needs_no_attributes() -> None:
    assert decode(b"", has_nlri=False) == DecodedBlock(None)


def test_an_end_of_rib_is_an_empty_mp_unreach() -> None:
    decoded = decode(attribute(15, b"\0\2\1"), has_nlri=False)
    assert decoded == DecodedBlock(None, mp_unreach=MpUnreach(IPV6_UNICAST, b""))


@pytest.mark.rfc("7606", "5.2", "MUST")
def test_an_error_where_no_route_is_announced_resets_the_session() -> None:
    origin = attribute(1, b"\x09")
    unreach = attribute(15, b"\0\2\1" + NLRI_V6)
    for block in (origin, origin + unreach, b"\x40", unreach + b"\x40\x01\x05"):
        decoded = decode(block, has_nlri=False)
        assert decoded.remedy is RESET
    discarded = decode(attribute(6, b"\0") + unreach, has_nlri=False)
    assert discarded.remedy is DISCARD


def test_wrong_flags_of_a_lone_mp_unreach_withdraw_what_it_withdraws() -> None:
    block = attribute(15, b"\0\2\1" + NLRI_V6, 0xC0)
    decoded = decode(block, has_nlri=False)
    assert decoded.remedy is WITHDRAW
    assert decoded.mp_unreach == MpUnreach(IPV6_UNICAST, NLRI_V6)


@pytest.mark.rfc("7606", "4", "MUST")
@pytest.mark.parametrize(
    "tail",
    [
        b"\x80",
        b"\x80\x04",
        b"\x90\x04\x00",
        b"\x80\x04\x05\0\0\0\0",
        b"\x90\x08\xff\xff",
    ],
    ids=["flags", "code", "half length", "short value", "short extended"],
)
def test_an_overrun_is_treat_as_withdraw(tail: bytes) -> None:
    decoded = decode(BASE + tail)
    assert decoded.remedy is WITHDRAW
    assert decoded.attributes is None
    assert decoded.problems[-1].data == tail


@cases("flags", [0x00, 0x40, 0x60])
@cases("code", [0, 22, 23, 29, 39, 40, 99, 255])
def test_an_unknown_well_known_attribute_withdraws(code: int, flags: int) -> None:
    whole = attribute(code, b"abc", flags)
    decoded = decode(BASE + whole)
    assert decoded.remedy is WITHDRAW
    (problem,) = decoded.problems
    assert (problem.type_code, problem.subcode, problem.data) == (code, 2, whole)
    assert decode(whole, has_nlri=False).problems == ()


@pytest.mark.rfc("4271", "5", "MUST")
def test_unknown_attributes_pass_with_the_partial_bit_or_not_at_all() -> None:
    transitive = attribute(200, b"abc", 0xC0)
    decoded = decode(BASE + transitive + attribute(201, b"def", 0x80))
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.octets == BASE + b"\xe0\xc8\3abc"


def test_an_unknown_duplicate_is_discarded() -> None:
    decoded = decode(BASE + attribute(200, b"a", 0xE0) + attribute(200, b"b", 0xE0))
    assert decoded.remedy is DISCARD
    assert decoded.attributes is not None
    assert decoded.attributes.get(200) == b"a"


@pytest.mark.rfc("7606", "7.1", "MUST")
def test_an_undefined_origin_is_treat_as_withdraw() -> None:
    decoded = decode(with_attribute(1, b"\x03"))
    assert decoded.remedy is WITHDRAW
    assert decoded.problems[0].subcode == 6


@pytest.mark.rfc("7606", "7.2", "MUST")
@pytest.mark.parametrize(
    "value",
    [b"\2", b"\2\2\0\0\xfd\xe9", b"\2\0", b"\5\1\0\0\xfd\xe9", b"\0\1\0\0\xfd\xe9"],
    ids=["underrun", "overrun", "no AS", "type 5", "type 0"],
)
def test_a_malformed_as_path_is_treat_as_withdraw(value: bytes) -> None:
    for context in (EBGP, IBGP):
        decoded = decode(with_attribute(2, value), context)
        assert decoded.remedy is WITHDRAW
        assert decoded.problems[0].subcode == 11


@pytest.mark.rfc("7607", "2", "MUST")
def test_as_0_is_rejected_from_inside_too() -> None:
    for context in (EBGP, IBGP):
        path = with_attribute(2, parse_as_path("65001 0"))
        assert decode(path, context).remedy is WITHDRAW
        aggregator = decode(with_attribute(7, bytes(4) + NEXT_HOP), context)
        assert aggregator.remedy is DISCARD
        assert aggregator.attributes is not None
        assert aggregator.attributes.aggregator is None


def test_zeros_across_two_as_numbers_are_not_as_0() -> None:
    block = with_attribute(2, parse_as_path(f"65001 {5 << 16} 7"))
    decoded = decode(block)
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.octets is block


@pytest.mark.rfc("9774", "3", "MUST")
def test_an_as_set_is_treat_as_withdraw_unless_allowed() -> None:
    block = with_attribute(2, parse_as_path("65001 {65002,65003}"))
    assert decode(block).remedy is WITHDRAW
    decoded = decode(block, replace(EBGP, allows_as_set=True))
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.as_path.hop_count == 2


@pytest.mark.rfc("5065", "5", "MUST")
def test_confederation_segments_are_treat_as_withdraw() -> None:
    path = encode_segments([(AS_CONFED_SEQUENCE, (65002,)), (2, (65001,))])
    for context in (EBGP, IBGP):
        assert decode(with_attribute(2, path), context).remedy is WITHDRAW


@pytest.mark.rfc("4271", "6.3", "MAY")
@pytest.mark.parametrize("path", ["65010 65001", "", "{65001}"])
def test_an_external_path_starts_with_the_peers_as(path: str) -> None:
    block = with_attribute(2, parse_as_path(path))
    context = replace(EBGP, allows_as_set=True)
    assert decode(block, context).remedy is WITHDRAW
    assert decode(block, replace(context, enforces_first_as=False)).problems == ()
    assert decode(block, replace(IBGP, allows_as_set=True)).problems == ()


@pytest.mark.rfc("4271", "6.3", "MUST")
@pytest.mark.parametrize(
    ("address", "is_host"),
    [
        ((0, 0, 0, 0), False),
        ((0, 1, 2, 3), False),
        ((224, 0, 0, 5), False),
        ((255, 255, 255, 255), False),
        ((240, 0, 0, 1), True),
        ((127, 0, 0, 0), False),
        ((127, 0, 0, 1), False),
        ((127, 255, 255, 255), False),
        ((126, 255, 255, 255), True),
        ((128, 0, 0, 1), True),
        ((10, 0, 0, 0), True),
    ],
)
def test_a_next_hop_is_a_host_address(address: tuple[int, ...], is_host: bool) -> None:  # noqa: FBT001 - a parameter of the table above
    decoded = decode(with_attribute(3, bytes(address)))
    assert decoded.remedy is (None if is_host else WITHDRAW)
    reach = b"\0\1\1\4" + bytes(address) + b"\0"
    result = decode_mp_reach(reach, EBGP)
    assert isinstance(result, MpReach) is is_host


def test_a_loopback_address_is_a_next_hop_where_the_peer_has_one_too() -> None:
    beside = replace(EBGP, is_on_loopback=True)
    block, reach = with_attribute(3, b"\x7f\0\0\1"), b"\0\1\1\4\x7f\0\0\1\0"
    assert decode(block, beside).problems == ()
    assert isinstance(decode_mp_reach(reach, beside), MpReach)
    for first in (bytes(15) + b"\1", bytes(16)):
        for octets in (first, first + bytes(16)):
            reach = b"\0\2\1%c%b\0" % (len(octets), octets)
            assert not isinstance(decode_mp_reach(reach, beside), MpReach)
    near = b"\0\2\1\x10" + bytes(15) + b"\2\0"
    assert isinstance(decode_mp_reach(near, beside), MpReach)


@pytest.mark.rfc("8092", "3", "MUST")
def test_repeated_large_communities_are_taken_once() -> None:
    first, second = bytes(11) + b"\1", bytes(11) + b"\2"
    decoded = decode(BASE + attribute(32, first + second + first))
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.get(32) == first + second
    distinct = BASE + attribute(32, second + first)
    decoded = decode(distinct)
    assert decoded.attributes is not None
    assert decoded.attributes.octets is distinct


@pytest.mark.rfc("7311", "3", "MUST")
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\1\0",
        b"\1\0\2",
        b"\1\0\x0b\0",
        b"\1\0\x0b" + b"\xff" * 8,
        b"\1\0\x04\0",
    ],
)
def test_a_malformed_aigp_is_discarded(value: bytes) -> None:
    decoded = decode(BASE + attribute(26, value), IBGP)
    assert decoded.remedy is DISCARD
    assert decoded.attributes is not None
    assert decoded.attributes.aigp is None


def test_only_the_first_aigp_tlv_counts() -> None:
    other, first = b"\2\0\4x", b"\1\0\x0b" + bytes(7) + b"\5"
    value = other + first + b"\1\0\x0b" + b"\xff" * 8
    decoded = decode(BASE + attribute(26, value), IBGP)
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.aigp == 5


# --- MP attributes ---------------------------------------------------------------------


@pytest.mark.rfc("2545", "3", "MUST")
@pytest.mark.parametrize(
    ("next_hop", "kept"),
    [
        (GLOBAL, GLOBAL),
        (GLOBAL + LINK_LOCAL, GLOBAL + LINK_LOCAL),
        (LINK_LOCAL, LINK_LOCAL),
        (bytes(16) + LINK_LOCAL, LINK_LOCAL),
        (LINK_LOCAL + LINK_LOCAL, LINK_LOCAL),
        (GLOBAL + GLOBAL, GLOBAL),
        (LINK_LOCAL + GLOBAL, LINK_LOCAL),
    ],
)
def test_ipv6_next_hops(next_hop: bytes, kept: bytes) -> None:
    value = b"\0\2\1" + bytes((len(next_hop),)) + next_hop + b"\0" + NLRI_V6
    assert decode_mp_reach(value, EBGP) == MpReach(IPV6_UNICAST, kept, NLRI_V6)


@pytest.mark.rfc("7606", "7.11", "MUST")
@pytest.mark.parametrize("size", [0, 4, 8, 15, 24, 48])
def test_a_next_hop_length_that_does_not_fit_resets_the_session(size: int) -> None:
    value = b"\0\2\1" + bytes((size,)) + b"\x20" * size + b"\0" + NLRI_V6
    problem = decode_mp_reach(value, EBGP)
    assert isinstance(problem, Problem)
    assert (problem.remedy, problem.subcode) == (RESET, 9)
    assert problem.data == attribute(14, value)
    assert decode(ORIGIN + AS_PATH + attribute(14, value)).remedy is RESET


@pytest.mark.parametrize("address", [bytes(16), b"\xff\x02" + bytes(14)])
def test_an_unusable_ipv6_next_hop_withdraws_the_routes(address: bytes) -> None:
    value = b"\0\2\1\x10" + address + b"\0" + NLRI_V6
    problem = decode_mp_reach(value, EBGP)
    assert isinstance(problem, Problem)
    assert problem.remedy is WITHDRAW
    decoded = decode(ORIGIN + AS_PATH + attribute(14, value), has_nlri=False)
    assert decoded.remedy is WITHDRAW
    assert decoded.mp_reach is not None
    assert decoded.mp_reach.nlri == NLRI_V6


@pytest.mark.rfc("8950", "3", "MUST")
def test_ipv4_over_ipv6_needs_the_capability() -> None:
    value = b"\0\1\1\x10" + GLOBAL + b"\0\x08\x0a"
    filtered = decode_mp_reach(value, EBGP)
    assert isinstance(filtered, Problem)
    assert filtered.remedy is RESET
    context = replace(EBGP, extended_next_hop=frozenset((IPV4_UNICAST,)))
    assert decode_mp_reach(value, context) == MpReach(IPV4_UNICAST, GLOBAL, b"\x08\x0a")


@pytest.mark.rfc("4760", "8", "MUST")
def test_a_family_that_was_not_negotiated_is_ignored() -> None:
    context = replace(EBGP, families=frozenset((IPV4_UNICAST,)))
    for result in (
        decode_mp_reach(REACH, context),
        decode_mp_unreach(b"\0\2\1" + NLRI_V6, context),
    ):
        assert isinstance(result, Problem)
        assert result.remedy is DISCARD
    unreach = attribute(15, b"\0\2\1" + NLRI_V6)
    decoded = decode(BASE + attribute(14, REACH) + unreach, context)
    assert decoded.mp_reach is None
    assert decoded.mp_unreach is None
    assert decoded.attributes is not None


def test_next_hops_of_families_carried_unread_have_any_length() -> None:
    vpn = Family(1, 128)
    context = replace(EBGP, families=frozenset((vpn,)))
    next_hop = bytes(8) + NEXT_HOP  # RFC 4364 4.3.2: with a route distinguisher
    value = b"\0\1\x80\x0c" + next_hop + b"\0nlri"
    assert decode_mp_reach(value, context) == MpReach(vpn, next_hop, b"nlri")
    flowspec = Family(1, 133)
    context = replace(EBGP, families=frozenset((flowspec,)))
    assert decode_mp_reach(b"\0\1\x85\0\0rule", context) == MpReach(
        flowspec, b"", b"rule"
    )


@pytest.mark.parametrize("value", [b"", b"\0\2\1\x10", b"\0\2\1\x10" + GLOBAL])
def test_a_short_mp_reach_resets_the_session(value: bytes) -> None:
    problem = decode_mp_reach(value, EBGP)
    assert isinstance(problem, Problem)
    assert problem.remedy is RESET


def test_a_short_mp_unreach_resets_the_session() -> None:
    problem = decode_mp_unreach(b"\0\2", EBGP)
    assert isinstance(problem, Problem)
    assert problem.remedy is RESET


def test_extract_mp_leaves_what_decode_block_reads() -> None:
    unreach = b"\0\2\1" + NLRI_V6
    rest = ORIGIN + AS_PATH
    for block in (
        attribute(14, REACH) + rest + attribute(15, unreach),
        ORIGIN + attribute(15, unreach) + AS_PATH + attribute(14, REACH),
    ):
        assert extract_mp(block) == (rest, REACH, unreach)
    decoded = decode_block(rest, EBGP, has_nlri=False, mp_next_hop=GLOBAL)
    assert decoded.attributes is not None
    assert decoded.attributes.octets is rest
    assert decoded.attributes.next_hop == GLOBAL


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\x90\x0e\x00",
        b"\x80\x0e\x05abc",
        attribute(14, REACH) * 2,
        attribute(15, b"\0\2\1") * 2,
        attribute(14, REACH, 0xC0),
    ],
)
def test_extract_mp_leaves_malformed_blocks_alone(block: bytes) -> None:
    assert extract_mp(block) is None


def test_extract_mp_of_a_long_attribute() -> None:
    long_reach = REACH + bytes(300)
    assert extract_mp(attribute(14, long_reach) + BASE) == (BASE, long_reach, None)


# --- peers with 2-octet AS numbers -----------------------------------------------------

NARROW = replace(EBGP, four_octet_as=False)


def narrow_path(text: str) -> bytes:
    return attribute(2, encode_segments([(2, tuple(map(int, text.split())))], 2))


def test_a_two_octet_path_is_widened() -> None:
    decoded = decode(ORIGIN + narrow_path("65001 65010") + NEXT_HOP_ATTRIBUTE, NARROW)
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert decoded.attributes.octets == BASE


@pytest.mark.rfc("6793", "4.2.3", "MUST")
def test_as4_attributes_are_merged_and_gone() -> None:
    block = (
        ORIGIN
        + narrow_path("65001 23456 65010")
        + NEXT_HOP_ATTRIBUTE
        + attribute(7, b"\x5b\xa0" + NEXT_HOP)
        + attribute(17, parse_as_path("4200000001 65010"))
        + attribute(18, b"\xfa\x56\xea\x01" + NEXT_HOP)
    )
    decoded = decode(block, NARROW)
    assert decoded.problems == ()
    assert decoded.attributes is not None
    assert str(decoded.attributes.as_path) == "65001 4200000001 65010"
    assert decoded.attributes.aggregator == (0xFA56EA01, NEXT_HOP)
    assert decoded.attributes.get(AS4_PATH) is None


@pytest.mark.rfc("6793", "6", "MUST")
@pytest.mark.parametrize(
    "as4",
    [
        attribute(17, b""),
        attribute(17, b"\2\2\0\0\xfd\xe9"),
        attribute(17, parse_as_path("0")),
        attribute(18, bytes(8)),
        attribute(18, b"\1"),
    ],
)
def test_malformed_as4_attributes_are_discarded(as4: bytes) -> None:
    block = ORIGIN + narrow_path("65001 65010") + NEXT_HOP_ATTRIBUTE + as4
    decoded = decode(block, NARROW)
    assert decoded.remedy is DISCARD
    assert decoded.attributes is not None
    assert decoded.attributes.octets == BASE


@pytest.mark.rfc("9774", "3", "MUST")
def test_an_as_set_in_as4_path_is_treat_as_withdraw_unless_allowed() -> None:
    as4 = attribute(17, encode_segments([(AS_SET, (4200000001,))]))
    block = ORIGIN + narrow_path("65001 23456") + NEXT_HOP_ATTRIBUTE + as4
    assert decode(block, NARROW).remedy is WITHDRAW
    decoded = decode(block, replace(NARROW, allows_as_set=True))
    assert decoded.attributes is not None
    assert str(decoded.attributes.as_path) == "65001 {4200000001}"


def test_as4_attributes_without_as_path_do_not_make_one() -> None:
    block = ORIGIN + NEXT_HOP_ATTRIBUTE + attribute(17, parse_as_path("65001"))
    decoded = decode(block, NARROW)
    assert decoded.remedy is WITHDRAW
    assert decoded.problems[-1].type_code == 2
