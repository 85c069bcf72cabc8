"""Each UPDATE that a remedy of RFC 7606 touched can be shown, octets included."""

from typing import Any

import pytest

from bgpd.api.protocol import ControlError
from bgpd.show.commands import handlers
from bgpd.show.state import DaemonView
from bgpd.wire.framing import MessageType, encode_message
from rib.attributes import make_attributes, parse_as_path
from rib.nlri import parse_address
from tests.support.answer_forms import check_answer
from tests.support.scripted_peer import (
    ScriptedPeer,
    a_withdrawal,
    an_open,
    an_update,
)
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import ASN, PORT, Node, a_lone_node, some_nlris

(NLRI,) = some_nlris(1)


def shown(node: Node, **arguments: Any) -> list[dict[str, Any]]:
    view = DaemonView(node.speaker, node.speaker.loop.time())
    answer: Any = handlers(view)["show-errors"](arguments)
    rows = [row for row in answer if row is not None]
    check_answer("show-errors", rows)
    return rows


def with_block(block: bytes, nlri: bytes = NLRI) -> bytes:
    body = b"\0\0" + len(block).to_bytes(2) + block + nlri
    return encode_message(MessageType.UPDATE, body)


SOUND = make_attributes(
    next_hop=parse_address("10.9.9.9"), as_path=parse_as_path(""), local_pref=100
).octets
CASES = {
    "attribute discard": (
        with_block(SOUND + b"\xc0\x07\x01\x00"),  # AGGREGATOR of one octet
        ("attribute-discard", "AGGREGATOR", None),
    ),
    "treat as withdraw": (
        with_block(SOUND.replace(b"\x40\x01\x01\x00", b"\x40\x01\x01\x07")),
        ("treat-as-withdraw", "ORIGIN", None),
    ),
    "missing attribute": (
        with_block(b"\x40\x01\x01\x00"),
        ("treat-as-withdraw", "AS_PATH", None),
    ),
    "reset by a next hop": (
        with_block(SOUND + b"\x80\x0e\x05\0\1\1\0\0"),
        ("session-reset", "MP_REACH_NLRI", "3/9"),
    ),
    "reset by a prefix": (
        a_withdrawal(bytes([33, 1, 2, 3, 4, 5])),
        ("session-reset", None, "3/10"),
    ),
    "reset by lengths": (
        encode_message(MessageType.UPDATE, b"\xff\xff\0\0"),
        ("session-reset", None, "3/1"),
    ),
}


@pytest.mark.parametrize(("octets", "expected"), CASES.values(), ids=CASES)
@on_virtual_time
async def test_each_remedy_leaves_the_update_as_it_came(
    octets: bytes, expected: tuple[object, ...]
) -> None:
    async with a_lone_node() as (node, address):
        node.speaker.context.malformed_updates.set_limits(10, 10_000)
        async with ScriptedPeer(address, node.addr, PORT) as peer:
            await peer.establish(an_open(ASN))
            # What stands around it is sound, and one read has all of it.
            peer.send(an_update(some_nlris(2)) + octets + an_update(some_nlris(3)))
            await advance(1)
            rows = shown(node)
            assert len(rows) == 1
            (row,) = rows
            assert row["octets"] == octets.hex()
            assert row["length"] == len(octets)
            found = row["remedy"], row["attribute"], row["notification"]
            assert found == expected
            assert {**row["problems"][0], "remedy": 0}.keys() <= row.keys()
            assert (row["local_address"], row["local_port"]) == (node.addr, PORT)
            assert row["address"] == address
            assert row["remote_port"] > 1024
            assert not row["is_outgoing"]
            stays = expected[0] != "session-reset"
            assert node.is_up(address) is stays
        await advance(1)
        assert shown(node) == rows  # the peer is gone, the evidence is not
        assert shown(node, peer=address) == rows


@on_virtual_time
async def test_the_newest_of_one_peer_can_be_chosen() -> None:
    async with a_lone_node() as (node, address):
        node.speaker.context.malformed_updates.set_limits(10, 10_000)
        async with ScriptedPeer(address, node.addr, PORT) as peer:
            await peer.establish(an_open(ASN))
            for case in ("treat as withdraw", "missing attribute"):
                peer.send(CASES[case][0])
                await advance(1)
            first, second = shown(node)
            assert second["id"] == first["id"] + 1
            assert shown(node, limit=1) == [second]
            assert shown(node, peer=address, limit=5) == [first, second]
            with pytest.raises(ControlError) as refused:
                shown(node, peer="10.99.0.1")
            assert refused.value.code == "no-such-peer"
            node.speaker.context.malformed_updates.set_limits(0, 0)
            with pytest.raises(ControlError) as refused:
                shown(node)
            assert refused.value.code == "errors-off"
