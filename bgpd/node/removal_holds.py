"""Objects that are held because their removal is implausible, wherever it came from."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.removal_inventory import Count
    from bgpd.calico.removals import RemovalGuard


class Source(Protocol):
    """A source of objects."""

    @property
    def title(self) -> str:
        """Its name, for people."""

    @property
    def removals(self) -> "RemovalGuard[Any]":
        """Its held removals."""

    def describe(self, key: str) -> str:
        """Return where an object stood, for people."""

    def confirm(self) -> "tuple[Count, ...]":
        """Apply all its held removals and return them."""

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time."""


class RemovalHolds:
    """All removal holds of a daemon.

    Args:
        sources: Where objects come from.
        clock: Monotonic seconds.
    """

    def __init__(
        self, sources: Sequence[Source], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources = sources
        self._clock = clock

    def warnings(self) -> list[str]:
        """Return one line for each hold."""
        now = self._clock()
        return [
            f"{source.title}: {source.removals.describe(hold, now)}"
            for source in self._sources
            for hold in source.removals.holds
        ]

    def rows(self, wall_time: Callable[[float], str]) -> list[dict[str, Any]]:
        """Return each hold with its details.

        Args:
            wall_time: Makes text of a moment.
        """
        return [
            {
                "source": source.title,
                "since": wall_time(hold.since),
                "until": wall_time(hold.until),
                "objects": len(hold),
                "kinds": {
                    count.kind: {"missing": count.missing, "total": count.total}
                    for count in source.removals.counts(hold)
                },
            }
            for source in self._sources
            for hold in source.removals.holds
        ]

    def objects(self, wall_time: Callable[[float], str]) -> Iterator[dict[str, Any]]:
        """Yield every object that is held.

        Args:
            wall_time: Makes text of a moment.
        """
        for source in self._sources:
            for hold in source.removals.holds:
                since, until = wall_time(hold.since), wall_time(hold.until)
                for kind, items in tuple(hold.held.items()):
                    for key, value in tuple(items.items()):
                        yield {
                            "source": source.title,
                            "kind": kind,
                            "object": source.describe(key),
                            "replaced_by": "nothing"
                            if value is None
                            else "an empty one",
                            "since": since,
                            "until": until,
                        }

    def figures(self) -> Mapping[str, int]:
        """Return how many objects of each kind are held."""
        figures: dict[str, int] = {}
        for source in self._sources:
            for hold in source.removals.holds:
                for kind, items in hold.held.items():
                    figures[kind] = figures.get(kind, 0) + len(items)
        return figures

    @property
    def total(self) -> int:
        """Number of implausible removals so far."""
        return sum(source.removals.hold_count for source in self._sources)

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time, counted from when each hold began."""
        for source in self._sources:
            source.set_hold_time(seconds)

    def confirm(self) -> list[str]:
        """Apply all held removals; return a line for each source that had some."""
        lines = []
        for source in self._sources:
            counts = source.confirm()
            if counts:
                what = ", ".join(map(str, counts))
                lines.append(f"{source.title}: {what}: applying the removal now")
        return lines
