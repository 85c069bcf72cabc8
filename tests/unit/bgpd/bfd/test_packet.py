"""RFC 5880 4.1 and 6.8.6: what a packet looks like, and which are discarded."""

import pytest

from bgpd.bfd.packet import (
    Discard,
    Flag,
    Packet,
    State,
    authentication_section,
    decode_packet,
    encode_packet,
)
from tests.support.cases import cases

UP = Packet(State.UP, 0, 0, 3, 0x01020304, 0x0A0B0C0D, 300_000, 200_000)


def altered(at: int, value: int, octets: bytes | None = None) -> bytes:
    octets = encode_packet(UP) if octets is None else octets
    return octets[:at] + bytes((value,)) + octets[at + 1 :]


def test_a_packet_has_the_fields_of_the_rfc() -> None:
    octets = encode_packet(UP._replace(diagnostic=1, flags=int(Flag.POLL)))
    assert octets.hex(" ", 4) == (
        "21e00318 01020304 0a0b0c0d 000493e0 00030d40 00000000"
    )


def test_what_is_encoded_is_decoded() -> None:
    packet = UP._replace(diagnostic=7, flags=Flag.FINAL | Flag.DEMAND)
    assert decode_packet(encode_packet(packet)) == packet


@pytest.mark.rfc("5880", "6.8.6", "MUST")
@cases(
    ("octets", "expected"),
    [
        (encode_packet(UP)[:23], Discard.TOO_SHORT),
        (b"", Discard.TOO_SHORT),
        (altered(0, 0x40), Discard.VERSION),
        (altered(3, 23), Discard.LENGTH),
        (altered(3, 25), Discard.LENGTH),
        (altered(1, 0xC4), Discard.LENGTH),  # authenticated: at least 26
        (altered(2, 0), Discard.DETECT_MULT),
        (altered(1, 0xC1), Discard.MULTIPOINT),
        (encode_packet(UP._replace(my_discriminator=0)), Discard.MY_DISCRIMINATOR),
        (encode_packet(UP._replace(your_discriminator=0)), Discard.YOUR_DISCRIMINATOR),
        (
            encode_packet(UP._replace(your_discriminator=0, state=State.INIT)),
            Discard.YOUR_DISCRIMINATOR,
        ),
    ],
)
def test_a_packet_that_breaks_a_rule_is_discarded(octets, expected) -> None:
    assert decode_packet(octets) is expected


@pytest.mark.rfc("5880", "6.8.6", "MUST")
@cases("state", [State.DOWN, State.ADMIN_DOWN])
def test_a_session_that_is_down_need_not_know_our_discriminator(state) -> None:
    packet = UP._replace(state=state, your_discriminator=0)
    assert decode_packet(encode_packet(packet)) == packet


def test_octets_after_the_packet_are_ignored() -> None:
    octets = encode_packet(UP) + b"behind"
    assert decode_packet(octets) == UP
    assert authentication_section(octets) == b""


def test_unknown_diagnostics_are_kept() -> None:
    decoded = decode_packet(encode_packet(UP._replace(diagnostic=31)))
    assert isinstance(decoded, Packet)
    assert decoded.diagnostic == 31
