"""``pybgpctl events`` and ``history`` of sessions and routes with BIRD."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bgpd.api.client import call
from tests.support.routers import a_lab, eventually, has_none_of, has_routes, needs

LAB = """
nodes:
  one:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      {kind: pybgpd, as: 65001, neighbours: [{node: two}]}
  two:
    addresses: [10.0.0.3/24, "fd00::3/64"]
    router:
      {kind: bird, as: 65001, fib: false, originate: [10.3.0.0/24],
        neighbours: [{node: one}]}
"""
PREFIX = "10.3.0.0/24"

pytestmark = needs("bird")


def pieces_of(
    control: str, command: str, **arguments: Any
) -> Iterator[list[dict[str, Any]]]:
    for piece in call(control, command, arguments):
        yield piece if isinstance(piece, list) else [piece]


def rows_of(control: str, command: str, **arguments: Any) -> list[dict[str, Any]]:
    return [row for rows in pieces_of(control, command, **arguments) for row in rows]


def pybgpctl(control: str, *words: str) -> str:
    command = [sys.executable, "-m", "bgpd.cli.control", "--control", control, *words]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


@pytest.fixture
def lab() -> Iterator[Any]:
    with a_lab(LAB) as lab:
        assert eventually(lambda: has_routes(lab.routers["one"], PREFIX))
        yield lab


def test_what_happens_to_a_session_and_its_routes_is_an_event(lab) -> None:
    one, two = lab.routers["one"], lab.routers["two"]
    control = str(one.control_path)
    before = rows_of(control, "show-events")
    assert [row["id"] for row in before] == sorted({row["id"] for row in before})
    by_name = {row["event"]: row for row in before}
    assert by_name["session-up"]["peer"] == by_name["route-added"]["new"]["peer"]
    added = by_name["route-added"]
    assert added["prefix"] == PREFIX
    assert added["old"] is None
    assert added["new"]["next_hop"] == "10.0.0.3"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z", added["time"])

    cursor = before[-1]["id"]
    two.withdraw(PREFIX)
    assert eventually(lambda: has_none_of(one, PREFIX))
    two.originate(PREFIX)
    assert eventually(lambda: has_routes(one, PREFIX))
    pybgpctl(control, "reset", "10.0.0.3", "--hard")
    assert eventually(
        lambda: (
            "session-down"
            in [r["event"] for r in rows_of(control, "show-events", after=cursor)]
        )
    )
    assert eventually(lambda: has_routes(one, PREFIX))

    after = rows_of(control, "show-events", after=cursor)
    assert all(row["id"] > cursor for row in after)
    routes = rows_of(
        control, "show-events", after=cursor, kind=["route"], prefix=PREFIX
    )
    assert [row["event"] for row in routes] == [
        "route-removed",
        "route-added",
        "route-removed",
        "route-added",
    ]
    sessions = rows_of(control, "show-events", after=cursor, kind=["session"])
    assert {"session-down", "session-up"} <= {row["event"] for row in sessions}
    assert {row["kind"] for row in sessions} == {"session"}
    assert rows_of(control, "show-events", peer="10.0.0.9") == []

    told = pybgpctl(control, "history", PREFIX).splitlines()
    assert len(told) == 6, told
    assert told[0].endswith("changes of ipv4-unicast are kept since then")
    assert f"{PREFIX} added: from " in told[1]
    assert "via 10.0.0.3" in told[1]
    assert told[2].endswith("-> none")
    of_address = rows_of(control, "history", prefix="10.3.0.7")
    assert [row["event"] for row in of_address[1:]] == [
        row["event"] for row in rows_of(control, "history", prefix=PREFIX)[1:]
    ]

    (path,) = rows_of(control, "show-routes", prefix=PREFIX)
    last = rows_of(control, "history", prefix=PREFIX)[-1]
    assert path["changed_is_exact"]
    assert path["changed"][:23] == last["time"][:23]
    assert 0 <= path["age"] < 60


def test_events_are_followed_as_they_happen(lab) -> None:
    one, two = lab.routers["one"], lab.routers["two"]
    control = str(one.control_path)
    follow = pieces_of(control, "follow-events", kind=["route"], after=0)
    (dropped, *early) = next(follow)
    assert dropped["event"] == "events-dropped"  # 0 was before this run
    assert dropped["dropped"] is None
    while not any(row["event"] == "route-added" for row in early):
        early += next(follow)
    two.withdraw(PREFIX)
    removed = next(
        row for piece in follow for row in piece if row["event"] == "route-removed"
    )
    assert removed["prefix"] == PREFIX
    assert removed["id"] > early[-1]["id"]

    command = [sys.executable, "-m", "bgpd.cli.control", "--control", control, "events"]
    command += [
        "--follow",
        "--since",
        str(early[-1]["id"]),
        "--kind",
        "route",
        "-o",
        "jsonl",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert json.loads(watcher.stdout.readline())["id"] == removed["id"]
        two.originate(PREFIX)
        assert json.loads(watcher.stdout.readline())["event"] == "route-added"
        watcher.terminate()
