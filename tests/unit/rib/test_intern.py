from sys import getrefcount

import pytest

from rib.intern import SLICE, Discarded, InternTable


class Value:
    pass


def filled(count: int, room: int = 0) -> tuple[InternTable[int, Value], list[Value]]:
    table: InternTable[int, Value] = InternTable(lambda: room)
    used = []
    for number in range(count):
        table[number] = Value()
        if number % 10 == 0:
            used.append(table[number])
    return table, used


def test_unreferenced_values_go() -> None:
    table, used = filled(2000)
    assert sum(table.sweep()) == 1800
    assert sorted(table.values(), key=id) == sorted(used, key=id)


def test_it_goes_in_slices() -> None:
    table, _ = filled(2 * SLICE + 1)
    assert len(list(table.sweep())) == 3


@pytest.mark.parametrize(("room", "due"), [(0, 4000), (3000, 4000), (5000, 5000)])
def test_a_sweep_is_due_once_the_table_has_doubled_and_needs_more_than_its_room(
    room: int, due: int
) -> None:
    table, used = filled(1000)
    assert not table.is_due
    table, used = filled(20_000, room)
    assert table.is_due
    list(table.sweep())
    assert len(table) == len(used) == 2000
    table.update({-number: used[0] for number in range(1, due - 2000)})
    assert not table.is_due
    table[-due] = used[0]
    assert table.is_due


def test_no_second_sweep_is_due_before_the_first_has_begun() -> None:
    table = InternTable[int, object]()
    table.update((number, object()) for number in range(2000))
    assert table.is_due
    sweep = table.sweep()
    assert not table.is_due
    assert sum(sweep) == 2000


def test_what_comes_and_goes_during_a_sweep() -> None:
    table, _used = filled(2 * SLICE)
    sweep = table.sweep()
    next(sweep)
    table[-1] = Value()
    del table[2 * SLICE - 1]
    list(sweep)
    assert set(table) == {*range(0, 2 * SLICE, 10), -1}


def test_large_values_make_a_sweep_due_sooner() -> None:
    table, _ = filled(100)
    assert not table.is_due
    table.weigh(2000)
    assert table.is_due
    list(table.sweep())
    assert not table.is_due


def test_upkeep_looks_a_few_times_after_a_change_and_then_no_more() -> None:
    table, used = filled(100)
    others = list(table.values())
    assert sum(table.look_after()) == 0  # the list still refers to them
    others.clear()
    assert sum(table.look_after()) == 90
    assert [sum(table.look_after()) for _ in range(5)] == [0] * 5
    assert len(table) == len(used)
    table[-1] = Value()
    assert sum(table.look_after()) == 1


def test_upkeep_leaves_large_tables_to_their_own_sweeps() -> None:
    table = InternTable[int, object]()
    table.update((number, object()) for number in range(70_000))
    assert sum(table.look_after()) == 0
    assert table.is_due


def test_discarded_tables_are_freed_in_slices() -> None:
    discarded = Discarded()
    kept = Value()
    counted = getrefcount(kept)
    for size in (10, SLICE + 1, 3 * SLICE):
        discarded.add(dict.fromkeys(range(size), kept))
    assert discarded
    steps = 0
    for _ in discarded.free():
        steps += 1
    assert steps == 5  # three of the largest, two of the other; the small one is gone
    assert not discarded
    assert getrefcount(kept) == counted
