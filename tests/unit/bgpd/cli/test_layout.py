import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bgpd.cli.layout import Column, table_lines
from bgpd.cli.tables import PEERS, field
from bgpd.cli.terminal import NO_PAINT, find_terminal
from tests.support.cases import cases

COLUMNS = (
    field("NAME", "name"),
    field("AS", "as", is_number=True),
    field("TYPE", "type", is_optional=True),
    field("FLAPS", "flaps", is_number=True, is_optional=True),
    field("REMARK", "remark", is_long=True),
)
ROW = {"name": "gateway-1", "as": 65001, "type": "client", "flaps": 7}
REMARK = "connection attempt failed; connection refused; next try in 12s"


def drawn(width: int | None, *rows: dict[str, Any]) -> list[str]:
    return list(table_lines(COLUMNS, rows, (), width, NO_PAINT))


def test_what_fits_is_shown_in_one_line_each():
    assert drawn(200, ROW | {"remark": REMARK}) == drawn(None, ROW | {"remark": REMARK})
    assert drawn(None, ROW | {"remark": ""}) == [
        "NAME          AS  TYPE    FLAPS  REMARK",
        "gateway-1  65001  client      7  -",
    ]


def test_a_long_column_is_broken_where_it_has_room():
    assert drawn(60, ROW | {"remark": REMARK}) == [
        "NAME          AS  TYPE    FLAPS  REMARK",
        "gateway-1  65001  client      7  connection attempt failed;",
        "                                 connection refused; next",
        "                                 try in 12s",
    ]


def test_a_long_column_without_room_stands_below_its_row():
    assert drawn(45, ROW | {"remark": REMARK}, ROW | {"remark": ""}) == [
        "NAME          AS  TYPE    FLAPS",
        "gateway-1  65001  client      7",
        "    connection attempt failed; connection",
        "    refused; next try in 12s",
        "gateway-1  65001  client      7",
    ]


def test_columns_that_a_reader_can_do_without_are_left_out_last():
    lines = drawn(25, ROW | {"remark": REMARK})
    assert lines[:2] == ["NAME          AS  TYPE", "gateway-1  65001  client"]
    assert lines[-1] == "(narrow terminal: without FLAPS; all: -o wide)"


words = st.text(string.ascii_letters + " ./:", max_size=60)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": words, "as": st.integers(1, 2**32), "remark": words, "type": words}
        ),
        min_size=1,
        max_size=8,
    ),
    st.none() | st.integers(1, 200),
)
def test_nothing_that_is_not_optional_is_lost_at_any_width(rows, width):
    lines = drawn(width, *rows)
    everything = "".join("".join(lines).split())
    for row in rows:
        for key in ("name", "as"):
            assert "".join(str(row[key]).split()) in everything
        for word in row["remark"].split():
            assert width or word in everything
    if width is None:
        assert len(lines) == len(rows) + 1
    elif width >= 160:
        assert all(len(line) <= width for line in lines)


def test_colours_change_no_column():
    row: dict[str, Any] = {"state": "Established", "is_enabled": True}
    columns = (next(c for c in PEERS if c.title == "STATE"), field("X", "x"))
    paint = find_terminal({}, "always", is_terminal=False).paint
    plain = list(table_lines(columns, [row | {"x": 1}], (), 80, NO_PAINT))
    coloured = list(table_lines(columns, [row | {"x": 1}], (), 80, paint))
    assert coloured[1] == plain[1].replace("Established", "\x1b[32mEstablished\x1b[0m")


def test_a_column_has_no_style_unless_it_says_so():
    assert Column("X", str).style({}) == ""


@cases(
    ("environment", "choice", "is_terminal", "has_colour"),
    [
        ({"TERM": "xterm"}, "auto", True, True),
        ({"TERM": "xterm"}, "auto", False, False),
        ({"TERM": "xterm"}, "never", True, False),
        ({"TERM": "xterm"}, "always", False, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "auto", True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, "auto", True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "always", True, True),
        ({"TERM": "xterm", "CLICOLOR": "0"}, "auto", True, False),
        ({"CLICOLOR_FORCE": "1"}, "auto", False, True),
        ({"CLICOLOR_FORCE": "0"}, "auto", False, False),
        ({"TERM": "dumb"}, "auto", True, False),
        ({}, "auto", True, False),
    ],
)
def test_colours_follow_the_option_then_the_environment(
    environment, choice, is_terminal, has_colour
):
    found = find_terminal(environment, choice, is_terminal=is_terminal)
    assert found.has_colour is has_colour


@cases(
    ("environment", "width"),
    [
        ({"TERM": "xterm", "COLUMNS": "40"}, 40),
        ({"TERM": "xterm", "COLUMNS": "forty"}, 80),
        ({"TERM": "dumb", "COLUMNS": "40"}, None),
        ({"TERM": "unknown", "COLUMNS": "40"}, None),
        ({"COLUMNS": "40"}, None),
    ],
)
def test_a_terminal_without_abilities_has_no_width(environment, width):
    assert find_terminal(environment, "auto", is_terminal=True).width == width
