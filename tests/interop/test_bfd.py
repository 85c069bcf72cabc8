"""BFD beside BIRD and FRR: one hop and several, both families, cuts, AdminDown, changes, keys."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.frr import Frr
from tests.support.daemons import Daemon, write_yaml
from tests.support.pairs import a_bird, two_networks
from tests.support.routers import needs

FAMILIES = {
    "ipv4": ("10.0.0.1", "10.0.0.2", 24, "10.2.0.0/24"),
    "ipv6": ("fd00::1", "fd00::2", 64, "fd02::/64"),
}
INTERVAL = 100  # milliseconds
MULTIPLIER = 3
DETECTION_TIME = INTERVAL * MULTIPLIER / 1000  # seconds
SLACK = 1.5  # seconds of a busy machine until a cut is seen in our routes


@dataclass
class Pair:
    """Ours and theirs, in namespaces of their own."""

    folder: Path
    enters: list[tuple[str, ...]]
    family: str
    config: dict[str, Any] = field(default_factory=dict)
    daemon: Daemon | None = None

    @property
    def ours(self) -> Daemon:
        assert self.daemon is not None
        return self.daemon

    @property
    def address(self) -> str:
        return FAMILIES[self.family][1]

    def bfd(self) -> dict[str, Any]:
        return next(iter(self.ours.ask("show-bfd")), {})

    def is_up(self) -> bool:
        return self.bfd().get("state") == "up" and self.ours.are_up(self.address)

    def wait_up(self) -> None:
        self.ours.until(self.is_up, 30)

    def reload(self, **bfd: Any) -> None:
        self.config["peers"][0]["bfd"].update(bfd)
        write_yaml(self.folder / "pybgpd.yaml", self.config)
        self.ours.signal(signal.SIGHUP)

    def theirs(self, *command: str) -> str:
        return subprocess.run(
            [*self.enters[1], *command], check=True, capture_output=True, text=True
        ).stdout

    def birdc(self, *command: str) -> str:
        socket = str(self.folder / "bird.ctl")
        return self.theirs(Bird.program("birdc"), "-s", socket, *command)

    def cut(self) -> None:
        """Lose all packets without any sign of it: both send to machines that are not there."""
        self._neighbours("replace", "lladdr", "02:00:00:00:00:99", "nud", "permanent")

    def mend(self) -> None:
        self._neighbours("delete")

    def _neighbours(self, what: str, *how: str) -> None:
        for enter, address in zip(
            self.enters, reversed(FAMILIES[self.family][:2]), strict=True
        ):
            words = ["ip", "neighbour", what, address, "dev", "eth0", *how]
            subprocess.run([*enter, *words], check=True)


@contextmanager
def ours(
    folder: Path, family: str, *, local_as: int = 65001, **peer: Any
) -> Iterator[Pair]:
    """Run pybgpd in one of two namespaces."""
    here, there, length, _ = FAMILIES[family]
    with two_networks("bfd", f"{here}/{length}", f"{there}/{length}") as enters:
        if family == "ipv6":  # addresses that are tentative cannot be bound to
            for enter, address in zip(enters, (here, there), strict=True):
                for what in ("delete", "add"):
                    words = [
                        "ip",
                        "address",
                        what,
                        f"{address}/{length}",
                        "dev",
                        "eth0",
                    ]
                    nodad = ["nodad"] if what == "add" else []
                    subprocess.run([*enter, *words, *nodad], check=True)
        pair = Pair(folder, enters, family)
        config = str(folder / "pybgpd.yaml")
        prefix = list(enters[0])
        pair.daemon = Daemon(folder, "run", "--config", config, prefix=prefix)
        pair.config = {
            "control": {"path": pair.daemon.control},
            "bgp": {
                "as": local_as,
                "router_id": "10.0.0.1",
                "defaults": {
                    "families": ["ipv4-unicast", "ipv6-unicast"],
                    "import_policy": "accept-all",
                    "export_policy": "accept-all",
                    "connect_retry_time": 1,
                    "idle_hold_time": 1,
                    "max_idle_hold_time": 1,
                },
            },
            "fib": {"mode": "off"},
            "next_hops": {"resolve": "trust"},
            "peers": [
                {
                    "address": there,
                    "as": 65002,
                    **peer,
                    "bfd": {
                        "min_tx": INTERVAL,
                        "min_rx": INTERVAL,
                        "multiplier": MULTIPLIER,
                        **peer.get("bfd", {}),
                    },
                }
            ],
        }
        write_yaml(folder / "pybgpd.yaml", pair.config)
        with pair.daemon:
            yield pair


def bird_config(
    family: str, *, options: str = "", kind: str = "bfd", extra: str = ""
) -> str:
    here, there, _, prefix = FAMILIES[family]
    return f"""router id 10.0.0.2;
log stderr all;
protocol device {{ scan time 1; }}
protocol bfd {{
  interface "*" {{ {options} min rx interval {INTERVAL} ms; min tx interval {INTERVAL} ms;
    multiplier {MULTIPLIER}; idle tx interval 300 ms; }};
  multihop {{ {options} min rx interval {INTERVAL} ms; min tx interval {INTERVAL} ms;
    multiplier {MULTIPLIER}; idle tx interval 300 ms; }};
  accept;
}}
protocol static {{ {family}; route {prefix} blackhole; }}
protocol bgp ours {{
  local {there} as 65002; neighbor {here} as 65001; connect delay time 1; connect retry time 1;
  error wait time 1, 2; {kind}; {extra}
  {family} {{ import all; export all; }};
}}
"""


@needs("bird")
def test_a_session_with_bird_from_its_start_to_its_end(tmp_path: Path) -> None:
    config = bird_config(
        "ipv4", extra="graceful restart on; long lived graceful restart on;"
    )
    with (
        ours(tmp_path, "ipv4", long_lived_stale_time=60) as pair,
        a_bird(tmp_path, config, *pair.enters[1]),
    ):
        pair.wait_up()
        pair.ours.until(lambda: "10.2.0.0/24" in pair.ours.prefixes())
        parameters_change(pair)
        our_process_ends(pair)
        assert "unknown session id" not in (tmp_path / "bird.log").read_text()
        a_cut_is_detected(pair)
        row = pair.ours.peers()[pair.address]
        assert "6/10 cease, bfd down" in row["last_reset"]
        assert not row["families"][0]["stale"]  # though graceful restart was agreed on
        pair.mend()
        pair.wait_up()
        the_daemon_ends(pair)


def parameters_change(pair: Pair) -> None:
    """Change intervals and multiplier, and back, while the session is up."""
    pair.reload(min_tx=400, min_rx=300, multiplier=5)
    pair.ours.until(lambda: pair.bfd()["interval"] == 400)
    pair.ours.until(lambda: pair.bfd()["detection_time"] == 900)
    pair.ours.until(lambda: "0.300    2.000" in pair.birdc("show", "bfd", "sessions"))
    assert pair.bfd()["failures"] == 0
    assert pair.ours.peers()[pair.address]["flaps"] == 0


def our_process_ends(pair: Pair) -> None:
    """Kill our process: the peer sees nothing of it."""
    pid = bfd_process(pair.ours)
    os.kill(pid, signal.SIGKILL)
    pair.ours.until_logged("the BFD process ended by itself")
    pair.ours.until(lambda: bfd_process(pair.ours) not in (0, pid))
    pair.ours.until(lambda: pair.bfd()["packets_received"] > 3)
    assert pair.bfd()["state"] == "up"
    assert pair.bfd()["failures"] == 0
    assert pair.ours.peers()[pair.address]["flaps"] == 0
    pair.reload(min_tx=INTERVAL, min_rx=INTERVAL, multiplier=MULTIPLIER)
    pair.ours.until(lambda: pair.bfd()["detection_time"] == 300)


def a_cut_is_detected(pair: Pair) -> None:
    """Lose all packets; the routes are gone within the detection time."""
    start = time.monotonic()
    pair.cut()
    pair.ours.until(lambda: not pair.ours.prefixes(), 10)
    assert time.monotonic() - start < DETECTION_TIME + SLACK
    assert pair.bfd()["failures"] == 1
    assert pair.bfd()["last_failure"] == "no packet within the detection time"


def the_daemon_ends(pair: Pair) -> None:
    """Kill the daemon: its process says AdminDown and ends."""
    pid = bfd_process(pair.ours)
    pair.ours.process.kill()
    pair.ours.process.wait(10)
    until(lambda: "Down" in pair.birdc("show", "bfd", "sessions"), 5)
    until(lambda: not Path(f"/proc/{pid}").exists(), 5)


@needs("bird")
@pytest.mark.parametrize("kind", ["simple", "meticulous-keyed-sha1"])
def test_several_hops_over_ipv6_with_keys_and_bird(kind: str, tmp_path: Path) -> None:
    word = kind.replace("-", " ")
    options = f'authentication {word}; password "secret" {{ id 7; }};'
    bfd = {
        "multihop": True,
        "auth": {"type": kind, "key_id": 7, "password": "secret"},
    }
    config = bird_config("ipv6", options=options, extra="multihop;")
    with (
        ours(tmp_path, "ipv6", multihop_ttl=2, bfd=bfd) as pair,
        a_bird(tmp_path, config, *pair.enters[1]),
    ):
        pair.wait_up()
        pair.ours.until(lambda: pair.bfd()["packets_received"] > 20)
        assert pair.bfd()["is_multihop"]
        assert pair.bfd()["failures"] == 0
        pair.reload(auth={"type": kind, "key_id": 7, "password": "wrong"})
        pair.ours.until(lambda: pair.bfd()["failures"] == 1, 10)


@needs("bird")
def test_a_strict_session_waits_for_bfd(tmp_path: Path) -> None:
    options = 'authentication keyed sha1; password "secret" { id 7; };'
    auth = {"key_id": 7, "password": "secret"}
    with (
        ours(tmp_path, "ipv4", bfd={"strict": True, "auth": auth}) as pair,
        a_bird(tmp_path, bird_config("ipv4", kind=""), *pair.enters[1]),
    ):
        pair.ours.until(lambda: "rejected" in (tmp_path / "bird.log").read_text(), 20)
        row = pair.ours.peers()[pair.address]
        assert (row["state"], row["bfd"], row["is_enabled"]) == ("Idle", "down", True)
        config = bird_config("ipv4", options=options)
        (tmp_path / "bird.conf").write_text(config, encoding="utf-8")
        pair.birdc("configure")
        pair.wait_up()
        pair.cut()
        pair.ours.until(lambda: pair.bfd()["is_waiting"], 10)
        pair.mend()
        pair.wait_up()


def bfd_process(daemon: Daemon) -> int:
    """Return the process's id, 0 without one."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == daemon.process.pid and b"bgpd.bfd.child" in command:
            return int(folder.name)
    return 0


def until(predicate: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


FRR_CONFIG = """router bgp 65002
 bgp router-id 10.0.0.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor {here} remote-as 65001
 neighbor {here} timers connect 1
 neighbor {here} bfd
 neighbor {here} bfd profile fast
 {extra}
 address-family {family} unicast
  neighbor {here} activate
  network {prefix}
"""
BFDD_CONFIG = """bfd
 profile fast
  detect-multiplier 3
  receive-interval 100
  transmit-interval 100
"""


@contextmanager
def a_frr(pair: Pair, extra: str = "") -> Iterator[Any]:
    here, _, _, prefix = FAMILIES[pair.family]
    folder = pair.folder / "frr"
    folder.mkdir()
    bgp = FRR_CONFIG.format(here=here, family=pair.family, prefix=prefix, extra=extra)
    for name, text in (("zebra", ""), ("bgpd", bgp), ("bfdd", BFDD_CONFIG)):
        (folder / f"{name}.conf").write_text(text, encoding="utf-8")
    for above in (folder, *folder.parents[:-2]):  # it runs as a user of its own
        above.chmod(0o755)
    subprocess.run(["chown", "-R", "frr:frr", str(folder)], check=True)
    processes = []
    common = ["-z", str(folder / "zserv.api"), "--vty_socket", str(folder), "-P", "0"]
    with (pair.folder / "frr.log").open("ab") as log:
        try:
            for program in ("zebra", "bfdd", "bgpd"):
                files = [
                    "-f",
                    f"{folder}/{program}.conf",
                    "-i",
                    f"{folder}/{program}.pid",
                ]
                extra_args = (
                    ["--bfdctl", f"{folder}/bfdd.sock"] if program == "bfdd" else []
                )
                command = [Frr.program(program), *files, "--log", "stdout", *common]
                processes.append(
                    subprocess.Popen(
                        [*pair.enters[1], *command, *extra_args], stdout=log, stderr=log
                    )
                )
                if program == "zebra":
                    until((folder / "zserv.api").exists, 10)

            def vtysh(*commands: str) -> str:
                words = [word for each in commands for word in ("-c", each)]
                return pair.theirs("vtysh", "--vty_socket", str(folder), *words)

            yield vtysh
        finally:
            for process in processes:
                process.kill()
                process.wait(10)


@needs("frr")
def test_one_hop_over_ipv4_with_frr(tmp_path: Path) -> None:
    with ours(tmp_path, "ipv4") as pair, a_frr(pair) as vtysh:
        pair.wait_up()
        pair.ours.until(lambda: "10.2.0.0/24" in pair.ours.prefixes())
        vtysh("configure terminal", "bfd", "profile fast", "shutdown")
        pair.ours.until(lambda: pair.bfd()["peer_state"] == "admin-down", 10)
        pair.ours.until_logged("the peer has disabled it")
        assert pair.ours.are_up(pair.address)
        assert pair.ours.peers()[pair.address]["flaps"] == 0
        vtysh("configure terminal", "bfd", "profile fast", "no shutdown")
        pair.wait_up()
        assert pair.bfd()["failures"] == 0
        pair.ours.until(lambda: pair.bfd()["detection_time"] == 300)
        start = time.monotonic()
        pair.theirs("ip", "link", "set", "eth0", "down")
        pair.ours.until(lambda: not pair.ours.prefixes(), 10)
        assert time.monotonic() - start < DETECTION_TIME + SLACK


@needs("frr")
def test_several_hops_over_ipv6_with_frr(tmp_path: Path) -> None:
    extra = f"neighbor {FAMILIES['ipv6'][0]} ebgp-multihop 3"
    bfd = {"multihop": True}
    with (
        ours(tmp_path, "ipv6", multihop_ttl=3, bfd=bfd) as pair,
        a_frr(pair, extra) as vtysh,
    ):
        pair.wait_up()
        assert pair.bfd()["is_multihop"]
        assert "Status: up" in vtysh("show bfd peers")
        pair.ours.until(lambda: "fd02::/64" in pair.ours.prefixes())
        pair.cut()
        pair.ours.until(lambda: not pair.ours.prefixes(), 10)
