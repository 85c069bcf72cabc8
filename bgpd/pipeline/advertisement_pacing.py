"""Paced flushes: what goes to which groups now, what follows later, and a warning that says why."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Final

from bgpd.pipeline.membership import Membership
from bgpd.pipeline.transmit_queue import TransmitQueue
from bgpd.runtime.fault_isolation import piecewise
from bgpd.runtime.log_fields import Names
from bgpd.runtime.log_setup import alike
from reflector.group import UpdateGroup
from reflector.pacing import Unrest
from rib.change import Change
from rib.loc_rib import LocRib
from rib.nlri import format_address, format_prefix
from rib.path import Path
from rib.path_set import members_of

MOST_WARNED: Final = 10  # prefixes in one turn that get a line each
_SHOWN: Final = 6  # paths in a line

_log = logging.getLogger(__name__)


class AdvertisementPacing:
    """Sends changes to update groups, each prefix no more often than its pacer allows.

    Args:
        loop: For the time.
        loc_rib: Whose changes they are.
        membership: The groups.
        queue: Takes what they encode.
        go_on: Called when something is due: it flushes, though nothing may have changed.

    Attributes:
        is_due: Some group has a prefix whose time has come, perhaps.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        loc_rib: LocRib,
        membership: Membership,
        queue: TransmitQueue,
        go_on: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._loc_rib = loc_rib
        self._membership = membership
        self._groups = membership.groups
        self._queue = queue
        self._go_on = go_on
        self.is_due = False
        self._handle: asyncio.TimerHandle | None = None
        self._due = inf  # of it, monotonic seconds

    @property
    def interval(self) -> float:
        """Seconds between two advertisements of a prefix that keeps changing; 0 is off."""
        return self._membership.interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._membership.interval = seconds
        for group in self._groups.values():
            group.pacer.interval = seconds
        self._arm(self._loop.time())

    @property
    def held_count(self) -> int:
        """Prefixes that wait in some group."""
        return sum(len(group.pacer.held) for group in self._groups.values())

    def flush(self, changes: Sequence[Change], *, is_all: bool) -> None:
        """Advertise changes to all groups; prefixes that change too often wait.

        Args:
            changes: Of the table.
            is_all: No more changes wait. Prefixes that are due must not go out before them: they go
                out as the table has them.
        """
        now = self._loop.time()
        for group in self._groups.values():
            pacer = group.pacer
            self._advertise(group, pacer.admit(changes, now))
            due = pacer.next_due()
            if due is not None and due < self._due:
                self._arm(now)
            if pacer.unrest:
                self._warn(group)
        if self.is_due and is_all:
            self._release(now)

    def _arm(self, now: float) -> None:
        dues = (group.pacer.next_due() for group in self._groups.values())
        self._due = min((due for due in dues if due is not None), default=inf)
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._due != inf:
            wait = max(0.0, self._due - now)
            self._handle = self._loop.call_later(wait, self._fall_due)

    def _fall_due(self) -> None:
        self._handle, self._due, self.is_due = None, inf, True
        self._go_on()

    def _release(self, now: float) -> None:
        """Advertise prefixes that have waited long enough."""
        self.is_due = False
        for group in tuple(self._groups.values()):
            self._advertise(group, group.pacer.release(self._loc_rib.table, now))
        self._arm(now)

    def release_all(self) -> None:
        """Advertise everything that waits, before it means something else.

        To be called when no change waits.
        """
        for group in tuple(self._groups.values()):
            self._advertise(group, group.pacer.release_all(self._loc_rib.table))

    def _advertise(self, group: UpdateGroup, changes: Sequence[Change]) -> None:
        for outbound in piecewise(group.flush, changes):
            self._queue.add(outbound, group.members.values())

    def _warn(self, group: UpdateGroup) -> None:
        found, group.pacer.unrest = group.pacer.unrest, []
        family, peer_type = self._loc_rib.family, group.export.context.peer_type.value
        for unrest in found[:MOST_WARNED]:
            entry = self._loc_rib.table.get(unrest.nlri)
            paths = list(dict.fromkeys((*unrest.bests, *members_of(entry))))
            _log.warning(
                "%(prefix)s keeps changing, %(count)d times in %(seconds).1f s: "
                "%(reason)s; peers (%(peer_type)s) get it once in "
                "%(advertisement_interval)g s; its paths: %(paths)s",
                {
                    "event": "prefix-paced",
                    "prefix": format_prefix(unrest.nlri, family.afi),
                    "family": family,
                    "count": unrest.times,
                    "seconds": unrest.seconds,
                    "reason": cause_of(unrest, paths),
                    "peer_type": peer_type,
                    "advertisement_interval": self.interval,
                    "paths": Names(
                        tuple(dict.fromkeys(map(_shown, paths[:_SHOWN]))),
                        separator="; ",
                    ),
                },
                extra=alike("prefix"),
            )
        if len(found) > MOST_WARNED:
            _log.warning(
                "%(count)d more prefixes of %(family)s keep changing",
                {
                    "event": "more-prefixes-paced",
                    "count": len(found) - MOST_WARNED,
                    "family": family,
                },
                extra=alike("family"),
            )


def cause_of(unrest: Unrest, paths: Iterable[Path]) -> str:
    """Return why a prefix keeps changing, as far as its paths show.

    Args:
        unrest: What was seen.
        paths: All that are known of.
    """
    paths = list(paths)
    if _is_med_at_odds(paths):
        return (
            "MED oscillation (RFC 3345); use add_path between the "
            "reflectors, or always_compare_med"
        )
    names = sorted({path.source.name for path in unrest.bests})
    if len(names) > 1:
        return f"its best path alternates between {' and '.join(names[:3])}"
    what = (
        "keeps advertising and withdrawing it"
        if unrest.is_withdrawn
        else "keeps changing it"
    )
    return f"{names[0] if names else 'a peer'} {what}"


def _is_med_at_odds(paths: Iterable[Path]) -> bool:
    """Whether paths of one neighbour AS differ in MED, beside those of another."""
    meds: dict[int, set[int]] = {}
    for path in paths:
        attributes = path.attributes
        meds.setdefault(attributes.as_path.neighbour_as, set()).add(attributes.med or 0)
    return len(meds) > 1 and any(len(found) > 1 for found in meds.values())


def _shown(path: Path) -> str:
    attributes = path.attributes
    as_path = str(attributes.as_path) or "empty"
    parts = [f"from {path.source.name}", f"AS path {as_path}"]
    if attributes.med is not None:
        parts.append(f"MED {attributes.med}")
    if attributes.next_hop:
        parts.append(f"via {format_address(attributes.next_hop[:16])}")
    return " ".join(parts)
