"""A daemon's JSON log with peers that say odd things: each line is an object with its fields."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from bgpd.wire.framing import MessageType, encode_message
from tests.support.daemons import Daemon, write_yaml
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import own_network, run_on, some_nlris

pytestmark = pytest.mark.slow
ASN, PORT = 64512, 17915
PATIENCE = 60.0  # seconds, on a machine with other work
BAD = encode_message(  # ORIGIN of three octets: RFC 7606 says withdraw
    MessageType.UPDATE,
    b"\0\0\0\x06\x40\x01\x03\0\0\0" + b"\x18\x0a\0\0",
)
FLOOD = 5_000
SAID = b'a "quote"\r\n\x1b[31m\xff\xfe \xe2\x80\xa8 \xc2\x85 \xed\xa0\x80 \\ end'
SHOWN = 'a "quote"'
LIMIT = 3


def lines_of(daemon: Daemon) -> list[dict[str, Any]]:
    """Return what each line of the log holds; each must be an object by itself."""
    octets = daemon.log_file.read_bytes()
    text = octets.decode()  # valid UTF-8
    whole = text[: text.rfind("\n") + 1]
    assert whole.splitlines() == whole.split("\n")[:-1], "no other line breaks"
    return [json.loads(line) for line in whole.split("\n")[:-1]]


def found(daemon: Daemon, event: str, **fields: object) -> list[dict[str, Any]]:
    """Return the lines about an event with these fields."""
    return [
        line
        for line in lines_of(daemon)
        if line.get("event") == event
        and all(line.get(name) == value for name, value in fields.items())
    ]


async def _session(network: str, daemon: Daemon) -> None:
    """Come up, flood the log with bad UPDATEs, and leave with a text that is not UTF-8."""
    async with ScriptedPeer(f"{network}.11", f"{network}.1", PORT) as peer:
        odd_name = "evil\n\x1b[2J\u2028name"
        await peer.establish(an_open(ASN, "10.0.0.11", hostname=odd_name))
        peer.send(BAD * FLOOD)
        peer.send(an_update(some_nlris(1)))
        text = bytes((6, 2, len(SAID))) + SAID
        peer.send(encode_message(MessageType.NOTIFICATION, text))
        await asyncio.to_thread(
            daemon.until, lambda: found(daemon, "session-down"), PATIENCE
        )


async def _too_many(network: str) -> None:
    """Announce more prefixes than the limit allows."""
    async with ScriptedPeer(f"{network}.12", f"{network}.1", PORT) as peer:
        await peer.establish(an_open(ASN, "10.0.0.12"))
        peer.send(an_update(some_nlris(LIMIT + 1)))
        ending = await peer.ending(PATIENCE)
        assert ending is not None
        assert (ending.code, ending.subcode) == (6, 1)


def test_every_line_says_what_it_is_about(tmp_path: Path) -> None:
    network = own_network()
    first, second = f"{network}.11", f"{network}.12"
    family = {"name": "ipv4-unicast", "max_prefixes": LIMIT}
    peers = [
        {"name": name, "address": address, "as": ASN, "passive": True}
        | {"families": [family]}
        for name, address in (('first "\u00fc"', first), ("second", second))
    ]
    config = {
        "bgp": {
            "as": ASN,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [f"{network}.1"], "port": PORT},
        },
        "fib": {"mode": "off"},
        "control": {"path": str(tmp_path / "control.sock")},
        "log": {"format": "json"},
        "peers": peers,
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", config)
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        daemon.until_logged('"started"', PATIENCE)
        run_on(asyncio.new_event_loop, _session(network, daemon))
        run_on(asyncio.new_event_loop, _too_many(network))
        daemon.until(lambda: found(daemon, "session-down", peer="second"), PATIENCE)
        config["peers"] = [*peers[:1], peers[1] | {"address": f"{network}.13"}]
        write_yaml(file, config)
        daemon.signal(signal.SIGHUP)
        daemon.until(
            lambda: found(daemon, "peer-changed", address=f"{network}.13"), PATIENCE
        )
        daemon.signal(signal.SIGTERM)
        assert daemon.ended(PATIENCE) == 0
        _check(daemon, first, second, network)


def _check(daemon: Daemon, first: str, second: str, network: str) -> None:
    for line in lines_of(daemon):
        assert {"time", "level", "logger", "message", "event"} <= line.keys(), line
    [started] = found(daemon, "started")
    assert (started["router_id"], started["as"]) == ("10.0.0.1", ASN)
    [listening] = found(daemon, "listening")
    assert (listening["local_address"], listening["port"]) == (f"{network}.1", PORT)
    name = 'first "\u00fc"'
    [up] = found(daemon, "session-up", peer=name)
    assert (up["address"], up["remote_as"], up["hold_time"]) == (first, ASN, 90)
    assert up["families"] == ["ipv4-unicast"]
    assert up["message"].startswith(f"{name} ({first}): established with AS {ASN}")
    [down] = found(daemon, "session-down", peer=name)
    assert (down["cause"], down["code"], down["subcode"]) == (
        "notification-received",
        6,
        2,
    )
    assert (down["level"], down["logger"]) == ("warning", "bgpd.speaker.peer")
    assert SHOWN in down["reason"]
    assert down["message"] == f"{name} ({first}): session down: {down['reason']}"
    why = "ORIGIN: length 3 instead of 1 (RFC 7606 7.1)"
    bad, *later = found(daemon, "malformed-update", peer=name, reason=why)
    assert (bad["remedy"], bad["address"]) == ("treat-as-withdraw", first)
    assert f"malformed UPDATE: {why} (treat-as-withdraw); body" in bad["message"]
    assert bad["body"] == BAD[19:].hex()
    counts = bad["count"] + sum(line["suppressed"] for line in later)
    assert counts == FLOOD, "each is in a line, or in a summary with the same fields"
    assert later, "they came in several reads"
    for line in later:
        assert (line["remedy"], line["body"]) == (bad["remedy"], bad["body"])
        assert line["message"].startswith(f"suppressed {line['suppressed']} similar")
    [limited] = found(daemon, "session-down", peer="second", address=second)
    assert (limited["cause"], limited["code"]) == ("notification-sent", 6)
    assert (limited["subcode"], limited["level"]) == (1, "warning")
    gone, new = found(daemon, "reload-step", kind="peer")
    assert gone["address"] == second
    assert (new["address"], new["peer"]) == (f"{network}.13", "second")
    assert new["message"] == f"reload: {new['step']}"
    assert found(daemon, "peer-changed", kind="peer", address=second)
    near = found(daemon, "prefix-limit", peer="second")
    assert all(line["limit"] == LIMIT for line in near)
