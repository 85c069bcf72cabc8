"""The speaker: tables, peers and the listener, put together (one per process).

``Speaker`` owns no configuration format and no datastore. Its parts do the work; a caller that
wants something uses the part directly:

    part            does
    --------------  -----------------------------------------------------------------
    neighbours      peers and ranges come, change and go
    policies        configured policies change
    local_routes    routes of our own are announced and withdrawn
    shared          what all sessions are judged by changes
    incoming        connections find their neighbour
    upkeep          nothing is left behind over months
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from bgpd.net.listener import Listener
from bgpd.net.network import KERNEL, Network
from bgpd.net.poller import Poller
from bgpd.net.pulse import Stall
from bgpd.net.sockets import SocketError
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.pipeline.policy_registry import PolicyRegistry
from bgpd.pipeline.route_consumers import RouteConsumers
from bgpd.runtime.fault_isolation import each
from bgpd.runtime.work_queue import WorkQueue
from bgpd.speaker.advertised_limits import AdvertisedLimits
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.housekeeping import Housekeeping
from bgpd.speaker.incoming_connections import IncomingConnections
from bgpd.speaker.local_addresses import LocalAddresses
from bgpd.speaker.local_numbers import LocalNumbers
from bgpd.speaker.local_routes import LocalRoutes
from bgpd.speaker.neighbours import Neighbours
from bgpd.speaker.peer import Peer
from bgpd.speaker.policy_changes import PolicyChanges
from bgpd.speaker.reevaluation import decide_again
from bgpd.speaker.session_observers import SessionObservers
from bgpd.speaker.shared_import_checks import SharedImportChecks
from bgpd.speaker.stall_recovery import resume
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.loc_rib import LocRib
from rib.next_hops import TRUSTING, NextHopResolver, NextHopTable, Reachability
from rib.nlri import parse_address

FAMILIES: Final = (IPV4_UNICAST, IPV6_UNICAST)

_log = logging.getLogger(__name__)


class Speaker:
    """A BGP speaker.

    Args:
        loop: Sockets and time.
        router_id: Dotted text.
        asn: Our AS number where no session has another; 0 for unknown.
        cluster_id: Dotted text; empty is the router id.
        decision: Options of the decision process.
        seed: Of all jitter; ``None`` for the system's entropy.
        network: Where its peers are.
        resolver: Knows the way to next hops; by default, all are reachable.

    Attributes:
        context: What all parts stand on.
        peers: By remote address.
        listener: Where others connect to.
        observers: The parts that follow the sessions.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        router_id: str,
        *,
        asn: int = 0,
        cluster_id: str = "",
        decision: DecisionOptions | None = None,
        seed: int | None = None,
        network: Network = KERNEL,
        resolver: NextHopResolver = TRUSTING,
    ) -> None:
        context = self.context = self._make_context(
            loop,
            Poller(loop, self._resumed, network),
            _number(router_id),
            LocalNumbers(_number(cluster_id or router_id), asn),
            decision or DecisionOptions(),
            next_hops=NextHopTable(resolver),
        )
        peers: dict[str, Peer] = {}
        self.peers: Mapping[str, Peer] = peers
        self.observers = SessionObservers()
        self.shared = SharedImportChecks(context, peers)
        self.neighbours = Neighbours(
            context,
            peers,
            self.shared,
            self._set_key,
            observers=self.observers,
            seed=seed,
        )
        self.policies = PolicyChanges(context, peers)
        self.local_routes = LocalRoutes(context, self.shared)
        self.incoming = IncomingConnections(self.neighbours)
        self.listener = Listener(context.poller, self.incoming.answer)
        self.advertised_limits = AdvertisedLimits(context, peers)
        self.housekeeping = Housekeeping(context, peers)
        self.housekeeping.helpers.append(context.policies.look_after)

    def _make_context(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        router_id: int,
        numbers: LocalNumbers,
        decision: DecisionOptions,
        *,
        next_hops: NextHopTable,
    ) -> SpeakerContext:
        work_queue = WorkQueue(loop)
        consumers = {family: RouteConsumers() for family in FAMILIES}
        return SpeakerContext(
            loop=loop,
            work_queue=work_queue,
            poller=poller,
            tables={
                family: FamilyTables(
                    LocRib(family, decision),
                    loop,
                    work_queue,
                    consumers[family],
                    poller.has_more,
                )
                for family in FAMILIES
            },
            consumers=consumers,
            next_hops=next_hops,
            policies=PolicyRegistry(),
            numbers=numbers,
            addresses=LocalAddresses(self._own_next_hops_changed),
            router_id=router_id,
            decision=decision,
        )

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Sockets and time."""
        return self.context.loop

    @property
    def work_queue(self) -> WorkQueue:
        """Long work, in slices."""
        return self.context.work_queue

    @property
    def tables(self) -> Mapping[Family, FamilyTables]:
        """Loc-RIB and update groups of each family."""
        return self.context.tables

    @property
    def next_hops(self) -> NextHopTable:
        """How next hops are reached, by address."""
        return self.context.next_hops

    def set_identity(self, router_id: str, cluster_id: str, asn: int = 0) -> None:
        """Change who we are; the AS number is for sessions that have none of their own.

        A new router id resets all sessions, for it stands in the OPEN (RFC 4271 4.2); a new
        cluster ID takes effect when routes are re-advertised (RFC 4456 8).
        """
        context, number = self.context, _number(router_id)
        cluster = _number(cluster_id) if cluster_id else number
        is_other, context.router_id = number != context.router_id, number
        context.numbers.asn = asn
        if cluster != context.numbers.cluster_id:
            context.numbers.replace(cluster, self.neighbours.templates())
        self.shared.may_have_changed()
        if is_other:
            context.work_queue.begin(self.neighbours.take_router_id())

    def next_hops_changed(self, states: Iterable[Reachability]) -> None:
        """Decide again, and ask policies again, where the way to a next hop changed."""
        changed = set(self.next_hops.apply(states))
        if not changed:
            return
        for tables in self.tables.values():
            tables.loc_rib.forget_decisions()
            tables.predict(lambda rib: rib.predict_decisions(changed))
            slices = decide_again(tables, changed)
            if next(slices, None) is not None:  # a small table is done at once
                self.work_queue.add(slices)
        each(_follow_devices, self.peers.values(), "routes of a peer")

    def warnings(self) -> list[str]:
        """Return what of the tables an operator should know now."""
        return self.local_routes.warnings() + self.housekeeping.leftovers.warnings()

    def _set_key(self, who: str, key: str) -> None:
        try:
            self.listener.set_key(who, key)
        except SocketError as error:
            _log.error(
                "%(reason)s",  # the text says it all
                {
                    "event": "md5-key-failed",
                    "reason": error.strerror,
                    "address": who,
                    "peer": self.peers[who].settings.name if who in self.peers else "",
                },
            )

    def _own_next_hops_changed(self) -> None:
        self.work_queue.add(self.neighbours.rejoin_all())

    def _resumed(self, stall: Stall) -> None:
        resume([*self.peers.values()], self.observers, stall)

    async def close(self, *, is_restart: bool = False, text: str = "") -> None:
        """Stop listening and end all sessions.

        Args:
            is_restart: Peers are to keep our routes.
            text: For the peers' operators (RFC 9003).
        """
        self.advertised_limits.close()
        self.housekeeping.close()
        self.context.addresses.close()
        self.listener.close()
        self.work_queue.cancel()
        end = partial(Peer.end, is_restart=is_restart, text=text)
        each(end, self.peers.values(), "end of a session")
        self.neighbours.close()
        self.context.poller.close()
        await asyncio.sleep(0)


def _follow_devices(peer: Peer) -> None:
    """Re-evaluate a peer's routes if import policy matches their interface."""
    if peer.imports.depends_on_devices:
        peer.imports.reimport()


def _number(dotted: str) -> int:
    return int.from_bytes(parse_address(dotted), "big")
