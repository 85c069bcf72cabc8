"""What all parts of a speaker share: clock, tables and our identity.

Arrows in this room go one way. This value is the lowest; on it stand what one session is
judged and told by (``import_context``, ``export_context``), the peer, the parts that go over
all peers (``neighbours``, ``policy_changes``, ``shared_import_checks``, ``local_routes``,
``housekeeping``), and at the top ``Speaker``, which puts them together. None of them knows
one that is above it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bgpd.net.poller import Poller
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.pipeline.policy_registry import PolicyRegistry
from bgpd.pipeline.route_consumers import RouteConsumers
from bgpd.pipeline.update_errors import MalformedUpdates
from bgpd.runtime.work_queue import WorkQueue
from bgpd.session.negotiation import RestartState
from bgpd.speaker.drain_orders import DrainOrders
from bgpd.speaker.local_addresses import LocalAddresses
from bgpd.speaker.local_numbers import LocalNumbers
from rib.decision import DecisionOptions
from rib.family import Family
from rib.next_hops import NextHopTable

DEFAULT_STALE_PATH_TIME: Final = 360.0  # seconds; BIRD's and FRR's default


@dataclass(slots=True)
class SpeakerContext:
    """What one speaker's parts share; it knows no peers.

    Attributes:
        loop: Sockets and time.
        work_queue: Long work, in slices.
        poller: Reads and writes the sockets of all sessions.
        tables: Loc-RIB and update groups of each family.
        consumers: The parts that follow each family's routes beside the peers.
        next_hops: How next hops are reached, by address.
        policies: Those that peers name.
        numbers: Our AS numbers and cluster ids.
        addresses: Chooses our next hop on each session.
        router_id: As a number.
        decision: Options of the decision process.
        own_addresses: Routes through them are refused; 4 or 16 octets each.
        allows_reserved: 240.0.0.0/4 is used as unicast here.
        stale_path_time: Seconds that stale routes wait for their peer at most.
        restart: What OPENs say of our own restart (RFC 4724 4.1).
        drains: Peers whose routes, and ours at them, are to be the last choice.
        malformed_updates: Those of all peers, as long as there is room.
    """

    loop: asyncio.AbstractEventLoop
    work_queue: WorkQueue
    poller: Poller
    tables: Mapping[Family, FamilyTables]
    consumers: Mapping[Family, RouteConsumers]
    next_hops: NextHopTable
    policies: PolicyRegistry
    numbers: LocalNumbers
    addresses: LocalAddresses
    router_id: int
    decision: DecisionOptions
    own_addresses: frozenset[bytes] = frozenset()
    allows_reserved: bool = False
    stale_path_time: float = DEFAULT_STALE_PATH_TIME
    restart: RestartState = field(default_factory=RestartState)
    drains: DrainOrders = field(default_factory=DrainOrders)
    malformed_updates: MalformedUpdates = field(default_factory=MalformedUpdates)
