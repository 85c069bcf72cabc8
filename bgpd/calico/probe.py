"""Offline: what a node's policies do to given routes. Pure.

The policies are those of the plan, compiled as the daemon compiles them.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from bgpd.calico.case import FAMILIES, Case, CaseError, Json
from bgpd.calico.desired import NodeDesired
from bgpd.calico.priorities import local_pref_of_metric
from bgpd.session.settings import PeerSettings
from fib.kernel_policy import KernelRules
from rib.as_path import encode_segments
from rib.attribute_codes import LOCAL_PREF
from rib.attributes import PathAttributes, make_attributes
from rib.communities import (
    format_large_community,
    parse_community,
    parse_large_community,
)
from rib.family import Family
from rib.nlri import Nlri, parse_address, parse_prefix
from rib.path import NextHop, Path, Source, SourceKind
from rib.policy import ACCEPT_ALL, Policy, Verdict, compile_policy

PREFERENCE: Final = 100  # BIRD's, of a route from a peer without a weight
ASSUMED_LOCAL_PREF: Final = 100  # on external sessions, and where there is none
_KINDS: Final = {
    "static": SourceKind.LOCAL,
    "direct": SourceKind.KERNEL,
    "kernel": SourceKind.KERNEL,
}
_REFUSED: Final[Mapping[str, bool]] = {"accept": False}


class _Route(NamedTuple):
    """A route to be probed."""

    number: Any
    family: Family
    nlri: Nlri
    path: Path
    is_bgp: bool
    is_internal: bool


def show_probes(case: Case) -> Json:
    """Return what becomes of each route of a case, as JSON has it.

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
            yield _route(content, case.desired)
        except (KeyError, TypeError, ValueError) as error:
            raise CaseError(f"probe_routes[{number}]: {error!r}") from error


def _route(content: Mapping[str, Any], desired: NodeDesired) -> _Route:
    family = FAMILIES[content["family"]]
    _, nlri = parse_prefix(content["prefix"])
    is_bgp = content["source"] == "bgp"
    is_internal = content.get("learned_from") != "external"
    kind = SourceKind.IBGP if is_internal else SourceKind.EBGP
    if not is_bgp:
        kind = _KINDS[content["source"]]
    next_hop = content.get("next_hop")
    octets = parse_address(str(ip_address(next_hop))) if next_hop else b""
    attributes = make_attributes(
        next_hop=octets,
        local_pref=_local_pref(content, family, desired, is_bgp=is_bgp),
        as_path=_as_path(content.get("as_path") or ()),
        communities=map(parse_community, content.get("communities") or ()),
        large_communities=map(
            parse_large_community, content.get("large_communities") or ()
        ),
    )
    hop = NextHop(octets, interface=content.get("interface") or "")
    path = Path(Source(content["source"], kind), attributes, hop)
    return _Route(content["id"], family, nlri, path, is_bgp, is_internal)


def _local_pref(
    content: Mapping[str, Any], family: Family, desired: NodeDesired, *, is_bgp: bool
) -> int | None:
    """Return the LOCAL_PREF that the route has in the daemon's table."""
    if is_bgp:
        value: int | None = content.get("local_pref")
        return value
    metric = content.get("metric")
    if family not in desired.local_pref:
        return None
    return (
        desired.local_pref[family] if metric is None else local_pref_of_metric(metric)
    )


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
    ((_, disposition),) = rules.divide([route.nlri], route.path)
    if not disposition.is_accepted:
        return dict(_REFUSED)
    return {
        "accept": True,
        "metric": disposition.metric,
        "device": disposition.device or None,
        "onlink": bool(disposition.device),
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
