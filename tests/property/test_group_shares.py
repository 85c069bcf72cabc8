"""Whatever a group says, each member then holds what the export makes of the table."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from reflector.export import Export, Outgoing
from reflector.flush import Outbound
from reflector.path_ids import PathIds
from rib.attributes.communities import NO_ADVERTISE
from rib.change import Change, changes_since
from rib.family import IPV4_UNICAST
from rib.loc_rib import LocRib
from rib.nlri import Nlri, parse_prefix
from rib.path import NextHop, Path, Source, SourceKind
from rib.path_set import Entry, best_of, eligible_of
from rib.policy import (
    ACCEPT_ALL,
    Match,
    Operator,
    Outcome,
    PolicySpec,
    Term,
    compile_policy,
    prefix_match,
)
from tests.support.exports import a_client, a_context, group_of, make_current
from tests.support.routes import slow_twin, some_attributes
from tests.support.told import Told, by_prefix, messages_of, octets_of

MESSAGE: Final = 90  # octets: room for a few prefixes, and for none with HUGE
NLRIS: Final = [parse_prefix(f"10.0.{number}.0/24")[1] for number in range(128)]
UP: Final = NextHop(bytes((192, 0, 2, 1)))
DOWN: Final = NextHop(bytes((192, 0, 2, 1)), is_reachable=False)
GOOD: Final = some_attributes(local_pref=100)
HUGE: Final = some_attributes(local_pref=150, communities=range(30))
ROUTES: Final = (
    (GOOD, UP),
    (GOOD, DOWN),
    (slow_twin(GOOD), UP),
    (some_attributes(local_pref=200), UP),
    (some_attributes(local_pref=300, communities=(NO_ADVERTISE,)), UP),
    (HUGE, UP),
)


MEMBERS: Final = tuple(map(a_client, range(1, 4)))
SOURCES: Final = (
    *MEMBERS,
    a_client(4),  # in another group
    Source("external", SourceKind.EBGP, address=bytes((10, 1, 0, 1)), router_id=9),
)
PATHS: Final = [[Path(source, *route) for route in ROUTES] for source in SOURCES]
BASE: Final = 2 * len(ROUTES)


def refusing(prefix: str) -> PolicySpec:
    match = Match(prefixes=prefix_match(Operator.IN, prefix))
    term = Term("t", Outcome.REJECT, match)
    return PolicySpec("p", (term,), accepts_unmatched=True)


# Reflected by their blocks, told alike whatever the prefix, and judged one by one.
SPECS: Final = (
    ACCEPT_ALL,
    PolicySpec("p", (), accepts_unmatched=True),
    refusing("9.0.0.0/8"),
    refusing("10.0.0.0/21"),
)


def an_export(spec: PolicySpec, most: int | None) -> Export:
    context = a_context(cluster_id=7, add_path_max=most, max_message_len=MESSAGE)
    return Export(context, compile_policy(spec))


def entry_of(number: int) -> Entry | None:
    """Return what a table has of a prefix: of each source one of its routes, or none.

    Args:
        number: Its digits, to base ``BASE``, choose the routes; most sources have none.
    """
    rib = LocRib(IPV4_UNICAST)
    for paths in PATHS:
        number, digit = divmod(number, BASE)
        if digit < len(paths):
            rib.announce(NLRIS[:1], paths[digit])
    return rib.table.get(NLRIS[0])


def numbered(some: Sequence[tuple[Entry | None, Entry | None, int]]) -> list[Change]:
    """Return changes of different prefixes, those of which something changes."""
    left = iter(NLRIS)
    return [
        Change(old, new, [next(left) for _ in range(count)])
        for old, new, count in some
        if old is not new
    ]


def beginning_of(changes: Sequence[Change]) -> list[Change]:
    """Return the changes that make the table before some others."""
    return [Change(None, c.old, c.nlris) for c in changes if c.old is not None]


counts = st.sampled_from((1, 1, 2, 15))  # the last needs several messages
entries = st.builds(entry_of, st.integers(0, BASE ** len(SOURCES) - 1))
batches = st.builds(numbered, st.lists(st.tuples(entries, entries, counts), max_size=5))
specs = st.sampled_from(SPECS)
upto = partial(st.integers, 0)
mosts = st.sampled_from((None, None, 0, 1, 2))


def table_of(changes: Sequence[Change], side: int) -> dict[Nlri, Entry]:
    """Return the table before the changes (side 0) or after them (1)."""
    return {
        nlri: entry
        for change in changes
        for nlri in change.nlris
        if (entry := (change.old, change.new)[side]) is not None
    }


def told_of(export: Export, entry: Entry | None, nlri: Nlri) -> list[Path]:
    """Return the paths of a prefix that a group receives, whatever their source."""
    most, best = export.context.add_path_max, best_of(entry)
    paths = eligible_of(entry) if most is not None else (best,) if best else ()
    return [path for path in paths if export(path, nlri) is not None][: most or None]


def fits(outgoing: Outgoing) -> bool:
    return len(outgoing.attributes) < MESSAGE


def view_of(
    export: Export, table: Mapping[Nlri, Entry], member: Source
) -> dict[Nlri, list[Outgoing]]:
    """Return what a member holds that has received a whole table."""
    view = {}
    for nlri, entry in table.items():
        told = [
            outgoing
            for path in told_of(export, entry, nlri)
            if path.source is not member
            and (outgoing := export(path, nlri)) is not None
            and fits(outgoing)
        ]
        if told:
            view[nlri] = sorted(told)
    return view


class World:
    """A group, what its members hold, and the export that should apply to them."""

    def __init__(
        self, spec: PolicySpec, most: int | None, ids: PathIds | None = None
    ) -> None:
        self.export = an_export(spec, most)
        self.group = group_of(an_export(spec, most), ids)
        for source in MEMBERS:
            make_current(self.group.join(source))
        self.told = {source: Told(add_path=most is not None) for source in MEMBERS}

    def take(self, outbound: Outbound | None, *members: Source) -> None:
        """Let members take their shares; those that keep up by default."""
        if outbound is None:
            return
        assert outbound.special <= self.told.keys()
        for source in members or MEMBERS:
            if members or not self.group.members[source].is_slow:
                octets = octets_of(outbound.share_of(source))
                assert all(len(body) + 19 <= MESSAGE for _, body in messages_of(octets))
                self.told[source].take(octets)

    def check(self, table: Mapping[Nlri, Entry]) -> None:
        for source, told in self.told.items():
            assert by_prefix(told.view) == view_of(self.export, table, source)


@given(batches, specs, mosts)
def test_a_batch_takes_each_member_from_one_table_to_the_next(
    changes, spec, most
) -> None:
    world = World(spec, most)
    unsent = 0
    for side, some in enumerate((beginning_of(changes), changes)):
        world.take(world.group.encode(some))
        world.check(table_of(changes, side))
        for old, new, nlris in some:
            for nlri in nlris:
                before = told_of(world.export, old, nlri)
                unsent += sum(
                    path.attributes is HUGE and path not in before
                    for path in told_of(world.export, new, nlri)
                )
        assert world.group.oversized_count == unsent


@given(batches, specs, specs, mosts, st.sampled_from((0, 1, 2)))
def test_a_member_from_another_group_receives_what_differs(
    changes, spec, former, most, former_most
) -> None:
    """It held what another export made of the table: all of it is in doubt."""
    ids = PathIds()
    before = World(former, None if most is None else former_most, ids)
    before.take(before.group.encode(beginning_of(changes)))
    world = World(spec, most, ids)
    world.told = before.told
    world.take(world.group.encode(changes, is_previous_unknown=True))
    world.check(table_of(changes, 1))


@given(batches, st.tuples(specs, specs), mosts, st.tuples(upto(4), upto(60)))
def test_members_that_cannot_keep_up_miss_nothing_while_a_policy_changes(
    changes, policies, most, numbers
) -> None:
    (former, spec), (blocked_at, count) = policies, numbers
    world = World(former, most)
    group, (slow, *_) = world.group, MEMBERS
    member = group.members[slow]
    before, after = (table_of(changes, side) for side in (0, 1))

    def replace() -> Outbound | None:
        world.export = an_export(spec, most)
        group.replace_export(an_export(spec, most), before)
        return None

    steps = (
        lambda: group.flush(beginning_of(changes)),
        replace,
        lambda: group.re_advertise(before, group.next_to_re_advertise(count)),
        lambda: group.flush(changes),
        lambda: group.re_advertise(after, NLRIS),
    )
    for number, step in enumerate(steps):
        if number == blocked_at:
            group.writing_paused(slow)
        world.take(step())
    assert group.pending_re_advertisement_count == 0
    is_previous_unknown = member.has_uncertain_export
    missed = changes_since(
        after, member.pending_changes.items(), has_equal=is_previous_unknown
    )
    world.take(group.encode(missed, is_previous_unknown=is_previous_unknown), slow)
    world.check(after)
