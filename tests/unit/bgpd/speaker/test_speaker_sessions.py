"""Sessions under strain: refresh, limits, keys, slow readers, full tables, churn."""

import gc
from dataclasses import replace
from functools import partial

import pytest

from bgpd.net import tcp_connection
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.session.settings import ChangeCost, FamilySettings
from bgpd.speaker.speaker import FAMILIES
from bgpd.wire.framing import KEEPALIVE, MessageType
from bgpd.wire.route_refresh import (
    RefreshSubtype,
    RouteRefresh,
    decode_route_refresh,
    encode_route_refresh,
)
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST
from rib.nlri import parse_prefix
from rib.policy import (
    Match,
    Outcome,
    PolicySpec,
    PrefixEntry,
    PrefixMatch,
    Term,
)
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.simnet import advance, on_virtual_time, sim
from tests.support.speakers import (
    ASN,
    BOTH,
    PLAIN,
    PORT,
    Rack,
    a_pair,
    on_both_loops,
    some_nlris,
    unpaced,
    until,
)
from tests.support.turns import turn


def rejecting(name: str, prefix: str) -> PolicySpec:
    """Return a policy that accepts all but what is inside ``prefix``."""
    afi, nlri = parse_prefix(prefix)
    inside = PrefixMatch((PrefixEntry(afi, nlri, nlri[0], 32),))
    return PolicySpec(
        name,
        (
            Term("inside", Outcome.REJECT, Match(prefixes=inside)),
            Term("rest", Outcome.ACCEPT),
        ),
    )


@on_virtual_time
async def test_refresh_is_enhanced_where_both_can_and_marks_its_ends() -> None:
    async with Rack() as rack:
        node = await rack.node(1)
        node.accepts(f"{rack.network}.0/24")
        node.announce("10.1.0.0/16")
        peer = ScriptedPeer(f"{rack.network}.9", node.addr, PORT)
        async with peer:
            opening = an_open(ASN, has_route_refresh=True, has_enhanced_refresh=True)
            await peer.establish(opening)
            for _ in range(3):  # the route, and End-of-RIB of two families
                await peer.expect(MessageType.UPDATE)
            peer.send(encode_route_refresh(RouteRefresh(IPV4_UNICAST)))
            marks = []
            begin = await peer.expect(MessageType.ROUTE_REFRESH)
            update = await peer.expect(MessageType.UPDATE)
            end = await peer.expect(MessageType.ROUTE_REFRESH)
            for body in (begin, end):
                mark = decode_route_refresh(body, has_enhanced=True)
                assert mark is not None
                marks.append(mark.subtype)
            assert marks == [RefreshSubtype.BEGIN, RefreshSubtype.END]
            assert update.endswith(b"\x10\x0a\x01")


@on_virtual_time
async def test_a_plain_refresh_tells_all_routes_again() -> None:
    async with Rack() as rack:
        node = await rack.node(1)
        node.accepts(f"{rack.network}.0/24")
        node.announce("10.1.0.0/16")
        async with ScriptedPeer(f"{rack.network}.9", node.addr, PORT) as peer:
            await peer.establish(an_open(ASN, has_route_refresh=True))
            for _ in range(3):
                await peer.expect(MessageType.UPDATE)
            peer.send(encode_route_refresh(RouteRefresh(IPV4_UNICAST)))
            assert (await peer.expect(MessageType.UPDATE)).endswith(b"\x10\x0a\x01")


@on_virtual_time
async def test_an_enhanced_refresh_sweeps_what_was_not_advertised_again() -> None:
    kept, gone = some_nlris(2)
    async with Rack() as rack:
        node = await rack.node(1)
        node.accepts(f"{rack.network}.0/24")
        async with ScriptedPeer(f"{rack.network}.9", node.addr, PORT) as peer:
            opening = an_open(ASN, has_route_refresh=True, has_enhanced_refresh=True)
            await peer.establish(opening)
            peer.send(an_update([kept, gone]))
            await until(lambda: len(node.table(IPV4_UNICAST)) == 2)
            mark = RouteRefresh(IPV4_UNICAST, RefreshSubtype.BEGIN)
            peer.send(encode_route_refresh(mark) + an_update([kept]))
            await advance(5)
            assert len(node.table(IPV4_UNICAST)) == 2
            mark = RouteRefresh(IPV4_UNICAST, RefreshSubtype.END)
            peer.send(encode_route_refresh(mark))
            await until(lambda: list(node.table(IPV4_UNICAST)) == [kept])


@on_virtual_time
async def test_policies_are_replaced_live_in_both_directions() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        nothing = PolicySpec("filter", (Term("rest", Outcome.ACCEPT),))
        for node in (a, b):
            node.speaker.policies.replace([nothing])
        a.peers_with(b, export_policy="filter")
        b.peers_with(a, import_policy="filter")
        a.announce("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
        await until(lambda: len(b.prefixes()) == 3)
        a.speaker.policies.replace([rejecting("filter", "10.1.0.0/16")])
        await until(lambda: b.prefixes() == {"10.2.0.0/16", "10.3.0.0/16"})
        b.speaker.policies.replace([rejecting("filter", "10.2.0.0/16")])
        await until(lambda: b.prefixes() == {"10.3.0.0/16"})
        for node in (a, b):
            node.speaker.policies.replace([nothing])
        await until(lambda: len(b.prefixes()) == 3)
        assert a.flaps(b) == b.flaps(a) == 0


@on_virtual_time
async def test_too_many_prefixes_end_the_session_and_leave_none() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        limited = (FamilySettings(IPV4_UNICAST, max_prefixes=10), BOTH[1])
        a.peers_with(b, families=limited)
        b.peers_with(a)
        b.speaker.local_routes.originate(IPV4_UNICAST, some_nlris(10), PLAIN)
        await until(lambda: len(a.table(IPV4_UNICAST)) == 10)
        b.announce("192.168.0.0/16")
        await until(lambda: b.peer(a).driver.session.counters.flaps)
        await until(lambda: not a.table(IPV4_UNICAST))
        down = b.peer(a).driver.session.counters.last_down
        assert down is not None
        assert down.notification is not None
        assert down.notification.inner.subcode == 1


@pytest.mark.parametrize("is_range", [False, True], ids=["peer", "range"])
@on_virtual_time
async def test_md5_keys_let_in_a_peer_with_the_key(is_range: bool) -> None:  # noqa: FBT001  # pytest's parameter
    async with Rack() as rack:
        a, right, wrong = [await rack.node(n) for n in (1, 2, 3)]
        if is_range:
            a.accepts(f"{rack.network}.0/24", password="secret")
        else:
            a.peers_with(right, password="secret", is_passive=True)
            a.peers_with(wrong, password="secret", is_passive=True)
        right.peers_with(a, password="secret")
        wrong.peers_with(a, password="no secret")
        await until(lambda: right.is_up(a))
        await advance(100)
        assert not wrong.is_up(a)
        none = await rack.node(4)
        none.peers_with(a)
        await advance(100)
        assert not none.is_up(a)


@on_virtual_time
async def test_a_new_md5_key_on_both_sides_leaves_the_session_alone() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack, password="old")
        for node, other in ((a, b), (b, a)):
            changed = replace(node.peer(other).settings, password="new")
            node.speaker.neighbours.change(changed, ChangeCost.LIVE)
        a.announce("10.1.0.0/16")
        await until(lambda: "10.1.0.0/16" in b.prefixes())
        assert a.flaps(b) == b.flaps(a) == 0


@on_virtual_time
async def test_ttl_security_holds_between_neighbours() -> None:
    async with Rack() as rack:
        a, b, far = [await rack.node(n) for n in (1, 2, 3)]
        a.peers_with(b, ttl_security_hops=1)
        b.peers_with(a, ttl_security_hops=1)
        a.peers_with(far, ttl_security_hops=1)
        far.peers_with(a)  # sends the system's TTL, far below 255
        await until(lambda: a.is_up(b) and b.is_up(a))
        assert not a.is_up(far)


@pytest.mark.slow
@on_virtual_time
async def test_a_slow_reader_ends_with_the_right_table_and_bounded_memory() -> None:
    nlris = some_nlris(20_000)
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        unpaced(a)  # what the reader misses changes a thousand times
        a.accepts(f"{rack.network}.0/24")
        b.peers_with(a)
        async with ScriptedPeer(f"{rack.network}.9", a.addr, PORT) as slow:
            await slow.establish(an_open(ASN))
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: b.is_up(a) and a.is_up(f"{rack.network}.9"))
            tables = a.speaker.tables[IPV4_UNICAST]
            scripted = a.peer(f"{rack.network}.9")
            member = tables.member(scripted.sources[IPV4_UNICAST])
            assert member is not None
            for med in range(1000):
                attributes = make_attributes(next_hop=b"", med=med)
                a.speaker.local_routes.originate(
                    IPV4_UNICAST, nlris[: 1000 + med * 19], attributes
                )
                tables.flush_now()
                await turn()
                if member.is_slow:
                    break
            assert member.is_slow
            connection = scripted.driver.connection
            assert connection is not None
            bound = connection.unsent_len + 100_000
            for med in range(5):
                attributes = make_attributes(next_hop=b"", med=5000 + med)
                a.speaker.local_routes.originate(IPV4_UNICAST, nlris, attributes)
                tables.flush_now()
                await turn()
            assert connection.unsent_len < bound
            assert len(member.pending_changes) <= len(nlris)
            a.withdraw("10.0.0.0/24")
            slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
            last: dict[bytes, bool] = {}
            final = b"\x80\x04\x04" + (5004).to_bytes(4, "big")
            while len(last) < len(nlris) or not all(last.values()):
                body = await slow.expect(MessageType.UPDATE)
                attributes_at = 4 + int.from_bytes(body[2:4], "big")
                if body[:2] == b"\0\0":
                    run, is_final = body[attributes_at:], final in body[:attributes_at]
                else:
                    run = body[2 : 2 + int.from_bytes(body[:2], "big")]
                    is_final = run == nlris[0]
                for at in range(0, len(run), 4):
                    last[run[at : at + 4]] = is_final
        assert b.is_up(a)
        await until(lambda: len(b.table(IPV4_UNICAST)) == len(nlris) - 1)


@on_virtual_time
async def test_a_peer_that_never_reads_is_cut_off_by_the_send_hold_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp_connection, "HIGH_WATER", 1 << 14)
    sim().buffer = 1 << 14
    nlris = some_nlris(2000)
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.accepts(f"{rack.network}.0/24", send_hold_time=1, graceful_restart_time=0)
        b.peers_with(a)
        silent = f"{rack.network}.9"
        async with ScriptedPeer(silent, a.addr, PORT) as slow:
            await slow.establish(an_open(ASN, hold_time=0))
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: b.is_up(a))
            for med in range(60):
                peer = a.speaker.peers.get(silent)
                if peer is None:
                    break
                attributes = make_attributes(next_hop=b"", med=med)
                a.speaker.local_routes.originate(IPV4_UNICAST, nlris, attributes)
                a.speaker.tables[IPV4_UNICAST].flush_now()
                await advance(0.2)
            await until(lambda: silent not in a.speaker.peers, 20)
        assert a.flaps(b) == 0


@pytest.mark.slow
@on_both_loops
async def test_a_hold_time_of_three_seconds_holds_while_a_full_table_moves() -> None:
    nlris = some_nlris(200_000, base=1 << 24)
    async with Rack() as rack:
        reflector, client = await rack.node(1), await rack.node(2)
        reflector.accepts(f"{rack.network}.0/24", is_client=True, hold_time=3)
        client.peers_with(reflector, hold_time=3)
        async with ScriptedPeer(f"{rack.network}.9", reflector.addr, PORT) as feeder:
            await feeder.establish(an_open(ASN, hold_time=0))
            await until(lambda: client.is_up(reflector))
            for start in range(0, len(nlris), 20):
                # As many attribute sets as a full table has, some 10,000.
                as_path = f"{64600 + start % 400} {start + 1}"
                feeder.send(an_update(nlris[start : start + 20], as_path=as_path))
                if start % 2000 == 0:
                    await feeder.writer.drain()
            await until(lambda: len(client.table(IPV4_UNICAST)) == len(nlris), 60)
            await feeder.writer.drain()
        await until(lambda: not client.table(IPV4_UNICAST), 60)
        received = client.peer(reflector).driver.session.counters.received
        before = received[MessageType.KEEPALIVE]
        await until(lambda: received[MessageType.KEEPALIVE] > before + 1)
        assert client.flaps(reflector) == reflector.flaps(client) == 0


@on_virtual_time
async def test_fifty_thousand_flaps_leave_nothing_behind() -> None:
    nlris = some_nlris(1000)
    async with Rack() as rack:
        node, client = await rack.node(1), await rack.node(2)
        node.accepts(f"{rack.network}.0/24", is_client=True)
        client.peers_with(node)
        async with ScriptedPeer(f"{rack.network}.9", node.addr, PORT) as peer:
            await peer.establish(an_open(ASN))
            for turn in range(50):
                run = b"".join(nlris)
                withdrawal = len(run).to_bytes(2, "big") + run + b"\0\0"
                peer.send(an_update(nlris, as_path=f"{turn + 1}"))
                peer.send(_message(withdrawal))
                await peer.writer.drain()
            peer.send(an_update(nlris[:1]) + KEEPALIVE)
            await until(lambda: list(node.table(IPV4_UNICAST)) == nlris[:1])
            await until(lambda: list(client.table(IPV4_UNICAST)) == nlris[:1])
            for some in (node, client):
                tables = some.speaker.tables[IPV4_UNICAST]
                assert len(tables.loc_rib._transitions) <= 16384
                await until(partial(_is_advertised, tables))
                for _ in tables.loc_rib.sweep_unused():
                    pass
                assert len(tables.loc_rib._sets) <= 4
        gc.collect()
        await until(lambda: not client.table(IPV4_UNICAST))
        assert all(not node.table(family) for family in FAMILIES)


def _is_advertised(tables: FamilyTables) -> bool:
    return not tables.pending_count


def _message(body: bytes) -> bytes:
    return b"\xff" * 16 + (19 + len(body)).to_bytes(2, "big") + b"\x02" + body


@on_virtual_time
async def test_a_changed_setting_costs_the_session_only_where_it_must() -> None:
    async with Rack() as rack:
        a, b = await a_pair(rack)
        a.speaker.neighbours.change(a.settings(b, description="x"), ChangeCost.LIVE)
        a.speaker.neighbours.change(a.settings(b, is_client=True), ChangeCost.REFRESH)
        await advance(5)
        assert a.flaps(b) == 0
        a.speaker.neighbours.change(a.settings(b, hold_time=30), ChangeCost.RESET)
        await until(lambda: a.flaps(b) == 1 and a.is_up(b) and b.is_up(a))
        negotiated = b.peer(a).negotiated
        assert negotiated is not None
        assert negotiated.hold_time == 30
