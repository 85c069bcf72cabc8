"""Since when each path is what it is.

No time is kept for each prefix: that would take 40 octets of each. The journal has the time at which a
prefix's best path changed, while it keeps the change. Of other paths it is known when they were
made, which is when their peer first sent these attributes: no prefix has had one for longer.
"""

import time
from collections.abc import Iterator
from typing import Final

from bgpd.api.protocol import Row
from bgpd.show.state import DaemonView
from bgpd.texts.moments import utc_with_milliseconds
from rib.family import Family
from rib.nlri import Nlri
from rib.path import Path

_SLICE: Final = 4096  # prefixes between yield points, about a millisecond


class Ages:
    """The ages of one family's paths, for one answer.

    Args:
        view: Whose.
        family: Of the prefixes.
    """

    def __init__(self, view: DaemonView, family: Family) -> None:
        self._kept = view.journal.changes_of(family)
        self._changed_at: dict[Nlri, float] = {}
        self._now = time.time()
        self._offset = self._now - view.now

    def look_up(self, nlri: Nlri) -> None:
        """Learn what the journal has of one prefix."""
        for change in () if self._kept is None else self._kept.of_prefix(nlri):
            self._changed_at[nlri] = change.at

    def look_up_all(self) -> Iterator[None]:
        """Learn what the journal has, a slice at each step."""
        times = iter(()) if self._kept is None else self._kept.times()
        for count, (nlri, at) in enumerate(times):
            self._changed_at[nlri] = at
            if count % _SLICE == 0:
                yield None

    def of_path(self, path: Path) -> int:
        """Return the seconds since a path was made."""
        return max(0, int(self._now - path.made_at - self._offset))

    def of_change(self, nlri: Nlri) -> int | None:
        """Return the seconds since a prefix's best path changed; ``None`` without a change."""
        at = self._changed_at.get(nlri)
        return None if at is None else max(0, int(self._now - at))

    def row(self, nlri: Nlri, path: Path, *, is_best: bool) -> Row:
        """Return since when a path is as it is.

        Args:
            nlri: A prefix that has the path.
            path: One of its paths.
            is_best: It is the best one, whose changes the journal has.
        """
        at = path.made_at + self._offset
        changed_at = self._changed_at.get(nlri) if is_best else None
        if changed_at is not None:
            at = max(at, changed_at)
        return {
            "changed": utc_with_milliseconds(at),
            "changed_is_exact": changed_at is not None,
            "age": max(0, int(self._now - at)),
        }
