"""The speaker: tables, peers and the listener, put together (one per process).

``Speaker`` owns no configuration format and no datastore: ``reconcile`` tells it which
peers, ranges, policies and originated routes there shall be.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from random import Random
from typing import Final

from bgpd.net.driver import PeerDriver
from bgpd.net.listener import Listener
from bgpd.net.network import KERNEL, Network
from bgpd.net.poller import Poller
from bgpd.net.pulse import Standstill
from bgpd.net.sockets import SocketError
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.pipeline.policy_registry import PolicyTable
from bgpd.runtime.fault_isolation import each
from bgpd.runtime.work_queue import Jobs
from bgpd.session.negotiation import RestartState
from bgpd.session.peer import PeerSession
from bgpd.session.settings import ChangeCost, PeerSettings, RangeSettings
from bgpd.speaker import prefix_limits
from bgpd.speaker.housekeeping import Upkeep
from bgpd.speaker.import_context import decoding_of
from bgpd.speaker.incoming_connections import answer
from bgpd.speaker.local_addresses import OwnAddresses
from bgpd.speaker.local_numbers import OwnNumbers
from bgpd.speaker.neighbour_owners import Owners
from bgpd.speaker.peer import Peer
from bgpd.speaker.reevaluation import decide_again
from bgpd.speaker.shared_import_checks import SharedChecks
from bgpd.speaker.stall_recovery import Resumed, resume
from bgpd.speaker.unicast_check import Destinations
from bgpd.speaker.unknown_sources import Strangers
from bgpd.wire.errors import CeaseSubcode
from rib.attributes import PathAttributes
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable, Reachability
from rib.nlri import Nlri, parse_address
from rib.path import LOCAL_WEIGHT, NextHop, Path, Source, SourceKind
from rib.policy import Policy, PolicySpec, PrefixMatch

FAMILIES: Final = (IPV4_UNICAST, IPV6_UNICAST)
DEFAULT_STALE_PATH_TIME: Final = 360.0  # seconds; BIRD's and FRR's default

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
    ) -> None:
        self.loop = loop
        self.jobs = Jobs(loop)
        self.poller = Poller(loop, self._resumed, network)
        self.decision = decision or DecisionOptions()
        self.router_id = _number(router_id)
        self._ours = OwnNumbers(_number(cluster_id or router_id), asn)
        self.tables: Mapping[Family, FamilyTables] = {
            family: FamilyTables(
                LocRib(family, self.decision), loop, self.jobs, self.poller.has_more
            )
            for family in FAMILIES
        }
        self.next_hops = NextHopTable()
        self.peers: dict[str, Peer] = {}  # by remote address
        self.shared = SharedChecks(self)
        self.addresses = OwnAddresses(self)
        self.destinations = Destinations(self)
        self.stale_path_time = DEFAULT_STALE_PATH_TIME
        self.restart = RestartState()
        self.hostname = socket.gethostname()
        self.end_of_rib_listeners: list[Callable[[Peer, Family], None]] = []
        self.resume_listeners: list[Resumed] = []
        self.session_listeners: list[Callable[[Peer], None]] = []
        self.listener = Listener(self.poller, partial(answer, self))
        self._owners = Owners(self._ours, self._set_key)
        self.ranges = self._owners.ranges
        self.range_sizes = self._owners.sizes
        self.local_source = Source("local", SourceKind.LOCAL, weight=LOCAL_WEIGHT)
        self.refused_connections = 0
        self.strangers = Strangers()
        self._policies = PolicyTable()
        self.sought_until = 0.0  # the last of them, on the loop's clock
        self._rng = Random(seed)  # noqa: S311  # jitter, not secrets
        self.upkeep = Upkeep(self)
        self.upkeep.helpers.append(self._policies.look_after)

    # -- policies -----------------------------------------------------------------------

    def policy(self, name: str) -> Policy:
        """Return a policy by name.

        Raises:
            KeyError: There is none.
        """
        return self._policies[name]

    def set_policies(self, specs: Iterable[PolicySpec]) -> dict[str, str]:
        """Replace the configured policies; peers that use a changed one follow, live.

        Returns:
            Policies that cannot be had, by name, and why (``PolicyTable.replace``).
        """
        among, faults = self._policies.replace(specs)
        for name, prefixes in among.items():
            for tables in self.tables.values():
                for policy in self._policies.exports(name):
                    tables.replace_policy(policy.name, policy, prefixes)
        if among:
            self.jobs.begin(self._import_by(among))
        return faults

    def _import_by(self, policies: Collection[str]) -> Iterator[None]:
        """Judge anew what peers tell that import by some policies."""
        for peer in tuple(self.peers.values()):
            if peer.settings.import_policy in policies:
                prefix_limits.retry(peer)
                peer.import_again()
                yield

    def import_policy(self, settings: PeerSettings, *, is_ibgp: bool) -> Policy:
        """Return a peer's import policy; eBGP without one denies (RFC 8212)."""
        return self._policies.of_peer(settings.import_policy, is_ibgp=is_ibgp)

    def export_policy(self, settings: PeerSettings, *, is_ibgp: bool) -> Policy:
        """Return a peer's export policy; eBGP without one denies (RFC 8212)."""
        policy = self._policies.of_peer(settings.export_policy, is_ibgp=is_ibgp)
        tells_default = settings.tells_default
        return self._policies.exported(policy.name, tells_default=tells_default)

    def hide(self, prefixes: PrefixMatch | None) -> None:
        """Tell peers nothing of some prefixes, whatever policies say."""
        among = self._policies.hide(prefixes)
        for tables in self.tables.values() if among else ():
            for policy in chain.from_iterable(
                map(self._policies.exports, self._policies)
            ):
                tables.replace_policy(policy.name, policy, among)

    # -- peers --------------------------------------------------------------------------

    @property
    def cluster_id(self) -> int:
        """Our cluster id towards clients that are given none of their own."""
        return self._ours.cluster_id

    @property
    def cluster_ids(self) -> frozenset[int]:
        """All cluster ids that are ours: the loop check looks for each of them."""
        return self._ours.cluster_ids

    @property
    def asn(self) -> int:
        """Our AS number where no session has another; 0 for unknown."""
        return self._ours.asn

    @property
    def own_asns(self) -> frozenset[int]:
        """All AS numbers that are ours: the loop check looks for each of them."""
        return self._ours.asns

    def cluster_id_of(self, settings: PeerSettings) -> int:
        """Return our cluster id towards a peer."""
        return self._ours.cluster_id_of(settings)

    def set_identity(self, router_id: str, cluster_id: str, asn: int = 0) -> None:
        """Change who we are; the AS number is for sessions that have none of their own.

        A new router id resets all sessions, for it stands in the OPEN (RFC 4271 4.2); a new
        cluster id is told by telling routes again (RFC 4456 8).
        """
        number = _number(router_id)
        cluster = _number(cluster_id) if cluster_id else number
        is_other, self.router_id = number != self.router_id, number
        self._ours.asn = asn
        if cluster != self.cluster_id:
            self._ours.replace(cluster, self._templates())
        self.shared.may_have_changed()
        if is_other:
            self.jobs.begin(self._take_router_id(number))

    def _take_router_id(self, number: int) -> Iterator[None]:
        for peer in tuple(self.peers.values()):
            session = peer.driver.session
            if session.local_router_id != number == self.router_id:
                session.local_router_id = number
                subcode = CeaseSubcode.OTHER_CONFIGURATION_CHANGE
                peer.restart(subcode, "router id changed")
                yield

    def add_peer(self, settings: PeerSettings) -> Peer:
        """Configure a neighbour and let its session come up."""
        peer = self.make_peer(settings)
        if settings.password:
            self._set_key(settings.remote_addr, settings.password)
        peer.driver.start()
        return peer

    def make_peer(
        self, settings: PeerSettings, range_name: str = "", sought_until: float = 0.0
    ) -> Peer:
        """Return a new neighbour whose session is not started yet.

        Args:
            settings: What it is.
            range_name: The range it belongs to; empty for a configured one.
            sought_until: See ``bgpd.session.connections``.
        """
        if not range_name:  # else its numbers are the range's: counted
            self._ours.note(None, settings)
            self.shared.may_have_changed()
        peer = Peer(self, settings, range_name=range_name)
        session = PeerSession(
            settings,
            self.router_id,
            rng=self._rng,
            hostname=self.hostname,
            is_dynamic=bool(range_name),
            sought_until=sought_until,
            restart=self.restart,
        )
        peer.driver = PeerDriver(session, settings, peer, self.loop, self.poller)
        self.peers[settings.remote_addr] = peer
        self._owners.count(range_name, 1)
        return peer

    def _templates(self) -> Iterator[PeerSettings]:
        """Yield the settings that count for all peers; dynamic ones have their range's."""
        for peer in self.peers.values():
            if not peer.range_name:
                yield peer.settings
        for entry in self.ranges.values():
            yield entry.template

    def _set_key(self, who: str, key: str) -> None:
        try:
            self.listener.set_key(who, key)
        except SocketError as error:
            _log.error("%s", error.strerror)  # the text says it all

    def remove_peer(self, address: str, text: str = "") -> None:
        """Deconfigure a neighbour: Cease/3, and its routes go."""
        peer = self.peers.pop(address)
        self._owners.remove(peer)
        peer.driver.stop(subcode=CeaseSubcode.PEER_DECONFIGURED, text=text, hard=True)
        peer.forget_routes()
        peer.let_go()
        self.shared.may_have_changed()

    def discard_peer(self, address: str) -> None:
        """Forget a neighbour that could not be had as a whole."""
        peer = self.peers.pop(address, None)
        if peer is not None:
            self._owners.remove(peer, has_key=False)
            peer.let_go()
            self.shared.may_have_changed()

    def change_peer(
        self,
        settings: PeerSettings,
        cost: ChangeCost,
        text: str = "",
        *,
        range_name: str | None = None,
    ) -> None:
        """Apply changed settings.

        Args:
            settings: The new ones; the address says whose.
            cost: What the change costs the session.
            text: For the peer's operator (RFC 9003), where the session is reset.
            range_name: The range that it belongs to from now on, empty for a configured
                peer; ``None`` for no change.
        """
        peer = self.peers[settings.remote_addr]
        before = peer.settings
        was_rekeyed = before.password != settings.password
        owner = peer.range_name if range_name is None else range_name
        self._owners.move(peer, settings, owner)
        self.shared.may_have_changed()
        peer.settings = peer.driver.settings = peer.driver.session.settings = settings
        peer.rename(settings.name)
        if was_rekeyed:
            peer.driver.rekey()
        if cost is ChangeCost.RESET:
            peer.restart(CeaseSubcode.OTHER_CONFIGURATION_CHANGE, text)
            return
        if cost is ChangeCost.REFRESH:
            peer.rejoin()
            peer.import_again()
            if decoding_of(before) != decoding_of(settings):
                peer.decode_again()
        prefix_limits.follow(peer, before)

    def set_range(self, settings: RangeSettings) -> None:
        """Accept dynamic neighbours from a prefix; those there are stay as they are."""
        self._owners.set_range(settings)
        self.shared.may_have_changed()

    def remove_range(self, name: str) -> None:
        """Accept no more neighbours from a range.

        Those there are must be given to another one, or be removed
        (``handover.follow_ranges``).
        """
        self._owners.remove_range(name)
        self.shared.may_have_changed()

    def forget_dynamic(self, peer: Peer) -> None:
        """A dynamic neighbour's last connection is gone."""
        if peer.stale_family_count:
            return  # its routes wait for it; the timer comes back here
        if peer.is_held:
            return  # an operator shut it down, or resets it: that must be remembered
        peer.driver.abandon()
        if self.peers.get(peer.settings.remote_addr) is peer:
            del self.peers[peer.settings.remote_addr]
            self._owners.count(peer.range_name, -1)
            peer.forget_routes()
            peer.let_go()

    def set_restart(self, restart: RestartState) -> None:
        """Say what the next OPENs tell of our own restart (RFC 4724 4.1)."""
        self.restart = restart
        each(self.note_restart, self.peers.values(), "restart state of a peer")

    def note_restart(self, peer: Peer) -> None:
        """Say what a peer's next OPEN tells of our own restart.

        One that had a session with this very process has lost nothing by its start.
        """
        session, restart = peer.driver.session, self.restart
        if session.counters.established_count:
            restart = replace(restart, preserved=frozenset(FAMILIES))
        session.restart = restart

    # -- routes of our own --------------------------------------------------------------

    def originate(
        self,
        family: Family,
        nlris: Iterable[Nlri],
        attributes: PathAttributes,
        source: Source | None = None,
        next_hop: NextHop | None = None,
        *,
        weight: int | None = None,
    ) -> None:
        """Announce prefixes of our own, or change their attributes.

        Args:
            family: Of the prefixes.
            nlris: The prefixes.
            attributes: As peers see them before export policy.
            source: Whose they are; this speaker's own by default.
            next_hop: The way out where that is known for certain, as of routes that
                stand in the kernel already; else the address is looked up.
            weight: In place of the source's.
        """
        source = source or self.local_source
        good = self.destinations.sift(
            family, nlris, attributes, source, next_hop, weight=weight
        )
        if not good:
            return
        path = Path(
            source,
            attributes,
            next_hop or self.next_hops.get(attributes.next_hop),
            weight=weight,
        )
        tables = self.tables[family]
        tables.changed(tables.loc_rib.announce(good, path))

    def withdraw(
        self, family: Family, nlris: Iterable[Nlri], source: Source | None = None
    ) -> None:
        """Announce prefixes of our own no longer."""
        gone, tables = list(nlris), self.tables[family]
        source = source or self.local_source
        self.destinations.forget(source, family, gone)
        tables.changed(tables.loc_rib.withdraw(gone, source))

    def warnings(self) -> list[str]:
        """Return what of the tables an operator should know now."""
        return self.destinations.warnings() + self.upkeep.leftovers.warnings()

    # -- next hops and upkeep -----------------------------------------------------------

    def next_hops_changed(self, states: Iterable[Reachability]) -> None:
        """Decide again, and ask policies again, where the way to a next hop changed."""
        changed = set(self.next_hops.apply(states))
        if not changed:
            return
        for tables in self.tables.values():
            tables.loc_rib.forget_decisions()
            tables.foresee(lambda rib: rib.foresee_decisions(changed))
            slices = decide_again(tables, changed)
            if next(slices, None) is not None:  # a small table is done at once
                self.jobs.add(slices)
        each(Peer.devices_changed, self.peers.values(), "routes of a peer")

    def session_changed(self, peer: Peer) -> None:
        """Tell those who want to know that a session came up or went down."""
        for listener in self.session_listeners:
            listener(peer)

    def end_of_rib_received(self, peer: Peer, family: Family) -> None:
        """Tell those who wait for it that a peer has told all its routes."""
        for listener in self.end_of_rib_listeners:
            listener(peer, family)

    def _resumed(self, standstill: Standstill) -> None:
        resume([*self.peers.values()], self.resume_listeners, standstill)

    async def close(self, *, is_restart: bool = False, text: str = "") -> None:
        """Stop listening and end all sessions.

        Args:
            is_restart: Peers shall keep our routes.
            text: For the peers' operators (RFC 9003).
        """
        self.upkeep.close()
        self.addresses.close()
        self.listener.close()
        self.jobs.cancel()
        end = partial(Peer.end, is_restart=is_restart, text=text)
        each(end, self.peers.values(), "end of a session")
        self.poller.close()
        await asyncio.sleep(0)


def _number(dotted: str) -> int:
    return int.from_bytes(parse_address(dotted), "big")
