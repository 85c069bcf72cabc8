"""A node follows its datastore in turns, and nothing that an object brings about ends it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bgpd.calico import peer_checks, peers
from bgpd.calico.desired import NodeDesired
from bgpd.calico.keys import resource_key
from bgpd.calico.state import TEMPLATE
from bgpd.config.settings import CalicoSettings
from bgpd.datastore.manifests import item_of
from bgpd.datastore.memory import MemoryDatastore
from bgpd.node.datastore_follower import DatastoreFollower
from bgpd.node.warning_log import SHOWN
from bgpd.runtime.fault_border import FaultBorder
from tests.support.manifests import affinity, node, resource
from tests.support.turns import turn

MANY = 300
OWN = node("own", "10.0.0.1/16")


class Followed:
    """A follower, its datastore and what it delivered."""

    def __init__(self, *manifests: dict[str, Any]) -> None:
        self.store = MemoryDatastore(dict(map(item_of, manifests)))
        self.delivered: list[NodeDesired] = []
        self.border = FaultBorder()
        self.follower = DatastoreFollower(
            self.store,
            "own",
            TEMPLATE,
            self._take,
            calico=CalicoSettings(),
            border=self.border,
        )

    async def _take(self, desired: NodeDesired) -> None:
        self.delivered.append(desired)

    async def put(self, *manifests: dict[str, Any]) -> None:
        for manifest in manifests:
            self.store.put(*item_of(manifest))
        await self.applied()

    async def applied(self) -> int:
        """Wait until all that was put has been taken in; return the turns it took."""
        turns = 0
        revision = self.store.status.server_revision
        async with asyncio.timeout(30):
            while self.follower.status.applied_revision < revision:
                await turn()
                turns += 1
        return turns

    @property
    def addresses(self) -> set[str]:
        return {peer.remote_addr for peer in self.delivered[-1].peers}

    @property
    def findings(self) -> list[str]:
        return [str(warning) for warning in self.follower.warnings()]


def following(
    *manifests: dict[str, Any],
    work: Callable[[Followed], Awaitable[None]],
) -> None:
    async def scenario() -> None:
        followed = Followed(*manifests)
        task = asyncio.create_task(followed.follower.follow())
        try:
            await followed.applied()
            await work(followed)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())


def other_nodes(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        node(f"n{i}", f"10.0.{1 + i // 250}.{1 + i % 250}/16", **more)
        for i in range(count)
    ]


def a_peer(name: str, address: str, **more: Any) -> dict[str, Any]:
    return resource("BGPPeer", name, peerIP=address, asNumber=65001, **more)


def test_a_burst_makes_few_plans_over_many_turns() -> None:
    async def work(followed: Followed) -> None:
        assert followed.follower.plan_count == 1
        for manifest in other_nodes(MANY):
            followed.store.put(*item_of(manifest))
            await turn()
        await followed.applied()
        assert followed.follower.plan_count < MANY / 10
        assert len(followed.addresses) == MANY

    following(OWN, work=work)


def test_objects_that_say_the_same_make_no_plan() -> None:
    async def work(followed: Followed) -> None:
        before = followed.follower.plan_count
        touched = other_nodes(MANY)
        for manifest in touched:
            manifest["metadata"]["annotations"] = {"touched": "now"}
            manifest["metadata"]["resourceVersion"] = "7"
        await followed.put(*touched)
        assert followed.follower.plan_count == before

    following(OWN, *other_nodes(MANY), work=work)


def test_junk_keys_and_other_nodes_blocks_make_no_plan() -> None:
    async def work(followed: Followed) -> None:
        before = followed.follower.plan_count
        for number in range(MANY):
            key = f"/calico/resources/v3/projectcalico.org/junk/{number}"
            followed.store.put(key, b"{}")
        await followed.put(affinity("n1", "10.244.0.0/26"))
        assert followed.follower.plan_count == before
        assert len(followed.findings) == MANY

    following(OWN, *other_nodes(2), work=work)


def test_many_findings_of_one_kind_are_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(followed: Followed) -> None:
        await followed.put(*other_nodes(MANY, asNumber="none"))
        assert len(followed.findings) == MANY
        followed.follower._warning_log.close()
        await followed.put(*other_nodes(MANY))
        assert not followed.findings
        followed.follower._warning_log.close()

    with caplog.at_level(logging.INFO, "bgpd.node.warning_log"):
        following(OWN, *other_nodes(MANY), work=work)
    lines = [record.getMessage() for record in caplog.records]
    said = [line for line in lines if "resolved" not in line]
    repaired = [line for line in lines if "resolved" in line]
    assert len(said) <= 2 * SHOWN
    assert len(repaired) <= 2 * SHOWN
    assert " of Node spec.bgp.asNumber, such as" in said[-1]
    assert " of Node spec.bgp.asNumber, such as" in repaired[-1]


@pytest.fixture
def cursed(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address that raises an unexpected error wherever a session is made of it."""
    address = "192.0.2.66"
    sound = peers._with_restart

    def raising(settings: Any, restart_time: int | None) -> Any:
        if settings.remote_addr == address:
            raise ZeroDivisionError("cursed")
        return sound(settings, restart_time)

    monkeypatch.setattr(peers, "_with_restart", raising)
    return address


def test_an_object_that_cannot_be_planned_with_is_named_and_the_others_take_effect(
    cursed: str,
) -> None:
    async def work(followed: Followed) -> None:
        await followed.put(
            a_peer("a", "192.0.2.1"), a_peer("b", cursed), a_peer("c", "192.0.2.3")
        )
        assert followed.addresses == {"192.0.2.1", "192.0.2.3"}
        (finding,) = followed.findings
        assert finding.startswith(resource_key("BGPPeer", "b"))
        assert "ZeroDivisionError: cursed; ignored" in finding
        await followed.put(a_peer("b", "192.0.2.2"))
        assert followed.addresses == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
        assert not followed.findings

    following(OWN, work=work)


def test_an_object_that_was_sound_stays_in_force_as_it_was(cursed: str) -> None:
    async def work(followed: Followed) -> None:
        changed = a_peer("a", cursed)
        await followed.put(changed, a_peer("c", "192.0.2.3"))
        assert followed.addresses == {"192.0.2.1", "192.0.2.3"}
        (finding,) = followed.findings
        assert "the last valid version stays in force" in finding

    following(OWN, a_peer("a", "192.0.2.1"), work=work)


def test_a_datastore_that_begins_with_such_an_object_starts_the_node(
    cursed: str,
) -> None:
    async def work(followed: Followed) -> None:
        assert followed.addresses == {"192.0.2.1"}
        assert len(followed.findings) == 1

    following(OWN, a_peer("a", "192.0.2.1"), a_peer("b", cursed), work=work)


def test_what_fails_beside_any_object_keeps_the_last_plan(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def raising(*_: Any) -> None:
        raise ZeroDivisionError("everywhere")

    async def work(followed: Followed) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(peer_checks.PeerChecks, "check_addresses", raising)
            await followed.put(a_peer("a", "192.0.2.1"))
            await followed.put(a_peer("b", "192.0.2.2"))
            assert followed.addresses == {"192.0.2.9"}
            (line,) = followed.border.warnings()
            assert (
                line
                == "the plan keeps its previous state: ZeroDivisionError: everywhere"
            )
            assert followed.border.counts["the plan"] == 2
        await followed.put(a_peer("c", "192.0.2.3"))
        assert followed.addresses == {f"192.0.2.{n}" for n in (1, 2, 3, 9)}
        assert not followed.border.warnings()

    following(OWN, a_peer("z", "192.0.2.9"), work=work)
    assert caplog.text.count("the plan keeps its previous state") == 1
