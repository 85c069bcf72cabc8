"""What the datastore asks of a node, against what runs there."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bgpd.api.protocol import ControlError
from bgpd.calico.blocks import parse_block
from bgpd.calico.desired import NodeDesired, StaticRoute
from bgpd.calico.warnings import ObjectWarning
from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import calico_sources
from bgpd.session.settings import PeerSettings
from fib.kernel_policy import KernelPolicy
from rib.family import IPV4_UNICAST
from rib.nlri import parse_prefix
from rib.policy import Outcome, PolicySpec, Term
from tests.support.world import ACluster, AKernel, AProcess, World

POLICY = PolicySpec("calico-export", (Term("all", Outcome.ACCEPT),))
PEER = PeerSettings(
    name="Mesh_192_0_2_1",
    remote_addr="192.0.2.1",
    remote_as=64512,
    local_as=64512,
    password="secret",
    export_policy="calico-export",
)
STATIC = StaticRoute(IPV4_UNICAST, parse_prefix("10.96.0.0/12")[1])


def a_node(world: World, **changes: Any) -> NodeDesired:
    wanted = NodeDesired(
        name="node",
        revision=7,
        is_known=True,
        ipv4_addr="192.0.2.100",
        ipv6_addr="",
        router_id="10.0.0.1",
        asn=64512,
        cluster_id="",
        listen_port=179,
        listens_on_node_addr=False,
        peers=(PEER,),
        originated=frozenset((parse_block("10.244.1.0/26"),)),
        cluster_blocks={},
        pools={},
        warnings=(),
        policies=(POLICY,),
        statics=frozenset((STATIC,)),
    )
    return replace(wanted, **changes)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def compare(
    world: World, desired: NodeDesired | None, **more: Any
) -> list[dict[str, Any]]:
    world.view = replace(
        world.view,
        cluster=ACluster(desired),
        process=AProcess(asn=64512),
        kernel=AKernel(in_force={IPV4_UNICAST: KernelPolicy()}),
    )
    rows: list[dict[str, Any]] = world.ask("calico-diff", **more)
    # The listener of a world without sockets is none of this module's business.
    return [row for row in rows if row["name"] not in ("listening port", "router id")]


def test_before_the_datastore_spoke_there_is_nothing_to_compare(world: World) -> None:
    with pytest.raises(ControlError) as told:
        compare(world, None)
    assert told.value.code == "no-datastore"


def test_what_was_applied_does_not_differ(world: World) -> None:
    desired = a_node(world)
    Reconciler(world.speaker, calico_sources()).apply_node(desired)
    assert compare(world, desired) == []
    everything = compare(world, desired, all=True)
    assert {row["part"] for row in everything} >= {
        "node",
        "session",
        "policy",
        "block",
        "static route",
        "kernel policy",
    }
    assert {row["state"] for row in everything} == {"same"}


def test_what_is_not_there_is_missing(world: World) -> None:
    rows = compare(world, a_node(world))
    assert {(row["part"], row["name"]) for row in rows} == {
        ("session", "Mesh_192_0_2_1"),
        ("policy", "calico-export"),
        ("block", "10.244.1.0/26"),
        ("static route", "10.96.0.0/12"),
    }
    assert {row["state"] for row in rows} == {"missing"}


def test_a_session_that_differs_names_the_fields_and_hides_the_key(
    world: World,
) -> None:
    reconciler = Reconciler(world.speaker, calico_sources())
    reconciler.apply_node(a_node(world))
    other = replace(PEER, password="other", hold_time=30)
    (row,) = compare(world, a_node(world, peers=(other,)))
    assert row["text"] == "hold_time, password"
    assert row["wanted"] == {"hold_time": 30}
    assert row["running"] == {"hold_time": 90}
    assert "secret" not in str(row)


def test_what_runs_without_being_asked_for_is_extra(world: World) -> None:
    desired = a_node(world)
    Reconciler(world.speaker, calico_sources()).apply_node(desired)
    (row,) = compare(world, replace(desired, peers=()))
    assert (row["part"], row["state"]) == ("session", "extra")


def test_other_policies_and_bad_objects_are_reported(world: World) -> None:
    desired = a_node(world)
    Reconciler(world.speaker, calico_sources()).apply_node(desired)
    policy = replace(POLICY, terms=())
    rejecting = PolicySpec("k", (Term("none", Outcome.REJECT),))
    rows = compare(
        world,
        replace(
            desired,
            policies=(policy,),
            kernel={IPV4_UNICAST: KernelPolicy(rejecting)},
            warnings=(ObjectWarning("bgppeers/x", "spec.peerIP", "is not an address"),),
        ),
    )
    assert {row["part"] for row in rows} == {"policy", "kernel policy", "object"}
