"""A hostile peer of a whole daemon: ``pybgpctl show errors`` has its UPDATEs, and so has tshark."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from bgpd.wire.framing import MessageType, encode_message
from tests.support.daemons import Daemon, write_yaml
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import own_network, run_on, some_nlris, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("tshark") is None, reason="tshark is not installed"
    ),
]

ASN: Final = 64512
PORT: Final = 17916


def pybgpctl(daemon: Daemon, *words: str) -> str:
    command = [sys.executable, "-m", "bgpd.cli.control", "--control", daemon.control]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def bad_origin() -> bytes:
    good = an_update(some_nlris(1))
    return good.replace(b"\x40\x01\x01\x00", b"\x40\x01\x01\x07")


async def attack(daemon: Daemon, network: str) -> None:
    """One peer sends one malformed UPDATE, another floods; then the first is reset."""
    async with (
        ScriptedPeer(f"{network}.8", f"{network}.1", PORT) as quiet,
        ScriptedPeer(f"{network}.9", f"{network}.1", PORT) as loud,
    ):
        for peer in (quiet, loud):
            await peer.establish_silently(
                an_open(ASN, router_id=f"10.0.0.{90 + (peer is loud)}")
            )
        quiet.send(bad_origin())
        await until(lambda: daemon.ask("show-errors"))
        loud.send(bad_origin() * 300)

        def is_full() -> bool:
            return len(daemon.ask("show-errors", peer=f"{network}.9")) == 7

        await until(is_full)
        quiet.send(encode_message(MessageType.UPDATE, b"\xff\xff\0\0"))
        await quiet.ending()


def test_what_a_peer_sent_is_shown_and_written(tmp_path: Path) -> None:
    network = own_network()
    content = {
        "bgp": {
            "as": ASN,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [f"{network}.1"], "port": PORT},
        },
        "ranges": [{"prefix": f"{network}.0/24", "as": ASN, "client": True}],
        "control": {"path": str(tmp_path / "control.sock")},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "journal": {"max_malformed_updates": 8},
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        daemon.until_logged("started: router id")
        assert pybgpctl(daemon, "show", "errors", "--hex") == ""
        run_on(asyncio.new_event_loop, attack(daemon, network))

        rows: list[dict[str, Any]] = json.loads(
            pybgpctl(daemon, "show", "errors", "-o", "json")
        )
        assert len(rows) == 8
        quiet = [row for row in rows if row["address"] == f"{network}.8"]
        assert [row["remedy"] for row in quiet] == [
            "treat-as-withdraw",
            "session-reset",
        ]
        assert quiet[1]["notification"] == "3/1"
        table = pybgpctl(daemon, "show", "errors", f"{network}.8")
        assert "ORIGIN" in table
        assert "session-reset" in table
        text = pybgpctl(daemon, "show", "errors", f"{network}.8", "--hex")
        assert "0000  ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff" in text
        assert bad_origin()[16:32].hex(" ") in text

        written = tmp_path / "errors.pcap"
        pybgpctl(daemon, "show", "errors", "--write", str(written))
        assert "Traceback" not in daemon.log()
    command = ["tshark", "-r", str(written), "-d", f"tcp.port=={PORT},bgp"]
    command += [
        "-Y",
        "bgp.type == 2",
        "-T",
        "json",
        "-e",
        "ip.src",
        "-e",
        "tcp.srcport",
    ]
    command += ["-e", "bgp.update.path_attribute.origin", "-e", "frame.time_epoch"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    packets = [each["_source"]["layers"] for each in json.loads(done.stdout)]
    sources = [packet["ip.src"][0] for packet in packets]
    assert sources == [row["address"] for row in rows]
    ports = [packet["tcp.srcport"][0] for packet in packets]
    assert ports == [str(row["remote_port"]) for row in rows]
    origins = [packet.get("bgp.update.path_attribute.origin") for packet in packets]
    assert origins.count(["7"]) == 7
