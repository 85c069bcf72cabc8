"""Periodic housekeeping, so that months of churn leave nothing behind.

Every few seconds, in slices beside all else: memos forget unused results, interned
values without references go, next hops without a path are no longer tracked; and each
source of paths must still have a reason to have them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.orphan_paths import OrphanPaths
from bgpd.speaker.peer import Peer

INTERVAL: Final = 10.0  # seconds between rounds
THOROUGH: Final = 6  # of so many rounds, one looks at every peer's attribute blocks
_PEERS: Final = 128  # looked at in one go, under a millisecond


class Housekeeping:
    """Runs rounds from its creation until ``close``.

    Args:
        context: Whose tables they are.
        peers: By address.

    Attributes:
        helpers: Others who look after something in each round: a slice for each step.
        leftovers: The check for orphan paths.
    """

    def __init__(self, context: SpeakerContext, peers: Mapping[str, Peer]) -> None:
        self.helpers: list[Callable[[], Iterable[object]]] = []
        self.leftovers = OrphanPaths(context, peers)
        self._context = context
        self._peers = peers
        self._count = 0
        self._is_under_way = False
        self._handle = context.loop.call_later(INTERVAL, self._begin)

    def close(self) -> None:
        """Stop housekeeping."""
        self._handle.cancel()

    def _begin(self) -> None:
        self._handle = self._context.loop.call_later(INTERVAL, self._begin)
        if not self._is_under_way:
            self._is_under_way = True
            self._count += 1
            is_thorough = self._count % THOROUGH == 0
            self._context.work_queue.add(self._run(is_thorough=is_thorough))

    def _run(self, *, is_thorough: bool) -> Iterator[None]:
        try:
            yield from self.round(is_thorough=is_thorough)
        finally:
            self._is_under_way = False

    def round(self, *, is_thorough: bool) -> Iterator[None]:
        """Do one round, a slice for each step.

        Args:
            is_thorough: Look for unused outcomes of attribute blocks, too, where a peer
                has few.
        """
        for tables in self._context.tables.values():
            yield from tables.look_after()
        for helper in self.helpers:
            for _ in helper():
                yield
        if is_thorough:
            yield from self._look_after_outcomes()
        for _ in self._context.next_hops.sweep_unused():
            yield
        self.leftovers.look()

    def _look_after_outcomes(self) -> Iterator[None]:
        rest = iter(list(self._peers.values()))
        while some := list(islice(rest, _PEERS)):
            for peer in some:
                for rib in tuple(peer.ribs_in.values()):
                    for _ in rib.outcomes.look_after():
                        yield
            yield
