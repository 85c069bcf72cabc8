"""The API of a whole daemon, asked badly by many, beside a session that must not notice."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from bgpd.api.client import call
from bgpd.api.protocol import ControlError
from bgpd.speaker.captures import MOST_CAPTURES
from bgpd.wire.framing import MessageType
from tests.support.daemons import ROOT, Daemon, write_yaml
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import own_network, run_on, some_nlris

pytestmark = pytest.mark.slow

ASN: Final = 64512
PORT: Final = 17914
API_PORT: Final = 17915
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
SCHEMATHESIS: Final = CACHE / "pybgpd-tests/schemathesis/bin/schemathesis"


@pytest.fixture
def network() -> str:
    return own_network()


@pytest.fixture
def daemon(tmp_path: Path, network: str) -> Iterator[Daemon]:
    content = {
        "bgp": {
            "as": ASN,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [f"{network}.1"], "port": PORT},
        },
        "peers": [{"name": "a", "address": f"{network}.9", "as": ASN, "client": True}],
        "ranges": [{"prefix": f"{network}.0/24", "as": ASN, "client": True}],
        "control": {"path": str(tmp_path / "control.sock")},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "api": {"listen": f"{network}.1:{API_PORT}", "loopback": "full"},
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)
    # Few descriptors: clients must not get the last.
    few = ("prlimit", "--nofile=400:400")
    with Daemon(tmp_path, "run", "--config", str(file), prefix=few) as daemon:
        daemon.until_logged("started: router id")
        daemon.until(daemon.peers)
        yield daemon
        assert "Traceback" not in daemon.log()


@pytest.mark.skipif(
    not (SCHEMATHESIS.exists() or os.environ.get("CI")),
    reason="schemathesis is not there: .ci/schemathesis",
)
def test_no_generated_request_finds_a_fault(daemon: Daemon, network: str) -> None:
    where = f"http://{network}.1:{API_PORT}"
    found = subprocess.run(
        [
            str(SCHEMATHESIS),
            "--no-color",
            "run",
            f"{where}/api/v1/openapi.json",
            "--url",
            where,
            "--exclude-path=/api/v1/shutdown",
            "--exclude-path-regex=events|capture",  # they have no end
            # A text that the schema allows may be no prefix and name no peer.
            "--exclude-checks=positive_data_acceptance",
            "--phases=coverage,fuzzing",
            "--max-examples=2",
            "--seed=1",
            "--no-shrink",
            "--continue-on-failure",
            "--suppress-health-check=all",
        ],
        cwd=daemon.log_file.parent,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    assert "not enough data" not in found.stdout
    assert [row["name"] for row in daemon.ask("show-peers")] == ["a"]


def test_a_capture_ends_with_its_client(daemon: Daemon) -> None:
    with ExitStack() as clients:

        def begins() -> bool:
            rows = call(daemon.control, "capture", {"peer": ["a"]})
            clients.callback(rows.close)  # type: ignore[attr-defined]
            try:
                (first,) = next(rows)
            except ControlError as error:
                if error.code != "too-many-captures":
                    raise
                return False
            assert isinstance(first, dict)
            assert first["event"] == "began"
            return True

        for _ in range(2):
            for _ in range(MOST_CAPTURES):
                daemon.until(begins)
            assert not begins()
            clients.close()


REQUEST: Final = b"GET /api/v1/peers HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
BAD: Final = (
    b"",
    REQUEST[:20],
    b"\x16\x03\x01\x02\x00\x01",
    b"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n",
    b"GET /api/v1/routes HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"X" * 100_000,
)


def connected(where: str | tuple[str, int], octets: bytes) -> socket.socket | None:
    """Connect, and send what may stop half-way."""
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.connect(where)
        sock.send(octets)
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        return None
    return sock


def test_bad_clients_of_every_kind_cost_a_session_nothing(
    daemon: Daemon, network: str
) -> None:
    tcp = (f"{network}.1", API_PORT)
    nlris = some_nlris(2000)

    async def scenario() -> None:
        first = ScriptedPeer(f"{network}.11", f"{network}.1", PORT)
        second = ScriptedPeer(f"{network}.12", f"{network}.1", PORT)
        async with first, second:
            await first.establish(an_open(ASN, "10.0.0.11"))
            await second.establish(an_open(ASN, "10.0.0.12"))
            held = [
                connected(where, octets)
                for _ in range(60)
                for octets in BAD
                for where in (daemon.control, tcp)
            ]
            seen = b""
            for at in range(0, len(nlris), 200):
                first.send(an_update(nlris[at : at + 200]))
                while not all(nlri in seen for nlri in nlris[at : at + 200]):
                    seen += await second.expect(MessageType.UPDATE)
            # A session that begins now gets a descriptor though clients took all that are for them.
            third = ScriptedPeer(f"{network}.13", f"{network}.1", PORT)
            async with third:
                await third.establish(an_open(ASN, "10.0.0.13"))
            for sock in held:
                if sock is not None:
                    sock.close()

    run_on(asyncio.new_event_loop, scenario())
    daemon.until(daemon.peers)
    rows = daemon.ask("show-peers")
    assert sum(row["flaps"] for row in rows) == 0


def test_both_ways_in_give_the_same_answers(daemon: Daemon, network: str) -> None:
    async def get(connector: aiohttp.BaseConnector, url: str, path: str) -> Any:
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.get(f"{url}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def scenario() -> None:
        for path in ("/api/v1/peers", "/api/v1/groups", "/api/v1/openapi.json", "/x"):
            ways = [
                await get(aiohttp.UnixConnector(daemon.control), "http://x", path),
                await get(
                    aiohttp.TCPConnector(), f"http://{network}.1:{API_PORT}", path
                ),
            ]
            assert ways[0] == ways[1]
            assert json.loads(ways[0][1]) is not None
        for path in ("/metrics", "/healthz", "/readyz"):
            status, text = await get(
                aiohttp.TCPConnector(), f"http://{network}.1:{API_PORT}", path
            )
            assert status == 200
            assert text

    asyncio.run(scenario())


def test_pybgpctl_comes_by_url(daemon: Daemon, network: str) -> None:
    found = subprocess.run(
        [
            *(sys.executable, "-m", "bgpd.cli.control", "--url"),
            *(f"http://{network}.1:{API_PORT}", "show", "peers", "-o", "jsonl"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(found.stdout)["name"] == "a"


def test_an_api_that_cannot_be_served_is_tried_again(
    tmp_path: Path, network: str
) -> None:
    cert, key, token = (tmp_path / name for name in ("tls.pem", "tls.key", "token"))
    content = {
        "bgp": {
            "as": ASN,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [f"{network}.1"], "port": PORT},
        },
        "control": {"path": str(tmp_path / "control.sock")},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "api": {
            "listen": f"{network}.1:{API_PORT}",
            "cert_file": str(cert),
            "key_file": str(key),
            "read_token_file": str(token),
            "loopback": "none",
        },
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)
    ask = [
        *(sys.executable, "-m", "bgpd.cli.control"),
        *("--url", f"https://{network}.1:{API_PORT}"),
        *("--token-file", str(token), "--ca-file", str(cert), "show", "status"),
    ]

    with Daemon(tmp_path, "run", "--config", str(file)) as started:

        def warnings() -> str:
            rows = started.ask("show-status")
            return "\n".join(line for row in rows for line in row["warnings"])

        started.until(lambda: "cannot serve the API" in warnings())
        assert "No such file" in warnings()
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=x"),
                *("-addext", f"subjectAltName=IP:{network}.1"),
                *("-keyout", str(key), "-out", str(cert)),
            ],
            check=True,
            capture_output=True,
        )
        started.until(lambda: "cannot serve the API" not in warnings())
        started.until(lambda: f"token {token}" in warnings())  # it is not there yet
        token.write_text("0123456789abcdef0123\n")
        started.until(lambda: f"token {token}" not in warnings())
        found = subprocess.run(
            ask, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
        )
        assert "router id" in found.stdout, found.stderr
        assert "Traceback" not in started.log()
