"""Removals that no operator can mean are held, all others are not."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.keys import affinity_key, resource_key
from bgpd.calico.plausible import EventGuard
from bgpd.calico.removals import LONGEST, SETTLE, SOON, STRAGGLERS, Cause
from bgpd.texts.limits import VALUE

HOLD = 600.0
OWN = resource_key("Node", "n0")
RESERVATION = resource_key("IPReservation", "r")  # nothing follows from it
DEFAULT = resource_key("BGPConfiguration", "default")


def spec(**fields: Any) -> bytes:
    return json.dumps({"spec": fields}).encode()


def nodes(count: int, first: int = 0) -> dict[str, bytes]:
    return {
        resource_key("Node", f"n{i}"): spec(bgp={"ipv4Address": f"10.0.0.{i + 1}/24"})
        for i in range(first, first + count)
    }


def peers(*names: str, **fields: Any) -> dict[str, bytes]:
    return {resource_key("BGPPeer", name): spec(**fields) for name in names}


def pools(*names: str) -> dict[str, bytes]:
    return {resource_key("IPPool", name): spec(cidr="10.1.0.0/16") for name in names}


def blocks(node: str, count: int, state: str = "confirmed") -> dict[str, bytes]:
    value = json.dumps({"state": state}).encode()
    return {affinity_key(node, f"10.1.{i}.0/26"): value for i in range(count)}


def filters(*names: str) -> dict[str, bytes]:
    return {resource_key("BGPFilter", name): spec() for name in names}


class Source:
    """A datastore whose events pass a guard; ``seen`` is what a consumer knows."""

    def __init__(self, *parts: Mapping[str, bytes], hold: float = HOLD) -> None:
        self.guard = EventGuard("n0", hold)
        self.now = 1000.0
        self.items: dict[str, bytes] = {}
        self.seen: dict[str, bytes] = {}
        self.revision = 0
        for part in parts:
            self.items |= part
        self.start = dict(self.items)
        self.snapshot()

    def snapshot(self) -> DatastoreEvent:
        self.revision += 1
        return self._deliver(Snapshot(self.revision, dict(self.items)))

    def put(self, *parts: Mapping[str, bytes]) -> DatastoreEvent:
        puts: dict[str, bytes] = {}
        for part in parts:
            puts |= part
        return self.change(puts, ())

    def delete(self, *keys: str) -> DatastoreEvent:
        return self.change({}, keys)

    def change(
        self, puts: Mapping[str, bytes], deletes: Iterable[str]
    ) -> DatastoreEvent:
        self.revision += 1
        self.items |= puts
        for key in deletes:
            self.items.pop(key, None)
        return self._deliver(Changes(self.revision, puts, frozenset(deletes)))

    def wait(self, seconds: float) -> None:
        """Let time go by, waking up at every deadline."""
        until = self.now + seconds
        while (due := self.guard.removals.due) is not None and due <= until:
            self.now = max(self.now, due)
            self._fold(self.guard.advance(self.now))
        self.now = until

    @property
    def held(self) -> set[str]:
        return {
            key
            for hold in self.guard.removals.holds
            for items in hold.held.values()
            for key in items
        }

    def causes(self) -> list[Cause]:
        return [note.cause for note in self.guard.removals.drain_notes()]

    def _deliver(self, event: DatastoreEvent) -> DatastoreEvent:
        plausible = self.guard.take(event, self.now)
        self._fold(plausible)
        return plausible

    def _fold(self, event: DatastoreEvent | None) -> None:
        if isinstance(event, Snapshot):
            self.seen = dict(event.items)
        elif event is not None:
            self.seen |= event.puts
            for key in event.deletes:
                self.seen.pop(key, None)


def a_cluster(**options: Any) -> Source:
    return Source(
        nodes(50),
        peers("a", "b", filters=["guard"]),
        pools("one"),
        filters("guard", "unused"),
        blocks("n0", 2),
        {DEFAULT: spec(asNumber=64600)},
        {resource_key("ClusterInformation", "default"): spec(calicoVersion="v3.32.0")},
        {RESERVATION: spec()},
        **options,
    )


# -- what is held ---------------------------------------------------------------------


IMPLAUSIBLE = {
    "own node": [*nodes(1)],
    "own node beside another": [*nodes(2)],
    "all other nodes": [*nodes(49, 1)],
    "most other nodes": [*nodes(25, 1)],
    "the configuration": [DEFAULT],
    "the cluster information": [resource_key("ClusterInformation", "default")],
    "all peers": [*peers("a", "b")],
    "the only pool": [*pools("one")],
    "all own affinities": [*blocks("n0", 2)],
    "a filter that peers name": [*filters("guard")],
}


@pytest.mark.parametrize("gone", IMPLAUSIBLE.values(), ids=IMPLAUSIBLE)
@pytest.mark.parametrize("way", ["one event", "an event each", "snapshot"])
def test_an_implausible_removal_is_held_until_its_time_is_over(
    gone: list[str], way: str
) -> None:
    source = a_cluster()
    if way == "one event":
        event = source.delete(*gone)
        assert event == Changes(source.revision, {}, frozenset())  # it was seen
    elif way == "an event each":
        for key in gone:
            source.wait(SETTLE / 50)
            source.delete(key)
    else:
        for key in gone:
            del source.items[key]
        source.snapshot()
    source.wait(HOLD)
    assert source.seen == source.start
    assert source.held == {*gone}
    assert source.causes() == [Cause.IMPLAUSIBLE]
    source.wait(SETTLE)
    assert source.seen == source.items
    assert source.causes() == [Cause.EXPIRED]
    assert source.guard.removals.due is None


def test_an_empty_snapshot_holds_everything_that_counts() -> None:
    source = a_cluster()
    source.items.clear()
    source.snapshot()
    source.wait(SETTLE)
    assert source.start.keys() - source.seen.keys() == {RESERVATION}


def test_a_snapshot_that_was_cut_short_is_held() -> None:
    source = Source(nodes(2000))
    source.items = dict(list(source.items.items())[:1400])
    source.snapshot()
    source.wait(SETTLE)
    assert source.seen == source.start


def test_whatever_an_old_copy_lacks_is_held() -> None:
    """Nodes that joined since the copy was made are there all the same."""
    source = a_cluster()
    (lost,) = nodes(1, 7)
    source.put({lost: source.start[lost]})
    del source.items[lost]
    source.revision = 0
    source.snapshot()
    source.wait(SETTLE * 2)
    assert source.seen == source.start
    assert source.held == {lost}
    source.delete(*nodes(1, 8))  # what is removed there later is as plausible as ever
    source.wait(SETTLE * 2)
    assert source.held == {lost}
    assert source.seen == source.items | {lost: source.start[lost]}


def test_a_datastore_that_was_empty_from_the_start_is_believed() -> None:
    source = Source()
    assert source.seen == {}
    assert source.guard.removals.due is None


def test_a_slow_mass_removal_is_held_as_a_whole() -> None:
    source = Source(nodes(11))
    for key in [*nodes(10, 1)][:6]:
        source.delete(key)
        source.wait(SETTLE * 0.8)
    assert source.seen == source.start
    source.wait(SETTLE)
    assert len(source.held) == 6


def test_what_follows_an_implausible_removal_belongs_to_it() -> None:
    source = a_cluster()
    for _ in range(int(LONGEST / SETTLE) + 8):
        source.delete(next(key for key in nodes(49, 1) if key in source.items))
        source.delete(OWN)
        source.wait(SETTLE * 0.9)
    assert source.seen == source.start
    assert len(source.guard.removals.holds) == 1


def test_a_node_without_bgp_addresses_is_as_good_as_gone() -> None:
    source = a_cluster()
    for hollow in (b'{"spec":{}}', b'{"spec":{"bgp":{}}}', b'{"spec":{"bgp":null}}'):
        source.put({OWN: hollow})
    source.wait(SETTLE)
    assert source.seen == source.start
    assert source.held == {OWN}
    source.wait(HOLD)
    assert source.seen[OWN] == hollow


def test_a_node_that_should_name_its_blocks_is_gone_without_them() -> None:
    guard = EventGuard("n0", HOLD, uses_pod_cidrs=True)
    bgp = {"ipv4Address": "10.0.0.1/24"}
    whole, hollow = (
        json.dumps({"spec": {"bgp": bgp}, "status": {"podCIDRs": cidrs}}).encode()
        for cidrs in (["10.1.0.0/24"], [])
    )
    young = Changes(1, {OWN: spec(bgp=bgp)}, frozenset())  # before it has any
    assert guard.take(young, 0) is young
    guard.take(Changes(2, {OWN: whole}, frozenset()), 0)
    for value in (hollow, spec(bgp=bgp)):
        assert guard.take(Changes(3, {OWN: value}, frozenset()), 0).revision == 3
        assert dict(guard.removals.kept()) == {OWN: whole}
    guard.take(Changes(4, {OWN: whole}, frozenset()), 0)
    assert guard.removals.due is None


def test_affinities_that_are_marked_as_deleted_are_as_good_as_gone() -> None:
    source = a_cluster()
    marked = dict.fromkeys(blocks("n0", 2), b'{"state":"confirmed","deleted":true}')
    source.put(marked)
    source.wait(SETTLE)
    assert source.seen == source.start
    source.guard.removals.confirm(source.now)
    source.wait(0)
    assert source.seen == source.start | marked


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b'{"spec":7}',
        b'{"spec":{"bgp":[]}}',
        b"\xff",
        b'{"spec":{},"status":NaN}',
        b'{"spec":{},"status":"%s"}' % (b"a" * VALUE.octets),
    ],
    ids=range(8),
)
def test_a_node_that_cannot_be_read_is_the_states_to_judge(value: bytes) -> None:
    source = a_cluster()
    event = source.put({OWN: value})
    assert isinstance(event, Changes)
    assert event.puts == {OWN: value}


def test_the_last_peer_is_held_where_no_mesh_makes_sessions() -> None:
    mesh_off = {DEFAULT: spec(nodeToNodeMeshEnabled=False)}
    reflector = spec(
        bgp={"ipv4Address": "10.0.0.1", "routeReflectorClusterID": "1.1.1.1"}
    )
    for part in (mesh_off, {OWN: reflector}):
        source = Source(nodes(3), peers("only"), part)
        source.delete(*peers("only"))
        source.wait(SETTLE)
        assert source.seen == source.start
    source = Source(nodes(3), peers("only"))
    source.delete(*peers("only"))
    source.wait(SETTLE)
    assert source.seen == source.items


# -- what goes through ----------------------------------------------------------------


PLAUSIBLE = {
    "a node of three": ([*nodes(3)], [*nodes(1, 1)]),
    "the other node of two": ([*nodes(2)], [*nodes(1, 1)]),
    "ten nodes of fifty": ([*nodes(50)], [*nodes(10, 1)]),
    "half of the others": ([*nodes(21)], [*nodes(10, 1)]),
    "one peer of two": ([*peers("a", "b")], [*peers("a")]),
    "one peer of one": ([*peers("a")], [*peers("a")]),
    "one pool of two": ([*pools("a", "b")], [*pools("a")]),
    "the only own affinity": ([*blocks("n0", 1)], [*blocks("n0", 1)]),
    "one affinity of two": ([*blocks("n0", 2)], [*blocks("n0", 1)]),
    "a filter that no peer names": ([*filters("a", "b")], [*filters("a")]),
}


@pytest.mark.parametrize(("before", "gone"), PLAUSIBLE.values(), ids=PLAUSIBLE)
def test_ordinary_operation_is_not_held(before: list[str], gone: list[str]) -> None:
    values = {**nodes(50), **dict.fromkeys(blocks("n0", 2), b"{}")}
    source = Source(nodes(1), {key: values.get(key, spec()) for key in before})
    source.delete(*gone)
    source.wait(SETTLE)
    assert source.seen == source.items
    assert source.causes() == []
    assert source.guard.removals.due is None


def test_without_a_removal_the_guard_hands_on_what_it_got() -> None:
    source = a_cluster()
    for event in (
        Changes(2, {OWN: spec(bgp={"ipv4Address": "10.0.0.9/24"})}, frozenset()),
        Changes(3, {"/calico/elsewhere": b"x"}, frozenset({"/calico/junk", "junk"})),
        Changes(4, {}, frozenset({RESERVATION})),
        Snapshot(5, source.items),
    ):
        assert source.guard.take(event, source.now) is event
    assert source.guard.removals.due is None


def test_a_hold_time_of_zero_lets_all_through() -> None:
    source = a_cluster(hold=0)
    source.delete(*source.start)
    assert source.seen == {}


def test_an_affinity_that_calico_gives_back_goes_at_once() -> None:
    source = Source(nodes(1), blocks("n0", 3, "pendingDeletion"))
    source.delete(*blocks("n0", 3))
    assert source.seen == source.items


def test_a_block_that_moves_away_is_not_announced_for_long() -> None:
    source = Source(nodes(3), blocks("n0", 3))
    source.delete(*blocks("n0", 1))
    source.wait(SOON)
    assert source.seen == source.items


def test_an_affinity_waits_with_what_is_removed_beside_it() -> None:
    source = a_cluster()
    source.delete(*blocks("n0", 1))
    source.wait(SOON * 0.9)
    source.delete(OWN)
    source.wait(SETTLE)
    assert source.held == {OWN, *blocks("n0", 1)}


def test_a_removal_that_is_undone_at_once_was_none() -> None:
    source = a_cluster()
    source.delete(*source.start)
    source.put(source.start)
    source.wait(SETTLE)
    assert source.seen == source.start
    assert source.causes() == []


def test_objects_that_others_replace_are_not_missing() -> None:
    source = Source(nodes(1), peers("a", "b", "c"))
    source.change(peers("d", "e", "f"), [*peers("a", "b", "c")])
    source.wait(SETTLE)
    assert source.seen == source.items


def test_a_filter_goes_with_the_only_peer_that_names_it() -> None:
    source = Source(nodes(3), peers("a", filters=["f"]), filters("f"))
    source.delete(*peers("a"), *filters("f"))
    source.wait(SETTLE)
    assert source.seen == source.items


def test_what_is_plausible_goes_through_during_a_hold() -> None:
    source = a_cluster()
    source.delete(OWN)
    source.wait(SETTLE * 3)
    source.put(nodes(1, 60), peers("a", asNumber=1))
    source.delete(*nodes(1, 1), *peers("b"))
    source.wait(SETTLE)
    assert source.seen == source.items | {OWN: source.start[OWN]}
    assert source.held == {OWN}


# -- how a hold ends ------------------------------------------------------------------


def test_what_comes_back_ends_the_hold() -> None:
    source = a_cluster()
    source.delete(*source.start)
    source.wait(HOLD / 2)
    for key, value in source.start.items():
        source.put({key: value})
    assert source.guard.removals.due is None
    assert source.seen == source.start
    assert source.causes() == [Cause.IMPLAUSIBLE, Cause.RETURNED]


def test_confirmation_ends_all_holds_at_once() -> None:
    source = a_cluster()
    source.delete(*source.start)
    source.wait(SETTLE)
    counts = source.guard.removals.confirm(source.now)
    assert sum(count.missing for count in counts) == len(source.start) - 1
    source.wait(0)
    assert source.seen == {}
    assert source.causes() == [Cause.IMPLAUSIBLE, Cause.CONFIRMED]


def test_what_is_not_judged_yet_can_be_confirmed_too() -> None:
    source = a_cluster()
    source.delete(OWN)
    assert [str(count) for count in source.guard.removals.confirm(source.now)] == [
        "own Node"
    ]
    source.wait(0)
    assert OWN not in source.seen
    source.put({OWN: source.start[OWN]})
    source.delete(OWN)  # what comes after a confirmation is a matter of its own
    source.wait(SETTLE)
    assert source.held == {OWN}


def test_the_rest_goes_once_nearly_all_is_back() -> None:
    source = a_cluster()
    lost = [*nodes(2, 10)]
    source.delete(*source.start)
    source.wait(SETTLE)
    source.put({k: v for k, v in source.start.items() if k not in lost})
    source.wait(STRAGGLERS - 1)
    assert {*lost} <= source.seen.keys()
    source.wait(1)
    assert source.seen == source.items
    assert source.causes() == [Cause.IMPLAUSIBLE, Cause.NEARLY_RETURNED]


def test_the_rest_stays_while_much_is_missing() -> None:
    source = a_cluster()
    source.delete(*source.start)
    source.wait(SETTLE)
    source.put(nodes(30))
    source.wait(STRAGGLERS * 2)
    assert source.start.keys() - source.seen.keys() == {RESERVATION}
    assert len(source.held) == len(source.start) - 1 - 30


def test_what_is_left_of_a_loss_that_is_being_undone_does_not_pass_as_little() -> None:
    source = a_cluster()
    late = [*blocks("n0", 1)]
    source.delete(*source.start)
    source.put({k: v for k, v in source.start.items() if k not in late})
    source.wait(SETTLE)
    assert source.seen == source.start
    assert source.held == {*late}
    source.wait(STRAGGLERS)
    assert source.seen == source.items
    assert source.causes() == [Cause.IMPLAUSIBLE, Cause.NEARLY_RETURNED]


def test_an_empty_configuration_does_not_make_up_for_a_full_one() -> None:
    """What calico-node makes when it starts in an empty datastore is just that."""
    source = a_cluster()
    source.delete(DEFAULT)
    source.put({DEFAULT: b'{"spec":{"asNumber":null}}'})
    source.wait(SETTLE)
    assert source.seen == source.start
    source.put({DEFAULT: spec(asNumber=64601)})
    assert source.seen == source.items
    assert source.held == set()
    source.put({DEFAULT: b'{"spec":{}}'})  # an edit of what is there is one
    assert source.seen == source.items


def test_a_filter_goes_when_no_peer_names_it_any_more() -> None:
    source = a_cluster()
    source.delete(*filters("guard"))
    source.wait(SETTLE)
    source.put(peers("a", "b"))
    source.wait(SETTLE)
    assert source.seen == source.items
    assert source.causes() == [Cause.IMPLAUSIBLE, Cause.UNUSED]


def test_snapshots_during_a_hold_do_not_end_it() -> None:
    source = a_cluster()
    source.delete(*source.start)
    source.wait(SETTLE)
    for _ in range(3):
        source.wait(HOLD / 8)
        source.snapshot()
    assert source.start.keys() - source.seen.keys() == {RESERVATION}
    source.wait(HOLD)
    assert source.seen == {}


def test_another_hold_time_counts_from_when_a_hold_began() -> None:
    source = a_cluster()
    source.delete(OWN)
    source.wait(SETTLE)
    source.guard.removals.set_hold_time(HOLD * 2)
    source.wait(HOLD * 2 - 1)
    assert OWN in source.seen
    source.guard.removals.set_hold_time(0)
    source.wait(0)
    assert OWN not in source.seen


def test_holds_are_no_more_than_there_are_kinds_of_objects() -> None:
    source = a_cluster()
    for number, key in enumerate(source.start):
        source.delete(key)
        if number % 7 == 0:
            source.wait(SETTLE * 2)
    source.wait(SETTLE)
    assert len(source.guard.removals.holds) < 12
    source.wait(HOLD)
    assert source.seen == source.items == {}


def test_the_note_says_what_is_missing() -> None:
    source = a_cluster()
    source.delete(*nodes(50), *pools("one"))
    source.wait(SETTLE)
    note = source.guard.removals.drain_notes()[0]
    assert {str(count) for count in note.counts} == {
        "own Node",
        "49 of 49 other Nodes",
        "1 of 1 IPPools",
    }
    assert note.size == 51
    assert note.seconds == HOLD
