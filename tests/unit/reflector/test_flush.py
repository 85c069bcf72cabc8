from collections.abc import Sequence

from bgpd.wire.framing import MessageType, encode_message
from reflector.export import Outgoing
from reflector.flush import Batch, Outbound, count_messages
from rib.path import Source, SourceKind
from tests.support.routes import nlris

ONE, TWO, THREE = nlris("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
A, B, C = (Source(name, SourceKind.IBGP) for name in "abc")
FORM = Outgoing(b"block", b"")


def share(outbound: Outbound, source: Source) -> list[bytes]:
    return [bytes(piece) for piece in outbound.share_of(source)]


def test_a_share_is_the_run_less_what_came_from_the_member() -> None:
    outbound = Outbound(b"aabbcc", {A: (0, 2), B: (2, 4), C: (4, 6)}, {})
    assert share(outbound, A) == [b"bbcc"]
    assert share(outbound, B) == [b"aa", b"cc"]
    assert share(outbound, C) == [b"aabb"]


def test_a_member_without_routes_in_the_run_gets_the_run_itself() -> None:
    outbound = Outbound(b"aa", {A: (0, 2)}, {B: b"own"})
    assert outbound.share_of(C)[0] is outbound.octets
    assert share(outbound, A) == []
    assert outbound.special == {A, B}


def test_what_is_for_one_alone_goes_before_the_rest() -> None:
    outbound = Outbound(b"aabb", {A: (0, 2)}, {A: b"own", B: b"too"})
    assert share(outbound, A) == [b"own", b"bb"]
    assert share(outbound, B) == [b"too", b"aabb"]
    assert share(Outbound(b"", {}, {A: b"own"}), A) == [b"own"]
    assert share(Outbound(b"", {}, {A: b"own"}), B) == []


# Messages of several lengths, above 255 octets among them, as flushes write them.
LONG, MIDDLE, SHORT = (
    encode_message(MessageType.UPDATE, bytes(size)) for size in (600, 281, 4)
)


def test_messages_are_counted_by_their_headers() -> None:
    run = SHORT + LONG + SHORT + MIDDLE + SHORT
    assert count_messages(run, 0, len(run)) == 5
    start = len(SHORT)
    assert count_messages(run, start, len(run)) == 4
    assert count_messages(run, start, start + len(LONG)) == 1
    assert count_messages(run, start, start) == 0
    assert count_messages(b"", 0, 0) == 0


def test_a_share_holds_the_messages_of_all_but_the_member_and_its_own() -> None:
    of_a, of_b, of_all = LONG + SHORT, SHORT + SHORT + MIDDLE, SHORT * 5
    spans = {A: (0, len(of_a)), B: (len(of_a), len(of_a + of_b))}
    outbound = Outbound(of_a + of_b + of_all, spans, {B: SHORT + LONG, C: SHORT * 3})
    assert outbound.count == 10
    stranger = Source("stranger", SourceKind.IBGP)
    assert [outbound.count_of(source) for source in (A, B, C, stranger)] == [
        8,
        9,
        13,
        10,
    ]
    for source in (A, B, C, stranger):
        told = b"".join(share(outbound, source))
        assert outbound.count_of(source) == count_messages(told, 0, len(told))
    assert Outbound(b"", {}, {A: SHORT}).count_of(B) == 0


def test_a_batch_says_something_once_anything_is_in_it() -> None:
    assert not Batch()
    for say in (
        lambda batch: batch.announce(None, FORM, [ONE]),
        lambda batch: batch.withdraw(None, [ONE]),
        lambda batch: batch.withdraw_from(A, [ONE]),
        lambda batch: batch.reflected.setdefault(A, {}).update(
            {b"tail": {b"x": [ONE]}}
        ),
    ):
        batch = Batch()
        say(batch)
        assert batch
    batch = Batch()
    batch.reflected[A] = {b"tail": {}}  # a source, but nothing of it
    assert not batch


def test_equal_routes_of_one_source_are_gathered() -> None:
    batch = Batch()
    given = [ONE]
    batch.announce(A, FORM, given)
    batch.announce(A, FORM, [TWO])
    batch.announce(B, FORM, [THREE])
    batch.withdraw(A, [ONE])
    batch.withdraw(A, [TWO])
    batch.withdraw_from(A, [ONE])
    batch.withdraw_from(A, [TWO])
    assert batch.announced == {A: {FORM: [ONE, TWO]}, B: {FORM: [THREE]}}
    assert batch.withdrawn == {A: [ONE, TWO]}
    assert batch.private == {A: [ONE, TWO]}
    assert given == [ONE]


def test_a_change_s_own_prefixes_are_never_added_to() -> None:
    batch = Batch()
    given = [ONE]
    by_block: dict[bytes, Sequence[bytes]] = {b"block": given}
    batch.reflect_more(by_block, b"block", [TWO])
    grown = by_block[b"block"]
    batch.reflect_more(by_block, b"block", [THREE])
    assert by_block[b"block"] == [ONE, TWO, THREE]
    assert by_block[b"block"] is grown
    assert given == [ONE]
