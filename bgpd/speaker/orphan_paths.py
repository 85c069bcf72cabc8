"""Orphan paths, which nothing has a reason to keep: an invariant, checked now and then.

A peer has paths while its session stands, while they wait for it (``StaleRoutes``), and for
as long as it takes to sweep them. Anything else is a fault of this program, of the kind that
goes unnoticed: routes of a peer in Idle that attract traffic and fill memory. Paths found
in two checks in a row, and not fewer of them, are reported and swept.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Final

from bgpd.session.fsm import State
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.peer import Peer
from rib.adj_rib_in import SWEEP_SLICE
from rib.family import Family
from rib.path import Source, SourceKind

_PEERS = (SourceKind.EBGP, SourceKind.IBGP)
_Place = tuple[Family, Source]

_ORPHANS: Final = (
    "%(peer)s: removing %(count)d orphan paths of %(family)s (no session keeps them)"
)

_log = logging.getLogger(__name__)


class OrphanPaths:
    """Checks one speaker's tables.

    Args:
        context: Whose they are.
        peers: By address.

    Attributes:
        found: Paths that are left over, by whose they were: as of the last look. Each was
            told, and is being removed.
    """

    def __init__(self, context: SpeakerContext, peers: Mapping[str, Peer]) -> None:
        self.found: dict[_Place, int] = {}
        self._context = context
        self._peers = peers
        self._suspects: dict[_Place, int] = {}

    @property
    def count(self) -> int:
        """Number of orphan paths."""
        return sum(self.found.values())

    def warnings(self) -> list[str]:
        """Return a warning for each source with orphan paths."""
        return [
            _ORPHANS % {"peer": source.name, "count": count, "family": family}
            for (family, source), count in self.found.items()
        ]

    def look(self) -> None:
        """Compare the paths with their possible sources; some 0.5 us for each peer."""
        before, self._suspects = self._suspects, self._without_reason()
        found = {
            place: count
            for place, count in self._suspects.items()
            if count >= before.get(place, count + 1)
        }
        for place, count in found.items():
            family, source = place
            _log.error(
                _ORPHANS,
                {
                    "event": "orphan-paths",
                    "peer": source.name,
                    "count": count,
                    "family": family,
                },
            )
            self._context.work_queue.add(self._remove(family, source))
        self.found = found

    def _without_reason(self) -> dict[_Place, int]:
        allowed = {
            source
            for peer in self._peers.values()
            for family, source in peer.sources.items()
            if peer.state is State.ESTABLISHED or family in peer.imports.stale
        }
        return {
            (family, source): count
            for family, tables in self._context.tables.items()
            for source, count in tables.loc_rib.path_counts.items()
            if source not in allowed and source.kind in _PEERS
        }

    def _remove(self, family: Family, source: Source) -> Iterator[None]:
        """Remove all paths of a source, a slice for each step."""
        tables = self._context.tables[family]
        loc_rib = tables.loc_rib
        epoch = source.epoch = source.epoch + 1
        nlris = list(loc_rib.table)
        for start in range(0, len(nlris), SWEEP_SLICE):
            piece = nlris[start : start + SWEEP_SLICE]
            tables.changed(loc_rib.sweep_stale(piece, source, epoch))
            yield
        if (family, source) in self._without_reason():
            loc_rib.recount(source)
