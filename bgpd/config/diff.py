"""The steps from one configuration to another, and their costs. Pure.

``diff`` compares settings, ``apply`` does on settings what the daemon does for real; so
``apply(diff(a, b), a) == b`` holds and proves that no difference is forgotten. Peers are
identified by address, ranges by prefix, policies by name. Steps that take away come
first, so that an address can move from one peer to another.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeVar

from bgpd.config.key_names import differing, key_of, option_of
from bgpd.config.settings import DaemonSettings
from bgpd.session.ranges import RangeTable
from bgpd.session.settings import (
    LIVE,
    REFRESHES,
    ChangeCost,
    FamilySettings,
    PeerSettings,
    RangeSettings,
)
from bgpd.session.zones import split_zone
from rib.policy import PolicySpec

COMPARED: Final = 128  # neighbours compared between yield points; a millisecond
_SHOWN: Final = 8  # addresses in a step's line


class StepKind(Enum):
    """The kind of object that a step changes."""

    PEER = "peer"
    RANGE = "range"
    POLICY = "policy"
    SECTION = "section"


class Change(Enum):
    """The kind of change."""

    REMOVE = "remove"
    SET = "change"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        kind: Which part of the settings.
        change: Added, removed or changed.
        name: Address of a peer, prefix of a range, name of a policy or of a field of
            ``DaemonSettings``.
        cost: What it costs the sessions concerned: the dearest of ``keys``.
        keys: Fields that differ, inner ones of sections with dots; empty for what is added or
            removed.
        value: The new value; ``None`` where it is removed.
        refreshed: Addresses of peers whose routes are requested or sent again because
            this policy is theirs.
        needs_restart: Takes effect only at the next start of the daemon.
        range_name: The range that a neighbour is in from now on, or was, where its session
            goes on.
    """

    kind: StepKind
    change: Change
    name: str
    cost: ChangeCost
    keys: tuple[str, ...] = ()
    value: object = None
    refreshed: tuple[str, ...] = ()
    needs_restart: bool = False
    range_name: str = ""

    @property
    def shown_keys(self) -> tuple[str, ...]:
        """What differs, as users write it; keys of sections with the section before."""
        if self.kind is not StepKind.SECTION:
            return tuple(dict.fromkeys(map(option_of, self.keys)))
        names = (
            (f"{self.name}.{key}" for key in self.keys) if self.keys else (self.name,)
        )
        return tuple(dict.fromkeys(map(key_of, names)))

    def __str__(self) -> str:
        """Return the line of a reload's plan."""
        shown, name = self.shown_keys, self.name
        if self.kind is StepKind.SECTION:
            name = shown[0].partition(".")[0]
            shown = tuple(key.partition(".")[2] for key in shown)
        text = f"{self.change.value} {self.kind.value} {name}"
        if shown:
            text += f" ({', '.join(shown)})"
        if self.refreshed:
            text += f" for {', '.join(self.refreshed[:_SHOWN])}"
            if (more := len(self.refreshed) - _SHOWN) > 0:
                text += f" and {more} more"
        if self.range_name:
            text += f", {_IN_RANGE[self.change]} range {self.range_name}"
        if self.needs_restart:
            return f"{text}: at the next start"
        return f"{text}: {_COST_TEXT[self.cost]}"


_COST_TEXT: Final = MappingProxyType(
    {
        ChangeCost.LIVE: "live",
        ChangeCost.REFRESH: "refreshes routes",
        ChangeCost.RESET: "resets sessions",
    }
)
_IN_RANGE: Final = MappingProxyType(
    {
        Change.REMOVE: "from now on in",
        Change.ADD: "so far in",
    }
)
_NAMED: Final = MappingProxyType(
    {
        StepKind.PEER: "address",
        StepKind.RANGE: "prefix",
        StepKind.POLICY: "policy",
        StepKind.SECTION: "key",
    }
)
_BY_COST: Final = (ChangeCost.LIVE, ChangeCost.REFRESH, ChangeCost.RESET)

SECTION_COSTS: Final[Mapping[str, ChangeCost]] = MappingProxyType(
    {
        "speaker.asn": ChangeCost.RESET,
        "speaker.router_id": ChangeCost.RESET,
        "speaker.cluster_id": ChangeCost.REFRESH,
    }
)
"""Fields of sections that cost sessions something; all others are live."""

RESTARTS: Final = frozenset(
    {
        "api",
        "bird",
        "calico",
        "control_path",
        "datastore",
        "fib",
        "kubernetes",
        "metrics",
        "node_name",
        "resolves_by_default_route",
        "restart",
        "trusts_next_hops",
    }
)
"""Sections that the daemon reads only when it starts."""

LIVE_KEYS: Final = frozenset(
    {"datastore.removal_hold", "fib.persist", "metrics.propagation"}
)
"""Fields of these sections that are followed all the same."""

_COLLECTIONS: Final = frozenset({"peers", "ranges", "policies"})


def step_fields(step: Step | None) -> dict[str, str]:
    """Return what a log line about a step names; nothing for a line about none."""
    if step is None:
        return {}
    found = {"kind": step.kind.value, _NAMED[step.kind]: step.name}
    if isinstance(step.value, PeerSettings):
        found["peer"] = step.value.name
    elif isinstance(step.value, RangeSettings):
        found["range"] = step.value.name
    if step.range_name:
        found["range"] = step.range_name
    return found


def diff(old: DaemonSettings, new: DaemonSettings) -> list[Step]:
    """Return the steps from ``old`` to ``new``, in the order to be done."""
    return in_order(step for step in find_steps(old, new) if step is not None)


def pending(running: DaemonSettings, wanted: DaemonSettings) -> tuple[str, ...]:
    """Return changed keys that only a start reads, such as ``fib.table``."""
    return tuple(
        key
        for step in _sections(running, wanted)
        if step.needs_restart
        for key in step.shown_keys
    )


def in_order(steps: Iterable[Step]) -> list[Step]:
    """Return steps in the order to be done."""
    return sorted(steps, key=_turn)


def find_steps(old: DaemonSettings, new: DaemonSettings) -> Iterator[Step | None]:
    """Yield the steps from ``old`` to ``new`` as they are found, in any order.

    ``None`` is a yield point: comparing thousands of peers takes a while.
    """
    yield from _sections(old, new)
    yield from _policies(old, new)
    yield from _peers(old.peers, new.peers)
    yield from _ranges(old.ranges, new.ranges)


def _turn(step: Step) -> tuple[int, int]:
    """Order steps: a policy comes before the peers that name it and goes after them."""
    if step.kind is StepKind.POLICY and step.change is Change.REMOVE:
        return _LAST, 0
    is_neighbor = step.kind in (StepKind.PEER, StepKind.RANGE)
    return _KINDS.index(step.kind), _CHANGES.index(step.change) if is_neighbor else 0


def _peers(
    old: Iterable[PeerSettings], new: Iterable[PeerSettings]
) -> Iterator[Step | None]:
    before = {peer.remote_addr: peer for peer in old}
    after = {peer.remote_addr: peer for peer in new}
    yield from _compare(StepKind.PEER, before, after, peer_change)


def peer_change(
    old: PeerSettings, new: PeerSettings
) -> tuple[ChangeCost, tuple[str, ...]]:
    """Return what going from ``old`` to ``new`` costs, and the fields that differ."""
    keys = _differing(old, new)
    costs = [_field_cost(key, old, new) for key in keys]
    return dearest(costs), keys


def dearest(costs: Iterable[ChangeCost]) -> ChangeCost:
    """Return the highest of some costs; without any, the lowest."""
    return max(costs, key=_BY_COST.index, default=ChangeCost.LIVE)


def handover_change(
    old: PeerSettings, new: PeerSettings, peer_as: int = 0, local_addr: str = ""
) -> tuple[ChangeCost, tuple[str, ...]]:
    """Return the cost of new settings for a dynamic neighbour, and the fields that differ.

    Settings that only say how a session may come about make no difference to one that is
    there and fits them: which AS may come, from where, and to which port we would connect.

    Args:
        old: Its settings so far, or its range's.
        new: Those of its range, of another one, or of the peer it is from now on.
        peer_as: Its AS on the session that it has; 0 where that is not known.
        local_addr: Our address on that session; empty where that is not known.
    """
    fitting = replace(old, port=new.port)
    if new.accepts_as(peer_as) if peer_as else new.accepted_as == "any":
        fitting = replace(
            fitting,
            remote_as=new.remote_as,
            remote_as_class=new.remote_as_class,
            remote_as_ranges=new.remote_as_ranges,
        )
    if new.local_addr in ("", local_addr, split_zone(local_addr)[0]):
        fitting = replace(fitting, local_addr=new.local_addr)
    return peer_change(fitting, new)


def field_cost(key: str) -> ChangeCost:
    """Return the cost of changing one field of a peer or of one of its families."""
    if key in _FAMILY_COSTS:
        return _FAMILY_COSTS[key]
    if key in LIVE:
        return ChangeCost.LIVE
    return ChangeCost.REFRESH if key in REFRESHES else ChangeCost.RESET


def apply(steps: Iterable[Step], settings: DaemonSettings) -> DaemonSettings:
    """Return ``settings`` after ``steps``."""
    peers = {peer.remote_addr: peer for peer in settings.peers}
    ranges = {each.prefix: each for each in settings.ranges}
    policies = {each.name: each for each in settings.policies}
    sections: dict[str, object] = {}
    tables: dict[StepKind, dict[str, object]] = {
        StepKind.PEER: {**peers},
        StepKind.RANGE: {**ranges},
        StepKind.POLICY: {**policies},
        StepKind.SECTION: sections,
    }
    for step in steps:
        if step.change is Change.REMOVE:
            del tables[step.kind][step.name]
        else:
            tables[step.kind][step.name] = step.value
    collections = {
        "peers": tables[StepKind.PEER],
        "ranges": tables[StepKind.RANGE],
        "policies": tables[StepKind.POLICY],
    }
    for name, table in collections.items():
        sections[name] = tuple(value for _, value in sorted(table.items()))
    # The names are those of the settings' fields, since the steps were made from them.
    return replace(settings, **sections)  # type: ignore[arg-type]


_CHANGES: Final = (Change.REMOVE, Change.SET, Change.ADD)
_KINDS: Final = (StepKind.SECTION, StepKind.POLICY, StepKind.PEER, StepKind.RANGE)
_LAST: Final = len(_KINDS)


def _differing(old: object, new: object) -> tuple[str, ...]:
    names = (each.name for each in fields(old))  # type: ignore[arg-type] # dataclasses
    return tuple(name for name in names if getattr(old, name) != getattr(new, name))


def _field_cost(key: str, old: PeerSettings, new: PeerSettings) -> ChangeCost:
    if key == "families":
        return _families_cost(old.families, new.families)
    return field_cost(key)


_FAMILY_COSTS: Final = MappingProxyType(
    {
        "add_path": ChangeCost.RESET,  # the capability is negotiated, RFC 7911 4
        "add_path_max": ChangeCost.REFRESH,
        "max_prefixes": ChangeCost.LIVE,
        "max_prefixes_warning": ChangeCost.LIVE,
        "max_prefixes_action": ChangeCost.LIVE,
        "max_prefixes_restart_time": ChangeCost.LIVE,
        "max_received": ChangeCost.LIVE,
        "max_received_warning": ChangeCost.LIVE,
        "max_received_action": ChangeCost.LIVE,
        "max_received_restart_time": ChangeCost.LIVE,
        "max_advertised": ChangeCost.REFRESH,
        "max_advertised_warning": ChangeCost.LIVE,
        "max_advertised_action": ChangeCost.REFRESH,
        "max_advertised_restart_time": ChangeCost.LIVE,
    }
)


def _families_cost(
    old: tuple[FamilySettings, ...], new: tuple[FamilySettings, ...]
) -> ChangeCost:
    before = {each.family: each for each in old}
    after = {each.family: each for each in new}
    if before.keys() != after.keys():
        return ChangeCost.RESET
    costs = (
        _FAMILY_COSTS[key]
        for family, settings in before.items()
        for key in _differing(settings, after[family])
    )
    return dearest(costs)


_T = TypeVar("_T", PeerSettings, RangeSettings, PolicySpec)


def _compare(
    kind: StepKind,
    before: Mapping[str, _T],
    after: Mapping[str, _T],
    change: Callable[[_T, _T], tuple[ChangeCost, tuple[str, ...]]],
) -> Iterator[Step | None]:
    for name in sorted(before.keys() - after.keys()):
        yield Step(kind, Change.REMOVE, name, ChangeCost.RESET)
    yield None
    for number, name in enumerate(sorted(before.keys() & after.keys())):
        if before[name] != after[name]:
            cost, keys = change(before[name], after[name])
            yield Step(kind, Change.SET, name, cost, keys, after[name])
        elif number % COMPARED == COMPARED - 1:
            yield None
    for name in sorted(after.keys() - before.keys()):
        yield Step(kind, Change.ADD, name, ChangeCost.LIVE, value=after[name])


def _range_change(
    old: RangeSettings, new: RangeSettings
) -> tuple[ChangeCost, tuple[str, ...]]:
    cost, _ = handover_change(old.template, new.template)
    template_keys = _differing(old.template, new.template)
    own = tuple(key for key in _differing(old, new) if key != "template")
    return cost, (*own, *template_keys)


def _ranges(
    old: Iterable[RangeSettings], new: Iterable[RangeSettings]
) -> Iterator[Step | None]:
    before = {each.prefix: each for each in old}
    after = {each.prefix: each for each in new}
    is_other = before.keys() != after.keys()
    those = yield from _table(before.values() if is_other else ())
    these = yield from _table(after.values() if is_other else ())
    for step in _compare(StepKind.RANGE, before, after, _range_change):
        # The neighbours go on under the range whose prefix is the longest by then.
        if step is not None and step.change is Change.REMOVE:
            wider = these.of(step.name)
            yield _moved(step, before[step.name], wider, wider)
        elif step is not None and step.change is Change.ADD:
            wider = those.of(step.name)
            yield _moved(step, wider, after[step.name], wider)
        else:
            yield step


def _table(ranges: Iterable[RangeSettings]) -> Generator[None, None, RangeTable]:
    """Return ranges as a table, in steps."""
    table = RangeTable()
    for number, each in enumerate(ranges):
        table.set(each)
        if number % COMPARED == COMPARED - 1:
            yield None
    return table


def _moved(
    step: Step,
    old_range: RangeSettings | None,
    new_range: RangeSettings | None,
    wider: RangeSettings | None,
) -> Step:
    """Return the step of a range that comes or goes while a wider one is there."""
    if old_range is None or new_range is None or wider is None:
        return step
    cost, keys = handover_change(old_range.template, new_range.template)
    return replace(step, cost=cost, keys=keys, range_name=wider.name)


def _policies(old: DaemonSettings, new: DaemonSettings) -> Iterator[Step | None]:
    before = {each.name: each for each in old.policies}
    after = {each.name: each for each in new.policies}
    users: dict[str, list[str]] | None = None
    for step in _compare(StepKind.POLICY, before, after, _policy_change):
        if step is None:
            yield None
            continue
        # No peer can name a policy that is gone, and a peer that begins to name a new one
        # changes too and is refreshed for that.
        if step.change is not Change.SET:
            yield replace(step, cost=ChangeCost.LIVE)
            continue
        if users is None:
            users = _users(new.peers)
        refreshed = tuple(users.get(step.name, ()))
        yield replace(step, cost=ChangeCost.REFRESH, refreshed=refreshed)


def _users(peers: Iterable[PeerSettings]) -> dict[str, list[str]]:
    """Return the addresses of the peers that name each policy."""
    users: dict[str, list[str]] = {}
    for peer in peers:
        for name in {peer.import_policy, peer.export_policy, peer.default_policy}:
            users.setdefault(name, []).append(peer.remote_addr)
    return users


def _policy_change(
    old: PolicySpec, new: PolicySpec
) -> tuple[ChangeCost, tuple[str, ...]]:
    return ChangeCost.REFRESH, _differing(old, new)


def _is_live(section: str, keys: tuple[str, ...]) -> bool:
    return bool(keys) and LIVE_KEYS.issuperset(f"{section}.{key}" for key in keys)


def _sections(old: DaemonSettings, new: DaemonSettings) -> Iterator[Step]:
    for name in _differing(old, new):
        if name in _COLLECTIONS:
            continue
        before, after = getattr(old, name), getattr(new, name)
        keys = tuple(differing(before, after)) if is_dataclass(before) else ()
        costs = (SECTION_COSTS.get(f"{name}.{key}", ChangeCost.LIVE) for key in keys)
        yield Step(
            StepKind.SECTION,
            Change.SET,
            name,
            dearest(costs),
            keys,
            after,
            needs_restart=name in RESTARTS and not _is_live(name, keys),
        )
