"""What a route, or a router far away, may not do: end the session it comes over.

RFC 7606 5.2 resets a session for an error in an UPDATE without reachable NLRI, since the
NLRI may not have been found. An attribute that can be read casts no such doubt, whatever a
rule about routes thinks of its value.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from rib.attributes import AttributeContext, encode_attribute, parse_as_path
from rib.attributes.as_path import encode_segments
from rib.nlri import parse_prefix
from tests.support.attributes import BASE, EBGP, IBGP, LOCAL_AS, attribute
from tests.support.cases import cases
from tests.support.intakes import Session, update
from tests.support.rfc_page import RESETS

ONE, TWO = (parse_prefix(text)[1] for text in ("10.1.0.0/16", "10.2.0.0/16"))
SIX = parse_prefix("fd00:1::/48")[1]
HOP = bytes.fromhex("20010db8" + "00" * 11 + "01")
REACH = attribute(14, b"\0\2\1\x10" + HOP + b"\0" + SIX)
UNREACH = attribute(15, b"\0\2\1" + SIX)
NARROW = replace(EBGP, four_octet_as=False)
CONTEXTS = {"ebgp": EBGP, "ibgp": IBGP}

# What can be read, and is refused for what it says: by type code.
DISLIKED: dict[str, dict[int, bytes]] = {
    "first AS": {2: parse_as_path("64999 65001")},
    "empty AS_PATH": {2: b""},
    "first a set": {2: parse_as_path("{65001}")},
    "AS_SET": {2: parse_as_path("65001 {65005,65006}")},
    "AS 0": {2: parse_as_path("65001 0")},
    "confederation": {2: encode_segments([(3, (65001,)), (2, (65002,))])},
    "our own AS": {2: parse_as_path(f"65001 {LOCAL_AS}")},
    "NEXT_HOP 0.0.0.0": {3: bytes(4)},
    "NEXT_HOP 0.1.2.3": {3: bytes((0, 1, 2, 3))},
    "NEXT_HOP 224.0.0.5": {3: bytes((224, 0, 0, 5))},
    "NEXT_HOP broadcast": {3: b"\xff" * 4},
    "NEXT_HOP loopback": {3: bytes((127, 0, 0, 1))},
    "OTC": {35: b"\0\0\xfd\xe8"},
    "OTC 0": {35: bytes(4)},
    "our ORIGINATOR_ID": {9: (1).to_bytes(4, "big")},
    "unknown and well-known": {250: b"\1"},
}
# Unreadable values: RFC 7606 demands a reset if there is no route to withdraw.
UNREADABLE: dict[str, dict[int, bytes]] = {
    "ORIGIN": {1: b"\x09"},
    "AS_PATH": {2: b"\2\2\0\0\xfd\xe9"},
    "NEXT_HOP": {3: bytes(5)},
    "MULTI_EXIT_DISC": {4: b"\1"},
    "COMMUNITIES": {8: b"\1\2\3"},
    "ONLY_TO_CUSTOMER": {35: b"\1"},
}
KINDS = [*DISLIKED, *(f"{a}, {b}" for a, b in combinations(list(DISLIKED)[::3], 2))]


def block(values: dict[int, bytes]) -> bytes:
    """Return a block with some attributes set so, in their places."""
    parts = {1: b"\0", 2: parse_as_path("65001 65010"), 3: bytes((192, 0, 2, 1))}
    flags = {250: 0x40}
    return b"".join(
        encode_attribute(code, value, flags.get(code))
        for code, value in sorted((parts | values).items())
    )


def disliked(kind: str) -> bytes:
    values: dict[int, bytes] = {}
    for each in kind.split(", "):
        values |= DISLIKED[each]
    return block(values)


def routeless(attributes: bytes) -> Iterator[bytes]:
    """Yield UPDATEs with these attributes and without reachable NLRI."""
    yield update(attributes)
    yield update(attributes + UNREACH)
    yield update(UNREACH + attributes)
    yield update(attributes, withdrawn=ONE)
    yield update(attributes + UNREACH, withdrawn=ONE)


def a_session(context: AttributeContext) -> Session:
    session = Session(context)
    session.take(update(BASE, ONE + TWO), update(REACH + BASE))
    assert len(session.routes()) == 3
    return session


@pytest.mark.rfc("7606", "5.2", "MUST")
@cases("context", CONTEXTS.values(), ids=CONTEXTS)
@cases("kind", KINDS)
def test_a_rule_about_routes_has_nothing_to_say_without_routes(
    kind: str, context: AttributeContext
) -> None:
    for body in routeless(disliked(kind)):
        session = a_session(context)
        taken = session.take(body)
        assert taken.error is None
        assert [p for p, _ in taken.complaints if p.type_code != 9] == []
        left = {nlri for _, nlri, _ in session.routes()}
        assert (ONE in left) is (body[:2] == b"\0\0")
        assert (SIX in left) is (UNREACH not in body)
        assert TWO in left


@pytest.mark.rfc("7606", "5.2", "MUST")
@cases("context", CONTEXTS.values(), ids=CONTEXTS)
@cases("kind", UNREADABLE)
@cases("other", ["", "first AS"])
def test_what_cannot_be_read_resets_the_session_without_routes(
    kind: str, context: AttributeContext, other: str
) -> None:
    values = DISLIKED.get(other, {}) | UNREADABLE[kind]
    for body in routeless(block(values)):
        taken = a_session(context).take(body)
        assert taken.error is not None
        assert taken.error.code == 3


@cases("context", CONTEXTS.values(), ids=CONTEXTS)
@cases("kind", [*DISLIKED, *UNREADABLE])
def test_nothing_wrong_with_a_route_ends_the_session(
    kind: str, context: AttributeContext
) -> None:
    attributes = block((DISLIKED | UNREADABLE)[kind])
    for body in (
        update(attributes, ONE),
        update(attributes + REACH),
        update(REACH + attributes, ONE),
    ):
        session = a_session(context)
        taken = session.take(body, update(BASE, TWO))
        assert taken.error is None
        assert TWO in {nlri for _, nlri, _ in session.routes()}


@cases("code", [*range(41, 255, 9), 0, 11, 22, 23, 29, 39, 40, 255])
@cases("flags", [0x00, 0x20, 0x40, 0x60])
@cases("context", CONTEXTS.values(), ids=CONTEXTS)
def test_an_unknown_attribute_marked_well_known_withdraws_its_routes_alone(
    code: int, flags: int, context: AttributeContext
) -> None:
    strange = encode_attribute(code, b"abc", flags)
    for body in (
        update(BASE + strange, ONE),
        update(strange + BASE, ONE),
        update(strange + BASE + REACH, ONE),
    ):
        session = a_session(context)
        taken = session.take(body)
        assert taken.error is None
        assert [p.type_code for p, _ in taken.complaints] == [code]
        left = {nlri for _, nlri, _ in session.routes()}
        assert left == ({TWO} if REACH in body else {TWO, SIX})


def test_an_as_set_in_as4_path_resets_no_session_without_routes() -> None:
    as4 = encode_attribute(17, encode_segments([(1, (4200000001,))]))
    path = encode_attribute(2, encode_segments([(2, (65001, 23456))], 2))
    body = update(attribute(1, b"\0") + path + as4 + UNREACH)
    session = Session(NARROW)
    taken = session.take(body)
    assert (taken.error, taken.complaints) == (None, [])


def test_a_family_that_was_not_negotiated_does_not_reset_the_session() -> None:
    reach = attribute(14, b"\0\x19\x46\4" + bytes(4) + b"\0evpn")
    for values in DISLIKED.values():
        session = Session(EBGP)
        assert session.take(update(block(values) + reach)).error is None


def places() -> Counter[str]:
    """Return where the source makes what ends a session, by module."""
    root = Path(__file__).parents[2]
    found: Counter[str] = Counter()
    for folder in ("bgpd", "rib"):
        for file in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call | ast.IfExp):
                    continue
                text = ast.unparse(node)
                is_reset = text.startswith("NotifyError(") or (
                    text.startswith(("Problem(", "self._add(", "SESSION_RESET if "))
                    and "SESSION_RESET" in text
                )
                if is_reset:
                    found[str(file.relative_to(root))] += 1
    return found


def test_every_reset_stands_in_the_documentation_with_its_reason() -> None:
    documented: Counter[str] = Counter()
    for reset in RESETS:
        documented[reset.module] += reset.places
    assert places() == documented
    assert all(reset.demanded_by for reset in RESETS)
