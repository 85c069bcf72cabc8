"""Dynamic neighbours: those that connect, and those that were up before our restart.

A range waits for its neighbours to connect. After a restart that may take them minutes: one
whose first attempt was refused tries again after its ConnectRetry time, 120 s with FRR and
OpenBGPD as they are delivered. So those who were up are connected to, from the very address
that they know us by. They may connect themselves at the same time (RFC 4271 6.8). One that
does not come is forgotten once it no longer keeps our routes.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from bgpd.net.sockets import canonical
from bgpd.session.ranges import neighbour_settings
from bgpd.session.settings import RangeSettings
from bgpd.speaker.neighbours import Neighbours
from bgpd.speaker.peer import Peer
from bgpd.speaker.remembered_peers import RememberedPeers, still_matches

LEAST: Final = 60.0  # seconds; peers that keep none of our routes also want to be back
PACE: Final = 100
"""For each so many that are sought, a second more between two attempts at one of them: jitter
spreads those of thousands over a quarter of it, and an attempt costs a quarter millisecond."""

_log = logging.getLogger(__name__)


def add_dynamic_neighbour(
    neighbours: Neighbours, remote: str, chosen: RangeSettings
) -> Peer | None:
    """Return a new neighbour of a range, or ``None`` if the range has no room for it."""
    if not has_room(neighbours, chosen):
        _log.warning(
            "connection from %(address)s rejected: range %(range)s already has %(limit)d "
            "neighbours",
            {
                "event": "connection-rejected",
                "address": remote,
                "range": chosen.name,
                "limit": chosen.limit,
            },
        )
        return None
    settings = neighbour_settings(chosen, canonical(remote))
    peer = neighbours.make(settings, chosen.name)
    neighbours.begin(peer)
    return peer


def has_room(neighbours: Neighbours, settings: RangeSettings) -> bool:
    """Whether a range has room for one more; one that we still try to reach gives way."""
    if neighbours.range_sizes[settings.name] < settings.limit:
        return True
    if neighbours.now < neighbours.sought_until:
        for peer in neighbours.peers.values():
            if peer.range_name == settings.name and peer.driver.session.is_sought:
                neighbours.remove(peer.settings.remote_addr)
                return True
    return False


def reconnect(
    neighbours: Neighbours,
    remembered: RememberedPeers,
    lost_at: float,
    done: Callable[[], None],
) -> Iterator[None]:
    """Connect to the dynamic neighbours that were up, one a step.

    Args:
        neighbours: Those that there are, and the ranges.
        remembered: Who was up.
        lost_at: When they lost us, on the loop's clock.
        done: Called at the end.
    """
    retry = len(remembered.members) // PACE
    sought = 0
    for member in remembered.members.values():
        if not member.range_name or member.address in neighbours.peers:
            continue  # configured peers connect by themselves
        chosen = neighbours.ranges.of(member.address)
        until = lost_at + max(member.seconds, LEAST)
        if (
            chosen is not None
            and still_matches(member, chosen.template)
            and neighbours.range_sizes[chosen.name] < chosen.limit
            and neighbours.now < until
        ):
            settings = replace(
                chosen.template,
                name=member.address,
                remote_addr=member.address,
                local_addr=member.local_addr,
                connect_retry_time=max(chosen.template.connect_retry_time, retry),
            )
            neighbours.sought_until = max(neighbours.sought_until, until)
            peer = neighbours.make(settings, chosen.name, until)
            neighbours.begin(peer)
            sought += 1
        yield
    if sought:
        _log.info(
            "restart: connecting to %(count)d dynamic neighbours that were up before",
            {"event": "reconnecting", "count": sought},
        )
    done()
