"""What the task that writes routes has to do, and when. No socket, no clock of its own.

sign                                     work                     when
---------------------------------------  -----------------------  ---------------------
links down, lost objects, dropped        compare the whole table  ``RESYNC_PAUSE`` after
notifications                                                     the first of them
nothing                                  the same                 every
                                                                  ``AUDIT_INTERVAL``
a link, an address, another's route      resolve targets again    at once
an object's target changed               change the object        at once
the kernel refused routes                try them again           with back-off
"""

import asyncio
from typing import Final, Literal

RESYNC_PAUSE: Final = 0.05  # seconds from the first sign to a comparison
AUDIT_INTERVAL: Final = 300.0  # seconds
RETRY_FIRST: Final = 1.0  # seconds until refused routes are tried again
RETRY_LAST: Final = 60.0  # likewise, at most

Extent = Literal["", "blocked", "all"]


class Schedule:
    """Work that waits; each ``take_`` method hands over one kind and forgets it.

    Args:
        now: Monotonic seconds, as everywhere here.

    Attributes:
        wake: Set when there may be something to do earlier than at ``next_due``.
        resync_count: Comparisons with the whole table that were begun.
    """

    def __init__(self, now: float) -> None:
        self.wake = asyncio.Event()
        self.resync_count = 0
        self._audit_at = now + AUDIT_INTERVAL
        self._resync_at: float | None = None
        self._retry_at: float | None = None
        self._retry_delay = RETRY_FIRST
        self._refresh: Extent = ""
        self._has_retargeted = False

    @property
    def is_clear(self) -> bool:
        """Nothing waits that could change a route; audits and retries do not count."""
        return not (
            self._refresh or self._has_retargeted or self._resync_at is not None
        )

    @property
    def wants_resync(self) -> bool:
        """A comparison with the whole table waits."""
        return self._resync_at is not None

    @property
    def next_due(self) -> float:
        """When there is something to do at the latest."""
        due = (self._audit_at, self._resync_at, self._retry_at)
        return min(at for at in due if at is not None)

    # -- signs --------------------------------------------------------------------------

    def want_resync(self, now: float) -> None:
        """Compare the whole table soon; signs of one moment are one comparison."""
        self._resync_at = self._resync_at or now + RESYNC_PAUSE
        self.wake.set()

    def resync_after(self, at: float) -> None:
        """Compare the whole table at a moment, and not before: writing failed."""
        self._resync_at = at

    def want_refresh(self, extent: Extent) -> None:
        """Resolve targets again, all of them or those that cannot be reached."""
        if self._refresh != "all":
            self._refresh = extent
        self.wake.set()

    def want_retarget(self) -> None:
        """Change objects whose target is another one now."""
        self._has_retargeted = True
        self.wake.set()

    def note_refused(self, now: float, *, are_any: bool) -> None:
        """Try routes again that the kernel refused, or reset the back-off if there are none."""
        if not are_any:
            self._retry_at, self._retry_delay = None, RETRY_FIRST
        elif self._retry_at is None:
            self._retry_at = now + self._retry_delay

    # -- work ---------------------------------------------------------------------------

    def take_audit(self, now: float) -> bool:
        """Whether it is time for an audit, which then is due at once."""
        if now < self._audit_at:
            return False
        self._audit_at = now + AUDIT_INTERVAL
        self._resync_at = now
        return True

    def take_resync(self, now: float) -> bool:
        """Whether the whole table is to be compared now, and all targets resolved."""
        if self._resync_at is None or now < self._resync_at:
            return False
        self._resync_at = None
        self.resync_count += 1
        return True

    def take_refresh(self) -> Extent:
        """Which targets are to be resolved again now."""
        extent, self._refresh = self._refresh, ""
        return extent

    def take_retarget(self) -> bool:
        """Whether objects have another target now."""
        had, self._has_retargeted = self._has_retargeted, False
        return had

    def take_retry(self, now: float) -> bool:
        """Whether refused routes are to be tried again now; the next pause is longer."""
        if self._retry_at is None or now < self._retry_at:
            return False
        self._retry_at = None
        self._retry_delay = min(self._retry_delay * 2, RETRY_LAST)
        return True
