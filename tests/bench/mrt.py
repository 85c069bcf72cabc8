"""Recorded UPDATEs as a replay: BGP messages out of MRT files (RFC 6396 4.4).

What a replay cannot carry is left out and counted: sessions of two-octet AS numbers, IPv6,
and messages other than UPDATE. A collector's peers are external, the replaying one is
internal: LOCAL_PREF is put in.
"""

import gzip
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reflector.flush import HEADER_LEN
from rib.attributes import edit
from rib.attributes.codes import LOCAL_PREF, MP_REACH_NLRI, MP_UNREACH_NLRI
from rib.attributes.path_attributes import iterate

_HEADER: Final = struct.Struct("!IHHI")
_BGP4MP: Final = 16
_BGP4MP_ET: Final = 17  # with microseconds
_MESSAGE_AS4: Final = 4
_UPDATE: Final = 2
_PREFERENCE: Final = (100).to_bytes(4, "big")


def messages(file: Path, counts: Counter[str]) -> Iterator[bytes]:
    """Yield the UPDATEs of a gzipped file, whole, in its order."""
    data = gzip.decompress(file.read_bytes())
    at = 0
    while at + _HEADER.size <= len(data):
        _, kind, subtype, length = _HEADER.unpack_from(data, at)
        body = data[at + _HEADER.size : at + _HEADER.size + length]
        at += _HEADER.size + length
        if kind == _BGP4MP_ET:
            body = body[4:]
        if kind not in {_BGP4MP, _BGP4MP_ET} or subtype != _MESSAGE_AS4:
            counts["of two-octet sessions, or no message"] += 1
            continue
        addresses = 8 if body[10:12] == b"\0\1" else 32
        message = for_internal(body[12 + addresses :])
        counts["taken" if message else "no UPDATE of IPv4"] += 1
        if message:
            yield message


def for_internal(message: bytes) -> bytes:
    """Return an UPDATE as an internal peer sends it; empty where it has no IPv4 route."""
    if len(message) < 23 or message[18] != _UPDATE:
        return b""
    start, end = block_of(message)
    block = message[start:end]
    if not block:
        return message if start > HEADER_LEN + 4 else b""
    codes = {code for _, code, _ in iterate(block)}
    if codes & {MP_REACH_NLRI, MP_UNREACH_NLRI} or end == len(message):
        return b""
    return with_block(message, edit(block, {LOCAL_PREF: _PREFERENCE}))


def block_of(message: bytes) -> tuple[int, int]:
    """Return where the attributes of an UPDATE begin and end (RFC 4271 4.3)."""
    at = HEADER_LEN
    at += 2 + int.from_bytes(message[at : at + 2], "big")
    start = at + 2
    return start, start + int.from_bytes(message[at:start], "big")


def with_block(message: bytes, block: bytes) -> bytes:
    """Return an UPDATE with other attributes."""
    start, end = block_of(message)
    withdrawn = message[HEADER_LEN : start - 2]
    body = b"".join((withdrawn, len(block).to_bytes(2, "big"), block, message[end:]))
    size = (HEADER_LEN + len(body)).to_bytes(2, "big")
    return message[:16] + size + message[18:19] + body
