"""Every flaw of every attribute, from external and internal peers, gets its RFC's remedy.

Octets in and routes out; then once more over real connections, all in one session, with
another peer that must receive the routes that are left.
"""

from collections.abc import Iterator

import pytest

from bgpd.wire.framing import MessageType, encode_message
from rib.attributes.codes import (
    AS4_PATH,
    CLUSTER_LIST,
    FLAGS,
    LOCAL_PREF,
    ORIGINATOR_ID,
)
from rib.family import AFI_IPV4, IPV4_UNICAST
from rib.nlri import split
from tests.support.attributes import BASE, EBGP, IBGP, LOCAL_AS, PEER_AS
from tests.support.intakes import Session, update
from tests.support.malformed import (
    ACCEPT,
    DISCARD,
    RESET,
    SORTS,
    WITHDRAW,
    Case,
    Outcome,
    nlri_of,
    table,
)
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.speakers import PORT, Rack, on_both_loops

CASES = table()
LAST = nlri_of(0xFFF)
CONTEXTS = dict(zip(SORTS, (EBGP, IBGP), strict=True))


def type_codes(block: bytes) -> Iterator[int]:
    """Yield the type codes of a sound block."""
    at = 0
    while at < len(block):
        start = at + (4 if block[at] & 0x10 else 3)
        yield block[at + 1]
        at = start + int.from_bytes(block[at + 2 : start], "big")


def outcome(kept: bytes | None, case: Case) -> Outcome:
    """Return what became of a route, by the attributes it has now."""
    if kept is None:
        return WITHDRAW
    return ACCEPT if case.code in {0, *type_codes(kept)} else DISCARD


@pytest.mark.rfc("7606", "2", "MUST")
@pytest.mark.parametrize("sort", SORTS)
def test_each_flaw_costs_what_its_rfc_says(sort: str) -> None:
    wrong = []
    for number, case in enumerate(CASES):
        if case.sort != sort:
            continue
        session = Session(CONTEXTS[sort])
        nlri = b"" if case.is_mp else nlri_of(number)
        session.take(update(BASE, nlri))  # there before, so that it can be withdrawn
        taken = session.take(update(case.block, nlri))
        routes = [octets for octets, _ in session.routes().values()]
        found = RESET if taken.error else outcome(routes[0] if routes else None, case)
        if found is not case.outcome:
            wrong.append((case.name, case.by, case.outcome.name, found.name))
    assert not wrong


def test_no_flaw_of_one_route_touches_another() -> None:
    for sort in SORTS:
        session = Session(CONTEXTS[sort])
        session.take(update(BASE, LAST))
        for number, case in enumerate(CASES):
            if case.sort == sort and case.outcome is not RESET:
                nlri = b"" if case.is_mp else nlri_of(number)
                assert session.take(update(case.block, nlri)).error is None
        assert (IPV4_UNICAST, LAST, 0) in session.routes()


def test_the_table_has_a_flaw_of_each_kind_for_each_attribute() -> None:
    for sort in SORTS:
        mine = [case for case in CASES if case.sort == sort]
        assert {0, 250, *FLAGS} <= {case.code for case in mine}
        assert len({case.name for case in mine}) == len(mine) > 200


def sound(sort: str) -> bytes:
    """Return attributes whose only flaw is one that the session ignores."""
    return next(c.block for c in CASES if c.sort == sort and c.code == AS4_PATH)


def everything(sort: str) -> bytes:
    """Return all UPDATEs that no session ends for."""
    return b"".join(
        encode_message(
            MessageType.UPDATE,
            update(case.block, b"" if case.is_mp else nlri_of(number)),
        )
        for number, case in enumerate(CASES)
        if case.sort == sort and case.outcome is not RESET
    )


async def told(observer: ScriptedPeer, last: set[bytes]) -> dict[bytes, bytes]:
    """Read UPDATEs until all of ``last`` have come; return what has, with attributes."""
    found: dict[bytes, bytes] = {}
    while not last <= found.keys():
        body = await observer.expect(MessageType.UPDATE, 20)
        end = 4 + int.from_bytes(body[2:4], "big")
        found |= dict.fromkeys(split(body[end:], AFI_IPV4), body[4:end])
    return found


def is_shown(case: Case) -> bool:
    """Return whether an internal peer can see what became of a case's attribute."""
    always = {"ebgp": {LOCAL_PREF}, "ibgp": {ORIGINATOR_ID, CLUSTER_LIST}}
    return not (
        case.outcome is RESET
        or case.is_mp
        or case.code in always[case.sort]
        or "127.0.0.1" in case.name  # where the peers are in this test
    )


@pytest.mark.slow
@on_both_loops
async def test_all_sessions_stay_up_and_others_receive_what_is_left() -> None:
    kept = {
        nlri_of(number)
        for number, case in enumerate(CASES)
        if is_shown(case) and case.outcome in (ACCEPT, DISCARD)
    }
    async with Rack() as rack:
        node = await rack.node(1, asn=LOCAL_AS)
        peers: dict[str, ScriptedPeer] = {}
        for number, sort in enumerate((*SORTS, "observer")):
            address = f"{rack.network}.{20 + number}"
            node.peers_with(
                address,
                remote_as=PEER_AS if sort == "ebgp" else LOCAL_AS,
                is_passive=True,
                is_client=sort != "ebgp",
                import_policy="accept-all",
                export_policy="accept-all",
            )
            peers[sort] = ScriptedPeer(address, node.addr, PORT)
        async with peers["observer"] as observer, peers["ebgp"], peers["ibgp"]:
            await observer.establish(an_open(LOCAL_AS, "10.0.0.98"))
            for number, sort in enumerate(SORTS):
                opening = an_open(
                    PEER_AS if sort == "ebgp" else LOCAL_AS, f"10.0.0.9{number}"
                )
                await peers[sort].establish(opening)
                peers[sort].send(everything(sort))
            found = await told(observer, kept)
            # Flushes keep their order: when LAST is here, nothing that was sent before it is missing.
            body = update(sound("ibgp"), LAST)
            peers["ibgp"].send(encode_message(MessageType.UPDATE, body))
            found |= await told(observer, {LAST})
            for number, case in enumerate(CASES):
                if is_shown(case):
                    assert outcome(found.get(nlri_of(number)), case) is case.outcome, (
                        case
                    )
            for number, _ in enumerate(peers):
                assert node.is_up(f"{rack.network}.{20 + number}")
                assert node.flaps(f"{rack.network}.{20 + number}") == 0
