"""Looking glasses and exporters ask us as they ask BIRD, and read the same of both.

BIRD and our daemon have the same routes: those that BIRD announces, some of which our import
policy refuses. The commands are those of birdwatcher (Alice-LG), bird-lg-go and the exporter; the
expressions that read the answers are theirs, in Python.
"""

import json
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import pairs
from tests.support.daemons import Daemon, write_yaml
from tests.support.pairs import a_bird
from tests.support.peer_lab import programs_of
from tests.support.routers import eventually, needs
from tests.support.speakers import own_network

pytestmark = [needs("bird"), pytest.mark.xdist_group("looking glasses")]
PORT = 17933
BIRD_3 = f"{programs_of('bird3', 'trixie')}/bird"
ASN = 64512

STATICS = """
    protocol static s4 {
      ipv4 { import all; };
      route 10.1.0.0/24 blackhole { bgp_path.prepend(65010); bgp_path.prepend(65001);
        bgp_community.add((65000,1)); bgp_community.add((65000,77));
        bgp_large_community.add((65000,1,2)); bgp_ext_community.add((rt,65000,7)); };
      route 10.1.1.0/24 blackhole { bgp_path.prepend(65020); bgp_med = 7;
        bgp_community.add((65001,5)); };
      route 10.1.0.0/16 blackhole { bgp_local_pref = 50; };
      route 10.2.0.0/17 blackhole { bgp_path.prepend(65010); bgp_path.prepend(65001);
        bgp_path.prepend(65001); bgp_origin = ORIGIN_INCOMPLETE; };
      route 192.168.7.0/24 blackhole;
    }
    protocol static s6 {
      ipv6 { import all; };
      route 2001:db8:1::/48 blackhole { bgp_path.prepend(65010); };
      route 2001:db8::/32 blackhole { bgp_community.add((65000,1)); };
    }
"""


class Beside(NamedTuple):
    """A BIRD and our daemon with a session between them.

    Attributes:
        bird: BIRD's socket.
        ours: Ours.
        peer: The name of our protocol.
        far: BIRD's address.
    """

    bird: str
    ours: str
    peer: str
    far: str


def ask(path: str, *commands: str) -> list[str]:
    """Return the lines of the last answer as a client shows them; an error is a line, too."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(path)
        stream = client.makefile("rw", encoding="utf-8")
        stream.readline()
        lines: list[str] = []
        for command in commands:
            stream.write(command + "\n")
            stream.flush()
            lines = []
            while True:
                line = stream.readline().rstrip("\n")
                assert len(line) < 1024
                if match := re.match(r"(\d{4})([ -])(.*)", line):
                    lines.append(match[3] if match[1] < "8000" else f"! {match[3]}")
                    if match[2] == " ":
                        break
                else:
                    lines.append(line[1:])
    return lines if lines[-1] else lines[:-1]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    with both(tmp_path_factory.mktemp("glass")) as found:
        yield found


@contextmanager
def both(folder: Path) -> Iterator[Beside]:
    """Run BIRD and our daemon until they have the same routes, and then until the end."""
    network = own_network()
    near, far = f"{network}.1", f"{network}.2"
    bird = f"""
        router id 10.0.0.2; log stderr all; timeformat protocol iso long; timeformat route iso long;
        protocol device {{ }}
        {STATICS}
        protocol bgp ours {{
          strict bind yes;
          local {far} port {PORT} as {ASN}; neighbor {near} port {PORT} as {ASN}; multihop;
          connect delay time 1; connect retry time 1; rr client;
          ipv4 {{ import all; export all; next hop self; }};
          ipv6 {{ import all; export all; next hop address 2001:db8:ffff::2; }};
        }}
    """
    both = [{"name": "ipv4-unicast"}, {"name": "ipv6-unicast"}]
    content = {
        "bgp": {
            "as": ASN,
            "router_id": "10.0.0.1",
            "listen": {"addresses": [near], "port": PORT},
            "defaults": {"port": PORT, "connect_retry_time": 1, "families": both},
        },
        "peers": [
            {
                "name": "bird-2",
                "address": far,
                "as": ASN,
                "local_address": near,
                "description": "the other one",
                "import_policy": "no-private",
            }
        ],
        "policies": {
            "no-private": {
                "terms": [
                    {"match": {"prefixes": ["192.168.7.0/24"]}, "action": "reject"},
                    {"action": "accept"},
                ]
            }
        },
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control.sock")},
        "bird": {
            "ipv4": str(folder / "one.ctl"),
            "ipv6": str(folder / "six.ctl"),
            "looking_glass": str(folder / "glass.ctl"),
        },
    }
    file = write_yaml(folder / "pybgpd.yaml", content)
    with a_bird(folder, bird), Daemon(folder, "run", "--config", str(file)):
        found = Beside(
            str(folder / "bird.ctl"), str(folder / "glass.ctl"), "bird_2", far
        )

        def is_complete() -> bool:
            if not Path(found.ours).exists():
                return False
            return (
                "6 of 6 routes for 6 networks"
                in ask(found.ours, "show route count")[-1]
            )

        assert eventually(is_complete, timeout=40)
        yield found


def prefixes(lines: list[str]) -> list[str]:
    """Return the prefixes that lines show, in any order."""
    found = [line.split()[0] for line in lines if re.match(r"[0-9a-f.:]+/\d+ ", line)]
    return sorted(found)


EXPRESSIONS = (
    "net ~ [ 10.1.0.0/16+ ]",
    "net ~ [ 10.1.0.0/16 ]",
    "net ~ [ 10.1.0.0/24- ]",
    "net ~ [ 10.0.0.0/8{17,24}, 192.168.0.0/16+ ]",
    "net ~ 10.1.0.0/16",
    "net = 10.1.0.0/24",
    "net.len > 17 && net.type = NET_IP4",
    "net.type = NET_IP6",
    "net ~ [ 2001:db8::/32+ ]",
    "bgp_path.last = 65010",
    "bgp_path.first = 65001",
    "bgp_path.len >= 2",
    "bgp_path ~ [= * 65010 =]",
    "bgp_path ~ [= 65001 * =]",
    "bgp_path ~ [= 65001 ? 65010 =]",
    "bgp_path ~ [= ? =]",
    "bgp_path ~ [= =]",
    "bgp_path ~ [= * [65020, 65001] * =]",
    "bgp_path ~ [65020, 65100..65200]",
    "65001 ~ bgp_path",
    "(65000,1) ~ bgp_community",
    "bgp_community ~ [(65000,*)]",
    "bgp_community ~ [(65000,70..80), (65001,5)]",
    "(65000,1,2) ~ bgp_large_community",
    "bgp_large_community ~ [(65000,1,*)]",
    "bgp_large_community ~ [(65000,*,*)]",
    "(rt,65000,7) ~ bgp_ext_community",
    "bgp_ext_community ~ [(rt,65000,*)]",
    "bgp_local_pref < 100 && net.type = NET_IP4",
    "bgp_origin = ORIGIN_INCOMPLETE",
    "bgp_origin ~ [ORIGIN_IGP, ORIGIN_EGP] && net.len = 24",
    "defined(bgp_med) && bgp_med = 7",
    "!(net ~ [ 10.1.0.0/16+ ]) && net.type = NET_IP4",
    "(bgp_path.last = 65020 || bgp_path.last = 65010) && net ~ 10.0.0.0/8",
    "true",
    "false",
)


ON_THE_WAY = {
    "bgp_local_pref < 100 && net.type = NET_IP4": ["10.1.0.0/16"],
    "bgp_origin ~ [ORIGIN_IGP, ORIGIN_EGP] && net.len = 24": [
        "10.1.0.0/24",
        "10.1.1.0/24",
    ],
}


def test_expressions_choose_the_routes_that_bird_chooses(beside: Beside) -> None:
    assert unlike_bird(beside) == {}


@pytest.mark.skipif(
    not Path(BIRD_3).exists(), reason="no BIRD 3: .ci/peers trixie unpacks it"
)
def test_expressions_choose_the_routes_that_bird_3_chooses(
    beside: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del beside  # it uses the other port
    monkeypatch.setattr(pairs, "BIRD", BIRD_3)
    monkeypatch.setattr("tests.interop.test_looking_glasses.PORT", PORT + 1)
    with both(tmp_path) as found:
        assert unlike_bird(found) == {}


def unlike_bird(beside: Beside) -> dict[str, tuple[list[str], list[str]]]:
    """Return the expressions for which we choose other routes than BIRD, with both."""
    unlike = {}
    for text in EXPRESSIONS:
        # What BIRD announces, its static protocols have; we refuse one of its prefixes.
        theirs: list[str] = []
        for protocol in ("s4", "s6"):
            command = f"show route protocol {protocol} where {text}"
            theirs += prefixes(ask(beside.bird, command))
        wanted = sorted(each for each in theirs if not each.startswith("192.168."))
        # Attributes that BIRD adds on the way are not those of its static routes.
        wanted = ON_THE_WAY.get(text, wanted)
        command = f"show route protocol {beside.peer} where {text}"
        found = prefixes(ask(beside.ours, command))
        if found != wanted:
            unlike[text] = (found, wanted)
    return unlike


def test_wrong_expressions_are_errors_in_both(beside: Beside) -> None:
    for text in (
        "",
        "net ~",
        "foo = 1",
        "bgp_path",
        "net ~ [",
        "(net.len > 1",
        "net.len ~ [= 1 =]",
        "1 +",
        "bgp_community ~ [(1,2,3)]",
        "net.len = 24 &&",
    ):
        for path in (beside.bird, beside.ours):
            answer = ask(path, f"show route where {text}")
            is_error = len(answer) == 1 and answer[0].startswith("! ")
            # BIRD finds some types that do not fit when it runs, and shows nothing.
            assert is_error or (path == beside.bird and not prefixes(answer)), text


SHAPES = (
    (r"Table master[46]:", "table"),
    (r"[0-9a-f.:]+/\d+ +(?:unicast|unreachable|blackhole) \[", "route"),
    (r"\tvia \S+ on \S+", "hop"),
    (r"\tType: (?:BGP|static) univ", "type"),
    (r"\tBGP\.(origin|as_path|next_hop|local_pref|med|community): ", "attribute"),
    (r"\tBGP\.(large_community|ext_community): ", "attribute"),
    (r"", "empty"),
)


def test_a_route_in_full_has_bird_s_form(beside: Beside) -> None:
    ours = ask(beside.ours, "show route 10.1.0.0/24 all")
    for line in ours:
        assert any(re.match(shape, line) for shape, _ in SHAPES), line
    theirs = ask(beside.bird, "show route 10.1.0.0/24 all")
    for name in ("as_path", "community", "large_community", "ext_community"):
        (mine,) = [line for line in ours if line.startswith(f"\tBGP.{name}:")]
        assert mine in theirs


# -- birdwatcher, the source of Alice-LG ----------------------------------------------------

ADDRESS, PREFIX = r"[0-9a-f.:]+", r"[0-9a-f.:/]+"
WATCHED_ROUTE = re.compile(
    rf"({PREFIX})?\s+(?:unicast|blackhole)\s+\[([\w.:]+)\s+([0-9\-:.\s]+)"
    rf"(?:\s+from\s+({PREFIX}))?\]\s+(?:(\*)\s+)?\((\d+)(?:/\d+)?(?:/[^)]*)?\).*"
)
WATCHED_GATEWAY = re.compile(rf"\s+via\s+({ADDRESS})\s+on\s+([^/\s]+)\s*")
WATCHED_PROTOCOL = re.compile(
    r"(?:1002-)?(\S+)\s+(\w+)\s+(\S+)\s+(\S+)\s+"
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\S+)(?:\s+(.*?)\s*)?"
)
WATCHED_COUNT = re.compile(r"(\d+)\s+of\s+(\d+)\s+routes.*")
WATCHED_SYMBOL = re.compile(r"(\S+)\s+(.+)\s*")
WATCHED_CHANGES = re.compile(
    r".*(Import|Export) (updates|withdraws):(?:\s+(?:\d+|---)){5}\s*"
)

# Command and how many routes it shows, {} being our protocol and its peer's address.
WATCHED = (
    ("10.1.0.0/24 all where net.type = NET_IP4", 1),
    ("all protocol '{0}' where net.type = NET_IP4", 4),
    ("all protocol '{0}' where net.type = NET_IP6", 2),
    ("all where from={1}", 6),
    ("table 'master4' all where from={1}", 4),
    ("table 'master4' noexport '{0}' where from='{1}' count", 4),
    ("table 'master4' noexport '{0}' all", 4),
    ("table 'master4' noexport '{0}' protocol '{0}' all", 4),
    ("all filtered protocol '{0}' where net.type = NET_IP4", 1),
    ("all export '{0}' where net.type = NET_IP4", 0),
    ("all noexport '{0}' where net.type = NET_IP4", 4),
    ("export '{0}' count where net.type = NET_IP4", 0),
    ("table 'master4' all where net.type = NET_IP4", 4),
    ("table 'master4' all filtered where net.type = NET_IP4", 1),
    ("table 'master6' count where net.type = NET_IP6", 2),
    ("for 10.1.1.7 table 'master4' all where net.type = NET_IP4", 1),
    ("for 10.1.1.0/24 protocol '{0}' all where net.type = NET_IP4", 1),
    ("protocol '{0}' count where net.type = NET_IP4", 4),
    ("primary protocol '{0}' count where net.type = NET_IP4", 4),
)


@pytest.mark.parametrize(("command", "wanted"), WATCHED)
def test_birdwatcher_reads_its_routes(
    beside: Beside, command: str, wanted: int
) -> None:
    text = command.format(beside.peer, beside.far)
    lines = ask(beside.ours, "restrict", f"show route {text}")
    if "count" in command:
        (first, *_) = [m for line in lines if (m := WATCHED_COUNT.fullmatch(line))]
        counts = [int(m[1]) for m in map(WATCHED_COUNT.fullmatch, lines) if m]
        assert sum(counts) == wanted or int(first[1]) == wanted
        return
    routes = [m for line in lines if (m := WATCHED_ROUTE.fullmatch(line))]
    assert len(routes) == wanted == len(prefixes(lines))
    gateways = [m for line in lines if (m := WATCHED_GATEWAY.fullmatch(line))]
    assert len(gateways) == wanted
    assert all(m[2] == beside.peer for m in routes)


def test_birdwatcher_reads_status_protocols_and_symbols(beside: Beside) -> None:
    status = "\n".join(ask(beside.ours, "show status"))
    for shape in (
        r"^BIRD\s(.+)\s*$",
        r"^Router\sID\sis\s([0-9.]+)\s*$",
        r"^Current\sserver\stime\sis\s([0-9\-]+\s[0-9:.]+)\s*$",
        r"^Last\sreboot\son\s([0-9\-]+\s[0-9:.]+)\s*$",
        r"^Last\sreconfiguration\son\s([0-9\-]+\s[0-9:.]+)\s*$",
        r"^Daemon is up and running$",
    ):
        assert re.search(shape, status, re.MULTILINE), shape
    heading, *rows = ask(beside.ours, "show protocols")
    assert heading == ask(beside.bird, "show protocols")[0]
    assert all(WATCHED_PROTOCOL.fullmatch(row) for row in rows)
    text = ask(beside.ours, "show protocols all")
    blocks = [each.split("\n") for each in "\n".join(text).split("\n\n")]
    (block,) = [each for each in blocks if each[0].startswith(f"{beside.peer} ")]
    shown = [line.strip() for line in block]
    assert "Channel ipv4" in shown
    assert "Channel ipv6" in shown
    routes = [
        line.split(":", 1)[1].split() for line in shown if line.startswith("Routes:")
    ]
    assert " ".join(routes[0]) == "4 imported, 1 filtered, 0 exported, 4 preferred"
    assert f"Neighbor address: {beside.far}" in shown
    assert "Neighbor AS:      64512" in shown
    assert sum(bool(WATCHED_CHANGES.fullmatch(line)) for line in block) == 8
    found = [
        WATCHED_SYMBOL.fullmatch(line) for line in ask(beside.ours, "show symbols")
    ]
    symbols = {m[1].strip(): m[2] for m in found if m}
    assert symbols["master4"] == symbols["master6"] == "routing table"
    assert symbols[beside.peer] == "protocol"
    tables = ask(beside.ours, "show symbols table")
    assert tables == ask(beside.bird, "show symbols table")


def watched(beside: Beside, path: str) -> dict[str, Any]:
    """Return an answer of birdwatcher's interface, from the control socket."""
    sock = Path(beside.ours).parent / "control.sock"
    url = f"http://pybgpd/birdwatcher{path}"
    made = subprocess.run(
        ["curl", "-sS", "--unix-socket", str(sock), url],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def test_alice_reads_status_and_neighbours(beside: Beside) -> None:
    status = watched(beside, "/status")
    # As Alice-LG does: this is there in each answer, and the times have these forms.
    assert status["api"]["Version"]
    assert status["api"]["result_from_cache"] is False
    datetime.fromisoformat(status["api"]["cache_status"]["cached_at"]["date"])
    datetime.fromisoformat(status["ttl"])
    for name in ("current_server", "last_reboot", "last_reconfig"):
        datetime.strptime(status["status"][name], "%Y-%m-%d %H:%M:%S").astimezone()
    assert status["status"]["router_id"] == "10.0.0.1"
    assert status["status"]["message"] == "Daemon is up and running"
    protocols = watched(beside, "/protocols/bgp")["protocols"]
    assert list(protocols) == [beside.peer]
    protocol = protocols[beside.peer]
    assert protocol["neighbor_address"] == beside.far
    assert protocol["neighbor_as"] == ASN
    assert protocol["state"].lower() == "up"
    assert protocol["description"] == "the other one"
    assert protocol["channels"]["ipv4"]["routes"]["filtered"] == 1
    assert protocol["routes"] == {
        "imported": 6,
        "filtered": 1,
        "exported": 0,
        "preferred": 6,
    }
    datetime.strptime(protocol["state_changed"], "%Y-%m-%d %H:%M:%S").astimezone()
    short = watched(beside, "/protocols/short?uncached=true")["protocols"]
    assert short[beside.peer]["state"] == "up"
    assert {"device1", "static1", beside.peer} <= set(
        watched(beside, "/protocols")["protocols"]
    )
    symbols = watched(beside, "/symbols")["symbols"]
    assert symbols["routing table"] == ["master4", "master6"]
    assert watched(beside, "/symbols/tables")["symbols"] == ["master4", "master6"]
    assert beside.peer in watched(beside, "/symbols/protocols")["symbols"]
    assert "hostname" not in status["status"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/routes/protocol/{0}", 6),
        ("/routes/peer/{1}", 6),
        ("/routes/table/master4", 4),
        ("/routes/table/master", 6),
        ("/routes/table/master4/filtered", 1),
        ("/routes/table/master4/peer/{1}", 4),
        ("/routes/filtered/{0}", 1),
        ("/routes/export/{0}", 0),
        ("/routes/noexport/{0}", 6),
        ("/routes/prefix?prefix=10.1.0.0/24", 1),
        ("/route/net/10.1.1.7", 1),
        ("/route/net/10.1.1.7/table/master4", 1),
        ("/route/net/10.1.1.0/mask/24", 1),
        ("/route/net/10.1.1.0/mask/24/table/master4", 1),
        ("/routes/pipe/filtered?table=master4&pipe={0}", 4),
        ("/routes/pipe/filtered?table=master4&pipe={0}&protocol={0}", 4),
        ("/routes/count/protocol/{0}", 6),
        ("/routes/count/table/master6", 2),
        ("/routes/count/primary/{0}", 6),
        ("/routes/pipe/filtered/count?table=master4&pipe={0}&address={1}", 4),
    ],
)
def test_alice_reads_routes(beside: Beside, path: str, wanted: int) -> None:
    routes = watched(beside, path.format(beside.peer, beside.far))["routes"]
    if isinstance(routes, int):
        assert routes == wanted
        return
    assert len(routes) == wanted
    for route in routes:
        assert route["from_protocol"] == beside.peer
        assert route["gateway"]
        assert route["interface"]
        assert route["type"] == ["BGP", "univ"]
        assert isinstance(route["primary"], bool)
        assert isinstance(route["metric"], int)
        datetime.strptime(route["age"], "%Y-%m-%d %H:%M:%S").astimezone()
        assert route["bgp"]["local_pref"].isdigit()
    by_net = {route["network"]: route for route in routes}
    if found := by_net.get("10.1.0.0/24"):
        assert found["bgp"]["as_path"] == ["65001", "65010"]
        assert found["bgp"]["communities"] == [[65000, 1], [65000, 77]]
        assert found["bgp"]["large_communities"] == [[65000, 1, 2]]
        assert found["bgp"]["ext_communities"] == [["rt", "65000", "7"]]
    if found := by_net.get("10.1.0.0/16"):
        assert "as_path" not in found["bgp"]  # it is empty


def test_alice_gets_the_error_of_a_wrong_request(beside: Beside) -> None:
    for path in (
        "/routes/protocol/a'b",
        "/routes/protocol/unknown",
        "/routes/prefix",
        "/routes/prefix?prefix=all",
        "/route/net/10.0.0.0%20all",
        "/route/net/10.0.0.0/mask/99",
        "/routes/table/master9",
        f"/routes/protocol/{'x' * 90}",
    ):
        assert watched(beside, path).keys() == {"error"}, path


# -- bird-lg-go -------------------------------------------------------------------------------

SUMMARY_ROW = re.compile(r"([\w-]+)\s+(\w+)\s+([\w-]+)\s+(\w+)\s+([0-9\-. :]+)(.*)")
LG_COMMANDS = (
    ("protocol '{0}'", 6),
    ("protocol '{0}' all", 6),
    ("protocol '{0}' primary", 6),
    ("protocol '{0}' all primary", 6),
    ("filtered protocol '{0}'", 1),
    ("filtered protocol '{0}' all", 1),
    ("where bgp_path.last = 65010", 3),
    ("where bgp_path.last = 65010 all", 3),
    ("where bgp_path.last = 65010 primary", 3),
    ("where bgp_path.last = 65010 all primary", 3),
    ("for 10.1.1.7", 1),
    ("for 10.1.1.7 all", 1),
    ("for 10.1.1.7 primary", 1),
    ("for 10.1.1.7 all primary", 1),
    ("where net ~ [ 10.1.0.0/16+ ]", 3),
    ("where net ~ [ 10.1.0.0/16+ ] all", 3),
    ("in 10.1.0.0/16", 3),
)


@pytest.mark.parametrize(("command", "wanted"), LG_COMMANDS)
def test_bird_lg_reads_its_routes(beside: Beside, command: str, wanted: int) -> None:
    text = f"show route {command.format(beside.peer)}"
    lines = ask(beside.ours, "restrict", text)
    assert len(prefixes(lines)) == wanted
    if "all" not in command.split():
        return
    # How it draws a map: the text behind each destination word is one route.
    routes = re.split("(unicast|blackhole|unreachable|prohibited)", "\n".join(lines))
    assert len(routes) // 2 == wanted
    for route in routes[2::2]:
        assert re.search(r"^\t(via .*?)$", route, re.MULTILINE)
        assert re.search(
            r"^\tBGP(?:\.as)?_path: (.*?)$", route, re.MULTILINE | re.IGNORECASE
        )


def test_bird_lg_reads_the_summary(beside: Beside) -> None:
    heading, *rows = ask(beside.ours, "restrict", "show protocols")
    assert heading.lower().startswith("name")
    found = [SUMMARY_ROW.fullmatch(row) for row in rows]
    assert all(found)
    by_name = {m[1]: m for m in found if m}
    assert by_name[beside.peer][4] == "up"
    assert by_name[beside.peer][6].strip() == "Established"
    detail = ask(beside.ours, "restrict", f"show protocols all '{beside.peer}'")
    assert "  Description:    the other one" in detail


def test_the_socket_of_looking_glasses_changes_nothing(beside: Beside) -> None:
    for command in ("disable all", "restart all", "configure", "down", "reload all"):
        (answer,) = ask(beside.ours, command)
        assert answer.startswith("! Access denied")
    for command in ("show memory", "show interfaces", "show interfaces summary"):
        assert not any(line.startswith("!") for line in ask(beside.ours, command))


# -- Debian's exporter --------------------------------------------------------------------------


@pytest.mark.skipif(
    shutil.which("prometheus-bird-exporter") is None,
    reason="prometheus-bird-exporter is not installed",
)
@pytest.mark.parametrize("is_second", [True, False])
def test_debian_s_exporter_reads_both_sockets(
    beside: Beside, *, is_second: bool
) -> None:
    folder = Path(beside.ours).parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["-bird.v2", f"-bird.socket={beside.ours}"]
    if not is_second:
        flags = [
            f"-bird.socket={folder / 'one.ctl'}",
            f"-bird.socket6={folder / 'six.ctl'}",
        ]
    listen = f"-web.listen-address=127.0.0.1:{port}"
    exporter = subprocess.Popen(
        ["prometheus-bird-exporter", listen, "-format.new", *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def scrape() -> str:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/metrics", timeout=20
        ) as it:
            return str(it.read(), "utf-8")

    def answers() -> bool:
        try:
            return bool(scrape())
        except OSError:
            return False

    try:
        assert eventually(answers, timeout=20)
        found = {
            (sample.name, sample.labels.get("ip_version")): sample.value
            for family in text_string_to_metric_families(scrape())
            for sample in family.samples
            if sample.labels.get("name") == beside.peer
        }
    finally:
        exporter.terminate()
        exporter.wait(10)
    assert found["bird_protocol_up", "4"] == 1
    assert found["bird_protocol_prefix_import_count", "4"] == 4
    assert found["bird_protocol_prefix_import_count", "6"] == 2
    assert found["bird_protocol_prefix_export_count", "4"] == 0
    assert found["bird_protocol_prefix_preferred_count", "6"] == 2
    if is_second:
        assert found["bird_protocol_prefix_filter_count", "4"] == 1
