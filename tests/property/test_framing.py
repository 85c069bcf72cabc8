from hypothesis import given
from hypothesis import strategies as st

from bgpd.wire.capabilities import (
    AddPathDirection,
    Capabilities,
    GracefulRestart,
    LongLivedFamily,
)
from bgpd.wire.errors import NotifyError
from bgpd.wire.framing import Framer, encode_message
from bgpd.wire.notification import decode_notification
from bgpd.wire.open import AS_TRANS, OpenMessage, decode_open, encode_open
from bgpd.wire.route_refresh import decode_route_refresh
from rib.family import Family

BODIES = {1: (10, 60), 2: (4, 200), 3: (2, 40), 4: (0, 0), 5: (4, 12)}
messages = st.lists(
    st.sampled_from(sorted(BODIES)).flatmap(
        lambda kind: st.tuples(
            st.just(kind),
            st.binary(min_size=BODIES[kind][0], max_size=BODIES[kind][1]),
        )
    ),
    max_size=8,
)
families = st.builds(Family, st.integers(0, 65535), st.integers(0, 255))
some = st.lists(families, max_size=4, unique=True)


def rows(*columns):
    return st.lists(
        st.tuples(families, *columns), max_size=4, unique_by=lambda row: row[0]
    ).map(tuple)


capabilities = st.builds(
    Capabilities,
    families=some.map(tuple),
    has_route_refresh=st.booleans(),
    extended_next_hop=rows(st.integers(0, 65535)),
    has_extended_message=st.booleans(),
    role=st.none() | st.integers(0, 255),
    graceful_restart=st.none()
    | st.builds(
        GracefulRestart,
        is_restarting=st.booleans(),
        has_notification=st.booleans(),
        restart_time=st.integers(0, 4095),
        families=rows(st.booleans()),
    ),
    add_path=rows(st.sampled_from(AddPathDirection)),
    has_enhanced_refresh=st.booleans(),
    long_lived=st.none()
    | rows(st.booleans(), st.integers(0, 0xFFFFFF)).map(
        lambda found: tuple(LongLivedFamily(*row) for row in found)
    ),
    hostname=st.text("abcdefghij-", max_size=20),
    unknown=st.lists(
        st.tuples(st.integers(100, 255), st.binary(max_size=40)),
        max_size=8,
        unique=True,
    ).map(tuple),
)


def code_of(decode, octets):
    try:
        decode(octets)
    except NotifyError as error:
        return error.code
    return None


def run(chunks):
    framer = Framer()
    found = [message for chunk in chunks for message in framer.feed(chunk)]
    error = framer.error
    return found, error and (error.code, error.subcode, error.data)


@given(messages, st.binary(max_size=30), st.data())
def test_how_tcp_splits_the_stream_never_matters(msgs, garbage, data) -> None:
    stream = b"".join(encode_message(kind, body) for kind, body in msgs) + garbage
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))))
    pairs = zip([0, *cuts], [*cuts, len(stream)], strict=True)
    chunks = [stream[a:b] for a, b in pairs]
    single = [stream[i : i + 1] for i in range(len(stream))]
    whole = run([stream])
    assert run(chunks) == whole == run(single)
    assert whole[0][: len(msgs)] == msgs


@given(st.binary(max_size=300), st.booleans())
def test_any_octets_give_messages_or_notify_error(octets, has_enhanced) -> None:
    marked = b"\xff" * 16 + octets
    for stream in (octets, marked):
        for kind, _ in run([stream])[0]:
            assert kind in BODIES
    for start, decode in (
        (10, decode_open),
        (2, decode_notification),
        (4, lambda body: decode_route_refresh(body, has_enhanced=has_enhanced)),
    ):
        assert code_of(decode, octets.ljust(start, b"\0")) in (None, 1, 2, 7)


@given(st.binary(max_size=120))
def test_any_parameters_give_an_open_or_notify_error(parameters) -> None:
    head = b"\4\xfd\xe9\0\x5a\x0a\0\0\1" + bytes([len(parameters)])
    assert code_of(decode_open, head + parameters) in (None, 2)


@given(
    st.integers(1, 2**32 - 1).filter(lambda asn: asn != AS_TRANS),
    st.just(0) | st.integers(3, 65535),
    st.integers(1, 2**32 - 1),
    capabilities,
)
def test_open_round_trip(asn, hold_time, router_id, caps) -> None:
    caps = Capabilities(
        **{name: getattr(caps, name) for name in caps.__slots__}
        | {"four_octet_as": asn}
    )
    message = OpenMessage(asn, hold_time, router_id, caps)
    [(kind, body)] = Framer().feed(encode_open(message))
    assert kind == 1
    assert decode_open(body) == message
