"""The sessions that other settings would touch: by the very steps that applying them takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bgpd.config.diff import Change, Step, StepKind
from bgpd.session.ranges import RangeTable
from bgpd.session.settings import ChangeCost, PeerSettings
from bgpd.speaker.peer import Peer
from bgpd.speaker.peer_changes import find_changes, removal
from bgpd.speaker.peer_handover import settings_under, successor_range
from bgpd.speaker.speaker import Speaker
from rib.family import Family


@dataclass(frozen=True, slots=True)
class SessionChange:
    """What happens to one neighbour.

    Attributes:
        step: What is done.
        name: The neighbour's.
        peer: The neighbour as it runs; ``None`` for one that is added.
        is_up: It has a session now.
    """

    step: Step
    name: str
    peer: Peer | None
    is_up: bool

    @property
    def ends_session(self) -> bool:
        """Whether a session that is up now ends, for good or to begin again."""
        return self.is_up and self.step.cost is ChangeCost.RESET


@dataclass(frozen=True, slots=True)
class PeerAfter:
    """One neighbour that runs, and what it would be.

    Attributes:
        peer: As it runs.
        settings: Those it would have; ``None`` if it would be gone.
        families: Those of its session that would stay.
        is_new_kind: It would be in another AS, or of the other kind: its next session has
            little to do with this one.
    """

    peer: Peer
    settings: PeerSettings | None
    families: frozenset[Family]
    is_new_kind: bool = False


def find_session_changes(
    speaker: Speaker, wanted: Mapping[str, PeerSettings], ranges: RangeTable
) -> Iterator[SessionChange | None]:
    """Yield what happens to each neighbour that is not left alone; ``None`` is a yield point.

    Args:
        speaker: What runs.
        wanted: The peers that there would be, by address.
        ranges: The ranges that there would be.
    """
    peers = speaker.peers
    for step in find_changes(speaker, wanted, ranges):
        yield None if step is None else _change(speaker, step)
    for address, peer in tuple(peers.items()):
        if not peer.range_name or address in wanted or peers.get(address) is not peer:
            continue
        step = removal(speaker, address, ranges)
        if not step.range_name or step.keys or step.range_name != peer.range_name:
            yield _change(speaker, step)
        yield None


def _change(speaker: Speaker, step: Step) -> SessionChange:
    peer = speaker.peers.get(step.name)
    if isinstance(step.value, PeerSettings):
        name = step.value.name
    else:
        name = step.name if peer is None else peer.settings.name
    is_up = peer is not None and peer.negotiated is not None
    return SessionChange(step, name, peer, is_up)


def by_router_id(address: str, peer: Peer) -> SessionChange:
    """Return what a new router id does to a session: it stands in the OPEN."""
    step = Step(
        StepKind.PEER,
        Change.SET,
        address,
        ChangeCost.RESET,
        ("router_id",),
        peer.settings,
    )
    return SessionChange(step, peer.settings.name, peer, is_up=True)


def peers_after(
    speaker: Speaker, wanted: Mapping[str, PeerSettings], ranges: RangeTable
) -> Iterator[PeerAfter]:
    """Yield every neighbour that runs with what it would be."""
    for address, peer in tuple(speaker.peers.items()):
        settings = wanted.get(address)
        if settings is None:
            chosen = successor_range(speaker, peer, ranges)
            settings = None if chosen is None else settings_under(chosen, peer)
        yield _after(peer, settings)


def _after(peer: Peer, settings: PeerSettings | None) -> PeerAfter:
    negotiated = peer.negotiated
    held = frozenset(peer.ribs_in if negotiated is None else negotiated.families)
    if settings is None:
        return PeerAfter(peer, None, frozenset())
    families = held & {mine.family for mine in settings.families}
    is_other = negotiated is not None and (
        not settings.accepts_as(negotiated.peer_as)
        or (peer.driver.session.offer(settings).local_as == negotiated.peer_as)
        is not negotiated.is_ibgp
    )
    return PeerAfter(peer, settings, families, is_new_kind=is_other)
