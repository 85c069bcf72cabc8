"""What operators see of removals that are held."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bgpd.api.figures import Figures
from bgpd.api.metrics import render
from bgpd.api.protocol import ControlError
from bgpd.calico.keys import affinity_key, resource_key
from bgpd.calico.plausible import ClusterRules
from bgpd.calico.removal_inventory import Count
from bgpd.calico.removals import SETTLE, RemovalGuard
from bgpd.cli.details import status_page
from bgpd.config.diff import diff
from bgpd.config.reflector_preset import reflector_settings
from bgpd.config.settings import DaemonSettings, DatastoreKind, DatastoreSettings
from bgpd.node.removal_holds import RemovalHolds
from tests.support.world import ACluster, AProcess, World

ADDRESS = b'{"spec":{"bgp":{"ipv4Address":"10.0.0.1/24"}}}'
OWN = resource_key("Node", "n0")
BLOCKS = [affinity_key("n0", f"10.1.{i}.0/26") for i in range(2)]


class Lost:
    """A source that has lost the own Node and its blocks; the rest is there."""

    title = "datastore"

    def __init__(self, now: float) -> None:
        self.removals = RemovalGuard[bytes](ClusterRules("n0"), 3600)
        removals, self.now = self.removals, now
        others = [resource_key("Node", f"n{i}") for i in range(1, 300)]
        for key in (OWN, *others):
            removals.put(key, ADDRESS, now)
        for key in BLOCKS:
            removals.put(key, b"{}", now)
        for key in (OWN, *BLOCKS, *others[:250]):
            removals.remove(key, now)
        removals.advance(now + SETTLE)

    def describe(self, key: str) -> str:
        return f"objects.yaml: {key}"

    def confirm(self) -> tuple[Count, ...]:
        counts = self.removals.confirm(self.now)
        self.removals.advance(self.now)
        return counts

    def set_hold_time(self, seconds: float) -> None:
        self.removals.set_hold_time(seconds)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def holding(world: World) -> RemovalHolds:
    now = world.loop.time()
    holds = RemovalHolds((Lost(now),), lambda: now + SETTLE)
    world.view = replace(
        world.view,
        cluster=ACluster(holds=holds),
        process=AProcess(lines=holds.warnings()),
    )
    return holds


def test_the_status_says_what_is_held_and_until_when(world: World) -> None:
    holding(world)
    status = world.ask("show-status")
    (row,) = status["removal_holds"]
    assert (row["source"], row["objects"]) == ("datastore", 253)
    assert row["kinds"] == {
        "own Node": {"missing": 1, "total": 1},
        "own block affinities": {"missing": 2, "total": 2},
        "other Nodes": {"missing": 250, "total": 299},
    }
    assert row["since"] < row["until"]
    (warning,) = status["warnings"]
    assert "own Node, 2 of 2 own block affinities, 250 of 299 other Nodes" in warning
    assert "for 3600 s" in warning
    page = "\n".join(status_page(status))
    assert f"253 objects that datastore no longer has, until {row['until']}" in page


def test_every_object_that_is_held_can_be_seen(world: World) -> None:
    holding(world)
    rows: list[dict[str, Any]] = world.ask("calico-held")
    assert len(rows) == 253
    assert rows[0]["object"] == f"objects.yaml: {OWN}"
    assert {row["replaced_by"] for row in rows} == {"nothing"}
    answer = world.view.cluster.holds.objects(str) if world.view.cluster else ()
    assert len([*answer]) == 253


def test_a_confirmation_ends_it_and_there_is_no_second(world: World) -> None:
    holds = holding(world)
    (line,) = world.ask("calico-confirm")["lines"]
    what = "own Node, 2 of 2 own block affinities, 250 of 299 other Nodes"
    assert line == f"datastore: {what}: applying the removal now"
    assert holds.figures() == {}
    assert world.ask("calico-held") == []
    with pytest.raises(ControlError) as told:
        world.ask("calico-confirm")
    assert told.value.code == "nothing-held"


def test_a_daemon_without_datastore_holds_nothing(world: World) -> None:
    assert world.ask("show-status")["removal_holds"] == []
    assert world.ask("calico-held") == []
    with pytest.raises(ControlError):
        world.ask("calico-confirm")


def test_metrics_count_what_is_held(world: World) -> None:
    holds = holding(world)
    figures = Figures(
        "1", 0.0, {}, (), (), held=holds.figures(), removal_holds=holds.total
    )
    text = b"".join(render(figures)).decode()
    assert 'pybgpd_held_objects{kind="other Nodes"} 250' in text
    assert "pybgpd_removal_holds_total 1" in text


def test_another_time_counts_without_a_restart() -> None:
    def settings(**datastore: Any) -> DaemonSettings:
        reflector = reflector_settings(
            listen=[],
            port=179,
            asn=64512,
            router_id="10.0.0.9",
            cluster_id="",
            clients=[],
            has_fib=False,
            control_path="",
            hold_time=90,
            log_level="info",
            max_clients=10,
        )
        section = DatastoreSettings(DatastoreKind.FOLDER, path="/a")
        return replace(reflector, datastore=replace(section, **datastore))

    (step,) = diff(settings(), settings(removal_hold=7200))
    assert str(step) == "change section datastore (removal_hold): live"
    (step,) = diff(settings(), settings(removal_hold=7200, path="/b"))
    assert str(step).endswith(": at the next start")
