"""What a whole daemon has beside it: processes with BIRD's names, a service manager."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import Daemon, write_yaml
from tests.support.speakers import own_network

pytestmark = pytest.mark.slow
PORT = 17912


def command_line(pid: int) -> list[bytes]:
    """Return a process's words, as ``calicoctl`` reads them; none if it is gone."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return text.removesuffix(b"\0").split(b"\0") if text else []


def children_of(pid: int) -> dict[bytes, int]:
    """Return the children of a process by the first word of their command line."""
    try:
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return {}
    return {
        words[0]: int(each)
        for each in pids.split()
        if (words := command_line(int(each)))
    }


def configuration(folder: Path, **calico: Any) -> Path:
    network = own_network()
    return write_yaml(
        folder / "pybgpd.yaml",
        {
            "node": {"name": "node-1"},
            "calico": calico,
            "bgp": {
                "as": 64512,
                "router_id": "10.0.0.1",
                "listen": {"addresses": [f"{network}.1"], "port": PORT},
            },
            "fib": {"mode": "off"},
            "next_hops": {"resolve": "trust"},
            "control": {"path": str(folder / "control.sock")},
        },
    )


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 15
    while command_line(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


def ignores_hang_up(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (ignored,) = [
        line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")
    ]
    return bool(int(ignored, 16) >> (signal.SIGHUP - 1) & 1)


NAMES = {b"bird", b"bird6"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_names_are_there_while_the_daemon_lives_and_no_longer(
    tmp_path: Path, number: signal.Signals
) -> None:
    file = configuration(tmp_path, process_names=["bird", "bird6"])
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        daemon.until(lambda: children_of(daemon.process.pid).keys() >= NAMES)
        helpers = children_of(daemon.process.pid)
        daemon.until_logged("started")
        daemon.signal(number)
        daemon.ended()
        assert all(gone(pid) for pid in helpers.values())
        assert "Traceback" not in daemon.log()


def test_a_name_comes_back_and_survives_a_hang_up(tmp_path: Path) -> None:
    file = configuration(tmp_path, process_names=["bird", "bird6"])
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        daemon.until(lambda: children_of(daemon.process.pid).keys() >= NAMES)
        before = children_of(daemon.process.pid)
        daemon.until_logged("started")
        daemon.until(lambda: ignores_hang_up(before[b"bird"]))
        os.kill(before[b"bird"], signal.SIGHUP)
        os.kill(before[b"bird6"], signal.SIGKILL)
        daemon.until_logged("process bird6: exited with code -9")
        daemon.until(
            lambda: (
                children_of(daemon.process.pid).get(b"bird6", before[b"bird6"])
                != before[b"bird6"]
            )
        )
        assert children_of(daemon.process.pid)[b"bird"] == before[b"bird"]


def test_without_the_key_there_is_no_process_beside_it(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        daemon.until_logged("started")
        assert children_of(daemon.process.pid) == {}


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(15)
        yield sock


def until_told(manager: socket.socket, word: bytes) -> list[bytes]:
    """Read messages up to one that begins with ``word``; return all."""
    told: list[bytes] = []
    while not told or not told[-1].startswith(word):
        told.append(manager.recv(1000))
    return told


def test_a_service_manager_hears_of_start_life_and_end(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    file = configuration(tmp_path)
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        until_told(manager, b"READY=1\nSTATUS=0 of 0 sessions established")
        for _ in range(3):
            assert manager.recv(1000).startswith(b"WATCHDOG=1\nSTATUS=")
        daemon.signal(signal.SIGTERM)
        until_told(manager, b"STOPPING=1")
        assert daemon.ended() == 0


def test_a_daemon_that_waits_is_alive_and_not_ready(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    (tmp_path / "store").mkdir()
    content = {
        "node": {"name": "node-1"},
        "datastore": {"type": "folder", "path": str(tmp_path / "store")},
        "fib": {"mode": "off"},
        "control": {"path": ""},
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        told = [manager.recv(1000) for _ in range(3)]
        assert told[0].endswith(b"STATUS=starting")
        assert not any(each.startswith(b"READY") for each in told)
        daemon.signal(signal.SIGTERM)
        until_told(manager, b"STOPPING=1")
        assert daemon.ended() == 0


def test_a_daemon_whose_loop_hangs_feeds_no_watchdog(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    file = configuration(tmp_path)
    with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
        until_told(manager, b"READY=1")
        daemon.signal(signal.SIGSTOP)
        manager.settimeout(2)
        with pytest.raises(TimeoutError):
            until_told(manager, b"nothing begins like this")
        daemon.signal(signal.SIGCONT)
        manager.settimeout(15)
        assert manager.recv(1000).startswith(b"WATCHDOG=1")
