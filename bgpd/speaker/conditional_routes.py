"""Our own routes that depend on others: aggregates and default routes.

A condition holds while the table has a usable route among its prefixes. What is announced
on a condition itself does not count, so that no two of these keep each other. Which those
are is kept as a set: the listener of each flush adds and takes away, and a pass over the
table, in slices, finds those that were there before. ``default_originate`` of single peers
has conditions, too.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
RouteKey = tuple[Family, Nlri]


class Conditional(NamedTuple):
    """One of our routes with its condition.

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
    """A condition, and the prefixes that it depends on.

    Attributes:
        when: One of these must be there; ``None`` where nothing is asked.
        is_met: Its last known value.
        is_wanted: Whether it still counts.
        present: By family, what is there of ``when``.
    """

    def __init__(self, when: PrefixMatch | None) -> None:
        self.when = when
        self.is_met = False
        self.is_wanted = True
        self.present: dict[Family, set[Nlri]] = {}
        self._matchers: dict[int, PrefixMatcher] = {}

    def meant(self, family: Family, nlris: Iterable[Nlri]) -> Sequence[Nlri]:
        """Return the prefixes, of those given, that matter to the condition."""
        when = self.when
        if when is None:
            return ()
        matcher = self._matchers.get(family.afi)
        if matcher is None:
            matcher = self._matchers[family.afi] = PrefixMatcher(when, family.afi)
        return matcher.divide(nlris)[0]

    @property
    def holds(self) -> bool:
        return self.when is None or any(self.present.values())


class _RouteWatch(_Watch):
    """A route that is originated on a condition."""

    def __init__(self, key: RouteKey, route: Conditional) -> None:
        super().__init__(route.when)
        self.key = key
        self.route = route


class _DefaultWatch(_Watch):
    """A condition for advertising a default route to peers; it originates nothing."""


class _Watching:
    """Follows one family's routes."""

    def __init__(self, routes: "ConditionalRoutes", family: Family) -> None:
        self._routes = routes
        self._family = family

    def changed(self, changes: Sequence[Change]) -> None:
        """See ``RouteConsumer``."""
        self._routes.routes_changed(self._family, changes)


class ConditionalRoutes:
    """Originates and withdraws such routes as the tables change.

    Args:
        speaker: Whose they are.
    """

    def __init__(self, speaker: "Speaker") -> None:
        self._speaker = speaker
        self._watches: dict[RouteKey, _RouteWatch] = {}
        self._of_defaults: dict[PrefixMatch, _DefaultWatch] = {}
        self._is_listening = False

    def announced(self) -> dict[RouteKey, Conditional]:
        """Return those whose condition holds, so that they are announced."""
        return {
            key: watch.route for key, watch in self._watches.items() if watch.is_met
        }

    def follow(self, wanted: Mapping[RouteKey, Conditional]) -> None:
        """Replace the conditional routes."""
        self._listen(is_needed=bool(wanted))
        for key in self._watches.keys() - wanted.keys():
            self._end(self._watches.pop(key))
        for key, route in wanted.items():
            watch = self._watches.get(key)
            if watch is None or watch.when != route.when:
                self._begin(key, route, watch)
            elif watch.route != route:
                before, watch.route = watch.route, route
                if watch.is_met:
                    self._replace(watch, before)
        self._hide()

    def follow_defaults(self, wanted: Collection[PrefixMatch]) -> None:
        """Replace the conditions of ``default_originate``.

        To be called before peers begin to go by them, so that what is met already is known.
        """
        self._listen(is_needed=bool(wanted))
        for when in self._of_defaults.keys() - set(wanted):
            self._of_defaults.pop(when).is_wanted = False
            self._speaker.context.policies.turn(when, holds=False)
        for when in dict.fromkeys(wanted):
            if when not in self._of_defaults:
                watch = self._of_defaults[when] = _DefaultWatch(when)
                self._speaker.work_queue.begin(self._scan(watch))

    def _listen(self, *, is_needed: bool) -> None:
        if is_needed and not self._is_listening:
            self._is_listening = True
            for family, consumers in self._speaker.context.consumers.items():
                consumers.attach(_Watching(self, family))

    def _begin(
        self, key: RouteKey, route: Conditional, before: _RouteWatch | None
    ) -> None:
        if before is not None:
            self._end(before)
        watch = self._watches[key] = _RouteWatch(key, route)
        if route.when is None:
            self._announce(watch)
        else:
            self._speaker.work_queue.begin(self._scan(watch))

    def _scan(self, watch: _Watch) -> Iterator[None]:
        """Scan the table once; changes meanwhile arrive separately."""
        for family, tables in self._speaker.tables.items():
            table = tables.loc_rib.table
            nlris = list(table)
            for start in range(0, len(nlris), SCAN_SLICE):
                for nlri in watch.meant(family, nlris[start : start + SCAN_SLICE]):
                    self._note(watch, (family, nlri), table.get(nlri))
                if not watch.is_wanted:
                    return
                self._evaluate(watch)
                yield

    def routes_changed(self, family: Family, changes: Sequence[Change]) -> None:
        """Check the conditions that these changes affect."""
        table = self._speaker.tables[family].loc_rib.table
        own = {nlri for of, nlri in self._watches if of == family}
        for watch in (*self._watches.values(), *self._of_defaults.values()):
            if watch.when is None:
                continue
            for change in changes:
                nlris: Iterable[Nlri] = change.nlris
                if best_of(change.old) is not None and best_of(change.new) is not None:
                    nlris = own.intersection(nlris)  # others are as usable as before
                for nlri in watch.meant(family, nlris):
                    # As it is now: the flush may tell of what has changed again.
                    self._note(watch, (family, nlri), table.get(nlri))
            self._evaluate(watch)

    def _note(self, watch: _Watch, found: RouteKey, entry: Entry | None) -> None:
        best, ours = best_of(entry), self._watches.get(found)
        is_ours = best and ours and best.source is ours.route.source
        family, nlri = found
        present = watch.present.setdefault(family, set())
        if best is None or is_ours:
            present.discard(nlri)
        else:
            present.add(nlri)

    def _evaluate(self, watch: _Watch) -> None:
        if watch.holds is watch.is_met:
            return
        if isinstance(watch, _RouteWatch):
            if watch.holds:
                self._announce(watch)
            else:
                self._withdraw(watch)
            if watch.route.hides_inside:
                self._hide()
        elif watch.when is not None:
            watch.is_met = watch.holds
            self._speaker.context.policies.turn(watch.when, holds=watch.holds)
            self._speaker.work_queue.begin(self._advertise_defaults(watch.when))

    def _advertise_defaults(self, when: PrefixMatch) -> Iterator[None]:
        """Make peers with a conditional default route follow the condition."""
        for peer in tuple(self._speaker.peers.values()):
            if peer.settings.originates_default and peer.settings.default_when == when:
                peer.rejoin()
                yield

    def _announce(self, watch: _RouteWatch) -> None:
        watch.is_met = True
        family, nlri = watch.key
        route = watch.route
        self._speaker.local_routes.originate(
            family, [nlri], route.attributes, route.source, weight=route.weight
        )

    def _replace(self, watch: _RouteWatch, before: Conditional) -> None:
        if before.source is not watch.route.source:
            family, nlri = watch.key
            self._speaker.local_routes.withdraw(family, [nlri], before.source)
        self._announce(watch)

    def _withdraw(self, watch: _RouteWatch) -> None:
        watch.is_met = False
        family, nlri = watch.key
        self._speaker.local_routes.withdraw(family, [nlri], watch.route.source)

    def _end(self, watch: _RouteWatch) -> None:
        watch.is_wanted = False
        if watch.is_met:
            self._withdraw(watch)

    def _hide(self) -> None:
        """Suppress routes inside a summary towards all peers."""
        entries = [
            inside(family, nlri)
            for (family, nlri), watch in self._watches.items()
            if watch.is_met and watch.route.hides_inside
        ]
        self._speaker.policies.hide(
            PrefixMatch(tuple(sorted(entries))) if entries else None
        )


def inside(family: Family, nlri: Nlri) -> PrefixEntry:
    """Return the prefixes that are more specific than one."""
    return PrefixEntry(family.afi, nlri, nlri[0] + 1, _LONGEST[family.afi])
