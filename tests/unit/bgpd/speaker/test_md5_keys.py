"""A peer's MD5 key changes on both sides, in either order, while the session stands."""

from dataclasses import replace

import pytest

from bgpd.net import key_rollover
from bgpd.net.sockets import set_md5_key
from bgpd.session.fsm import State
from bgpd.session.settings import ChangeCost
from tests.support.simnet import on_virtual_time
from tests.support.speakers import Node, Rack, until


def rekey(node: Node, other: Node, key: str) -> None:
    """Change the key of a peer, or of the range that it came from."""
    peer = node.peer(other)
    if peer.range_name:
        before = node.speaker.neighbours.ranges[peer.range_name]
        template = replace(before.template, password=key)
        node.speaker.neighbours.set_range(replace(before, template=template))
    changed = replace(peer.settings, password=key)
    node.speaker.neighbours.change(changed, ChangeCost.LIVE)


async def a_keyed_pair(rack: Rack, key: str, *, is_range: bool) -> tuple[Node, Node]:
    a, b = await rack.node(1), await rack.node(2)
    if is_range:
        a.accepts(f"{rack.network}.0/24", password=key)
    else:
        a.peers_with(b, password=key)
    b.peers_with(a, password=key)
    await until(lambda: a.is_up(b) and b.is_up(a))
    return a, b


def socket_key(node: Node, other: Node, key: str) -> None:
    """Let a node sign by another key on the connection that stands, as some makers do."""
    connection = node.peer(other).driver.connection
    assert connection is not None
    set_md5_key(connection.sock, other.addr, key)


@pytest.fixture
def quick_rollover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rollover, "LOOK", 0.05)
    monkeypatch.setattr(key_rollover, "ACK_TIMEOUT", 0.3)


keys_changed = pytest.mark.parametrize(
    ("old", "new"), [("old", "new"), ("", "new"), ("old", "")]
)


@keys_changed
@pytest.mark.parametrize("is_range", [False, True], ids=["peer", "range"])
@on_virtual_time
async def test_a_new_md5_key_on_one_side_leaves_the_session_alone(
    is_range: bool,  # noqa: FBT001  # pytest's parameter
    old: str,
    new: str,
) -> None:
    async with Rack() as rack:
        a, b = await a_keyed_pair(rack, old, is_range=is_range)
        rekey(a, b, new)
        a.announce("10.1.0.0/16")
        await until(lambda: "10.1.0.0/16" in b.prefixes())
        b.announce("10.2.0.0/16")
        await until(lambda: "10.2.0.0/16" in a.prefixes())
        assert a.flaps(b) == b.flaps(a) == 0
        connection = a.peer(b).driver.connection
        assert connection is not None
        assert connection.key == old


@pytest.mark.usefixtures("quick_rollover")
@keys_changed
@pytest.mark.parametrize("is_first", [True, False], ids=["ours first", "theirs first"])
@on_virtual_time
async def test_a_connection_follows_a_peer_that_goes_on_by_the_new_md5_key(
    is_first: bool,  # noqa: FBT001  # pytest's parameter
    old: str,
    new: str,
) -> None:
    async with Rack() as rack:
        a, b = await a_keyed_pair(rack, old, is_range=False)
        if is_first:
            rekey(a, b, new)
            a.announce("10.3.0.0/16")
            await until(lambda: "10.3.0.0/16" in b.prefixes())
        socket_key(b, a, new)
        if not is_first:
            rekey(a, b, new)
        a.announce("10.1.0.0/16")
        b.announce("10.2.0.0/16")
        await until(lambda: "10.1.0.0/16" in b.prefixes(), 20)
        await until(lambda: "10.2.0.0/16" in a.prefixes(), 20)
        assert a.flaps(b) == b.flaps(a) == 0
        connection = a.peer(b).driver.connection
        assert connection is not None
        assert connection.key == new


@pytest.mark.parametrize("is_range", [False, True], ids=["peer", "range"])
@on_virtual_time
async def test_a_connection_by_the_new_md5_key_takes_over_one_that_hears_nothing(
    is_range: bool,  # noqa: FBT001  # pytest's parameter
) -> None:
    async with Rack() as rack:
        a, b = await a_keyed_pair(rack, "old", is_range=is_range)
        b.announce("10.2.0.0/16")
        await until(lambda: "10.2.0.0/16" in a.prefixes())
        socket_key(b, a, "wrong")  # what it says at the end is not heard
        b.speaker.neighbours.discard(a.addr)
        rekey(a, b, "new")
        b.peers_with(a, password="new")
        await until(lambda: b.is_up(a), 10)
        assert a.flaps(b) == 1
        await until(lambda: "10.2.0.0/16" in a.prefixes())


@on_virtual_time
async def test_attempts_begin_again_with_the_new_md5_key() -> None:
    async with Rack() as rack:
        a, b = await rack.node(1), await rack.node(2)
        a.peers_with(b, password="old", connect_retry_time=60)
        b.peers_with(a, password="new", connect_retry_time=60)
        await until(lambda: a.speaker.peers[b.addr].state is State.CONNECT)
        rekey(a, b, "new")
        await until(lambda: a.is_up(b) and b.is_up(a), 5)
