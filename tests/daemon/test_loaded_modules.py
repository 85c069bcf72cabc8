"""What real processes load: nothing that another role or another command needs.

Modules are memory for as long as a process runs, and time until its first answer. Python itself
says what it loads (``PYTHONPROFILEIMPORTTIME``).
"""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.daemons import ROOT, Daemon, write_yaml
from tests.support.speakers import own_network

pytestmark = pytest.mark.slow

SAYING: Final = ("env", "PYTHONPROFILEIMPORTTIME=1")
_LOADED: Final = re.compile(r"import time: +\d+ \| +\d+ \| +([\w.]+)")

# A name stands for all below it.
CLIENTS: Final = frozenset({"aiohttp", "google", "grpclib", "h2", "httpx2"})
MODELS: Final = frozenset({"email", "pydantic", "pydantic_core", "yaml"})
DATASTORES: Final = frozenset({"bgpd.calico", *CLIENTS})
# What writes, reads or follows the kernel's table.
KERNEL: Final = frozenset(
    {
        "bgpd.kernel.next_hop_updates",
        "bgpd.kernel.redistribution",
        "bgpd.kernel.route_programmer",
        "fib.kernel",
        "fib.kernel_follower",
        "fib.kernel_view",
        "fib.next_hop_watch",
        "fib.places",
        "fib.tunnel",
    }
)
OTHERS: Final = frozenset({"bgpd.lab", "exabgp", "prometheus_client", "rich"})
# Each is large, and was once loaded for a call that a smaller one does as well.
LARGE: Final = frozenset({"_hashlib", "multiprocessing", "tempfile", "zipfile"})

REFLECTOR: Final = (
    *(DATASTORES | MODELS | KERNEL | OTHERS | LARGE),
    *("bgpd.config.model", "bgpd.datastore", "bgpd.worker.worker", "pickle"),
)
COMMAND: Final = (
    *(DATASTORES | MODELS | LARGE | {"exabgp", "prometheus_client"}),
    *("asyncio", "ctypes", "logging", "pygments", "ssl", "subprocess", "uvloop"),
    *("bgpd.config", "bgpd.daemon", "bgpd.datastore", "bgpd.lab", "bgpd.speaker"),
    *("bgpd.show", "fib", "reflector", "rib"),
    *("bgpd.cli.details", "bgpd.cli.fleet", "bgpd.texts"),
)


def loaded(text: str) -> set[str]:
    """Return the modules that a process said it loaded."""
    found = set(_LOADED.findall(text))
    assert "encodings" in found, "it says what it loads"
    return found


def needless(found: set[str], names: tuple[str, ...]) -> list[str]:
    return sorted(
        module
        for module in found
        if any(module == name or module.startswith(f"{name}.") for name in names)
    )


@pytest.fixture
def reflector(tmp_path: Path) -> Iterator[Daemon]:
    network = own_network()
    arguments = {
        "--listen": f"{network}.1",
        "--port": "1179",
        "--as": "64512",
        "--router-id": "10.0.0.1",
        "--clients": f"{network}.0/24",
    }
    words = [word for pair in arguments.items() for word in pair]
    with Daemon(tmp_path, "reflector", *words, prefix=SAYING) as daemon:
        daemon.until_logged("started: router id")
        yield daemon


def test_a_reflector_loads_what_it_reflects_with(reflector: Daemon) -> None:
    found = loaded(reflector.log())
    assert {"bgpd.daemon.daemon", "bgpd.speaker.speaker"} <= found
    assert needless(found, REFLECTOR) == []


@pytest.fixture
def with_a_file(tmp_path: Path) -> Iterator[Daemon]:
    network = own_network()
    content = {
        "bgp": {
            "as": 64512,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [f"{network}.1"], "port": 1179},
        },
        "peers": [{"name": "a", "address": f"{network}.9", "as": 64512}],
        "control": {"path": str(tmp_path / "control.sock")},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)
    with Daemon(tmp_path, "run", "--config", str(file), prefix=SAYING) as daemon:
        daemon.until_logged("started: router id")
        yield daemon


def test_a_daemon_with_a_file_loads_no_datastore(with_a_file: Daemon) -> None:
    with_a_file.until(with_a_file.peers)
    found = loaded(with_a_file.log())
    assert {"bgpd.daemon.file_watch", "bgpd.speaker.speaker", "aiohttp"} <= found
    needed = {"aiohttp"}  # of the control socket's server
    assert needless(found, (*(DATASTORES - needed), *KERNEL, *OTHERS)) == []


def show_peers(daemon: Daemon, *, is_drawn: bool) -> tuple[str, set[str]]:
    """Return what the command prints, to a terminal or a pipe, and what it loads."""
    leader, follower = pty.openpty() if is_drawn else os.pipe()
    command = [sys.executable, "-m", "bgpd.cli.control", "--control", daemon.control]
    done = subprocess.run(
        [*SAYING, *command, "show", "peers"],
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm"},
        stdout=follower,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=True,
    )
    shown = os.read(leader, 1 << 16).decode()
    os.close(follower)
    os.close(leader)
    return shown, loaded(done.stderr)


def test_show_peers_loads_nothing_of_the_daemon(with_a_file: Daemon) -> None:
    with_a_file.until(with_a_file.peers)
    piped, found = show_peers(with_a_file, is_drawn=False)
    assert piped.startswith("NAME")
    assert "bgpd.cli.request" in found
    assert needless(found, (*COMMAND, "rich")) == []
    drawn, found = show_peers(with_a_file, is_drawn=True)
    assert drawn.startswith("\x1b[1mNAME")
    assert needless(found, (*COMMAND, "rich")) == []
