import pytest

from rib.family import AFI_IPV4, AFI_IPV6
from rib.nlri import (
    NlriError,
    clear_host_bits,
    covers,
    format_address,
    format_prefix,
    make_nlri,
    network_octets,
    parse_address,
    parse_prefix,
    sort_key,
    split,
    split_add_path,
    split_tail,
)


def nlri(text: str) -> bytes:
    return parse_prefix(text)[1]


@pytest.mark.parametrize(
    ("text", "afi", "octets"),
    [
        ("0.0.0.0/0", AFI_IPV4, b"\0"),
        ("10.0.0.0/8", AFI_IPV4, b"\x08\x0a"),
        ("10.244.0.64/26", AFI_IPV4, b"\x1a\x0a\xf4\x00\x40"),
        ("10.244.0.1", AFI_IPV4, b"\x20\x0a\xf4\x00\x01"),
        ("10.244.0.77/26", AFI_IPV4, b"\x1a\x0a\xf4\x00\x40"),
        ("::/0", AFI_IPV6, b"\0"),
        ("fd00::/9", AFI_IPV6, b"\x09\xfd\x00"),
        ("2001:db8::1", AFI_IPV6, b"\x80\x20\x01\x0d\xb8" + bytes(11) + b"\1"),
    ],
)
def test_text_and_octets(text: str, afi: int, octets: bytes) -> None:
    assert parse_prefix(text) == (afi, octets)
    assert parse_prefix(format_prefix(octets, afi)) == (afi, octets)


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "fd00::/129", "10.0.0", "host"])
def test_no_prefix(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        parse_prefix(text)


@pytest.mark.parametrize("text", ["", "10.0.0", "1.2.3.4/32", "fe80::1%eth0", "x:"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IP address"):
        parse_address(text)


@pytest.mark.parametrize("text", ["10.244.0.1", "2001:db8::1", "::"])
def test_addresses(text: str) -> None:
    assert format_address(parse_address(text)) == text


@pytest.mark.rfc("4271", "4.3", "MUST")
def test_a_run_is_split_into_its_prefixes() -> None:
    pieces = [nlri("10.0.0.0/8"), b"\0", nlri("10.1.2.3"), nlri("10.244.0.64/26")]
    assert split(b"".join(pieces)) == pieces
    assert split(b"") == []


@pytest.mark.rfc("4271", "4.3", "MUST")
def test_trailing_bits_are_irrelevant() -> None:
    dirty = b"\x1a\x0a\xf4\x00\x7f" + b"\x18\x0a\x00\x00"
    assert split(dirty) == [nlri("10.244.0.64/26"), nlri("10.0.0.0/24")]
    assert split(b"\x01\xff", AFI_IPV6) == [nlri("8000::/1")]


@pytest.mark.rfc("7606", "5.3", "MUST")
@pytest.mark.parametrize(
    ("run", "afi", "text"),
    [
        (b"\x21\x0a\0\0\0\0", AFI_IPV4, "33 exceeds 32"),
        (b"\x81" + bytes(17), AFI_IPV6, "129 exceeds 128"),
        (b"\x18\x0a\x00", AFI_IPV4, "24 bits runs past the end"),
        (b"\x08\x0a\x20", AFI_IPV4, "32 bits runs past the end"),
    ],
)
def test_what_cannot_be_split(run: bytes, afi: int, text: str) -> None:
    with pytest.raises(NlriError, match=text):
        split(run, afi)


@pytest.mark.parametrize(
    "texts",
    [
        ["10.0.0.0/8"],
        ["0.0.0.0/0"],
        ["10.1.2.3/32"],
        ["10.244.0.64/26", "10.0.0.0/8"],
        ["0.0.0.0/0", "0.0.0.0/0", "10.1.2.3/32"],
    ],
)
def test_the_end_of_a_body_is_split_as_a_run(texts: list[str]) -> None:
    pieces = [nlri(text) for text in texts]
    body = b"\0\0\0\4\x40\1\1\0"
    assert split_tail(body + b"".join(pieces), len(body)) == pieces


@pytest.mark.rfc("4271", "4.3", "MUST")
def test_host_bits_at_the_end_of_a_body_are_cleared() -> None:
    assert split_tail(b"..\x1a\x0a\xf4\x00\x7f", 2) == [nlri("10.244.0.64/26")]
    dirty = b"\x1a\x0a\xf4\x00\x7f\x08\x0a"
    assert split_tail(dirty, 0) == [nlri("10.244.0.64/26"), nlri("10.0.0.0/8")]


@pytest.mark.rfc("7606", "5.3", "MUST")
@pytest.mark.parametrize("run", [b"\x21\x0a\0\0\0\0", b"\x18\x0a\x00", b"\x08\x0a\x20"])
def test_the_end_of_a_body_that_cannot_be_split(run: bytes) -> None:
    with pytest.raises(NlriError, match=r"exceeds 32|runs past the end"):
        split_tail(b".." + run, 2)


@pytest.mark.rfc("7606", "5.3", "MUST")
@pytest.mark.parametrize("wrong", [b"\x21\x0a\0\0\0\0", b"\x18\x0a\x00"])
def test_what_cannot_be_split_with_path_identifiers(wrong: bytes) -> None:
    with pytest.raises(NlriError, match=r"exceeds|runs past"):
        split_add_path(b"\0\0\0\1\x08\x0a" + b"\0\0\0\2" + wrong)


@pytest.mark.rfc("7911", "3", "MUST")
def test_path_identifiers_group_prefixes() -> None:
    one, other = nlri("10.0.0.0/8"), nlri("10.244.0.64/26")
    run = b"\0\0\0\7" + one + b"\xff\xff\xff\xff" + one + b"\0\0\0\7" + other
    assert split_add_path(run) == {7: [one, other], 0xFFFFFFFF: [one]}


@pytest.mark.rfc("7911", "3", "MUST")
def test_a_path_identifier_must_be_whole() -> None:
    with pytest.raises(NlriError, match="path identifier"):
        split_add_path(b"\0\0\0\7" + nlri("10.0.0.0/8") + b"\0\0\0")


def test_clear_host_bits_leaves_clean_octets_alone() -> None:
    clean = nlri("10.244.0.64/26")
    assert clear_host_bits(clean) is clean


def test_make_nlri_cuts_an_address() -> None:
    assert make_nlri(parse_address("10.244.0.77"), 26) == nlri("10.244.0.64/26")
    assert network_octets(nlri("fd00::/9"), AFI_IPV6) == b"\xfd" + bytes(15)


def test_reading_order() -> None:
    texts = ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "10.0.1.0/24", "200.0.0.0/8"]
    assert sorted(map(nlri, reversed(texts)), key=sort_key) == list(map(nlri, texts))


@pytest.mark.parametrize(
    ("cover", "prefix", "is_inside"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", True),
        ("10.0.0.0/8", "10.255.255.255/32", True),
        ("10.0.0.0/8", "11.0.0.0/9", False),
        ("10.0.0.0/8", "10.0.0.0/7", False),
        ("0.0.0.0/0", "0.0.0.0/0", True),
        ("192.0.2.128/25", "192.0.2.0/25", False),
        ("192.0.2.128/25", "192.0.2.192/26", True),
        ("2001:db8::/33", "2001:db8:8000::/33", False),
        ("2001:db8::/33", "2001:db8:7fff::/48", True),
    ],
)
def test_what_a_prefix_covers(cover, prefix, is_inside) -> None:
    assert covers(parse_prefix(cover)[1], parse_prefix(prefix)[1]) is is_inside
