"""Many peers come and go a few at a time; the loop turns between them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import plain_sources
from bgpd.session.settings import PeerSettings
from bgpd.speaker.peer_changes import AT_ONCE, SHOWN
from bgpd.speaker.speaker import Speaker
from rib.policy import ACCEPT_ALL
from tests.support.speakers import run_on
from tests.support.turns import turn
from tests.unit.bgpd.node.test_reconciler import EMPTY, a_peer, desired

MANY = 40


def in_slices(work: Callable[[Speaker, Reconciler], Awaitable[None]]) -> None:
    """Run ``work`` with a speaker that takes one step in each turn of the loop."""

    async def scenario() -> None:
        speaker = Speaker(asyncio.get_running_loop(), "10.0.0.1", seed=1)
        speaker.work_queue.budget = 0.0
        try:
            await work(speaker, Reconciler(speaker, plain_sources()))
        finally:
            await speaker.close()

    run_on(asyncio.new_event_loop, scenario())


def many(first: int = 1, **changes: str) -> tuple[PeerSettings, ...]:
    return tuple(a_peer(number, **changes) for number in range(first, first + MANY))


async def turns_until_settled(reconciler: Reconciler) -> int:
    settled = asyncio.ensure_future(reconciler.settled())
    turns = 0
    while not settled.done():
        await turn()
        turns += 1
    return turns


def test_the_loop_turns_between_peers_that_come_and_go() -> None:
    async def work(speaker: Speaker, reconciler: Reconciler) -> None:
        assert len(reconciler.apply_node(desired(*many()))) == AT_ONCE
        assert len(speaker.peers) == AT_ONCE
        assert await turns_until_settled(reconciler) > MANY - AT_ONCE
        assert len(speaker.peers) == MANY
        reconciler.apply_node(desired(*many(description="new")))
        assert await turns_until_settled(reconciler) > MANY - AT_ONCE
        assert {p.settings.description for p in speaker.peers.values()} == {"new"}
        reconciler.apply_node(desired())
        assert await turns_until_settled(reconciler) > MANY - AT_ONCE
        assert not speaker.peers

    in_slices(work)


def test_the_same_peers_again_take_no_step_each() -> None:
    async def work(speaker: Speaker, reconciler: Reconciler) -> None:
        reconciler.apply_node(desired(*many()))
        await reconciler.settled()
        reconciler.apply_node(desired(*many()))
        assert await turns_until_settled(reconciler) < 10

    in_slices(work)


def test_a_caller_that_wants_other_peers_meanwhile_gets_those() -> None:
    async def work(speaker: Speaker, reconciler: Reconciler) -> None:
        reconciler.apply_node(desired(*many(1)))
        for _ in range(4):
            await turn()
        assert AT_ONCE <= len(speaker.peers) < MANY
        wanted = many(1 + MANY // 4)
        reconciler.apply_node(desired(*wanted))
        reconciler.apply_settings(replace(EMPTY, peers=(a_peer(200),)))
        await reconciler.settled()
        addresses = {peer.remote_addr for peer in wanted} | {"192.0.2.200"}
        assert speaker.peers.keys() == addresses

    in_slices(work)


def test_a_policy_stays_until_no_peer_names_it() -> None:
    old, new = (replace(ACCEPT_ALL, name=name) for name in ("old", "new"))

    async def work(speaker: Speaker, reconciler: Reconciler) -> None:
        peers = many(export_policy="old")
        reconciler.apply_node(desired(*peers, policies=(old,)))
        await reconciler.settled()
        peers = many(export_policy="new")
        reconciler.apply_node(desired(*peers, policies=(new,)))
        named = {peer.settings.export_policy for peer in speaker.peers.values()}
        assert named == {"old", "new"}
        for peer in speaker.peers.values():
            found = speaker.context.policies.export_of(peer.settings, is_ibgp=True)
            assert found.name == peer.settings.export_policy
        await reconciler.settled()
        assert {p.settings.export_policy for p in speaker.peers.values()} == {"new"}
        with pytest.raises(KeyError):
            speaker.context.policies["old"]

    in_slices(work)


def test_the_log_has_one_line_for_each_kind_of_many_steps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(_: Speaker, reconciler: Reconciler) -> None:
        with caplog.at_level(logging.INFO, "bgpd.speaker.peer_changes"):
            reconciler.apply_node(desired(*many()))
            await reconciler.settled()
            changed = many(description="new")[:SHOWN]
            reconciler.apply_node(desired(*changed))
            await reconciler.settled()

    in_slices(work)
    shown = ", ".join(f"192.0.2.{n}" for n in (1, 10, 11))
    added, removed, *rest = sorted(caplog.messages)
    assert added == f"add peers: {shown} and {MANY - SHOWN} more"
    assert [line.partition(" (")[0] for line in (removed, *rest)] == [
        "change peer 192.0.2.1",
        "change peer 192.0.2.2",
        "change peer 192.0.2.3",
        f"remove peers: 192.0.2.10, 192.0.2.11, 192.0.2.12 and {MANY - 2 * SHOWN} more",
    ]


def test_a_peer_that_cannot_be_made_is_named_and_the_others_come(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(speaker: Speaker, reconciler: Reconciler) -> None:
        impossible = replace(a_peer(1), cluster_id="none", is_client=True)
        reconciler.apply_node(desired(impossible, a_peer(2)))
        await reconciler.settled()
        assert speaker.peers.keys() == {"192.0.2.2"}
        (fault,) = reconciler.faults()
        assert fault == "peer 192.0.2.1: 'none' is not an IP address"
        reconciler.apply_node(desired(a_peer(1), a_peer(2)))
        await reconciler.settled()
        assert speaker.peers.keys() == {"192.0.2.1", "192.0.2.2"}
        assert reconciler.faults() == []

    in_slices(work)
    assert "peer 192.0.2.1: 'none' is not an IP address" in caplog.text
