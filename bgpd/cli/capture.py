"""``pybgpctl capture``: messages of peers as they pass, as lines or as a pcap file."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from bgpd.api.client import Place
from bgpd.cli.completion import complete_peers
from bgpd.cli.layout import Row
from bgpd.cli.request import ask, output_option, print_rows

_TYPES: Final = ("open", "update", "notification", "keepalive", "route-refresh")
_at_least_one: Final = click.IntRange(min=1)


@click.command()
@click.argument("peer", nargs=-1, required=True, shell_complete=complete_peers)
@click.option(
    "--write",
    "-w",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write a pcap file for Wireshark, tshark or tcpdump; - is standard output.",
)
@click.option(
    "--for",
    "seconds",
    type=_at_least_one,
    metavar="SECONDS",
    help="End after so many seconds.",
)
@click.option("--max-messages", type=_at_least_one, help="End after so many messages.")
@click.option(
    "--max-octets", type=_at_least_one, help="End after so many octets of messages."
)
@click.option(
    "--direction",
    type=click.Choice(["in", "out", "both"]),
    default="both",
    show_default=True,
    help="Capture only messages that PEER sent (in), or that we sent (out).",
)
@click.option(
    "--type",
    type=click.Choice(_TYPES),
    multiple=True,
    help="Capture only this type of message; repeat the option for more.",
)
@click.option("--prefix", help="Capture only UPDATEs that name this prefix.")
@click.option(
    "--longer", is_flag=True, help="Include more specific prefixes inside --prefix."
)
@output_option
@click.pass_obj
def capture(
    control: Place,
    /,
    file: Path | None,
    output: str,
    **wanted: Any,  # noqa: ANN401  # click's values go to the daemon as they are
) -> None:
    """Capture the BGP messages of each PEER as they pass, until Ctrl-C or a limit.

    Prints a line for each message, or with --write makes a pcap file. A PEER (a name or
    an address) need not be up: what it sends first is captured as well. The daemon
    delays no session for a capture: if messages come faster than pybgpctl takes them,
    some are dropped, and the last line says how many.

    \b
      pybgpctl capture tor-1 --for 60 --write tor-1.pcap
      pybgpctl capture tor-1 --write - | tshark -r -
    """  # noqa: D301  # click wants the character itself, to keep the lines below it
    if file is None and output in ("json", "yaml"):
        raise click.UsageError(
            f"a capture has no end that {output} could wait for: -o jsonl"
        )
    rows = ask(control, "capture", decode=file is None, **wanted)
    if file is None:
        _print_lines(rows, output)
    else:
        _write(rows, file)


class _Summary:
    """What was captured, for the last line."""

    def __init__(self) -> None:
        self.messages = 0
        self.dropped = 0
        self.ports: set[int] = set()
        self.end = ""

    def note(self, row: Row) -> None:
        """Count a row."""
        self.dropped = row["dropped"]
        self.end = row.get("reason", self.end)
        if row["event"] == "message":
            self.messages += 1
            ports = {row["local_port"], row["remote_port"]}
            if 179 not in ports:
                self.ports.add(
                    row["remote_port" if row["is_outgoing"] else "local_port"]
                )

    def text(self, file: str) -> str:
        """Return it; ``file`` is where the messages are, empty for none."""
        end = f" (--{_option(self.end)} is reached)" if self.end else ""
        where = f" in {file}" if file else ""
        word = "message" if self.messages == 1 else "messages"
        lines = [
            f"{self.messages} {word} captured{where}, {self.dropped or 'none'} dropped{end}"
        ]
        lines += [
            f"BGP is on port {port} there: tshark -d tcp.port=={port},bgp"
            for port in sorted(self.ports)
            if file
        ]
        return "\n".join(lines)


def _option(reason: str) -> str:
    return "for" if reason == "seconds" else f"max-{reason}"


def _print_lines(rows: Iterator[Row], output: str) -> None:
    summary, dropped = _Summary(), 0
    try:
        for row in rows:
            summary.note(row)
            if output == "jsonl":
                print_rows(iter((row,)), output, (), "")
            else:
                if row["dropped"] > dropped:
                    click.echo(f"-- {row['dropped'] - dropped} messages were dropped")
                if text := _line_of(row):
                    click.echo(text)
            dropped = row["dropped"]
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    finally:
        click.echo(summary.text(""), err=True)


def _line_of(row: Row) -> str:
    """Return a row for people; empty for what says nothing to them."""
    event = row["event"]
    if event in ("began", "ended"):
        return ""
    moment = str(row["time"]).replace("T", " ").removesuffix("Z")
    if event == "message":
        what = f"{row['type'].upper():<13}  {row['text']}"
        if row["type"] == "other":
            what = f"{'not a message':<13}  {row['octets'][:80]}"
    else:
        what = (
            f"connection {event}: {row['local_address']} port {row['local_port']}, "
            f"{row['address']} port {row['remote_port']}"
        )
    line = f"{moment}  {row['peer']}  {row['direction']:<3}  {what}".rstrip()
    # Peers choose some of the words: none of these may move the cursor.
    return "".join(each if each.isprintable() else "?" for each in line)


def _write(rows: Iterator[Row], file: Path) -> None:
    from bgpd.cli.capture_file import CaptureFile  # noqa: PLC0415  # for files alone

    summary = _Summary()
    target: CaptureFile | None = None
    name = "standard output" if str(file) == "-" else str(file)
    try:
        for row in rows:
            if target is None:
                target = CaptureFile(file)
            target.add(row)
            summary.note(row)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        told = f"pybgpctl: cannot write {name}: {error.strerror or error}"
        if target is not None:
            told += f"; it has {summary.messages} messages, all of them whole"
        raise click.ClickException(told.removeprefix("pybgpctl: ")) from error
    finally:
        if target is not None:
            target.close()
            click.echo(summary.text(name), err=True)
