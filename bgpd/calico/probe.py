"""Offline: what a node's policies do to given routes. Pure.

The policies are those of the plan, compiled as the daemon compiles them.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, IPvAnyAddress, ValidationError

from bgpd.calico.addresses import MAX_ASN
from bgpd.calico.case import FAMILIES, Case, CaseError, Json
from bgpd.calico.desired import NodeDesired
from bgpd.calico.fields import Cidr, Resource
from bgpd.calico.priorities import local_pref_of_metric
from bgpd.session.settings import PeerSettings
from bgpd.texts.field_errors import field_error
from fib.kernel_policy import KernelRules
from rib.attributes import PathAttributes, make_attributes
from rib.attributes.as_path import encode_segments
from rib.attributes.codes import LOCAL_PREF
from rib.attributes.communities import (
    format_large_community,
    parse_community,
    parse_large_community,
)
from rib.family import Family
from rib.nlri import Nlri, parse_prefix
from rib.path import NextHop, Path, Source, SourceKind
from rib.policy import ACCEPT_ALL, Policy, Verdict, compile_policy

Number = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]

PREFERENCE: Final = 100  # BIRD's, of a route from a peer without a weight
ASSUMED_LOCAL_PREF: Final = 100  # on external sessions, and for routes without one
_KINDS: Final = {
    "static": SourceKind.LOCAL,
    "direct": SourceKind.KERNEL,
    "kernel": SourceKind.KERNEL,
}
_REFUSED: Final[Mapping[str, bool]] = {"accept": False}


class _Given(Resource):
    """A route as the case has it."""

    id: Any
    family: Literal["ipv4", "ipv6"]
    prefix: Cidr
    source: Literal["static", "direct", "kernel", "bgp"]
    learned_from: Literal["internal", "external"] = "internal"
    interface: str = ""
    metric: Number | None = None
    local_pref: Number | None = None
    next_hop: IPvAnyAddress | None = None
    as_path: tuple[Annotated[int, Field(ge=0, le=MAX_ASN)], ...] = ()
    communities: tuple[str, ...] = ()
    large_communities: tuple[str, ...] = ()


class _Route(NamedTuple):
    """A route to be probed."""

    number: Any
    family: Family
    nlri: Nlri
    path: Path
    is_bgp: bool
    is_internal: bool


def show_probes(case: Case) -> Json:
    """Return what happens to each route of a case, as in JSON.

    Raises:
        CaseError: A route cannot be read.
    """
    policies = {spec.name: compile_policy(spec) for spec in case.desired.policies}
    policies[ACCEPT_ALL.name] = compile_policy(ACCEPT_ALL)
    rules = {
        family: KernelRules(policy, family)
        for family, policy in case.desired.kernel.items()
    }
    return {
        "probes": [
            _probe(case.desired, policies, rules[route.family], route)
            for route in _routes(case)
        ]
    }


def _routes(case: Case) -> Iterable[_Route]:
    for number, content in enumerate(case.routes):
        try:
            yield _route(_Given.model_validate(content), case.desired)
        except ValidationError as error:
            (first, *_) = error.errors(include_url=False)
            place = ".".join(map(str, (f"probe_routes[{number}]", *first["loc"])))
            raise CaseError(f"{place}: {field_error(first)}") from error
        except ValueError as error:
            raise CaseError(f"probe_routes[{number}]: {error}") from error


def _route(given: _Given, desired: NodeDesired) -> _Route:
    family = FAMILIES[given.family]
    afi, nlri = parse_prefix(given.prefix)
    if afi != family.afi:
        raise ValueError(f"{given.prefix} is not a prefix of {given.family}")
    is_internal = given.learned_from == "internal"
    is_bgp = given.source == "bgp"
    kind = SourceKind.IBGP if is_internal else SourceKind.EBGP
    if not is_bgp:
        kind = _KINDS[given.source]
    octets = b"" if given.next_hop is None else given.next_hop.packed
    attributes = make_attributes(
        next_hop=octets,
        local_pref=given.local_pref if is_bgp else _own_pref(given, family, desired),
        as_path=_as_path(given.as_path),
        communities=map(parse_community, given.communities),
        large_communities=map(parse_large_community, given.large_communities),
    )
    hop = NextHop(octets, interface=given.interface)
    path = Path(Source(given.source, kind), attributes, hop)
    return _Route(given.id, family, nlri, path, is_bgp, is_internal)


def _own_pref(given: _Given, family: Family, desired: NodeDesired) -> int | None:
    """Return the LOCAL_PREF that an own route has in the daemon's table."""
    normal = desired.local_pref.get(family)
    if normal is None or given.metric is None:
        return normal
    return local_pref_of_metric(given.metric)


def _as_path(asns: Iterable[int]) -> bytes:
    numbers = tuple(asns)
    return encode_segments([(2, numbers)]) if numbers else b""


def _probe(
    desired: NodeDesired,
    policies: Mapping[str, Policy],
    rules: KernelRules,
    route: _Route,
) -> Json:
    sessions = [
        peer for peer in desired.peers if peer.families[0].family == route.family
    ]
    shown: Json = {
        "id": route.number,
        "export": {
            peer.name: _exported(policies[peer.export_policy], peer, route)
            for peer in sessions
        },
        "kernel": _programmed(rules, route),
    }
    if route.is_bgp:
        shown["import"] = {
            peer.name: _imported(policies[peer.import_policy], route)
            for peer in sessions
            if (peer.remote_as == peer.local_as) is route.is_internal
        }
    return shown


def _evaluate(policy: Policy, route: _Route, attributes: PathAttributes) -> Verdict:
    return policy.evaluate(
        attributes,
        route.path.source,
        route.family,
        route.nlri,
        interface=route.path.next_hop.interface,
    )


def _exported(policy: Policy, peer: PeerSettings, route: _Route) -> Json:
    given = route.path.attributes
    verdict = _evaluate(policy, route, given)
    if not verdict.is_accepted:
        return dict(_REFUSED)
    after = verdict.attributes
    prepended = len(after.as_path.asns) - len(given.as_path.asns)
    is_internal = peer.remote_as == peer.local_as
    return {
        "accept": True,
        "local_pref": _or_assumed(after) if is_internal else None,
        **_communities(after),
        "as_path_prepend": list(after.as_path.asns[:prepended]),
    }


def _imported(policy: Policy, route: _Route) -> Json:
    attributes = route.path.attributes
    if not route.is_internal:
        attributes = attributes.with_changes({LOCAL_PREF: None})
    verdict = _evaluate(policy, route, attributes)
    if not verdict.is_accepted:
        return dict(_REFUSED)
    return {
        "accept": True,
        "local_pref": _or_assumed(verdict.attributes),
        "preference": PREFERENCE + (verdict.weight or 0),
        **_communities(verdict.attributes),
    }


def _programmed(rules: KernelRules, route: _Route) -> Json:
    if route.path.source.kind is SourceKind.KERNEL:
        return dict(_REFUSED)  # what the kernel has is never given back to it
    ((_, decision),) = rules.divide([route.nlri], route.path)
    if not decision.is_accepted:
        return dict(_REFUSED)
    return {
        "accept": True,
        "metric": decision.metric,
        "device": decision.device or None,
        "onlink": bool(decision.device),
    }


def _or_assumed(attributes: PathAttributes) -> int:
    local_pref = attributes.local_pref
    return ASSUMED_LOCAL_PREF if local_pref is None else local_pref


def _communities(attributes: PathAttributes) -> Json:
    return {
        "communities": [
            f"{each >> 16}:{each & 0xFFFF}" for each in attributes.communities
        ],
        "large_communities": [
            format_large_community(each) for each in attributes.large_communities
        ],
    }
