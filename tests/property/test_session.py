from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.session.events import (
    CloseConnection,
    Established,
    Send,
    SessionDown,
    StateChanged,
    UpdatesReceived,
)
from bgpd.session.fsm import State
from bgpd.wire.capabilities import Capabilities
from bgpd.wire.framing import KEEPALIVE, encode_message
from bgpd.wire.open import OpenMessage, encode_open
from tests.support.session_pair import Pair, session

OPEN = encode_open(OpenMessage(65001, 90, 2, Capabilities(four_octet_as=65001)))
pieces = st.sampled_from(
    [
        OPEN,
        KEEPALIVE,
        encode_message(2, b"\0\0\0\0"),
        encode_message(3, b"\6\4"),
        encode_message(3, b"\2\7"),
        encode_message(5, b"\0\1\0\1"),
        encode_message(5, b"\0\1\0\1\0"),
        encode_message(1, bytes(10)),
        b"\xff" * 16 + b"\0\x13\x09",
    ]
) | st.binary(max_size=40)
inputs = st.one_of(
    st.tuples(st.just("made"), st.integers(1, 4), st.booleans()),
    st.tuples(st.just("data"), st.integers(1, 4), pieces),
    st.tuples(st.just("lost"), st.integers(1, 4), st.none()),
    st.tuples(st.just("timer"), st.just(0), st.none()),
    st.tuples(st.just("failed"), st.just(0), st.none()),
    st.tuples(st.just("start"), st.just(0), st.none()),
    st.tuples(st.just("stop"), st.just(0), st.booleans()),
)


def run(chunks):
    made = session(1)
    made.start(0.0)
    made.connection_made(1, "a", "b", 0.0, is_outgoing=True)
    for chunk in chunks:
        made.receive_data(1, chunk, 0.0)
    events = made.events()
    bodies = [b for e in events if isinstance(e, UpdatesReceived) for b in e.bodies]
    others = [e for e in events if not isinstance(e, UpdatesReceived)]
    return bodies, others, made.state, made.counters.received


@given(st.lists(pieces, max_size=8), st.data())
def test_how_tcp_splits_the_stream_never_matters(found, data) -> None:
    stream = b"".join([OPEN, KEEPALIVE, *found])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))))
    pairs = zip([0, *cuts], [*cuts, len(stream)], strict=True)
    chunks = [stream[a:b] for a, b in pairs]
    whole = run([stream])
    assert run(chunks) == whole
    assert run([stream[i : i + 1] for i in range(len(stream))]) == whole


def check_story(events, open_ids, story):
    """Hold the rules of the event stream; ``story`` carries state between calls."""
    for event in events:
        match event:
            case StateChanged(old, new):
                assert old is story["state"]
                story["state"] = new
            case Established():
                assert not story["up"]
                assert event.conn_id in open_ids
                story["up"] = True
            case SessionDown():
                assert story["up"]
                story["up"] = False
            case Send(conn_id):
                assert conn_id in open_ids
            case CloseConnection(conn_id):
                open_ids.discard(conn_id)
            case UpdatesReceived():
                assert story["up"]
            case _:
                pass  # the others stand for themselves


@settings(max_examples=200)
@given(st.lists(inputs, max_size=30), st.integers(0, 10), st.booleans())
def test_any_history_keeps_the_rules(history, seed, is_passive) -> None:
    made = session(1, seed=seed, is_passive=is_passive)
    now, next_id = 0.0, 1
    open_ids: set[int] = set()
    story = {"state": State.IDLE, "up": False}
    for kind, which, detail in history:
        now += 0.5
        ids = sorted(open_ids)
        conn_id = ids[which % len(ids)] if ids else 0
        if kind == "made":
            open_ids.add(next_id)
            made.connection_made(next_id, "a", "b", now, is_outgoing=detail)
            next_id += 1
        elif kind == "data":
            made.receive_data(conn_id, detail, now)
        elif kind == "lost":
            open_ids.discard(conn_id)
            made.connection_lost(conn_id, "reset", now)
        elif kind == "timer":
            now = max(now, made.next_deadline() or now)
            made.handle_timer(now)
        elif kind == "failed":
            made.connect_failed("refused", now)
        elif kind == "start":
            made.start(now)
        else:
            made.stop(now, hard=detail)
        check_story(made.events(), open_ids, story)
        assert story["state"] is made.state
        assert story["up"] == (made.state is State.ESTABLISHED)
        assert story["up"] == (made.negotiated is not None)
        if kind == "timer":
            assert (made.next_deadline() or now) >= now
    if not made.is_started:
        assert made.state is State.IDLE


@settings(max_examples=50)
@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(["lose 0", "lose 1", "cut", "wait"]), max_size=6),
    st.sampled_from([None, 1, 7]),
)
def test_two_sides_always_find_each_other_again(seed, troubles, chunk) -> None:
    both = Pair(session(1, seed=seed), session(2, seed=seed + 1))
    both.chunk = chunk
    both.start()
    for trouble in troubles:
        if trouble == "cut":
            both.is_cut = True
            both.run(100)
            both.is_cut = False
        elif trouble == "wait":
            both.run(20)
        elif both.sides[int(trouble[-1])].conn_id is not None:
            both.lose(int(trouble[-1]))
    both.run(300)
    assert both.states == (State.ESTABLISHED, State.ESTABLISHED)
