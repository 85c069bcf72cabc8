"""NEXT_HOP in an UPDATE whose routes stand in MP_REACH_NLRI: of them it says nothing."""

from itertools import permutations
from typing import NamedTuple

import pytest

from rib.attributes import AttributeContext, encode_attribute, parse_as_path
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_prefix
from tests.support.attributes import BASE, EBGP, IBGP, NEXT_HOP, PEER_AS, attribute
from tests.support.cases import cases
from tests.support.intakes import Session, update

ONE, TWO = (parse_prefix(text)[1] for text in ("10.1.0.0/16", "10.2.0.0/16"))
SIX = parse_prefix("fd00:1::/48")[1]
HOP = bytes.fromhex("20010db8" + "00" * 11 + "01")
LINK_LOCAL = bytes.fromhex("fe80" + "00" * 13 + "01")
MP_HOP = bytes((192, 0, 2, 77))
ORIGIN = attribute(1, b"\0")
AS_PATH = attribute(2, parse_as_path(f"{PEER_AS} 65010"))


class Reach(NamedTuple):
    """An MP_REACH_NLRI with one route."""

    family: Family
    nlri: bytes
    hop: bytes
    value: bytes


REACH = {
    "ipv6": Reach(IPV6_UNICAST, SIX, HOP, b"\0\2\1\x10" + HOP + b"\0" + SIX),
    "ipv6 and link-local": Reach(
        IPV6_UNICAST,
        SIX,
        HOP + LINK_LOCAL,
        b"\0\2\1\x20" + HOP + LINK_LOCAL + b"\0" + SIX,
    ),
    "ipv4": Reach(IPV4_UNICAST, TWO, MP_HOP, b"\0\1\1\4" + MP_HOP + b"\0" + TWO),
}
NO_HOST = {
    "0.0.0.0": bytes(4),
    "0.0.0.1": b"\0\0\0\1",
    "multicast": bytes((224, 0, 0, 5)),
    "broadcast": b"\xff" * 4,
}
ODD_LENGTH = {f"{n} octets": bytes(range(1, n + 1)) for n in (0, 1, 3, 5, 16, 32, 255)}
VALUES = NO_HOST | ODD_LENGTH | {"a host": bytes((192, 0, 2, 1))}
FLAGS = (0x40, 0x00, 0x80, 0xC0, 0x60)
CONTEXTS = {"ebgp": EBGP, "ibgp": IBGP}

families = pytest.mark.parametrize("reach", REACH.values(), ids=REACH)
contexts = pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)


def next_hops(session: Session) -> dict[tuple[Family, bytes], bytes]:
    return {(f, nlri): hop for (f, nlri, _), (_, hop) in session.routes().items()}


@pytest.mark.rfc("4760", "3", "SHOULD")
@contexts
@families
@pytest.mark.parametrize("said", VALUES.values(), ids=VALUES)
def test_without_nlri_of_its_own_it_is_ignored(
    said: bytes,
    reach: Reach,
    context: AttributeContext,
) -> None:
    for flags in FLAGS:
        ignored = encode_attribute(3, said, flags)
        for order in permutations(
            (ORIGIN, AS_PATH, ignored, attribute(14, reach.value))
        ):
            session = Session(context)
            body = update(b"".join(order))
            taken = session.take(body, body)  # known the second time, or walked again
            assert (taken.error, taken.complaints) == (None, [])
            assert next_hops(session) == {(reach.family, reach.nlri): reach.hop}
            ((octets, _),) = session.routes().values()
            bare = (
                ORIGIN
                + AS_PATH
                + (attribute(3, reach.hop) if len(reach.hop) == 4 else b"")
            )
            assert octets == bare


@pytest.mark.rfc("4760", "3", "SHOULD")
@families
def test_twice_it_is_ignored_too(reach: Reach) -> None:
    session = Session(EBGP)
    twice = attribute(3, b"\1") + attribute(3, bytes(4))
    taken = session.take(update(ORIGIN + AS_PATH + twice + attribute(14, reach.value)))
    assert taken.error is None
    assert next_hops(session) == {(reach.family, reach.nlri): reach.hop}


@pytest.mark.rfc("4271", "6.3", "SHOULD")
@contexts
@families
@cases("said", NO_HOST.values(), ids=NO_HOST)
def test_one_that_is_not_a_host_takes_only_the_routes_that_have_it(
    said: bytes,
    reach: Reach,
    context: AttributeContext,
) -> None:
    parts = (ORIGIN, AS_PATH, attribute(3, said), attribute(14, reach.value))
    for order in permutations(parts):
        session = Session(context)
        taken = session.take(update(BASE, ONE), update(b"".join(order), ONE))
        assert taken.error is None
        assert [p.type_code for p, _ in taken.complaints] == [3]
        assert next_hops(session) == {(reach.family, reach.nlri): reach.hop}


@pytest.mark.rfc("4271", "6.3", "SHOULD")
@pytest.mark.parametrize("bad", [bytes(16), b"\xff\2" + bytes(14)])
def test_an_mp_next_hop_that_is_not_a_host_takes_only_the_routes_that_have_it(
    bad: bytes,
) -> None:
    session = Session(EBGP)
    reach = attribute(14, b"\0\2\1\x10" + bad + b"\0" + SIX)
    good = attribute(14, REACH["ipv6"].value)
    taken = session.take(update(BASE + good), update(BASE + reach, ONE))
    assert taken.error is None
    assert [p.type_code for p, _ in taken.complaints] == [14]
    assert next_hops(session) == {(IPV4_UNICAST, ONE): NEXT_HOP}


@pytest.mark.rfc("7606", "7.3", "MUST")
@contexts
@families
@cases("said", ODD_LENGTH.values(), ids=ODD_LENGTH)
def test_one_of_odd_length_withdraws_what_its_update_holds(
    said: bytes,
    reach: Reach,
    context: AttributeContext,
) -> None:
    session = Session(context)
    session.take(update(BASE, ONE), update(BASE + attribute(14, reach.value)))
    assert next_hops(session) == {
        (IPV4_UNICAST, ONE): NEXT_HOP,
        (reach.family, reach.nlri): reach.hop,
    }
    block = ORIGIN + AS_PATH + attribute(3, said) + attribute(14, reach.value)
    taken = session.take(update(block, ONE))
    assert taken.error is None
    assert next_hops(session) == {}


@families
def test_beside_a_sound_one_each_route_has_its_own(reach: Reach) -> None:
    session = Session(IBGP)
    session.take(update(BASE + attribute(14, reach.value), ONE))
    assert next_hops(session) == {
        (IPV4_UNICAST, ONE): NEXT_HOP,
        (reach.family, reach.nlri): reach.hop,
    }


@pytest.mark.parametrize("said", VALUES.values(), ids=VALUES)
def test_a_family_that_was_not_negotiated_changes_nothing_about_it(
    said: bytes,
) -> None:
    session = Session(EBGP)
    reach = attribute(14, b"\0\x19\x46\4" + bytes(4) + b"\0evpn")
    taken = session.take(update(ORIGIN + AS_PATH + attribute(3, said) + reach))
    assert taken.error is None
