"""Mutated objects through all that a node does with its datastore's events, in one process."""

import asyncio
import json
from dataclasses import dataclass, field

from bgpd.calico.desired import NodeDesired
from bgpd.calico.events import Changes, Snapshot
from bgpd.calico.planner import SideInputs
from bgpd.calico.state import TEMPLATE, ClusterState
from bgpd.config.settings import DaemonSettings, SpeakerSettings
from bgpd.kernel.access import KernelAccess
from bgpd.kernel.former_places import FormerPlaces
from bgpd.kernel.forwarding import Forwarding
from bgpd.node.identity import identify, own_addresses
from bgpd.node.kernel_plan import gateways, redistribution_plan, tunnel_address
from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import calico_sources
from bgpd.speaker.speaker import Speaker
from fib.memory import MemoryFib
from rib.decision import DecisionOptions
from tests.support.mutated import OWN, Mutator, real_objects

SETTINGS = DaemonSettings(
    OWN, SpeakerSettings(0, "", "", (), 179, DecisionOptions(), TEMPLATE)
)


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        events: Objects that were put or deleted.
        plans: Plans that were made and carried out.
        held_back: Objects that no plan could be made with: each is our fault.
        faults: Peers and policies that could not be made, and why: likewise.
    """

    events: int = 0
    plans: int = 0
    held_back: set[str] = field(default_factory=set)
    faults: set[str] = field(default_factory=set)


async def run(seed: int, count: int, per_event: int = 1) -> Outcome:
    """Apply ``count`` mutated objects, plan and carry out each event.

    Raises:
        Exception: Whatever any part raises; nothing may.
    """
    fib = MemoryFib()
    await fib.start()
    kernel = KernelAccess(FormerPlaces("", SETTINGS.fib), fib)
    loop = asyncio.get_running_loop()
    speaker = Speaker(loop, "10.0.0.1", seed=1, resolver=kernel.ways)
    origins = calico_sources()
    reconciler = Reconciler(speaker, origins)
    forwarding = Forwarding(speaker, SETTINGS, origins, kernel)
    state, mutator, outcome = ClusterState(), Mutator(seed), Outcome()
    items = {k: _encoded(v) for k, v in real_objects().items()}
    state.apply(Snapshot(1, items))
    try:
        for revision in range(2, 2 + count, per_event):
            drawn = dict(mutator.draw() for _ in range(per_event))
            puts = {key: value for key, value in drawn.items() if value is not None}
            state.apply(Changes(revision, puts, frozenset(drawn.keys() - puts.keys())))
            desired = state.desired(OWN, SideInputs())
            outcome.events += per_event
            outcome.plans += 1
            _carry_out(desired, speaker, forwarding)
            reconciler.apply_node(desired)
            await reconciler.settled()
            _note(outcome, desired, reconciler)
    finally:
        await speaker.close()
    return outcome


def _encoded(content: object) -> bytes:
    return json.dumps(content).encode()


def _carry_out(desired: NodeDesired, speaker: Speaker, forwarding: Forwarding) -> None:
    identity = identify(SETTINGS, desired)
    if identity is not None:
        speaker.shared.set_own_addresses(own_addresses(identity, desired))
        speaker.set_identity(identity.router_id, identity.cluster_id, identity.asn)
    forwarding.set_policies(desired.kernel)
    forwarding.reach_through(gateways(desired))
    forwarding.keep_tunnel(tunnel_address(desired))
    forwarding.learn(redistribution_plan(SETTINGS, desired))


def _note(outcome: Outcome, desired: NodeDesired, reconciler: Reconciler) -> None:
    marks = ("cannot plan with", "cannot be read: ")
    outcome.held_back |= {
        str(warning)
        for warning in desired.warnings
        if any(mark in warning.text for mark in marks)
    }
    outcome.faults.update(reconciler.faults())
