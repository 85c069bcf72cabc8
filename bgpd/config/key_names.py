"""Configuration keys for fields of the settings: for plans, warnings and logs. Pure.

``bgpd.config.convert`` turns keys into fields, and some have other names there. This is the
way back, for reports on what differs between two settings. The session options' names are
those that conversion goes by; of the other sections, only what differs stands here, and a
test that changes each key of the model holds that the table is what conversion does.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

FIELD_OF_KEY: Final = MappingProxyType(
    {
        "as": "remote_as",
        "address": "remote_addr",
        "local_address": "local_addr",
        "passive": "is_passive",
        "client": "is_client",
        "dual_as": "other_as",
        "as_override": "overrides_as",
        "default_originate": "originates_default",
        "default_originate_when": "default_when",
        "default_originate_policy": "default_policy",
        "replace_private_as": "replaces_private_as",
        "graceful_restart": "has_graceful_restart",
        "extended_message": "has_extended_message",
        "extended_next_hop": "has_extended_next_hop",
        "role_strict": "is_role_strict",
        "allow_as_set": "allows_as_set",
        "enforce_first_as": "enforces_first_as",
        "same_domain": "is_same_domain",
        "graceful_shutdown": "obeys_graceful_shutdown",
        "discard_attributes": "discarded_attributes",
        "withdraw_attributes": "withdrawn_attributes",
        "disable_capabilities": "disabled_capabilities",
        "bfd.multihop": "bfd.is_multihop",
        "bfd.strict": "bfd.is_strict",
        "bfd.auth.type": "bfd.auth_type",
        "bfd.auth.key_id": "bfd.auth_key_id",
        "bfd.auth.password": "bfd.auth_secret",
    }
)
"""Keys in the imperative, and the settings, which read as claims, that they set."""

_OPTION_OF_FIELD: Final = MappingProxyType(
    {field: key for key, field in FIELD_OF_KEY.items()}
    | {"remote_as_class": "as", "remote_as_ranges": "as"}
    | {"accepts_unmatched": "default"}
)
_DEFAULTS: Final = "speaker.defaults."
_KEY_OF_FIELD: Final = MappingProxyType(
    {
        "node_name": "node.name",
        "speaker": "bgp",
        "speaker.asn": "bgp.as",
        "speaker.allows_reserved": "bgp.allow_reserved_ranges",
        "speaker.listen_addresses": "bgp.listen.addresses",
        "speaker.listen_port": "bgp.listen.port",
        "speaker.decision.uses_aigp": "bgp.decision.aigp",
        "speaker.decision.prefers_oldest_external": "bgp.decision.prefer_oldest_external",
        "speaker.decision.left_out.AS_PATH_LEN": "bgp.decision.ignore_as_path_length",
        "speaker.decision.left_out.INTERIOR_METRIC": "bgp.decision.ignore_interior_cost",
        "datastore.reads_needed_nodes": "datastore.nodes",
        "routes.originated": "routes.originate",
        "routes.holds_cluster_routes": "routes.cluster",
        "routes.learn.is_enabled": "routes.learn.enabled",
        "fib.is_enabled": "fib.mode",
        "fib.uses_nexthop_objects": "fib.nexthop_objects",
        "trusts_next_hops": "next_hops.resolve",
        "resolves_by_default_route": "next_hops.default_route",
        "datastore.kind": "datastore.type",
        "calico.has_add_path": "calico.add_path",
        "calico.uses_pod_cidrs": "calico.pod_cidrs",
        "calico.keeps_tunnel": "calico.tunnel",
        "kubernetes.is_enabled": "kubernetes.mode",
        "kubernetes.is_insecure": "kubernetes.insecure_skip_tls_verify",
        "kubernetes.endpoint_folder": "kubernetes.endpoint_status",
        "mrt.updates.has_sent": "mrt.updates.sent",
        "control_path": "control.path",
        "bird.ipv4_path": "bird.ipv4",
        "bird.ipv6_path": "bird.ipv6",
        "bird.looking_glass_path": "bird.looking_glass",
        "reload.watches": "reload.watch",
        "reload.allows_resets": "reload.resets",
        "restart": "graceful_restart",
        "restart.is_enabled": "graceful_restart.enabled",
        "api.address": "api.listen",
        "api.port": "api.listen",
        "metrics.address": "metrics.listen",
        "metrics.port": "metrics.listen",
    }
)


def option_of(field: str) -> str:
    """Return the key of a field of a peer, a range or a policy."""
    return _OPTION_OF_FIELD.get(field, field)


def key_of(field: str) -> str:
    """Return the key of a field of ``DaemonSettings``, both with dots before inner ones."""
    known = _KEY_OF_FIELD.get(field)
    if known is not None:
        return known
    if field.startswith(_DEFAULTS):
        return f"bgp.defaults.{option_of(field.removeprefix(_DEFAULTS))}"
    above, _, last = field.rpartition(".")
    return f"{key_of(above)}.{last}" if above else field


def differing(old: object, new: object) -> Iterator[str]:
    """Yield the fields in which two records of one kind differ, inner ones with dots."""
    for each in fields(old):  # type: ignore[arg-type]  # dataclasses
        before, after = getattr(old, each.name), getattr(new, each.name)
        if before == after:
            continue
        if is_dataclass(before) and is_dataclass(after):
            inner: Iterator[str] = differing(before, after)
        elif isinstance(before, frozenset) and isinstance(after, frozenset):
            inner = (m.name for m in before ^ after if isinstance(m, Enum))
        else:
            inner = iter(())
        names = sorted(inner)
        yield from (f"{each.name}.{name}" for name in names)
        if not names:
            yield each.name
