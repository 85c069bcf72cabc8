"""The log lines that the documentation shows are those that the program writes."""

import calendar
import json
import logging
import re
import time
from pathlib import Path
from typing import Any, Final

import pytest

from bgpd.runtime.log_fields import Names, with_fields
from bgpd.runtime.log_setup import JsonFormatter
from tests.support.log_calls import LogCall, log_calls

DOCS: Final = Path(__file__).parents[4] / "docs"
PAGES: Final = ("log-events.md", "operations.md")
BLOCK: Final = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
SUMMARY: Final = re.compile(r"suppressed \d+ similar lines within \d+ s: ")
LINES: Final = [
    line
    for page in PAGES
    for block in BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    for line in block.splitlines()
    if line.startswith('{"time"')
]


def call_of(shown: dict[str, Any]) -> LogCall:
    """Return the call in the program that writes a line."""
    [found] = [
        call
        for call in log_calls()
        if shown["event"] in call.events and shown["logger"] == call.module
    ]
    return found


def value_of(value: object) -> object:
    return Names(tuple(value)) if isinstance(value, list) else value


def test_some_lines_are_shown() -> None:
    assert len(LINES) >= 4


@pytest.mark.parametrize("line", LINES)
def test_a_shown_line_is_written_so(line: str) -> None:
    shown = json.loads(line)
    call = call_of(shown)
    assert shown["level"] in call.levels
    fields = {name: shown[name] for name in call.fields if name in shown}
    values = {"event": shown["event"], **{k: value_of(v) for k, v in fields.items()}}
    said = SUMMARY.sub("", shown["message"])
    texts = [text for text in call.texts if text % values == said]
    assert texts, said
    level = logging.getLevelNamesMapping()[shown["level"].upper()]
    record = logging.LogRecord(shown["logger"], level, "", 0, texts[0], (values,), None)
    if summary := SUMMARY.match(shown["message"]):
        last = {"suppressed": shown["suppressed"], "interval": shown["interval"]}
        record.msg, record.args = summary[0] + said, None
        with_fields(record, {"event": shown["event"], **fields, **last})
    whole, _, milliseconds = shown["time"].removesuffix("Z").partition(".")
    second = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    record.created = second + (int(milliseconds) + 0.5) / 1000
    assert JsonFormatter().format(record) == line
