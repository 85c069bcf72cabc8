"""Expressions after ``where``: which routes to show.

    where net ~ [ 10.0.0.0/8+ ] && (bgp_path.last = 65010 || (65000, 1) ~ bgp_community)

BIRD's filter language without variables, functions and control: what looking glasses send, and
people type. A parser by recursive descent turns an expression into a function of a route and
checks types as BIRD does. Nothing in it is searched for by trial: sets are bisected, an AS path
takes one step for each of its numbers, and the longest command has 1,024 octets.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bgpd.show.bird.tokens import SYNTAX_ERROR, Kind, QueryError, Tokens, unexpected
from bgpd.show.bird.value_sets import (
    Interval,
    IntervalSet,
    PathMask,
    PrefixItem,
    PrefixSet,
    numbers_of,
)
from bgpd.show.bird.vocabulary import (
    DIRECT,
    KERNEL,
    STATIC,
    RouteLike,
    destination_of,
    ext_community_of,
    fits,
    preference_of,
    protocol_of,
)
from rib.nlri import Nlri, parse_address, parse_prefix

MAX_DEPTH: Final = 32  # of parentheses and negations
MAX_INTERVALS: Final = 4096  # that the sets of an expression come to
_WORD_MAX: Final = 0xFFFFFFFF
_PAIR_MAX: Final = 0xFFFF
_AFI_IPV4: Final = 1


class Route(NamedTuple):
    """What an expression looks at.

    Attributes:
        nlri: The prefix.
        octets: Of an address of its family.
        path: The route itself.
    """

    nlri: Nlri
    octets: int
    path: RouteLike


class Term(NamedTuple):
    """A value in an expression.

    Attributes:
        kind: BIRD's name of its type.
        of: Its value for a route; ``None`` where the route has none.
        is_of_net: The value depends on the prefix, not just on the path.
    """

    kind: str
    of: Callable[[Route], Any]
    is_of_net: bool = False


class Filter(NamedTuple):
    """A parsed expression.

    Attributes:
        accepts: Whether a route is to be shown.
        is_of_net: Prefixes of one path may differ.
    """

    accepts: Callable[[Route], bool]
    is_of_net: bool


# -- what a route has -------------------------------------------------------------------


def _last(make: Callable[[RouteLike], Any]) -> Callable[[Route], Any]:
    """Remember the value of the last path: neighbouring prefixes often share theirs."""
    known: list[Any] = [None, None]

    def value(route: Route) -> Any:  # noqa: ANN401  # of any type
        if known[0] is not route.path:
            known[:] = route.path, make(route.path)
        return known[1]

    return value


def _large(parts: tuple[int, ...]) -> int:
    first, second, third = parts
    return first << 64 | second << 32 | third


def _origin(path: RouteLike) -> str:
    return {0: "ORIGIN_IGP", 1: "ORIGIN_EGP"}.get(
        path.attributes.origin, "ORIGIN_INCOMPLETE"
    )


_SOURCES: Final = {DIRECT: "RTS_DEVICE", KERNEL: "RTS_INHERIT", STATIC: "RTS_STATIC"}


def _asn(asns: tuple[int, ...], at: int) -> int:
    return asns[at] if asns else 0


def _device(path: RouteLike) -> str:
    return path.next_hop.interface


# Name, type, and how it is made of a path.
_OF_PATH: Final[Mapping[str, tuple[str, Callable[[RouteLike], Any]]]] = (
    MappingProxyType(
        {
            "from": ("ip", lambda path: path.source.address or None),
            "gw": ("ip", lambda path: path.next_hop.address or None),
            "proto": ("string", lambda path: protocol_of(path.source)),
            "ifname": ("string", _device),
            "preference": ("int", preference_of),
            "source": (
                "enum RTS",
                lambda path: _SOURCES.get(protocol_of(path.source), "RTS_BGP"),
            ),
            "dest": ("enum RTD", lambda path: f"RTD_{destination_of(path).upper()}"),
            "bgp_path": ("bgppath", lambda path: path.attributes.as_path.asns),
            "bgp_path.len": ("int", lambda path: len(path.attributes.as_path.asns)),
            "bgp_path.first": (
                "int",
                lambda path: _asn(path.attributes.as_path.asns, 0),
            ),
            "bgp_path.last": (
                "int",
                lambda path: _asn(path.attributes.as_path.asns, -1),
            ),
            "bgp_path.last_nonaggregated": (
                "int",
                lambda path: path.attributes.as_path.origin_as,
            ),
            "bgp_origin": ("enum ORIGIN", _origin),
            "bgp_next_hop": ("ip", lambda path: path.attributes.next_hop[:16] or None),
            "bgp_med": ("int", lambda path: path.attributes.med),
            "bgp_local_pref": ("int", lambda path: path.attributes.local_pref),
            "bgp_community": (
                "clist",
                lambda path: sorted(path.attributes.communities),
            ),
            "bgp_community.len": ("int", lambda path: len(path.attributes.communities)),
            "bgp_large_community": (
                "lclist",
                lambda path: sorted(map(_large, path.attributes.large_communities)),
            ),
            "bgp_large_community.len": (
                "int",
                lambda path: len(path.attributes.large_communities),
            ),
            "bgp_ext_community": (
                "eclist",
                lambda path: frozenset(
                    map(ext_community_of, path.attributes.ext_communities)
                ),
            ),
            "bgp_ext_community.len": (
                "int",
                lambda path: len(path.attributes.ext_communities),
            ),
        }
    )
)
_OF_NET: Final[Mapping[str, tuple[str, Callable[[Route], Any]]]] = MappingProxyType(
    {
        "net": (
            "prefix",
            lambda route: (route.octets, *numbers_of(route.nlri, route.octets)),
        ),
        "net.len": ("int", lambda route: route.nlri[0]),
        "net.ip": ("ip", lambda route: route.nlri[1:].ljust(route.octets, b"\0")),
        "net.type": (
            "enum NET",
            lambda route: "NET_IP4" if route.octets == 4 else "NET_IP6",
        ),
    }
)
_ENUMS: Final = MappingProxyType(
    {
        name: f"enum {name.partition('_')[0]}"
        for name in (
            *("NET_IP4", "NET_IP6", "ORIGIN_IGP", "ORIGIN_EGP", "ORIGIN_INCOMPLETE"),
            *("RTS_STATIC", "RTS_DEVICE", "RTS_INHERIT", "RTS_BGP", "RTS_PIPE"),
            *("RTS_RIP", "RTS_OSPF", "RTS_BABEL", "RTS_RPKI", "RTS_AGGREGATED"),
            *("RTD_UNICAST", "RTD_BLACKHOLE", "RTD_UNREACHABLE", "RTD_PROHIBIT"),
        )
    }
)
_EXT_KINDS: Final = frozenset({"rt", "ro", "unknown", "generic"})

# -- comparisons ------------------------------------------------------------------------

Compare = Callable[[Any, Any], bool]

_ORDERED: Final = frozenset({"int", "ip", "string"})
_ORDERS: Final[Mapping[str, Compare]] = MappingProxyType(
    {
        "<": lambda left, right: left < right,
        ">": lambda left, right: left > right,
        "<=": lambda left, right: left <= right,
        ">=": lambda left, right: left >= right,
    }
)


# A prefix is the octets of an address, the address as a number, and its length in bits.
_Prefix = tuple[int, int, int]


def _host(address: bytes) -> _Prefix:
    octets = len(address)
    return octets, int.from_bytes(address), octets * 8


def _is_inside(left: _Prefix, right: _Prefix) -> bool:
    octets, number, length = left
    wider, network, bits = right
    shift = octets * 8 - bits
    return octets == wider and length >= bits and number >> shift == network >> shift


# By the types on both sides of ``~``.
_MATCHES: Final[Mapping[tuple[str, str], Compare]] = MappingProxyType(
    {
        ("int", "int set"): lambda left, right: left in right,
        ("int", "bgppath"): lambda left, right: left in right,
        ("bgppath", "int set"): lambda left, right: any(asn in right for asn in left),
        ("bgppath", "bgpmask"): lambda left, right: right.matches(left),
        ("pair", "pair set"): lambda left, right: left in right,
        ("pair", "clist"): lambda left, right: IntervalSet([(left, left)]).meets(right),
        ("clist", "pair set"): lambda left, right: right.meets(left),
        ("lc", "lc set"): lambda left, right: left in right,
        ("lc", "lclist"): lambda left, right: IntervalSet([(left, left)]).meets(right),
        ("lclist", "lc set"): lambda left, right: right.meets(left),
        ("ec", "eclist"): lambda left, right: left in right,
        ("eclist", "ec set"): lambda left, right: right(left),
        ("string", "string"): fits,
        ("prefix", "prefix"): _is_inside,
        ("ip", "prefix"): lambda left, right: _is_inside(_host(left), right),
        ("prefix", "prefix set"): lambda left, right: right.holds(*left),
        ("ip", "prefix set"): lambda left, right: right.holds(*_host(left)),
        ("enum", "enum set"): lambda left, right: left in right,
    }
)


class _Parser:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._depth = 0
        self._intervals = 0
        self._shared: dict[str, Callable[[Route], Any]] = {}

    # -- truth --------------------------------------------------------------------------

    def expression(self) -> Term:
        return self._either("||", self._conjunction)

    def _conjunction(self) -> Term:
        return self._either("&&", self._negation)

    def _either(self, sign: str, part: Callable[[], Term]) -> Term:
        terms = [part()]
        while self._tokens.takes(sign):
            terms.append(part())
        if len(terms) == 1:
            return terms[0]
        for number, term in enumerate(terms, 1):
            self._check(term, "bool", f"Argument {number} of {sign}")
        values = [term.of for term in terms]
        is_of_net = any(term.is_of_net for term in terms)
        if sign == "||":
            return Term(
                "bool", lambda route: any(of(route) for of in values), is_of_net
            )
        return Term("bool", lambda route: all(of(route) for of in values), is_of_net)

    def _negation(self) -> Term:
        if not self._tokens.takes("!"):
            return self._comparison()
        self._deeper()
        term = self._negation()
        self._depth -= 1
        self._check(term, "bool", "Argument 1 of !")
        return Term("bool", lambda route: not term.of(route), term.is_of_net)

    def _comparison(self) -> Term:
        left = self._operand()
        sign = self._tokens.peek()
        if sign.kind is not Kind.SIGN or sign.text not in {
            *_ORDERS,
            "=",
            "!=",
            "~",
            "!~",
        }:
            return left
        self._tokens.take()
        right = self._operand()
        compare = self._compare(sign.text, left, right)
        is_negated = sign.text in ("!=", "!~")

        def of(route: Route) -> bool:
            one, other = left.of(route), right.of(route)
            # What a route does not have is equal to nothing, and unequal to all.
            found = one is not None and other is not None and compare(one, other)
            return found is not is_negated

        return Term("bool", of, left.is_of_net or right.is_of_net)

    def _compare(self, sign: str, left: Term, right: Term) -> Compare:
        if sign in ("=", "!="):
            if left.kind == right.kind:
                return lambda one, other: bool(one == other)
            if left.kind == "bgppath" and right.kind == "bgpmask":
                return _MATCHES["bgppath", "bgpmask"]
            raise _incompatible(sign, left, right)
        if sign in _ORDERS:
            if left.kind == right.kind and left.kind in _ORDERED:
                return _ORDERS[sign]
            raise _incompatible(sign, left, right)
        known = _MATCHES.get((_plain(left.kind), _plain(right.kind)))
        is_enum = left.kind.startswith("enum")
        if known is not None and (not is_enum or right.kind == f"{left.kind} set"):
            return known
        raise _incompatible(sign, left, right)

    # -- values -------------------------------------------------------------------------

    def _operand(self) -> Term:
        kind, text = self._tokens.peek()
        if kind is Kind.NUMBER:
            return _constant("int", self._tokens.number(_WORD_MAX))
        if kind is Kind.ADDRESS:
            self._tokens.take()
            return _address(text)
        if kind is Kind.TEXT:
            self._tokens.take()
            return _constant("string", text)
        if kind is Kind.WORD:
            self._tokens.take()
            return self._word(text)
        if text == "(":
            return self._parenthesis()
        if self._tokens.takes("[="):
            return self._mask()
        if self._tokens.takes("["):
            return self._set()
        raise unexpected(text)

    def _word(self, text: str) -> Term:
        if text in ("true", "false"):
            return _constant("bool", text == "true")
        if text in _ENUMS:
            return _constant(_ENUMS[text], text)
        if text == "defined":
            return self._defined()
        if text in _OF_NET:
            net_kind, of_net = _OF_NET[text]
            return Term(net_kind, of_net, is_of_net=True)
        if text in _OF_PATH:
            kind, make = _OF_PATH[text]
            of = self._shared.setdefault(text, _last(make))
            return Term(kind, of)
        if text[:1].isdigit() or ":" in text:  # '192.0.2.1', which BIRD's clients quote
            return _address(text)
        raise QueryError(
            SYNTAX_ERROR, f"syntax error, unexpected CF_SYM_UNDEFINED {text!r}"
        )

    def _defined(self) -> Term:
        self._tokens.expect("(")
        term = self._operand()
        self._tokens.expect(")")
        return Term("bool", lambda route: term.of(route) is not None, term.is_of_net)

    def _parenthesis(self) -> Term:
        kind, text = self._tokens.peek(1)
        if kind is Kind.NUMBER or (kind is Kind.WORD and text in _EXT_KINDS):
            after = self._tokens.peek(2).text
            if after in (",", ".."):
                name, value = self._tuple()
                if name == "ec":
                    if value[2] is None:
                        raise unexpected("*")
                    return _constant(name, value)
                first, last = value
                if first != last:
                    raise unexpected("*")
                return _constant(name, first)
        self._deeper()
        self._tokens.expect("(")
        term = self.expression()
        self._tokens.expect(")")
        self._depth -= 1
        return term

    def _tuple(self) -> tuple[str, Any]:
        """Take a community or a pattern; return its type and its bounds, or its parts."""
        tokens = self._tokens
        tokens.expect("(")
        if tokens.peek().kind is Kind.WORD:
            return "ec", self._ext_parts()
        parts = [self._part(_WORD_MAX)]
        while tokens.takes(","):
            parts.append(self._part(_WORD_MAX))
        tokens.expect(")")
        bits = {2: 16, 3: 32}.get(len(parts))
        if bits is None:
            raise unexpected(")")
        first = last = 0
        is_open = False
        for low, high in parts:
            most = (1 << bits) - 1
            high = most if high is None else high  # noqa: PLW2901  # now it is known
            if max(low, high) > most:
                raise QueryError(
                    SYNTAX_ERROR, "Can't operate with value out of range in pair"
                )
            if is_open and (low, high) != (0, most):
                raise QueryError(SYNTAX_ERROR, "a range can stand last, or before *")
            is_open = is_open or low != high
            first, last = first << bits | low, last << bits | high
        return {16: "pair", 32: "lc"}[bits], (first, last)

    def _part(self, most: int) -> tuple[int, int | None]:
        """Take a number, a range of numbers or a star, which has no end yet."""
        if self._tokens.takes("*"):
            return 0, None
        low = self._tokens.number(most)
        high = self._tokens.number(most) if self._tokens.takes("..") else low
        if high < low:
            raise QueryError(SYNTAX_ERROR, f"{low}..{high} is empty")
        return low, high

    def _ext_parts(self) -> tuple[str, str, str | None]:
        tokens = self._tokens
        kind = tokens.name()
        tokens.expect(",")
        administrator = tokens.name()
        tokens.expect(",")
        value = None if tokens.takes("*") else str(tokens.number(_WORD_MAX))
        tokens.expect(")")
        return kind, administrator, value

    def _mask(self) -> Term:
        items: list[IntervalSet | None] = []
        while not self._tokens.takes("=]"):
            if self._tokens.takes("*"):
                items.append(None)
            elif self._tokens.takes("+"):
                items += [IntervalSet([(0, _WORD_MAX)]), None]
            elif self._tokens.takes("?"):
                items.append(IntervalSet([(0, _WORD_MAX)]))
            elif self._tokens.takes("["):
                term = self._set()
                if term.kind != "int set":
                    raise QueryError(SYNTAX_ERROR, "a set of AS numbers is expected")
                items.append(term.of(None))  # type: ignore[arg-type]  # a constant
            else:
                items.append(IntervalSet([self._range()]))
        return _constant("bgpmask", PathMask(items))

    def _range(self) -> Interval:
        low, high = self._part(_WORD_MAX)
        if high is None:
            raise unexpected("*")
        return low, high

    def _set(self) -> Term:
        kinds: set[str] = set()
        items: list[Any] = []
        while True:
            kind, item = self._item()
            kinds.add(kind)
            items.append(item)
            if len(kinds) > 1:
                raise QueryError(SYNTAX_ERROR, "Incompatible types in set")
            self._intervals += 1
            if self._intervals > MAX_INTERVALS:
                raise QueryError(SYNTAX_ERROR, "sets are too long")
            if not self._tokens.takes(","):
                break
        self._tokens.expect("]")
        (kind,) = kinds
        return _constant(f"{kind} set", _SETS[_plain(kind)](items))

    def _item(self) -> tuple[str, Any]:
        kind, text = self._tokens.peek()
        if kind is Kind.ADDRESS:
            self._tokens.take()
            return "prefix", self._prefix_item(text)
        if kind is Kind.NUMBER:
            return "int", self._range()
        if text == "(":
            return self._tuple()
        if kind is Kind.WORD and text in _ENUMS:
            self._tokens.take()
            return _ENUMS[text], text
        raise unexpected(text)

    def _prefix_item(self, text: str) -> PrefixItem:
        plain = _item_of(text)
        most = plain.octets * 8
        if self._tokens.takes("+"):
            return plain._replace(most=most)
        if self._tokens.takes("-"):
            return plain._replace(least=0)
        if self._tokens.takes("{"):
            least = self._tokens.number(most)
            self._tokens.expect(",")
            longest = self._tokens.number(most)
            self._tokens.expect("}")
            return plain._replace(least=least, most=longest)
        return plain

    # -- checks -------------------------------------------------------------------------

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError(SYNTAX_ERROR, "syntax error, nested too deeply")

    def _check(self, term: Term, kind: str, where: str) -> None:
        if term.kind != kind:
            raise QueryError(
                SYNTAX_ERROR, f"{where} must be of type {kind}, got type {term.kind}"
            )


def parse_filter(tokens: Tokens) -> Filter:
    """Parse the expression that is next.

    Raises:
        QueryError: It is none, or its types do not fit.
    """
    term = _Parser(tokens).expression()
    if term.kind != "bool":
        raise QueryError(
            SYNTAX_ERROR,
            f"Argument 1 of CONDITION must be of type bool, got type {term.kind}",
        )
    return Filter(lambda route: bool(term.of(route)), term.is_of_net)


def _plain(kind: str) -> str:
    """Return a type without the name of its enumeration."""
    if not kind.startswith("enum"):
        return kind
    return "enum set" if kind.endswith(" set") else "enum"


def _constant(kind: str, value: object) -> Term:
    return Term(kind, lambda _: value)


def _address(text: str) -> Term:
    if "/" in text:
        return _constant("prefix", _item_of(text)[:3])
    try:
        return _constant("ip", parse_address(text))
    except ValueError as error:
        raise unexpected(text) from error


def _item_of(text: str) -> PrefixItem:
    try:
        afi, nlri = parse_prefix(text)
    except ValueError as error:
        raise unexpected(text) from error
    octets = 4 if afi == _AFI_IPV4 else 16
    number, length = numbers_of(nlri, octets)
    return PrefixItem(octets, number, length, length, length)


def _ext_set(items: list[tuple[str, str, str | None]]) -> Callable[[Any], bool]:
    exact = frozenset(item for item in items if item[2] is not None)
    any_value = frozenset(item[:2] for item in items if item[2] is None)
    return lambda values: any(
        value in exact or value[:2] in any_value for value in values
    )


_SETS: Final[Mapping[str, Callable[[list[Any]], Any]]] = MappingProxyType(
    {
        "int": IntervalSet,
        "pair": IntervalSet,
        "lc": IntervalSet,
        "ec": _ext_set,
        "enum": frozenset,
        "prefix": PrefixSet,
    }
)


def _incompatible(sign: str, left: Term, right: Term) -> QueryError:
    text = f"Incompatible types: {left.kind} {sign} {right.kind}"
    return QueryError(SYNTAX_ERROR, text)
