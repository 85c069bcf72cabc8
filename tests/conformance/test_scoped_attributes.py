"""Attributes that stay within an administrative domain: which peers send and get them.

Only their form is checked: within the domain they pass like attributes that we do not know.
"""

from dataclasses import replace

import pytest

from rib.attributes import AttributeContext, encode_attribute
from rib.attributes.codes import OPTIONAL, PARTIAL, TRANSITIVE
from rib.errors import Remedy
from rib.nlri import parse_prefix
from tests.support.attributes import BASE, EBGP, IBGP
from tests.support.cases import cases
from tests.support.intakes import Session, update

ONE = parse_prefix("10.1.0.0/16")[1]
DOMAIN = replace(EBGP, is_same_domain=True)
TUNNELS, PREFIX_SID = 23, 40
ENDPOINT = b"\x06\x0a" + bytes(4) + b"\0\1\x0a\0\0\1"
LABEL_INDEX = b"\1\0\7" + bytes(7)
SRGB = b"\3\0\x08" + bytes(8)
SRV6 = b"\5\0\4" + bytes(4)

SOUND = {
    "tunnel": (TUNNELS, b"\0\x08\0\x0c" + ENDPOINT),
    "two tunnels": (TUNNELS, (b"\0\x08\0\x0c" + ENDPOINT) * 2),
    "tunnel of an unknown type": (TUNNELS, b"\xff\xff\0\0"),
    "long sub-TLV": (TUNNELS, b"\0\x08\0\x04\x80\0\1\0"),
    "label index": (PREFIX_SID, LABEL_INDEX),
    "SRGB": (PREFIX_SID, LABEL_INDEX + SRGB),
    "two SRGBs": (PREFIX_SID, b"\3\0\x0e" + bytes(14)),
    "SRv6 service": (PREFIX_SID, SRV6),
    "TLV of an unknown type": (PREFIX_SID, b"\xfa\0\0"),
}
MALFORMED = {
    "no tunnel": (TUNNELS, b""),
    "half a type": (TUNNELS, b"\0"),
    "no length": (TUNNELS, b"\0\x08"),
    "half a length": (TUNNELS, b"\0\x08\0"),
    "tunnel that overruns": (TUNNELS, b"\0\x08\0\x0d" + ENDPOINT),
    "one octet behind": (TUNNELS, b"\0\x08\0\x0c" + ENDPOINT + b"\0"),
    "sub-TLV that overruns": (TUNNELS, b"\0\x08\0\3\x06\2\0"),
    "sub-TLV without length": (TUNNELS, b"\0\x08\0\1\x06"),
    "half a long length": (TUNNELS, b"\0\x08\0\2\x80\0"),
    "no SID": (PREFIX_SID, b""),
    "truncated header": (PREFIX_SID, b"\1\0"),
    "TLV that overruns": (PREFIX_SID, b"\1\0\7" + bytes(6)),
    "label index of 0": (PREFIX_SID, b"\1\0\0"),
    "label index of 8": (PREFIX_SID, b"\1\0\x08" + bytes(8)),
    "SRGB of 2": (PREFIX_SID, b"\3\0\2" + bytes(2)),
    "SRGB of 9": (PREFIX_SID, b"\3\0\x09" + bytes(9)),
    "SRv6 service that overruns": (PREFIX_SID, b"\5\xff\xff"),
}
within = pytest.mark.parametrize("context", [IBGP, DOMAIN], ids=["ibgp", "same domain"])


def received(
    context: AttributeContext, code: int, value: bytes, flags: int
) -> tuple[bytes | None, list[Remedy]]:
    """Return a route's attributes as they are kept, ``None``: withdrawn, and remedies."""
    session = Session(context)
    session.take(update(BASE, ONE))
    taken = session.take(update(BASE + encode_attribute(code, value, flags), ONE))
    assert taken.error is None
    kept = [octets for octets, _ in session.routes().values()]
    return kept[0] if kept else None, [p.remedy for p, _ in taken.complaints]


@within
@cases("name", SOUND)
@cases("partial", [0, PARTIAL])
def test_a_sound_one_is_passed_on_within_the_domain(
    name: str, partial: int, context: AttributeContext
) -> None:
    code, value = SOUND[name]
    flags = OPTIONAL | TRANSITIVE
    kept, remedies = received(context, code, value, flags | partial)
    assert kept == BASE + encode_attribute(code, value, flags | PARTIAL)
    assert remedies == []


@pytest.mark.rfc("8669", "4", "MUST")
@pytest.mark.rfc("9012", "11", "MUST")
@cases("name", [*SOUND, *MALFORMED])
@cases("flags", [OPTIONAL, OPTIONAL | TRANSITIVE])
def test_one_of_an_external_peer_is_discarded(name: str, flags: int) -> None:
    code, value = (SOUND | MALFORMED)[name]
    kept, remedies = received(EBGP, code, value, flags)
    assert kept == BASE
    assert remedies == [Remedy.ATTRIBUTE_DISCARD]


@pytest.mark.rfc("8669", "6", "MUST")
@pytest.mark.rfc("9012", "13", "MUST")
@within
@cases("name", MALFORMED)
def test_a_malformed_one_gets_the_remedy_of_its_rfc(
    name: str, context: AttributeContext
) -> None:
    code, value = MALFORMED[name]
    kept, remedies = received(context, code, value, OPTIONAL | TRANSITIVE)
    if code == PREFIX_SID:
        assert (kept, remedies) == (BASE, [Remedy.ATTRIBUTE_DISCARD])
    else:
        assert (kept, remedies) == (None, [Remedy.TREAT_AS_WITHDRAW])


@within
@cases("name", SOUND)
def test_one_that_is_not_transitive_is_malformed(
    name: str, context: AttributeContext
) -> None:
    code, value = SOUND[name]
    kept, remedies = received(context, code, value, OPTIONAL)
    if code == PREFIX_SID:
        assert (kept, remedies) == (BASE, [Remedy.ATTRIBUTE_DISCARD])
    else:
        assert (kept, remedies) == (None, [Remedy.TREAT_AS_WITHDRAW])


@within
def test_one_that_is_marked_well_known_withdraws_its_routes(
    context: AttributeContext,
) -> None:
    for code, value in (SOUND | MALFORMED).values():
        kept, remedies = received(context, code, value, TRANSITIVE)
        assert (kept, remedies) == (None, [Remedy.TREAT_AS_WITHDRAW])
