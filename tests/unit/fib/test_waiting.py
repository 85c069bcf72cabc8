from itertools import pairwise

import pytest

from fib.new_routes import NewRoutes, spread
from fib.waiting import BULK, JOINED_MOST, Waiting

A, B = object(), object()


def some(count: int, first: int = 0) -> list[bytes]:
    return [b"\x20" + n.to_bytes(4, "big") for n in range(first, first + count)]


def taken(new: NewRoutes[object], max_count: int) -> list[tuple[object, list[bytes]]]:
    parts = []
    while (entry := new.next_entry) is not None:
        parts.append((entry, new.take(max_count)))
    return parts


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_spreading_keeps_everything_once(count: int) -> None:
    assert sorted(spread(range(count))) == [*range(count)]


def test_the_first_of_many_are_evenly_far_apart() -> None:
    first = sorted(spread(range(4096))[:256])  # of four starts: 0, 32, 16, 48
    gaps = {after - before for before, after in pairwise(first)}
    assert gaps == {16}


def test_slices_are_of_one_entry_and_what_leads_nowhere_is_left_out() -> None:
    a, b, gone = some(5), some(4, 5), some(3, 9)
    wishes: dict[bytes, object | None] = dict.fromkeys(gone)
    for nlri in sorted([*a, *b], key=lambda nlri: nlri[::-1]):  # mixed
        wishes[nlri] = A if nlri in a else B
    parts = taken(NewRoutes(wishes, spreads=True), 2)
    assert all(len(nlris) <= 2 for _, nlris in parts)
    for entry, nlris in ((A, a), (B, b)):
        found = [nlri for other, part in parts if other is entry for nlri in part]
        assert sorted(found) == nlris


def test_routes_of_ipv6_stay_neighbours() -> None:
    new = NewRoutes[object](dict.fromkeys(some(1000), A), spreads=False)
    assert new.take(100) == some(100, 900)


def arranged(nlris: list[bytes]) -> Waiting[object]:
    waiting: Waiting[object] = Waiting(spreads_new=True)
    waiting.pending.update(dict.fromkeys(nlris, A))
    waiting.begin()
    waiting.arrange()
    return waiting


def test_new_prefixes_join_once_they_are_as_many_as_what_is_left() -> None:
    waiting = arranged(some(3 * BULK))
    waiting.pending.update(dict.fromkeys(some(2 * BULK, 10_000), A))
    assert waiting.next_new(lambda _: True) is A
    assert len(waiting.batch) == 3 * BULK
    waiting.take_new(BULK)
    waiting.next_new(lambda _: True)
    assert (len(waiting.batch), waiting.pending) == (4 * BULK, {})


def test_so_many_that_arranging_them_takes_long_do_not_join() -> None:
    waiting = arranged(some(BULK))
    waiting.pending.update(dict.fromkeys(some(JOINED_MOST, 10_000), A))
    assert waiting.next_new(lambda _: True) is A
    assert len(waiting.batch) == BULK


def test_what_is_known_does_not_join_and_is_checked_once() -> None:
    waiting, looks = arranged(some(BULK)), 0

    def knows_none_of(_: object) -> bool:
        nonlocal looks
        looks += 1
        return False

    waiting.pending.update(dict.fromkeys(some(BULK, 10_000), A))
    for _ in range(3):
        assert waiting.next_new(knows_none_of) is A
    assert (len(waiting.batch), len(waiting.pending), looks) == (BULK, BULK, 1)


def test_a_newer_word_takes_its_prefix_out_of_the_batch() -> None:
    waiting = arranged(some(10))
    waiting.pending[some(1)[0]] = B
    assert sorted(waiting.take_new(10)) == some(9, 1)
    assert waiting.newest(some(1)[0], None) is B
    assert len(waiting) == 1


def test_redirected_prefixes_are_taken_one_by_one() -> None:
    waiting = arranged(some(10))
    waiting.redirect({A}, B)
    assert waiting.next_new(lambda _: True) is None
    assert waiting.take_new(10) == []
    assert sorted(waiting.take(10)) == [(nlri, B) for nlri in some(10)]
