"""Any octets are taken in; the short way and the long way agree."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.pipeline.update_receiver import Taken
from rib.attributes import AttributeContext
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import parse_prefix
from rib.policy import (
    ACCEPT_ALL,
    Match,
    Operator,
    Outcome,
    PolicySpec,
    Term,
    prefix_match,
)
from tests.support.attribute_strategies import blocks
from tests.support.attributes import BASE, IBGP, LOCAL_AS, PEER_AS, attribute
from tests.support.intakes import FAMILIES, Session, update

IPV4 = [parse_prefix(f"10.{number}.0.0/16")[1] for number in range(4)]
IPV6 = [parse_prefix(f"fd00:{number}::/48")[1] for number in range(4)]
HOPS = [bytes.fromhex("20010db8" + "00" * 11) + bytes((end,)) for end in (1, 2)]
LOCAL_PREF = attribute(5, (100).to_bytes(4, "big"))
GOOD = [BASE + LOCAL_PREF, BASE + attribute(4, bytes(4)) + LOCAL_PREF]
MALFORMED = [
    BASE + attribute(8, b"\1\2\3"),  # COMMUNITIES: treat-as-withdraw
    attribute(1, b"\7") + BASE[4:],  # ORIGIN: treat-as-withdraw
]
DISCARDED = BASE + attribute(6, b"\1") + LOCAL_PREF  # ATOMIC_AGGREGATE: discard


def reach(hop: bytes, nlris: list[bytes]) -> bytes:
    return attribute(14, b"\0\2\1" + bytes((len(hop),)) + hop + b"\0" + b"".join(nlris))


def unreach(nlris: list[bytes]) -> bytes:
    return attribute(15, b"\0\2\1" + b"".join(nlris))


ipv4 = st.lists(st.sampled_from(IPV4), max_size=3)
ipv6 = st.lists(st.sampled_from(IPV6), max_size=3)


@st.composite
def usual_updates(draw: st.DrawFn) -> bytes:
    """Updates with a bit of everything, from few blocks, so that they are known."""
    block = draw(st.sampled_from([*GOOD, *GOOD, *MALFORMED, DISCARDED, b""]))
    if draw(st.booleans()):
        block = unreach(draw(ipv6)) + block
    if draw(st.booleans()):
        block = reach(draw(st.sampled_from(HOPS)), draw(ipv6)) + block
    withdrawn = b"".join(draw(ipv4)) if draw(st.booleans()) else b""
    return update(block, b"".join(draw(ipv4)), withdrawn)


wild_updates = st.one_of(
    st.binary(max_size=60),
    st.builds(update, blocks, st.binary(max_size=20), st.binary(max_size=20)),
    st.builds(
        lambda block, value, nlri: update(attribute(14, value) + block, nlri),
        blocks,
        st.binary(max_size=40),
        st.binary(max_size=20),
    ),
)
contexts = st.builds(
    AttributeContext,
    is_ibgp=st.booleans(),
    four_octet_as=st.booleans(),
    peer_as=st.just(PEER_AS),
    local_as=st.just(LOCAL_AS),
)
HALF = PolicySpec(
    "half",
    (
        Term(
            "half",
            Outcome.REJECT,
            Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/15")),
        ),
    ),
    accepts_unmatched=True,
)
policies = st.sampled_from((ACCEPT_ALL, HALF))


def outcome(taken: Taken) -> tuple[object, ...]:
    error = taken.error
    return taken.ended, error and (error.code, error.subcode, error.data)


@given(st.lists(usual_updates(), max_size=8), policies, st.booleans())
@settings(max_examples=200)
def test_short_and_long_way_agree(bodies, spec, is_ibgp) -> None:
    context = AttributeContext(
        is_ibgp=is_ibgp, four_octet_as=True, peer_as=PEER_AS, local_as=LOCAL_AS
    )
    short = Session(context, spec=spec)
    long = Session(context, spec=spec, is_long_way=True)
    assert outcome(short.take(*bodies)) == outcome(long.take(*bodies))
    assert short.routes() == long.routes()
    assert short.refused() == long.refused()


@given(st.lists(wild_updates | usual_updates(), max_size=4), contexts, st.booleans())
@settings(max_examples=300)
def test_any_octets_are_taken(bodies, context, has_ids) -> None:
    add_path = FAMILIES if has_ids else ()
    short = Session(context, add_path=add_path)
    long = Session(context, add_path=add_path, is_long_way=True)
    assert outcome(short.take(*bodies)) == outcome(long.take(*bodies))
    assert short.routes() == long.routes()


@given(st.sets(st.sampled_from(IPV4), min_size=1), st.sets(st.sampled_from(IPV6)))
def test_treat_as_withdraw_removes_what_was_announced_and_nothing_else(
    gone_ipv4, gone_ipv6
) -> None:
    session = Session(IBGP)
    session.take(
        update(GOOD[0], b"".join(IPV4)), update(reach(HOPS[0], IPV6) + GOOD[0])
    )
    before = session.routes()
    block = MALFORMED[0]
    if gone_ipv6:
        block = reach(HOPS[0], sorted(gone_ipv6)) + block
    taken = session.take(update(block, b"".join(sorted(gone_ipv4))))
    assert taken.error is None
    assert taken.complaints
    gone = {(IPV4_UNICAST, nlri, 0) for nlri in gone_ipv4}
    gone |= {(IPV6_UNICAST, nlri, 0) for nlri in gone_ipv6}
    after = {key: value for key, value in before.items() if key not in gone}
    assert session.routes() == after
