"""Desired state -> the running speaker, by differences only (level-triggered).

Two sources say what there should be: the configuration and the datastore. Each states all it
wants, as often as it likes; what is applied is the difference to what runs, and a session
is reset only where BGP demands it. A configured neighbour goes before one that the
datastore has at the same address. Peers change in slices (``bgpd.speaker.peer_changes``).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bgpd.config.diff import Step
from bgpd.config.settings import DaemonSettings
from bgpd.node.route_origination import RouteOrigination
from bgpd.pipeline.local_sources import LocalSources
from bgpd.runtime.fault_isolation import each
from bgpd.session.settings import PeerSettings, RangeSettings
from bgpd.speaker.peer_changes import PeerChanges
from bgpd.speaker.peer_handover import follow_ranges
from bgpd.speaker.speaker import Speaker
from rib.policy import PolicySpec

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired


@dataclass(slots=True)
class _Wanted:
    """What one source wants."""

    peers: tuple[PeerSettings, ...] = ()
    policies: tuple[PolicySpec, ...] = ()


class Reconciler:
    """Applies desired state to a speaker.

    Args:
        speaker: What runs.
        origins: The sources of own routes.
    """

    def __init__(self, speaker: Speaker, origins: LocalSources) -> None:
        self._speaker = speaker
        self._peers = PeerChanges(speaker, self._settle)
        self._policy_faults: dict[str, str] = {}
        self._former: tuple[PolicySpec, ...] = ()  # that peers may still name
        self._settling: asyncio.Future[None] | None = None
        self._routes = RouteOrigination(speaker, origins)
        self._configured = _Wanted()
        self._discovered = _Wanted()
        self._ranges: dict[str, RangeSettings] = {}
        self._have_ranges_changed = False  # and their neighbours are to follow

    def apply_settings(self, settings: DaemonSettings) -> list[Step]:
        """Apply a configuration; return the steps of peers taken at once."""
        allows_reserved = settings.speaker.allows_reserved
        self._speaker.local_routes.allow_reserved(is_allowed=allows_reserved)
        for tables in self._speaker.tables.values():
            tables.pacing.interval = settings.speaker.advertisement_interval
        self._former += self._configured.policies
        self._configured.policies = settings.policies
        self._apply_policies()
        self._apply_ranges(settings.ranges)
        self._configured.peers = settings.peers
        told = self._routes.follow_defaults(settings)
        steps = self._apply_peers()
        self._routes.apply_settings(settings, told)
        return steps

    def apply_node(self, desired: "NodeDesired") -> list[Step]:
        """Apply what the datastore says about this node; return as ``apply_settings``."""
        before = self._discovered.policies
        if desired.policies is not before and desired.policies != before:
            self._former += before
            self._discovered.policies = desired.policies
            self._apply_policies()
        steps: list[Step] = []
        if desired.peers is not self._discovered.peers:
            self._discovered.peers = desired.peers
            steps = self._apply_peers()
        self.apply_routes(desired)
        return steps

    def apply_routes(self, desired: "NodeDesired") -> None:
        """Apply only the node's blocks and static routes; there may be many."""
        self._routes.apply_node(desired)

    @property
    def origination(self) -> RouteOrigination:
        """Our own routes."""
        return self._routes

    def peers_by(
        self,
        configured: Iterable[PeerSettings],
        desired: "NodeDesired | None" = None,
    ) -> dict[str, PeerSettings]:
        """Return the peers that there would be, by address.

        Args:
            configured: By a configuration, with our AS.
            desired: What the datastore would want; ``None`` for what it wants.
        """
        discovered = self._discovered.peers if desired is None else desired.peers
        wanted = {peer.remote_addr: peer for peer in discovered}
        return wanted | {peer.remote_addr: peer for peer in configured}

    def policies_by(
        self,
        configured: Iterable[PolicySpec],
        desired: "NodeDesired | None" = None,
    ) -> tuple[PolicySpec, ...]:
        """Return the policies that there would be; as ``peers_by``."""
        discovered = self._discovered.policies if desired is None else desired.policies
        return (*discovered, *configured)

    def faults(self) -> list[str]:
        """Return which wanted parts failed, and why."""
        return [
            *(f"policy {name}: {text}" for name, text in self._policy_faults.items()),
            *(f"peer {name}: {text}" for name, text in self._peers.faults.items()),
        ]

    async def settled(self) -> None:
        """Wait until the wanted state is reached."""
        while not self._peers.is_settled:
            if self._settling is None:
                self._settling = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._settling)

    def _apply_policies(self) -> None:
        """Apply policies; one that peers still name stays until they change."""
        self._policy_faults = self._speaker.policies.replace(
            (*self._former, *self._discovered.policies, *self._configured.policies)
        )

    def _apply_peers(self) -> list[Step]:
        return self._peers.follow(self.peers_by(self._configured.peers))

    def _settle(self) -> None:
        """Drop policies that no peer names any more, once all peers are as wanted."""
        if self._former:
            self._former = ()
            self._apply_policies()
        if self._have_ranges_changed:  # not before: some neighbours are configured now
            self._have_ranges_changed = False
            self._speaker.work_queue.begin(follow_ranges(self._speaker))
        settling, self._settling = self._settling, None
        if settling is not None and not settling.done():
            settling.set_result(None)

    def _apply_ranges(self, ranges: Iterable[RangeSettings]) -> None:
        wanted = {settings.name: settings for settings in ranges}

        changed = [
            settings
            for name, settings in wanted.items()
            if settings != self._ranges.get(name)
        ]
        # A prefix may move from one to another: all give up theirs first.
        gone = [
            name
            for name, before in self._ranges.items()
            if name not in wanted or wanted[name].prefix != before.prefix
        ]
        if not (gone or changed):
            return
        each(self._speaker.neighbours.remove_range, gone, "range")
        each(self._speaker.neighbours.set_range, changed, "range")
        self._ranges, self._have_ranges_changed = wanted, True
