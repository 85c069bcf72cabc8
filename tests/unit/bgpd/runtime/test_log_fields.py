"""Fields of log lines: the values of the text, in one line of valid JSON whatever they are."""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.runtime.log_fields import (
    MOST_FIELD,
    MOST_ITEMS,
    Names,
    fields_of,
    subject_of,
)
from bgpd.runtime.log_setup import MOST_LINE, JournalFormatter, JsonFormatter
from rib.family import IPV4_UNICAST
from tests.support.log_calls import PLACEHOLDER, LogCall, log_calls

ODD = '\n\r\t\0\x1b\x1c\x1e\x7f\x85\u2028\u2029\ud800\udcff\udfff\ufffe"\\%{}'
TEXTS = st.text(st.one_of(st.sampled_from(ODD), st.characters()))
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.lists(TEXTS, max_size=3),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
    st.binary(),
    st.just(IPV4_UNICAST),
)


def a_record(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("bgpd.x", logging.WARNING, "f.py", 1, text, args, None)


def parsed(record: logging.LogRecord) -> dict[str, Any]:
    """Return the object of a line, as the strictest readers see it."""
    line = JsonFormatter().format(record)
    assert line.isprintable() or not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)
    assert line.splitlines() == [line]
    assert JournalFormatter(JsonFormatter()).format(record) == f"<4>{line}"
    octets = line.encode()  # no half of a character
    assert not re.search(r"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]", line)

    def reject(name: str) -> None:
        raise AssertionError(name)

    found: dict[str, Any] = json.loads(octets, parse_constant=reject)
    return found


def as_read(text: str) -> str:
    """Return a text as an octet stream without halves of characters can have it."""
    return text.encode(errors="backslashreplace").decode()


def values_for(call: LogCall, text: str, data: st.DataObject) -> Mapping[str, object]:
    """Return values for all fields of a call, of the sort that its text takes."""
    sorts = {found[1]: found[0][-1] for found in PLACEHOLDER.finditer(text) if found[1]}
    numbers = st.integers(-(2**53), 2**53)
    strategies: dict[str, st.SearchStrategy[Any]] = {"d": numbers, "f": numbers}
    strategies["g"] = numbers
    return {
        name: data.draw(strategies.get(sorts.get(name, "s"), TEXTS), label=name)
        for name in call.fields
    }


@pytest.mark.parametrize("call", log_calls(), ids=lambda call: call.place)
@settings(max_examples=5)  # for each of a hundred calls
@given(data=st.data())
def test_a_line_says_the_same_in_text_and_fields(call: LogCall, data) -> None:
    for event in call.events:
        for text in call.texts:
            values = {"event": event, **values_for(call, text, data)}
            line = parsed(a_record(text, values))
            assert line["event"] == event
            assert line["message"] == as_read(text % values)[:MOST_LINE]
            for name, value in values.items():
                if value == "":
                    assert name not in line
                elif isinstance(value, str):
                    assert line[name] == as_read(value)
                else:
                    assert line[name] == value


@given(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=4))
def test_every_line_is_one_object(text: str, values: dict[str, object]) -> None:
    line = parsed(a_record("%(event)s", {"event": text, **values}))
    assert (line["logger"], line["level"]) == ("bgpd.x", "warning")
    for name in ("time", "logger", "level", "message"):
        assert isinstance(line[name], str)


def test_the_frame_of_a_line_is_not_replaced() -> None:
    values = {"event": "x", "level": "a", "logger": "b", "message": "c", "time": "d"}
    line = parsed(a_record("said", values))
    assert (line["level"], line["logger"]) == ("warning", "bgpd.x")
    assert line["message"] == "said"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_values_have_the_form_that_json_has_for_them() -> None:
    values = {
        "event": "x",
        "number": 5,
        "truth": False,
        "seconds": 1.23456,
        "family": IPV4_UNICAST,
        "file": Path("/a/b"),
        "reason": OSError(2, "No such file"),
        "families": Names(("a", "b"), more=3),
        "arguments": {"peer": "a", "deep": [[[[1]]]]},
        "without": None,
        "empty": "",
        "endless": float("inf"),
    }
    assert fields_of(a_record("%(event)s", values)) == {
        "event": "x",
        "number": 5,
        "truth": False,
        "seconds": 1.235,
        "family": "ipv4-unicast",
        "file": "/a/b",
        "reason": "[Errno 2] No such file",
        "families": ["a", "b"],
        "arguments": {"peer": "a", "deep": [["[[1]]"]]},
        "endless": "inf",
    }
    assert str(values["families"]) == "a, b and 3 more"


def test_values_are_bounded() -> None:
    values = {"event": "x", "long": "y" * 10_000, "many": [*range(10_000)]}
    found = fields_of(a_record("%(event)s", values))
    assert found["long"] == "y" * MOST_FIELD + "..."
    assert found["many"] == [*range(MOST_ITEMS)]


@pytest.mark.parametrize("args", [(), ("a", 1), ({"key": "no event"},)])
def test_lines_of_others_have_no_fields(args: tuple[object, ...]) -> None:
    assert fields_of(a_record("said", *args)) == {}


def test_a_line_is_about_its_first_value() -> None:
    assert subject_of(a_record("", {"event": "x", "peer": "a", "reason": "r"})) == "a"
    assert subject_of(a_record("", {"event": "x"})) == ""
    assert subject_of(a_record("%s %s", "a", "b")) == "a"
    assert subject_of(a_record("said")) == ""


def test_what_is_not_logged_is_not_formatted() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError

    log = logging.getLogger("bgpd.quiet")
    log.setLevel(logging.WARNING)
    log.info("%(peer)s", {"event": "x", "peer": Costly()})
    record = a_record("%(peer)s", {"event": "x", "peer": "a", "paths": Costly()})
    assert record.getMessage() == "a", (
        "a field that the text does without costs nothing"
    )
