"""From the file's model to the daemon's settings: configuration types end here. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from bgpd.config import model as written
from bgpd.config import policies
from bgpd.config.bfd import bfd_settings
from bgpd.config.evidence import bmp_settings, mrt_settings
from bgpd.config.fields import as_interval
from bgpd.config.inheritance import Neighbour, Option, neighbours, written_options
from bgpd.config.key_names import FIELD_OF_KEY
from bgpd.config.peers import FamilyOptions, Peer, PeerRange
from bgpd.config.settings import (
    ApiSettings,
    BirdSettings,
    CalicoSettings,
    DaemonSettings,
    DatastoreKind,
    DatastoreSettings,
    DirectSettings,
    DrainSettings,
    FibSettings,
    JournalSettings,
    KubernetesSettings,
    LearnSettings,
    LogFormat,
    LogSettings,
    MetricsSettings,
    OriginatedRoute,
    ReloadSettings,
    RestartSettings,
    RouteSettings,
    SpeakerSettings,
)
from bgpd.session.negotiation import CAPABILITIES_BY_NAME
from bgpd.session.settings import (
    AddPathMode,
    AsClass,
    FamilySettings,
    LimitAction,
    LocalAsMode,
    NextHopMode,
    PeerSettings,
    RangeSettings,
)
from rib.attributes import PrivateScope
from rib.attributes.communities import (
    parse_community,
    parse_ext_community,
    parse_large_community,
)
from rib.attributes.community_patterns import KINDS
from rib.attributes.text import ORIGIN_NAMES
from rib.decision import DecisionOptions, Reason
from rib.family import ADDRESS_OCTETS, FAMILIES_BY_NAME, SAFI_UNICAST, Family
from rib.nlri import Nlri, format_address, parse_address, parse_prefix
from rib.path import SourceKind
from rib.policy import (
    Actions,
    Bounds,
    Match,
    NextHopRule,
    Outcome,
    PolicySpec,
    PrefixEntry,
    PrefixMatch,
    Term,
    prefix_entry,
)

CALICO_BIRD: Final = "/var/run/calico/bird.ctl"
CALICO_BIRD6: Final = "/var/run/calico/bird6.ctl"
_CHOICES: Final = {
    "next_hop": NextHopMode,
    "local_as_mode": LocalAsMode,
    "remove_private_as": PrivateScope,
}
_LEFT_OUT: Final = {
    "ignore_as_path_length": Reason.AS_PATH_LEN,
    "ignore_interior_cost": Reason.INTERIOR_METRIC,
}
_SUFFIXES: Final = {"any": "", "all": "_all", "none": "_none", "exact": "_exact"}
_NEXT_HOP_RULES: Final = {rule.value: rule for rule in NextHopRule}
_MAX_FIRST_OCTET = 223  # above are multicast addresses


def to_settings(
    config: written.DaemonConfig, secrets: Mapping[str, str] | None = None
) -> DaemonSettings:
    """Return the settings of the daemon.

    Args:
        config: A model without contradictions (``bgpd.config.consistency``).
        secrets: The password in each ``password_file``, by its name as written.
    """
    known = {} if secrets is None else secrets
    everyone = [(each, _peer(config, each, known)) for each in neighbours(config)]
    return DaemonSettings(
        node_name=config.node.name,
        speaker=_speaker(config, known),
        peers=sorted_peers(
            settings for each, settings in everyone if isinstance(each.model, Peer)
        ),
        ranges=sorted_ranges(
            RangeSettings(each.name, each.where, each.model.limit, settings)
            for each, settings in everyone
            if isinstance(each.model, PeerRange)
        ),
        policies=tuple(_policy(*item) for item in sorted(config.policies.items())),
        routes=_routes(config.routes),
        fib=FibSettings(
            is_enabled=config.fib.mode == "on",
            table=config.fib.table,
            protocol=config.fib.protocol,
            metric=config.fib.metric,
            uses_nexthop_objects=config.fib.nexthop_objects == "auto",
            persist=config.fib.persist,
        ),
        trusts_next_hops=config.next_hops.resolve == "trust",
        resolves_by_default_route=config.next_hops.default_route,
        datastore=_datastore(config.datastore, known),
        calico=CalicoSettings(
            compatibility=config.calico.compatibility,
            cluster_ips=_cluster_ips(config.calico),
            has_add_path=config.calico.add_path,
            uses_pod_cidrs=config.calico.pod_cidrs,
            keeps_tunnel=config.calico.tunnel == "auto",
            drain_label=config.calico.drain_label,
            process_names=tuple(dict.fromkeys(config.calico.process_names)),
        ),
        kubernetes=_kubernetes(config.kubernetes),
        control_path=config.control.path,
        bird=_bird(config),
        log=LogSettings(config.log.level, LogFormat(config.log.format)),
        journal=JournalSettings(**config.journal.model_dump()),
        mrt=mrt_settings(config.mrt),
        bmp=bmp_settings(config.bmp),
        restart=RestartSettings(
            is_enabled=config.graceful_restart.enabled,
            selection_deferral_time=config.graceful_restart.selection_deferral_time,
            sweep_time=config.graceful_restart.sweep_time,
            stale_path_time=config.graceful_restart.stale_path_time,
        ),
        api=_api(config.api),
        drain=DrainSettings(config.drain.at_shutdown),
        reload=ReloadSettings(
            watches=config.reload.watch,
            allows_resets=config.reload.resets == "allow",
        ),
        metrics=_metrics(config.metrics),
    )


def sorted_peers(peers: Iterable[PeerSettings]) -> tuple[PeerSettings, ...]:
    """Return peers in canonical order."""
    return tuple(sorted(peers, key=lambda peer: peer.remote_addr))


def sorted_ranges(ranges: Iterable[RangeSettings]) -> tuple[RangeSettings, ...]:
    """Return ranges in canonical order."""
    return tuple(sorted(ranges, key=lambda each: each.prefix))


def hashed_router_id(node_name: str) -> str:
    """Return the router id that Calico derives from a node's name.

    The first four octets of its SHA-256, with the first octet kept below the multicast
    addresses; two nodes agree with other implementations on it.
    """
    octets = bytearray(hashlib.sha256(node_name.encode()).digest()[:4])
    if octets[0] > _MAX_FIRST_OCTET:
        octets[0] -= 32
    return format_address(bytes(octets))


def _cluster_ips(config: written.Calico) -> tuple[str, ...] | None:
    return None if config.cluster_ips is None else tuple(config.cluster_ips)


def _kubernetes(config: written.Kubernetes) -> KubernetesSettings:
    status = config.endpoint_status
    return KubernetesSettings(
        is_enabled=config.mode == "auto",
        kubeconfig=config.kubeconfig,
        context=config.context,
        server=config.server,
        ca_file=config.ca_file,
        cert_file=config.cert_file,
        key_file=config.key_file,
        is_insecure=config.insecure_skip_tls_verify,
        namespace=config.namespace,
        node_name=config.node_name,
        endpoint_folder=f"{status}/endpoint-status" if status else "",
    )


def _bird(config: written.DaemonConfig) -> BirdSettings:
    """Return BIRD's sockets: by default where Calico's tools look for them."""
    is_calico = config.datastore.type in ("etcd", "kubernetes")

    def path(given: str | None, default: str) -> str:
        return default if given is None and is_calico else given or ""

    return BirdSettings(
        path(config.bird.ipv4, CALICO_BIRD),
        path(config.bird.ipv6, CALICO_BIRD6),
        config.bird.looking_glass,
        config.bird.version,
    )


def _speaker(
    config: written.DaemonConfig, secrets: Mapping[str, str]
) -> SpeakerSettings:
    bgp = config.bgp
    is_hash = bgp.router_id == "hash"
    decision = bgp.decision
    options = written_options(bgp.defaults, ("bgp", "defaults"))
    return SpeakerSettings(
        asn=bgp.asn or 0,
        router_id=hashed_router_id(config.node.name)
        if is_hash
        else bgp.router_id or "",
        cluster_id=bgp.cluster_id or "",
        listen_addresses=tuple(bgp.listen.addresses),
        listen_port=bgp.listen.port,
        decision=DecisionOptions(
            always_compare_med=decision.always_compare_med,
            uses_aigp=decision.aigp,
            default_local_pref=decision.default_local_pref,
            max_ecmp=decision.max_ecmp,
            multipath_relax=decision.multipath_relax,
            prefers_oldest_external=decision.prefer_oldest_external,
            left_out=frozenset(
                step for key, step in _LEFT_OUT.items() if getattr(decision, key)
            ),
        ),
        defaults=_session("", "", bgp.asn or 0, options, secrets),
        allows_reserved=bgp.allow_reserved_ranges,
        advertisement_interval=bgp.advertisement_interval,
    )


def _peer(
    config: written.DaemonConfig, neighbour: Neighbour, secrets: Mapping[str, str]
) -> PeerSettings:
    addr = neighbour.where if isinstance(neighbour.model, Peer) else ""
    own_as = config.bgp.asn or 0
    settings = _session(neighbour.name, addr, own_as, neighbour.options, secrets)
    return replace(settings, group=neighbour.model.group or "")


def _session(
    name: str,
    addr: str,
    own_as: int,
    options: Mapping[str, Option],
    secrets: Mapping[str, str],
) -> PeerSettings:
    fields: dict[str, Any] = {"remote_as": 0, "local_as": own_as}
    for key, option in options.items():
        fields[FIELD_OF_KEY.get(key, key)] = option.value
    if isinstance(families := fields.get("families"), list):
        fields["families"] = tuple(map(_family, families))
    fields |= _remote_as(fields)
    fields["default_when"] = _prefixes(fields.get("default_when") or ())
    fields["bfd"] = bfd_settings(fields.get("bfd"), secrets)
    fields["other_as"] = own_as if fields.get("other_as") else None
    for field in ("discarded_attributes", "withdrawn_attributes"):
        fields[field] = frozenset(fields.get(field) or ())
    disabled = fields.get("disabled_capabilities") or ()
    fields["disabled_capabilities"] = frozenset(
        code for name in disabled for code in CAPABILITIES_BY_NAME[name]
    )
    for field, choice in _CHOICES.items():
        if field in fields:
            fields[field] = choice(fields[field])
    if (file := fields.pop("password_file", None)) is not None:
        fields["password"] = secrets[str(file)]
    # The keys are those of the model, whose types the validation has checked.
    return PeerSettings(name=name, remote_addr=addr, **fields)


def _remote_as(fields: Mapping[str, Any]) -> dict[str, object]:
    written, ours = fields["remote_as"], fields["local_as"]
    if isinstance(written, list):
        ranges = tuple(sorted({as_interval(item) for item in written}))
        return {"remote_as": 0, "remote_as_ranges": ranges}
    if isinstance(written, str):
        kind = AsClass(written)
        asn = ours if kind is AsClass.INTERNAL else 0
        return {"remote_as": asn, "remote_as_class": kind}
    return {}


def _family(options: FamilyOptions) -> FamilySettings:
    return FamilySettings(
        FAMILIES_BY_NAME[options.name],
        AddPathMode(options.add_path),
        options.add_path_max,
        options.max_prefixes,
        options.max_prefixes_warning,
        LimitAction(options.max_prefixes_action),
        options.max_prefixes_restart_time,
        options.max_received,
        options.max_received_warning,
        LimitAction(options.max_received_action),
        options.max_received_restart_time,
        options.max_advertised,
        options.max_advertised_warning,
        LimitAction(options.max_advertised_action),
        options.max_advertised_restart_time,
    )


def _prefix(text: str) -> tuple[Family, Nlri]:
    afi, nlri = parse_prefix(text)
    return Family(afi, SAFI_UNICAST), nlri


def _prefixes(items: Iterable[policies.PrefixRange]) -> PrefixMatch | None:
    entries = tuple(prefix_entry(each.prefix, ge=each.ge, le=each.le) for each in items)
    return PrefixMatch(entries) if entries else None


def _condition(route: written.OriginatedRoute) -> PrefixMatch | None:
    if route.when:
        return _prefixes(route.when)
    if not route.aggregate:
        return None
    afi, nlri = parse_prefix(route.prefix)
    longest = ADDRESS_OCTETS[afi] * 8
    return PrefixMatch((PrefixEntry(afi, nlri, nlri[0] + 1, longest),))


def _routes(routes: written.Routes) -> RouteSettings:
    originated = [
        OriginatedRoute(
            *_prefix(each.prefix),
            is_blackhole=each.blackhole,
            next_hop=b"" if each.next_hop is None else parse_address(each.next_hop),
            origin=_origin(each.origin),
            local_pref=each.local_pref,
            med=each.med,
            weight=each.weight,
            prepend=tuple(each.prepend),
            communities=tuple(map(parse_community, each.communities)),
            large_communities=tuple(map(parse_large_community, each.large_communities)),
            ext_communities=tuple(map(parse_ext_community, each.ext_communities)),
            when=_condition(each),
            is_aggregate=each.aggregate,
            is_summary_only=each.summary_only,
            is_fallback=each.fallback,
        )
        for each in routes.originate
    ]
    learn = routes.learn
    return RouteSettings(
        originated=tuple(sorted(originated, key=lambda each: (each.family, each.nlri))),
        holds_cluster_routes=routes.cluster,
        learn=LearnSettings(
            is_enabled=learn.enabled,
            protocols=tuple(sorted(learn.protocols)),
            interfaces=tuple(sorted(learn.interfaces)),
            prefixes=tuple(sorted(map(_prefix, learn.prefixes))),
        ),
        direct=_direct(routes.direct),
    )


def _direct(direct: written.Direct) -> DirectSettings:
    return DirectSettings(
        interfaces=tuple(direct.interfaces),
        families=tuple(sorted(FAMILIES_BY_NAME[name] for name in direct.families)),
        prefixes=tuple(sorted(map(_prefix, direct.prefixes))),
    )


def _datastore(
    datastore: written.Datastore, secrets: Mapping[str, str]
) -> DatastoreSettings:
    password = datastore.password or ""
    if datastore.password_file is not None:
        password = secrets[datastore.password_file]
    return DatastoreSettings(
        kind=DatastoreKind(datastore.type),
        endpoints=tuple(datastore.endpoints),
        ca_file=datastore.ca_file,
        cert_file=datastore.cert_file,
        key_file=datastore.key_file,
        username=datastore.username,
        password=password,
        path=datastore.path,
        api_group=datastore.api_group,
        reads_needed_nodes=datastore.nodes == "needed",
        nodes_check_time=datastore.nodes_check_time,
        removal_hold=datastore.removal_hold,
        saved_state=datastore.saved_state,
        saved_state_max_age=datastore.saved_state_max_age,
    )


def _api(config: written.Api) -> ApiSettings:
    host, _, port = (config.listen or ":0").rpartition(":")
    others = config.model_dump(exclude={"listen"})
    return ApiSettings(host.strip("[]"), int(port), **others)


def _metrics(config: written.Metrics) -> MetricsSettings:
    host, _, port = (config.listen or ":0").rpartition(":")
    others = config.model_dump(exclude={"listen"})
    return MetricsSettings(host.strip("[]"), int(port), **others)


def _policy(name: str, policy: policies.PolicyModel) -> PolicySpec:
    terms = enumerate(policy.terms, 1)
    return PolicySpec(
        name,
        tuple(
            Term(
                term.name or f"term {number}",
                Outcome(term.action),
                _match(term.match),
                _actions(term.set),
            )
            for number, term in terms
        ),
        accepts_unmatched=policy.default == "accept",
    )


def _match(match: policies.TermMatch) -> Match:
    next_hops = tuple(map(_inside, match.next_hops))
    kinds = (SourceKind[each.upper()] for each in match.sources)
    communities = {
        f"{kind.field}{suffix}": frozenset(map(kind.parse, listed))
        for kind in KINDS
        for asked in (getattr(match, kind.field),)
        for quantity, suffix in _SUFFIXES.items()
        if (listed := getattr(asked, quantity)) is not None
    }
    return Match(
        prefixes=_prefixes(match.prefixes),
        family=None if match.family is None else FAMILIES_BY_NAME[match.family],
        source_kinds=frozenset(kinds),
        interface=match.interface or "",
        origins=frozenset(map(_origin, match.origins)),
        as_path_regex=match.as_path or "",
        as_path_prefix=tuple(match.as_path_prefix),
        neighbour_as=frozenset(match.neighbor_as),
        origin_as=frozenset(match.origin_as),
        next_hops=PrefixMatch(next_hops) if next_hops else None,
        local_pref=_bounds(match.local_pref),
        med=_bounds(match.med),
        **communities,  # fields of Match by their names
    )


def _origin(name: str) -> int:
    return ORIGIN_NAMES.index(name.upper())


def _inside(prefix: str) -> PrefixEntry:
    afi, nlri = parse_prefix(prefix)
    return PrefixEntry(afi, nlri, nlri[0], ADDRESS_OCTETS[afi] * 8)


def _bounds(numbers: policies.NumberRange | None) -> Bounds | None:
    return None if numbers is None else Bounds(numbers.min, numbers.max)


def _next_hop(written: str | None) -> bytes | NextHopRule | None:
    if written is None:
        return None
    return _NEXT_HOP_RULES.get(written) or parse_address(written)


def _actions(changes: policies.TermChanges) -> Actions:
    communities: dict[str, object] = {}
    for kind in KINDS:
        change = getattr(changes, kind.field)
        if change.set is not None:
            communities[f"set_{kind.field}"] = tuple(map(kind.parse, change.set))
        communities[f"remove_{kind.field}"] = frozenset(map(kind.parse, change.remove))
        communities[f"add_{kind.field}"] = tuple(map(kind.parse, change.add))
    return Actions(
        origin=None if changes.origin is None else _origin(changes.origin),
        local_pref=changes.local_pref,
        med=changes.med,
        removes_med=changes.remove_med,
        next_hop=_next_hop(changes.next_hop),
        weight=changes.weight,
        prepend=tuple(changes.prepend),
        **communities,  # type: ignore[arg-type]  # fields of Actions by their names
    )
