"""Conditions on path attributes, made from ``Match`` by one table.

Each field of ``Match`` that looks at attributes has a row: a function that turns the
wanted value into a test. What a condition needs of the attributes is decoded when asked
for; policies are run once per attribute set, not per prefix.
"""

from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from rib.attributes import PathAttributes
from rib.attributes.as_path import format_as_path
from rib.attributes.codes import AS_PATH
from rib.attributes.community_patterns import KINDS, CommunitySet, Kind
from rib.decision import DEFAULT_LOCAL_PREF
from rib.family import ADDRESS_OCTETS
from rib.nlri import make_nlri
from rib.policy.pattern import PathPattern
from rib.policy.pattern_syntax import PatternError
from rib.policy.prefixes import PrefixMatcher
from rib.policy.spec import Bounds, Match, PrefixMatch

Check = Callable[[PathAttributes], bool]

_NOTHING_ASKED: Final = Match()
_AFI_BY_OCTETS: Final = MappingProxyType(
    {octets: afi for afi, octets in ADDRESS_OCTETS.items()}
)


def attribute_checks(match: Match) -> tuple[tuple[str, Check], ...]:
    """Return ``(field of Match, test)`` for each condition on attributes it states.

    Raises:
        ValueError: ``as_path_regex`` is not a regular expression, or an unsupported one.
    """
    checks = []
    for field, build in _BUILDERS.items():
        wanted = getattr(match, field)
        if wanted != getattr(_NOTHING_ASKED, field):
            checks.append((field, build(wanted)))
    return tuple(checks)


def _any_of(kind: Kind, wanted: frozenset[Any]) -> Check:
    carried, some = attrgetter(kind.field), CommunitySet(wanted, kind)
    return lambda attributes: some.meets_any(carried(attributes))


def _all_of(kind: Kind, wanted: frozenset[Any]) -> Check:
    carried, some = attrgetter(kind.field), CommunitySet(wanted, kind)
    return lambda attributes: some.meets_all(carried(attributes))


def _none_of(kind: Kind, wanted: frozenset[Any]) -> Check:
    carried, some = attrgetter(kind.field), CommunitySet(wanted, kind)
    return lambda attributes: not some.meets_any(carried(attributes))


def _exactly(kind: Kind, wanted: frozenset[Any]) -> Check:
    carried, some = attrgetter(kind.field), CommunitySet(wanted, kind)
    return lambda attributes: some.meets_exactly(carried(attributes))


def _origins(wanted: frozenset[int]) -> Check:
    return lambda attributes: attributes.origin in wanted


def _as_path_regex(wanted: str) -> Check:
    try:
        search = PathPattern(wanted).search
    except PatternError as error:
        raise ValueError(f"AS path expression {wanted!r}: {error}") from error
    return lambda attributes: search(format_as_path(attributes.get(AS_PATH) or b""))


def _as_path_prefix(wanted: tuple[int, ...]) -> Check:
    count = len(wanted)
    return lambda attributes: attributes.as_path.asns[:count] == wanted


def _neighbour_as(wanted: frozenset[int]) -> Check:
    return lambda attributes: attributes.as_path.neighbour_as in wanted


def _origin_as(wanted: frozenset[int]) -> Check:
    return lambda attributes: attributes.as_path.origin_as in wanted


def _next_hops(wanted: PrefixMatch) -> Check:
    matchers = {
        octets: PrefixMatcher(wanted, afi) for octets, afi in _AFI_BY_OCTETS.items()
    }

    def check(attributes: PathAttributes) -> bool:
        address = attributes.next_hop[:16]  # without the link-local half, RFC 2545 3
        matcher = matchers.get(len(address))
        if matcher is None:
            return wanted.is_negated
        return matcher.matches(make_nlri(address, len(address) * 8))

    return check


def _local_pref(wanted: Bounds) -> Check:
    def check(attributes: PathAttributes) -> bool:
        value = attributes.local_pref
        if value is None:
            value = DEFAULT_LOCAL_PREF
        return wanted.min <= value <= wanted.max

    return check


def _med(wanted: Bounds) -> Check:
    return lambda attributes: wanted.min <= (attributes.med or 0) <= wanted.max


_BUILDERS: Final[Mapping[str, Callable[[Any], Check]]] = MappingProxyType(
    {
        **{
            kind.field + suffix: partial(build, kind)
            for kind in KINDS
            for suffix, build in (
                ("", _any_of),
                ("_all", _all_of),
                ("_none", _none_of),
                ("_exact", _exactly),
            )
        },
        "origins": _origins,
        "as_path_regex": _as_path_regex,
        "as_path_prefix": _as_path_prefix,
        "neighbour_as": _neighbour_as,
        "origin_as": _origin_as,
        "next_hops": _next_hops,
        "local_pref": _local_pref,
        "med": _med,
    }
)
