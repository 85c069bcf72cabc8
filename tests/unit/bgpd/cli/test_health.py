"""``pybgpd health`` against sockets that answer as BIRD does."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bgpd.cli import health
from bgpd.cli.daemon import main

GREETING = "0001 BIRD v0.3.3+birdv1.6.8 ready.\n"
STATUS = f"{GREETING}1000-BIRD v0.3.3\n1011-Router ID is 10.0.0.1\n0013 Daemon is up\n"
RECOVERY = f"{GREETING}1000-BIRD v0.3.3\n0024-Graceful restart recovery\n0013 Daemon\n"
HEADINGS = f"{GREETING}2002-name proto table state since info\n"
UP = "1002-Mesh_10_0_0_2 BGP master up 10:12:13 Established\n"
DOWN = " Node_10_0_0_3 BGP master start 10:12:13 Connect\n"
DOWN_6 = "1002-Mesh_fd00__2 BGP master start 10:12:13 Active\n"


class Bird:
    """Answers ``show protocols`` and ``show status`` in a thread, one client at a time."""

    def __init__(self, path: Path, protocols: str, status: str = STATUS) -> None:
        self._answers = {b"show protocols\n": protocols, b"show status\n": status}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client:
                command = client.recv(100)
                if not command:
                    return
                client.sendall(self._answers[command].encode())

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            last.connect(self._listener.getsockname())
            last.shutdown(socket.SHUT_WR)
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "nodename").write_text("node-1", encoding="utf-8")
    yield tmp_path
    for bird in birds:
        bird.close()
    birds.clear()


birds: list[Bird] = []


def a_bird(folder: Path, protocols: str, status: str = STATUS, name: str = "") -> None:
    birds.append(Bird(folder / f"{name or 'bird'}.ctl", protocols, status))


def age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(folder / "nodename", (then, then))


def probe(folder: Path, *arguments: str) -> Result:
    where = ("--socket-dir", folder, "--nodename-file", folder / "nodename")
    return CliRunner().invoke(main, ["health", *arguments, *map(str, where)])


def test_a_young_node_is_ready_when_all_sessions_are_up(folder: Path) -> None:
    a_bird(folder, f"{HEADINGS}{UP}{DOWN}0000\n")
    found = probe(folder, "--bird-ready")
    assert found.exit_code == 1
    assert found.output == (
        "calico/node is not ready: BIRD is not ready: "
        "BGP not established with 10.0.0.3\n"
    )


def test_an_older_node_is_ready_with_one_session(folder: Path) -> None:
    a_bird(folder, f"{HEADINGS}{UP}{DOWN}0000\n", RECOVERY)
    age(folder, 31)
    found = probe(folder, "--bird-ready")
    assert (found.exit_code, found.output) == (0, "")
    assert probe(folder, "--bird-ready", "--threshold-time", "1m").exit_code == 1


def test_a_young_node_waits_for_the_end_of_a_graceful_restart(folder: Path) -> None:
    a_bird(folder, f"{HEADINGS}{UP}0000\n", RECOVERY)
    found = probe(folder, "--bird-ready")
    assert found.exit_code == 1
    assert "BIRD is not ready: graceful restart in progress" in found.output


def test_without_peers_it_is_ready(folder: Path) -> None:
    a_bird(folder, f"{HEADINGS}0000\n", RECOVERY)
    assert probe(folder, "--bird-ready").exit_code == 0


def test_each_family_has_its_socket(folder: Path) -> None:
    a_bird(folder, f"{HEADINGS}{UP}0000\n")
    a_bird(folder, f"{HEADINGS}{DOWN_6}0000\n", name="bird6")
    assert probe(folder, "--bird-ready").exit_code == 0
    found = probe(folder, "--bird-ready", "--bird6-ready")
    assert found.exit_code == 1
    assert "BIRD6 is not ready: BGP not established with fd00::2" in found.output


def test_a_node_that_never_started_is_not_ready(folder: Path) -> None:
    (folder / "nodename").unlink()
    found = probe(folder, "--bird-ready")
    assert found.exit_code == 1
    assert "failed to stat() nodename file: No such file" in found.output


@pytest.mark.parametrize("flag", ["--bird-ready", "--bird-live"])
def test_a_socket_without_a_listener_is_reported(folder: Path, flag: str) -> None:
    found = probe(folder, flag)
    assert found.exit_code == 1
    assert found.output.startswith("calico/node is not ready: ")
    assert "No such file" in found.output


def test_strange_words_are_shown(folder: Path) -> None:
    a_bird(folder, "HTTP/1.1 400 Bad Request\n", "HTTP/1.1 400 Bad Request\n")
    found = probe(folder, "--bird-ready")
    assert "unexpected output line from BIRD: 'HTTP/1.1 400" in found.output
    found = probe(folder, "--bird-live")
    assert found.exit_code == 1
    assert "bad response from bird: HTTP/1.1 400" in found.output


def test_a_daemon_that_answers_is_alive(folder: Path) -> None:
    a_bird(folder, f"{HEADINGS}0000\n")
    assert probe(folder, "--bird-live").exit_code == 0


def test_a_service_that_is_not_there_is_not_alive(folder: Path) -> None:
    a_bird(folder, f"{HEADINGS}0000\n")
    around = health.Surroundings((folder,), folder / "nodename", folder)
    with pytest.raises(health.NotHealthyError, match=r"bird/confd is not live: "):
        health.check_live(health.IPV4, around)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "must specify at least one of --bird-ready"),
        (("--bird-ready", "--threshold-time", "30"), "'30' is not a duration"),
        (("--bird-ready", "--threshold-time", "soon"), "'soon' is not a duration"),
    ],
)
def test_wrong_usage_is_an_error(
    folder: Path, arguments: tuple[str, ...], text: str
) -> None:
    found = probe(folder, *arguments)
    assert found.exit_code == 2
    assert text in found.output
