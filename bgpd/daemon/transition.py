"""From the settings in force to others: what that takes, and doing it.

A plan and what is applied have one source: the steps are found here for both, by comparing
settings and then asking the sessions that run. A reload, an applied file and a return to earlier
settings all go this way.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bgpd.config.consent import ending_step, withhold
from bgpd.config.diff import Step, find_steps, in_order, step_fields
from bgpd.config.kernel_moves import kernel_moves
from bgpd.config.settings import DaemonSettings
from bgpd.daemon.config_reload import MAX_LINES, SettingsInForce, capped
from bgpd.runtime.log_setup import set_up_logging
from bgpd.speaker.peer_changes import predict
from bgpd.speaker.speaker import Speaker
from bgpd.worker.turns import collect, in_turns

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired
    from bgpd.daemon.cluster import Cluster
    from bgpd.daemon.journal_keeper import JournalKeeper
    from bgpd.daemon.running import Running
    from bgpd.preview.preview import ChangePreview

_log = logging.getLogger(__name__)


class Parts(Protocol):
    """What follows settings (``Daemon``)."""

    @property
    def running(self) -> "Running | None":
        """Everything that stands on our identity; ``None`` until it is known."""

    @property
    def cluster(self) -> "Cluster | None":
        """What follows the datastore; ``None`` without one."""

    @property
    def latest(self) -> "NodeDesired | None":
        """What the datastore wants of this node; ``None`` without one."""

    @property
    def journal_keeper(self) -> "JournalKeeper":
        """Keeps what happens."""


class ConfigPlan(NamedTuple):
    """What putting settings in force would take.

    Attributes:
        steps: In order, with their costs for the sessions that there are.
        lines: What the next start does with kernel routes.
        held: Steps that wait for consent.
        preview: Sessions and routes, not worked out yet; ``None`` while the daemon starts.
    """

    steps: list[Step]
    lines: list[str]
    held: tuple[Step, ...]
    preview: "ChangePreview | None"


class Transition:
    """Changes the settings in force.

    Args:
        settings: As of the start.
        parts: What follows them.

    Attributes:
        in_force: The settings in force.
    """

    def __init__(self, settings: DaemonSettings, parts: Parts) -> None:
        self.in_force = SettingsInForce(settings)
        self._parts = parts

    async def steps_to(self, new: DaemonSettings) -> list[Step]:
        """Return the steps to other settings, with their cost for the existing sessions."""
        running = self._parts.running
        steps = in_order(
            await in_turns(collect(find_steps(self.in_force.settings, new)))
        )
        if running is None:
            return steps
        return await in_turns(collect(predict(running.speaker, steps, new)))

    async def plan(
        self, new: DaemonSettings, most: int, *, allows_resets: bool = False
    ) -> ConfigPlan:
        """Return what other settings would do; nothing changes.

        Args:
            new: The settings.
            most: So many prefixes are named of each kind of change.
            allows_resets: Whatever ``reload.resets`` says.
        """
        steps = await self.steps_to(new)
        lines = [
            *kernel_moves(self.in_force.first.fib, new.fib),
            *self._unforeseen(new),
        ]
        new, held = self._consented(new, steps, allows_resets=allows_resets)
        running, latest = self._parts.running, self._parts.latest
        preview = None
        if running is not None:
            preview = await running.preview(new, latest, latest, most)
        return ConfigPlan(steps, lines, held, preview)

    def _unforeseen(self, new: DaemonSettings) -> Iterator[str]:
        """Yield a line for each change whose routes a plan does not know."""
        old = self.in_force.settings
        for key, before, after in (
            ("routes.learn", old.routes.learn, new.routes.learn),
            ("routes.direct", old.routes.direct, new.routes.direct),
            (
                "bgp.allow_reserved_ranges",
                old.speaker.allows_reserved,
                new.speaker.allows_reserved,
            ),
        ):
            if before != after:
                yield f"{key}: the routes that come or go with it are not in this plan"

    async def plan_objects(self, items: Mapping[str, bytes], most: int) -> ConfigPlan:
        """Return what other objects of the cluster would do; nothing changes.

        Args:
            items: Keys of the datastore, and values.
            most: So many prefixes are named of each kind of change.

        Raises:
            LookupError: There is no datastore, or it said nothing of this node yet.
        """
        running, cluster = self._parts.running, self._parts.cluster
        latest = self._parts.latest
        if running is None or cluster is None or latest is None:
            raise LookupError(
                "the daemon has not read this node's objects from a datastore yet"
            )
        desired, settings = await cluster.desired_with(items), self.in_force.settings
        # The sessions are the preview's: here the peers are the same on both sides.
        steps = await in_turns(
            collect(
                find_steps(
                    replace(settings, peers=desired.peers, policies=latest.policies),
                    replace(settings, peers=desired.peers, policies=desired.policies),
                )
            )
        )
        preview = await running.preview(settings, desired, latest, most)
        lines = [str(warning) for warning in desired.warnings]
        return ConfigPlan(in_order(steps), lines, (), preview)

    async def put_in_force(
        self, new: DaemonSettings, *, allows_resets: bool = False
    ) -> list[str]:
        """Put settings in force, in slices; return the steps, a line for each.

        Args:
            new: The settings.
            allows_resets: Whatever ``reload.resets`` says.
        """
        # The plan is made against what runs, and logged before anything changes: if applying
        # fails half way, the log says what was intended.
        old, running = self.in_force.settings, self._parts.running
        steps = await self.steps_to(new)
        new, held = self._consented(new, steps, allows_resets=allows_resets)
        lines = [
            f"{step}; waits for consent" if step in held else str(step)
            for step in steps
        ]
        by_line = dict(zip(lines[:MAX_LINES], steps, strict=False))
        lines += kernel_moves(self.in_force.first.fib, new.fib)
        for line in capped(lines):
            _log.info(
                "reload: %(step)s",
                {
                    "event": "reload-step",
                    "step": line,
                    **step_fields(by_line.get(line)),
                },
            )
        self.in_force.replace(new, asyncio.get_running_loop().time(), held)
        if self._parts.cluster is not None:
            self._parts.cluster.holds.set_hold_time(new.datastore.removal_hold)
        if old.log != new.log:
            set_up_logging(new.log)
        self._parts.journal_keeper.follow(new.journal)
        if running is not None:
            await running.change(new, self._parts.latest)
        return lines

    def _consented(
        self, new: DaemonSettings, steps: list[Step], *, allows_resets: bool
    ) -> tuple[DaemonSettings, tuple[Step, ...]]:
        """Return settings without what ends sessions, where that needs consent."""
        running = self._parts.running
        if allows_resets or new.reload.allows_resets or running is None:
            return new, ()
        speaker = running.speaker
        held = tuple(step for step in steps if ending_step(step, _up(speaker)))
        return withhold(self.in_force.settings, new, held)


def _up(speaker: Speaker) -> dict[str, str]:
    """Return the addresses of neighbours with a session, and the range of each."""
    return {
        address: peer.range_name
        for address, peer in speaker.peers.items()
        if peer.negotiated is not None
    }
