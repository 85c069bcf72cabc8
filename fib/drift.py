"""Foreign changes of our routes: counted, logged, and put right when it is time.

``fib.repairs`` says when: at once at first, later and later where two programs fight.
"""

import logging

from fib.repairs import Prefix, Repairs
from rib.family import Family
from rib.nlri import format_prefix

_log = logging.getLogger(__name__)


class Drift:
    """What other programs did to our routes.

    Attributes:
        count: Foreign changes that were noticed.
        repaired: Routes that were written again because of one.
    """

    def __init__(self) -> None:
        self.count = 0
        self.repaired = 0
        self._repairs = Repairs()
        self._last: Prefix | None = None

    def note(self, family: Family, nlri: bytes, now: float) -> bool:
        """Note a change; return whether to undo it at once."""
        self.count += 1
        delay = self._repairs.note((family, nlri), now)
        if delay:
            _log.warning(
                "another program keeps changing %(prefix)s; next repair in %(seconds)d s",
                {
                    "event": "route-contested",
                    "prefix": format_prefix(nlri, family.afi),
                    "family": family,
                    "seconds": delay,
                },
            )
            return False
        self.repaired += 1
        self._last = (family, nlri)
        return True

    def tell_repairs(self, before: int) -> None:
        """Log the repairs since ``repaired`` was ``before``, in one line."""
        count = self.repaired - before
        if not count or self._last is None:
            return
        family, nlri = self._last
        _log.info(
            "another program changed %(count)d of our kernel routes, the last of them "
            "%(prefix)s; writing them again",
            {
                "event": "routes-repaired",
                "count": count,
                "prefix": format_prefix(nlri, family.afi),
                "family": family,
            },
        )

    def note_found(self, family: Family, count: int) -> None:
        """Note what a comparison of the whole table found changed, and wrote again."""
        self.count += count
        self.repaired += count
        _log.warning(
            "%(family)s: %(count)d of our kernel routes had been changed",
            {"event": "routes-changed", "family": family, "count": count},
        )

    @property
    def next_due(self) -> float | None:
        """When ``due`` has something next; ``None`` while nothing waits."""
        return self._repairs.next_due

    def due(self, now: float) -> list[Prefix]:
        """Take out what is to be put right now."""
        found = self._repairs.due(now)
        self.repaired += len(found)
        return found

    def forget(self, now: float) -> None:
        """Forget fights that are over; to be called now and then."""
        self._repairs.forget(now)
