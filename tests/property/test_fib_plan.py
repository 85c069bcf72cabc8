from collections.abc import Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fib import waiting
from fib.memory import MemoryFib, MemoryKernel
from fib.plan import CREATE, DELETE, Entry, RouteTable
from fib.routes import Fault, Hop, Target, TargetKind
from rib.family import IPV4_UNICAST

OURS, STATIC = 12, 4
REFUSED = Target(hops=(Hop(b"\x0a\x00\x00\x63"),))
nlris = st.sampled_from([bytes([24, 20, 0, n]) for n in range(6)])
targets = st.sampled_from(
    [
        Target(TargetKind.BLACKHOLE),
        Target(hops=(Hop(b"\x0a\x00\x00\x01"),)),
        Target(hops=(Hop(b"\x0a\x00\x00\x02"),)),
        Target(hops=(Hop(b"\x0a\x00\x00\x02"),), metric=20),
        REFUSED,
    ]
)
usual = targets.filter(lambda target: target is not REFUSED)
tables = st.dictionaries(nlris, usual)
events = st.one_of(
    st.tuples(st.just("submit"), nlris, st.none() | targets),
    st.tuples(st.just("ours"), nlris, st.none() | usual),
    st.tuples(st.just("alien"), nlris, usual),
    st.tuples(st.just("retarget"), usual, usual),
    st.tuples(st.just("restart"), st.none(), st.none()),
)


def placed(
    table: dict[bytes, Target], owner: int
) -> dict[tuple[int, bytes, int], tuple[int, Target]]:
    return {(1, n, t.metric): (owner, t) for n, t in table.items()}


@given(tables, tables, tables)
def test_applying_the_plan_gives_what_is_wanted_and_spares_the_rest(
    desired: dict[bytes, Target], ours: dict[bytes, Target], alien: dict[bytes, Target]
) -> None:
    kernel = MemoryKernel()
    kernel.table = placed(ours, OURS) | placed(alien, STATIC)
    fib = MemoryFib(kernel)
    run(fib.start())
    for nlri, target in desired.items():
        fib.submit(IPV4_UNICAST, [nlri], target)
    fib.adoption_done(IPV4_UNICAST)
    expected = placed(desired, OURS) | placed(alien, STATIC)
    assert kernel.table == expected
    written = fib.counts.written
    for nlri, target in desired.items():
        if nlri not in fib.errors(IPV4_UNICAST):
            fib.submit(IPV4_UNICAST, [nlri], target)
    assert fib.counts.written == written  # what stands is not written again


def run(coroutine: Coroutine[None, None, None]) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


@given(st.lists(events, max_size=30))
def test_any_history_ends_with_what_is_wanted(
    history: list[tuple[str, bytes | Target | None, Target | None]],
) -> None:
    kernel = MemoryKernel()
    kernel.refusals[REFUSED] = Fault(101, "unreachable")
    fib = MemoryFib(kernel)
    run(fib.start())
    desired: dict[bytes, Target] = {}
    aliens: dict[tuple[int, bytes, int], tuple[int, Target]] = {}
    for verb, what, target in history:
        if verb == "restart":
            run(fib.close())
            fib = MemoryFib(kernel)
            run(fib.start())
            for nlri, wish in desired.items():
                fib.submit(IPV4_UNICAST, [nlri], wish)
        elif isinstance(what, Target):
            assert target is not None
            fib.retarget(IPV4_UNICAST, what, target)
            desired = {n: target if t == what else t for n, t in desired.items()}
        elif verb == "submit":
            assert what is not None
            fib.submit(IPV4_UNICAST, [what], target)
            desired.pop(what, None)
            if target is not None:
                desired[what] = target
        elif verb == "ours":
            assert what is not None
            # Another program changes routes of our protocol; never over an alien's.
            metric = 0 if target is None else target.metric
            if (1, what, metric) not in aliens:
                route = None if target is None else (OURS, target)
                kernel.change((1, what, metric), route)
        elif verb == "alien":
            assert what is not None
            assert target is not None
            place = (1, what, target.metric)
            aliens[place] = (STATIC, target)
            kernel.change(place, aliens[place])
    fib.adoption_done(IPV4_UNICAST)
    reachable = {n: t for n, t in desired.items() if t is not REFUSED}
    assert kernel.table == placed(reachable, OURS) | aliens
    assert set(fib.errors(IPV4_UNICAST)) == {
        n for n, t in desired.items() if t is REFUSED or (1, n, t.metric) in aliens
    }
    run(fib.close(flush=True))
    assert kernel.table == aliens


@given(st.lists(st.tuples(nlris, st.integers(0, 2) | st.none())))
def test_the_newest_word_wins_however_slices_fall(
    wishes: list[tuple[bytes, int | None]],
) -> None:
    entries = []
    for metric in range(3):
        entry = Entry(Target(metric=metric), metric, uses_object=False)
        entry.image, entry.is_ready = metric, True
        entries.append(entry)
    table = RouteTable()
    held: dict[tuple[bytes, int], Entry] = {}
    last: dict[bytes, Entry] = {}
    for number, (nlri, choice) in enumerate(wishes):
        entry_or_none = None if choice is None else entries[choice]
        table.submit([nlri], entry_or_none)
        last.pop(nlri, None)
        if entry_or_none is not None:
            last[nlri] = entry_or_none
        if number % 2:
            perform(table, held, 1)
    while table.waiting_count:
        perform(table, held, 2)
    assert held == {(n, e.metric): e for n, e in last.items()}
    assert sum(entry.count for entry in entries) == len(held)


@given(
    st.lists(
        st.tuples(
            st.lists(nlris, max_size=4), st.integers(0, 2) | st.none(), st.booleans()
        ),
        max_size=20,
    ),
    st.integers(1, 4),
)
def test_the_newest_word_wins_where_new_routes_join_a_batch(
    wishes: list[tuple[list[bytes], int | None, bool]],
    max_count: int,
) -> None:
    entries = [Entry(Target(metric=m), m, uses_object=False) for m in range(3)]
    for metric, entry in enumerate(entries):
        entry.image, entry.is_ready = metric, True
    table = RouteTable()
    held: dict[tuple[bytes, int], Entry] = {}
    last: dict[bytes, Entry] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "BULK", 1)
        for some, choice, has_turn in wishes:
            wish = None if choice is None else entries[choice]
            table.submit(some, wish)
            last = {n: entry for n, entry in last.items() if n not in some}
            last |= dict.fromkeys(some, wish) if wish is not None else {}
            if has_turn:
                perform_whole(table, held, max_count)
        while table.waiting_count:
            perform_whole(table, held, max_count)
    assert held == {(n, e.metric): e for n, e in last.items()}
    assert sum(entry.count for entry in entries) == len(held)


def perform_whole(
    table: RouteTable, held: dict[tuple[bytes, int], Entry], max_count: int
) -> None:
    """Write a slice as ``KernelFamily`` does where many changes wait."""
    if not table.waiting.batch:
        table.whole_moves()
    entry = table.next_new()
    if entry is None:
        perform(table, held, max_count)
        return
    for nlri in table.take_new(entry, max_count):
        assert (nlri, entry.metric) not in held
        held[nlri, entry.metric] = entry


def perform(
    table: RouteTable, held: dict[tuple[bytes, int], Entry], max_count: int
) -> None:
    for verb, nlri, entry in table.decide(table.take(max_count)):
        place = (nlri, entry.metric)
        if verb is DELETE:
            del held[place]
        else:
            assert (verb is CREATE) == (place not in held)
            held[place] = entry
