"""``pybgpctl events`` and ``history``: the lines, and how they are followed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from bgpd.api.client import UnreachableError
from bgpd.cli import request
from bgpd.cli.control import main
from bgpd.cli.events import line_of
from bgpd.cli.layout import Row
from tests.support.cases import cases
from tests.support.terminals import printed

AT = "2026-11-30T04:31:02.000123Z"
OLD = {"peer": "one", "next_hop": "192.0.2.1", "as_path": "65001"}
NEW = {"peer": "two", "next_hop": None, "as_path": ""}


def a_row(event: str, number: int = 7, kind: str | None = "route", **more: Any) -> Row:
    return {"id": number, "time": AT, "kind": kind, "event": event, **more}


def moved(event: str, old: Row | None, new: Row | None) -> Row:
    return a_row(event, prefix="10.2.0.0/16", family="ipv4-unicast", old=old, new=new)


@cases(
    ("row", "text"),
    [
        (
            moved("route-added", None, OLD),
            "route          10.2.0.0/16 added: from one via 192.0.2.1 AS path 65001",
        ),
        (
            moved("route-changed", OLD, NEW),
            "route          10.2.0.0/16 changed: from one via 192.0.2.1 AS path 65001 -> from two",
        ),
        (
            moved("route-removed", NEW, None),
            "route          10.2.0.0/16 removed: from two -> none",
        ),
        (
            a_row("session-up", kind="session", message="session with one is up"),
            "session        session with one is up",
        ),
        (a_row("session-up", kind="session", message=""), "session        session-up"),
        (
            a_row("reloaded", kind="configuration", message="reloaded"),
            "configuration  reloaded",
        ),
        (
            a_row("events-dropped", kind=None, dropped=3, reason="too old"),
            "               3 events are gone: too old",
        ),
        (
            a_row("events-dropped", kind=None, dropped=None, reason="another start"),
            "               events are gone: another start",
        ),
        (
            a_row("journal-began", family="ipv4-unicast"),
            "route          changes of ipv4-unicast are kept since then",
        ),
        (
            a_row("session-down", kind="session", message="\x1b[2Jgone\r\u202e"),
            "session        ?[2Jgone??",
        ),
    ],
)
def test_an_event_is_a_line(row: Row, text: str) -> None:
    assert line_of(row) == f"2026-11-30 04:31:02.000123  {text}"


class Daemon:
    """Answers as the client would: rows, or an error that ends them.

    Args:
        answers: One for each call; the last one lets the user press Ctrl-C.
    """

    def __init__(self, *answers: list[Row | Exception]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Row]] = []

    def call(self, _: object, command: str, arguments: Row) -> Iterator[Row]:
        self.asked.append((command, arguments))
        if not self.answers:
            raise KeyboardInterrupt
        for each in self.answers.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(daemon: Daemon, *words: str) -> Result:
        monkeypatch.setattr(request, "call", daemon.call)
        monkeypatch.setattr("bgpd.cli.events.time.sleep", lambda _: None)
        return CliRunner().invoke(main, words)

    return run


UP = a_row("session-up", 8, "session", message="up")
DOWN = a_row("session-down", 9, "session", message="down")


def test_events_come_in_every_form(ask: Any) -> None:
    rows = [UP, DOWN]
    lines = ask(Daemon([*rows]), "events").stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["up", "down"]
    assert json.loads(ask(Daemon([*rows]), "events", "-o", "json").stdout) == rows
    assert yaml.safe_load(ask(Daemon([*rows]), "events", "-o", "yaml").stdout) == rows
    lined = ask(Daemon([*rows]), "history", "10.0.0.0/8", "-o", "jsonl").stdout
    assert [json.loads(line) for line in lined.splitlines()] == rows
    assert ask(Daemon([]), "events").stdout == "no events\n"
    assert ask(Daemon([]), "history", "10.0.0.0/8").stdout == "no changes\n"


def test_following_goes_on_after_the_last_event_that_was_seen(ask: Any) -> None:
    gone = UnreachableError("/x: the daemon closed the connection")
    daemon = Daemon([UP, gone], [gone], [DOWN])
    result = ask(daemon, "events", "--follow", "--kind", "session")
    assert result.exit_code == 0
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["up", "down"]
    assert result.stderr.count("trying again") == 1
    kinds = {"kind": ["session"]}
    assert daemon.asked == [
        ("follow-events", kinds),
        ("follow-events", {"after": 8, **kinds}),
        ("follow-events", {"after": 8, **kinds}),
        ("follow-events", {"after": 9, **kinds}),
    ]


def test_the_newest_come_first_and_a_daemon_that_is_not_there_is_an_error(
    ask: Any,
) -> None:
    daemon = Daemon([UP], [DOWN])
    assert ask(daemon, "events", "-f", "--limit", "1").exit_code == 0
    assert daemon.asked[0] == ("show-events", {"limit": 1})
    assert daemon.asked[1] == ("follow-events", {"after": 8})
    missing = ask(Daemon([UnreachableError("/x: no such socket")]), "events", "-f")
    assert missing.exit_code == 3
    for form in ("json", "yaml"):
        endless = ask(Daemon(), "events", "--follow", "-o", form)
        assert endless.exit_code == 2
        assert f"which {form} cannot" in endless.stderr


def test_a_repeated_command_goes_on_though_its_exit_code_says_something(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"part": "peer", "name": "x", "state": "extra", "wanted": None}
    row = {**other, "running": "192.0.2.9", "text": ""}
    once = ask(Daemon([row]), "calico", "diff")
    assert (once.exit_code, "extra" in once.stdout) == (1, True)
    monkeypatch.setattr("bgpd.cli.show_command.time.sleep", lambda _: None)
    again = ask(Daemon([row], [row], [row]), "calico", "diff", "--watch")
    assert again.exit_code == 0
    assert again.stdout.count("extra") == 3


@pytest.mark.slow
def test_an_offline_plan_is_json_or_yaml_and_has_a_pager(tmp_path: Any) -> None:
    case = tmp_path / "case.json"
    case.write_text('{"node": "n1", "compat": "3.33", "resources": []}')
    words = "calico", "plan", "--case", str(case)
    plan = json.loads(CliRunner().invoke(main, words).stdout)
    form = CliRunner().invoke(main, [*words, "-o", "yaml"])
    assert yaml.safe_load(form.stdout) == plan
    pager = {"TERM": "xterm", "LINES": "4", "PAGER": "sed s/^/paged:/"}
    assert "paged:{" in printed(*words, **pager)  # type: ignore[arg-type]  # no size
    off = (*words, "--no-pager")
    assert "paged:" not in printed(*off, **pager)  # type: ignore[arg-type]  # likewise
