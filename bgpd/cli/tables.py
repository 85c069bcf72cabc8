"""Rows as tables for people: aligned columns, as wide as what is in them.

On a terminal short tables are drawn by rich, which fits them to its width. Piped output has
neither boxes nor colours, and streams: widths come from the first rows, so that a million
routes need no memory.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

MEASURED: Final = 500  # rows that decide the widths, and the most that rich draws
NOTHING: Final = "-"
_DUMB: Final = (None, "", "dumb", "unknown")
_LONG_LEAST: Final = 20  # letters that a long column gets at least

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: In capitals.
        text: A row's text in this column; empty is shown as ``-``.
        is_number: Aligned to the right.
        is_long: May be broken into lines where a terminal is too narrow.
    """

    title: str
    text: Callable[[Row], str]
    is_number: bool = False
    is_long: bool = False


def duration(seconds: float | None) -> str:
    """Return a time span in its two largest units, such as ``3d4h`` or ``12m05s``."""
    if seconds is None:
        return ""
    whole = int(seconds)
    minutes, secs = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{secs:02}s" if minutes else f"{secs}s"


def plain(value: object) -> str:
    """Return any value as a cell: lists with spaces, nothing for what is absent."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(plain, value))
    if isinstance(value, dict):
        return " ".join(f"{name}={plain(v)}" for name, v in value.items())
    return str(value)


def field(title: str, name: str, *, is_number: bool = False) -> Column:
    """Return a column that shows one field as it is."""
    return Column(title, lambda row: plain(row.get(name)), is_number)


def attribute(title: str, name: str, *, is_number: bool = False) -> Column:
    """Return a column that shows one path attribute."""
    return Column(title, lambda row: plain(row["attributes"].get(name)), is_number)


def _flags(row: Row) -> str:
    """Return what a path is, a letter each; see ``ROUTE_LEGEND``."""
    if row.get("is_filtered"):
        return "x"
    flags = "*" if row.get("is_best") else ""
    if row.get("is_multipath"):
        flags += "="
    if not row.get("is_reachable", True):
        flags += "!"
    return flags + ("s" if row.get("is_stale") else "")


def _lost_by(row: Row) -> str:
    return "" if row.get("is_best") else plain(row.get("reason"))


def _trouble(row: Row) -> str:
    if not row["is_enabled"]:
        limit = row.get("disabled_by")
        return f"disabled by {limit}: {row['last_reset']}" if limit else "disabled"
    if row["state"] == "Established":
        pending = sum(family["pending"] for family in row["families"])
        remarks = [
            f"{pending} changes pending" if pending else "",
            _restart_remark(row),
            missing_policy(row),
        ]
        return "; ".join(filter(None, remarks))
    retry, reset = row["next_retry"], row["last_reset"]
    error = row["last_attempt"] or (f"last reset: {reset}" if reset else "")
    when = f"next try in {duration(retry)}" if retry is not None else ""
    return "; ".join(filter(None, (_restart_remark(row), error, when)))


def _restart_remark(row: Row) -> str:
    """Return what our own restart, while it is not over, has to do with a peer."""
    if row.get("is_awaited"):
        return "our restart waits for its End-of-RIB"
    families = row["families"]
    if any(family.get("defers_routes") for family in families):
        return "receives only our own routes until our restart completes"
    if any(family.get("defers_end_of_rib") for family in families):
        return "receives no End-of-RIB until our restart completes"
    return ""


_DENIES: Final = "ebgp-default-deny"


def missing_policy(row: Row) -> str:
    """Return what an eBGP peer without policies does not do (RFC 8212)."""
    nothing = [
        what
        for key, what in (
            ("import_policy", "accepted"),
            ("export_policy", "advertised"),
        )
        if row[key] == _DENIES
    ]
    if not nothing:
        return ""
    lacking = {"accepted": "import ", "advertised": "export "}
    kind = lacking[nothing[0]] if len(nothing) == 1 else ""
    done = ", ".join(f"nothing is {what}" for what in nothing)
    return f"no {kind}policy: {done} (RFC 8212)"


def _since(row: Row) -> str:
    return duration(row["uptime"])


def _way(row: Row) -> str:
    if row["kind"] != "unicast":
        return str(row["kind"])
    return ", ".join(
        " dev ".join(part for part in (hop["gateway"], hop["interface"]) if part)
        for hop in row["hops"]
    )


def _slow_peers(row: Row) -> str:
    slow = ", ".join(
        f"{member['peer']} ({member['pending'] + member['pending_walk']})"
        for member in row["slow_peers"]
    )
    if row.get("defers_routes"):
        return f"peers' routes are deferred until our restart completes; {slow}".rstrip(
            "; "
        )
    if row.get("defers_end_of_rib"):
        return f"End-of-RIB is deferred until our restart completes; {slow}".rstrip(
            "; "
        )
    return slow


PEERS: Final = (
    field("NAME", "name"),
    field("ADDRESS", "address"),
    field("AS", "remote_as", is_number=True),
    field("TYPE", "peer_type"),
    field("STATE", "state"),
    Column("UP", _since, is_number=True),
    field("RECEIVED", "received", is_number=True),
    field("ACCEPTED", "accepted", is_number=True),
    field("FILTERED", "filtered", is_number=True),
    field("FLAPS", "flaps", is_number=True),
    Column("REMARK", _trouble, is_long=True),
)
ROUTES: Final = (
    Column("", _flags),
    field("PREFIX", "prefix"),
    attribute("NEXT HOP", "next_hop"),
    field("FROM", "peer"),
    attribute("PREF", "local_pref", is_number=True),
    attribute("MED", "med", is_number=True),
    attribute("AS PATH", "as_path"),
    attribute("ORIGIN", "origin"),
    Column("NOT SELECTED BECAUSE", _lost_by, is_long=True),
)
ADVERTISED: Final = ROUTES[1:-1]
ROUTE_LEGEND: Final = (
    "* selected  = multipath (ECMP)  ! next hop unreachable  s stale  x filtered"
)
FIB: Final = (
    field("PREFIX", "prefix"),
    Column("TO", _way),
    field("METRIC", "metric", is_number=True),
    field("STATE", "state"),
    field("ERROR", "error"),
)
GROUPS: Final = (
    field("FAMILY", "family"),
    field("PEER TYPE", "peer_type"),
    field("POLICY", "policy"),
    field("NEXT HOP", "next_hop"),
    Column("ADD-PATH", lambda row: _add_path(row["add_path_max"])),
    Column("MEMBERS", lambda row: str(len(row["members"])), is_number=True),
    field("PENDING", "pending", is_number=True),
    Column("SLOW PEERS", _slow_peers, is_long=True),
)


def _add_path(most: int | None) -> str:
    if most is None:
        return "off"
    return str(most) if most else "all"


def print_table(
    columns: Sequence[Column], rows: Iterable[Row], empty: str = "nothing to show"
) -> None:
    """Print rows to standard output.

    Args:
        columns: What is shown.
        rows: Taken one by one, once the first ones are measured.
        empty: Printed to standard error if there are none.
    """
    rest = iter(rows)
    first = list(islice(rest, MEASURED))
    if not first:
        print(empty, file=sys.stderr)  # noqa: T201  # a command's output
        return
    if _is_drawn() and len(first) < MEASURED:
        _draw(columns, first)
        return
    for line in _lines(columns, first, rest):
        print(line)  # noqa: T201  # a command's output


def _is_drawn() -> bool:
    """Whether a terminal is there that says how wide it is.

    A dumb one (Emacs' shell, a serial console) is given whole lines instead, as a pipe is:
    rich would take it for 80 columns wide and cut what does not fit.
    """
    return sys.stdout.isatty() and os.environ.get("TERM") not in _DUMB


def _cells(columns: Sequence[Column], row: Row) -> list[str]:
    return [column.text(row) or (NOTHING if column.title else "") for column in columns]


def _lines(
    columns: Sequence[Column], first: list[Row], rest: Iterator[Row]
) -> Iterator[str]:
    measured = [_cells(columns, row) for row in first]
    titles = [column.title for column in columns]
    widths = [max(map(len, some)) for some in zip(titles, *measured, strict=True)]
    others = (_cells(columns, row) for row in rest)
    for cells in chain((titles,), measured, others):
        aligned = (
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        )
        yield "  ".join(aligned).rstrip()


def _draw(columns: Sequence[Column], rows: list[Row]) -> None:
    """Let rich fit the table to the terminal."""
    from rich.console import Console  # noqa: PLC0415  # costs 0.1 s, for terminals only
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    cells = [_cells(columns, row) for row in rows]
    least = 0
    for index, column in enumerate(columns):
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            no_wrap=not column.is_long,
        )
        widest = max(len(column.title), *(len(row[index]) for row in cells))
        least += 2 + (min(widest, _LONG_LEAST) if column.is_long else widest)
    for row_cells in cells:
        # Text, not markup: names and communities may hold brackets.
        table.add_row(*map(Text, row_cells))
    console = Console(highlight=False)
    # Rather a line that the terminal breaks than a prefix cut short.
    console.width = max(console.width, least)
    console.print(table)
