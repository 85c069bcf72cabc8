import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from bgpd.cli.control import main
from bgpd.show.commands import DaemonView, ResetKind, handlers
from fib.memory import MemoryFib, MemoryKernel
from fib.routes import Fault, Hop, Target, TargetKind
from rib.family import IPV4_UNICAST
from rib.nlri import parse_address
from rib.policy import Actions, Outcome, PolicySpec, Term
from tests.support.api_places import ApiPlace
from tests.support.routes import nlris
from tests.support.terminals import OnTerminal, printed
from tests.support.world import AKernel, AProcess, World


class Told:
    """Takes what commands make the daemon do, and says what it took."""

    def reset(self, address: str, kind: ResetKind) -> list[str]:
        return [f"{address}: {kind.value}"]

    async def reload(self, *, allows_resets: bool = False) -> list[str]:
        assert not allows_resets
        return ["peer one: changed", "nothing is reset"]

    def disable(self, address: str, text: str) -> list[str]:
        return [f"{address}: down, {text!r}"]

    def enable(self, address: str) -> list[str]:
        return [f"{address}: up"]

    def shut_down(self, text: str, *, flushes: bool) -> list[str]:
        return [f"down, {text!r}, {flushes}"]


def fill(world: World) -> None:
    """Three peers, two paths for one prefix, a refused route, a changed one."""
    prefer = Term("all", Outcome.ACCEPT, actions=Actions(local_pref=250))
    world.speaker.policies.replace([PolicySpec("prefer", (prefer,))])
    one = world.up("one", "192.0.2.1", is_client=True, description="rack 4")
    two = world.up(
        "two", "192.0.2.2", is_client=True, import_policy="prefer", group="rack"
    )
    outside = world.up("outside", "198.51.100.1", 65001, import_policy="accept-all")
    world.peer("down", "192.0.2.9", group="rack", node="node-9")
    world.announce(one, "10.2.0.0/16", "10.2.1.0/24", local_pref=100, med=5)
    world.announce(two, "10.2.0.0/16", local_pref=200, communities=(0xFDE80001,))
    world.announce(outside, "10.9.0.0/16", as_path="65001 64512")


def make_fib(world: World) -> MemoryFib:
    kernel = MemoryKernel()
    fib = MemoryFib(kernel)
    world.loop.run_until_complete(fib.start())
    bad = Target(hops=(Hop(parse_address("192.0.2.2")),))
    kernel.refusals[bad] = Fault(101, "Network is unreachable")
    good = Target(hops=(Hop(parse_address("192.0.2.1"), "eth0"),))
    fib.submit(IPV4_UNICAST, nlris("10.2.0.0/16"), good)
    fib.submit(IPV4_UNICAST, nlris("10.2.1.0/24"), bad)
    fib.submit(IPV4_UNICAST, nlris("10.8.0.0/16"), Target(TargetKind.BLACKHOLE))
    return fib


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A control socket over a speaker, served by a thread."""
    path = str(tmp_path_factory.mktemp("control") / "pybgpd.sock")
    world = World(loop=asyncio.new_event_loop())  # it serves a socket
    fill(world)
    view = DaemonView(
        world.speaker,
        world.loop.time() - 3700,
        kernel=AKernel(make_fib(world)),
        process=AProcess("node-a", asn=64512, lines=["the pool is full"]),
        actions=Told(),
    )
    server = ApiPlace(path, handlers(view))
    world.loop.run_until_complete(server.start())
    thread = threading.Thread(target=world.loop.run_forever)
    thread.start()
    yield path
    asyncio.run_coroutine_threadsafe(server.close(), world.loop).result(10)
    world.loop.call_soon_threadsafe(world.loop.stop)
    thread.join(10)
    world.close()


def run(path: str, *args: str) -> Result:
    return CliRunner().invoke(main, ["--control", path, *args])


def ok(path: str, *args: str) -> str:
    result = run(path, *args)
    assert result.exit_code == 0, result.output
    return result.output


def as_json(path: str, *args: str) -> Any:
    return json.loads(ok(path, *args, "-o", "json"))


def test_peers_are_listed_in_aligned_columns_without_colour(daemon):
    output = ok(daemon, "show", "peers")
    head, *lines = output.splitlines()
    assert head.split() == (
        [
            "NAME",
            "REMOTE",
            "NODE",
            "ADDRESS",
            "AS",
            "TYPE",
            "STATE",
            "UP",
            "RECEIVED",
            "ACCEPTED",
            "FILTERED",
            "ADVERTISED",
            "FLAPS",
            "REMARK",
        ]
    )
    assert [line.split()[0] for line in lines] == ["one", "two", "down", "outside"]
    assert {line.index("Idle") for line in lines} == {head.index("STATE")}
    assert "\x1b" not in output
    assert lines[2].rstrip().endswith("disabled")


def test_one_peer_is_a_page(daemon):
    output = ok(daemon, "show", "peers", "one")
    assert output.startswith("one: ")
    assert "rack 4" in output
    assert "agreed on:" in output
    assert "capabilities received:" in output
    assert ok(daemon, "show", "peers", "down").startswith("down: ")
    assert "accept-all (by default)" in output


def test_a_node_is_a_name_of_its_peers(daemon):
    assert ok(daemon, "show", "peers", "node-9").startswith("down: ")
    assert "node-9" in ok(daemon, "show", "peers", "node-9")
    assert ok(daemon, "reset", "node-9") == "192.0.2.9: session\n"
    assert ok(daemon, "reset", "--node", "node-9", "--list") == "down\n"
    lines = ok(daemon, "show", "peers", "--node", "node-9").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["down", "node-9"]]
    shown = ok(daemon, "show", "peers", "--group", "rack", "--state", "established")
    assert "REMOTE NODE" not in shown


def test_gone_peers_go_with_a_range_alone(daemon):
    result = run(daemon, "show", "peers", "--gone", "--range", "r")
    assert (result.exit_code, result.output) == (0, "no dynamic neighbours are gone\n")
    for words in (("one",), ("--down",), ("--sort", "name")):
        result = run(daemon, "show", "peers", "--gone", *words)
        assert result.exit_code == 2
        assert "--gone goes with --range alone" in result.output


def test_routes_are_listed_with_flags_and_reasons(daemon):
    head, *lines = ok(daemon, "show", "routes").splitlines()
    assert head.split()[0] == "PREFIX"
    assert [line.split()[:4] for line in lines] == [
        ["*", "10.2.0.0/16", "192.0.2.2", "two"],
        ["10.2.0.0/16", "192.0.2.1", "one", "100"],
        ["*", "10.2.1.0/24", "192.0.2.1", "one"],
    ]
    assert lines[1].endswith("lower LOCAL_PREF")


def test_filtered_routes_are_marked(daemon):
    output = ok(daemon, "show", "routes", "--received-from", "outside")
    assert output.splitlines()[1].startswith("x  10.9.0.0/16")
    assert "our AS is in AS_PATH: AS 64512" in output


def test_told_routes_have_no_reason_column(daemon):
    head, line = ok(daemon, "show", "routes", "--advertised-to", "one").splitlines()
    assert "BECAUSE" not in head
    assert line.startswith("10.2.0.0/16  192.0.2.2  two")


def test_options_of_routes_reach_the_daemon(daemon):
    rows = as_json(
        daemon, "show", "routes", "--best", "--family", "ipv4", "--limit", "1"
    )
    assert [row["prefix"] for row in rows] == ["10.2.0.0/16"]
    rows = as_json(daemon, "show", "routes", "--prefix", "10.2.0.0/15", "--longer")
    assert len(rows) == 3
    assert len(as_json(daemon, "show", "routes", "--peer", "two")) == 1


def test_filters_and_counts_of_routes_reach_the_daemon(daemon):
    def prefixes(*words: str) -> list[str]:
        return [row["prefix"] for row in as_json(daemon, "show", "routes", *words)]

    assert prefixes("--community", "65000:*") == ["10.2.0.0/16"]
    assert prefixes("--peer", "one", "--peer", "two") == [
        "10.2.0.0/16",
        "10.2.0.0/16",
        "10.2.1.0/24",
    ]
    assert prefixes("--filtered") == ["10.9.0.0/16"]
    assert prefixes("--filtered", "--as-path", "_64512$") == ["10.9.0.0/16"]
    head, line, *_ = ok(daemon, "show", "routes", "--count").splitlines()
    assert head.split() == ["FAMILY", "PREFIXES", "ROUTES", "SELECTED"]
    assert line.split() == ["ipv4-unicast", "2", "3", "2"]
    lines = ok(daemon, "show", "routes", "--count-by", "peer").splitlines()
    assert [line.split()[2:] for line in lines[1:]] == [
        ["one", "2", "1"],
        ["two", "1", "1"],
    ]
    assert run(daemon, "show", "routes", "--community", "x").exit_code == 1


def test_kernel_routes_are_in_the_order_of_prefixes(daemon):
    rows = as_json(daemon, "show", "fib", "--prefix", "10.2.0.0/15", "--longer")
    assert [row["prefix"] for row in rows] == ["10.2.0.0/16", "10.2.1.0/24"]


def test_nothing_to_show_is_reported_beside_the_output(daemon):
    result = run(daemon, "show", "routes", "--family", "ipv6")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no matching routes" in result.stderr
    assert as_json(daemon, "show", "routes", "--family", "ipv6") == []


def test_a_route_is_explained_on_a_page(daemon):
    output = ok(daemon, "show", "route", "10.2.0.1")
    assert output.startswith("10.2.0.0/16 (requested: 10.2.0.1), ipv4-unicast\n")
    assert "selected: two" in output
    assert "path 2 of 2, from one: not selected: lower LOCAL_PREF" in output
    assert "before import policy:\n    local preference: 200" in output
    assert "advertised to one (route-reflector client), path from two" in output
    assert "because it came from this peer" in output
    assert output.endswith("kernel: via 192.0.2.1, installed\n")


def test_a_filtered_route_is_explained_on_a_page(daemon):
    output = ok(daemon, "show", "route", "10.9.0.0/16")
    assert "no path is usable" in output
    assert "filtered, from outside: our AS is in AS_PATH: AS 64512" in output
    assert output.endswith("kernel: no route of this daemon\n")


def test_kernel_routes_are_listed_with_errors(daemon):
    lines = ok(daemon, "show", "fib").splitlines()[1:]
    found = {line.split()[0]: line for line in lines}
    assert "192.0.2.1 dev eth0" in found["10.2.0.0/16"]
    assert found["10.2.1.0/24"].endswith("failed     Network is unreachable")
    assert "blackhole" in found["10.8.0.0/16"]
    assert len(as_json(daemon, "show", "fib", "--state", "failed")) == 1


def test_groups_are_listed(daemon):
    output = ok(daemon, "show", "groups", "--family", "ipv4")
    assert "route-reflector client" in output
    assert "ebgp-default-deny" in output


def test_status_is_a_page_and_one_json_object(daemon):
    output = ok(daemon, "show", "status")
    assert "up 1h01m" in output
    assert "0 of 4 established" in output
    assert "2 of 3 routes installed, 1 failed" in output
    assert "the pool is full" in output
    status = as_json(daemon, "show", "status")
    assert (status["node"], status["as"]) == ("node-a", 64512)


def test_memory_is_a_table(daemon):
    head, *lines = ok(daemon, "show", "memory").splitlines()
    assert head.split() == ["PART", "FAMILY", "OBJECTS", "MIB", "ESTIMATED"]
    assert [line.split()[0] for line in lines][-2:] == ["other", "process"]
    assert ok(daemon, "show", "bgp", "memory").startswith("PART")


def test_json_lines_are_one_object_each(daemon):
    lines = ok(daemon, "show", "peers", "-o", "jsonl").splitlines()
    assert [json.loads(line)["name"] for line in lines] == [
        "one",
        "two",
        "down",
        "outside",
    ]


@pytest.mark.parametrize(
    ("args", "output"),
    [
        (("reset", "one"), "192.0.2.1: session\n"),
        (("reset", "one", "--soft-in"), "192.0.2.1: soft-in\n"),
        (("reset", "one", "--soft-out"), "192.0.2.1: soft-out\n"),
        (("reset", "192.0.2.2", "--hard"), "192.0.2.2: hard\n"),
        (("reload",), "peer one: changed\nnothing is reset\n"),
        (("disable-peer", "one", "--text", "new RAM"), "192.0.2.1: down, 'new RAM'\n"),
        (("disable-peer", "one"), "192.0.2.1: down, ''\n"),
        (("enable-peer", "one"), "192.0.2.1: up\n"),
        (("shutdown", "--yes"), "down, '', False\n"),
        (
            ("shutdown", "--yes", "--flush", "--text", "new RAM"),
            "down, 'new RAM', True\n",
        ),
        (("reset", "one", "two", "one"), "192.0.2.1: session\n192.0.2.2: session\n"),
        (("enable-peer", "down", "outside"), "192.0.2.9: up\n198.51.100.1: up\n"),
        (
            ("disable-peer", "--group", "rack", "--yes", "--text", "off"),
            "192.0.2.2: down, 'off'\n192.0.2.9: down, 'off'\n",
        ),
        (
            ("reset", "--all", "--yes", "--soft-out"),
            (
                "192.0.2.1: soft-out\n192.0.2.2: soft-out\n"
                "192.0.2.9: soft-out\n198.51.100.1: soft-out\n"
            ),
        ),
        (("reset", "--all", "--list"), "one\ntwo\ndown\noutside\n"),
        (("reset", "one", "--group", "rack", "--list"), "one\ntwo\ndown\n"),
    ],
)
def test_changes_print_what_was_done(daemon, args, output):
    assert ok(daemon, *args) == output


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("show", "peers", "three"), "expected: down, one, outside, two"),
        (("show", "route", "10.2.0.0/15"), "no route 10.2.0.0/15"),
        (
            ("show", "routes", "--prefix", "ten"),
            "'ten' is neither a prefix nor an address",
        ),
        (("reset", "three"), "there is no peer 'three'"),
    ],
)
def test_an_error_of_the_daemon_is_exit_code_1(daemon, args, text):
    result = run(daemon, *args)
    assert result.exit_code == 1
    assert text in result.stderr
    assert result.stdout == ""
    if args[0] == "show":
        assert run(daemon, *args, "-o", "json").stdout == ""


@pytest.mark.parametrize(
    "args", [("show", "nothing"), ("show", "peers", "-o", "xml"), ("reset",), ("--no",)]
)
def test_wrong_usage_is_exit_code_2(daemon, args):
    assert run(daemon, *args).exit_code == 2


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("shutdown",), "no terminal to ask on: use --yes"),
        (("reset", "--all"), "reset 4 peers: one, two, down, outside?"),
        (("reset", "--group", "rack"), "use --yes"),
        (("reset", "all"), "to reset all peers, use --all"),
        (("clear", "bgp", "*"), "to reset all peers, use --all"),
        (("reset",), "name a PEER, or use --group, --range, --node or --all"),
        (("reset", "one", "--all"), "--all goes without PEER"),
        (("reset", "--group", "rick"), "--group rick has no peers; some have: rack"),
        (("enable-peer", "--range", "x"), "--range x has no peers; some have: none"),
        (("show", "peers", "one", "--down"), "goes without --down"),
    ],
)
def test_what_was_not_named_one_by_one_has_to_be_confirmed(daemon, args, text):
    result = run(daemon, *args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


def test_a_peer_that_is_rejected_stops_no_other(daemon):
    result = run(daemon, "reset", "one", "three", "two")
    assert result.exit_code == 1
    assert result.stdout == "192.0.2.1: session\n192.0.2.2: session\n"
    assert "there is no peer 'three'" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "code", "text"),
    [("y", 0, "192.0.2.1: session"), ("n", 1, "Aborted")],
)
def test_a_terminal_is_asked(daemon, key, code, text):
    with OnTerminal("--control", daemon, "reset", "--all", TERM="xterm") as terminal:
        terminal.until("reset 4 peers: one, two, down, outside?")
        terminal.type(f"{key}\n")
        assert terminal.ended() == code
    assert text in terminal.plain


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--group", "rack"), ["two", "down"]),
        (("--range", "x"), []),
        (("--state", "idle", "--sort", "name"), ["down", "one", "outside", "two"]),
        (("--state", "established"), []),
        (("--down",), ["one", "two", "down", "outside"]),
        (("--sort", "received"), ["one", "two", "outside", "down"]),
        (("--sort", "address"), ["one", "two", "down", "outside"]),
        (("--sort", "uptime"), ["one", "two", "down", "outside"]),
        (("--sort", "flaps"), ["one", "two", "down", "outside"]),
        (("--sort", "state"), ["one", "two", "down", "outside"]),
    ],
)
def test_peers_are_filtered_and_sorted(daemon, words, names):
    rows = as_json(daemon, "show", "peers", *words)
    assert [row["name"] for row in rows] == names


def fleet_file(folder, *lines):
    file = folder / "nodes"
    file.write_text("\n".join(("# our racks", "", *lines)))
    return str(file)


def test_peers_of_many_nodes_stand_in_one_table(daemon, tmp_path):
    file = fleet_file(tmp_path, f"rack-1 {daemon}", f"rack-2 {daemon}  # the other")
    rows = as_json(daemon, "show", "peers", "--from", file, "--group", "rack")
    assert [(row["node"], row["name"]) for row in rows] == [
        ("rack-1", "two"),
        ("rack-1", "down"),
        ("rack-2", "two"),
        ("rack-2", "down"),
    ]
    head, line, *_ = ok(daemon, "show", "peers", "--from", file).splitlines()
    assert head.split()[:2] == ["NODE", "NAME"]
    assert line.split()[:2] == ["rack-1", "one"]
    head, *lines = ok(daemon, "show", "status", "--from", file).splitlines()
    assert head.split()[:2] == ["NODE", "VERSION"]
    assert [line.split()[0] for line in lines] == ["rack-1", "rack-2"]


def test_a_node_that_does_not_answer_hides_no_other(daemon, tmp_path):
    gone = tmp_path / "gone.sock"
    file = fleet_file(
        tmp_path,
        f"rack-1 {daemon}",
        f"rack-2 {gone}",
        "rack-3 http://127.0.0.1:1",
        f"rack-4 {daemon}",
    )
    result = run(daemon, "show", "peers", "--from", file)
    assert result.exit_code == 5
    assert {line.split()[0] for line in result.stdout.splitlines()[1:]} == {
        "rack-1",
        "rack-2",
        "rack-3",
        "rack-4",
    }
    (lost,) = (line for line in result.stdout.splitlines() if "rack-2" in line)
    reason = f"{gone}: no such socket; is pybgpd running?"
    assert lost.split(maxsplit=11)[0] == "rack-2"
    assert lost.endswith(reason)
    assert set(lost.removeprefix("rack-2").removesuffix(reason)) == {" ", "-"}
    assert result.stderr == ("pybgpctl: 2 of 4 nodes did not answer: rack-2, rack-3\n")
    status = run(daemon, "show", "status", "--from", file, "-o", "json")
    assert status.exit_code == 5
    rows = json.loads(status.stdout)
    assert [row["node"] for row in rows] == ["rack-1", "rack-2", "rack-3", "rack-4"]
    assert rows[1] == {"node": "rack-2", "error": reason}
    assert rows[3]["router_id"] == rows[0]["router_id"]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ((), "it names no nodes"),
        (("rack-1 somewhere",), "nodes:3: expected NAME and URL or PATH"),
        (("rack-1 http://a token ca more",), "nodes:3: expected NAME and URL or PATH"),
        (("a /x", "a /y"), "nodes:4: a is named twice"),
    ],
)
def test_a_file_of_nodes_that_is_wrong_is_an_error_with_its_line(
    daemon, tmp_path, lines, text
):
    result = run(daemon, "show", "peers", "--from", fleet_file(tmp_path, *lines))
    assert result.exit_code == 2
    assert text in result.stderr
    missing = run(daemon, "show", "status", "--from", str(tmp_path / "none"))
    assert missing.exit_code == 2
    assert "No such file" in missing.stderr


def test_no_daemon_is_exit_code_3_with_the_path_and_a_hint(tmp_path):
    path = str(tmp_path / "none.sock")
    result = run(path, "show", "status")
    assert result.exit_code == 3
    assert path in result.stderr
    assert "is pybgpd running?" in result.stderr
    assert "--control" in result.stderr


@pytest.mark.parametrize("name", ["PYBGPD_CONTROL_PATH", "PYBGPD_CONTROL"])
def test_the_variable_names_the_socket(daemon, name):
    result = CliRunner(env={name: daemon}).invoke(main, ["show", "peers"])
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "kinds",
    [
        ("--soft-in", "--hard"),
        ("--hard", "--soft-in"),
        ("--soft-in", "--soft-out"),
        ("--soft-in", "--soft-out", "--hard"),
    ],
)
def test_kinds_of_a_reset_exclude_each_other(daemon, kinds):
    result = run(daemon, "reset", "one", *kinds)
    assert result.exit_code == 2
    assert "use only one of these options" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("show",),
        *(("show", n) for n in ("peers", "routes", "route", "fib", "groups", "status")),
        ("reset",),
        ("reload",),
        ("disable-peer",),
        ("enable-peer",),
        ("shutdown",),
    ],
)
def test_every_command_has_help_that_fits(args):
    result = CliRunner().invoke(main, [*args, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert all(len(line) <= 88 for line in result.output.splitlines())


def test_version_is_printed():
    assert CliRunner().invoke(main, ["--version"]).output.startswith("pybgpctl ")


def test_the_command_starts_without_the_daemons_modules(daemon):
    script = (
        "import sys\n"
        "from bgpd.cli.control import main\n"
        "main(standalone_mode=False)\n"
        "heavy = {'asyncio', 'rich', 'rib', 'bgpd.daemon', 'pydantic'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    root = Path(__file__).parents[4]
    result = subprocess.run(
        [sys.executable, "-c", script, "--control", daemon, "show", "peers"],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("NAME")


def on_a_terminal(daemon, *words, **environment):
    """Return what a command prints on a terminal of its own."""
    return printed("--control", daemon, *words, **environment)


def test_a_narrow_terminal_breaks_long_columns_and_cuts_nothing(daemon):
    text = on_a_terminal(daemon, "show", "routes", COLUMNS="40", TERM="xterm")
    assert "10.2.0.0/16" in text
    assert "LOCAL_PREF" in text
    assert "ECMP" in text.splitlines()[-1]


@pytest.mark.parametrize(
    "environment", [{}, {"TERM": "dumb"}, {"TERM": "unknown"}, {"TERM": ""}]
)
def test_a_terminal_without_abilities_is_given_whole_lines(daemon, environment):
    piped = run(daemon, "show", "peers").stdout
    shown = on_a_terminal(daemon, "show", "peers", COLUMNS="40", **environment)
    heads = [line.split() for line in (piped, shown)]
    assert heads[0][:13] == heads[1][:13]
    assert heads[1][13] == "REMARK"
    assert "\x1b" not in shown
    assert "\u2026" not in shown


@pytest.mark.slow
def test_a_state_has_its_colour_on_a_terminal_that_has_any(daemon):
    show = "show", "fib"
    assert "\x1b[31mfailed" in on_a_terminal(daemon, *show, TERM="xterm")
    assert "\x1b[31m" not in on_a_terminal(daemon, *show, TERM="xterm", NO_COLOR="1")
    assert "\x1b[31mfailed" in ok(daemon, *show, "--color", "always")
    assert "\x1b" not in ok(daemon, *show)


@pytest.mark.slow
def test_long_output_goes_through_the_pager_and_short_does_not(daemon):
    show = "show", "peers"
    pager = {"TERM": "xterm", "COLUMNS": "200", "PAGER": "sed s/^/paged:/"}
    assert "paged:" in on_a_terminal(daemon, *show, LINES="4", **pager)
    assert "paged:" not in on_a_terminal(daemon, *show, LINES="24", **pager)
    assert "paged:" not in on_a_terminal(
        daemon, *show, "--no-pager", LINES="4", **pager
    )


@pytest.mark.slow
@pytest.mark.parametrize("pager", ["", "cat", "no-such-pager", "an 'open quote"])
def test_without_a_pager_long_output_is_printed(daemon, pager):
    shown = on_a_terminal(daemon, "show", "peers", TERM="xterm", LINES="2", PAGER=pager)
    assert "outside" in shown


@pytest.mark.slow
def test_a_reader_can_leave_the_pager_early(daemon):
    shown = on_a_terminal(
        daemon, "show", "routes", TERM="xterm", LINES="2", PAGER="head -n 1"
    )
    assert shown.count("\n") == 1


@pytest.mark.slow
def test_watch_draws_over_its_last_answer_until_it_is_interrupted(daemon):
    words = "--control", daemon, "show", "peers", "--watch", "0.1"
    with OnTerminal(*words, size=(120, 40), TERM="xterm") as terminal:
        terminal.until("\x1b[H", times=3)
        terminal.interrupt()
        assert terminal.ended() == 0
    assert terminal.output.endswith("\x1b[?1049l")
    assert "every 0.1 s; Ctrl-C ends" in terminal.plain
    assert "outside" in terminal.plain
    assert "Traceback" not in terminal.output


@pytest.mark.slow
def test_watch_shows_no_more_lines_than_the_screen_has(daemon):
    words = "--control", daemon, "show", "routes", "--watch"
    with OnTerminal(*words, size=(120, 4), TERM="xterm") as terminal:
        terminal.until("(more than the screen holds)")
        terminal.interrupt()
        assert terminal.ended() == 0


def test_every_list_and_page_has_every_format(daemon):
    for words in (("peers",), ("peers", "one"), ("routes",), ("fib",), ("status",)):
        show = "show", *words
        rows = [
            json.loads(line) for line in ok(daemon, *show, "-o", "jsonl").splitlines()
        ]
        whole = as_json(daemon, *show)
        found = yaml.safe_load(ok(daemon, *show, "-o", "yaml"))
        expected = rows if isinstance(whole, list) else rows[0]
        for some in (whole, found, expected):
            for row in some if isinstance(some, list) else [some]:
                for moving in (
                    "uptime",
                    "age",
                    "since",
                    "last_reset_at",
                    "memory",
                    "loop_lag",
                ):
                    row.pop(moving, None)
        assert whole == found == expected
        assert ok(daemon, *show, "-o", "wide")
    assert ok(daemon, "show", "routes", "--family", "ipv6", "-o", "yaml") == "[]\n"


def test_the_wide_table_has_more_columns(daemon):
    head = ok(daemon, "show", "routes", "-o", "wide").splitlines()[0]
    assert "LARGE COMMUNITIES" in head
    assert "LARGE COMMUNITIES" not in ok(daemon, "show", "routes").splitlines()[0]


def test_every_command_of_the_page_exists():
    page = (Path(__file__).parents[4] / "docs" / "commands.md").read_text()
    found = set(
        re.findall(r"^(?:\| `|\$ )pybgpctl ((?:[a-z-]+ ?)+)", page, re.MULTILINE)
    )
    assert len(found) >= 10
    for words in found:
        command: click.Command = main
        for word in words.split():
            if isinstance(command, click.Group):
                assert word in command.commands
                command = command.commands[word]
    documented = {words.split()[0] for words in found}
    assert documented == main.commands.keys()
    options = set(re.findall(r"`(--[a-z-]+)", page))
    known = {o for c in (main, *_all_commands(main)) for p in c.params for o in p.opts}
    assert options <= known


def _all_commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from _all_commands(command)
