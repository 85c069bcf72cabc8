"""Asking a running daemon, and printing what it says."""

import json
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

import click

from bgpd.api.client import UnreachableError, call
from bgpd.api.protocol import PATH_VARIABLE, ControlError
from bgpd.cli.tables import Column, Row, print_table

EXIT_REFUSED: Final = 1
EXIT_UNREACHABLE: Final = 3

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="A table for people, one JSON value, or one JSON object per line.",
)


def ask(control: str, command: str, **arguments: Any) -> Iterator[Row]:  # noqa: ANN401  # JSON
    """Yield the rows of an answer; exit if there is no answer.

    Arguments that are ``None`` or false are left out; underscores become hyphens.
    """
    sent = {
        name.replace("_", "-"): value
        for name, value in arguments.items()
        if value is not None and value is not False
    }
    try:
        for data in call(control, command, sent):
            yield from [data] if isinstance(data, dict) else data
    except ControlError as error:
        click.echo(f"pybgpctl: {error.message}", err=True)
        if error.expected:
            click.echo(f"expected: {', '.join(error.expected)}", err=True)
        sys.exit(EXIT_REFUSED)
    except UnreachableError as error:
        click.echo(f"pybgpctl: {error}", err=True)
        click.echo(
            f"another path: --control PATH, or the variable {PATH_VARIABLE}", err=True
        )
        sys.exit(EXIT_UNREACHABLE)


def print_rows(
    rows: Iterator[Row], output: str, columns: tuple[Column, ...], empty: str
) -> None:
    """Print rows as a table, one JSON value, or an object a line."""
    if output == "table":
        print_table(columns, rows, empty)
    elif output == "jsonl":
        for row in rows:
            click.echo(json.dumps(row))
    else:
        _print_array(rows)


def _print_array(rows: Iterator[Row]) -> None:
    """Print a JSON array as its rows come; nothing where the first is an error."""
    first = next(rows, None)
    if first is None:
        click.echo("[]")
        return
    before = "["
    for row in chain((first,), rows):
        click.echo(f"{before}{json.dumps(row)}", nl=False)
        before = ",\n "
    click.echo("]")


def print_page(
    rows: Iterator[Row], output: str, page: Callable[[Row], Iterator[str]]
) -> None:
    """Print one answer as a page, or as JSON."""
    for row in rows:
        if output == "table":
            for line in page(row):
                click.echo(line)
        else:
            click.echo(json.dumps(row, indent=2 if output == "json" else None))


def print_lines(rows: Iterator[Row]) -> None:
    """Print what a command that changes something says."""
    for row in rows:
        for line in row["lines"]:
            click.echo(line)
