"""Between 2-octet and 4-octet AS numbers (RFC 6793 4.2): only at the edge of the RIB.

From a peer without the capability the true numbers come in AS4_PATH and AS4_AGGREGATOR
and are merged; towards it, AS_TRANS stands for what does not fit and they are made again.
"""

from typing import Final

from rib.attributes.as_path import (
    AS_CONFED_SEQUENCE,
    AS_SEQUENCE,
    SEGMENT_MAX,
    Segment,
    encode_segments,
    iterate_segments,
)
from rib.attributes.codes import (
    AGGREGATOR,
    AS4_AGGREGATOR,
    AS4_PATH,
    AS_PATH,
    AS_TRANS,
)
from rib.attributes.path_attributes import edit, iterate

_AS_TRANS_OCTETS: Final = AS_TRANS.to_bytes(4, "big")


def widen_as_path(value: bytes) -> bytes:
    """Return a sound 2-octet AS_PATH with 4-octet AS numbers."""
    return encode_segments(iterate_segments(value, 2))


def merge_as4(
    as_path: bytes,
    aggregator: bytes | None,
    as4_path: bytes | None,
    as4_aggregator: bytes | None,
) -> tuple[bytes, bytes | None]:
    """Return AS_PATH and AGGREGATOR as they were before a 2-octet speaker (RFC 6793 4.2.3).

    All values are sound and have 4-octet AS numbers.
    """
    if aggregator is not None and as4_aggregator is not None:
        if aggregator[:4] != _AS_TRANS_OCTETS:
            # Aggregated again by a 2-octet speaker: the AS4 attributes are of before.
            return as_path, aggregator
        aggregator = as4_aggregator
    if as4_path is None:
        return as_path, aggregator
    newer = [s for s in iterate_segments(as4_path) if s[0] < AS_CONFED_SEQUENCE]
    older = list(iterate_segments(as_path))
    missing = _hops(older) - _hops(newer)
    if missing < 0:
        return as_path, aggregator
    return encode_segments(_join(_leading(older, missing), newer)), aggregator


def _hops(segments: list[Segment]) -> int:
    return sum(len(asns) if kind == AS_SEQUENCE else 1 for kind, asns in segments)


def _leading(segments: list[Segment], hops: int) -> list[Segment]:
    taken: list[Segment] = []
    for kind, asns in segments:
        if not hops:
            break
        if kind == AS_SEQUENCE:
            asns = asns[:hops]  # noqa: PLW2901 - the part of the segment that is wanted
            hops -= len(asns)
        else:
            hops -= 1
        taken.append((kind, asns))
    return taken


def _join(first: list[Segment], second: list[Segment]) -> list[Segment]:
    if first and second:
        (kind, left), (other, right) = first[-1], second[0]
        joins = kind == other == AS_SEQUENCE and len(left) + len(right) <= SEGMENT_MAX
        if joins:
            return [*first[:-1], (AS_SEQUENCE, left + right), *second[1:]]
    return first + second


def to_two_octet(octets: bytes) -> bytes:
    """Return a canonical block in the form a peer without RFC 6793 reads (4.2.2).

    AS4_PATH and AS4_AGGREGATOR are added only where a number does not fit in 2 octets;
    confederation segments do not go into AS4_PATH.
    """
    changes: dict[int, bytes | None] = {}
    for _, code, value in iterate(octets):
        if code == AS_PATH:
            segments = list(iterate_segments(value))
            narrow = [
                (kind, tuple(asn if asn <= 0xFFFF else AS_TRANS for asn in asns))
                for kind, asns in segments
            ]
            changes[AS_PATH] = encode_segments(narrow, 2)
            if narrow != segments:
                outer = [s for s in segments if s[0] < AS_CONFED_SEQUENCE]
                changes[AS4_PATH] = encode_segments(outer) or None
        elif code == AGGREGATOR:
            fits = value[:2] == b"\0\0"
            asn = value[2:4] if fits else _AS_TRANS_OCTETS[2:]
            changes[AGGREGATOR] = asn + value[4:]
            if not fits:
                changes[AS4_AGGREGATOR] = value
    return edit(octets, changes)
