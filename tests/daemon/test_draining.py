"""Daemons as processes that are drained: by command, by a label, and before their end."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bgpd.cli.control import main
from tests.daemon.test_run import a_folder, a_peer, configuration, started
from tests.support.daemons import Daemon, write_yaml
from tests.support.manifests import node, resource
from tests.support.speakers import own_network

pytestmark = pytest.mark.slow
PLAIN = {"graceful_restart": {"enabled": False}}


@pytest.fixture
def network() -> str:
    return own_network()


def pybgpctl(daemon: Daemon, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--control", daemon.control, *arguments])
    return result.exit_code, result.output


def local_prefs(daemon: Daemon, prefix: str) -> set[int | None]:
    rows = daemon.ask("show-routes", prefix=prefix)
    return {row["attributes"].get("local_pref") for row in rows}


def a_pair(
    tmp_path: Path, network: str, **more: Any
) -> tuple[list[Path], list[dict[str, Any]]]:
    folders = [a_folder(tmp_path, f"n{number}") for number in (1, 2)]
    contents = [
        configuration(folder, network, number, **more)
        for number, folder in enumerate(folders, start=1)
    ]
    contents[0]["peers"] = [a_peer(network, 1, 2)]
    contents[1]["peers"] = [a_peer(network, 2, 1)]
    return folders, contents


def test_a_drained_peer_is_shut_down_and_stays_so_over_a_crash(
    tmp_path: Path, network: str
) -> None:
    folders, contents = a_pair(tmp_path, network)
    with started(folders[1], contents[1]) as b:
        with started(folders[0], contents[0]) as a:
            a.until(lambda: len(a.prefixes()) == 2)
            assert pybgpctl(a, "undrain", "node-2")[0] == 1
            assert pybgpctl(a, "show", "drain")[0] == 0
            code, said = pybgpctl(
                a, "drain", "node-2", "--wait", "2", "--text", "new fans"
            )
            assert code == 0
            lines = said.splitlines()
            assert lines[0] == "node-2: draining"
            assert lines[-1] == "1 shut down; best paths through them: 1"
            b.until_logged("new fans")
            (row,) = a.ask("show-drain")
            assert (row["peer"], row["state"]) == ("node-2", "shut down")
            assert "drained by command" in pybgpctl(a, "show", "peers")[1]
            page = pybgpctl(a, "show", "peers", "node-2")[1]
            assert re.search(r"drained: +by command since 20", page)
            page = pybgpctl(a, "show", "status")[1]
            assert re.search(r"drained: +1 peer, 1 of them shut down, by command", page)
            assert "undrain" in pybgpctl(a, "enable-peer", "node-2")[1]
            assert pybgpctl(a, "drain", "--group", "none", "--yes")[0] == 1
            a.signal(signal.SIGKILL)
            a.ended()
        with started(folders[0], contents[0]) as a:
            a.until(lambda: a.peers().get(f"{network}.2"))
            assert a.peers()[f"{network}.2"]["drained_by"] == "command"
            assert not a.peers()[f"{network}.2"]["is_enabled"]
            assert pybgpctl(a, "undrain", "--all")[0] == 0
            a.until(lambda: a.are_up(f"{network}.2"))
            a.until(lambda: not (folders[0] / "control.drains").exists())
            events = json.loads(pybgpctl(a, "events", "-o", "json")[1])
            assert "peer-undrained" in {event["event"] for event in events}
            assert "Traceback" not in a.log() + b.log()


def test_peers_are_drained_before_an_end_that_takes_the_routes_away(
    tmp_path: Path, network: str
) -> None:
    folders, contents = a_pair(tmp_path, network, **PLAIN, drain={"at_shutdown": 60})
    with started(folders[0], contents[0]) as a, started(folders[1], contents[1]) as b:
        a.until(lambda: len(a.prefixes()) == len(b.prefixes()) == 2)
        a.signal(signal.SIGTERM)
        b.until(lambda: local_prefs(b, "10.1.0.0/16") == {0})
        assert b.are_up(f"{network}.1")
        assert a.ask("show-status")[0]["drain"]["by"] == ["shutdown"]
        assert [row["is_drained"] for row in a.ask("show-groups")] == [True]
        assert "DRAINED" in pybgpctl(a, "show", "groups", "-o", "wide")[1]
        a.signal(signal.SIGTERM)  # the second: do not wait
        assert a.ended() == 0
        b.until_logged("administrative shutdown")
        assert not (folders[0] / "control.drains").exists()
        assert "Traceback" not in a.log() + b.log()


def test_a_label_drains_a_node_unless_most_nodes_bear_it(
    tmp_path: Path, network: str
) -> None:
    folder, store = a_folder(tmp_path, "n1"), a_folder(tmp_path, "store")
    content = configuration(folder, network, 1, node={"name": "node-1"})
    content["datastore"] = {"type": "folder", "path": str(store)}
    content["calico"] = {"drain_label": "pybgpd.io/drain"}
    write_yaml(
        store / "mesh.yaml", resource("BGPConfiguration", "default", asNumber=64512)
    )

    def mark(*marked: int) -> None:
        nodes = [node(f"node-{n}", f"{network}.{n}/24") for n in (1, 2, 3)]
        for number in marked:
            labels = {"pybgpd.io/drain": "yes"}
            nodes[number - 1]["metadata"]["labels"] = labels
        write_yaml(store / "nodes.yaml", *nodes)

    def drained() -> set[str | None]:
        return {row["drained_by"] for row in a.ask("show-peers")}

    mark()
    with started(folder, content) as a:
        a.until(lambda: drained() == {None})
        mark(1, 2)
        a.until_logged("2 of 3 nodes bear the label")
        assert drained() == {None}
        mark(1)
        a.until(lambda: drained() == {"node"})
        assert pybgpctl(a, "undrain", "--all")[0] == 1
        mark(1, 2)  # it goes on where it is
        mark(1, 3)
        mark()
        a.until(lambda: drained() == {None})
        assert "Traceback" not in a.log()
