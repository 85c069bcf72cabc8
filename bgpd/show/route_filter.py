"""Which paths a request for routes wants: by attributes, source and state.

A condition on attributes is evaluated once for each attribute set, not for each prefix: a
table of a million routes has some ten thousand sets, which paths share.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final

from bgpd.api.protocol import Arguments, ControlError
from rib.attributes import PathAttributes
from rib.attributes.as_path import parse_asn
from rib.attributes.community_patterns import EXTENDED, LARGE, STANDARD, Kind
from rib.family import ADDRESS_OCTETS
from rib.nlri import parse_prefix
from rib.path import Path, Source
from rib.path_set import Entry, best_of, multipath_of
from rib.policy.conditions import Check, attribute_checks
from rib.policy.spec import Match, PrefixEntry, PrefixMatch


class RouteState(Enum):
    """The states that a request can name."""

    SELECTED = "selected"
    MULTIPATH = "multipath"  # used together with others
    FILTERED = "filtered"  # kept out of Loc-RIB
    STALE = "stale"
    UNREACHABLE = "unreachable"  # the next hop does not resolve


def _is_multipath(path: Path, entry: Entry) -> bool:
    multipath = multipath_of(entry)
    return len(multipath) > 1 and path in multipath


STATE_OF_PATH: Final[Mapping[RouteState, Callable[[Path, Entry], bool]]] = {
    RouteState.SELECTED: lambda path, entry: path is best_of(entry),
    RouteState.MULTIPATH: _is_multipath,
    RouteState.STALE: lambda path, _: path.epoch != path.source.epoch,
    RouteState.UNREACHABLE: lambda path, _: not path.next_hop.is_reachable,
}


class AttributeFilter:
    """Conditions on attributes.

    Args:
        arguments: Several communities must all be there; several origin ASes or next
            hops are alternatives.

    Raises:
        ControlError: ``bad-argument``.
    """

    def __init__(self, arguments: Arguments) -> None:
        self._checks = _checks(arguments)
        self._known: dict[PathAttributes, bool] = {}

    def __call__(self, attributes: PathAttributes) -> bool:
        """Return whether all conditions hold."""
        if not self._checks:
            return True
        known = self._known.get(attributes)
        if known is None:
            known = all(check(attributes) for check in self._checks)
            self._known[attributes] = known
        return known


def _checks(arguments: Arguments) -> list[Check]:
    match = Match(
        communities_all=_communities(arguments, "community", STANDARD),
        large_communities_all=_communities(arguments, "large_community", LARGE),
        ext_communities_all=_communities(arguments, "ext_community", EXTENDED),
        origin_as=_parsed(arguments, "origin_as", parse_asn),
        as_path_regex=arguments.get("as_path") or "",
        next_hops=_next_hops(arguments),
    )
    try:
        return [check for _, check in attribute_checks(match)]
    except ValueError as error:
        raise ControlError("bad-argument", str(error)) from error


def _communities(arguments: Arguments, name: str, kind: Kind) -> frozenset[Any]:
    return _parsed(arguments, name, kind.parse)


def _parsed(
    arguments: Arguments, name: str, parse: Callable[[str], Any]
) -> frozenset[Any]:
    try:
        return frozenset(map(parse, arguments.get(name, ())))
    except ValueError as error:
        raise ControlError(
            "bad-argument", f"{name}: {error}", _EXAMPLES[name]
        ) from error


_EXAMPLES: Final = {
    "community": ("65000:1", "65000:*", "65000:100-199", "no-export"),
    "large_community": ("65000:1:2", "65000:1:*"),
    "ext_community": ("rt:65000:1", "rt:65000:*", "0x4004*"),
    "origin_as": ("65001", "1.10"),
    "next_hop": ("192.0.2.1", "192.0.2.0/24", "2001:db8::1"),
}


def _next_hops(arguments: Arguments) -> PrefixMatch | None:
    found = _parsed(arguments, "next_hop", parse_prefix)
    if not found:
        return None
    return PrefixMatch(
        tuple(
            PrefixEntry(afi, nlri, nlri[0], ADDRESS_OCTETS[afi] * 8)
            for afi, nlri in found
        )
    )


def find_states(arguments: Arguments) -> frozenset[RouteState]:
    """Return the states that the arguments name; none is all."""
    found = set(map(RouteState, arguments.get("state", ())))
    if arguments.get("best"):
        found.add(RouteState.SELECTED)
    return frozenset(found)


class PathFilter:
    """Which paths of Loc-RIB are wanted.

    Args:
        sources: Those whose paths are; ``None`` is any.
        states: A path must have one of them; none is any.
        fits: Conditions on attributes.
    """

    def __init__(
        self,
        sources: Iterable[Source] | None,
        states: frozenset[RouteState],
        fits: Callable[[PathAttributes], bool],
    ) -> None:
        self._sources = None if sources is None else frozenset(sources)
        self._tests = [STATE_OF_PATH[s] for s in states if s in STATE_OF_PATH]
        self._takes_any = not states
        self._fits = fits

    def __call__(self, path: Path, entry: Entry) -> bool:
        """Return whether a path of a table's entry is wanted."""
        if self._sources is not None and path.source not in self._sources:
            return False
        if not self._takes_any and not any(test(path, entry) for test in self._tests):
            return False
        return self._fits(path.attributes)
