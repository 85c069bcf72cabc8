"""Path attributes of an UPDATE to ``PathAttributes``, by RFC 4271 6.3 as revised by RFC 7606.

Total: any octets give a ``DecodedBlock``, never an exception; what was wrong is data with
a remedy, and the strongest remedy holds for the UPDATE.

Two ways lead to the same result. Nearly all blocks have one shape (RFC 4271's attributes,
communities, one AS_SEQUENCE, ascending, usual flags): one match of a regular expression
checks them, in under 2 us, and the block is its own canonical form. Everything else is
walked, attribute by attribute, by ``rib.attributes.table``. The walk is the definition; the
expression accepts only what it would accept.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rib.attributes import codes
from rib.attributes.as_path import has_set
from rib.attributes.communities import BARRIER
from rib.attributes.four_octet_as import merge_as4, widen_as_path
from rib.attributes.mp import (
    MpReach,
    MpUnreach,
    decode_mp_unreach,
    read_mp_reach,
)
from rib.attributes.path_attributes import (
    PathAttributes,
    PlainAttributes,
    SplicedAttributes,
    canonical_flags,
    encode_attribute,
    optional,
    sized,
)
from rib.attributes.scoped import SCOPED, ScopedRow
from rib.attributes.table import TABLE, AttributeContext, AttributeRow
from rib.errors import Problem, Remedy

ATTRIBUTE_DISCARD: Final = Remedy.ATTRIBUTE_DISCARD
TREAT_AS_WITHDRAW: Final = Remedy.TREAT_AS_WITHDRAW
SESSION_RESET: Final = Remedy.SESSION_RESET

_MP_CODES: Final = (codes.MP_REACH_NLRI, codes.MP_UNREACH_NLRI)
_FLAG_BITS: Final = codes.OPTIONAL | codes.TRANSITIVE


@dataclass(slots=True)
class DecodedBlock:
    """The content of a block of path attributes.

    Attributes:
        attributes: For the UPDATE's routes; ``None`` where it announces none, or where a
            problem's remedy is TREAT_AS_WITHDRAW or stronger: they are withdrawn then.
        mp_reach: Its routes are withdrawn where ``mp_attributes`` is ``None``.
        mp_unreach: Withdrawn routes.
        problems: All that was found, in the order of the block, but for NEXT_HOP.
        mp_attributes: For the routes of ``mp_reach``: ``attributes`` itself, but for an
            UPDATE that has IPv4 NLRI with a next hop of their own beside it. ``None`` as
            for ``attributes``; a NEXT_HOP that is not a host takes only ``attributes`` away.
    """

    attributes: PathAttributes | None
    mp_reach: MpReach | None = None
    mp_unreach: MpUnreach | None = None
    problems: tuple[Problem, ...] = ()
    mp_attributes: PathAttributes | None = None

    @property
    def remedy(self) -> Remedy | None:
        """The strongest remedy required, ``None`` without problems."""
        return max((p.remedy for p in self.problems), default=None)


def _usual_shape(*, is_ibgp: bool) -> Callable[[bytes], re.Match[bytes] | None]:
    """Return the matcher of usual blocks; groups: see below."""
    word = rb".{4}"
    transitive = rb"[\xc0\xe0]"
    parts = [
        rb"\x40\x01\x01[\x00-\x02]",
        # FRR sends AS_PATH with Extended Length whatever its length.
        rb"(?:\x40\x02|\x50\x02\x00)(\x00|" + _path_lengths() + rb")",
        # 0/8, 127/8, multicast and class E are left to the walk.
        optional(rb"\x40\x03\x04([^\x00\x7f\xe0-\xff]...)"),
        optional(rb"\x80\x04\x04" + word),
    ]
    if is_ibgp:
        parts.append(optional(rb"\x40\x05\x04" + word))
    parts += [
        optional(rb"\x40\x06\x00"),
        optional(transitive + rb"\x07\x08(?!\x00{4}).{8}"),
        optional(sized(codes.COMMUNITIES, transitive, 4, 63)) + rb"(?:(\Z)|(",
    ]
    if is_ibgp:
        parts.append(optional(rb"\x80\x09\x04" + word))
        parts.append(optional(sized(codes.CLUSTER_LIST, rb"\x80", 4, 63)))
    parts += [
        rb")",
        optional(sized(codes.EXTENDED_COMMUNITIES, transitive, 8, 31)),
        optional(rb"(" + sized(codes.LARGE_COMMUNITIES, transitive, 12, 21) + rb")"),
        optional(transitive + rb"\x23\x04" + word) + rb")",
    ]
    return re.compile(b"".join(parts), re.DOTALL).fullmatch


def _path_lengths() -> bytes:
    whole = sized(codes.AS_PATH, b"", 4, 63, head=rb"\x02")
    return whole.removeprefix(re.escape(bytes((codes.AS_PATH,))))


# Groups of the usual shape.
_PATH: Final = 1
_NEXT_HOP: Final = 2
_PLAIN: Final = 3  # matches where nothing follows COMMUNITIES
_REFLECTED: Final = 4  # ORIGINATOR_ID and CLUSTER_LIST, as far as they are there
_LARGE: Final = 5
_ORIGINATOR_SIZE: Final = 7  # octets of the attribute
_SPLICED_MAX: Final = 128  # octets of both: what reflection adds fits a length octet
_ZEROS: Final = bytes(4)
_ORIGIN: Final = b"\x40\x01\x01"  # its head
_AS_PATH: Final = b"\x40\x02"
_NEEDLESS: Final = b"\x50\x02\x00"  # Extended Length of less than 256 octets
_usual_of_ibgp: Final = _usual_shape(is_ibgp=True)
_usual_of_ebgp: Final = _usual_shape(is_ibgp=False)


def usual_form(block: bytes) -> bytes:
    """Return a block with an AS_PATH that does not use Extended Length without need.

    Some implementations, FRR among them, always set the flag on AS_PATH. What is looked up in
    this form is kept once, not in both the received and the canonical form.
    """
    if block[4:7] == _NEEDLESS and block[:3] == _ORIGIN:
        return block[:4] + _AS_PATH + block[7:]
    return block


# hot: per attribute set
def decode_usual(
    block: bytes, context: AttributeContext, mp_next_hop: bytes = b""
) -> PathAttributes | None:
    """Decode a block of the usual shape; ``None`` leaves it to ``decode_block``.

    Args:
        block: Path attributes of an UPDATE that has routes.
        context: The session it came from; not one whose attributes are looked through.
        mp_next_hop: The next hop where the routes are those of MP_REACH_NLRI, which
            ``extract_mp`` took out of the block.
    """
    if not context.four_octet_as:
        return None
    match = _usual_of_ibgp(block) if context.is_ibgp else _usual_of_ebgp(block)
    if match is None:
        return None
    next_hop = match[_NEXT_HOP]
    if mp_next_hop:
        if next_hop is not None or len(mp_next_hop) <= 4:
            return None
        next_hop = mp_next_hop
    elif next_hop is None:
        return None
    if block.find(_ZEROS) >= 0 and match[_PATH].find(_ZEROS) >= 0:
        return None  # AS 0, or rarely a number beside another's zeros
    if (
        not context.is_ibgp
        and context.enforces_first_as
        and match[_PATH][3:7] != context.peer_as.to_bytes(4, "big")
    ):
        return None
    last = match.lastindex
    if last == _LARGE and match[_LARGE][2] > 12:
        value = match[_LARGE][3:]
        if _without_repeats(value) != value:
            return None
    block = usual_form(block)
    if mp_next_hop or block.find(BARRIER) >= 0:
        return PathAttributes(block, next_hop)
    if last == _PLAIN:
        return PlainAttributes(block, next_hop)
    if not context.is_ibgp:
        return PathAttributes(block, next_hop)
    at, end = match.span(_REFLECTED)
    if at < end:
        has_both = match[_REFLECTED][1] == codes.ORIGINATOR_ID
        at += _ORIGINATOR_SIZE
        if not has_both or not at < end <= at + _SPLICED_MAX:
            return PathAttributes(block, next_hop)
    return SplicedAttributes(block, next_hop, at + len(block) - len(match.string))


def decode_block(
    block: bytes,
    context: AttributeContext,
    *,
    has_nlri: bool,
    mp_next_hop: bytes = b"",
) -> DecodedBlock:
    """Decode the Path Attributes field of an UPDATE; never raises.

    Args:
        block: The field.
        context: The session it came from.
        has_nlri: The UPDATE's NLRI field (RFC 4271 4.3) is not empty.
        mp_next_hop: The next hop of an MP_REACH_NLRI that ``extract_mp`` took out; the
            block then needs the mandatory attributes.

    Returns:
        Attributes whose ``octets`` are ``block`` itself where that is canonical.
    """
    if has_nlri != bool(mp_next_hop) and not context.looks_through:
        attributes = decode_usual(block, context, mp_next_hop)
        if attributes is not None:
            return DecodedBlock(attributes)
    walk = _Walk(context)
    walk.read(block)
    return walk.finish(block, has_nlri=has_nlri, mp_next_hop=mp_next_hop)


@dataclass(slots=True)
class _Walk:
    """One pass over a block that is not of the usual shape, and its conclusion.

    Attributes:
        context: The session it came from.
        values: Flags and value of each sound attribute, by type code.
        seen: Type codes met so far.
        problems: What was found.
        next_hop: NEXT_HOP as a whole, and its value: whether it counts is known at the end.
        mp_reach: MP_REACH_NLRI, where it can be read.
        mp_unreach: MP_UNREACH_NLRI, where it can be read.
    """

    context: AttributeContext
    values: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    next_hop: tuple[bytes, bytes] | None = None
    mp_reach: MpReach | None = None
    mp_unreach: MpUnreach | None = None

    def read(self, block: bytes) -> None:
        """Divide the block (RFC 7606 4) and read each attribute."""
        at, end = 0, len(block)
        while at < end:
            start = at + (4 if block[at] & codes.EXTENDED_LENGTH else 3)
            if start > end:
                text = f"{end - at} octets left where an attribute should start"
                self._overrun(text, 0, block[at:])
                return
            stop = start + int.from_bytes(block[at + 2 : start], "big")
            if stop > end:
                text = (
                    f"attribute {block[at + 1]} runs {stop - end} octets past the end"
                )
                self._overrun(text, block[at + 1], block[at:])
                return
            self._read_attribute(block[at:stop], block[start:stop])
            at = stop

    def _overrun(self, text: str, code: int, data: bytes) -> None:
        self._add(
            TREAT_AS_WITHDRAW,
            f"{text} (RFC 7606 4)",
            code,
            codes.ATTRIBUTE_LENGTH_ERROR,
            data,
        )

    def _add(
        self,
        remedy: Remedy,
        text: str,
        code: int,
        subcode: int,
        data: bytes,
        *,
        is_about_routes: bool = False,
    ) -> None:
        self.problems.append(
            Problem(remedy, text, code, subcode, data, is_about_routes)
        )

    def _read_attribute(self, whole: bytes, value: bytes) -> None:
        flags, code = whole[0], whole[1]
        row = TABLE.get(code)
        if code in self.seen:
            self._duplicate(code, row)
            return
        self.seen.add(code)
        if code in self.context.discarded:
            return
        if row is None:
            self._read_unknown(flags, code, value, whole)
        elif code == codes.NEXT_HOP:
            self.next_hop = whole, value
        else:
            self._read_known(row, whole, value)

    def _read_known(self, row: AttributeRow, whole: bytes, value: bytes) -> None:
        flags, code = whole[0], whole[1]
        if (flags ^ row.flags) & _FLAG_BITS:
            text = f"{row.name}: flags {flags:#04x} (RFC 7606 3 c)"
            subcode = codes.ATTRIBUTE_FLAGS_ERROR
            self._add(row.wrong_flags, text, code, subcode, whole)
            if row.check is None:  # its routes must be known to be withdrawn
                self._read_mp(code, value)
        elif row.is_internal and not self.context.is_ibgp:
            text = f"{row.name}: from an external peer ({row.clause})"
            subcode = codes.OPTIONAL_ATTRIBUTE_ERROR
            self._add(ATTRIBUTE_DISCARD, text, code, subcode, whole)
        elif row.check is None:
            self._read_mp(code, value)
        elif fault := row.check(value, self.context):
            subcode, text, is_about_routes = fault
            text = f"{row.name}: {text} ({row.clause})"
            self._add(
                row.malformed,
                text,
                code,
                subcode,
                whole,
                is_about_routes=is_about_routes,
            )
        else:
            self.values[code] = flags, value

    def _duplicate(self, code: int, row: AttributeRow | None) -> None:
        name = row.name if row else f"attribute {code}"
        remedy = SESSION_RESET if code in _MP_CODES else ATTRIBUTE_DISCARD
        text = f"{name}: more than once (RFC 7606 3 g)"
        self._add(remedy, text, code, codes.MALFORMED_ATTRIBUTE_LIST, b"")

    def _read_unknown(self, flags: int, code: int, value: bytes, whole: bytes) -> None:
        if not flags & codes.OPTIONAL:
            # RFC 4271 6.3 ends the session. But routers exist that pass such an attribute
            # on, and one flipped bit far away must not end sessions here: as RFC 7606 has
            # it for wrong flags of the attributes that are known.
            text = f"attribute {code}: unknown, yet marked well-known (RFC 4271 6.3)"
            subcode = codes.UNRECOGNIZED_WELL_KNOWN
            self._add(
                TREAT_AS_WITHDRAW, text, code, subcode, whole, is_about_routes=True
            )
        elif code in SCOPED:
            self._read_scoped(SCOPED[code], whole, value)
        elif flags & codes.TRANSITIVE:
            self.values[code] = flags, value

    def _read_scoped(self, row: ScopedRow, whole: bytes, value: bytes) -> None:
        remedy, text, clause = row.malformed, "", row.clause
        if not (self.context.is_ibgp or self.context.is_same_domain):
            remedy = ATTRIBUTE_DISCARD
            text, clause = "from an external peer", row.scope
        elif whole[0] & codes.TRANSITIVE:
            text = row.check(value)
        else:
            text = "not transitive"
        if text:
            text = f"{row.name}: {text} ({clause})"
            self._add(remedy, text, row.code, codes.OPTIONAL_ATTRIBUTE_ERROR, whole)
        else:
            self.values[row.code] = whole[0], value

    def _read_mp(self, code: int, value: bytes) -> None:
        if code == codes.MP_REACH_NLRI:
            self.mp_reach, problem = read_mp_reach(value, self.context)
            if problem:
                self.problems.append(problem)
            return
        unreach = decode_mp_unreach(value, self.context)
        if isinstance(unreach, Problem):
            self.problems.append(unreach)
        else:
            self.mp_unreach = unreach

    def finish(
        self, block: bytes, *, has_nlri: bool, mp_next_hop: bytes
    ) -> DecodedBlock:
        """Conclude: missing attributes, merged ones, and the remedy."""
        if self.mp_reach:
            mp_next_hop = self.mp_reach.next_hop
        has_mp = bool(mp_next_hop) or codes.MP_REACH_NLRI in self.seen
        if not self.context.four_octet_as:
            self._merge_as4()
        self._check_first_as()
        if self.next_hop is not None and (has_nlri or not has_mp):
            # Else it is ignored, whatever it holds (RFC 4760 3).
            self._read_known(TABLE[codes.NEXT_HOP], *self.next_hop)
        if has_nlri or has_mp:
            self._check_mandatory(has_nlri=has_nlri)
            self._withdraw_as_configured()
        else:
            self._check_without_routes()
        decoded = DecodedBlock(
            None, self.mp_reach, self.mp_unreach, tuple(self.problems)
        )
        own = self.values.get(codes.NEXT_HOP, (0, b""))[1] if has_nlri else b""
        if has_nlri and self._may_announce(codes.MP_REACH_NLRI):
            decoded.attributes = self._attributes(block, own)
        if has_mp and self._may_announce(codes.NEXT_HOP):
            is_shared = decoded.attributes is not None and mp_next_hop == own
            decoded.mp_attributes = (
                decoded.attributes
                if is_shared
                else self._attributes(block, mp_next_hop)
            )
            if not has_nlri:
                decoded.attributes = decoded.mp_attributes
        return decoded

    def _may_announce(self, other: int) -> bool:
        """Return whether no finding removes some of the routes.

        Args:
            other: The attribute with the next hop of the UPDATE's other routes: what is
                wrong with that address concerns those alone (RFC 4271 6.3).
        """
        return all(
            problem.remedy <= ATTRIBUTE_DISCARD
            or (problem.is_about_routes and problem.type_code == other)
            for problem in self.problems
        )

    def _merge_as4(self) -> None:
        values = self.values
        as4_path = values.pop(codes.AS4_PATH, (0, None))[1]
        as4_aggregator = values.pop(codes.AS4_AGGREGATOR, (0, None))[1]
        aggregator_flags, aggregator = values.get(codes.AGGREGATOR, (0, None))
        if aggregator is not None:
            aggregator = b"\0\0" + aggregator
        flags, path = values.get(codes.AS_PATH, (0, None))
        if as4_path is not None and has_set(as4_path):
            self._refuse_as4_set(as4_path)
        merged, aggregator = merge_as4(
            widen_as_path(path or b""), aggregator, as4_path, as4_aggregator
        )
        if path is not None:
            values[codes.AS_PATH] = flags, merged
        if aggregator is not None:
            values[codes.AGGREGATOR] = aggregator_flags, aggregator

    def _refuse_as4_set(self, value: bytes) -> None:
        if not self.context.allows_as_set:
            self._add(
                TREAT_AS_WITHDRAW,
                "AS4_PATH: AS_SET (RFC 9774 3)",
                codes.AS4_PATH,
                codes.MALFORMED_AS_PATH,
                encode_attribute(codes.AS4_PATH, value),
                is_about_routes=True,
            )

    def _check_first_as(self) -> None:
        context = self.context
        if context.is_ibgp or not context.enforces_first_as:
            return
        path = self.values.get(codes.AS_PATH, (0, None))[1]
        if path is not None and (
            path[:1] != b"\x02" or path[2:6] != context.peer_as.to_bytes(4, "big")
        ):
            text = f"AS_PATH: does not start with {context.peer_as} (RFC 4271 6.3)"
            data = encode_attribute(codes.AS_PATH, path)
            subcode = codes.MALFORMED_AS_PATH
            self._add(
                TREAT_AS_WITHDRAW,
                text,
                codes.AS_PATH,
                subcode,
                data,
                is_about_routes=True,
            )

    def _check_mandatory(self, *, has_nlri: bool) -> None:
        wanted = [codes.ORIGIN, codes.AS_PATH]
        if has_nlri:
            wanted.append(codes.NEXT_HOP)
        for code in wanted:
            if code not in self.seen:
                text = f"{TABLE[code].name}: missing (RFC 7606 3 d)"
                data = bytes((code,))
                self._add(TREAT_AS_WITHDRAW, text, code, codes.MISSING_WELL_KNOWN, data)

    def _check_without_routes(self) -> None:
        """RFC 7606 5.2: with no route in sight, none can be withdrawn for an error.

        The error then casts doubt on whether the NLRI were found at all. A sound attribute
        casts none, and no route to which a rule about routes could apply.
        """
        self.problems = [p for p in self.problems if not p.is_about_routes]
        found = (p for p in self.problems if p.type_code != codes.MP_UNREACH_NLRI)
        worst = max(found, key=lambda p: p.remedy, default=None)
        if worst and ATTRIBUTE_DISCARD < worst.remedy < SESSION_RESET:
            text = f"{worst.text}; no NLRI to withdraw (RFC 7606 5.2)"
            code, subcode = worst.type_code, worst.subcode
            self._add(SESSION_RESET, text, code, subcode, worst.data)

    def _withdraw_as_configured(self) -> None:
        for code in sorted(self.context.withdrawn & self.seen):
            name = TABLE[code].name if code in TABLE else f"attribute {code}"
            text = f"{name}: treated as withdraw, as configured"
            self._add(
                TREAT_AS_WITHDRAW, text, code, codes.OPTIONAL_ATTRIBUTE_ERROR, b""
            )

    def _attributes(self, block: bytes, next_hop: bytes) -> PathAttributes:
        values = {c: v for c, v in self.values.items() if c != codes.NEXT_HOP}
        if len(next_hop) == 4:
            values[codes.NEXT_HOP] = codes.WELL_KNOWN, next_hop
        if codes.LARGE_COMMUNITIES in values:
            flags, value = values[codes.LARGE_COMMUNITIES]
            values[codes.LARGE_COMMUNITIES] = flags, _without_repeats(value)
        octets = b"".join(
            encode_attribute(code, values[code][1], canonical_flags(*key))
            for code, key in sorted((c, (c, v[0])) for c, v in values.items())
        )
        return PathAttributes(block if octets == block else octets, next_hop)


def _without_repeats(large: bytes) -> bytes:
    """RFC 8092 3: duplicates count once."""
    items = dict.fromkeys(large[at : at + 12] for at in range(0, len(large), 12))
    return b"".join(items)
