"""``pybgpctl calico``: what a cluster's objects ask of a node, offline and in a running daemon."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from bgpd.api.client import Place
from bgpd.cli.request import (
    EXIT_REFUSED,
    ask,
    output_option,
    print_lines,
    print_rows,
    print_value,
)
from bgpd.cli.show_command import PagedCommand, ShowCommand
from bgpd.cli.tables import field

if TYPE_CHECKING:
    from bgpd.calico.case import Case

EXIT_BAD_CASE: Final = 2
EXIT_STALE: Final = 4

_DIFF: Final = (
    field("PART", "part"),
    field("NAME", "name"),
    field("STATE", "state"),
    field("WANTED", "wanted"),
    field("RUNNING", "running"),
    field("REMARK", "text"),
)

_HELD: Final = (
    field("SOURCE", "source"),
    field("KIND", "kind"),
    field("OBJECT", "object"),
    field("REPLACED BY", "replaced_by"),
    field("UNTIL", "until"),
)

_case = click.option(
    "--case",
    "file",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON document with objects, affinities and routes; - reads standard input.",
)
_form = click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "yaml"]),
    default="json",
    show_default=True,
    help="The form of what is printed.",
)


@click.group()
def calico() -> None:
    """Show what the objects of a Calico cluster ask of a node."""


@calico.command("plan", cls=PagedCommand)
@_case
@_form
def plan(file: Path, output: str) -> None:
    """Print the sessions and settings that a node would have, offline."""
    from bgpd.calico.case import show_plan  # noqa: PLC0415  # pydantic costs 0.2 s

    print_value(show_plan(_load(file)), output)


@calico.command("probe", cls=PagedCommand)
@_case
@_form
def probe(file: Path, output: str) -> None:
    """Print what a node's policies would do to the case's routes, offline."""
    from bgpd.calico.case import CaseError  # noqa: PLC0415  # as above
    from bgpd.calico.probe import show_probes  # noqa: PLC0415

    case = _load(file)
    try:
        print_value(show_probes(case), output)
    except CaseError as error:
        _refuse(file, str(error))


@calico.command("diff", cls=ShowCommand)
@click.option(
    "--all", "shows_all", is_flag=True, help="Also show what does not differ."
)
@output_option
@click.pass_obj
def diff(control: Place, output: str, *, shows_all: bool) -> None:
    """Compare what the datastore asks of a running daemon with what runs there.

    Exit code 1 if something differs; 4 if nothing differs but the datastore is not
    connected: then the comparison is with the last revision that was read.
    """
    found = list(ask(control, "calico-diff", all=True))
    rows = [row for row in found if shows_all or row["state"] != "same"]
    if output == "table":
        for row in found:
            if row["part"] == "datastore":
                click.echo(row["text"])
        rows = [row for row in rows if row["part"] != "datastore"]
    print_rows(iter(rows), output, _DIFF, "nothing differs")
    states = {row["state"] for row in found}
    if states - {"same", "stale"}:
        sys.exit(EXIT_REFUSED)
    if "stale" in states:
        sys.exit(EXIT_STALE)


@calico.command("held", cls=ShowCommand)
@output_option
@click.pass_obj
def held(control: Place, output: str) -> None:
    """Show objects whose implausible removal is held.

    Such objects stay in force until they are back, until datastore.removal_hold is
    over, or until "calico confirm".
    """
    print_rows(ask(control, "calico-held"), output, _HELD, "nothing is held")


@calico.command("confirm")
@click.pass_obj
def confirm(control: Place) -> None:
    """Confirm the removals that are held: they take effect at once.

    Exit code 1 if nothing is held.
    """
    print_lines(ask(control, "calico-confirm"))


def _load(file: Path) -> "Case":
    from bgpd.calico.case import CaseError, load_case  # noqa: PLC0415  # as above
    from bgpd.texts.files import read_octets  # noqa: PLC0415  # as above
    from bgpd.texts.json_text import load  # noqa: PLC0415  # as above
    from bgpd.texts.limits import CASE, TextError  # noqa: PLC0415  # as above

    try:
        if str(file) == "-":
            octets = sys.stdin.buffer.read(CASE.octets + 1)
        else:
            octets = read_octets(file, CASE.octets)
        return load_case(load(octets, CASE, keeps_halves=True).value)
    except OSError as error:
        _refuse(file, error.strerror or str(error))
    except (TextError, CaseError, RecursionError) as error:
        _refuse(file, str(error))


def _refuse(file: Path, text: str) -> NoReturn:
    click.echo(f"pybgpctl: {file}: {text}", err=True)
    sys.exit(EXIT_BAD_CASE)
