from dataclasses import replace

import pytest

from bgpd.wire.update import end_of_rib
from rib import adj_rib_in
from rib.adj_rib_in import AdjRibIn
from rib.attributes import AttributeContext
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.nlri import parse_prefix
from tests.support.attributes import BASE, IBGP, LOCAL_AS, NEXT_HOP, attribute
from tests.support.intakes import FAMILIES, Session, update

pytestmark = pytest.mark.usefixtures("either_twin")

ONE, TWO = (parse_prefix(text)[1] for text in ("10.1.0.0/16", "10.2.0.0/16"))
SIX, OTHER_SIX = (parse_prefix(text)[1] for text in ("fd00:1::/48", "fd00:2::/48"))
HOP = bytes.fromhex("20010db8" + "00" * 11 + "01")
BLOCK = BASE + attribute(5, (100).to_bytes(4, "big"))
MP_BLOCK = BLOCK.replace(attribute(3, NEXT_HOP), b"")
MALFORMED = BASE + attribute(8, b"\1\2\3")


def reach(
    *nlris: bytes,
    hop: bytes = HOP,
    family: bytes = b"\0\2\1",
    hop_len: int | None = None,
) -> bytes:
    size = len(hop) if hop_len is None else hop_len
    return attribute(14, family + bytes((size,)) + hop + b"\0" + b"".join(nlris))


def unreach(*nlris: bytes) -> bytes:
    return attribute(15, b"\0\2\1" + b"".join(nlris))


def prefixes(session: Session) -> set[bytes]:
    return {nlri for _, nlri, _ in session.routes()}


def test_announce_and_withdraw() -> None:
    session = Session()
    taken = session.take(update(BLOCK, ONE + TWO), update(withdrawn=ONE))
    assert taken.error is None
    assert session.routes() == {(IPV4_UNICAST, TWO, 0): (BLOCK, NEXT_HOP)}
    assert [(c.old is None, c.new is None) for c in taken.changes[IPV4_UNICAST]] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.rfc("4271", "4.3", "SHOULD NOT")
def test_a_prefix_both_withdrawn_and_announced_is_announced() -> None:
    session = Session()
    session.take(update(BLOCK, ONE), update(BLOCK, ONE + TWO, withdrawn=ONE))
    assert prefixes(session) == {ONE, TWO}


def test_families_in_one_update() -> None:
    session = Session()
    session.take(update(reach(SIX) + BLOCK, ONE))
    assert session.routes() == {
        (IPV4_UNICAST, ONE, 0): (BLOCK, NEXT_HOP),
        (IPV6_UNICAST, SIX, 0): (MP_BLOCK, HOP),
    }


def test_a_known_block_with_mp_attributes_is_read_each_time() -> None:
    session = Session()
    both = update(unreach(OTHER_SIX) + reach(SIX) + BLOCK, ONE)
    session.take(both)
    session.take(update(unreach(SIX)), update(reach(OTHER_SIX) + MP_BLOCK))
    assert prefixes(session) == {ONE, OTHER_SIX}
    session.take(both)
    assert prefixes(session) == {ONE, SIX}


@pytest.mark.rfc("7606", "7.11", "MUST")
def test_a_known_block_does_not_excuse_a_cut_off_next_hop() -> None:
    session = Session()
    session.take(update(reach(SIX) + MP_BLOCK))
    wrong = attribute(14, b"\0\2\1" + bytes((200,)) + HOP)
    taken = session.take(update(wrong + MP_BLOCK))
    assert taken.error is not None
    assert (taken.error.code, taken.error.subcode) == (3, 9)


@pytest.mark.rfc("7606", "2", "MUST")
def test_the_session_goes_on_after_a_malformed_attribute() -> None:
    session = Session()
    bodies = [update(BLOCK, ONE + TWO), update(MALFORMED, ONE), update(BLOCK, TWO)]
    taken = session.take(*bodies)
    assert taken.error is None
    assert [body for _, body in taken.complaints] == [bodies[1]]
    assert prefixes(session) == {TWO}


@pytest.mark.skipif(
    not str(adj_rib_in.__file__).endswith(".py"),
    reason="compiled code calls methods of a compiled class directly",
)
def test_what_changed_before_an_internal_fault_is_not_lost(monkeypatch) -> None:
    def injected(_: object, what: object, runs: list[object]) -> list[object]:
        if what and runs:
            raise ValueError("injected")
        return []

    session = Session()
    session.take(update(BLOCK, ONE))
    for method in ("announce", "announce_all"):
        monkeypatch.setattr(AdjRibIn, method, injected)
    taken = session.take(update(withdrawn=ONE), update(BLOCK, TWO))
    assert isinstance(taken.fault, ValueError)
    gone = [nlri for change in taken.changes[IPV4_UNICAST] for nlri in change.nlris]
    assert gone == [ONE]


@pytest.mark.rfc("7606", "5.3", "MUST")
@pytest.mark.parametrize(
    "body",
    [
        update(BLOCK, b"\x21\1\2\3\4\5"),
        update(BLOCK, b"\x18\1"),
        update(withdrawn=b"\x18\1"),
        update(reach(b"\x81" + bytes(17)) + MP_BLOCK),
        update(MALFORMED, b"\x18\1"),
    ],
)
def test_a_run_of_nlri_that_cannot_be_split_ends_the_session(body: bytes) -> None:
    session = Session()
    taken = session.take(update(BLOCK, ONE), body, update(BLOCK, TWO))
    assert taken.error is not None
    assert (taken.error.code, taken.error.subcode) == (3, 10)
    assert prefixes(session) == {ONE}


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0", b"\0\0\0", b"\0\0\0\xff"])
def test_bodies_too_short_to_be_any(body: bytes) -> None:
    taken = Session().take(body)
    assert taken.error is not None
    assert (taken.error.code, taken.error.subcode) == (3, 1)


@pytest.mark.rfc("4724", "2", "MUST")
@pytest.mark.parametrize("family", FAMILIES)
def test_end_of_rib(family) -> None:
    assert Session().take(end_of_rib(family)[19:]).ended == [family]
    others = [other for other in FAMILIES if other != family]
    assert not Session(families=others).take(end_of_rib(family)[19:]).ended


@pytest.mark.rfc("4760", "8", "MUST")
def test_families_that_were_not_agreed_on_are_ignored() -> None:
    session = Session(families=[IPV4_UNICAST])
    taken = session.take(update(reach(SIX, family=b"\0\1\4") + BLOCK, ONE))
    assert taken.error is None
    assert prefixes(session) == {ONE}
    session = Session(families=[IPV6_UNICAST])
    taken = session.take(update(BLOCK, ONE), update(withdrawn=ONE))
    assert taken.error is None
    assert not session.routes()


@pytest.mark.rfc("7911", "3", "MUST")
def test_path_identifiers() -> None:
    session = Session(add_path=FAMILIES)
    first, second = b"\0\0\0\1", b"\0\0\0\2"
    session.take(
        update(BLOCK, first + ONE + second + ONE),
        update(reach(first + SIX, second + SIX) + MP_BLOCK),
    )
    assert set(session.routes()) == {
        (family, nlri, number)
        for family, nlri in ((IPV4_UNICAST, ONE), (IPV6_UNICAST, SIX))
        for number in (1, 2)
    }
    session.take(update(withdrawn=first + ONE), update(unreach(second + SIX)))
    assert set(session.routes()) == {(IPV4_UNICAST, ONE, 2), (IPV6_UNICAST, SIX, 1)}


@pytest.mark.rfc("8950", "4", "MUST")
def test_ipv4_with_an_ipv6_next_hop() -> None:
    context = AttributeContext(
        is_ibgp=True,
        four_octet_as=True,
        peer_as=LOCAL_AS,
        local_as=LOCAL_AS,
        extended_next_hop=frozenset({IPV4_UNICAST}),
    )
    session = Session(context)
    session.take(update(reach(ONE, family=b"\0\1\1") + MP_BLOCK))
    assert session.routes() == {(IPV4_UNICAST, ONE, 0): (MP_BLOCK, HOP)}
    plain = reach(TWO, hop=NEXT_HOP, family=b"\0\1\1") + MP_BLOCK
    session.take(update(plain), update(plain))
    assert session.routes()[IPV4_UNICAST, TWO, 0] == (BLOCK, NEXT_HOP)


def test_the_same_block_gives_the_same_path() -> None:
    session = Session()
    session.take(update(BLOCK, ONE), update(BLOCK, TWO))
    session.take(update(reach(SIX) + MP_BLOCK), update(reach(OTHER_SIX) + MP_BLOCK))
    for rib in session.ribs.values():
        assert len(set(rib.loc_rib.table.values())) == 1


class TestAttributesOfWhichMoreIsConfigured:
    MED = attribute(4, bytes(4))
    LEFT = BASE + attribute(5, (100).to_bytes(4, "big"))
    WITH_MED = BASE + MED + attribute(5, (100).to_bytes(4, "big"))
    MP_LEFT = LEFT.replace(attribute(3, NEXT_HOP), b"")

    def test_they_are_taken_off_routes_of_either_family(self) -> None:
        session = Session(replace(IBGP, discarded=frozenset({4})))
        mp_block = self.WITH_MED.replace(attribute(3, NEXT_HOP), b"")
        taken = session.take(
            update(self.WITH_MED, ONE),
            update(reach(SIX) + mp_block),
            update(BLOCK, TWO),
        )
        assert not taken.complaints
        assert session.routes() == {
            (IPV4_UNICAST, ONE, 0): (self.LEFT, NEXT_HOP),
            (IPV4_UNICAST, TWO, 0): (BLOCK, NEXT_HOP),
            (IPV6_UNICAST, SIX, 0): (self.MP_LEFT, HOP),
        }

    def test_their_routes_are_withdrawn_and_the_session_stays(self) -> None:
        session = Session(replace(IBGP, withdrawn=frozenset({4})))
        session.take(update(BLOCK, ONE + TWO), update(reach(SIX) + MP_BLOCK))
        mp_block = self.WITH_MED.replace(attribute(3, NEXT_HOP), b"")
        for body in (
            update(self.WITH_MED, ONE),
            update(reach(SIX) + mp_block),
            update(self.WITH_MED),
            update(self.WITH_MED, withdrawn=TWO),
        ):
            assert session.take(body).error is None
        assert session.routes() == {}
