"""systemd listens for the daemon, and hands its sockets over."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bgpd.daemon.inherited_sockets import take_inherited
from tests.support.daemons import ROOT, Daemon, write_yaml
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.speakers import own_network, run_on

ACTIVATE = shutil.which("systemd-socket-activate")
PORT = 17936


def configuration(folder: Path, network: str) -> Path:
    return write_yaml(
        folder / "pybgpd.yaml",
        {
            "bgp": {
                "as": 64512,
                "router_id": "10.0.0.1",
                "listen": {"addresses": [f"{network}.1"], "port": PORT},
            },
            "fib": {"mode": "off"},
            "next_hops": {"resolve": "trust"},
            "control": {"path": str(folder / "control.sock")},
            "ranges": [{"prefix": f"{network}.0/24", "as": 64512, "client": True}],
        },
    )


@pytest.mark.slow
@pytest.mark.skipif(ACTIVATE is None, reason="needs systemd-socket-activate (systemd)")
def test_a_peer_that_connects_before_the_start_is_served(tmp_path: Path) -> None:
    network = own_network()
    file = configuration(tmp_path, network)
    other = f"{network}.9:{PORT}"
    options = [f"--listen={network}.1:{PORT}", f"--listen={other}"]
    daemon = Daemon(
        tmp_path, "run", "--config", str(file), prefix=[str(ACTIVATE), *options]
    )

    async def scenario() -> None:
        # The first attempt starts the daemon, and is the one that it accepts.
        async with ScriptedPeer(f"{network}.11", f"{network}.1", PORT) as peer:
            await peer.establish(an_open(64512, "10.0.0.11"))
            await asyncio.to_thread(
                daemon.until, lambda: daemon.are_up(f"{network}.11")
            )
            daemon.signal(signal.SIGTERM)

    with daemon:
        daemon.until_logged("Listening on")
        run_on(asyncio.new_event_loop, scenario())
        assert daemon.ended() == 0
        assert "Traceback" not in daemon.log()
        assert "cannot listen" not in daemon.log()
        unused = f"the socket unit listens on {network}.9 port {PORT}, which bgp.listen"
        assert unused in daemon.log()


@pytest.mark.slow
@pytest.mark.skipif(ACTIVATE is None, reason="needs systemd-socket-activate (systemd)")
def test_the_control_socket_may_be_systemds_and_stays(tmp_path: Path) -> None:
    file = configuration(tmp_path, own_network())
    path = tmp_path / "control.sock"
    daemon = Daemon(
        tmp_path,
        "run",
        "--config",
        str(file),
        prefix=[str(ACTIVATE), f"--listen={path}"],
    )
    with daemon:
        daemon.until_logged("Listening on")
        (status,) = daemon.ask("show-status")  # which starts the daemon
        assert status["router_id"] == "10.0.0.1"
        daemon.signal(signal.SIGTERM)
        assert daemon.ended() == 0
        assert "Traceback" not in daemon.log()
        assert path.is_socket()  # of systemd, which may start the daemon again


@pytest.mark.slow
@pytest.mark.skipif(ACTIVATE is None, reason="needs systemd-socket-activate (systemd)")
def test_a_socket_at_another_path_ends_the_start_for_good(tmp_path: Path) -> None:
    file = configuration(tmp_path, own_network())
    other = tmp_path / "other.sock"
    daemon = Daemon(
        tmp_path,
        "run",
        "--config",
        str(file),
        prefix=[str(ACTIVATE), f"--listen={other}"],
    )
    with daemon, socket.socket(socket.AF_UNIX) as client:
        daemon.until_logged("Listening on")
        client.connect(str(other))
        assert daemon.ended() == 78
        assert (
            f"pybgpd: the socket unit listens at {other}, and control.path is "
            f"{tmp_path / 'control.sock'}\n"
        ) in daemon.log()


# Makes a socket, puts it where systemd puts one, and takes it.
CHILD = """
import os, socket, sys
from bgpd.daemon.errors import MisconfigurationError
from bgpd.daemon.inherited_sockets import take_inherited
family, kind, address, listens, both = eval(sys.argv[1])
made = socket.socket(family, kind)
if family == socket.AF_INET6:
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
made.bind(address)
if listens:
    made.listen()
descriptor = made.detach()
if descriptor != 3:
    os.dup2(descriptor, 3)
os.set_inheritable(3, True)
environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
try:
    found = take_inherited(environment)
    ((place, sock),) = {**found.bgp, **found.unix}.items()
except MisconfigurationError as error:
    print(error)
else:
    print(place[0], environment, sock.getblocking(), os.get_inheritable(3))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), True, False),
            "127.0.0.1 {} False False",
        ),
        (
            (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0), True, False),
            "::1 {} False False",
        ),
        (
            (socket.AF_INET6, socket.SOCK_STREAM, ("::", 0), True, True),
            "takes IPv4 as well; expected BindIPv6Only=ipv6-only",
        ),
        (
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0), False, False),
            "descriptor 3 of the socket unit: ",
        ),
        (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), False, False),
            "expected a socket that listens: ListenStream=ADDRESS:PORT or ListenStream=PATH",
        ),
        (
            (socket.AF_UNIX, socket.SOCK_STREAM, "\0of-the-test", True, False),
            "ListenStream=PATH, and Accept=no",
        ),
    ],
)
def test_a_socket_that_cannot_serve_is_an_error(
    given: tuple[object, ...], expected: str
) -> None:
    plain = tuple(int(each) if isinstance(each, int) else each for each in given)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, repr(plain)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert expected in done.stdout, done.stderr


def test_descriptors_of_another_process_are_left_alone() -> None:
    environment = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "2", "HOME": "/"}
    assert take_inherited(environment) == ({}, {})
    assert environment == {"HOME": "/"}


@pytest.mark.slow
def test_a_file_in_place_of_a_socket_ends_the_start_for_good(tmp_path: Path) -> None:
    file = configuration(tmp_path, own_network())
    script = (
        "import os, sys; os.dup2(0, 3); os.set_inheritable(3, True)\n"
        "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'bgpd.cli.daemon', *sys.argv[1:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run", "--config", str(file)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        78,
        (
            "pybgpd: descriptor 3 of the socket unit: Socket operation on non-socket; "
            "expected a socket\n"
        ),
    )
