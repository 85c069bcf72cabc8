"""Offline: what a node would be for a given content of the datastore. Pure.

A case is one JSON document: objects, block affinities, Kubernetes' objects and local
workloads. What is shown is the very plan that a daemon carries out.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from bgpd.calico.claims import AffinityState
from bgpd.calico.compat import compat_of_version
from bgpd.calico.desired import NodeDesired
from bgpd.calico.endpoints import EndpointError, LocalEndpoint, parse_endpoint
from bgpd.calico.events import Snapshot
from bgpd.calico.filters import BgpFilterSpec
from bgpd.calico.keys import PLURALS, affinity_key, resource_key
from bgpd.calico.peerings import Peering
from bgpd.calico.planner import PlanOptions, SideInputs, hashed_router_id
from bgpd.calico.secrets import SecretTable
from bgpd.calico.services import ServiceAdvertisement, advertise, object_name
from bgpd.calico.state import TEMPLATE, ClusterState
from bgpd.session.settings import NextHopMode
from fib.kernel_policy import KernelRules
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import Nlri, format_address, format_prefix
from rib.path import NextHop, Path, Source, SourceKind

Json = dict[str, Any]

FAMILIES: Final[Mapping[str, Family]] = {"ipv4": IPV4_UNICAST, "ipv6": IPV6_UNICAST}
# As Calico calls them: BIRD's "next hop self" is for all routes.
_NEXT_HOP_NAMES: Final = {NextHopMode.SELF_ALL: "self"}
_NO_ROUTER_ID: Final = ("", "hash")


class CaseError(ValueError):
    """A case cannot be read; the text says where and why."""


class Case(NamedTuple):
    """A case, planned.

    Attributes:
        desired: What the node must be and do.
        peerings: Its sessions and where they come from.
        filters: Every BGPFilter by name.
        env: Environment variables.
        routes: To be probed.
    """

    desired: NodeDesired
    peerings: tuple[Peering, ...]
    filters: Mapping[str, BgpFilterSpec]
    env: Mapping[str, str]
    routes: tuple[Json, ...]


def load_case(content: object) -> Case:
    """Return a case from its JSON value.

    Raises:
        CaseError: It is none.
    """
    if not isinstance(content, dict):
        raise CaseError("is not a JSON object")
    node = _get(content, "node", str)
    if not node or not node.isprintable():
        raise CaseError("node is not a name")
    env = _get(content, "env", dict, {})
    for name, value in env.items():
        if not isinstance(value, str):
            raise CaseError(f"env.{name} is not text")
    compat = compat_of_version(_get(content, "compat", str))
    if compat is None:
        raise CaseError("compat must be a release such as 3.31")
    options = PlanOptions(
        compat,
        uses_pod_cidrs=env.get("USE_POD_CIDR") == "true",
        cluster_ips=_cluster_ips(env),
    )
    state = ClusterState(TEMPLATE, options)
    state.apply(Snapshot(1, dict(_items(content, node))))
    desired = state.desired(node, _side_inputs(content, node, env, state))
    routes = tuple(_get(content, "probe_routes", list, []))
    peerings = state.planner(node).peerings()
    return Case(desired, peerings, state.topology().filters, env, routes)


def _cluster_ips(env: Mapping[str, str]) -> tuple[str, ...] | None:
    name = "CALICO_ADVERTISE_CLUSTER_IPS"
    texts = [text.strip() for text in env.get(name, "").split(",")]
    try:
        return tuple(str(ip_network(text)) for text in texts if text) or None
    except ValueError as error:
        raise CaseError(f"env.{name}: {error}") from error


def _get(content: Json, name: str, kind: type, default: Any = None) -> Any:  # noqa: ANN401  # whatever JSON has there
    value = content.get(name, default)
    if not isinstance(value, kind):
        raise CaseError(f"{name} is missing or not a {kind.__name__}")
    return value


def _items(content: Json, node: str) -> Iterable[tuple[str, bytes]]:
    for number, resource in enumerate(_get(content, "resources", list, [])):
        try:
            key = resource_key(resource["kind"], resource["metadata"]["name"])
        except (KeyError, TypeError) as error:
            kinds = ", ".join(PLURALS)
            text = f"resources[{number}] needs metadata.name and a kind of {kinds}"
            raise CaseError(text) from error
        yield key, json.dumps(resource).encode()
    for number, affinity in enumerate(_get(content, "affinities", list, [])):
        try:
            state, cidr = affinity["state"], affinity["cidr"]
            key = affinity_key(node, cidr)
        except (KeyError, TypeError, AttributeError) as error:
            raise CaseError(f"affinities[{number}] needs cidr and state") from error
        yield key, json.dumps({"state": state}).encode() if state else b""


def _side_inputs(
    content: Json, node: str, env: Mapping[str, str], state: ClusterState
) -> SideInputs:
    secrets, services, slices = SecretTable(), [], []
    for number, item in enumerate(_get(content, "kubernetes", list, [])):
        if not isinstance(item, dict):
            raise CaseError(f"kubernetes[{number}] is not an object")
        if item.get("kind") == "Secret":
            secrets.put(object_name(item)[1], item)
        elif item.get("kind") == "Service":
            services.append(item)
        elif item.get("kind") == "EndpointSlice":
            slices.append(item)
    endpoints: list[LocalEndpoint] = []
    for number, item in enumerate(_get(content, "local_endpoints", list, [])):
        try:
            endpoints.append(parse_endpoint(item))
        except EndpointError as error:
            raise CaseError(f"local_endpoints[{number}] {error}") from error
    planner, topology = state.planner(node), state.topology()
    advertised: ServiceAdvertisement = advertise(
        planner.service_ranges(topology),
        services,
        slices,
        env.get("CALICO_K8S_NODE_REF") or node,
        is_excluded=planner.is_excluded(topology),
    )
    return SideInputs(secrets.passwords, tuple(endpoints), advertised)


# -- what it comes to -----------------------------------------------------------------


def show_plan(case: Case) -> Json:
    """Return node settings and sessions as JSON has them."""
    return {
        "node": _show_node(case),
        "sessions": [_show_session(case.filters, each) for each in case.peerings],
    }


def _show_node(case: Case) -> Json:
    desired = case.desired
    addrs = {"ipv4": desired.ipv4_addr, "ipv6": desired.ipv6_addr}
    wanted = case.env.get("CALICO_ROUTER_ID", "")
    router_id = desired.router_id if wanted in _NO_ROUTER_ID else wanted
    if wanted == "hash":
        router_id = hashed_router_id(desired.name)
    return {
        "name": desired.name,
        "router_id": router_id,
        "as": desired.asn,
        "listen": {
            name: {
                "address": (addr or None) if desired.listens_on_node_addr else None,
                "port": desired.listen_port,
            }
            for name, addr in addrs.items()
        },
        "direct_interfaces": list(desired.direct_interfaces),
        "aggregates": {
            name: [
                {"cidr": str(block), "state": state.value}
                for block, state in sorted(desired.affinities.items())
                if block.family == family
                and state is not AffinityState.PENDING_DELETION
            ]
            for name, family in FAMILIES.items()
        },
        "static_routes": {
            name: list(_show_statics(desired, family))
            for name, family in FAMILIES.items()
        },
    }


def _show_statics(desired: NodeDesired, family: Family) -> Iterable[Json]:
    rules = KernelRules(desired.kernel[family], family)
    routes: dict[Nlri, bytes] = {
        block.nlri: b""
        for block in desired.originated
        if block.family == family and block.has_blackhole
    }
    routes |= {s.nlri: s.gateway for s in desired.statics if s.family == family}
    for nlri, gateway in sorted(routes.items()):
        source = Source("static", SourceKind.LOCAL)
        path = Path(source, make_attributes(next_hop=gateway), NextHop(gateway))
        ((_, decision),) = rules.divide([nlri], path)
        yield {
            "cidr": format_prefix(nlri, family.afi),
            "via": format_address(gateway) if gateway else None,
            "kernel": decision.is_accepted,
        }


def _show_session(filters: Mapping[str, BgpFilterSpec], peering: Peering) -> Json:
    settings = peering.settings
    family = settings.families[0].family
    is_v4 = family == IPV4_UNICAST
    password = settings.password
    return {
        "name": settings.name,
        "family": "ipv4" if is_v4 else "ipv6",
        "remote_ip": settings.remote_addr,
        "remote_port": settings.port,
        "remote_as": settings.remote_as,
        "local_as": settings.local_as,
        "source_address": settings.local_addr or None,
        "ttl_security": settings.ttl_security_hops or None,
        "passive": settings.is_passive,
        "restart_time_s": peering.restart_time,
        "keepalive_s": peering.keepalive_time,
        "rr_client": settings.is_client,
        "cluster_id": settings.cluster_id or None,
        "password": bool(password),
        "password_fingerprint": (
            sha256(password.encode()).hexdigest()[:8] if password else None
        ),
        "next_hop": _NEXT_HOP_NAMES.get(settings.next_hop, settings.next_hop.value),
        "allow_local_as": settings.allow_own_as or None,
        "import_filters": _with_rules(peering, filters, family, is_export=False),
        "export_filters": _with_rules(peering, filters, family, is_export=True),
        "internal": settings.remote_as == settings.local_as,
    }


def _with_rules(
    peering: Peering,
    filters: Mapping[str, BgpFilterSpec],
    family: Family,
    *,
    is_export: bool,
) -> list[str]:
    return [
        name
        for name in peering.filters
        if filters[name].rules(family, is_export=is_export)
    ]
