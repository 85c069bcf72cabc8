"""``pybgpd run`` as a process: start, reload, signals, datastore, exit codes."""

import contextlib
import re
import signal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bgpd.api.client import call
from bgpd.api.protocol import ControlError
from bgpd.cli.control import main
from tests.support.daemons import Daemon, write_yaml
from tests.support.manifests import affinity, node, resource
from tests.support.speakers import own_network

pytestmark = pytest.mark.slow
PORT = 17911
EX_CONFIG = 78


def configuration(
    folder: Path, network: str, number: int, **more: Any
) -> dict[str, Any]:
    """Return node ``number``'s configuration; it has no peers yet."""
    content: dict[str, Any] = {
        "bgp": {
            "as": 64512,
            "router_id": f"10.0.0.{number}",
            "listen": {"addresses": [f"{network}.{number}"], "port": PORT},
            "defaults": {"port": PORT, "connect_retry_time": 1},
        },
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control.sock")},
        "peers": [],
        "routes": {"originate": [{"prefix": f"10.{number}.0.0/16"}]},
    }
    return content | more


def a_peer(network: str, own: int, other: int, **more: Any) -> dict[str, Any]:
    return {
        "name": f"node-{other}",
        "address": f"{network}.{other}",
        "as": 64512,
        "local_address": f"{network}.{own}",
        **more,
    }


@pytest.fixture
def network() -> str:
    return own_network()


def a_folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def started(folder: Path, content: dict[str, Any]) -> Daemon:
    file = write_yaml(folder / "pybgpd.yaml", content)
    return Daemon(folder, "run", "--config", str(file))


def test_peers_and_routes_change_by_reload_and_nothing_else_does(
    tmp_path: Path, network: str
) -> None:
    folders = [a_folder(tmp_path, f"n{n}") for n in (1, 2, 3)]
    contents = [
        configuration(folder, network, number)
        for number, folder in enumerate(folders, start=1)
    ]
    contents[0]["peers"] = [a_peer(network, 1, 2)]
    contents[1]["peers"] = [a_peer(network, 2, 1)]
    contents[2]["peers"] = [a_peer(network, 3, 1)]
    file = folders[0] / "pybgpd.yaml"
    with (
        started(folders[0], contents[0]) as a,
        started(folders[1], contents[1]) as b,
        started(folders[2], contents[2]) as c,
    ):
        a.until(lambda: a.are_up(f"{network}.2"))
        a.until(lambda: a.prefixes() == {"10.1.0.0/16", "10.2.0.0/16"})
        # A peer more, noticed by the change of the file alone.
        contents[0]["peers"].append(a_peer(network, 1, 3))
        write_yaml(file, contents[0])
        a.until(lambda: a.are_up(f"{network}.2", f"{network}.3"))
        a.until(lambda: "10.3.0.0/16" in a.prefixes())
        # Errors change nothing, and are reported with their place.
        bad = contents[0] | {"colour": "blue"}
        write_yaml(file, bad)
        a.until_logged("reload failed")
        assert "pybgpd.yaml:" in a.log().rpartition("reload failed")[2]
        a.signal(signal.SIGHUP)
        a.until(lambda: a.log().count("reload failed") >= 2)
        assert a.are_up(f"{network}.2", f"{network}.3")
        # A changed and a removed peer, and a route less.
        contents[0]["peers"] = [a_peer(network, 1, 2, description="unchanged session")]
        contents[0]["routes"] = {"originate": [{"prefix": "10.11.0.0/16"}]}
        write_yaml(file, contents[0])
        a.signal(signal.SIGHUP)
        a.until(lambda: list(a.peers()) == [f"{network}.2"])
        b.until(lambda: b.prefixes() == {"10.2.0.0/16", "10.11.0.0/16"})
        c.until(lambda: c.prefixes() == {"10.3.0.0/16"})
        assert "session down" not in b.log()
        assert "peer deconfigured" in c.log()
        # All the same: a reset, and of this session alone.
        contents[0]["peers"] = [a_peer(network, 1, 2, hold_time=30)]
        write_yaml(file, contents[0])
        b.until_logged("other configuration change")
        a.until(lambda: a.are_up(f"{network}.2"))
        for daemon in (a, b, c):
            assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("is_graceful", [True, False], ids=["graceful", "plain"])
def test_sigterm_ends_fast_and_silently_if_routes_must_stay(
    tmp_path: Path,
    network: str,
    is_graceful: bool,  # noqa: FBT001  # pytest's parameter
) -> None:
    folders = [a_folder(tmp_path, f"n{n}") for n in (1, 2)]
    more = {"graceful_restart": {"enabled": is_graceful}}
    options = {"graceful_restart": is_graceful}
    contents = [
        configuration(folders[0], network, 1, **more),
        configuration(folders[1], network, 2, **more),
    ]
    contents[0]["peers"] = [a_peer(network, 1, 2, **options)]
    contents[1]["peers"] = [a_peer(network, 2, 1, **options)]
    with started(folders[0], contents[0]) as a, started(folders[1], contents[1]) as b:
        a.until(lambda: len(a.prefixes()) == 2)
        b.signal(signal.SIGTERM)
        assert b.ended() == 0
        a.until_logged("session down")
        if is_graceful:
            (down,) = [line for line in a.log().splitlines() if "session down" in line]
            assert "cease" not in down
            assert len(a.prefixes()) == 2
            with started(folders[1], contents[1]):
                a.until(lambda: a.are_up(f"{network}.2"))
                assert len(a.prefixes()) == 2
        else:
            assert "administrative shutdown" in a.log()
            a.until(lambda: len(a.prefixes()) == 1)
        assert "Traceback" not in a.log() + b.log()


def test_a_taken_port_does_not_keep_a_node_from_its_sessions(
    tmp_path: Path, network: str
) -> None:
    folders = [a_folder(tmp_path, f"n{n}") for n in (1, 2, 3)]
    first = configuration(folders[0], network, 1)
    second = configuration(folders[1], network, 1)  # the same address
    third = configuration(folders[2], network, 3)
    third["peers"] = [a_peer(network, 3, 1, passive=True)]
    second["peers"] = [a_peer(network, 1, 3)]
    with started(folders[0], first) as holder:
        holder.until_logged("started")
        with started(folders[1], second) as a, started(folders[2], third) as _:
            a.until_logged("another program uses this port")
            a.until(lambda: a.are_up(f"{network}.3"))
            assert any("another program uses this port" in w for w in warnings(a))
            holder.signal(signal.SIGTERM)
            holder.ended()
            a.until_logged(f"listening on {network}.1")
            assert not warnings(a)


def warnings(daemon: Daemon) -> list[str]:
    (status,) = daemon.ask("show-status")
    found: list[str] = status["warnings"]
    return found


def test_a_node_waits_for_its_manifest_and_follows_its_changes(
    tmp_path: Path, network: str
) -> None:
    folder, store = a_folder(tmp_path, "n1"), a_folder(tmp_path, "store")
    content = configuration(folder, network, 1, node={"name": "node-1"})
    content["bgp"] = {
        "listen": content["bgp"]["listen"],
        "defaults": content["bgp"]["defaults"],
    }
    content["datastore"] = {"type": "folder", "path": str(store)}
    content["routes"] = {}
    mesh = resource("BGPConfiguration", "default", asNumber=64512)
    write_yaml(store / "mesh.yaml", mesh)
    with started(folder, content) as a:
        a.until_logged(
            "waiting: the datastore has no node 'node-1' with BGP settings yet; the name "
            "comes from node.name, NODENAME or /var/lib/calico/nodename"
        )
        write_yaml(store / "nodes.yaml", node("node-7", f"{network}.7/24"))
        a.until_logged("no node 'node-1' with BGP settings; it has node-7; the name")
        assert "there is no such Node" not in a.log()  # that line was enough
        me, other = node("node-1", f"{network}.1/24"), node("node-2", f"{network}.2/24")
        write_yaml(store / "nodes.yaml", me, other)
        a.until_logged("started")
        a.until(lambda: list(a.peers()) == [f"{network}.2"])
        write_yaml(store / "block.yaml", affinity("node-1", "10.244.1.0/26"))
        a.until(lambda: a.prefixes() == {"10.244.1.0/26"})
        write_yaml(store / "block.yaml", affinity("node-1", "10.244.2.0/26"))
        a.until(lambda: a.prefixes() == {"10.244.2.0/26"})
        write_yaml(store / "nodes.yaml", me, node("node-3", f"{network}.3/24"))
        a.until(lambda: list(a.peers()) == [f"{network}.3"])
        assert "Traceback" not in a.log()


def test_a_node_that_waits_for_its_datastore_can_be_stopped(
    tmp_path: Path, network: str
) -> None:
    folder, store = a_folder(tmp_path, "n1"), a_folder(tmp_path, "store")
    content = configuration(folder, network, 1, node={"name": "node-1"})
    content["datastore"] = {"type": "folder", "path": str(store)}
    with started(folder, content) as a:
        a.until_logged("no node 'node-1' with BGP settings")
        file = folder / "pybgpd.yaml"
        with pytest.raises(ControlError) as caught:
            list(call(a.control, "show-peers", {}))
        assert str(caught.value).startswith(
            "the daemon is waiting for its datastore: the datastore has no node 'node-1'"
        )
        (status,) = a.ask("show-status")
        assert not status["is_started"]
        assert status["awaited"].startswith("the datastore has no node 'node-1'")
        assert status["configuration"]["files"] == [str(file)]
        assert (status["node"], status["datastore"]["kind"]) == ("node-1", "folder")
        result = CliRunner().invoke(main, ["--control", a.control, "show", "status"])
        assert result.exit_code == 0, result.output
        assert ", starting for " in result.output
        assert "waiting for: the datastore has no node 'node-1'" in re.sub(
            r": +", ": ", result.output
        )
        first = a.log().splitlines()[0]
        assert re.fullmatch(
            r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    starting pybgpd \S+ \(.*\) on "
            rf"node node-1 with {re.escape(str(file))}",
            first,
        )
        a.signal(signal.SIGTERM)
        assert a.ended() == 0
        assert "Traceback" not in a.log()
        assert " INFO    stopping: SIGTERM\n" in a.log()
        last = a.log().splitlines()[-1]
        assert re.search(
            r"INFO    stopped within \S+ s: no routes in the kernel$", last
        )


def test_a_rejected_file_is_reported_until_it_is_repaired(
    tmp_path: Path, network: str
) -> None:
    folder = a_folder(tmp_path, "n1")
    content = configuration(folder, network, 1)
    port = PORT + 7
    content["metrics"] = {"listen": f"{network}.1:{port}"}

    def fetch(path: str) -> str:
        with contextlib.closing(HTTPConnection(f"{network}.1", port, timeout=10)) as c:
            c.request("GET", path)
            return c.getresponse().read().decode()

    def metric(name: str) -> float:
        pattern = rf"^pybgpd_{name} (\S+)$"
        (value,) = re.findall(pattern, fetch("/metrics"), re.MULTILINE)
        return float(value)

    def warnings(a: Daemon) -> list[str]:
        (row,) = a.ask("show-status")
        return list(row["warnings"])

    with started(folder, content) as a:
        a.until_logged("started")
        first = metric("config_last_reload_success_timestamp_seconds")
        assert metric("config_last_reload_successful") == 1
        assert warnings(a) == []
        write_yaml(folder / "pybgpd.yaml", content | {"colour": "blue"})
        a.until(lambda: warnings(a))
        (line,) = warnings(a)
        assert line.startswith("configuration rejected at 20")
        assert "pybgpd.yaml:" in line
        assert "colour: unknown key" in line
        assert metric("config_last_reload_successful") == 0
        assert metric("config_last_reload_success_timestamp_seconds") == first
        ready = fetch("/readyz")
        assert "ok: configuration: configuration rejected at 20" in ready
        changed = content | {"fib": {"mode": "off", "table": 7}}
        write_yaml(folder / "pybgpd.yaml", changed)
        a.until(lambda: metric("config_last_reload_successful") == 1)
        assert warnings(a) == [
            "changes to these keys take effect only at the next start: fib.table"
        ]
        assert metric("config_pending_keys") == 1
        assert metric("config_last_reload_success_timestamp_seconds") > first
        write_yaml(folder / "pybgpd.yaml", content)
        a.until(lambda: metric("config_pending_keys") == 0)
        assert warnings(a) == []


def test_an_unusable_control_path_is_logged_and_tried_again(
    tmp_path: Path, network: str
) -> None:
    folder = a_folder(tmp_path, "n1")
    plain = folder / "plain"
    plain.write_text("a file, no folder", encoding="utf-8")
    content = configuration(folder, network, 1)
    content["control"] = {"path": str(plain / "control.sock")}
    with started(folder, content) as a:
        a.until_logged("started")
        assert f"control socket {plain}/control.sock: " in a.log()
        assert "pybgpctl cannot reach the daemon" in a.log()
        plain.unlink()
        plain.mkdir()
        a.until((plain / "control.sock").exists)
        assert "Traceback" not in a.log()


def test_a_configuration_with_errors_does_not_start(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "n1")
    file = write_yaml(folder / "pybgpd.yaml", {"bgp": {"as": 0, "colour": 1}})
    with Daemon(folder, "run", "--config", str(file)) as a:
        assert a.ended() == EX_CONFIG
        assert "pybgpd.yaml:" in a.log()
        assert "colour" in a.log()
        assert "Traceback" not in a.log()


def test_what_no_restart_mends_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    for number, content in enumerate(
        ({"bgp": {"as": 64512}}, {"datastore": {"type": "etcd"}}, [1, 2], {})
    ):
        folder = a_folder(tmp_path, f"n{number}")
        file = write_yaml(folder / "pybgpd.yaml", content)
        with Daemon(folder, "run", "--config", str(file)) as a:
            assert a.ended() == EX_CONFIG
            assert "Traceback" not in a.log()
    with Daemon(tmp_path, "run", "--config", str(tmp_path / "nowhere.yaml")) as a:
        assert a.ended() == EX_CONFIG
    with Daemon(tmp_path, "run", "--colour") as a:
        assert a.ended() == 2
