"""The messages that systemd gets, on real datagram sockets."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpd.daemon.sd_notify import ServiceManager, of_this_process


@pytest.fixture(params=["path", "abstract"])
def manager_socket(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify")
    if request.param == "abstract":
        name = f"@pybgpd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        sock.settimeout(10)
        yield sock, name


def test_words_arrive(manager_socket: tuple[socket.socket, str]) -> None:
    sock, name = manager_socket
    manager = ServiceManager.of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"}, 1)
    manager.tell(READY=1, STATUS="3 of 4 sessions established")
    assert sock.recv(1000) == b"READY=1\nSTATUS=3 of 4 sessions established"
    assert manager.watchdog == 30.0
    manager.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "many"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "99"},
    ],
)
def test_without_a_manager_nothing_is_sent(environment: dict[str, str]) -> None:
    manager = ServiceManager.of(environment, 1)
    manager.tell(READY=1)
    assert (manager.is_there, manager.watchdog) == (False, 0.0)


def test_a_manager_that_is_gone_or_full_is_not_an_error(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    manager = ServiceManager(name)
    manager.tell(READY=1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        for _ in range(1000):
            manager.tell(WATCHDOG=1)
        assert sock.recv(100) == b"WATCHDOG=1"
    manager.close()


def test_children_do_not_inherit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@absent")
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    manager = of_this_process()
    assert (manager.is_there, manager.watchdog) == (True, 1.0)
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & os.environ.keys()
