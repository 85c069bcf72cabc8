"""NLRI as table keys: the octets of an UPDATE, never decoded on the hot path.

An NLRI here is ``bytes``: one length octet (bits) and the significant octets, host bits
cleared (RFC 4271 4.3, RFC 4760 5). It is the key of every table and is copied unchanged
into what we send; text exists only at the edges (``parse_prefix``, ``format_prefix``).

A run of NLRI is split by one precompiled regular expression with an alternative for each
prefix length, the common ones first; an alternative matches only cleared host bits.
``findall`` skips what does not match, so the pieces must add up to the input: only when they
do not, a slow walk clears the dirty host bits (they are irrelevant, RFC 4271 4.3) or finds
the error. Nor does an alternative match a first octet that may begin a prefix which is
not a unicast destination: so the usual run is known to have none, at no cost (``rib.destinations``).
"""

import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Final

from rib.destinations import MixedRun
from rib.family import ADDRESS_OCTETS, AFI_IPV4, AFI_IPV6

Nlri = bytes

_COMMON_FIRST: Final = {
    AFI_IPV4: (24, 26, 23, 22, 32, 21, 20, 16, 19, 18, 17),
    AFI_IPV6: (48, 64, 122, 128, 32, 44, 40, 56, 36, 47),
}


class NlriError(ValueError):
    """A run of NLRI that cannot be split (RFC 7606 5.3): a bad length or a short end."""


_USUAL_FIRST: Final = {
    AFI_IPV4: bytes(0 < n < 224 and n != 127 for n in range(256)),
    AFI_IPV6: bytes(0 < n < 0xFE for n in range(256)),
}
"""By family and first octet of an address: whether all that it begins is unicast."""


def _one_of(values: Iterable[int]) -> bytes:
    """Return a class of octets, as short as it can be.

    The expressions are compiled at each start: with each octet of each class by itself, that
    takes 60 ms and 3 MB.
    """
    runs: list[tuple[int, int]] = []
    for value in values:
        first = runs.pop()[0] if runs and runs[-1][1] == value - 1 else value
        runs.append((first, value))
    ends = (sorted({first, last}) for first, last in runs)
    return b"[%b]" % b"".join(b"-".join(re.escape(bytes([n])) for n in e) for e in ends)


# By how many of the last bits are cleared: an octet that is the last one.
_LAST: Final = (b".", *(_one_of(range(0, 256, 1 << n)) for n in range(1, 8)))


def _alternative(length_bits: int, firsts: Sequence[bytes]) -> bytes:
    length = re.escape(bytes([length_bits]))
    if length_bits == 0:
        return length
    unused_bits = -length_bits % 8
    octets = (length_bits + unused_bits) // 8
    if octets == 1:
        return length + firsts[unused_bits]
    return length + firsts[0] + b"." * (octets - 2) + _LAST[unused_bits]


def _splitter(afi: int) -> "re.Pattern[bytes]":
    longest = ADDRESS_OCTETS[afi] * 8
    common = _COMMON_FIRST[afi]
    order = [*common, *(n for n in range(longest, -1, -1) if n not in common)]
    usual = [n for n in range(256) if _USUAL_FIRST[afi][n]]
    firsts = [_one_of(n for n in usual if not n % (1 << bits)) for bits in range(8)]
    alternatives = (_alternative(length_bits, firsts) for length_bits in order)
    return re.compile(b"|".join(alternatives), re.DOTALL)


_FINDALL: Final = {afi: _splitter(afi).findall for afi in (AFI_IPV4, AFI_IPV6)}
_FIND_IPV4: Final = _FINDALL[AFI_IPV4]
# By a prefix' length octet: octets of the whole key, 0 where IPv4 has no such length, or no
# address at all; and the bits of its last octet that must be clear.
_IPV4_SIZE: Final = tuple(1 + (n + 7 >> 3) if 0 < n <= 32 else 0 for n in range(256))
_USUAL_IPV4: Final = _USUAL_FIRST[AFI_IPV4]
_HOST_BITS: Final = tuple((0xFF >> (n & 7)) if n & 7 else 0 for n in range(256))


# hot: per prefix
def split(run: bytes, afi: int = AFI_IPV4) -> list[Nlri]:
    """Split a run of NLRI into keys, about 0.1 us each.

    The list is a ``MixedRun`` where it may have others than unicast destinations.

    Args:
        run: Octets of the NLRI or Withdrawn Routes field, or the end of an MP attribute.
        afi: Which address length applies.

    Raises:
        NlriError: A prefix length is too long for the family, or the run ends inside a
            prefix. The caller applies RFC 7606 5.3.
    """
    pieces: list[Nlri] = _FINDALL[afi](run)
    if b"".join(pieces) == run:  # a third of the time of adding up their lengths
        return pieces
    return _split_slowly(run, ADDRESS_OCTETS[afi] * 8)


# hot: per UPDATE
def split_tail(body: bytes, start: int) -> list[Nlri]:
    """Split the run of IPv4 NLRI that a body ends with, as ``split``; it is not empty.

    Most UPDATEs have one prefix, and need no expression. Where there are more, the pieces
    follow one another: if nothing was skipped, they are as long as the run.
    """
    rest = len(body) - start
    bits = body[start]
    if (
        rest == _IPV4_SIZE[bits]
        and not body[-1] & _HOST_BITS[bits]
        and _USUAL_IPV4[body[start + 1]]
    ):
        return [body[start:]]
    pieces: list[Nlri] = _FIND_IPV4(body, start)
    if len(b"".join(pieces)) == rest:
        return pieces
    return _split_slowly(body[start:], 32)


def _split_slowly(run: bytes, longest: int) -> MixedRun:
    pieces = MixedRun()
    at, end = 0, len(run)
    while at < end:
        length_bits = run[at]
        size = 1 + ((length_bits + 7) >> 3)
        if length_bits > longest:
            raise NlriError(f"prefix length {length_bits} exceeds {longest}")
        if at + size > end:
            raise NlriError(
                f"prefix of {length_bits} bits runs past the end of its field"
            )
        pieces.append(clear_host_bits(run[at : at + size]))
        at += size
    return pieces


def split_add_path(run: bytes, afi: int = AFI_IPV4) -> dict[int, list[Nlri]]:
    """Split a run of NLRI that carry path identifiers (RFC 7911 3), grouped by identifier.

    Each list is a ``MixedRun`` where it may have others than unicast destinations.

    Raises:
        NlriError: As ``split``, or the run ends inside a path identifier.
    """
    longest = ADDRESS_OCTETS[afi] * 8
    usual = _USUAL_FIRST[afi]
    grouped: dict[int, list[Nlri]] = {}
    mixed: set[int] = set()
    at, end = 0, len(run)
    while at < end:
        if at + 5 > end:
            raise NlriError("path identifier runs past the end of its field")
        length_bits = run[at + 4]
        stop = at + 5 + ((length_bits + 7) >> 3)
        if length_bits > longest:
            raise NlriError(f"prefix length {length_bits} exceeds {longest}")
        if stop > end:
            raise NlriError(
                f"prefix of {length_bits} bits runs past the end of its field"
            )
        path_id = int.from_bytes(run[at : at + 4], "big")
        key = clear_host_bits(run[at + 4 : stop])
        grouped.setdefault(path_id, []).append(key)
        if len(key) > 1 and not usual[key[1]]:
            mixed.add(path_id)
        at = stop
    for path_id in mixed:
        grouped[path_id] = MixedRun(grouped[path_id])
    return grouped


def clear_host_bits(nlri: bytes) -> Nlri:
    """Return ``nlri`` with the bits past its length cleared; the same object if they are."""
    rest = nlri[0] & 7
    if not rest:
        return nlri
    last = nlri[-1] & (0xFF00 >> rest) & 0xFF
    return nlri if last == nlri[-1] else nlri[:-1] + bytes([last])


def parse_prefix(text: str) -> tuple[int, Nlri]:
    """Return ``(afi, nlri)`` of ``"10.244.0.0/26"`` or ``"fd00::/64"``; host bits are cleared.

    A bare address is a host route.

    Raises:
        ValueError: ``text`` is not a prefix.
    """
    network = ip_network(text, strict=False)
    afi = AFI_IPV4 if network.version == 4 else AFI_IPV6
    octets = network.network_address.packed
    return afi, make_nlri(octets, network.prefixlen)


def make_nlri(address: bytes, length_bits: int) -> Nlri:
    """Return the key of ``address`` (4 or 16 octets) cut to ``length_bits``."""
    return clear_host_bits(bytes([length_bits]) + address[: (length_bits + 7) >> 3])


def covers(cover: Nlri, nlri: Nlri) -> bool:
    """Return whether ``nlri`` is ``cover`` or more specific; both of one family."""
    return nlri[0] >= cover[0] and make_nlri(nlri[1:], cover[0]) == cover


def network_octets(nlri: Nlri, afi: int) -> bytes:
    """Return the full network address (4 or 16 octets) of a key."""
    return nlri[1:].ljust(ADDRESS_OCTETS[afi], b"\0")


def format_prefix(nlri: Nlri, afi: int = AFI_IPV4) -> str:
    """Return the text of a key, such as ``10.244.0.0/26``."""
    return f"{format_address(network_octets(nlri, afi))}/{nlri[0]}"


def format_address(octets: bytes) -> str:
    """Return the canonical text of 4 or 16 address octets."""
    family = socket.AF_INET if len(octets) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, octets)


def parse_address(text: str) -> bytes:
    """Return the 4 or 16 octets of an address.

    Raises:
        ValueError: ``text`` is not an address.
    """
    try:
        return socket.inet_pton(
            socket.AF_INET6 if ":" in text else socket.AF_INET, text
        )
    except OSError as error:
        raise ValueError(f"{text!r} is not an IP address") from error


def sort_key(nlri: Nlri) -> tuple[bytes, int]:
    """Order keys as people read them: by address, then shorter first."""
    return nlri[1:].ljust(16, b"\0"), nlri[0]
