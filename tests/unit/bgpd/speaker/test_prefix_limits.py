"""Prefix limits: what counts, what follows, and how a peer comes back."""

import logging
from dataclasses import replace
from types import TracebackType
from typing import Any

import pytest

from bgpd.config.diff import peer_change
from bgpd.session.fsm import State
from bgpd.session.settings import (
    AsClass,
    FamilySettings,
    LimitAction,
    PeerSettings,
)
from bgpd.show.actions import DaemonActions
from bgpd.speaker import limit_changes, prefix_limits
from bgpd.wire.capabilities import GracefulRestart
from bgpd.wire.framing import KEEPALIVE, MessageType
from bgpd.wire.route_refresh import RouteRefresh, encode_route_refresh
from bgpd.wire.update import end_of_rib
from rib.family import IPV4_UNICAST
from rib.policy import (
    Match,
    Operator,
    Outcome,
    PolicySpec,
    PrefixMatch,
    Term,
    prefix_match,
)
from tests.support.scripted_peer import ScriptedPeer, a_withdrawal, an_open, an_update
from tests.support.simnet import on_virtual_time
from tests.support.speakers import (
    ASN,
    PLAIN,
    PORT,
    Node,
    Rack,
    some_nlris,
    until,
)
from tests.support.turns import turn

TEN = some_nlris(10)
LOW = prefix_match(Operator.IN, "10.0.0.0/23")  # the first two of them
CEASE_1 = b"\x06\x01"


def rejecting(name: str, match: PrefixMatch = LOW) -> PolicySpec:
    term = Term("low", Outcome.REJECT, Match(prefixes=match))
    return PolicySpec(name, (term,), accepts_unmatched=True)


def limited(**options: Any) -> tuple[FamilySettings, ...]:
    return (FamilySettings(IPV4_UNICAST, **options),)


def change(node: Node, other: "Node | str", **changes: Any) -> None:
    """Apply changed settings as a reload does."""
    before = node.peer(other).settings
    after: PeerSettings = replace(before, **changes)
    cost, _ = peer_change(before, after)
    node.speaker.neighbours.change(after, cost)


def retry_in(node: Node, other: "Node | str") -> float:
    """Return the seconds until the next attempt."""
    deadline = node.peer(other).driver.session.next_deadline()
    assert deadline is not None
    return deadline - node.speaker.loop.time()


class Limited(Rack):
    """A node with a limit, and a peer that says what the test wants."""

    async def set_up(self, import_policy: str = "", **options: Any) -> None:
        self.where = f"{self.network}.9"
        self._peers: list[ScriptedPeer] = []
        self.limited = await self.node(1)
        self.limited.speaker.policies.replace([rejecting("no low")])
        self.limited.peers_with(
            self.where,
            families=limited(**options),
            is_passive=True,
            import_policy=import_policy,
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for peer in self._peers:
            await peer.__aexit__()
        await super().__aexit__(kind, error, trace)

    async def peer(self, **capabilities: Any) -> ScriptedPeer:
        session = self.limited.peer(self.where).driver.session
        await until(lambda: session.state is State.ACTIVE)
        scripted = ScriptedPeer(self.where, self.limited.addr, PORT)
        self._peers.append(await scripted.__aenter__())
        opening = an_open(ASN, families=(IPV4_UNICAST,), **capabilities)
        scripted.send(opening + KEEPALIVE)
        await until(lambda: self.is_up)
        return scripted

    @property
    def is_up(self) -> bool:
        return self.limited.is_up(self.where)

    @property
    def rib(self):
        return self.limited.peer(self.where).ribs_in[IPV4_UNICAST]

    async def heard(self, number: int) -> None:
        """Wait until so many prefixes were received."""
        await until(lambda: self.rib.received_count == number)


@on_virtual_time
async def test_accepted_routes_count_and_filtered_ones_do_not() -> None:
    async with Limited() as one:
        await one.set_up(max_prefixes=3, import_policy="no low")
        peer = await one.peer()
        peer.send(an_update(TEN[:5]))
        await one.heard(5)
        assert one.rib.accepted_count == 3
        assert one.is_up
        peer.send(an_update(TEN[5:6]))
        body = await peer.expect(MessageType.NOTIFICATION)
        assert body == CEASE_1 + b"\0\1\1\0\0\0\3"


@on_virtual_time
async def test_what_is_received_counts_apart_whatever_policy_says() -> None:
    async with Limited() as one:
        await one.set_up(max_prefixes=9, max_received=4, import_policy="no low")
        peer = await one.peer()
        peer.send(an_update(TEN[:4]))
        await one.heard(4)
        peer.send(an_update(TEN[4:5]))
        body = await peer.expect(MessageType.NOTIFICATION)
        assert body == CEASE_1 + b"\0\1\1\0\0\0\4"
        text = str(one.limited.peer(one.where).driver.session.counters.last_reset)
        assert "5 received prefixes of ipv4-unicast, the limit is 4" in text


@on_virtual_time
async def test_warn_warns_once_of_each_and_the_session_stays(caplog) -> None:
    async with Limited() as one:
        await one.set_up(
            max_prefixes=4,
            max_prefixes_warning=50,
            max_prefixes_action=LimitAction.WARN,
        )
        peer = await one.peer()
        with caplog.at_level(logging.WARNING):
            for number in range(6):
                peer.send(an_update(TEN[number : number + 1]))
                await one.heard(number + 1)
        told = [r.getMessage().partition(": ")[2] for r in caplog.records]
        assert told == [
            "3 prefixes of ipv4-unicast, the limit is 4",
            "5 prefixes of ipv4-unicast, the limit is 4",
        ]
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            peer.send(a_withdrawal(b"".join(TEN[1:6])))
            await one.heard(1)
            peer.send(an_update(TEN[1:3]))
            await one.heard(3)
        assert len(caplog.records) == 1  # it was below meanwhile
        assert one.is_up


@on_virtual_time
async def test_block_keeps_further_routes_out_until_there_is_room() -> None:
    async with Limited() as one:
        await one.set_up(max_prefixes=3, max_prefixes_action=LimitAction.BLOCK)
        peer = await one.peer()
        peer.send(an_update(TEN[:5]))
        await one.heard(5)
        assert list(one.limited.table(IPV4_UNICAST)) == TEN[:3]
        [line] = limit_changes.lines(one.limited.speaker.peers.values())
        assert "max_prefixes blocks 2 prefixes of ipv4-unicast" in line
        peer.send(a_withdrawal(TEN[0]))
        await until(lambda: list(one.limited.table(IPV4_UNICAST)) == TEN[1:4])
        change(
            one.limited,
            one.where,
            families=limited(max_prefixes=9, max_prefixes_action=LimitAction.BLOCK),
        )
        await until(lambda: list(one.limited.table(IPV4_UNICAST)) == TEN[1:5])
        assert not list(limit_changes.lines(one.limited.speaker.peers.values()))
        assert one.limited.flaps(one.where) == 0


@on_virtual_time
async def test_a_raised_limit_requests_the_routes_that_were_dropped() -> None:
    async with Limited() as one:
        blocking: dict[str, Any] = {"max_received_action": LimitAction.BLOCK}
        await one.set_up(max_received=2, **blocking)
        peer = await one.peer(has_route_refresh=True)
        peer.send(an_update(TEN[:4]))
        await until(lambda: one.rib.admission.forgotten_count == 2)
        assert one.rib.received_count == 2
        change(one.limited, one.where, families=limited(max_received=3, **blocking))
        wanted = encode_route_refresh(RouteRefresh(IPV4_UNICAST))
        body = await peer.expect(MessageType.ROUTE_REFRESH)
        assert wanted.endswith(body)
        peer.send(an_update(TEN[:4]))
        await one.heard(3)
        change(one.limited, one.where, families=limited())
        await peer.expect(MessageType.ROUTE_REFRESH)


@on_virtual_time
async def test_a_peer_without_refresh_tells_it_with_its_next_session(caplog) -> None:
    async with Limited() as one:
        await one.set_up(max_received=2, max_received_action=LimitAction.BLOCK)
        peer = await one.peer()
        peer.send(an_update(TEN[:4]))
        await until(lambda: one.rib.admission.forgotten_count == 2)
        change(one.limited, one.where, families=limited())
        assert "the peer has no route refresh" in caplog.text
        assert one.is_up


@on_virtual_time
async def test_restart_rests_for_the_time_given_and_a_raised_limit_ends_that() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        few = limited(max_prefixes=3, max_prefixes_restart_time=1800)
        a.peers_with(b, families=few)
        b.peers_with(a)
        b.speaker.local_routes.originate(IPV4_UNICAST, TEN, PLAIN)
        await until(lambda: a.peer(b).driver.session.counters.flaps)
        assert a.peer(b).state is State.IDLE
        assert 1790 < retry_in(a, b) <= 1800
        change(a, b, description="no cure", password="")
        assert retry_in(a, b) > 1790
        change(a, b, families=limited(max_prefixes=100))
        await until(lambda: len(a.table(IPV4_UNICAST)) == 10)


@on_virtual_time
async def test_other_as_numbers_that_may_come_end_the_rest() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        few = limited(max_prefixes=3, max_prefixes_restart_time=1800)
        a.peers_with(b, families=few)
        b.peers_with(a)
        b.speaker.local_routes.originate(IPV4_UNICAST, TEN, PLAIN)
        counters = a.peer(b).driver.session.counters
        await until(lambda: counters.flaps == 1)
        change(a, b, remote_as_class=AsClass.INTERNAL)
        await until(lambda: counters.flaps == 2)
        change(a, b, remote_as=0, remote_as_class=AsClass.LISTED)
        await until(lambda: counters.flaps == 3)
        change(a, b, remote_as_ranges=((1, 99), (ASN, ASN)))
        await until(lambda: counters.flaps == 4)


@on_virtual_time
async def test_a_policy_that_lets_fewer_in_ends_the_rest() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.speaker.policies.replace([PolicySpec("in", (), accepts_unmatched=True)])
        few = limited(max_prefixes=3, max_prefixes_restart_time=1800)
        a.peers_with(b, families=few, import_policy="in")
        b.peers_with(a)
        b.speaker.local_routes.originate(IPV4_UNICAST, TEN[:5], PLAIN)
        await until(lambda: a.peer(b).driver.session.counters.flaps)
        a.speaker.policies.replace([rejecting("in")])
        await until(lambda: len(a.table(IPV4_UNICAST)) == 3)
        assert a.is_up(b)


@on_virtual_time
async def test_a_policy_that_lets_more_in_is_followed_by_the_limit() -> None:
    async with Limited() as one:
        await one.set_up(max_prefixes=3, import_policy="no low")
        peer = await one.peer()
        peer.send(an_update(TEN[:5]))
        await one.heard(5)
        one.limited.speaker.policies.replace(
            [PolicySpec("no low", (), accepts_unmatched=True)]
        )
        body = await peer.expect(MessageType.NOTIFICATION)
        assert body.startswith(CEASE_1)


@on_virtual_time
async def test_a_lowered_limit_counts_at_once() -> None:
    async with Limited() as one:
        await one.set_up(max_prefixes=9)
        peer = await one.peer()
        peer.send(an_update(TEN[:5]))
        await one.heard(5)
        change(one.limited, one.where, families=limited(max_prefixes=4))
        body = await peer.expect(MessageType.NOTIFICATION)
        assert body == CEASE_1 + b"\0\1\1\0\0\0\4"


@pytest.mark.parametrize("is_range", [False, True], ids=["peer", "range"])
@on_virtual_time
async def test_disable_waits_for_an_operator(is_range: bool) -> None:  # noqa: FBT001  # pytest's parameter
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        few = limited(max_prefixes=3, max_prefixes_action=LimitAction.DISABLE)
        if is_range:
            a.accepts(f"{rack.network}.0/24", families=few)
        else:
            a.peers_with(b, families=few)
        b.peers_with(a)
        b.speaker.local_routes.originate(IPV4_UNICAST, TEN, PLAIN)
        await until(lambda: b.peer(a).driver.session.counters.flaps)
        await until(lambda: a.peer(b).limits.is_disabled)
        refused = a.peer(b).driver.session.counters.rejected_connections
        await until(
            lambda: a.peer(b).driver.session.counters.rejected_connections > refused
        )
        assert a.peer(b).driver.session.next_deadline() is None
        [line] = limit_changes.lines(a.speaker.peers.values())
        assert "it exceeded 3 prefixes of ipv4-unicast" in line
        b.speaker.local_routes.withdraw(IPV4_UNICAST, TEN[3:])
        enable(a, b)
        await until(lambda: a.is_up(b) and len(a.table(IPV4_UNICAST)) == 3)
        assert not list(limit_changes.lines(a.speaker.peers.values()))


@on_virtual_time
async def test_a_raised_limit_enables_what_the_limit_disabled() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        few = limited(max_prefixes=3, max_prefixes_action=LimitAction.DISABLE)
        a.peers_with(b, families=few)
        b.peers_with(a)
        b.speaker.local_routes.originate(IPV4_UNICAST, TEN, PLAIN)
        await until(lambda: a.peer(b).limits.is_disabled)
        change(a, b, description="no cure", connect_retry_time=2)
        assert a.peer(b).limits.is_disabled
        change(a, b, families=limited(max_prefixes=10))
        await until(lambda: len(a.table(IPV4_UNICAST)) == 10)


@pytest.mark.parametrize(
    "changes",
    [{"hold_time": 60}, {"families": limited(max_prefixes=9)}, {"description": "x"}],
    ids=["reset", "limit", "nothing"],
)
@on_virtual_time
async def test_no_change_brings_back_whom_an_operator_shut_down(changes) -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.peers_with(b, families=limited())
        b.peers_with(a)
        await until(lambda: a.is_up(b))
        actions = DaemonActions(a.speaker, _no_reload, _no_end)
        list(actions.disable(b.addr, ""))
        change(a, b, **changes)
        assert not a.peer(b).driver.session.is_started
        enable(a, b)
        await until(lambda: a.is_up(b))


@on_virtual_time
async def test_a_neighbour_of_a_range_rests_too() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.accepts(f"{rack.network}.0/24", families=limited(max_prefixes=3))
        b.peers_with(a)
        b.speaker.local_routes.originate(IPV4_UNICAST, TEN, PLAIN)
        await until(lambda: b.peer(a).driver.session.counters.flaps)
        assert 50 < retry_in(a, b) <= prefix_limits.RANGE_REST
        more = limited(max_prefixes=30)
        a.accepts(f"{rack.network}.0/24", families=more)
        change(a, b, families=more)
        await until(lambda: len(a.table(IPV4_UNICAST)) == 10)


@on_virtual_time
async def test_routes_that_outlived_a_session_are_not_counted_twice() -> None:
    async with Limited() as one:
        await one.set_up(max_prefixes=5)
        graceful = GracefulRestart(restart_time=60, families=((IPV4_UNICAST, True),))
        peer = await one.peer(graceful_restart=graceful)
        peer.send(an_update(TEN[:5]))
        await one.heard(5)
        await peer.__aexit__()
        await until(lambda: not one.is_up)
        assert one.rib.stale_count == 5
        peer = await one.peer(graceful_restart=graceful)
        peer.send(an_update(TEN[5:]))
        await until(lambda: one.rib.accepted_count == 10)
        assert one.is_up
        peer.send(end_of_rib(IPV4_UNICAST))
        await until(lambda: list(one.limited.table(IPV4_UNICAST)) == TEN[5:])


@on_virtual_time
async def test_another_password_ends_a_long_back_off() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.peers_with(b, password="old", connect_retry_time=3000)
        b.peers_with(a, password="new", is_passive=True)
        await until(lambda: a.peer(b).driver.session.counters.connect_attempts)
        change(a, b, password="new")
        await until(lambda: a.is_up(b))


def enable(node: Node, other: Node) -> None:
    actions = DaemonActions(node.speaker, _no_reload, _no_end)
    assert list(actions.enable(other.addr))


async def _no_reload(*, allows_resets: bool) -> list[str]:
    assert not allows_resets
    await turn()
    return []


def _no_end(*, flushes: bool, text: str) -> None:
    raise AssertionError((flushes, text))
