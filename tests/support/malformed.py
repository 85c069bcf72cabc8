"""A table of what may be wrong with each attribute, and what its RFC says must be done then.

Made of the registry of type codes and sound values; what is expected is written here once
more, by attribute and by kind of session, so that the table of the decoder is held to it.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from rib.attributes import codes, parse_as_path
from rib.attributes.as_path import encode_segments
from rib.attributes.codes import EXTENDED_LENGTH, FLAGS, OPTIONAL, PARTIAL, TRANSITIVE
from tests.support.attributes import PEER_AS


class Outcome(Enum):
    """What happens to a route whose UPDATE has a flaw."""

    ACCEPT = "the route counts, with the attribute"
    DISCARD = "the route counts, without the attribute"
    WITHDRAW = "the route is withdrawn"
    RESET = "the session ends"


ACCEPT, DISCARD, WITHDRAW, RESET = Outcome
SORTS: Final = ("ebgp", "ibgp")


class Case(NamedTuple):
    """One flaw in an UPDATE that is sound otherwise.

    Attributes:
        name: Attribute and flaw.
        code: Type code of the attribute; 0 if it is not a single attribute.
        sort: The kind of session, one of ``SORTS``.
        block: Path attributes.
        is_mp: The block has its NLRI itself; else the UPDATE has an IPv4 prefix.
        outcome: What must happen to its route.
        by: Where that stands.
    """

    name: str
    code: int
    sort: str
    block: bytes
    is_mp: bool
    outcome: Outcome
    by: str


class _Rule(NamedTuple):
    """What RFCs say of one attribute.

    Attributes:
        name: As they write it.
        sound: A value.
        sizes: Lengths that no value has.
        malformed: From an external peer, and from an internal one.
        by: Where that stands.
        wrong_flags: For a wrong Optional or Transitive bit (RFC 7606 3 c).
        is_internal: What an external peer sends is discarded, sound or not.
    """

    name: str
    sound: bytes
    sizes: tuple[int, ...]
    malformed: tuple[Outcome, Outcome]
    by: str
    wrong_flags: Outcome = WITHDRAW
    is_internal: bool = False


_BOTH_WITHDRAW: Final = (WITHDRAW, WITHDRAW)
_BOTH_DISCARD: Final = (DISCARD, DISCARD)
_HOP: Final = bytes((10, 0, 0, 9))
_HOP6: Final = bytes.fromhex("fd00000000000000") + bytes(7) + b"\x09"
_SIX: Final = b"\x30\xfd\x00\x00\x01\x00\x02"

_RULES: Final = {
    codes.ORIGIN: _Rule("ORIGIN", b"\0", (0, 2, 4), _BOTH_WITHDRAW, "7606 7.1"),
    codes.AS_PATH: _Rule(
        "AS_PATH",
        parse_as_path(f"{PEER_AS} 65010"),
        (1, 7, 9),
        _BOTH_WITHDRAW,
        "7606 7.2",
    ),
    codes.NEXT_HOP: _Rule("NEXT_HOP", _HOP, (0, 3, 5, 16), _BOTH_WITHDRAW, "7606 7.3"),
    codes.MULTI_EXIT_DISC: _Rule(
        "MULTI_EXIT_DISC", b"\0\0\0\7", (0, 3, 5, 8), _BOTH_WITHDRAW, "7606 7.4"
    ),
    codes.LOCAL_PREF: _Rule(
        "LOCAL_PREF",
        b"\0\0\0\x63",
        (0, 3, 5),
        (DISCARD, WITHDRAW),
        "7606 7.5",
        is_internal=True,
    ),
    codes.ATOMIC_AGGREGATE: _Rule(
        "ATOMIC_AGGREGATE", b"", (1, 4), _BOTH_DISCARD, "7606 7.6"
    ),
    codes.AGGREGATOR: _Rule(
        "AGGREGATOR",
        b"\0\0\xfd\xf2\x0a\0\0\7",
        (0, 5, 6, 7, 9),
        _BOTH_DISCARD,
        "7606 7.7",
    ),
    codes.COMMUNITIES: _Rule(
        "COMMUNITIES", b"\xfd\xf2\0\7", (0, 3, 5), _BOTH_WITHDRAW, "7606 7.8"
    ),
    codes.ORIGINATOR_ID: _Rule(
        "ORIGINATOR_ID",
        bytes((10, 0, 0, 77)),
        (0, 3, 5),
        (DISCARD, WITHDRAW),
        "7606 7.9",
        is_internal=True,
    ),
    codes.CLUSTER_LIST: _Rule(
        "CLUSTER_LIST",
        bytes((10, 0, 0, 78)),
        (0, 3, 5),
        (DISCARD, WITHDRAW),
        "7606 7.10",
        is_internal=True,
    ),
    codes.EXTENDED_COMMUNITIES: _Rule(
        "EXTENDED_COMMUNITIES",
        bytes.fromhex("0002fdf200000007"),
        (0, 7, 9),
        _BOTH_WITHDRAW,
        "7606 7.14",
    ),
    codes.IPV6_EXTENDED_COMMUNITIES: _Rule(
        "IPV6_EXTENDED_COMMUNITIES",
        bytes.fromhex("0002fd00") + bytes(14) + b"\0\7",
        (0, 19, 21),
        _BOTH_WITHDRAW,
        "7606 7.15",
    ),
    codes.AIGP: _Rule(
        "AIGP",
        b"\1\0\x0b" + bytes(7) + b"\7",
        (0, 2, 10, 12),
        _BOTH_DISCARD,
        "7311 3.2",
        wrong_flags=DISCARD,
        is_internal=True,
    ),
    codes.LARGE_COMMUNITIES: _Rule(
        "LARGE_COMMUNITY",
        bytes.fromhex("0000fdf20000000700000008"),
        (0, 11, 13),
        _BOTH_WITHDRAW,
        "8092 6",
    ),
    codes.ONLY_TO_CUSTOMER: _Rule(
        "ONLY_TO_CUSTOMER", b"\0\0\xfd\xf2", (0, 3, 5, 8), _BOTH_WITHDRAW, "9234 5"
    ),
}

_MP_CODES: Final = (codes.MP_REACH_NLRI, codes.MP_UNREACH_NLRI)
_AS4_CODES: Final = (codes.AS4_PATH, codes.AS4_AGGREGATOR)
assert {*_RULES, *_MP_CODES, *_AS4_CODES} == set(FLAGS), "each attribute has a rule"


def _raw(code: int, flags: int, value: bytes) -> bytes:
    size = len(value).to_bytes(2 if flags & EXTENDED_LENGTH else 1, "big")
    return bytes((flags, code)) + size + value


def _path(sort: str) -> bytes:
    return (
        parse_as_path(f"{PEER_AS} 65010") if sort == "ebgp" else parse_as_path("65010")
    )


def _sound(sort: str) -> dict[int, bytes]:
    """Return the attributes that every UPDATE has, by type code."""
    parts = {1: _raw(1, 0x40, b"\0"), 2: _raw(2, 0x40, _path(sort))}
    parts[3] = _raw(3, 0x40, _HOP)
    if sort == "ibgp":
        parts[5] = _raw(5, 0x40, b"\0\0\0\x64")
    return parts


def _with(sort: str, code: int, octets: bytes) -> bytes:
    parts = _sound(sort) | {code: octets}
    return b"".join(parts[key] for key in sorted(parts))


def table() -> list[Case]:
    """Return all cases, those that end a session too."""
    cases: list[Case] = []
    for sort in SORTS:
        for code, rule in _RULES.items():
            cases += _of_attribute(sort, code, rule)
        for kinds in (_of_values, _of_as4, _of_unknown, _of_framing, _of_mp):
            cases += kinds(sort)
    return cases


def _of_attribute(sort: str, code: int, rule: _Rule) -> Iterator[Case]:
    """Yield what may be wrong with any attribute: flags, length, twice, not there."""
    flags, sound = FLAGS[code], rule.sound
    if code == codes.AS_PATH:
        sound = _path(sort)
    usual = DISCARD if rule.is_internal and sort == "ebgp" else ACCEPT

    def case(flaw: str, octets: bytes, outcome: Outcome, by: str) -> Case:
        name = f"{rule.name}, {flaw}"
        return Case(name, code, sort, _with(sort, code, octets), False, outcome, by)

    for flaw, bits in (
        ("Optional bit", OPTIONAL),
        ("Transitive bit", TRANSITIVE),
        ("Optional and Transitive bits", OPTIONAL | TRANSITIVE),
    ):
        octets = _raw(code, flags ^ bits, sound)
        yield case(f"wrong {flaw}", octets, rule.wrong_flags, "7606 3 c")
    yield case("Partial bit", _raw(code, flags | PARTIAL, sound), usual, "7606 3 c")
    octets = _raw(code, flags | EXTENDED_LENGTH, sound)
    yield case("Extended Length", octets, usual, "4271 4.3")
    for size in rule.sizes:
        value = (sound + bytes(size))[:size]
        outcome = rule.malformed[SORTS.index(sort)]
        yield case(f"length {size}", _raw(code, flags, value), outcome, rule.by)
    other = sound[:-1] + bytes((sound[-1] ^ 1,)) if sound else sound
    twice = _raw(code, flags, sound) + _raw(code, flags, other)
    yield case("twice", twice, usual, "7606 3 g")
    if code in (codes.ORIGIN, codes.AS_PATH, codes.NEXT_HOP):
        yield case("missing", b"", WITHDRAW, "7606 3 d")


def _of_values(sort: str) -> Iterator[Case]:
    """Yield values of the right length that an RFC refuses."""
    first = PEER_AS if sort == "ebgp" else 65010
    four = first.to_bytes(4, "big")
    refused = {
        codes.ORIGIN: {f"value {n}": bytes((n,)) for n in (3, 4, 255)},
        codes.AS_PATH: {
            "segment of type 0": b"\0\1" + four,
            "segment of type 5": b"\5\1" + four,
            "segment of type 255": b"\xff\1" + four,
            "segment of no AS": b"\2\0",
            "sound segment before one of no AS": _path(sort) + b"\2\0",
            "segment that overruns": b"\2\xff" + four,
            "one octet behind the segments": _path(sort) + b"\2",
            "AS 0": encode_segments([(2, (first, 0))]),
            "AS_SET": encode_segments([(2, (first,)), (1, (65011, 65012))]),
            "AS_CONFED_SEQUENCE": encode_segments([(3, (first,)), (2, (65010,))]),
            "AS_CONFED_SET": encode_segments([(2, (first,)), (4, (65010,))]),
        },
        codes.NEXT_HOP: {
            text: bytes(map(int, text.split(".")))
            for text in ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1")
        }
        | {"255.255.255.255": b"\xff" * 4},
        codes.AGGREGATOR: {"AS 0": b"\0\0\0\0\x0a\0\0\7"},
        codes.AIGP: {
            "TLV of length 2": b"\1\0\2",
            "TLV that overruns": b"\1\0\x0b" + bytes(6),
            "AIGP TLV of length 10": b"\1\0\x0a" + bytes(7),
            "maximum": b"\1\0\x0b" + b"\xff" * 8,
        },
    }
    clauses = {
        "AS 0": "7607 2",
        "AS_SET": "9774 3",
        "AS_CONFED_SEQUENCE": "5065 5",
        "AS_CONFED_SET": "5065 5",
    }
    for code, values in refused.items():
        rule = _RULES[code]
        outcome = rule.malformed[SORTS.index(sort)]
        by = "4271 6.3" if code == codes.NEXT_HOP else rule.by
        for flaw, value in values.items():
            block = _with(sort, code, _raw(code, FLAGS[code], value))
            name, where = f"{rule.name}, {flaw}", clauses.get(flaw, by)
            yield Case(name, code, sort, block, False, outcome, where)
    if sort == "ebgp":
        block = _with(sort, 2, _raw(2, 0x40, parse_as_path("64999 65010")))
        name = "AS_PATH, first AS is another"
        yield Case(name, 2, sort, block, False, WITHDRAW, "4271 6.3")
    for code, flaw, value in (
        (codes.ONLY_TO_CUSTOMER, "AS 0", bytes(4)),
        (codes.COMMUNITIES, "the same twice", b"\xfd\xf2\0\7" * 2),
        (codes.AIGP, "TLV of an unknown type", b"\x09\0\4\7"),
    ):
        block = _with(sort, code, _raw(code, FLAGS[code], value))
        rule = _RULES[code]
        usual = DISCARD if rule.is_internal and sort == "ebgp" else ACCEPT
        yield Case(f"{rule.name}, {flaw}", code, sort, block, False, usual, rule.by)


def _of_as4(sort: str) -> Iterator[Case]:
    """Yield AS4_PATH and AS4_AGGREGATOR, which no peer with 4-octet AS numbers sends."""
    values = {
        codes.AS4_PATH: (
            parse_as_path("65010"),
            b"",
            b"\0\1\0\0\xfd\xf2",
            b"\2\0",
            b"\2\xff\0\0\xfd\xf2",
            b"\2\1" + bytes(4),
        ),
        codes.AS4_AGGREGATOR: (
            b"\0\0\xfd\xf2\x0a\0\0\7",
            b"",
            bytes(7),
            bytes(9),
            bytes(4) + b"\x0a\0\0\7",
        ),
    }
    names = {codes.AS4_PATH: "AS4_PATH", codes.AS4_AGGREGATOR: "AS4_AGGREGATOR"}
    for code, each in values.items():
        for value in each:
            block = _with(sort, code, _raw(code, FLAGS[code], value))
            name = f"{names[code]}, value {value.hex() or 'empty'}"
            yield Case(name, code, sort, block, False, DISCARD, "6793 4.1")
        for bits in (OPTIONAL, TRANSITIVE):
            block = _with(sort, code, _raw(code, FLAGS[code] ^ bits, each[0]))
            name = f"{names[code]}, flags {FLAGS[code] ^ bits:#04x}"
            yield Case(name, code, sort, block, False, WITHDRAW, "7606 3 c")


def _of_unknown(sort: str) -> Iterator[Case]:
    """Yield unknown attributes, by their flags."""
    for flags, outcome in (
        (0xC0, ACCEPT),
        (0xE0, ACCEPT),
        (0x80, DISCARD),
        (0xA0, DISCARD),
        (0x40, WITHDRAW),
        (0x00, WITHDRAW),
    ):
        for value in (b"", b"\xde\xad\xbe\xef"):
            block = _with(sort, 250, _raw(250, flags, value))
            name = f"unknown, flags {flags:#04x}, {len(value)} octets"
            yield Case(name, 250, sort, block, False, outcome, "4271 5, 7606 3 c")


def _of_framing(sort: str) -> Iterator[Case]:
    """Yield what cannot be divided into attributes (RFC 7606 4)."""
    whole = _with(sort, 8, _raw(8, 0xC0, b"\xfd\xf2\0\7"))
    rest = {
        "one octet behind the attributes": b"\xc0",
        "two octets behind them": b"\xc0\x20",
        "three, of an Extended Length": b"\xd0\x20\0",
        "an attribute that overruns by one": b"\xc0\xfa\5" + bytes(4),
        "an attribute that overruns by all": b"\xc0\xfa\xff",
        "an Extended Length that overruns": b"\xd0\xfa\xff\xff" + bytes(9),
    }
    for flaw, octets in rest.items():
        yield Case(flaw, 0, sort, whole + octets, False, WITHDRAW, "7606 4")


def _of_mp(sort: str) -> Iterator[Case]:
    """Yield what may be wrong with the attributes that have NLRI."""
    head = b"".join(octets for code, octets in _sound(sort).items() if code != 3)
    good = b"\0\2\1\x10" + _HOP6 + b"\0" + _SIX
    gone = b"\0\2\1" + _SIX

    def case(flaw: str, code: int, octets: bytes, outcome: Outcome, by: str) -> Case:
        name = f"{'MP_REACH_NLRI' if code == 14 else 'MP_UNREACH_NLRI'}, {flaw}"
        return Case(name, code, sort, octets + head, True, outcome, by)

    for flags in (0xC0, 0x40, 0x00):
        flaw = f"flags {flags:#04x}"
        yield case(flaw, 14, _raw(14, flags, good), WITHDRAW, "7606 3 c")
    bad_hops = {
        "next hop ::": bytes(16),
        "next hop of multicast": b"\xff\x02" + bytes(13) + b"\1",
    }
    for flaw, hop in bad_hops.items():
        value = b"\0\2\1\x10" + hop + b"\0" + _SIX
        yield case(flaw, 14, _raw(14, 0x80, value), WITHDRAW, "4271 6.3")
    resets = {
        "twice": (14, _raw(14, 0x80, good) * 2, "7606 3 g"),
        "empty": (14, _raw(14, 0x80, b""), "7606 5.3"),
        "four octets": (14, _raw(14, 0x80, b"\0\2\1\x10"), "7606 7.11"),
        "no reserved octet": (14, _raw(14, 0x80, good[:20]), "7606 7.11"),
        "next hop of 9 octets": (
            14,
            _raw(14, 0x80, b"\0\2\1\x09" + _HOP6[:9] + b"\0" + _SIX),
            "7606 7.11",
        ),
        "next hop that overruns": (
            14,
            _raw(14, 0x80, b"\0\2\1\x40" + _HOP6 + b"\0"),
            "7606 7.11",
        ),
        "prefix of 129 bits": (
            14,
            _raw(14, 0x80, good[:21] + b"\x81" + bytes(17)),
            "7606 5.3",
        ),
        "prefix that overruns": (14, _raw(14, 0x80, good[:-1]), "7606 5.3"),
    }
    for flaw, (code, octets, by) in resets.items():
        yield case(flaw, code, octets, RESET, by)
    gone_wrong = {
        "twice": (_raw(15, 0x80, gone) * 2, "7606 3 g"),
        "two octets": (_raw(15, 0x80, b"\0\2"), "7606 7.12"),
        "prefix of 129 bits": (_raw(15, 0x80, b"\0\2\1\x81" + bytes(17)), "7606 5.3"),
        "prefix that overruns": (_raw(15, 0x80, gone[:-1]), "7606 5.3"),
    }
    for flaw, (octets, by) in gone_wrong.items():
        yield case(flaw, 15, octets, RESET, by)


def nlri_of(number: int) -> bytes:
    """Return the IPv4 prefix of the case with a number, 10.100.0.0/24 and on."""
    return b"\x18\x0a" + (0x6400 + number).to_bytes(2, "big")
