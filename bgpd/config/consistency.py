"""Contradictions between values that are each valid. Pure.

Each rule yields the path it is about and what is wrong; all of them are tried, so that a
reader sees everything at once.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from bgpd.config.api_guard import missing_of_api
from bgpd.config.bfd import Bfd, auth_problem
from bgpd.config.document import format_path
from bgpd.config.fields import as_interval
from bgpd.config.inheritance import Neighbour, neighbours
from bgpd.config.model import DaemonConfig
from bgpd.config.peers import Peer, PeerRange
from bgpd.config.server_urls import server_url_problem
from bgpd.config.settings import ApiSettings
from bgpd.config.validation import did_you_mean
from bgpd.session.zones import is_link_local, split_zone
from bgpd.texts.tree import KeyPath
from rib.attributes.table import NEEDED_ATTRIBUTES
from rib.policy import BUILT_IN_POLICIES, NextHopRule, prefix_entry

Finding = tuple[KeyPath, str]

_POLICY_KEYS: Final = {
    "import_policy": "import",
    "export_policy": "export",
    "default_originate_policy": "export",
}
"""Session options that name a policy, and the direction that it is used in."""
_DIRECTION_OF: Final = {
    NextHopRule.SELF.value: ("export", "import"),
    NextHopRule.UNCHANGED.value: ("export", "import"),
    NextHopRule.PEER.value: ("import", "export"),
    NextHopRule.DISCARD.value: ("import", "export"),
}
_EXPECTED_NEXT_HOP: Final = {
    "import": "an address, peer or discard",
    "export": "an address, self or unchanged",
}

_ENDPOINT: Final = re.compile(r"https?://(?:\[[0-9a-fA-F:.]+\]|[^/:\s]+):\d{1,5}/?")

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def contradictions(
    config: DaemonConfig, place: Callable[[KeyPath], KeyPath] = lambda path: path
) -> Iterator[Finding]:
    """Yield every contradiction in ``config``.

    Args:
        config: The model.
        place: Where a path of it stands in the file, for texts that name another one.
    """
    everyone = tuple(neighbours(config))
    for rule in _NEIGHBOR_RULES:
        for neighbour in everyone:
            yield from rule(config, neighbour)
    yield from _twins(everyone, place)
    for whole in _WHOLE_RULES:
        yield from whole(config)


def _twins(
    everyone: tuple[Neighbour, ...], place: Callable[[KeyPath], KeyPath]
) -> Iterator[Finding]:
    first: dict[tuple[str, str], KeyPath] = {}
    for neighbour in everyone:
        what = "address" if isinstance(neighbour.model, Peer) else "prefix"
        for key, found in ((what, neighbour.where), ("name", neighbour.name)):
            if key == "name" and found == neighbour.where:
                continue  # the default: told as a duplicate address already
            earlier = first.setdefault((key, found), neighbour.path)
            if earlier != neighbour.path:
                where = format_path(place(earlier))
                text = f"{where} already has the {key} {found}"
                yield (*neighbour.path, key), text


def _group(config: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    group = neighbour.model.group
    if group is not None and group not in config.peer_groups:
        hint = did_you_mean(group, config.peer_groups)
        yield (*neighbour.path, "group"), f"there is no group {group!r}{hint}"


def _as_number(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    if neighbour.get("as") is None:
        text = "this key is required: the peer's AS number (a range accepts 0)"
        yield (*neighbour.path, "as"), text
    elif not isinstance(neighbour.model, Peer):
        return
    elif neighbour.get("as") == 0:
        yield neighbour.path_of("as"), "only a range accepts any AS"
    elif isinstance(neighbour.get("as"), list):
        text = "only a range accepts several AS numbers; `external` means any but ours"
        yield neighbour.path_of("as"), text


def _policies(config: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    known = {*BUILT_IN_POLICIES, *config.policies}
    for key in _POLICY_KEYS:
        name = neighbour.get(key)
        if isinstance(name, str) and name not in known:
            hint = did_you_mean(name, known)
            yield neighbour.path_of(key), f"there is no policy {name!r}{hint}"


def _timers(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    hold, keepalive = neighbour.get("hold_time"), neighbour.get("keepalive_time")
    if isinstance(hold, int) and isinstance(keepalive, int) and 0 < hold <= keepalive:
        text = (
            f"{keepalive} s between keepalives is too long for a hold time of {hold} s"
        )
        yield neighbour.path_of("keepalive_time"), text


def _stale_times(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    if (
        neighbour.get("long_lived_stale_time")
        and neighbour.get("graceful_restart") is False
    ):
        text = "needs graceful_restart (RFC 9494 4.2)"
        yield neighbour.path_of("long_lived_stale_time"), text


def _ttl(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    if neighbour.get("ttl_security_hops") and neighbour.get("multihop_ttl"):
        text = (
            "cannot be combined with ttl_security_hops, which sends a TTL of 255 "
            "(RFC 5082)"
        )
        yield neighbour.path_of("multihop_ttl"), text


def _passwords(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    if None not in (neighbour.get("password"), neighbour.get("password_file")):
        yield neighbour.path_of("password_file"), "cannot be combined with password"


def _bfd(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    bfd = neighbour.get("bfd")
    if not isinstance(bfd, Bfd):
        return
    path = neighbour.path_of("bfd")
    if bfd.strict and isinstance(neighbour.model, PeerRange):
        text = "is only for peers: a dynamic neighbour is unknown before it connects"
        yield (*path, "strict"), text
    if bfd.auth is not None and (problem := auth_problem(bfd.auth)) is not None:
        key, text = problem
        yield (*path, "auth", key), text


def _is_internal(remote: object, local: object) -> bool | None:
    """Return whether peers are of our AS; ``None`` if some may be, or if unknown."""
    if isinstance(remote, str):
        return remote == "internal"
    if not remote or not isinstance(local, int):
        return None
    if isinstance(remote, list):
        intervals = map(as_interval, remote)
        return None if any(low <= local <= high for low, high in intervals) else False
    return remote == local


def _roles(config: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    remote = neighbour.get("as")
    local = neighbour.get("local_as") or config.bgp.asn
    is_internal = _is_internal(remote, local)
    if is_internal is None:
        return
    if is_internal and neighbour.get("role") is not None:
        yield neighbour.path_of("role"), "is for eBGP sessions only (RFC 9234 4)"
    if not is_internal and neighbour.get("client"):
        text = f"a peer in another AS ({remote}, ours is {local}) cannot be a route-reflector client"
        yield neighbour.path_of("client"), text
    if not is_internal and neighbour.get("cluster_id") is not None:
        yield neighbour.path_of("cluster_id"), "is for iBGP sessions only (RFC 4456)"


def _as_numbers(config: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    if neighbour.get("replace_private_as") and neighbour.get("remove_private_as") in (
        None,
        "off",
    ):
        yield neighbour.path_of("replace_private_as"), "needs remove_private_as"
    for key in ("local_as_mode", "dual_as"):
        is_own = neighbour.path_of(key) == (*neighbour.path, key)
        is_said = is_own and neighbour.get(key) is not False
        if is_said and neighbour.get("local_as") in (None, config.bgp.asn):
            text = "needs local_as with an AS other than bgp.as"
            yield neighbour.path_of(key), text


def _default_originate(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    when = neighbour.get("default_originate_when")
    for index, item in enumerate(when if isinstance(when, list) else ()):
        try:
            prefix_entry(item.prefix, ge=item.ge, le=item.le)
        except ValueError as error:
            yield (*neighbour.path_of("default_originate_when"), index), str(error)
    if neighbour.get("default_originate"):
        return
    for key in ("default_originate_when", "default_originate_policy"):
        if neighbour.get(key) and neighbour.path_of(key) == (*neighbour.path, key):
            yield neighbour.path_of(key), "needs default_originate"


def _attributes(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    for key in ("discard_attributes", "withdraw_attributes"):
        listed = neighbour.get(key)
        for index, code in enumerate(listed if isinstance(listed, list) else ()):
            if code in NEEDED_ATTRIBUTES:
                text = f"every route needs attribute {code}"
                yield (*neighbour.path_of(key), index), text


def _capabilities(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    disabled, families = (
        neighbour.get("disable_capabilities"),
        neighbour.get("families"),
    )
    if not isinstance(disabled, list) or {"all", "multiprotocol"}.isdisjoint(disabled):
        return
    if isinstance(families, list) and {f.name for f in families} != {"ipv4-unicast"}:
        text = (
            "without the capability multiprotocol only ipv4-unicast is possible "
            "(RFC 4760)"
        )
        yield neighbour.path_of("disable_capabilities"), text


def _role_strict(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    if neighbour.get("role_strict") and neighbour.get("role") is None:
        yield neighbour.path_of("role_strict"), "needs role"


def _source_address(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    local = neighbour.get("local_address")
    if not isinstance(local, str):
        return
    if (":" in local) != (":" in neighbour.where):
        text = f"{local} cannot be the source address for {neighbour.where}"
        yield neighbour.path_of("local_address"), text


def _zone(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    """A link-local address means nothing without its link (RFC 4007)."""
    where, zone = split_zone(neighbour.where)
    if not is_link_local(where):
        return
    key = "address" if isinstance(neighbour.model, Peer) else "prefix"
    if not zone and key == "address":
        text = f"a link-local address needs an interface, such as {where}%eth0"
        yield (*neighbour.path, key), text
    interface = neighbour.get("interface")
    if zone and interface not in (None, zone):
        text = f"is {interface}, and the {key} {neighbour.where} names {zone}"
        yield neighbour.path_of("interface"), text


def _families(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    families = neighbour.get("families")
    names = [each.name for each in families] if isinstance(families, list) else []
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (*neighbour.path_of("families"), index), f"duplicate {name}"


def _limits(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    families = neighbour.get("families")
    for index, each in enumerate(families if isinstance(families, list) else []):
        for limit in ("max_prefixes", "max_received", "max_advertised"):
            has_time = getattr(each, f"{limit}_restart_time") > 0
            if has_time and getattr(each, f"{limit}_action") != "restart":
                path = (*neighbour.path_of("families"), index, f"{limit}_restart_time")
                yield path, f"needs `{limit}_action: restart`"


def _one_way(_: DaemonConfig, neighbour: Neighbour) -> Iterator[Finding]:
    if isinstance(neighbour.model, PeerRange) and neighbour.get("passive") is False:
        text = (
            "the neighbours of a range always connect to us; `on` only stops us from "
            "connecting to them after a restart"
        )
        yield neighbour.path_of("passive"), text


def _speaker(config: DaemonConfig) -> Iterator[Finding]:
    bgp = config.bgp
    if bgp.router_id == "hash" and not config.node.name:
        yield ("bgp", "router_id"), "`hash` needs node.name"
    if config.datastore.type != "none":
        return
    if bgp.asn is None:
        text = "this key is required without a datastore: our AS number"
        yield ("bgp", "as"), text
    if bgp.router_id is None:
        text = "this key is required without a datastore: four octets, or hash"
        yield ("bgp", "router_id"), text
    if config.routes.cluster:
        yield ("routes", "cluster"), "needs a datastore"


def _datastore(config: DaemonConfig) -> Iterator[Finding]:
    datastore = config.datastore
    if datastore.type == "folder" and not datastore.path:
        yield ("datastore", "path"), "type folder needs this key"
    if datastore.type != "etcd":
        return
    if not datastore.endpoints:
        yield ("datastore", "endpoints"), "type etcd needs this key"
    for index, endpoint in enumerate(datastore.endpoints):
        if not _ENDPOINT.fullmatch(endpoint):
            text = f"{endpoint!r} is not a URL such as https://10.0.0.1:2379"
            yield ("datastore", "endpoints", index), text
    if bool(datastore.cert_file) != bool(datastore.key_file):
        missing = "key_file" if datastore.cert_file else "cert_file"
        yield ("datastore", missing), "set both cert_file and key_file, or neither"
    has_password = datastore.password or datastore.password_file
    if bool(datastore.username) != bool(has_password):
        missing = "password" if datastore.username else "username"
        yield ("datastore", missing), "set both username and a password, or neither"
    if datastore.password is not None and datastore.password_file is not None:
        yield ("datastore", "password_file"), "cannot be combined with password"


def _api(config: DaemonConfig) -> Iterator[Finding]:
    host = (config.api.listen or "").rpartition(":")[0].strip("[]")
    files = config.api.model_dump(exclude={"listen"})
    for key, problem in missing_of_api(ApiSettings(host, **files)):
        yield ("api", key), problem


def _kubernetes(config: DaemonConfig) -> Iterator[Finding]:
    kubernetes = config.kubernetes
    if kubernetes.server and (problem := server_url_problem(kubernetes.server)):
        yield ("kubernetes", "server"), problem
    if bool(kubernetes.cert_file) != bool(kubernetes.key_file):
        missing = "key_file" if kubernetes.cert_file else "cert_file"
        yield ("kubernetes", missing), "set both cert_file and key_file, or neither"
    if kubernetes.ca_file and kubernetes.insecure_skip_tls_verify:
        yield (
            ("kubernetes", "insecure_skip_tls_verify"),
            "cannot be combined with ca_file",
        )
    if not _NAMESPACE.fullmatch(kubernetes.namespace):
        text = "expected a namespace such as kube-system or calico-system, found"
        yield ("kubernetes", "namespace"), f"{text} {kubernetes.namespace[:60]!r}"


def _policy_names(config: DaemonConfig) -> Iterator[Finding]:
    for name in config.policies:
        if name in BUILT_IN_POLICIES:
            yield ("policies", name), "this name belongs to a built-in policy"


def _policy_terms(config: DaemonConfig) -> Iterator[Finding]:
    for name, policy in config.policies.items():
        for number, term in enumerate(policy.terms):
            path: KeyPath = ("policies", name, "terms", number)
            for index, item in enumerate(term.match.prefixes):
                try:
                    prefix_entry(item.prefix, ge=item.ge, le=item.le)
                except ValueError as error:
                    yield (*path, "match", "prefixes", index), str(error)
            for key in ("local_pref", "med"):
                numbers = getattr(term.match, key)
                if numbers is not None and numbers.min > numbers.max:
                    yield (*path, "match", key), "min is above max"
            if term.set.med is not None and term.set.remove_med:
                yield (*path, "set", "remove_med"), "cannot be combined with med"


def _next_hop_rules(config: DaemonConfig) -> Iterator[Finding]:
    """A policy's next hop that is invalid in the direction it is used in."""
    users: dict[tuple[str, str], str] = {}
    for key, used in _POLICY_KEYS.items():
        for neighbour in neighbours(config):
            users.setdefault((used, str(neighbour.get(key))), neighbour.name)
        users.setdefault((used, str(getattr(config.bgp.defaults, key))), "bgp.defaults")
    for name, policy in config.policies.items():
        for number, term in enumerate(policy.terms):
            rule = term.set.next_hop
            direction, other = _DIRECTION_OF.get(str(rule), ("", ""))
            user = users.get((other, name))
            if direction and user is not None:
                path: KeyPath = ("policies", name, "terms", number, "set", "next_hop")
                text = (
                    f"{rule} works in {direction} policies only, but {user} uses this "
                    f"as its {other} policy; expected {_EXPECTED_NEXT_HOP[other]}"
                )
                yield path, text


def _originated(config: DaemonConfig) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, route in enumerate(config.routes.originate):
        path = ("routes", "originate", index)
        if first.setdefault(route.prefix, index) != index:
            yield (*path, "prefix"), f"duplicate {route.prefix}"
        if route.fallback and route.weight is not None:
            yield (
                (*path, "weight"),
                "cannot be combined with fallback, which always comes last",
            )
        if route.summary_only and not route.aggregate:
            yield (*path, "summary_only"), "needs aggregate"
        for number, item in enumerate(route.when):
            try:
                prefix_entry(item.prefix, ge=item.ge, le=item.le)
            except ValueError as error:
                yield (*path, "when", number), str(error)
        if route.next_hop is None:
            continue
        is_ipv4_hop = ":" not in route.next_hop
        if is_ipv4_hop and ":" in route.prefix:
            yield (*path, "next_hop"), "an IPv6 route needs an IPv6 next hop"


_NEIGHBOR_RULES: Final[
    tuple[Callable[[DaemonConfig, Neighbour], Iterator[Finding]], ...]
] = (
    _group,
    _as_number,
    _policies,
    _timers,
    _stale_times,
    _ttl,
    _passwords,
    _bfd,
    _roles,
    _role_strict,
    _as_numbers,
    _default_originate,
    _attributes,
    _capabilities,
    _source_address,
    _zone,
    _families,
    _limits,
    _one_way,
)
_WHOLE_RULES: Final[tuple[Callable[[DaemonConfig], Iterator[Finding]], ...]] = (
    _speaker,
    _datastore,
    _api,
    _kubernetes,
    _policy_names,
    _policy_terms,
    _next_hop_rules,
    _originated,
)
