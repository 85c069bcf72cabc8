"""Asking a running daemon, and printing what it says."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import click

from bgpd.api.client import Place, Remote, UnreachableError, call
from bgpd.api.protocol import PATH_VARIABLE, ControlError
from bgpd.cli.layout import Column, Row
from bgpd.cli.tables import print_table

EXIT_REFUSED: Final = 1
EXIT_UNREACHABLE: Final = 3
EXIT_UNREACHABLE_NODES: Final = 5
_MOST_NAMES: Final = 10  # of nodes in one line

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json", "jsonl", "yaml"]),
    default="table",
    show_default=True,
    help="A table for people, one with all columns, one JSON value, one JSON object per line, or YAML.",
)


class RejectedRequestError(click.ClickException):
    """The daemon says no.

    Args:
        error: What it says.
    """

    exit_code = EXIT_REFUSED

    def __init__(self, error: ControlError) -> None:
        expected = f"\nexpected: {', '.join(error.expected)}" if error.expected else ""
        super().__init__(f"pybgpctl: {error.message}{expected}")

    def show(self, _file: Any = None) -> None:  # noqa: ANN401  # click's
        """Print it as the daemon's words, not as a fault of usage."""
        click.echo(self.format_message(), err=True)


class UnreachableDaemonError(click.ClickException):
    """There is no answer.

    Attributes:
        is_partial: Some of the answers are there.

    Args:
        error: Why.
        is_remote: The daemon is on another machine.
    """

    exit_code = EXIT_UNREACHABLE
    is_partial = False

    def __init__(self, error: UnreachableError, *, is_remote: bool) -> None:
        hint = f"another path: --control PATH, or the variable {PATH_VARIABLE}"
        if is_remote:
            hint = "another daemon: --url URL, or the variable PYBGPD_URL"
        super().__init__(f"pybgpctl: {error}\n{hint}")

    def show(self, _file: Any = None) -> None:  # noqa: ANN401  # click's
        """Print it."""
        click.echo(self.format_message(), err=True)


class UnreachableNodesError(UnreachableDaemonError):
    """Some of many daemons do not answer.

    Args:
        failed: Their names; their rows say why.
        total: How many were asked.
    """

    exit_code = EXIT_UNREACHABLE_NODES
    is_partial = True

    def __init__(self, failed: Sequence[str], total: int) -> None:
        names = ", ".join(failed[:_MOST_NAMES])
        more = len(failed) - _MOST_NAMES
        text = f"pybgpctl: {len(failed)} of {total} nodes did not answer: {names}"
        also = f" and {more} more" if more > 0 else ""
        click.ClickException.__init__(self, f"{text}{also}")


def ask(control: Place, command: str, **arguments: Any) -> Iterator[Row]:  # noqa: ANN401  # JSON
    """Yield the rows of an answer.

    Arguments that are ``None``, false or empty are left out.

    Raises:
        RejectedRequestError: The daemon says no.
        UnreachableDaemonError: There is no answer.
    """
    sent = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in arguments.items()
        if value is not None and value is not False and value != ()
    }
    try:
        for data in call(control, command, sent):
            yield from [data] if isinstance(data, dict) else data
    except ControlError as error:
        raise RejectedRequestError(error) from error
    except UnreachableError as error:
        raise UnreachableDaemonError(
            error, is_remote=isinstance(control, Remote)
        ) from error


def print_rows(
    rows: Iterator[Row], output: str, columns: tuple[Column, ...], empty: str
) -> None:
    """Print rows as a table or in a format for programs."""
    if output in ("table", "wide"):
        print_table(columns, rows, empty, is_wide=output == "wide")
        return
    _PRINT_ROWS[output](rows)


def _print_json_lines(rows: Iterator[Row]) -> None:
    for row in rows:
        _write(json.dumps(row))


def _print_array(rows: Iterator[Row]) -> None:
    """Print a JSON array as its rows come; nothing where the first is an error."""
    before = "[\n"
    for row in rows:
        text = json.dumps(row, indent=2).replace("\n", "\n  ")
        sys.stdout.write(f"{before}  {text}")
        before = ",\n"
    _write("[]" if before == "[\n" else "\n]")


def _print_yaml_list(rows: Iterator[Row]) -> None:
    """Print a YAML list as its rows come."""
    is_empty = True
    for row in rows:
        is_empty = False
        sys.stdout.write(_yaml([row]))
    if is_empty:
        _write("[]")


def _yaml(value: object) -> str:
    import yaml  # noqa: PLC0415  # 20 ms, for those who ask for it

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=False)


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")


_PRINT_ROWS: Final = {
    "json": _print_array,
    "jsonl": _print_json_lines,
    "yaml": _print_yaml_list,
}


def print_page(
    rows: Iterator[Row], output: str, page: Callable[[Row], Iterator[str]]
) -> None:
    """Print one answer as a page, or in a format for programs."""
    for row in rows:
        if output in ("table", "wide"):
            for line in page(row):
                _write(line)
        elif output == "yaml":
            sys.stdout.write(_yaml(row))
        else:
            _write(json.dumps(row, indent=2 if output == "json" else None))


def print_value(value: object, output: str) -> None:
    """Print a value that does not come from a daemon, as ``json`` or ``yaml``."""
    if output == "yaml":
        sys.stdout.write(_yaml(json.loads(json.dumps(value))))  # plain values
    else:
        _write(json.dumps(value, indent=2))


def print_lines(rows: Iterator[Row]) -> None:
    """Print what a command that changes something says."""
    for row in rows:
        for line in row["lines"]:
            _write(line)
