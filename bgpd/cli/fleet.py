"""One question to the daemons of many machines, several at a time.

A machine that does not answer hides no other: its row says why there is nothing else in it.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, NamedTuple

import click

from bgpd.api.client import UnreachableError, call
from bgpd.api.protocol import ControlError
from bgpd.cli.fleet_options import Fleet, Node
from bgpd.cli.layout import Column, Row
from bgpd.cli.request import UnreachableNodesError, print_rows
from bgpd.cli.tables import PEERS, duration, field

_AT_ONCE: Final = 32  # machines asked at the same time
_PIECE_TIME: Final = 5.0  # seconds for each piece of a machine's answer
_WHOLE_TIME: Final = 30.0  # seconds for all of it
_MOST_ROWS: Final = 100_000  # of one machine
_ERROR: Final = "error"  # key of why a machine did not answer


class _Answer(NamedTuple):
    """What a machine answered: rows, or why there are none."""

    rows: list[Row]
    problem: str


def _did_not_answer(row: Row) -> bool:
    return row.keys() == {"node", _ERROR}


def _starting(row: Row) -> str:
    """Return what a daemon that is starting waits for."""
    return "" if row.get("is_started", True) else f"starting: {row['awaited']}"


def _of_answers(column: Column) -> Column:
    """Return a column that is empty where a machine did not answer."""
    return replace(
        column,
        text=lambda row: "" if _did_not_answer(row) else column.text(row),
        style=lambda row: "" if _did_not_answer(row) else column.style(row),
    )


def _with_errors(columns: Sequence[Column], remark: Column) -> tuple[Column, ...]:
    """Return columns that begin with the machine's name, and end with why it did not answer."""
    last = replace(
        remark,
        text=lambda row: row[_ERROR] if _did_not_answer(row) else remark.text(row),
        style=lambda row: "bad" if _did_not_answer(row) else remark.style(row),
    )
    return (field("NODE", "node"), *map(_of_answers, columns), last)


FLEET_PEERS: Final = _with_errors(PEERS[:-1], PEERS[-1])
FLEET_STATUS: Final = _with_errors(
    (
        field("VERSION", "version"),
        field("ROUTER ID", "router_id"),
        Column("UP", lambda row: duration(row["uptime"]), is_number=True),
        Column("PEERS", lambda row: str(row["peers"]["total"]), is_number=True),
        Column(
            "ESTABLISHED",
            lambda row: str(row["peers"]["established"]),
            is_number=True,
        ),
        Column(
            "PREFIXES",
            lambda row: str(sum(family["prefixes"] for family in row["families"])),
            is_number=True,
        ),
        Column("WARNINGS", lambda row: str(len(row["warnings"])), is_number=True),
    ),
    Column("REMARK", _starting, is_long=True),
)


def print_fleet(
    fleet: Fleet,
    command: str,
    output: str,
    columns: tuple[Column, ...],
    **arguments: Any,  # noqa: ANN401  # JSON
) -> None:
    """Print the rows of all nodes in their order, each with its ``node``.

    A node without an answer has one row, with ``error``.

    Raises:
        UsageError: The file of nodes cannot be used.
        ClickException: The cluster does not name its nodes.
        UnreachableNodesError: Nodes without an answer; after all rows.
    """
    nodes = _nodes_of(fleet)
    sent = {name: value for name, value in arguments.items() if value}
    failed: list[str] = []
    pool = ThreadPoolExecutor(min(_AT_ONCE, len(nodes)))
    try:
        answers = pool.map(lambda node: _ask(node, command, sent), nodes)
        print_rows(_rows(nodes, answers, failed), output, columns, "no answers")
    finally:
        # A reader who has seen enough does not wait for those that were not asked yet.
        pool.shutdown(wait=False, cancel_futures=True)
    if failed:
        raise UnreachableNodesError(failed, len(nodes))


def _nodes_of(fleet: Fleet) -> list[Node]:
    if fleet.file is not None:
        from bgpd.cli.fleet_file import read_nodes  # noqa: PLC0415  # as the one below

        return read_nodes(fleet.file, fleet.api)
    if fleet.cluster is None:
        raise click.UsageError("no nodes are named")
    from bgpd.cli.fleet_kubernetes import (  # noqa: PLC0415  # its client takes 0.2 s
        find_nodes,
    )

    return find_nodes(fleet.cluster)


def _rows(
    nodes: Sequence[Node], answers: Iterator[_Answer], failed: list[str]
) -> Iterator[Row]:
    for node, answer in zip(nodes, answers, strict=True):
        if answer.problem:
            failed.append(node.name)
            yield {"node": node.name, _ERROR: answer.problem}
        for row in answer.rows:
            yield {"node": node.name, **_without_node(row)}


def _without_node(row: Row) -> Row:
    """Return a row without the name that a daemon has for its own node."""
    return {key: value for key, value in row.items() if key != "node"}


def _ask(node: Node, command: str, arguments: Row) -> _Answer:
    if node.place is None:
        return _Answer([], node.problem)
    rows: list[Row] = []
    until = time.monotonic() + _WHOLE_TIME
    try:
        for data in call(node.place, command, arguments, _PIECE_TIME):
            rows += [data] if isinstance(data, dict) else data
            if len(rows) > _MOST_ROWS:
                return _Answer([], f"its answer has over {_MOST_ROWS} rows")
            if time.monotonic() > until:
                return _Answer([], f"its answer takes over {_WHOLE_TIME:g} s")
    except (UnreachableError, ControlError) as error:
        # Another machine chose some of the words: none may move the cursor.
        text = "".join(each if each.isprintable() else "?" for each in str(error))
        return _Answer([], text)
    return _Answer(rows, "")
