"""Prefixes of a peer that are not unicast destinations: ignored, and counted by kind.

RFC 4271 6.3: "an error SHOULD be logged locally, and the prefix SHOULD be ignored". They
are kept with what the peer's other refused routes are, so that ``show`` can tell them.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from rib.change import Change
from rib.destinations import MixedRun, NotUnicast, divide
from rib.filtered_routes import FilteredRoutes
from rib.import_checks import FilteredRoute, FilterReason, ImportChecks
from rib.loc_rib import LocRib
from rib.nlri import Nlri
from rib.outcome import Outcome
from rib.path import Path


class Ignored:
    """Prefixes of one kind.

    Attributes:
        first: One of them.
        count: How often one was announced; again while it stands does not count.
        next_news: From which count on it is worth another word.
    """

    __slots__ = ("count", "first", "next_news")

    def __init__(self, first: Nlri) -> None:
        self.first = first
        self.count = 0
        self.next_news = 1


class IgnoredPrefixes(dict[NotUnicast, Ignored]):
    """What one peer advertised of each kind, in one family, since the peer exists."""

    __slots__ = ("_has_other_rules",)

    def __init__(self) -> None:
        super().__init__()
        self._has_other_rules = False

    def follow(self, before: ImportChecks, after: ImportChecks) -> None:
        """Note that routes are re-evaluated by rules that may allow other prefixes."""
        if before.allows_reserved != after.allows_reserved:
            self._has_other_rules = True

    def news(self) -> Iterator[tuple[NotUnicast, Ignored]]:
        """Yield kinds seen for the first time, or ten times as often as last time."""
        for why, ignored in self.items():
            if ignored.count >= ignored.next_news:
                ignored.next_news = 10 ** len(str(ignored.count))
                yield why, ignored

    def checked(self, nlris: list[Nlri]) -> list[Nlri]:
        """Return prefixes that were received before, marked where some may be ignored."""
        if nlris and (self or self._has_other_rules):
            return MixedRun(nlris)
        return nlris


class _Table(Protocol):
    """What this needs of a peer's table: an ``AdjRibIn``."""

    loc_rib: LocRib
    filtered: FilteredRoutes
    ignored: IgnoredPrefixes

    @property
    def rules(self) -> ImportChecks: ...

    def announce(
        self,
        outcome: Outcome,
        nlris: Sequence[Nlri],
        path_id: int = 0,
        *,
        is_counted: bool = True,
    ) -> list[Change]: ...

    def filter_out(
        self, filtered: FilteredRoute, nlris: Sequence[Nlri], path_id: int
    ) -> list[Change]: ...


def announce_mixed(
    rib: _Table,
    outcome: Outcome,
    nlris: Sequence[Nlri],
    path_id: int,
    *,
    is_counted: bool,
) -> list[Change]:
    """Ignore prefixes that are not unicast destinations, and pass the rest to a peer's table.

    Args:
        rib: The table.
        outcome: Of the prefixes' attributes.
        nlris: Prefixes of both kinds.
        path_id: As in ``AdjRibIn.announce``.
        is_counted: As there.
    """
    good, others = divide(
        nlris, rib.loc_rib.family.afi, allows_reserved=rib.rules.allows_reserved
    )
    changes = (
        rib.announce(outcome, good, path_id, is_counted=is_counted) if good else []
    )
    attributes = outcome.received if isinstance(outcome, Path) else outcome.attributes
    for why, members in others.items():
        new = [nlri for nlri in members if (nlri, path_id) not in rib.filtered]
        if new:
            rib.ignored.setdefault(why, Ignored(new[0])).count += len(new)
        filtered = FilteredRoute(attributes, FilterReason.NOT_UNICAST, why.value)
        changes += rib.filter_out(filtered, members, path_id)
    return changes
