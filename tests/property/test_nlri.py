import pytest
from hypothesis import given
from hypothesis import strategies as st

from rib.family import ADDRESS_OCTETS, AFI_IPV4, AFI_IPV6
from rib.nlri import (
    NlriError,
    clear_host_bits,
    format_prefix,
    make_nlri,
    parse_prefix,
    split,
    split_add_path,
)

afis = st.sampled_from((AFI_IPV4, AFI_IPV6))


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, bytes]:
    """Runs that are mostly right: dirty host bits, lengths out of bounds, cut ends."""
    afi = draw(afis)
    longest = ADDRESS_OCTETS[afi] * 8
    lengths = st.integers(0, longest) | st.sampled_from((24, 26, 32, 64, longest + 1))
    run = b""
    for length in draw(st.lists(lengths, max_size=12)):
        size = (length + 7) // 8
        run += bytes((length,)) + draw(st.binary(min_size=size, max_size=size))
    cut = draw(st.sampled_from((0, 0, 0, 1, 2)))
    return afi, run[: len(run) - cut]


def slowly(run: bytes, afi: int) -> list[bytes] | None:
    """The definition (RFC 4271 4.3), octet by octet; ``None`` for what has an error."""
    found = []
    while run:
        length = run[0]
        size = (length + 7) // 8
        if length > ADDRESS_OCTETS[afi] * 8 or len(run) < 1 + size:
            return None
        number = int.from_bytes(run[1 : 1 + size], "big")
        number = number >> (size * 8 - length) << (size * 8 - length)
        found.append(bytes((length,)) + number.to_bytes(size, "big"))
        run = run[1 + size :]
    return found


def check(run: bytes, afi: int) -> None:
    expected = slowly(run, afi)
    if expected is None:
        with pytest.raises(NlriError):
            split(run, afi)
    else:
        assert split(run, afi) == expected


@given(runs())
def test_splitting_equals_the_slow_walk(case) -> None:
    afi, run = case
    check(run, afi)


@given(st.binary(max_size=60), afis)
def test_splitting_any_octets_equals_the_slow_walk(run, afi) -> None:
    check(run, afi)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=9))), afis)
def test_path_identifiers_change_nothing_else(parts, afi) -> None:
    run = b""
    expected: dict[int, list[bytes]] = {}
    for path_id, piece in parts:
        keys = slowly(piece, afi)
        if keys is not None and len(keys) == 1:
            run += path_id.to_bytes(4, "big") + piece
            expected.setdefault(path_id, []).extend(keys)
    assert split_add_path(run, afi) == expected


@given(st.binary(max_size=40), afis)
def test_any_octets_with_path_identifiers_are_split_or_rejected(run, afi) -> None:
    try:
        grouped = split_add_path(run, afi)
    except NlriError:
        return
    pieces = [key for keys in grouped.values() for key in keys]
    assert sum(4 + len(key) for key in pieces) == len(run)
    assert all(clear_host_bits(key) is key for key in pieces)


@given(st.binary(min_size=16, max_size=16), st.integers(0, 128))
def test_text_and_back(address, length) -> None:
    key = make_nlri(address, length)
    assert parse_prefix(format_prefix(key, AFI_IPV6)) == (AFI_IPV6, key)
    if length <= 32:
        assert parse_prefix(format_prefix(key, AFI_IPV4)) == (AFI_IPV4, key)
