"""Which removals from a cluster are implausible.

One row of a table a kind of objects: how many of them may be missing at a time. The tests
count what is left, so that ten objects which ten others replace are no loss. Beside the
table two things count: whether a BGPFilter or a Secret is still referred to, and
whether sessions would be left without the last BGPPeer.

An object may also be there and say nothing any more: a Node without BGP addresses, an
affinity that is marked as deleted. That counts as its removal.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from bgpd.calico.blocks import AffinityError, parse_state
from bgpd.calico.claims import AffinityState
from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import IPAM_HOST, RESOURCES, resource_key
from bgpd.calico.needed_nodes import IsNeeded, NodeNeeds, filter_of
from bgpd.calico.removals import RemovalGuard
from bgpd.calico.slices import Slices, finish
from bgpd.texts.json_text import load
from bgpd.texts.limits import VALUE, TextError

OWN_NODE: Final = "own Node"
NODES: Final = "other Nodes"
CONFIGURATION: Final = "BGPConfiguration default"
NODE_CONFIGURATIONS: Final = "BGPConfigurations of nodes"
CLUSTER: Final = "ClusterInformation"
PEERS: Final = "BGPPeers"
FILTERS: Final = "BGPFilters"
POOLS: Final = "IPPools"
OWN_AFFINITIES: Final = "own block affinities"
AFFINITIES: Final = "block affinities of other nodes"
SECRETS: Final = "passwords"
SERVICES: Final = "Services"
SLICES: Final = "EndpointSlices"
WORKLOADS: Final = "local workloads"

_MANY: Final = 100  # objects of which a quarter is an implausible loss
_SOME: Final = 10
_SLICE: Final = 64  # objects checked in one slice, some 0.3 ms

Limit = Callable[[int, int], bool]


def _any(missing: int, total: int) -> bool:
    """Every removal."""
    return 0 < missing <= total


def _last(missing: int, total: int) -> bool:
    """The last one, and what ``_most`` says."""
    return missing == total or _most(missing, total)


def _most(missing: int, total: int) -> bool:
    """More than half and at least two; or more than a quarter, if that is many."""
    is_half = missing >= 2 and 2 * missing > total
    return is_half or (missing >= _MANY and 4 * missing > total)


def _all(missing: int, total: int) -> bool:
    """All and two at least; more than half where that is some."""
    is_whole = missing >= 2 and missing == total
    return is_whole or (missing >= _SOME and 2 * missing > total)


def _never(missing: int, total: int) -> bool:
    """None, for its number alone."""
    return missing > total


LIMITS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        OWN_NODE: _any,
        CONFIGURATION: _any,
        CLUSTER: _any,
        POOLS: _last,
        NODES: _most,
        NODE_CONFIGURATIONS: _most,
        PEERS: _most,  # and the last one, where the mesh makes no sessions
        FILTERS: _most,  # and any that a BGPPeer names
        OWN_AFFINITIES: _most,
        AFFINITIES: _most,
        SERVICES: _all,
        SLICES: _all,
        WORKLOADS: _all,
        SECRETS: _never,  # but any that a session needs
    }
)

_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bgppeers": PEERS,
        "bgpfilters": FILTERS,
        "ippools": POOLS,
        "clusterinformations": CLUSTER,
    }
)
_AFFINITY_KINDS: Final = (OWN_AFFINITIES, AFFINITIES)
_ADDRESS: Final = re.compile(rb'"ipv[46]Address"\s*:\s*"[^"]')
_DEFAULT: Final = resource_key("BGPConfiguration", "default")
_MAX_MEMO: Final = 1024  # affinities' values are a handful of texts


class ClusterRules:
    """What is plausible in the datastore of a cluster, for one of its nodes.

    Args:
        node: Its name.
        uses_pod_cidrs: Its blocks are those of its Node object.

    Attributes:
        is_needed: Says of a Node whether it would be read if it were there; ``None`` where
            all are.
    """

    def __init__(self, node: str, *, uses_pod_cidrs: bool = False) -> None:
        self.is_needed: IsNeeded | None = None
        self._uses_pod_cidrs = uses_pod_cidrs
        self._own_key = resource_key("Node", node)
        self._own_host = f"{IPAM_HOST}{node}/"
        self._states: dict[bytes, AffinityState | None] = {}

    def kind_of(self, key: str) -> str:
        """Return what people call the kind of an object; empty for one of no account."""
        if key.startswith(RESOURCES):
            plural, _, name = key[len(RESOURCES) :].partition("/")
            if plural == "nodes":
                return OWN_NODE if key == self._own_key else NODES
            if plural == "bgpconfigurations":
                return CONFIGURATION if name == "default" else NODE_CONFIGURATIONS
            return _KINDS.get(plural, "")
        if key.startswith(IPAM_HOST) and "/block/" in key:
            return OWN_AFFINITIES if key.startswith(self._own_host) else AFFINITIES
        return ""

    def is_hollow(self, kind: str, value: bytes) -> bool:
        """Return whether a node takes no part in BGP, or an affinity owns nothing.

        Nor does the own Node say anything without the blocks that it should name.
        """
        if kind == OWN_NODE and self._uses_pod_cidrs and _has_no_blocks(value):
            return True
        if kind in (OWN_NODE, NODES):
            return not _ADDRESS.search(value) and _has_no_address(value)
        return kind in _AFFINITY_KINDS and self._state(value) is None

    def is_return(self, kind: str, value: bytes, before: bytes) -> bool:
        """Return whether an object is back.

        A node that starts in an empty datastore makes an empty BGPConfiguration there,
        which says nothing of what is missing.
        """
        is_configuration = kind in (CONFIGURATION, NODE_CONFIGURATIONS)
        return not is_configuration or bool(_spec(value)) or not _spec(before)

    def is_announced(self, kind: str, key: str, value: bytes) -> bool:
        """Return whether an affinity was about to be given back, or a Node is not needed."""
        if kind in _AFFINITY_KINDS:
            return self._state(value) is AffinityState.PENDING_DELETION
        return (
            kind == NODES
            and self.is_needed is not None
            and not self.is_needed(key, value)
        )

    def is_urgent(self, kind: str) -> bool:
        """Return whether two nodes would announce one block meanwhile."""
        return kind in _AFFINITY_KINDS

    def is_implausible(
        self,
        kind: str,
        missing: Collection[str],
        in_force: Mapping[str, Mapping[str, bytes]],
        leaving: Mapping[str, Collection[str]],
    ) -> bool:
        """Return whether the removal of these is implausible; see ``Rules``.

        Constant work, but for a BGPFilter: all BGPPeers are read then.
        """
        total = len(in_force[kind])
        if LIMITS[kind](len(missing), total):
            return True
        if kind == PEERS:
            return len(missing) == total and not self._has_mesh(in_force)
        if kind == FILTERS:
            peers, gone = in_force.get(PEERS, {}).items(), leaving.get(PEERS, ())
            named = _named_filters(value for key, value in peers if key not in gone)
            return any(key.rpartition("/")[2] in named for key in missing)
        return False

    def depends_on(self, kind: str) -> str:
        """Return the kind whose removals are judged by objects of ``kind``."""
        return FILTERS if kind == PEERS else ""

    def _state(self, value: bytes) -> AffinityState | None:
        """Return how an affinity holds its block; ``None`` if it does not.

        One that is malformed stays owned.
        """
        if value in self._states:
            return self._states[value]
        try:
            state = parse_state(value)
        except AffinityError:
            return AffinityState.IMPLICIT
        if state is AffinityState.PENDING:
            state = None
        if len(self._states) < _MAX_MEMO:
            self._states[value] = state
        return state

    def _has_mesh(self, in_force: Mapping[str, Mapping[str, bytes]]) -> bool:
        """Return whether the mesh makes sessions of the own node."""
        configuration = _spec(in_force.get(CONFIGURATION, {}).get(_DEFAULT, b""))
        own = _spec(in_force.get(OWN_NODE, {}).get(self._own_key, b"")).get("bgp")
        is_reflector = isinstance(own, dict) and own.get("routeReflectorClusterID")
        return (
            configuration.get("nodeToNodeMeshEnabled") is not False and not is_reflector
        )


class SideRules:
    """What is plausible of objects that come from elsewhere than the datastore.

    A key is the kind, a slash, and what names the object among its kind.

    Attributes:
        needed: Keys of the passwords that sessions use.
    """

    def __init__(self) -> None:
        self.needed: frozenset[str] = frozenset()

    def kind_of(self, key: str) -> str:
        """Return the kind, which is what stands in front of a key's slash."""
        return key.partition("/")[0]

    def is_hollow(self, kind: str, value: object) -> bool:
        """Return false for every object: their reader decides."""
        del kind, value
        return False

    def is_return(self, kind: str, value: object, before: object) -> bool:
        """Return true: any value undoes a removal."""
        del kind, value, before
        return True

    def is_announced(self, kind: str, key: str, value: object) -> bool:
        """Return whether it is a password that no session uses."""
        del value
        return kind == SECRETS and key not in self.needed

    def is_urgent(self, kind: str) -> bool:
        """Return whether the object attracts traffic that nothing would serve."""
        return kind != SECRETS

    def is_implausible(
        self,
        kind: str,
        missing: Collection[str],
        in_force: Mapping[str, Mapping[str, object]],
        leaving: Mapping[str, Collection[str]],
    ) -> bool:
        """Return whether the removal of these is implausible; see ``Rules``."""
        del leaving
        if kind == SECRETS:
            return any(key in self.needed for key in missing)
        return LIMITS[kind](len(missing), len(in_force[kind]))

    def depends_on(self, kind: str) -> str:
        """Return that no kind's removals depend on another's."""
        del kind
        return ""


class EventGuard:
    """A cluster's events, without implausible removals.

    A Node that the datastore no longer reads because it is not needed was not removed.

    While nothing is kept apart, each event comes out as the object that went in. The work
    for ``Changes`` grows with what they name.

    Args:
        node: The own node's name.
        hold_time: Seconds for which implausible removals are held; 0 holds none.
        uses_pod_cidrs: Its blocks are those of its Node object.

    Attributes:
        removals: What is kept apart.
    """

    def __init__(
        self, node: str, hold_time: float, *, uses_pod_cidrs: bool = False
    ) -> None:
        self._rules = ClusterRules(node, uses_pod_cidrs=uses_pod_cidrs)
        self.removals = RemovalGuard[bytes](self._rules, hold_time)
        self._revision = 0
        self._needs: NodeNeeds | None = None

    def take(self, event: DatastoreEvent, now: float) -> DatastoreEvent:
        """Return what of an event counts now; that may be its revision alone."""
        return finish(self.taking(event, now))

    def taking(self, event: DatastoreEvent, now: float) -> Slices[DatastoreEvent]:
        """Do as ``take``, in slices of ``_SLICE`` objects."""
        before, self._revision = self._revision, event.revision
        if event.needs != self._needs:
            self._needs = event.needs
            is_needed = None if event.needs is None else filter_of(event.needs)
            self._rules.is_needed = is_needed
        if isinstance(event, Snapshot):
            plausible = yield from self._snapshot(event, now)
            if event.revision < before:
                self.removals.doubt()  # time went back: an old copy, or another source
            return plausible
        return (yield from self._changes(event, now))

    def advance(self, now: float) -> Changes | None:
        """Return the removals that count from now on, if there are any."""
        released = self.removals.advance(now)
        if not released:
            return None
        puts = {key: value for key, value in released if value is not None}
        deletes = frozenset(key for key, value in released if value is None)
        return Changes(self._revision, puts, deletes, self._needs)

    def _snapshot(self, event: Snapshot, now: float) -> Slices[DatastoreEvent]:
        items = event.items
        yield from self._put_all(items, now)
        yield from self._remove_all(self.removals.keys() - items.keys(), now)
        kept = dict(self.removals.kept())
        if not kept:
            return event
        return Snapshot(event.revision, {**items, **kept}, event.needs)

    def _changes(self, event: Changes, now: float) -> Slices[DatastoreEvent]:
        kept = yield from self._put_all(event.puts, now)
        kept |= yield from self._remove_all(event.deletes, now)
        if event.is_loss:
            self.removals.doubt()
        if not kept:
            return event
        puts = {key: value for key, value in event.puts.items() if key not in kept}
        return replace(event, puts=puts, deletes=event.deletes - kept)

    def _put_all(self, items: Mapping[str, bytes], now: float) -> Slices[set[str]]:
        """Take objects; return the keys of those that do not count now."""
        kept: set[str] = set()
        put = self.removals.put
        for count, (key, value) in enumerate(items.items(), 1):
            if not put(key, value, now):
                kept.add(key)
            if not count % _SLICE:
                yield
        return kept

    def _remove_all(self, keys: Iterable[str], now: float) -> Slices[set[str]]:
        """Take removals; return the keys of those that do not count now."""
        kept: set[str] = set()
        remove = self.removals.remove
        for count, key in enumerate(keys, 1):
            if not remove(key, now):
                kept.add(key)
            if not count % _SLICE:
                yield
        return kept


def _content(value: bytes) -> Any:  # noqa: ANN401  # JSON
    """Return the JSON of a value; ``None`` where it is none, or more than is taken."""
    try:
        return load(value, VALUE).value
    except TextError:
        return None


def _spec(value: bytes) -> Mapping[str, Any]:
    """Return what an object's ``spec`` says; nothing where it is malformed."""
    content = _content(value)
    spec = content.get("spec") if isinstance(content, dict) else None
    if not isinstance(spec, dict):
        return {}
    return {field: said for field, said in spec.items() if said is not None}


def _has_no_address(value: bytes) -> bool:
    """Return whether a Node is well-formed and has no BGP address.

    One that is malformed counts as it was last understood.
    """
    content = _content(value)
    for field in ("spec", "bgp"):
        if not isinstance(content, dict):
            return False
        content = content.get(field)
        if content is None:
            return True
    if not isinstance(content, dict):
        return False
    return not (content.get("ipv4Address") or content.get("ipv6Address"))


def _has_no_blocks(value: bytes) -> bool:
    """Return whether a Node is well-formed and names no prefixes for its workloads."""
    content = _content(value)
    if not isinstance(content, dict):
        return False
    status = content.get("status")
    return not (status.get("podCIDRs") if isinstance(status, dict) else status)


def _named_filters(peers: Iterable[bytes]) -> set[str]:
    """Return the filters that BGPPeers name."""
    named: set[str] = set()
    for value in peers:
        filters = _spec(value).get("filters") if b'"filters"' in value else None
        if isinstance(filters, list):
            named.update(each for each in filters if isinstance(each, str))
    return named
