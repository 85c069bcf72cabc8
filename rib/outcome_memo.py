"""What import decides about attribute blocks, remembered for one session.

The decision depends on the block alone, so it is made once for each: a peer's full table has
a tenth as many blocks as prefixes. What no prefix has any more is forgotten in slices, when
the memo has doubled, or when the session has received much since the last time.

A peer whose routes flap sends the same blocks again and again. So there is room for some that no
prefix has now; all sessions share it, since a thousand clients may flap at once.
"""

from collections.abc import Callable, Hashable, Iterable, Sized
from functools import partial
from typing import Final

from rib.attributes import PathAttributes
from rib.intern import InternTable
from rib.outcome import Importer, Outcome

_OUTCOME_OCTETS: Final = 4096  # received for each outcome: much more than usual
_FEW_OUTCOMES: Final = 1024
ROOM = 65536  # outcomes of all sessions of a family, used or not: 25 MB; not Final: tests change it


class OutcomeMemo:
    """Outcomes by what identifies a block.

    Args:
        importer: Decides.
        sessions: Those that share the room.

    Attributes:
        importer: As given.
        known: Returns the outcome of a key; ``None`` for one that was not decided yet.
        octets_received: On the session so far, as far as the caller says so: outcomes of
            large blocks are looked through sooner.
    """

    def __init__(self, importer: Importer, sessions: Sized = ()) -> None:
        self.importer = importer
        self._room = partial(_room, sessions)
        self.octets_received = 0
        self._outcomes: InternTable[Hashable, Outcome] = InternTable(self._room)
        self._swept_at = 0  # octets received
        self.known: Callable[[Hashable], Outcome | None] = self._outcomes.get

    def __len__(self) -> int:
        """Return how many outcomes are remembered."""
        return len(self._outcomes)

    def decide(
        self, key: Hashable, attributes: PathAttributes, path_id: int = 0
    ) -> Outcome:
        """Decide once what happens to an attribute block; ``known(key)`` returns it later.

        Args:
            key: What identifies the block on this session: its octets as received, with
                the next hop and path identifier where they stand elsewhere.
            attributes: The block, decoded.
            path_id: RFC 7911 identifier; 0 without add-path.
        """
        outcome = self._outcomes[key] = self.importer.evaluate(attributes, path_id)
        return outcome

    def forget(self) -> InternTable[Hashable, Outcome]:
        """Forget all outcomes; return what is unused now."""
        outcomes, self._outcomes = self._outcomes, InternTable(self._room)
        self.known = self._outcomes.get
        return outcomes

    @property
    def is_sweep_due(self) -> bool:
        """Whether ``sweep_unused`` has work."""
        outcomes = self._outcomes
        return outcomes.is_due or (
            self.octets_received - self._swept_at
            > _OUTCOME_OCTETS * (len(outcomes) + _FEW_OUTCOMES)
        )

    def sweep_unused(self) -> Iterable[int]:
        """Forget outcomes that no prefix has any more, in slices; empty when not due."""
        if not self.is_sweep_due:
            return ()
        self._swept_at = self.octets_received
        return self._outcomes.sweep()

    def look_after(self) -> Iterable[int]:
        """Forget outcomes that no prefix has any more where they are few, now and then."""
        return self._outcomes.look_after()


def _room(sessions: Sized) -> int:
    """Return how many outcomes one session may keep unswept."""
    return ROOM // max(1, len(sessions))
