"""Walks through the table: who takes part, and what is left of them."""

import pytest

from reflector import walks as walks_module
from reflector.member_fsm import Member, State
from reflector.walks import Walk, Walks
from tests.support.exports import a_client, make_current
from tests.support.routes import nlris

ONE, TWO, THREE = TABLE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")


def a_newcomer(walks: Walks, number: int) -> Member:
    member = Member(a_client(number))
    member.joined(b"end")
    walks.gather(member)
    return member


def begun(walks: Walks) -> Walk:
    walk = walks.begin(TABLE)
    assert walk is not None
    return walk


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walks_module, "CATCH_UP_SLICE", 2)


def test_the_first_member_that_waits_makes_the_walk_begin() -> None:
    walks = Walks()
    first, second = (Member(a_client(number)) for number in (1, 2))
    assert walks.gather(first)
    assert not walks.gather(second)


def test_members_that_wait_walk_and_later_ones_wait_for_the_next_walk() -> None:
    walks = Walks()
    first, second = a_newcomer(walks, 1), a_newcomer(walks, 2)
    walk = begun(walks)
    assert walks.walk is walk
    assert walk.members == [first, second]
    assert first.state is second.state is State.WALKING
    late = Member(a_client(3))
    late.joined(b"end")
    assert not walks.gather(late)
    assert walks.end()
    assert walks.walk is None
    assert not walks.gather(a_newcomer(walks, 4))  # the beginning is seen to
    assert begun(walks).members[0] is late
    assert not walks.end()
    assert walks.gather(Member(a_client(5)))


def test_a_member_that_left_or_became_slow_meanwhile_does_not_walk() -> None:
    walks = Walks()
    gone, slow, back = (a_newcomer(walks, number) for number in (1, 2, 3))
    gone.left()
    slow.writing_paused(walks.leave(slow))
    back.writing_paused()
    back.writing_resumed()
    back.caught_up()
    back.end_allowed()
    back.refresh_asked(b"", b"")
    walks.gather(back)
    assert begun(walks).members == [back]
    assert slow.owes_table


def test_no_walk_begins_without_members() -> None:
    walks = Walks()
    a_newcomer(walks, 1).left()
    assert walks.begin(TABLE) is None
    assert walks.walk is None
    assert walks.gather(Member(a_client(2)))


def test_a_walk_goes_in_slices_that_can_be_put_back() -> None:
    walks = Walks()
    a_newcomer(walks, 1)
    walk = begun(walks)
    first = walk.next_slice()
    assert first == [ONE, TWO]
    walk.put_back(first[1:])
    assert walk.next_slice() == [TWO, THREE]
    assert walk.next_slice() == []


def test_a_walk_ends_with_its_last_member() -> None:
    walks = Walks()
    members = [a_newcomer(walks, number) for number in (1, 2)]
    walk = begun(walks)
    members[0].left()
    assert walk.next_slice() == [ONE, TWO]
    assert walk.members == members[1:]
    members[1].left()
    assert walk.next_slice() == []
    assert walk.members == []


def test_a_peer_that_becomes_slow_takes_the_rest_along() -> None:
    walks = Walks()
    slow, quick = a_newcomer(walks, 1), a_newcomer(walks, 2)
    walk = begun(walks)
    walk.next_slice()
    assert walks.leave(slow) == [THREE]
    assert walk.members == [quick]
    assert walk.next_slice() == [THREE]


def test_a_member_that_does_not_walk_takes_nothing_along() -> None:
    walks = Walks()
    a_newcomer(walks, 1)
    assert walks.leave(make_current(Member(a_client(2)))) == []
    walk = begun(walks)
    assert walks.leave(make_current(Member(a_client(3)))) == []
    assert walk.next_slice() == [ONE, TWO]
    walks.end()
    stuck = Member(a_client(4))
    stuck.joined(b"")
    stuck.walk_began()
    assert walks.leave(stuck) == []
