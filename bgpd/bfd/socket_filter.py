"""Programs for the kernel's packet filter, so that a flood of strangers costs this process nothing. Pure.

Classic BPF (Linux ``Documentation/networking/filter.rst``) on a UDP socket: offset 0 is the UDP header, and
the IP header is at ``_NET``. A packet passes if it is long enough, of our version, has TTL 255 where one hop is
allowed (RFC 5881 5), and comes from one of our peers, found by a binary search.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from bgpd.bfd.packet import PACKET_LEN, VERSION

MAX_SOURCES: Final = 1200  # more would not fit a program's 4,096 instructions
INSTRUCTION: Final = Struct("=HBBI")  # code, jump if true, jump if false, operand
_NET: Final = 0xFFF00000  # SKF_NET_OFF
_UDP_LEN: Final = 8  # octets of the UDP header
_TTL: Final = 255
_IPV4_TTL_AT: Final = 8
_IPV4_SOURCE_AT: Final = 12
_IPV6_HOP_LIMIT_AT: Final = 7
_IPV6_SOURCE_AT: Final = 8
_LOAD_LEN: Final = 0x80
_LOAD_OCTET: Final = 0x30
_LOAD_WORD: Final = 0x20
_SHIFT_RIGHT: Final = 0x74
_TO_X: Final = 0x07
_XOR_X: Final = 0xAC
_JUMP: Final = 0x05
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_ACCEPT: Final = 0xFFFFFFFF
_FEW: Final = 3  # addresses that are compared one by one

Instruction = tuple[int, int, int, int]


def socket_filter(
    sources: Iterable[bytes], *, is_ipv6: bool, is_multihop: bool
) -> bytes:
    """Return the instructions for one socket.

    Args:
        sources: Packed addresses of the peers.
        is_ipv6: The socket's family.
        is_multihop: Any TTL will do (RFC 5883).
    """
    program: list[Instruction] = [
        (_LOAD_LEN, 0, 0, 0),
        *_require(_JUMP_AT_LEAST, _UDP_LEN + PACKET_LEN),
        (_LOAD_OCTET, 0, 0, _UDP_LEN),
        (_SHIFT_RIGHT, 0, 0, 5),
        *_require(_JUMP_EQUAL, VERSION),
    ]
    if not is_multihop:
        at = _IPV6_HOP_LIMIT_AT if is_ipv6 else _IPV4_TTL_AT
        program += [(_LOAD_OCTET, 0, 0, _NET + at), *_require(_JUMP_EQUAL, _TTL)]
    keys = sorted({_key(source) for source in sources})
    if len(keys) > MAX_SOURCES:
        program.append((_RETURN, 0, 0, _ACCEPT))
    else:
        if is_ipv6:
            program += _folded_source()
        else:
            program.append((_LOAD_WORD, 0, 0, _NET + _IPV4_SOURCE_AT))
        program += _search(keys)
    return b"".join(INSTRUCTION.pack(*each) for each in program)


def _key(source: bytes) -> int:
    """Return 32 bits of an address: of IPv6 the words, added without carry.

    Two addresses may have the same; the process compares the whole.
    """
    folded = 0
    for at in range(0, len(source), 4):
        folded ^= int.from_bytes(source[at : at + 4], "big")
    return folded


def _require(code: int, operand: int) -> list[Instruction]:
    return [(code, 1, 0, operand), (_RETURN, 0, 0, 0)]


def _folded_source() -> list[Instruction]:
    program: list[Instruction] = [(_LOAD_WORD, 0, 0, _NET + _IPV6_SOURCE_AT)]
    for at in (4, 8, 12):
        load = (_LOAD_WORD, 0, 0, _NET + _IPV6_SOURCE_AT + at)
        program += [(_TO_X, 0, 0, 0), load, (_XOR_X, 0, 0, 0)]
    return program


def _search(keys: list[int]) -> list[Instruction]:
    if len(keys) <= _FEW:
        found: list[Instruction] = []
        for key in keys:
            found += [(_JUMP_EQUAL, 0, 1, key), (_RETURN, 0, 0, _ACCEPT)]
        return [*found, (_RETURN, 0, 0, 0)]
    middle = len(keys) // 2
    lower, upper = _search(keys[:middle]), _search(keys[middle:])
    # A conditional jump reaches 255 instructions only, an unconditional one all.
    head: list[Instruction] = [
        (_JUMP_AT_LEAST, 0, 1, keys[middle]),
        (_JUMP, 0, 0, len(lower)),
    ]
    return head + lower + upper
