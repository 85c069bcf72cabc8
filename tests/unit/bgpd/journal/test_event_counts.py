"""Counts of events by second, beside a list that forgets nothing."""

import random
from collections import Counter

from bgpd.journal.event_counts import KEPT_SECONDS, EventCounts
from bgpd.journal.kinds import EventKind

KINDS = (EventKind.ROUTE, EventKind.SESSION)


def test_counts_are_those_of_a_list_of_all_events_for_an_hour() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        counts, happened = EventCounts(), []
        now = 1_795_000_000.0
        for _ in range(200):
            # Mostly forwards, sometimes far, sometimes back as a clock that was set.
            now += chance.choice((0, 0.2, 1, 3, 50, 5000, -2))
            kind, number = chance.choice(KINDS), chance.randrange(1, 5)
            counts.add(kind, now, number)
            happened.append((int(now), kind, number))
            newest = max(second for second, _, _ in happened)
            start = newest - chance.randrange(KEPT_SECONDS + 100)
            end = start + chance.randrange(1, 700)
            wanted: Counter[EventKind] = Counter()
            for second, each, count in happened:
                if max(start, newest - KEPT_SECONDS + 1) <= second < end:
                    wanted[each] += count
            assert +Counter(counts.between(start, end)) == wanted


def test_what_is_older_than_an_hour_does_not_count() -> None:
    counts = EventCounts()
    counts.add(EventKind.ROUTE, 10_000.0)
    counts.add(EventKind.ROUTE, 10_000.0 - KEPT_SECONDS)
    assert counts.between(0, 20_000) == {EventKind.ROUTE: 1}
