"""The owner of a neighbour, whose settings apply: a configured peer or a range.

An address may move from one to the other, or from range to range, while its session is up:
a live neighbour is written down as a peer, or its line is taken out while a range covers it;
a range is renamed, split, or joined with a wider one. What the two ends agreed on is what the
wire sees, and most such moves leave it as it is. So the neighbour goes on under its new owner
at the cost of the settings that differ, as any other change does: nothing, its routes once
more, or a reset that graceful restart softens. It is never removed to be taken in again.

Who has no session, no routes that wait for it and no order of an operator has nothing that
could go on: it goes and comes.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bgpd.config.diff import handover_change
from bgpd.session.ranges import RangeTable, neighbour_settings
from bgpd.session.settings import ChangeCost, PeerSettings, RangeSettings
from bgpd.speaker.dynamic_neighbours import has_room
from bgpd.speaker.peer import Peer

if TYPE_CHECKING:
    from bgpd.speaker.speaker import Speaker

NO_RANGE: Final = "no range covers this address any more"


def can_go_on(peer: Peer) -> bool:
    """Whether a neighbour has state that a new owner can continue with."""
    return peer.negotiated is not None or bool(peer.stale_family_count) or peer.is_held


def successor_range(
    speaker: "Speaker", peer: Peer, ranges: RangeTable | None = None
) -> RangeSettings | None:
    """Return the range that a neighbour falls to; ``None`` if it must go.

    Args:
        speaker: Who runs.
        peer: A dynamic neighbour, or a peer that is configured no longer.
        ranges: Those that there will be; default: those that there are.
    """
    if not (peer.range_name or can_go_on(peer)):
        return None
    if ranges is None:
        ranges = speaker.neighbours.ranges
    chosen = ranges.of(peer.settings.remote_addr)
    if chosen is None or chosen.name == peer.range_name:
        return chosen
    return chosen if has_room(speaker.neighbours, chosen) else None


def settings_under(chosen: RangeSettings, peer: Peer) -> PeerSettings:
    """Return a neighbour's settings under a range, whatever its former owner."""
    settings = neighbour_settings(chosen, peer.settings.remote_addr)
    if not peer.range_name:
        return settings
    # One that was up before our restart may be one that we connect to.
    return replace(
        settings,
        is_passive=peer.settings.is_passive,
        local_addr=settings.local_addr or peer.settings.local_addr,
    )


def change_of(peer: Peer, settings: PeerSettings) -> tuple[ChangeCost, tuple[str, ...]]:
    """Return what new settings cost a neighbour whose owner changes, and what differs."""
    negotiated = peer.negotiated
    if negotiated is None:
        return handover_change(peer.settings, settings)
    here = peer.driver.session.local_addr
    return handover_change(peer.settings, settings, negotiated.peer_as, here)


def follow_ranges(speaker: "Speaker") -> Iterator[None]:
    """Assign all dynamic neighbours to the present ranges, one in each step."""
    for address, peer in tuple(speaker.peers.items()):
        if peer.range_name and speaker.peers.get(address) is peer:
            leave_to_range(speaker, peer, NO_RANGE)
            yield


def leave_to_range(speaker: "Speaker", peer: Peer, text: str = "") -> None:
    """Give a neighbour to the range that has its address, or remove it.

    Args:
        speaker: Whose it is.
        peer: A dynamic neighbour, or a peer that is configured no longer.
        text: For its operator (RFC 9003), where it is removed.
    """
    chosen = successor_range(speaker, peer)
    if chosen is None:
        speaker.neighbours.remove(peer.settings.remote_addr, text)
        return
    settings = settings_under(chosen, peer)
    if chosen.name != peer.range_name or settings != peer.settings:
        cost, keys = change_of(peer, settings)
        reason = f"changed: {', '.join(keys)}"
        speaker.neighbours.change(settings, cost, reason, range_name=chosen.name)


def take_over(speaker: "Speaker", peer: Peer, settings: PeerSettings) -> None:
    """Turn a dynamic neighbour into a configured peer.

    Args:
        speaker: Whose it is.
        peer: The neighbour.
        settings: The configured peer's.
    """
    if not can_go_on(peer):
        speaker.neighbours.remove(settings.remote_addr, "now configured")
        speaker.neighbours.add(settings)
        return
    cost, keys = change_of(peer, settings)
    speaker.neighbours.change(
        settings, cost, f"changed: {', '.join(keys)}", range_name=""
    )
    if not (peer.is_held or peer.awaits_bfd):
        peer.driver.start()  # only its routes may have been there; else no effect
