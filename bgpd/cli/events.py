"""``pybgpctl events`` and ``history``: what happened, one line for each event."""

import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import click

from bgpd.api.client import Place
from bgpd.cli.layout import Row
from bgpd.cli.request import (
    UnreachableDaemonError,
    ask,
    output_option,
    print_rows,
)
from bgpd.cli.show_command import PagedCommand, ShowCommand

_RETRY_TIME: Final = 1.0  # seconds between attempts to reach a daemon that went away
_KINDS: Final = ("session", "route", "policy", "kernel", "datastore", "configuration")
_KIND_WIDTH: Final = 13
_WORDS: Final = {
    "route-added": "added",
    "route-changed": "changed",
    "route-removed": "removed",
}

_limit = click.option(
    "--limit", type=click.IntRange(min=1), help="Show only the newest so many."
)
_longer = click.option(
    "--longer", is_flag=True, help="Include more specific prefixes inside the prefix."
)


@click.command(cls=PagedCommand)
@click.option(
    "--follow",
    "-f",
    is_flag=True,
    help="Go on with events as they happen, until Ctrl-C.",
)
@click.option(
    "--since",
    "after",
    metavar="ID",
    type=click.IntRange(min=0),
    help="Show only events after this one (JSON has their ids).",
)
@click.option(
    "--kind",
    type=click.Choice(_KINDS),
    multiple=True,
    help="Show only this kind; repeat the option for more.",
)
@click.option("--peer", help="Show only events about this peer, a name or an address.")
@click.option("--prefix", help="Show only events about this prefix.")
@_longer
@_limit
@output_option
@click.pass_obj
def events(
    control: Place,
    /,
    output: str,
    after: int | None,
    limit: int | None,
    *,
    follow: bool,
    **wanted: Any,  # noqa: ANN401  # click's values go to the daemon as they are
) -> None:
    """List what happened: sessions, routes, policies, kernel, datastore, configuration.

    The daemon keeps the newest events (journal.max_events, journal.max_changes). If some
    of those after ID are not kept any more, a line says how many.
    """
    if not follow:
        kept = ask(control, "show-events", after=after, limit=limit, **wanted)
        _print(kept, output, "no events")
        return
    if output in ("json", "yaml"):
        raise click.UsageError(f"--follow never ends, which {output} cannot: -o jsonl")
    _follow(control, output, after, limit, wanted)


def _follow(
    control: Place,
    output: str,
    after: int | None,
    limit: int | None,
    wanted: dict[str, Any],
) -> None:
    """Print events until the reader has enough; a daemon that starts again is waited for."""
    cursor = after
    if limit is not None:
        rows = ask(control, "show-events", after=after, limit=limit, **wanted)
        cursor = _print_live(rows, output, cursor)
    has_lost = False
    while True:
        try:
            if has_lost:
                time.sleep(_RETRY_TIME)
            rows = ask(control, "follow-events", after=cursor, **wanted)
            for row in rows:
                has_lost = False
                cursor = _print_live(iter((row,)), output, cursor)
        except UnreachableDaemonError as error:
            if cursor is None and not has_lost:
                raise
            if not has_lost:
                click.echo(f"{error.format_message()}\ntrying again", err=True)
            has_lost = True
        except KeyboardInterrupt:
            return


def _print_live(rows: Iterator[Row], output: str, cursor: int | None) -> int | None:
    """Print rows at once; return the id of the last."""
    for row in rows:
        cursor = row["id"]
        _print(iter((row,)), output, "")
        sys.stdout.flush()
    return cursor


@click.command(cls=ShowCommand)
@click.argument("prefix")
@_longer
@_limit
@output_option
@click.pass_obj
def history(
    control: Place, prefix: str, limit: int | None, output: str, *, longer: bool
) -> None:
    """Show how the best path for PREFIX changed, the oldest change first.

    For an address, shows all prefixes that cover it. The first line says since when
    changes are kept (journal.max_changes).
    """
    rows = ask(control, "history", prefix=prefix, longer=longer, limit=limit)
    _print(rows, output, "no changes")


def _print(rows: Iterator[Row], output: str, empty: str) -> None:
    if output not in ("table", "wide"):
        print_rows(rows, output, (), empty)
        return
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007  # whether there was any
        click.echo(line_of(row))
    if not count and empty:
        click.echo(empty)


def line_of(row: Row) -> str:
    """Return an event as a line for people."""
    moment = str(row["time"]).replace("T", " ").removesuffix("Z")
    kind = row["kind"] or ""
    # Peers choose some of the words: none of these may move the cursor.
    text = "".join(each if each.isprintable() else "?" for each in _text_of(row))
    return f"{moment}  {kind:<{_KIND_WIDTH}}  {text}".rstrip()


def _text_of(row: Row) -> str:
    name = row["event"]
    if name in _WORDS:
        return f"{row['prefix']} {_WORDS[name]}: {_change_of(row)}"
    if name == "events-dropped":
        count = row["dropped"]
        what = "events are gone" if count is None else f"{count} events are gone"
        return f"{what}: {row['reason']}"
    if name == "journal-began":
        return f"changes of {row['family']} are kept since then"
    return str(row.get("message") or name)


def _change_of(row: Row) -> str:
    old, new = row["old"], row["new"]
    if old is None:
        return _path_of(new)
    return f"{_path_of(old)} -> {'none' if new is None else _path_of(new)}"


def _path_of(path: Row) -> str:
    words = [f"from {path['peer']}"]
    if path["next_hop"]:
        words.append(f"via {path['next_hop']}")
    if path["as_path"]:
        words.append(f"AS path {path['as_path']}")
    return " ".join(words)
