"""Foreign changes are put right at once, and ever later if another program insists."""

from fib.repairs import LONGEST_DELAY, MEMORY, Repairs
from rib.family import IPV4_UNICAST, IPV6_UNICAST

ONE = (IPV4_UNICAST, b"\x18\x0a\x00\x00")
TWO = (IPV6_UNICAST, b"\x10\xfd\x00")


def test_the_first_two_are_repaired_at_once_and_then_the_delay_doubles() -> None:
    repairs = Repairs()
    delays = [repairs.note(ONE, 0.0) for _ in range(10)]
    assert delays == [0, 0, 2, 4, 8, 16, 32, 60, 60, 60]
    assert repairs.note(TWO, 0.0) == 0


def test_a_fight_of_thousands_of_changes_overflows_nothing() -> None:
    repairs = Repairs()
    assert [repairs.note(ONE, 0.0) for _ in range(5000)][-1] == LONGEST_DELAY


def test_what_is_delayed_is_due_in_order() -> None:
    repairs = Repairs()
    assert repairs.next_due is None
    for _ in range(4):
        repairs.note(ONE, 1.0)
    for _ in range(3):
        repairs.note(TWO, 1.5)
    assert repairs.next_due == 3.0
    assert repairs.due(2.9) == []
    assert repairs.due(3.5) == [ONE, TWO]
    assert repairs.next_due == 5.0
    assert repairs.due(99.0) == [ONE]
    assert repairs.next_due is None


def test_a_fight_is_over_after_a_minute_of_peace() -> None:
    repairs = Repairs()
    for _ in range(5):
        repairs.note(ONE, 0.0)
    assert repairs.note(ONE, MEMORY) == 0
    repairs.forget(2 * MEMORY)
    assert repairs.note(ONE, 2 * MEMORY) == 0
