"""Configurations that are planned, applied, confirmed and taken back, between two daemons."""

import json
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result

from bgpd.cli.control import main
from bgpd.cli.plan import EXIT_CHANGES, EXIT_ENDS_SESSIONS, EXIT_UNREADABLE, PIECE
from tests.support.daemons import Daemon, write_yaml
from tests.support.manifests import affinity, node, resource
from tests.support.speakers import own_network

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ASN: Final = 64512
PORT: Final = 17942

Config = dict[str, Any]


class Pair:
    """A daemon with a file, and its neighbour, which originates two prefixes."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.network = own_network()
        self.file = folder / "here" / "pybgpd.yaml"
        self._stack = stack
        self.here = self._start("here", self.content())
        routes = [{"prefix": "10.1.0.0/16"}, {"prefix": "10.2.0.0/16"}]
        self._start("there", self.content(2) | {"routes": {"originate": routes}})
        self.comes_up()

    def content(self, number: int = 1, **peer: Any) -> Config:
        here, there = f"{self.network}.{number}", f"{self.network}.{3 - number}"
        return {
            "bgp": {
                "as": ASN,
                "router_id": f"10.0.0.{number}",
                "listen": {"addresses": [here], "port": PORT},
            },
            "fib": {"mode": "off"},
            "peers": [
                {
                    "address": there,
                    "name": "other",
                    "as": ASN,
                    "port": PORT,
                    "local_address": here,
                    "connect_retry_time": 1,
                }
                | peer
            ],
            "policies": {
                "second": {
                    "terms": [
                        {"match": {"prefixes": ["10.2.0.0/16"]}, "action": "accept"}
                    ]
                }
            },
            "control": {"path": str(self.folder / self._name(number) / "control.sock")},
        }

    @staticmethod
    def _name(number: int) -> str:
        return "here" if number == 1 else "there"

    def _start(self, name: str, content: Config) -> Daemon:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        file = write_yaml(folder / "pybgpd.yaml", content)
        return self.run(folder, file)

    def run(self, folder: Path, file: Path) -> Daemon:
        return self._stack.enter_context(Daemon(folder, "run", "--config", str(file)))

    def comes_up(self) -> None:
        there = f"{self.network}.2"
        self.here.until(lambda: self.here.are_up(there), 30)
        self.here.until(lambda: len(self.here.prefixes()) >= 2, 30)

    def write(self, content: Config) -> str:
        """Write a configuration that the daemon does not watch; return its path."""
        return str(write_yaml(self.folder / "new.yaml", content))

    def tool(self, *arguments: str) -> Result:
        found = CliRunner().invoke(main, ["--control", self.here.control, *arguments])
        assert "Traceback" not in found.output
        return found

    def get(self, path: str) -> str:
        """Return what is served on the control socket; any other status fails."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.here.control)
            sock.sendall(f"GET {path} HTTP/1.0\r\nHost: here\r\n\r\n".encode())
            octets = b"".join(iter(lambda: sock.recv(65536), b""))
        assert octets.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200")), octets[:200]
        return octets.decode()

    def rows(self, *arguments: str) -> list[Config]:
        rows: list[Config] = json.loads(
            self.tool("plan", *arguments, "-o", "json").output
        )
        return rows

    def flaps(self) -> int:
        peer = self.here.ask("show-peer", peer="other")[0]
        flaps: int = peer["counters"]["flaps"] if "counters" in peer else peer["flaps"]
        return flaps

    def status(self) -> Config:
        return self.here.ask("show-status")[0]

    def warns(self, text: str) -> bool:
        return any(text in line for line in self.status()["warnings"])

    @property
    def kept(self) -> Config:
        content: Config = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        return content


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path, stack)


def test_a_plan_tells_what_it_costs_and_changes_nothing(pair: Pair) -> None:
    same = pair.tool("plan", pair.write(pair.content()))
    assert (same.exit_code, same.output) == (0, "nothing would change\n")
    filtered = pair.write(pair.content(import_policy="second"))
    found = pair.tool("plan", filtered)
    assert found.exit_code == EXIT_CHANGES
    assert "session other" in found.output
    assert (
        "(import_policy): the session stays, routes are exchanged again" in found.output
    )
    assert "routes of other ipv4-unicast: 2 accepted, then 1" in found.output
    assert "10.1.0.0/16: other -> none" in found.output
    dear = pair.tool("plan", pair.write(pair.content(hold_time=30)))
    assert dear.exit_code == EXIT_ENDS_SESSIONS
    assert "(hold_time): the session is reset" in dear.output
    gone = pair.rows(pair.write(pair.content() | {"peers": []}), "--limit", "1")
    (session,) = (row for row in gone if row["part"] == "session")
    assert (session["change"], session["ends_session"]) == ("removed", True)
    (best,) = (row for row in gone if row["part"] == "best path")
    assert (best["lost"], len(best["moves"])) == (2, 1)
    assert gone[-1]["sessions_removed"] == 1
    learns = pair.content() | {"routes": {"learn": {"enabled": True}}}
    assert (
        "note: routes.learn: the routes" in pair.tool("plan", pair.write(learns)).output
    )
    other = pair.content()
    other["bgp"]["router_id"] = "10.0.0.77"
    renamed = pair.tool("plan", pair.write(other))
    assert renamed.exit_code == EXIT_ENDS_SESSIONS
    assert "(router_id): the session is reset" in renamed.output
    assert pair.flaps() == 0
    assert pair.here.prefixes() == {"10.1.0.0/16", "10.2.0.0/16"}


def test_a_long_configuration_comes_in_pieces_and_a_client_may_go(pair: Pair) -> None:
    long = pair.content()
    long["policies"] |= {
        f"p{n}": {"terms": [{"name": "x" * 400, "action": "accept"}]} for n in range(90)
    }
    file = pair.write(long)
    assert Path(file).stat().st_size > 4 * PIECE
    rows = pair.rows(file)
    assert rows[-1]["settings"] == 90
    # A client that goes in the middle leaves no plan behind.
    body = json.dumps({"text": yaml.safe_dump(pair.content())}).encode()
    head = (
        f"POST /api/v1/plan HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n"
    )
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(pair.here.control)
            sock.sendall(
                head.encode() + b"Content-Type: application/json\r\n\r\n" + body
            )
    pair.here.until(
        lambda: pair.tool("plan", pair.write(pair.content())).exit_code == 0
    )
    assert "Traceback" not in pair.here.log()


def test_what_is_not_confirmed_is_taken_back(pair: Pair) -> None:
    before = pair.kept
    new = pair.write(pair.content(import_policy="second"))
    applied = pair.tool("apply", new, "--confirm", "1000", "--yes")
    assert "confirm within 1000 s" in applied.output, applied.output
    pair.here.until(lambda: pair.here.prefixes() == {"10.2.0.0/16"})
    assert pair.kept == before, "written once it is confirmed"
    assert pair.warns("is not confirmed")
    assert pair.status()["configuration"]["confirm_until"]
    assert "pybgpd_config_confirmed 0" in pair.get("/metrics")
    assert "is not confirmed" in pair.get("/readyz")
    for refused in (("apply", new, "--yes"), ("reload",)):
        found = pair.tool(*refused)
        assert found.exit_code == 1
        assert "a confirmation is due until" in found.output
    pair.here.signal(signal.SIGHUP)
    pair.here.until_logged("reload waits")
    back = pair.tool("rollback")
    assert back.exit_code == 0, back.output
    pair.here.until(lambda: len(pair.here.prefixes()) == 2)
    assert not pair.warns("is not confirmed")
    assert pair.tool("rollback").exit_code == 1
    assert pair.tool("confirm").exit_code == 1
    # By itself.
    pair.tool("apply", new, "--confirm", "1", "--yes")
    pair.here.until_logged("not confirmed in time")
    pair.here.until(lambda: len(pair.here.prefixes()) == 2)
    assert pair.kept == before
    assert pair.flaps() == 0


def test_what_is_confirmed_is_written_and_a_crash_before_takes_it_back(
    pair: Pair,
) -> None:
    pair.file.chmod(0o640)
    new = pair.content(import_policy="second", description="new")
    pair.tool("apply", pair.write(new), "--confirm", "1000", "--yes")
    confirmed = pair.tool("confirm")
    assert f"{pair.file} has been written" in confirmed.output
    assert pair.kept == new
    assert stat.S_IMODE(pair.file.stat().st_mode) == 0o640
    assert not list(pair.file.parent.glob(".*unconfirmed"))
    newer = pair.content(description="newer")
    assert pair.tool("apply", pair.write(newer), "--yes").exit_code == 0
    assert pair.kept == newer
    # What another program writes meanwhile is not lost.
    pair.tool("apply", pair.write(new), "--confirm", "1000", "--yes")
    write_yaml(pair.file, pair.content(description="theirs"))
    assert "changed by someone else" in pair.tool("confirm").output
    assert pair.tool("rollback").exit_code == 0
    pair.here.until(
        lambda: pair.here.ask("show-peer", peer="other")[0]["description"] == "theirs"
    )
    pair.tool("apply", pair.write(new), "--confirm", "1000", "--yes")
    pair.here.process.kill()
    pair.here.process.wait(10)
    pair.here = pair.run(pair.file.parent, pair.file)
    pair.comes_up()
    assert pair.here.ask("show-peer", peer="other")[0]["description"] == "theirs"


def test_what_ends_sessions_is_held(pair: Pair) -> None:
    asks = {"reload": {"resets": "ask"}}
    write_yaml(pair.file, pair.content(hold_time=30, description="seen") | asks)
    pair.here.until(lambda: pair.warns("wait for consent"))
    assert pair.warns(f"change peer {pair.network}.2 (hold_time")
    assert pair.flaps() == 0
    assert "pybgpd_config_held_changes 1" in pair.get("/metrics")
    planned = pair.rows(str(pair.file))
    assert planned[-1]["held"] == 1
    assert planned[-1]["sessions_ended"] == 0
    assert pair.tool("plan", str(pair.file), "--allow-reset").exit_code == (
        EXIT_ENDS_SESSIONS
    )
    gone = pair.content() | asks | {"peers": []}
    assert "waits for consent" in pair.tool("apply", pair.write(gone), "--yes").output
    assert pair.here.are_up(f"{pair.network}.2")
    write_yaml(pair.file, pair.content(hold_time=30) | asks)
    pair.here.until(lambda: pair.warns("(hold_time"))
    assert pair.tool("reload", "--allow-reset").exit_code == 0
    pair.comes_up()
    assert pair.flaps() == 1
    assert not pair.warns("wait for consent")


def test_a_text_that_is_none_changes_nothing(pair: Pair) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    texts: dict[str, bytes] = {
        "bomb": bomb.encode(),
        "list": b"- 1\n",
        "unknown": b"bgp: {as: 1, router_id: 10.0.0.1, what: 2}\n",
        "open": b"bgp: [\n",
        "empty": b"",
    }
    for name, octets in texts.items():
        file = pair.folder / name
        file.write_bytes(octets)
        for command in (("plan",), ("apply", "--yes")):
            found = pair.tool(*command, str(file))
            assert found.exit_code == 1, name
            assert f"pybgpctl: {file}:" in found.output or name == "empty", found.output
    binary, huge = pair.folder / "binary", pair.folder / "huge"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with huge.open("wb") as file_:
        file_.truncate(64 << 20)
    for path, text in (
        (binary, "is not a text in UTF-8"),
        (huge, "the limit is"),
        (pair.folder, "expected a regular file"),
        (pair.folder / "nowhere", "No such file"),
        (Path("/dev/zero"), "regular file"),
    ):
        found = pair.tool("plan", str(path))
        assert found.exit_code == EXIT_UNREADABLE
        assert text in found.output
    assert pair.flaps() == 0
    assert pair.kept == pair.content()


def a_node(folder: Path, store: Path, network: str, number: int) -> Daemon:
    mine = folder / f"node-{number}"
    mine.mkdir()
    content = {
        "node": {"name": f"node-{number}"},
        "bgp": {
            "listen": {"addresses": [f"{network}.{number}"], "port": PORT},
            "defaults": {
                "connect_retry_time": 1,
                "local_address": f"{network}.{number}",
            },
        },
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "datastore": {"type": "folder", "path": str(store)},
        "control": {"path": str(mine / "control.sock")},
    }
    file = write_yaml(mine / "pybgpd.yaml", content)
    return Daemon(mine, "run", "--config", str(file))


def test_objects_of_the_cluster_are_planned_over_what_the_datastore_has(
    tmp_path: Path,
) -> None:
    network, store = own_network(), tmp_path / "store"
    store.mkdir()
    mesh = {"asNumber": ASN, "listenPort": PORT, "bindMode": "NodeIP"}
    write_yaml(store / "mesh.yaml", resource("BGPConfiguration", "default", **mesh))
    nodes = [node(f"node-{n}", f"{network}.{n}/24") for n in (1, 2)]
    write_yaml(store / "nodes.yaml", *nodes)
    write_yaml(store / "block.yaml", affinity("node-2", "10.244.2.0/26"))
    with (
        a_node(tmp_path, store, network, 1) as here,
        a_node(tmp_path, store, network, 2) as there,
    ):
        here.until(lambda: here.are_up(f"{network}.2"), 40)
        here.until(lambda: here.prefixes() == {"10.244.2.0/26"})

        def planned(*documents: Any) -> Result:
            file = write_yaml(tmp_path / "new.yaml", *documents)
            arguments = ["--control", here.control, "plan", "--resource", str(file)]
            return CliRunner().invoke(main, arguments)

        assert planned(nodes[1]).output == "nothing would change\n"
        off = resource(
            "BGPConfiguration", "default", **mesh, nodeToNodeMeshEnabled=False
        )
        found = planned(off)
        assert found.exit_code == EXIT_ENDS_SESSIONS, found.output
        assert "removed: the session ends" in found.output
        assert "10.244.2.0/26: " in found.output
        third = planned(node("node-3", f"{network}.3/24"))
        assert third.exit_code == EXIT_CHANGES
        assert f" {network}.3: added\n" in third.output
        bad = planned({"kind": "Teapot", "apiVersion": "v1", "metadata": {"name": "x"}})
        assert bad.exit_code == 1
        assert "new.yaml: line 1:" in bad.output
        wrong = planned(resource("BGPPeer", "some", peerIP="nowhere", asNumber=1))
        assert "note: " in wrong.output
        assert here.are_up(f"{network}.2")
        write_yaml(store / "mesh.yaml", off)
        here.until(lambda: not here.peers())
        assert "Traceback" not in here.log() + there.log()
