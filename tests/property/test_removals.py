"""Laws of the guard: what is undone has no effect, and the last state prevails."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.calico.desired import NodeDesired
from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import affinity_key, resource_key
from bgpd.calico.plausible import ClusterRules, EventGuard
from bgpd.calico.removals import SOON
from bgpd.calico.state import ClusterState

HOLD = 600.0
RULES = ClusterRules("n0")
OWN = resource_key("Node", "n0")


def an_object(**spec: Any) -> bytes:
    return json.dumps({"spec": spec}).encode()


def a_node(number: int, **labels: str) -> bytes:
    bgp = {"ipv4Address": f"10.0.0.{number + 1}/24"}
    return json.dumps({"metadata": {"labels": labels}, "spec": {"bgp": bgp}}).encode()


def a_cluster(nodes: int, peers: int, blocks: int) -> dict[str, bytes]:
    items = {resource_key("Node", f"n{i}"): a_node(i) for i in range(nodes)}
    for i in range(peers):
        spec = {"peerIP": f"10.9.0.{i + 1}", "asNumber": 64512, "filters": ["f"]}
        items[resource_key("BGPPeer", f"p{i}")] = an_object(**spec)
    for i in range(blocks):
        items[affinity_key("n0", f"10.1.{i}.0/26")] = b'{"state":"confirmed"}'
    items[resource_key("BGPFilter", "f")] = an_object()
    items[resource_key("IPPool", "pool")] = an_object(cidr="10.1.0.0/16")
    default = resource_key("BGPConfiguration", "default")
    items[default] = an_object(asNumber=64512, listenPort=1179)
    version = resource_key("ClusterInformation", "default")
    items[version] = an_object(calicoVersion="v3.32.0")
    return items


clusters = st.builds(a_cluster, st.integers(2, 6), st.integers(0, 4), st.integers(0, 3))


class Guarded:
    """A source, and what a node makes of its events behind a guard."""

    def __init__(self, items: dict[str, bytes]) -> None:
        self.items = dict(items)
        self.guard = EventGuard("n0", HOLD)
        self.state = ClusterState()
        self.seen: dict[str, bytes] = {}
        self.now = 0.0
        self.revision = 0
        self.snapshot()

    def snapshot(self) -> None:
        self._take(Snapshot(self._next(), dict(self.items)))

    def change(self, puts: dict[str, bytes], deletes: set[str]) -> None:
        deletes -= puts.keys()
        self.items |= puts
        for key in deletes:
            self.items.pop(key, None)
        self._take(Changes(self._next(), puts, frozenset(deletes)))

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.guard.removals.due) is not None and due <= until:
            self.now = max(self.now, due)
            self._apply(self.guard.advance(self.now))
        self.now = until

    def desired(self) -> NodeDesired:
        return self.state.desired("n0")

    def _next(self) -> int:
        self.revision += 1
        return self.revision

    def _take(self, event: DatastoreEvent) -> None:
        self._apply(self.guard.take(event, self.now))

    def _apply(self, event: DatastoreEvent | None) -> None:
        if event is None:
            return
        self.state.apply(event)
        if isinstance(event, Snapshot):
            self.seen = dict(event.items)
            return
        assert not event.puts.keys() & event.deletes
        self.seen |= event.puts
        for key in event.deletes:
            self.seen.pop(key, None)


def in_pieces(data: st.DataObject, keys: list[str]) -> list[set[str]]:
    """Return the keys in some order, in some pieces."""
    rest, pieces = list(data.draw(st.permutations(keys))), []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.append(set(rest[:size]))
        del rest[:size]
    return pieces


def losses(items: dict[str, bytes]) -> st.SearchStrategy[list[str]]:
    """Return what is removed: the own Node, and whatever else."""
    others = sorted(items.keys() - {OWN})
    return st.lists(st.sampled_from(others), unique=True).map(lambda some: [OWN, *some])


@settings(max_examples=40)  # of up to 30 plans each
@given(clusters, st.data())
def test_a_mass_removal_that_is_undone_leaves_no_trace(
    items: dict[str, bytes], data: st.DataObject
) -> None:
    source, reference = Guarded(items), Guarded(items)
    before = source.desired()
    lost = data.draw(losses(items))
    settling = st.floats(0, SOON, exclude_max=True)

    def goes_on() -> None:
        now = source.desired()
        assert now.is_known
        assert {peer.remote_addr for peer in now.peers} >= {
            peer.remote_addr for peer in before.peers
        }
        assert now.originated >= before.originated
        assert now.pools.keys() >= before.pools.keys()
        assert (now.asn, now.listen_port, now.compat) == (
            before.asn,
            before.listen_port,
            before.compat,
        )

    def meanwhile() -> None:
        """What is plausible goes on, and continuity may be lost."""
        number = data.draw(st.integers(20, 25))
        key, value = resource_key("Node", f"n{number}"), a_node(number)
        for each in (source, reference):
            each.change({key: value}, set())
        if data.draw(st.booleans()):
            source.snapshot()

    for piece in in_pieces(data, lost):
        if data.draw(st.booleans()):
            source.change({}, set(piece))
        else:
            for key in piece:
                source.items.pop(key)
            source.snapshot()
        goes_on()
        source.wait(data.draw(settling))
        goes_on()
    for _ in range(data.draw(st.integers(0, 2))):
        source.wait(data.draw(st.floats(0, HOLD / 8)))
        meanwhile()
        goes_on()
    for piece in in_pieces(data, lost):
        source.change({key: items[key] for key in piece}, set())
        source.wait(data.draw(settling))
        goes_on()
    source.wait(HOLD)
    assert source.seen == source.items == reference.items
    reference.revision = source.revision
    reference.snapshot()
    source.snapshot()
    assert source.desired() == reference.desired()
    assert source.guard.removals.due is None


VALUES: tuple[Callable[[int], bytes], ...] = (
    a_node,
    lambda _: b'{"spec":{}}',
    lambda _: b'{"state":"confirmed"}',
    lambda _: b'{"state":"pendingDeletion"}',
    lambda _: b'{"state":"confirmed","deleted":true}',
    lambda _: an_object(filters=["f", "g"], asNumber=1, nodeToNodeMeshEnabled=False),
    lambda _: b"{",
    lambda _: b"",
)
keys = st.one_of(
    st.builds(lambda i: resource_key("Node", f"n{i}"), st.integers(0, 5)),
    st.builds(lambda i: affinity_key("n0", f"10.1.{i}.0/26"), st.integers(0, 3)),
    st.builds(lambda i: affinity_key("n1", f"10.2.{i}.0/26"), st.integers(0, 3)),
    st.builds(
        resource_key,
        st.sampled_from(
            ["BGPPeer", "BGPFilter", "IPPool", "BGPConfiguration", "IPReservation"]
        ),
        st.sampled_from(["f", "g", "default", "node.n0"]),
    ),
)
values = st.builds(lambda make, i: make(i), st.sampled_from(VALUES), st.integers(0, 5))
steps = st.one_of(
    st.tuples(st.just("change"), st.dictionaries(keys, values), st.sets(keys)),
    st.tuples(st.just("wipe"), st.none(), st.none()),
    st.tuples(st.just("snapshot"), st.none(), st.none()),
    st.tuples(st.just("confirm"), st.none(), st.none()),
    st.tuples(st.just("wait"), st.floats(0, HOLD / 3), st.none()),
)


def act(source: Guarded, kind: str, first: Any, second: Any) -> None:
    if kind == "change":
        source.change(dict(first), set(second))
    elif kind == "wipe":
        source.change({}, set(source.items))
    elif kind == "snapshot":
        source.snapshot()
    elif kind == "wait":
        source.wait(first)
    else:
        source.guard.removals.confirm(source.now)
        source.wait(0)
        assert source.seen == source.items


@given(st.lists(steps, max_size=30))
def test_in_the_end_a_node_has_what_its_datastore_has(
    actions: list[tuple[str, Any, Any]],
) -> None:
    source = Guarded({})
    removals = source.guard.removals
    for kind, first, second in actions:
        act(source, kind, first, second)
        kept = dict(removals.kept())
        assert source.seen == source.items | kept
        assert bool(kept) == (removals.due is not None)
        held = {
            key
            for hold in removals.holds
            for some in hold.held.values()
            for key in some
        }
        assert held <= kept.keys()
        assert len(held) == sum(map(len, removals.holds))
        assert len(kept) == len(held) + removals.waiting_count
    source.wait(3 * HOLD)
    assert source.seen == source.items
    assert removals.due is None


@given(st.lists(st.tuples(st.booleans(), st.dictionaries(keys, values)), max_size=20))
def test_without_a_removal_each_event_is_handed_on_as_it_is(
    events: list[tuple[bool, dict[str, bytes]]],
) -> None:
    guard, items = EventGuard("n0", HOLD), dict[str, bytes]()
    for revision, (is_snapshot, puts) in enumerate(events):
        sound = {
            key: value
            for key, value in puts.items()
            if not RULES.is_hollow(RULES.kind_of(key), value)
        }
        items |= sound
        event: DatastoreEvent = Changes(revision, sound, frozenset())
        if is_snapshot:
            event = Snapshot(revision, dict(items))
        assert guard.take(event, float(revision)) is event
    assert guard.removals.due is None
