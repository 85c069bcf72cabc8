"""Routes of our own that are announced only while there are others: aggregates, defaults.

A condition holds while the table has a usable route among its prefixes. What is announced
on a condition itself does not count, so that no two of these keep each other. Which those are is kept as a set: the listener of each flush adds and takes
away, and a pass over the table, in slices, finds those that were there before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from rib.attributes import PathAttributes
from rib.change import Change
from rib.family import ADDRESS_OCTETS, Family
from rib.nlri import Nlri
from rib.path import Source
from rib.path_set import Entry, best_of
from rib.policy import PrefixEntry, PrefixMatch
from rib.policy.prefixes import PrefixMatcher

if TYPE_CHECKING:
    from bgpd.speaker.speaker import Speaker

SCAN_SLICE: Final = 8192  # prefixes looked at in one go, a few milliseconds

_LONGEST: Final = {afi: octets * 8 for afi, octets in ADDRESS_OCTETS.items()}
_Key = tuple[Family, Nlri]


class Conditional(NamedTuple):
    """A route of our own with its condition.

    Attributes:
        attributes: As peers see them before export policy.
        source: Whose it is.
        when: One of these must be there; ``None`` where nothing is asked.
        weight: In place of the source's.
        hides_inside: While it is announced, nothing inside it is.
    """

    attributes: PathAttributes
    source: Source
    when: PrefixMatch | None
    weight: int | None = None
    hides_inside: bool = False


class _Watch:
    """A route, and the prefixes that its condition rests on."""

    def __init__(self, route: Conditional) -> None:
        self.route = route
        self.is_announced = False
        self.present: dict[Family, set[Nlri]] = {}
        self._matchers: dict[int, PrefixMatcher] = {}

    def meant(self, family: Family, nlris: Iterable[Nlri]) -> Sequence[Nlri]:
        """Return those of some prefixes that the condition is about."""
        when = self.route.when
        if when is None:
            return ()
        matcher = self._matchers.get(family.afi)
        if matcher is None:
            matcher = self._matchers[family.afi] = PrefixMatcher(when, family.afi)
        return matcher.divide(nlris)[0]

    @property
    def holds(self) -> bool:
        return self.route.when is None or any(self.present.values())


class ConditionalRoutes:
    """Announces and withdraws such routes as the tables change.

    Args:
        speaker: Whose they are.
    """

    def __init__(self, speaker: "Speaker") -> None:
        self._speaker = speaker
        self._watches: dict[_Key, _Watch] = {}
        self._is_listening = False

    def follow(self, wanted: Mapping[_Key, Conditional]) -> None:
        """Want these and no others."""
        if wanted and not self._is_listening:
            self._is_listening = True
            for family, tables in self._speaker.tables.items():
                tables.listeners.append(partial(self._changed, family))
        for key in self._watches.keys() - wanted.keys():
            self._withdraw(key, self._watches.pop(key))
        for key, route in wanted.items():
            watch = self._watches.get(key)
            if watch is None or watch.route.when != route.when:
                self._begin(key, route, watch)
            elif watch.route != route:
                before, watch.route = watch.route, route
                if watch.is_announced:
                    self._replace(key, watch, before)
        self._hide()

    def _begin(self, key: _Key, route: Conditional, before: _Watch | None) -> None:
        if before is not None:
            self._withdraw(key, before)
        watch = self._watches[key] = _Watch(route)
        if route.when is None:
            self._announce(key, watch)
        else:
            self._speaker.jobs.begin(self._scan(key, watch))

    def _scan(self, key: _Key, watch: _Watch) -> Iterator[None]:
        """Find what is there already; changes meanwhile come by themselves."""
        for family, tables in self._speaker.tables.items():
            table = tables.loc_rib.table
            nlris = list(table)
            for start in range(0, len(nlris), SCAN_SLICE):
                for nlri in watch.meant(family, nlris[start : start + SCAN_SLICE]):
                    self._note(watch, (family, nlri), table.get(nlri))
                if self._watches.get(key) is not watch:
                    return
                self._judge(key, watch)
                yield

    def _changed(self, family: Family, changes: Sequence[Change]) -> None:
        table = self._speaker.tables[family].loc_rib.table
        own = {nlri for of, nlri in self._watches if of == family}
        for key, watch in tuple(self._watches.items()):
            if watch.route.when is None:
                continue
            for change in changes:
                nlris: Iterable[Nlri] = change.nlris
                if best_of(change.old) is not None and best_of(change.new) is not None:
                    nlris = own.intersection(nlris)  # others are as usable as before
                for nlri in watch.meant(family, nlris):
                    # As it is now: the flush may tell of what has changed again.
                    self._note(watch, (family, nlri), table.get(nlri))
            self._judge(key, watch)

    def _note(self, watch: _Watch, found: _Key, entry: Entry | None) -> None:
        best, ours = best_of(entry), self._watches.get(found)
        is_ours = best and ours and best.source is ours.route.source
        family, nlri = found
        present = watch.present.setdefault(family, set())
        if best is None or is_ours:
            present.discard(nlri)
        else:
            present.add(nlri)

    def _judge(self, key: _Key, watch: _Watch) -> None:
        if watch.holds is watch.is_announced:
            return
        if watch.holds:
            self._announce(key, watch)
        else:
            self._withdraw(key, watch)
        if watch.route.hides_inside:
            self._hide()

    def _announce(self, key: _Key, watch: _Watch) -> None:
        watch.is_announced = True
        family, nlri = key
        route = watch.route
        self._speaker.local_routes.originate(
            family, [nlri], route.attributes, route.source, weight=route.weight
        )

    def _replace(self, key: _Key, watch: _Watch, before: Conditional) -> None:
        if before.source is not watch.route.source:
            self._speaker.local_routes.withdraw(key[0], [key[1]], before.source)
        self._announce(key, watch)

    def _withdraw(self, key: _Key, watch: _Watch) -> None:
        if watch.is_announced:
            watch.is_announced = False
            self._speaker.local_routes.withdraw(key[0], [key[1]], watch.route.source)

    def _hide(self) -> None:
        """Let peers be told nothing of what lies inside a summary."""
        entries = [
            inside(family, nlri)
            for (family, nlri), watch in self._watches.items()
            if watch.is_announced and watch.route.hides_inside
        ]
        self._speaker.policies.hide(
            PrefixMatch(tuple(sorted(entries))) if entries else None
        )


def inside(family: Family, nlri: Nlri) -> PrefixEntry:
    """Return the prefixes that are more specific than one."""
    return PrefixEntry(family.afi, nlri, nlri[0] + 1, _LONGEST[family.afi])
