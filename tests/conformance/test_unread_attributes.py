"""Attributes that other makers' suites test and that are read leniently here, or not at all.

The page of the RFCs says why for each; here is that it is so.
"""

from dataclasses import replace

import pytest

from rib.attributes import AttributeContext, encode_attribute, parse_as_path
from rib.attributes.as_path import encode_segments
from rib.attributes.codes import FLAGS, OPTIONAL, PARTIAL, TRANSITIVE
from rib.import_checks import FilterReason, ImportChecks
from rib.nlri import parse_prefix
from rib.path import Source, SourceKind
from rib.policy import ACCEPT_ALL, Policy
from tests.support.attributes import (
    BASE,
    EBGP,
    IBGP,
    LOCAL_AS,
    NEXT_HOP_ATTRIBUTE,
    ORIGIN,
    PEER_AS,
    attribute,
    with_attribute,
)
from tests.support.cases import cases
from tests.support.intakes import Session, update

ONE = parse_prefix("10.1.0.0/16")[1]
CONTEXTS = {"ebgp": EBGP, "ibgp": IBGP}
both = pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)

# Type code, the registered flags, and values that a speaker which reads it finds malformed.
UNREAD = {
    "PMSI tunnel": (22, 0xC0, (b"", b"\0", bytes(5), b"\0\x63\0\0\0" + b"\xff" * 9)),
    "BGP-LS": (29, 0x80, (b"", b"\4\1", b"\4\1\xff\xff", b"\0\1\0\0")),
    "next hop dependent": (39, 0xC0, (b"", b"\0\1\1\4", b"\0\1\1\x10" + bytes(4))),
    "SFP": (37, 0xC0, (b"", b"\1", b"\1\xff\xff")),
    "unassigned": (240, 0xC0, (b"", b"\0" * 300)),
}
CASES = [
    pytest.param(code, value, id=f"{name} {value.hex()[:16] or 'empty'}")
    for name, (code, _, values) in UNREAD.items()
    for value in values
]


def accepted(context: AttributeContext, block: bytes) -> bytes | None:
    """Return the attributes of a route as we would advertise it; ``None``: withdrawn."""
    session = Session(context)
    session.take(update(BASE, ONE))
    taken = session.take(update(block, ONE))
    assert taken.error is None
    found = [octets for octets, _ in session.routes().values()]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.rfc("4271", "5", "MUST")
@both
@cases(("code", "value"), CASES)
@cases("partial", [0, PARTIAL])
def test_what_is_not_understood_goes_by_its_flags(
    code: int, value: bytes, partial: int, context: AttributeContext
) -> None:
    transitive = encode_attribute(code, value, OPTIONAL | TRANSITIVE | partial)
    octets = accepted(context, BASE + transitive)
    assert octets is not None
    told = encode_attribute(code, value, OPTIONAL | TRANSITIVE | PARTIAL)
    assert octets == BASE + told
    assert accepted(context, BASE + encode_attribute(code, value, OPTIONAL)) == BASE
    for flags in (0, TRANSITIVE, TRANSITIVE | PARTIAL):
        assert accepted(context, BASE + encode_attribute(code, value, flags)) is None


def test_the_names_stand_for_what_is_not_in_the_table_of_attributes() -> None:
    assert not {code for code, _, _ in UNREAD.values()} & set(FLAGS)


@pytest.mark.rfc("7606", "3", "MUST")
@both
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6])
def test_a_partial_bit_where_none_may_be_is_accepted_and_not_told_on(
    code: int, context: AttributeContext
) -> None:
    values = {1: b"\1", 2: parse_as_path(f"{PEER_AS} 65010"), 3: bytes((192, 0, 2, 9))}
    value = values.get(code, b"" if code == 6 else b"\0\0\0\7")
    block = with_attribute(code, value, FLAGS[code] | PARTIAL)
    sound = with_attribute(code, value)
    assert accepted(context, block) == accepted(context, sound) is not None


@pytest.mark.rfc("6793", "6", "MUST")
@both
@cases("kind", [0, 5, 6, 128, 255])
@cases("count", [1, 3])
@cases("asn_len", [2, 4])
def test_an_as4_path_with_a_segment_of_no_known_type_is_discarded(
    kind: int,
    count: int,
    asn_len: int,
    context: AttributeContext,
) -> None:
    context = replace(context, four_octet_as=asn_len == 4)
    path = encode_segments([(2, (PEER_AS, 65010))], asn_len)
    bad = bytes((kind, count)) + b"".join(bytes((0, 1, 0, n)) for n in range(count))
    for value in (bad, parse_as_path("65010") + bad):
        session = Session(context)
        block = ORIGIN + attribute(2, path) + NEXT_HOP_ATTRIBUTE + attribute(17, value)
        taken = session.take(update(block, ONE))
        assert taken.error is None
        assert [p.remedy.name for p, _ in taken.complaints] == ["ATTRIBUTE_DISCARD"]
        ((octets, _),) = session.routes().values()
        assert octets == BASE


@pytest.mark.rfc("9234", "5", "MUST")
@both
@pytest.mark.parametrize("otc", [0, 1, PEER_AS, 23456, 0xFFFFFFFF])
def test_an_otc_is_malformed_by_its_length_alone(
    otc: int, context: AttributeContext
) -> None:
    sound = BASE + attribute(35, otc.to_bytes(4, "big"))
    assert accepted(context, sound) == sound
    for length in (0, 3, 5, 8):
        assert accepted(context, BASE + attribute(35, bytes(length))) is None


@pytest.mark.rfc("9234", "5", "MUST")
@pytest.mark.parametrize(
    ("role", "is_leak"),
    [
        ("provider", True),
        ("rs", True),
        ("peer", True),
        ("customer", False),
        ("rs-client", False),
        ("", False),
    ],
)
def test_an_otc_of_as_0_leaks_where_that_of_another_as_does(
    role: str,
    is_leak: bool,  # noqa: FBT001
) -> None:
    rules = ImportChecks(Policy(ACCEPT_ALL), local_as=LOCAL_AS, router_id=1, role=role)
    source = Source("peer", SourceKind.EBGP, address=bytes(4), asn=PEER_AS)
    for otc in (0, 64999):
        session = Session(EBGP)
        session.take(update(BASE + attribute(35, otc.to_bytes(4, "big")), ONE))
        rib = next(iter(session.ribs.values()))
        (path,) = rib.loc_rib.table.values()
        filtered = rules.check(path.attributes, source)  # type: ignore[union-attr]
        assert (filtered is not None) is is_leak
        if filtered is not None:
            assert filtered.refusal is FilterReason.ROUTE_LEAK
