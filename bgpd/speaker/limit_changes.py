"""What to do for a peer when its prefix limits, or settings that affect them, change.

``bgpd.speaker.prefix_limits`` watches the limits of one session; here an operator changed the
settings or a policy, and a peer that waits because of a limit may come back.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Final

from bgpd.config.diff import peer_change
from bgpd.session.settings import PeerSettings, peer_fields
from bgpd.speaker.peer import Peer
from bgpd.speaker.prefix_limits import block, has_more_room
from rib.family import Family

CURES: Final = frozenset(
    {
        "families",
        "import_policy",
        "export_policy",
        "remote_as",
        "remote_as_class",
        "remote_as_ranges",
    }
)
"""Fields of ``PeerSettings`` whose change may bring a peer below its limits."""
_COSMETIC: Final = frozenset({"name", "description"})

_log = logging.getLogger(__name__)


def retry(peer: Peer) -> None:
    """Let a peer come back whose session a limit ended: it may be within the limit now."""
    if peer.negotiated is not None or peer.limits.exceeded is None:
        return
    if peer.limits.is_disabled:
        peer.enable()
    else:
        peer.driver.try_afresh()


def follow(peer: Peer, before: PeerSettings) -> None:
    """Follow changed settings that need no new session.

    Raised limits admit blocked routes, lowered ones apply at once; a peer that is
    not up is tried at once if the cause of its failure may be gone.
    """
    now = peer.settings
    changed = set(peer_change(before, now)[1])
    if peer.negotiated is None:
        if peer.limits.exceeded is not None:
            if changed & CURES:
                retry(peer)
        elif changed - _COSMETIC:
            peer.driver.try_afresh()
    elif "families" in changed:
        for family, rib in peer.ribs_in.items():
            block(rib, now.families)
            if rib.can_let_in:
                peer.imports.run(family, rib.let_in_all_blocked())
            if rib.admission.forgotten_count and has_more_room(
                before.families, now.families, family
            ):
                rib.admission.forgotten_count = 0
                _ask_again(peer, family)
        peer.routes_changed()


def _ask_again(peer: Peer, family: Family) -> None:
    if not peer.ask_refresh((family,)):
        _log.warning(
            "%(peer)s (%(address)s): cannot ask for the %(family)s routes that max_received "
            "discarded, as the peer has no route refresh; they come with the next session",
            {
                "event": "no-route-refresh",
                **peer_fields(peer.settings),
                "family": family,
            },
        )


def lines(peers: Iterable[Peer]) -> Iterator[str]:
    """Yield warnings about what limits block."""
    for peer in peers:
        name, limit = peer.settings.name, peer.limits.exceeded
        if peer.limits.is_disabled and limit is not None:
            yield (
                f"{name} is disabled: it exceeded {limit.most} {limit.unit}; "
                f"`pybgpctl enable-peer {name}` enables it again"
            )
        for family, rib in peer.ribs_in.items():
            if count := len(rib.admission.blocked):
                yield f"{name}: max_prefixes blocks {count} prefixes of {family}"
            outgoing = peer.exports.limit(family)
            if outgoing is not None and (count := len(outgoing.waiting)):
                yield f"{name}: max_advertised keeps {count} routes of {family} from it"
