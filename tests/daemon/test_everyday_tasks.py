"""The everyday tasks of docs/commands.md, each by its command, between real daemons.

``here`` is asked. ``first`` (AS 65001) and ``second`` (AS 65002) advertise routes to it; what it
advertises is what they say they received.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml
from click.testing import CliRunner

from bgpd.cli.control import main
from tests.support.daemons import Daemon, write_yaml
from tests.support.speakers import own_network

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PORT: Final = 17943
AS: Final = {"here": 64512, "first": 65001, "second": 65002}
MARKED: Final = ["65001:7"]
POLICIES: Final = {
    "no-private": {
        "terms": [{"match": {"prefixes": ["192.168.1.0/24"]}, "action": "reject"}],
        "default": "accept",
    },
    "mark": {
        "terms": [
            {
                "match": {"prefixes": ["10.1.0.0/16"]},
                "set": {"communities": {"add": MARKED}},
                "action": "accept",
            }
        ],
        "default": "accept",
    },
    "far": {
        "terms": [{"set": {"prepend": [65002, 65002]}, "action": "accept"}],
    },
}
ROUTES: Final = {
    "here": ["172.16.0.0/16"],
    "first": ["10.1.0.0/16", "10.1.2.0/24", "192.168.1.0/24"],
    "second": ["10.1.0.0/16", "10.3.0.0/16"],
}


class Net(NamedTuple):
    """Three daemons."""

    folder: Path
    daemons: dict[str, Daemon]

    def tool(self, *words: str, asked: str = "here") -> str:
        """Return what ``pybgpctl`` prints."""
        control = self.daemons[asked].control
        result = CliRunner().invoke(main, ["--control", control, *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    def rows(self, *words: str, asked: str = "here") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self.tool(*words, "-o", "json", asked=asked)
        )
        return found

    def peer(self, name: str, asked: str = "here") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.tool("show", "peers", name, "-o", "json", asked=asked)
        )
        return found


def content(folder: Path, network: str, name: str) -> dict[str, Any]:
    addresses = {each: f"{network}.{n}" for n, each in enumerate(AS, 1)}
    others = [each for each in AS if "here" in (name, each) and each != name]
    export = {"first": "mark", "second": "far"}.get(name, "accept-all")
    return {
        "bgp": {
            "as": AS[name],
            "router_id": addresses[name].replace("127.", "10.", 1),
            "listen": {"addresses": [addresses[name]], "port": PORT},
        },
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control.sock")},
        "policies": POLICIES,
        "routes": {"originate": [{"prefix": each} for each in ROUTES[name]]},
        "peers": [
            {
                "name": each,
                "address": addresses[each],
                "as": AS[each],
                "port": PORT,
                "local_address": addresses[name],
                "connect_retry_time": 1,
                "import_policy": "no-private" if name == "here" else "accept-all",
                "export_policy": export,
            }
            for each in others
        ],
    }


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    root, network = tmp_path_factory.mktemp("n"), own_network()
    with ExitStack() as stack:
        found = Net(root, {})
        for name in AS:
            folder = root / name
            folder.mkdir()
            file = write_yaml(folder / "pybgpd.yaml", content(folder, network, name))
            daemon = Daemon(folder, "run", "--config", str(file))
            found.daemons[name] = stack.enter_context(daemon)
        here = found.daemons["here"]
        here.until(lambda: here.are_up(f"{network}.2", f"{network}.3"), 30)
        here.until(lambda: len(here.prefixes()) == 4, 30)
        for name in ("first", "second"):
            other = found.daemons[name]
            other.until(partial(_has, other, "172.16.0.0/16"), 30)
        yield found


def _has(daemon: Daemon, prefix: str) -> bool:
    return prefix in daemon.prefixes()


def test_1_sessions_have_a_line_each(net: Net) -> None:
    head, *lines = net.tool("show", "peers").splitlines()
    columns = head.split()
    for line, name, received, accepted in zip(
        lines, ("first", "second"), ("3", "2"), ("2", "2"), strict=True
    ):
        cells = dict(zip(columns, line.split(), strict=False))
        assert cells["NAME"] == name
        assert cells["AS"] == str(AS[name])
        assert cells["STATE"] == "Established"
        assert (cells["RECEIVED"], cells["ACCEPTED"]) == (received, accepted)


def test_2_a_peer_has_a_page_with_what_was_agreed_on(net: Net) -> None:
    page = net.tool("show", "peers", "first")
    assert page.startswith("first: ")
    for text in ("Established", "65001", "no-private", "capabilities received:"):
        assert text in page
    peer = net.peer("first")
    assert peer["negotiated"]["hold_time"] == 90


def test_3_a_route_says_why_its_best_path_was_chosen(net: Net) -> None:
    page = net.tool("show", "route", "10.1.0.0/16")
    assert "selected: first" in page
    assert "from second: not selected: longer AS_PATH" in page


def test_4_what_a_peer_is_advertised_is_what_it_received(net: Net) -> None:
    for name in ("first", "second"):
        told = net.rows("show", "routes", "--advertised-to", name)
        got = net.rows("show", "routes", "--received-from", "here", asked=name)
        assert {row["prefix"] for row in told} >= {"172.16.0.0/16"}
        kept = ("as_path", "next_hop", "origin", "communities")
        assert {
            (row["prefix"], *(str(row["attributes"].get(key)) for key in kept))
            for row in told
        } == {
            (row["prefix"], *(str(row["attributes"].get(key)) for key in kept))
            for row in got
        }


def test_5_what_was_filtered_has_its_reason(net: Net) -> None:
    (row,) = net.rows("show", "routes", "--filtered")
    assert (row["prefix"], row["peer"]) == ("192.168.1.0/24", "first")
    assert row["reason"] == "import policy: term 1"
    assert "192.168.1.0/24" in net.tool("show", "routes", "--filtered")


def test_6_routes_are_found_by_community_and_as_path(net: Net) -> None:
    words = ("show", "routes", "--community", "65001:*", "--as-path", "^65001$")
    assert [row["prefix"] for row in net.rows(*words)] == ["10.1.0.0/16"]
    assert net.rows(*words[:4], "--as-path", "_65002$") == []


def test_7_an_address_is_of_the_longest_prefix_that_covers_it(net: Net) -> None:
    for address, prefix in (
        ("10.1.2.9", "10.1.2.0/24"),
        ("10.1.3.9", "10.1.0.0/16"),
        ("10.3.255.255", "10.3.0.0/16"),
    ):
        page = net.tool("show", "route", address)
        assert page.startswith(f"{prefix} (requested: {address})")


def test_10_a_soft_reset_asks_for_routes_again_and_keeps_sessions(net: Net) -> None:
    def refreshes(name: str) -> int:
        peer = net.peer("here", asked=name)
        return int(peer["messages"]["route-refresh"]["received"])

    before = {name: refreshes(name) for name in ("first", "second")}
    flaps = [row["flaps"] for row in net.rows("show", "peers")]
    net.tool("reset", "--all", "--soft-in", "--yes")
    net.daemons["here"].until(
        lambda: all(refreshes(name) > before[name] for name in before)
    )
    assert [row["flaps"] for row in net.rows("show", "peers")] == flaps


def test_11_a_drained_peer_keeps_its_session_and_learns_to_go_elsewhere(
    net: Net,
) -> None:
    def communities() -> str:
        words = ("show", "routes", "--received-from", "here", "--prefix")
        (row,) = net.rows(*words, "172.16.0.0/16", asked="second")
        return str(row["attributes"].get("communities"))

    assert "graceful-shutdown" not in communities()
    words = ("drain", "second", "--wait", "1", "--no-shutdown", "--yes")
    net.tool(*words)
    other = net.daemons["second"]
    other.until(lambda: "graceful-shutdown" in communities())
    assert net.rows("show", "peers", "--down") == []
    net.tool("undrain", "second")
    other.until(lambda: "graceful-shutdown" not in communities())


def test_12_the_other_side_reads_why_a_session_was_shut_down(net: Net) -> None:
    net.tool("disable-peer", "second", "--text", "fibre works until noon")
    try:
        other = net.daemons["second"]
        other.until(
            lambda: (
                "fibre works until noon"
                in (net.peer("here", asked="second")["last_reset"] or "")
            )
        )
        (row,) = net.rows("show", "peers", "--down")
        assert (row["name"], row["is_enabled"]) == ("second", False)
    finally:
        net.tool("enable-peer", "second")
    here = net.daemons["here"]
    here.until(lambda: len(net.rows("show", "peers", "--down")) == 0, 30)
    here.until(lambda: "10.3.0.0/16" in here.prefixes(), 30)


def test_14_prefixes_are_counted_by_community(net: Net) -> None:
    (row,) = net.rows("show", "routes", "--count-by", "community")
    assert (row["value"], row["routes"]) == ("65001:7", 1)
    (total,) = net.rows(
        "show", "routes", "--count", "--peer", "first", "--family", "ipv4"
    )
    assert (total["prefixes"], total["routes"]) == (2, 2)


def test_15_memory_is_listed_by_part(net: Net) -> None:
    rows = {
        (row["part"], row["family"]): row["octets"]
        for row in net.rows("show", "memory")
    }
    status = Path(f"/proc/{net.daemons['here'].process.pid}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0]) * 1024
    assert 0 < rows["loc-rib", "ipv4-unicast"] < rows["process", None]
    assert rows["process", None] == pytest.approx(resident, rel=0.1)
    assert "loc-rib" in net.tool("show", "memory")


def test_22_every_answer_has_every_format(net: Net) -> None:
    for words in (
        ("peers",),
        ("routes",),
        ("groups",),
        ("memory",),
        ("peers", "first"),
        ("route", "10.1.0.0/16"),
        ("status",),
    ):
        whole = json.loads(net.tool("show", *words, "-o", "json"))
        lines = net.tool("show", *words, "-o", "jsonl").splitlines()
        form = yaml.safe_load(net.tool("show", *words, "-o", "yaml"))
        rows = whole if isinstance(whole, list) else [whole]
        assert type(form) is type(whole)
        forms = form if isinstance(form, list) else [form]
        assert len(rows) == len(lines) == len(forms)
        for row, line, each in zip(rows, lines, forms, strict=True):
            assert row.keys() == json.loads(line).keys() == each.keys()
