"""``pybgpctl show errors``: malformed UPDATEs as a table, with their octets, or as a pcap file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from bgpd.api.client import Place
from bgpd.cli.completion import complete_peers
from bgpd.cli.layout import Row
from bgpd.cli.request import ask, output_option, print_rows
from bgpd.cli.show_command import ShowCommand
from bgpd.cli.tables import ERRORS

_LINE: Final = 16  # octets of a line
_ENDS: Final = ("local_address", "local_port", "address", "remote_port")


@click.command("errors", cls=ShowCommand)
@click.argument("peer", required=False, shell_complete=complete_peers)
@click.option("--hex", "is_hex", is_flag=True, help="Show the octets of each UPDATE.")
@click.option(
    "--write",
    "-w",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write the UPDATEs to a pcap file for Wireshark, tshark or tcpdump.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Show only the newest so many."
)
@output_option
@click.pass_obj
def errors(
    control: Place,
    peer: str | None,
    file: Path | None,
    limit: int | None,
    output: str,
    *,
    is_hex: bool,
) -> None:
    """List malformed UPDATEs that peers sent (PEER: a name or an address), the oldest first.

    Each has what was wrong, what the daemon did (RFC 7606), and its octets. The daemon
    keeps the newest (journal.max_malformed_updates, journal.max_malformed_octets); a
    peer that sends many pushes out only its own.
    """
    rows = ask(control, "show-errors", peer=peer, limit=limit)
    if file is not None:
        _write(rows, file)
    elif is_hex and output in ("table", "wide"):
        _print_octets(rows)
    else:
        print_rows(rows, output, ERRORS, "no malformed UPDATEs")


def _print_octets(rows: Iterator[Row]) -> None:
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007  # whether there was any
        moment = str(row["time"]).replace("T", " ").removesuffix("Z")
        click.echo(f"{moment}  {row['peer']} ({row['address']})")
        for problem in row["problems"]:
            click.echo(f"  {problem['remedy']}: {problem['reason']}")
        octets = bytes.fromhex(row["octets"])
        for at in range(0, len(octets), _LINE):
            click.echo(f"  {at:04x}  {octets[at : at + _LINE].hex(' ')}")
    if not count:
        click.echo("no malformed UPDATEs", err=True)


def _write(rows: Iterator[Row], file: Path) -> None:
    from bgpd.cli.capture_file import CaptureFile  # noqa: PLC0415  # for files alone

    name = "standard output" if str(file) == "-" else str(file)
    numbers: dict[tuple[object, ...], int] = {}
    count = 0
    try:
        with CaptureFile(file) as target:
            for row in rows:
                count += 1
                key = tuple(row[name] for name in _ENDS)
                number = numbers.setdefault(key, len(numbers) + 1)
                about = {"event": "message", "direction": "in", "connection": number}
                target.add(row | about)
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(f"cannot write {name}: {reason}") from error
    word = "UPDATE" if count == 1 else "UPDATEs"
    click.echo(f"{count} malformed {word} in {name}", err=True)
