import errno

from fib.counts import counts_of
from fib.plan import CREATE, DELETE, GONE, REPLACE, Entry, RouteTable
from fib.routes import Fault, RouteState, Target

X, Y = b"\x18\x14\0\0", b"\x18\x14\0\1"
REFUSED = Fault(errno.ENETUNREACH, "no way")
EXISTS = Fault(errno.EEXIST, "taken")


def an_entry(image: str, *, metric: int = 0, fault: Fault | None = None) -> Entry:
    entry = Entry(Target(metric=metric), metric, uses_object=False)
    entry.image, entry.is_ready, entry.fault = (image, metric), True, fault
    return entry


def write(
    table: RouteTable, faults: dict[int, Fault] | None = None
) -> list[tuple[object, bytes, Entry]]:
    operations = table.decide(table.take(100))
    follow_up = table.settle(operations, faults or {}, is_retry=False)
    return [*operations, *follow_up]


def test_new_changed_and_unwanted_routes() -> None:
    table, a, b = RouteTable(), an_entry("a"), an_entry("b")
    table.submit([X, Y], a)
    assert sorted(write(table), key=str) == sorted(
        [(CREATE, Y, a), (CREATE, X, a)], key=str
    )
    table.submit([X], b)
    assert write(table) == [(REPLACE, X, b)]
    table.submit([X], None)
    assert write(table) == [(DELETE, X, b)]
    assert (a.count, b.count) == (1, 0)


def test_an_equal_image_is_not_written() -> None:
    table, a, same = RouteTable(), an_entry("a"), an_entry("a")
    table.submit([X], a)
    write(table)
    table.submit([X], same)
    assert write(table) == []
    assert (a.count, same.count) == (0, 1)


def test_a_changed_metric_is_made_before_the_old_is_broken() -> None:
    table, a, b = RouteTable(), an_entry("a"), an_entry("a", metric=5)
    table.submit([X], a)
    write(table)
    table.submit([X], b)
    assert write(table) == [(CREATE, X, b), (DELETE, X, a)]


def test_a_rejected_replacement_removes_the_unwanted_predecessor() -> None:
    table, a, b = RouteTable(), an_entry("a"), an_entry("b")
    table.submit([X], a)
    write(table)
    table.submit([X], b)
    assert write(table, {0: REFUSED}) == [(REPLACE, X, b), (DELETE, X, b)]
    assert table.failed == {X: REFUSED}


def test_an_occupied_place_is_tried_once_more_after_removing_only_ours() -> None:
    table, a = RouteTable(), an_entry("a")
    table.submit([X], a)
    operations = write(table, {0: EXISTS})
    assert operations[1:] == [(DELETE, X, a), (CREATE, X, a)]
    again = [(DELETE, X, a), (CREATE, X, a)]
    assert table.settle(again, {0: GONE, 1: EXISTS}, is_retry=True) == []
    assert counts_of([table]).conflicts == 1
    assert [route.state for route in table.describe()] == [RouteState.CONFLICT]


def test_a_blocked_target_takes_its_routes_out() -> None:
    table, a = RouteTable(), an_entry("a")
    table.submit([X], a)
    write(table)
    a.fault = REFUSED
    table.redirect({a}, a)
    assert write(table) == [(DELETE, X, a)]
    assert table.failed == {X: REFUSED}
    a.fault = None
    table.requeue([X])
    assert write(table) == [(CREATE, X, a)]
    assert not table.failed


def test_what_is_found_is_stale_until_wanted_or_swept() -> None:
    table, a, seen = RouteTable(), an_entry("a"), an_entry("a")
    table.audit_begin()
    assert table.audit([(X, seen), (Y, seen)]) == []
    assert set(table.stale) == {X, Y}
    table.submit([X], a)
    assert write(table) == []
    assert table.take(10) == []
    table.is_sweeping = True
    assert write(table) == [(DELETE, Y, seen)]
    assert table.waiting_count == 0


def test_a_second_metric_for_a_stale_prefix_is_surplus() -> None:
    table, seen, other = RouteTable(), an_entry("a"), an_entry("a", metric=7)
    table.audit_begin()
    table.audit([(X, seen), (X, other)])
    assert table.take_surplus() == []
    table.is_sweeping = True
    assert table.take_surplus() == [(DELETE, X, other)]


def test_an_audit_finds_what_changed_and_what_vanished() -> None:
    table, a, foreign = RouteTable(), an_entry("a"), an_entry("foreign")
    table.submit([X, Y], a)
    write(table)
    table.audit_begin()
    assert table.audit([(X, foreign)]) == [X]
    missing, is_complete = table.audit_missing(10)
    assert (missing, is_complete) == ([Y], True)
    table.requeue(missing)
    assert sorted(write(table), key=str) == sorted(
        [(REPLACE, X, a), (CREATE, Y, a)], key=str
    )
    assert foreign.count == 0


def test_a_lost_route_is_reported_once() -> None:
    table, a = RouteTable(), an_entry("a")
    table.submit([X], a)
    write(table)
    assert not table.lose(X, 9, GONE)
    assert table.lose(X, 0, GONE)
    assert not table.lose(X, 0, GONE)
    assert table.failed == {X: GONE}


def test_the_newest_word_is_shown_and_written() -> None:
    table, a, b = RouteTable(), an_entry("a"), an_entry("b")
    table.submit([X, Y], a)
    first = table.take(1)
    table.submit([X, Y], b)
    table.decide(first)
    assert table.desired(X) is b
    assert {route.state for route in table.describe()} == {RouteState.PENDING}
    while table.waiting_count:
        table.decide(table.take(1))
    assert set(table.wanted.values()) == {b}
    assert a.count == 0


def test_a_second_route_whose_place_is_wanted_meanwhile_stays() -> None:
    table, a, second = RouteTable(), an_entry("a", metric=20), an_entry("b")
    table.submit([X], a)
    write(table)
    table.observe(X, second)
    table.submit([X], second)
    assert write(table) == [(CREATE, X, second), (DELETE, X, a)]
    table.is_sweeping = True
    assert table.take_surplus() == []
