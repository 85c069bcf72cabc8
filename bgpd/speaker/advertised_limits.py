"""Limits how many routes are advertised to a peer (``max_advertised``).

Nothing beyond a limit leaves, whatever its action, ``warn`` apart: the update group sees to
that (``reflector.advertised_limit``). Here, every second and for those groups alone, what was
kept back goes out where there is room again, and the action follows.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from bgpd.pipeline.family_tables import FamilyTables
from bgpd.runtime.fault_isolation import each
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.peer import Peer
from reflector.group import UpdateGroup
from reflector.walks import CATCH_UP_SLICE

LOOK: Final = 1.0  # seconds between looks; microseconds for each peer that has a limit


class AdvertisedLimits:
    """Runs checks from its creation until ``close``.

    Args:
        context: Whose tables they are.
        peers: By address.
    """

    def __init__(self, context: SpeakerContext, peers: Mapping[str, Peer]) -> None:
        self._context = context
        self._peers = peers
        self._timer: asyncio.TimerHandle = context.loop.call_later(LOOK, self._look)

    def close(self) -> None:
        """Stop checking."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._context.loop.call_later(LOOK, self._look)
        for tables in self._context.tables.values():
            limited = [g for g in tables.groups.values() if g.limit is not None]
            each(partial(self._evaluate, tables), limited, "limit of advertised routes")

    def _evaluate(self, tables: FamilyTables, group: UpdateGroup) -> None:
        peer, limit = self._peers.get(group.export.context.alone), group.limit
        if peer is None or peer.negotiated is None or limit is None:
            return
        error = peer.limits.look_out(
            peer.settings,
            tables.family,
            limit.count,
            is_dynamic=bool(peer.range_name),
        )
        if error is not None:
            peer.driver.notify(error)
        elif nlris := limit.with_room(CATCH_UP_SLICE):
            tables.mark_export_unknown((group,), nlris)
