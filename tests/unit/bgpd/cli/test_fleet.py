"""Which machines are asked: files of them, options, pods and nodes of a cluster."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from bgpd.api.client import Remote
from bgpd.api.protocol import ControlError
from bgpd.cli import fleet
from bgpd.cli.control import main
from bgpd.cli.fleet_file import read_nodes
from bgpd.cli.fleet_kubernetes import named_pods, query_of
from bgpd.cli.fleet_options import NODES, PODS, Cluster, Fleet, Node
from bgpd.cli.layout import Row
from bgpd.cli.request import UnreachableNodesError

GIVEN = Remote("", "/given/token", "/given/ca", "given")

WHOLE = """\
token_file: read.token
nodes:
  - {name: node-1, url: "https://10.0.0.1:9180"}
  - name: node-2
    url: https://10.0.0.2:9180
    token_file: /etc/token
    ca_file: two.pem
    tls_name: pybgpd
  - {name: here, control: /run/pybgpd/pybgpd.sock}
  - url: https://10.0.0.3:9180
"""


def test_a_yaml_file_names_nodes_and_what_they_share(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text(WHOLE)
    token = str(tmp_path / "read.token")
    assert read_nodes(file, GIVEN) == [
        Node("node-1", Remote("https://10.0.0.1:9180", token, "/given/ca", "given")),
        Node(
            "node-2",
            Remote(
                "https://10.0.0.2:9180",
                "/etc/token",
                str(tmp_path / "two.pem"),
                "pybgpd",
            ),
        ),
        Node("here", "/run/pybgpd/pybgpd.sock"),
        Node(
            "10.0.0.3:9180",
            Remote("https://10.0.0.3:9180", token, "/given/ca", "given"),
        ),
    ]


def test_lines_without_files_take_those_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_text("a https://a:1\nb https://b:1 token\nc https://c:1 token ca\n")
    assert [node.place for node in read_nodes(file, GIVEN)] == [
        Remote("https://a:1", "/given/token", "/given/ca", "given"),
        Remote("https://b:1", "token", "/given/ca", "given"),
        Remote("https://c:1", "token", "ca", "given"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": it names no nodes"),
        ("nodes: []", ": it names no nodes"),
        ("other: 1", ":1: 'other' is not known; keys: nodes, token_file"),
        ("- a", ":1: the file: expected a mapping with nodes"),
        ("nodes: 7", ":1: nodes: expected a list"),
        ("token_file: t", ":1: nodes: expected a list"),
        ("nodes:\n  - 7", ":2: a node: expected a mapping with name, url"),
        ("nodes:\n  - {name: a}", ":2: expected url or control, and not both"),
        ("nodes:\n  - {url: x, control: y}", ":2: expected url or control"),
        ("nodes:\n  - {url: ftp://x}", ":2: url: expected one such as https://"),
        ("nodes:\n  - {control: x}", ":2: control: expected the path of a socket"),
        (
            "nodes:\n  - {control: /x, ca_file: y}",
            ":2: ca_file goes with url",
        ),
        ("nodes:\n  - {url: 7}", ":2: url: expected a text"),
        ("nodes:\n  - {url: [7]}", ":2: url: expected a text"),
        ("nodes:\n  - name: a\n    name: b", ":3: name is there twice"),
        ("nodes:\n  - {control: /x}\n  - {control: /x}", ":3: /x is named twice"),
        ("nodes: [", ":2: not YAML"),
        ("nodes: &a [*a]", ":1: "),
    ],
)
def test_what_is_wrong_in_a_yaml_file_is_named_with_its_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "nodes.yml"
    file.write_text(text)
    with pytest.raises(click.UsageError) as caught:
        read_nodes(file, GIVEN)
    assert f"nodes.yml{problem}" in str(caught.value)


def asked(*words: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["show", "peers", *words])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--from", "x", "--kubernetes"), "--from and --kubernetes exclude each other"),
        (("--selector", "a=b"), "--selector goes with --kubernetes"),
        (("--api-port", "7"), "--api-port goes with --kubernetes"),
        (("--from", "x", "--namespace", "n"), "--namespace goes with --kubernetes"),
        (("--kubernetes", "nodes", "--namespace", "x"), "nodes have no --namespace"),
        (("one", "--kubernetes", "pods"), "goes without --from and --kubernetes"),
        (("--kubernetes", "vms"), "'vms' is not one of 'pods', 'nodes'"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    words: tuple[str, ...], problem: str
) -> None:
    result = asked(*words)
    assert result.exit_code == 2, result.output
    assert problem in result.stderr


def test_a_url_is_one_daemon_and_goes_without_many() -> None:
    result = CliRunner().invoke(
        main, ["--url", "https://x", "show", "status", "--kubernetes"]
    )
    assert result.exit_code == 2
    assert "--url names one daemon" in result.stderr


def test_a_kubeconfig_in_the_environment_asks_for_nothing(tmp_path: Path) -> None:
    result = asked("--from", str(tmp_path / "none"), KUBECONFIG="/nothing")
    assert "No such file" in result.stderr
    missing = asked("--kubernetes", KUBECONFIG=str(tmp_path / "none"))
    assert missing.exit_code == 3
    assert missing.stderr == (
        f"pybgpctl: --kubernetes: {tmp_path}/none: the file does not exist\n"
    )


def test_no_credentials_for_a_cluster_say_where_they_could_be(tmp_path: Path) -> None:
    result = asked("--kubernetes", KUBECONFIG="", HOME=str(tmp_path))
    assert result.exit_code == 3
    assert f"there is no {tmp_path}/.kube/config" in result.stderr
    assert "KUBERNETES_SERVICE_HOST is not set" in result.stderr


def cluster(source: str = PODS, **more: Any) -> Cluster:
    fields = {"kubeconfig": "", "context": "", "namespace": "", "selector": ""}
    return Cluster(source, **{**fields, "port": 9180, "api": GIVEN, **more})


def test_pods_are_those_of_a_namespace_or_of_all() -> None:
    assert query_of(cluster()).path == "/api/v1/pods"
    assert query_of(cluster(namespace="n")).path == "/api/v1/namespaces/n/pods"
    assert query_of(cluster(NODES)).path == "/api/v1/nodes"


def a_pod(name: str, node: str, address: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": node},
        "status": {"podIP": address, "phase": "Pending"},
    }


def test_two_pods_of_a_node_go_by_their_own_names() -> None:
    objects = [
        a_pod("pybgpd-a", "node-1", "10.0.0.1"),
        a_pod("pybgpd-b", "node-2", "10.0.0.2"),
        a_pod("reflector", "node-2", "10.0.0.3"),
        {"metadata": {"name": "odd"}, "spec": 7, "status": {"phase": 7}},
    ]
    assert [(name, address) for name, address, _ in named_pods(objects)] == [
        ("node-1", "10.0.0.1"),
        ("pybgpd-b", "10.0.0.2"),
        ("reflector", "10.0.0.3"),
        ("odd", ""),
    ]


def test_an_answer_without_end_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def endless(*_: object) -> Any:
        while True:
            yield [{"name": "x"}] * 1000

    monkeypatch.setattr(fleet, "call", endless)
    file = tmp_path / "nodes"
    file.write_text("a /x\nb /y\n")
    given = Fleet(file, None, GIVEN)
    with pytest.raises(UnreachableNodesError, match=r"2 of 2 nodes .*: a, b"):
        fleet.print_fleet(given, "show-peers", "jsonl", fleet.FLEET_PEERS)
    monkeypatch.setattr(fleet, "_MOST_ROWS", 10**9)
    monkeypatch.setattr(fleet, "_WHOLE_TIME", 0.01)
    with pytest.raises(UnreachableNodesError):
        fleet.print_fleet(given, "show-peers", "jsonl", fleet.FLEET_PEERS)
    first, _, third, _ = capsys.readouterr().out.splitlines()
    assert "its answer has over 100000 rows" in first
    assert "its answer takes over 0.01 s" in third


def test_words_of_another_machine_do_not_move_the_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hostile(*_: object) -> list[Row]:
        raise ControlError("odd", "\x1b[2J gone")

    monkeypatch.setattr(fleet, "call", hostile)
    file = tmp_path / "nodes"
    file.write_text("a /x\n")
    with pytest.raises(UnreachableNodesError):
        fleet.print_fleet(
            Fleet(file, None, GIVEN), "show-status", "table", fleet.FLEET_STATUS
        )
    assert "?[2J gone" in capsys.readouterr().out
