from reflector.pending import PendingChanges
from rib.change import Change
from rib.nlri import Nlri
from rib.path_set import Entry
from tests.support.routes import a_path, nlris

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
A, B = a_path(), a_path()


def test_changes_of_different_prefixes_stay_as_they_came() -> None:
    table: dict[Nlri, Entry] = {}
    pending = PendingChanges(table)
    first, second = Change(None, A, [ONE, TWO]), Change(None, B, [THREE])
    pending.add([first, second])
    assert len(pending) == 3
    assert pending.drain(10) == [first, second]
    assert len(pending) == 0
    assert pending.drain(10) == []


def test_the_newest_state_counts() -> None:
    table = {ONE: B, TWO: A}
    pending = PendingChanges(table)
    pending.add([Change(None, A, [ONE, TWO])])
    pending.add([Change(A, B, [ONE])])
    assert len(pending) == 2
    assert sorted(pending.drain(10), key=lambda change: tuple(change.nlris)) == [
        (None, B, [ONE]),
        (None, A, [TWO]),
    ]


def test_what_is_back_is_not_told() -> None:
    pending = PendingChanges({ONE: A})
    pending.add([Change(A, None, [ONE]), Change(None, A, [ONE])])
    assert pending.drain(10) == []
    assert len(pending) == 0


def test_batches_are_drained_whole_and_in_order() -> None:
    pending = PendingChanges({})
    changes = [Change(None, A, [nlri]) for nlri in (ONE, TWO, THREE)]
    pending.add(changes)
    assert pending.drain(2) == changes[:2]
    pending.add([Change(A, B, [ONE])])  # not waiting any more
    assert pending.drain(2) == [changes[2], (A, B, [ONE])]


def test_no_more_changes_are_drained_than_asked_for() -> None:
    pending = PendingChanges({})
    changes = [Change(None, A, [ONE]), Change(None, B, [TWO]), Change(None, A, [THREE])]
    pending.add(changes)
    assert pending.drain(10, 2) == changes[:2]
    assert len(pending) == 1
    assert pending.drain(10, 2) == changes[2:]


def test_what_new_prefixes_have_made_is_counted_until_one_was_known() -> None:
    pending = PendingChanges({})
    pending.add([Change(None, A, [ONE]), Change(None, B, [TWO])])
    assert pending.made == 8
    pending.drain(10)
    assert pending.made == 4
    pending.add([Change(A, B, [ONE])])
    assert pending.made == 4


def test_what_was_made_adds_up_and_what_was_freed_is_taken_off() -> None:
    pending = PendingChanges({})
    for some in (ONE, TWO, THREE):
        pending.add([Change(None, A, [some])])
    assert pending.made == 12
    pending.drain(1)
    assert pending.made == 10
    pending.drain(2)  # exactly what is left
    assert pending.made == 6
    pending.add([Change(A, B, [ONE])])
    pending.drain(1)
    assert pending.made == 4
    pending.add([Change(None, A, [TWO])])
    assert pending.made == 8
    pending.add([Change(A, B, [ONE])])
    pending.drain(2, 2)
    pending.add([Change(None, A, [TWO])])
    assert pending.made == 8


def test_new_prefixes_are_not_looked_at_before_one_was_known() -> None:
    pending = PendingChanges({})
    for some in (ONE, TWO):
        pending.add([Change(None, A, [some])])
    assert not pending._seen
    pending.drain(2)
    pending.add([Change(A, B, [ONE])])
    assert not pending._seen
    pending.add([Change(A, B, [TWO])])
    assert pending._seen == {ONE, TWO}


def test_a_large_batch_is_drained_alone() -> None:
    pending = PendingChanges({})
    changes = [Change(A, B, [ONE, TWO, THREE]), Change(A, B, [b"\x08\x0a"])]
    changes.append(Change(A, B, [b"\x08\x0b"]))
    pending.add(changes)
    assert pending.drain(2) == changes[:1]
    assert pending.drain(1) == changes[1:2]
    assert pending.drain(1) == changes[2:]
    assert len(pending) == 0


def test_batches_are_kept_as_they_come_again_once_all_went_out() -> None:
    table = {ONE: B, TWO: B}
    pending = PendingChanges(table)
    pending.add([Change(A, None, [ONE]), Change(None, B, [ONE])])
    assert pending.drain(1) == [(A, B, [ONE])]
    again = Change(A, B, [TWO])
    pending.add([again])
    assert pending.drain(1)[0] is again


def test_the_change_that_waits_longest_goes_out_first() -> None:
    table = {ONE: A, TWO: B, THREE: A}
    pending = PendingChanges(table)
    pending.add([Change(None, A, [ONE])])
    for _ in range(3):
        pending.add([Change(None, A, [TWO]), Change(A, B, [TWO])])
    pending.add([Change(None, A, [THREE])])
    told = [pending.drain(1) for _ in range(3)]
    assert told == [[(None, A, [ONE])], [(None, B, [TWO])], [(None, A, [THREE])]]


def test_what_was_drained_may_change_again() -> None:
    """Which prefixes wait is remembered of the batches that are left alone."""
    table = {ONE: B, TWO: B, THREE: B}
    pending = PendingChanges(table)
    pending.add([Change(A, B, [ONE]), Change(A, B, [TWO])])
    assert pending.drain(1) == [(A, B, [ONE])]
    pending.add([Change(A, B, [ONE])])
    assert pending.drain(9) == [(A, B, [TWO]), (A, B, [ONE])]
    pending.add([Change(A, B, [ONE])])
    pending.add([Change(B, A, [TWO])])
    pending.add([Change(A, B, [TWO])])
    assert pending.drain(9) == [(A, B, [ONE])]
