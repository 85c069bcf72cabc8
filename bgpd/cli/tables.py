"""The tables for people: which columns they have, and how values become cells.

Piped output has neither boxes nor colours, and streams: widths come from the first rows, so
that a million routes need no memory.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from bgpd.cli.layout import Column, Row, table_lines
from bgpd.cli.terminal import current_terminal

MEASURED: Final = 500  # rows that decide the widths


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


def field(title: str, name: str, **traits: Any) -> Column:  # noqa: ANN401  # Column's
    """Return a column that shows one field as it is."""
    return Column(title, lambda row: plain(row.get(name)), **traits)


def attribute(title: str, name: str, **traits: Any) -> Column:  # noqa: ANN401  # Column's
    """Return a column that shows one path attribute."""
    return Column(title, lambda row: plain(row["attributes"].get(name)), **traits)


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
    remark = drained(row)
    remark = f"drained {remark}" if remark else ""
    return "; ".join(filter(None, (remark, _session_trouble(row))))


def drained(row: Row) -> str:
    """Return by whom a peer is drained, and since when; empty for one that is not."""
    by = row.get("drained_by")
    return f"by {by} since {row['drained_since']}" if by else ""


def _session_trouble(row: Row) -> str:
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
    if row.get("bfd") not in (None, "up") and not row["next_retry"]:
        waits = f"waits for BFD ({row['bfd']})"
        reset = row["last_reset"]
        return f"{waits}; last reset: {reset}" if reset else waits
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


def _bfd_remark(row: Row) -> str:
    """Return why a session is down, or what its last failure was."""
    last = row["last_failure"]
    return row["reason"] or (f"last failure: {last}" if last else "")


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


def _peer_style(row: Row) -> str:
    if row["state"] == "Established":
        return "good"
    return "bad" if row["is_enabled"] else "waiting"


_FIB_STYLES: Final = {"installed": "good", "failed": "bad", "conflict": "bad"}


def _fib_style(row: Row) -> str:
    return _FIB_STYLES.get(row["state"], "waiting")


def _flags_style(row: Row) -> str:
    if row.get("is_filtered") or not row.get("is_reachable", True):
        return "bad"
    if row.get("is_stale"):
        return "waiting"
    return "good" if row.get("is_best") else ""


def _milliseconds(key: str) -> Callable[[Row], str]:
    return lambda row: f"{row[key]} ms" if row[key] else ""


BFD: Final = (
    field("NAME", "name"),
    field("ADDRESS", "address"),
    field(
        "STATE", "state", style=lambda row: "good" if row["state"] == "up" else "bad"
    ),
    Column("UP", _since, is_number=True),
    Column("INTERVAL", _milliseconds("interval"), is_number=True),
    Column("DETECTION TIME", _milliseconds("detection_time"), is_number=True),
    field("RECEIVED", "packets_received", is_number=True),
    field("SENT", "packets_sent", is_number=True),
    field("FAILURES", "failures", is_number=True),
    field("MULTIHOP", "is_multihop", is_wide=True),
    field("STRICT", "is_strict", is_wide=True),
    field("AUTHENTICATION", "authentication", is_wide=True),
    field("LOCAL DISCRIMINATOR", "local_discriminator", is_number=True, is_wide=True),
    field("REMOTE DISCRIMINATOR", "remote_discriminator", is_number=True, is_wide=True),
    Column("REMARK", _bfd_remark),
)
"""Columns of ``show bfd``."""

PEERS: Final = (
    field("NAME", "name"),
    field("REMOTE NODE", "remote_node", is_sparse=True),
    field("ADDRESS", "address"),
    field("AS", "remote_as", is_number=True),
    field("TYPE", "peer_type", is_optional=True),
    field("STATE", "state", style=_peer_style),
    Column("UP", _since, is_number=True),
    field("RECEIVED", "received", is_number=True),
    field("ACCEPTED", "accepted", is_number=True),
    field("FILTERED", "filtered", is_number=True, is_optional=True),
    field("ADVERTISED", "advertised", is_number=True),
    field("FLAPS", "flaps", is_number=True, is_optional=True),
    field("RANGE", "range", is_wide=True),
    field("GROUP", "group", is_wide=True),
    field("LOCAL AS", "local_as", is_number=True, is_wide=True),
    field("BFD", "bfd", is_wide=True),
    field("HOLD TIME", "hold_time", is_number=True, is_wide=True),
    field("MESSAGES IN", "messages_in", is_number=True, is_wide=True),
    field("MESSAGES OUT", "messages_out", is_number=True, is_wide=True),
    field("IMPORT POLICY", "import_policy", is_wide=True),
    field("EXPORT POLICY", "export_policy", is_wide=True),
    Column("REMARK", _trouble, is_long=True),
)


def _age(row: Row) -> str:
    return duration(row["age"])


GONE_PEERS: Final = (
    field("ADDRESS", "address"),
    field("RANGE", "range"),
    field("AS", "remote_as", is_number=True),
    field("SESSIONS", "established_transitions", is_number=True),
    Column("GONE", _age, is_number=True),
    field("GONE AT", "gone_at", is_wide=True),
    field("REASON", "reason", is_long=True),
)
_ROUTE: Final = (
    field("PREFIX", "prefix"),
    attribute("NEXT HOP", "next_hop"),
    field("FROM", "peer"),
    attribute("PREF", "local_pref", is_number=True),
    attribute("MED", "med", is_number=True),
    attribute("AS PATH", "as_path"),
    attribute("ORIGIN", "origin", is_optional=True),
    Column("AGE", _age, is_number=True, is_optional=True),
    attribute("COMMUNITIES", "communities", is_wide=True),
    attribute("LARGE COMMUNITIES", "large_communities", is_wide=True),
    attribute("EXTENDED COMMUNITIES", "ext_communities", is_wide=True),
)
ROUTES: Final = (
    Column("", _flags, style=_flags_style),
    *_ROUTE,
    field("PATH ID", "path_id", is_number=True, is_wide=True),
    field("WEIGHT", "weight", is_number=True, is_wide=True),
    Column("NOT SELECTED BECAUSE", _lost_by, is_long=True),
)
ADVERTISED: Final = (*_ROUTE, field("ADVERTISED TO", "advertised_to", is_wide=True))
COUNTS: Final = (
    field("FAMILY", "family"),
    field("PREFIXES", "prefixes", is_number=True),
    field("ROUTES", "routes", is_number=True),
    field("SELECTED", "selected", is_number=True),
)
COUNTS_BY: Final = (
    field("FAMILY", "family"),
    field("BY", "by"),
    field("VALUE", "value"),
    *COUNTS[2:],
)
MEMORY: Final = (
    field("PART", "part"),
    field("FAMILY", "family"),
    field("OBJECTS", "objects", is_number=True),
    Column("MIB", lambda row: f"{row['octets'] / (1 << 20):.1f}", is_number=True),
    field("OCTETS", "octets", is_number=True, is_wide=True),
    field("ESTIMATED", "is_estimated"),
)
ROUTE_LEGEND: Final = (
    "* selected  = multipath (ECMP)  ! next hop unreachable  s stale  x filtered"
)
FIB: Final = (
    field("PREFIX", "prefix"),
    Column("TO", _way),
    field("METRIC", "metric", is_number=True),
    field("STATE", "state", style=_fib_style),
    field("ERROR", "error", is_long=True),
)
GROUPS: Final = (
    field("FAMILY", "family"),
    field("PEER TYPE", "peer_type"),
    field("POLICY", "policy"),
    field("NEXT HOP", "next_hop", is_optional=True),
    Column("ADD-PATH", lambda row: _add_path(row["add_path_max"]), is_optional=True),
    Column("MEMBERS", lambda row: str(len(row["members"])), is_number=True),
    field("PENDING", "pending", is_number=True),
    field("DRAINED", "is_drained", is_wide=True),
    Column("SLOW PEERS", _slow_peers, is_long=True),
)


ERRORS: Final = (
    Column("TIME", lambda row: str(row["time"])[:19].replace("T", " ")),
    field("PEER", "peer"),
    field("REMEDY", "remedy"),
    field("ATTRIBUTE", "attribute"),
    field("OCTETS", "length", is_number=True),
    field("REASON", "reason", is_long=True),
)


def _add_path(most: int | None) -> str:
    if most is None:
        return "off"
    return str(most) if most else "all"


def print_table(
    columns: Sequence[Column],
    rows: Iterable[Row],
    empty: str = "nothing to show",
    *,
    is_wide: bool = False,
) -> None:
    """Print rows to standard output.

    Args:
        columns: What is shown.
        rows: Taken one by one, once the first ones are measured.
        empty: Printed to standard error if there are none.
        is_wide: All columns in whole lines, however wide the terminal is.
    """
    rest = iter(rows)
    first = list(islice(rest, MEASURED))
    if not first:
        print(empty, file=sys.stderr)  # noqa: T201  # a command's output
        return
    terminal = current_terminal()
    shown = [
        column
        for column in columns
        if (is_wide or not column.is_wide)
        and (not column.is_sparse or any(map(column.text, first)))
    ]
    width = None if is_wide else terminal.width
    write = sys.stdout.write
    for line in table_lines(shown, first, rest, width, terminal.paint):
        write(f"{line}\n")
