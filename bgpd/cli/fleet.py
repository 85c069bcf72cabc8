"""One question to the daemons of many machines, several at a time.

A file names them, one a line: a name, and the URL of its API or the path of a control socket; then,
if needed, files with its token and with the certificates that sign its own.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from bgpd.api.client import Place, Remote, UnreachableError, call
from bgpd.api.protocol import ControlError
from bgpd.cli.layout import Column, Row
from bgpd.cli.request import UnreachableNodesError, print_rows
from bgpd.cli.tables import PEERS, duration, field
from bgpd.texts.files import read_octets
from bgpd.texts.limits import MIB, TextError

_AT_ONCE: Final = 32  # machines asked at the same time
_TIMEOUT: Final = 5.0  # seconds for each piece of a machine's answer
_MOST_OCTETS: Final = MIB  # of a file
_MOST_WORDS: Final = 4  # of a line: name, place, token file, CA file


class Node(NamedTuple):
    """One machine.

    Attributes:
        name: For people.
        place: Where its daemon answers.
    """

    name: str
    place: Place


class _Answer(NamedTuple):
    """What a machine answered: rows, or why there are none."""

    rows: list[Row]
    problem: str


NODE: Final = field("NODE", "node")
FLEET_PEERS: Final = (NODE, *PEERS)
FLEET_STATUS: Final = (
    NODE,
    field("VERSION", "version"),
    field("ROUTER ID", "router_id"),
    Column("UP", lambda row: duration(row["uptime"]), is_number=True),
    Column("PEERS", lambda row: str(row["peers"]["total"]), is_number=True),
    Column("ESTABLISHED", lambda row: str(row["peers"]["established"]), is_number=True),
    Column(
        "PREFIXES",
        lambda row: str(sum(family["prefixes"] for family in row["families"])),
        is_number=True,
    ),
    Column("WARNINGS", lambda row: str(len(row["warnings"])), is_number=True),
)


def print_fleet(
    file: Path,
    command: str,
    output: str,
    columns: tuple[Column, ...],
    **arguments: Any,  # noqa: ANN401  # JSON
) -> None:
    """Print the rows of all nodes in the file's order, each with its ``node``.

    Raises:
        UsageError: The file cannot be read.
        UnreachableNodesError: Nodes without an answer; those of the others are printed.
    """
    nodes = read_nodes(file)
    sent = {name: value for name, value in arguments.items() if value}
    problems: list[tuple[str, str]] = []
    with ThreadPoolExecutor(min(_AT_ONCE, len(nodes))) as pool:
        answers = pool.map(lambda node: _ask(node, command, sent), nodes)
        rows = _rows(nodes, answers, problems)
        print_rows(rows, output, columns, "no answers")
    if problems:
        raise UnreachableNodesError(problems, len(nodes))


def _rows(
    nodes: Sequence[Node],
    answers: Iterator[_Answer],
    problems: list[tuple[str, str]],
) -> Iterator[Row]:
    for node, answer in zip(nodes, answers, strict=True):
        if answer.problem:
            problems.append((node.name, answer.problem))
        for row in answer.rows:
            yield {"node": node.name, **_without_node(row)}


def _without_node(row: Row) -> Row:
    """Return a row without the name that a daemon has for its own node."""
    return {key: value for key, value in row.items() if key != "node"}


def _ask(node: Node, command: str, arguments: Row) -> _Answer:
    rows: list[Row] = []
    try:
        for data in call(node.place, command, arguments, _TIMEOUT):
            rows += [data] if isinstance(data, dict) else data
    except (UnreachableError, ControlError) as error:
        return _Answer([], str(error))
    return _Answer(rows, "")


def read_nodes(file: Path) -> list[Node]:
    """Return the nodes of a file.

    Raises:
        UsageError: It cannot be read, or a line is wrong: with its number.
    """
    try:
        text = read_octets(file, _MOST_OCTETS).decode()
    except (OSError, TextError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.UsageError(f"--from {file}: {reason}") from error
    nodes: dict[str, Node] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        node = _node(words)
        if node is None or node.name in nodes:
            problem = "is named twice" if node else "expected NAME and URL or PATH"
            subject = f"{node.name} " if node else ""
            raise click.UsageError(f"--from {file}:{number}: {subject}{problem}")
        nodes[node.name] = node
    if not nodes:
        raise click.UsageError(f"--from {file}: it names no nodes")
    return list(nodes.values())


def _node(words: Sequence[str]) -> Node | None:
    if len(words) == 1:
        words = (words[0].partition("://")[2] or words[0], words[0])
    name, place, *files = words
    if place.startswith(("http://", "https://")) and len(words) <= _MOST_WORDS:
        return Node(name, Remote(place, *files))
    return Node(name, place) if place.startswith("/") and not files else None
