"""What the tunnel's process reads out of packets."""

from bgpd.lab.tunnel import destination, payload

INNER = bytes([0x45]) + bytes(15) + bytes([10, 244, 1, 1]) + b"data"


def test_the_destination_of_an_ipv4_packet():
    assert destination(INNER) == bytes([10, 244, 1, 1])


def test_a_packet_that_is_not_ipv4_has_no_destination():
    assert destination(bytes([0x60]) + bytes(39)) == b""
    assert destination(b"\x45") == b""


def test_the_payload_stands_behind_header_and_options():
    outer = bytes([0x46]) + bytes(23)
    assert payload(outer + INNER) == INNER
    assert payload(b"") == b""
