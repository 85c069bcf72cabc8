"""``pybgpctl plan``, ``apply``, ``confirm`` and ``rollback``: a configuration, and what it does."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from bgpd.api.client import Place
from bgpd.cli.request import ask, output_option, print_lines, print_rows
from bgpd.cli.show_command import PagedCommand

PIECE: Final = 8_192  # characters in one request; each may be six octets in JSON
EXIT_UNREADABLE: Final = 2
EXIT_CHANGES: Final = 10
EXIT_ENDS_SESSIONS: Final = 11

_file = click.argument("file", type=click.Path(path_type=Path))
_allow_reset = click.option(
    "--allow-reset",
    is_flag=True,
    help="Also make changes that end sessions, whatever reload.resets says.",
)

Row = dict[str, Any]


@click.command("plan", cls=PagedCommand)
@_file
@click.option("--summary", is_flag=True, help="Print the totals only.")
@click.option(
    "--limit",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="Name at most this many prefixes of each kind of change.",
)
@click.option(
    "--resource",
    is_flag=True,
    help="FILE has Calico resources (BGPPeer, IPPool, Node ...), as if the datastore had them.",
)
@_allow_reset
@output_option
@click.pass_obj
def plan(
    control: Place,
    file: Path,
    limit: int,
    output: str,
    *,
    summary: bool,
    resource: bool,
    allow_reset: bool,
) -> None:
    """Show what the configuration FILE would do to sessions and routes, and change nothing.

    "-" reads standard input. The text takes the place of the daemon's own file: names of
    password files in it are those of the daemon's machine, relative to its own file.

    A session that is reset counts as coming back with the routes that it has now.

    Exit codes: 0 nothing would change, 10 something would, 11 and sessions would end.
    """
    answer = ask(
        control,
        "plan",
        **_sent(control, _text(file)),
        name=str(file),
        limit=limit,
        summary=summary,
        resource=resource,
        allow_reset=allow_reset,
    )
    rows: list[Row] = []
    for row in answer:
        if row["part"] == "progress":
            _progress(row["text"])
        else:
            rows.append(row)
    _progress("")
    if output in ("table", "wide"):
        for line in _lines(rows):
            click.echo(line)
    else:
        print_rows(iter(rows), output, (), "")
    total = rows[-1]
    if total["sessions_ended"]:
        sys.exit(EXIT_ENDS_SESSIONS)
    if not total["is_empty"]:
        sys.exit(EXIT_CHANGES)


@click.command("apply")
@_file
@click.option(
    "--confirm",
    type=click.IntRange(1, 86_400),
    metavar="SECONDS",
    help="Go back to the present configuration after SECONDS unless it is confirmed.",
)
@_allow_reset
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def apply(
    control: Place, file: Path, confirm: int | None, *, allow_reset: bool, yes: bool
) -> None:
    """Put the configuration FILE in force, and write it to the daemon's own file.

    With --confirm the file is written by "pybgpctl confirm". Until then a daemon that
    restarts starts with the old file, and reloads wait.

    On a terminal, shows the totals of "pybgpctl plan" and asks first.
    """
    text = _text(file)
    named: Row = {"name": str(file), "allow_reset": allow_reset}
    if not yes and sys.stdin.isatty():
        rows = [
            row
            for row in ask(
                control, "plan", summary=True, **_sent(control, text), **named
            )
            if row["part"] != "progress"
        ]
        for line in _lines(rows):
            click.echo(line)
        if not click.confirm("Apply?"):
            sys.exit(1)
    print_lines(ask(control, "apply", confirm=confirm, **_sent(control, text), **named))


@click.command("confirm")
@click.pass_obj
def confirm(control: Place) -> None:
    """Confirm the applied configuration: the daemon's file is written."""
    print_lines(ask(control, "confirm"))


@click.command("rollback")
@click.pass_obj
def rollback(control: Place) -> None:
    """Go back to the configuration before "apply --confirm"."""
    print_lines(ask(control, "rollback"))


def _sent(control: Place, text: str) -> Row:
    """Return the argument that stands for a text; send a long one in pieces before."""
    if len(text) <= PIECE:
        return {"text": text}
    name = os.urandom(16).hex()
    for start in range(0, len(text), PIECE):
        piece = text[start : start + PIECE]
        for _ in ask(control, "upload", upload=name, text=piece):
            pass
    return {"upload": name}


def _text(file: Path) -> str:
    # They would be a twentieth of the start of each command.
    from bgpd.texts.files import read_octets  # noqa: PLC0415
    from bgpd.texts.limits import CONFIGURATION, TextError  # noqa: PLC0415

    try:
        if str(file) == "-":
            octets = sys.stdin.buffer.read(CONFIGURATION.octets + 1)
            CONFIGURATION.check_octets(len(octets))
        else:
            octets = read_octets(file, CONFIGURATION.octets)
        return octets.decode()
    except UnicodeDecodeError:
        _refuse(file, "is not a text in UTF-8")
    except OSError as error:
        _refuse(file, error.strerror or str(error))
    except TextError as error:
        _refuse(file, str(error))


def _refuse(file: Path, text: str) -> NoReturn:
    click.echo(f"pybgpctl: {file}: {text}", err=True)
    sys.exit(EXIT_UNREADABLE)


def _progress(text: str) -> None:
    """Show what is being worked out, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


# -- for people ---------------------------------------------------------------------------


def _lines(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        match row["part"]:
            case "setting":
                waits = "; waits for consent" if row["is_held"] else ""
                yield f"{row['text']}{waits}"
            case "session":
                yield _session(row)
            case "peer":
                yield from _peer(row)
            case "note":
                yield f"note: {row['text']}"
            case "summary":
                yield from _summary(row)
            case part:
                yield from _moves(part, row)


_COSTS: Final = {
    "live": "the session stays, nothing is exchanged",
    "refresh": "the session stays, routes are exchanged again",
}


def _session(row: Row) -> str:
    keys = f" ({', '.join(row['keys'])})" if row["keys"] else ""
    text = f"session {row['name']} {row['address']}: {row['change']}{keys}"
    if row["ends_session"]:
        return f"{text}: the session {'ends' if row['change'] == 'removed' else 'is reset'}"
    if row["change"] == "added" and row["state"] is None:
        return text
    if row["state"] != "Established":
        return f"{text}: there is no session now"
    return f"{text}: {_COSTS[row['cost']]}"


def _peer(row: Row) -> Iterator[str]:
    where = f"{row['name']} {row['family']}"
    if row["accepted_before"] != row["accepted_after"]:
        yield (
            f"routes of {where}: {row['accepted_before']} accepted, then "
            f"{row['accepted_after']}"
        )
    for kind, text in (
        ("gained", "is advertised"),
        ("lost", "is no longer advertised"),
        ("changed", "is advertised otherwise"),
    ):
        if row[kind]:
            yield f"{where} {text} {_named(row[kind], row[f'{kind}_prefixes'])}"


def _named(count: int, prefixes: list[str]) -> str:
    text = f"{count} prefix{'' if count == 1 else 'es'}"
    if not prefixes:
        return text
    more = f" and {count - len(prefixes)} more" if count > len(prefixes) else ""
    return f"{text}: {', '.join(prefixes)}{more}"


def _moves(part: str, row: Row) -> Iterator[str]:
    total = row["gained"] + row["lost"] + row["changed"]
    yield (
        f"{part}s of {row['family']}: {row['gained']} new, {row['lost']} gone, "
        f"{row['changed']} moved"
    )
    for move in row["moves"]:
        yield f"  {move['prefix']}: {move['before'] or 'none'} -> {move['after'] or 'none'}"
    if total > len(row["moves"]) > 0:
        yield f"  and {total - len(row['moves'])} more"


def _summary(row: Row) -> Iterator[str]:
    if row["is_empty"]:
        yield "nothing would change"
        return
    yield (
        f"sessions: {row['sessions_added']} added, {row['sessions_removed']} removed, "
        f"{row['sessions_reset']} reset, {row['sessions_refreshed']} refreshed; "
        f"{row['sessions_ended']} end"
    )
    yield (
        f"peers: {row['peers']} concerned; prefixes: {row['gained']} gained, "
        f"{row['lost']} lost, {row['changed']} changed"
    )
    yield f"best paths: {row['best_paths']} move; kernel routes: {row['kernel_routes']} move"
    if row["held"]:
        yield f"waiting for consent: {row['held']} (--allow-reset)"
