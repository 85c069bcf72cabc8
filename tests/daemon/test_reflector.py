"""``pybgpd reflector`` as a process, from the command line alone."""

import asyncio
import json
import signal
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest

from bgpd.api.client import Remote, call
from bgpd.api.protocol import ControlError
from bgpd.wire.framing import MessageType
from tests.support.daemons import Daemon
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import own_network, run_on, some_nlris

pytestmark = pytest.mark.slow
ASN = 64512
PORT = 17912


def a_reflector(
    folder: Path, network: str, *more: str, prefix: tuple[str, ...] = ()
) -> Daemon:
    arguments = ["reflector", "--listen", f"{network}.1", "--port", str(PORT)]
    arguments += ["--as", str(ASN), "--router-id", "10.0.0.1"]
    arguments += ["--clients", f"{network}.0/24", *more]
    return Daemon(folder, *arguments, prefix=prefix)


def test_it_reflects_between_clients_and_ends_on_sigterm(tmp_path: Path) -> None:
    network = own_network()
    nlris = some_nlris(100)

    async def scenario() -> None:
        first = ScriptedPeer(f"{network}.11", f"{network}.1", PORT)
        second = ScriptedPeer(f"{network}.12", f"{network}.1", PORT)
        async with first, second:
            await first.establish(an_open(ASN, "10.0.0.11"))
            await second.establish(an_open(ASN, "10.0.0.12"))
            first.send(an_update(nlris))
            seen = b""
            while not all(nlri in seen for nlri in nlris):
                seen += await second.expect(MessageType.UPDATE)
            daemon.signal(signal.SIGTERM)
            ending = await second.ending()
            assert ending is not None  # no graceful restart was agreed on
            assert (ending.code, ending.subcode) == (6, 2)

    control = ("--control", str(tmp_path / "control.sock"))
    with a_reflector(tmp_path, network, *control) as daemon:
        daemon.until_logged("started")
        run_on(asyncio.new_event_loop, scenario())
        assert daemon.ended() == 0
        assert "Traceback" not in daemon.log()


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    network = own_network()
    with socket.socket() as holder:
        holder.bind((f"{network}.1", PORT))
        holder.listen()
        with a_reflector(tmp_path, network) as daemon:
            assert daemon.ended() == 1
            assert "another program uses this port" in daemon.log()
            assert "Traceback" not in daemon.log()


@pytest.mark.root
def test_without_the_capability_the_error_names_the_way_out(tmp_path: Path) -> None:
    without = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    with a_reflector(tmp_path, own_network(), "--fib", "on", prefix=without) as daemon:
        assert daemon.ended() == 1
        assert "CAP_NET_ADMIN" in daemon.log()
        assert "--fib off" in daemon.log()
        assert "Traceback" not in daemon.log()


def test_it_may_open_more_files_than_the_soft_limit(tmp_path: Path) -> None:
    network = own_network()
    few = ("prlimit", "--nofile=64:4096")
    with a_reflector(tmp_path, network, prefix=few) as daemon:
        daemon.until_logged("started")
        limits = Path(f"/proc/{daemon.process.pid}/limits").read_text(encoding="utf-8")
        (line,) = [row for row in limits.splitlines() if row.startswith("Max open")]
        assert line.split()[3:5] == ["4096", "4096"]


def test_a_second_daemon_ends_before_it_touches_what_is_the_first_one_s(
    tmp_path: Path,
) -> None:
    network, control = own_network(), str(tmp_path / "control.sock")
    mark = tmp_path / "control.ran"
    first = a_reflector(tmp_path, network, "--control", control)
    (tmp_path / "second").mkdir()
    second = a_reflector(tmp_path / "second", own_network(), "--control", control)
    with first:
        first.until_logged("started")
        before = mark.read_text(), mark.stat().st_mtime_ns, mark.stat().st_ino
        with second:
            assert second.ended() == 1
        assert "another daemon uses it" in second.log()
        assert "listening" not in second.log()
        assert "Traceback" not in second.log()
        now = mark.read_text(), mark.stat().st_mtime_ns, mark.stat().st_ino
        assert now == before
        assert first.ask("show-status")
        first.process.kill()
        first.ended()
    with a_reflector(tmp_path, network, "--control", control) as again:
        again.until(lambda: again.log().count("started") == 2)


def test_its_metrics_api_and_log_are_those_of_a_file(tmp_path: Path) -> None:
    network = own_network()
    place, servers = f"{network}.1", []
    for option in ("--metrics", "--api"):
        with socket.socket() as sock:
            sock.bind((place, 0))
            servers += [option, f"{place}:{sock.getsockname()[1]}"]
    with a_reflector(tmp_path, network, *servers, "--log-format", "json") as daemon:
        daemon.until_logged('"event": "started"')
        lines = [json.loads(line) for line in daemon.log().splitlines()]
        assert {"event", "message"} <= lines[-1].keys()
        with urlopen(f"http://{servers[1]}/metrics", timeout=10) as answer:
            assert b"pybgpd_info" in answer.read()
        (status,) = call(Remote(f"http://{servers[3]}"), "show-status")
        assert status["router_id"] == "10.0.0.1"  # type: ignore[call-overload]  # one object
        with pytest.raises(ControlError, match="full rights"):
            list(call(Remote(f"http://{servers[3]}"), "shutdown", {}))
