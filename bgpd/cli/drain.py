"""``drain``, ``undrain`` and ``show drain``: peers out of service without loss (RFC 8326)."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import click

from bgpd.api.client import Place
from bgpd.cli.actions import ask_first
from bgpd.cli.completion import complete_groups, complete_peers, complete_ranges
from bgpd.cli.layout import Row
from bgpd.cli.request import ask, output_option, print_lines, print_rows
from bgpd.cli.show_command import ShowCommand
from bgpd.cli.tables import field

_WAIT: Final = 60  # seconds where --wait has no number
_POLL: Final = 1.0  # seconds between two looks
_GRACE: Final = 10.0  # seconds for which the daemon may be late
EXIT_TIMED_OUT: Final = 1

DRAINED: Final = (
    field("NAME", "peer"),
    field("ADDRESS", "address"),
    field("STATE", "state"),
    field("SINCE", "since"),
    field("BY", "by"),
    field("BEST PATHS", "best", is_number=True),
    field("MOVABLE", "movable", is_number=True),
    field("SENT", "is_sent"),
    field("TIME LEFT", "time_left", is_number=True),
    field("SHUTS DOWN", "shuts_down", is_wide=True),
    field("TEXT", "text", is_long=True),
)

_Command = TypeVar("_Command", bound=Callable[..., Any])


class WaitCommand(click.Command):
    """A command whose ``--wait`` goes with and without a number."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let ``--wait`` do without a number."""
        found: list[str] = []
        for index, word in enumerate(args):
            found.append(word)
            following = args[index + 1] if index + 1 < len(args) else ""
            if word == "--wait" and not following.isdecimal():
                found.append(str(_WAIT))
        return super().parse_args(ctx, found)


def _which(command: _Command) -> _Command:
    for decorate in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "every", is_flag=True, help="All peers, new ones too."),
        click.option(
            "--range",
            "ranges",
            multiple=True,
            metavar="RANGE",
            shell_complete=complete_ranges,
            help="All dynamic neighbours of this range that there are now.",
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            shell_complete=complete_groups,
            help="All peers of this peer group.",
        ),
        click.argument(
            "peers", nargs=-1, metavar="[PEER]...", shell_complete=complete_peers
        ),
    ):
        command = decorate(command)
    return command


@click.command("drain", cls=WaitCommand)
@_which
@click.option(
    "--wait",
    type=click.IntRange(min=1, max=86400),
    metavar="[SECONDS]",
    help="Wait so long at most until nothing changes any more, then shut the sessions "
    f"down; without a number {_WAIT}.",
)
@click.option(
    "--shutdown/--no-shutdown",
    "shuts",
    default=True,
    help="With --wait: whether the sessions are shut down at the end.",
)
@click.option("--text", help="Message for the operators of the peers (RFC 9003).")
@click.pass_obj
def drain(
    control: Place,
    /,
    *,
    wait: int | None,
    shuts: bool,
    text: str | None,
    **which: Any,  # noqa: ANN401  # click's values
) -> None:
    """Take PEERs (names or addresses), a group, a range or all out of service.

    Their routes become the last choice here, and ours there: GRACEFUL_SHUTDOWN
    (RFC 8326) to eBGP peers, LOCAL_PREF 0 to iBGP peers. No session is reset. That
    lasts over restarts until undrain. With --wait the daemon then shuts the sessions
    down, also when this command is interrupted.
    """
    arguments = _arguments(which)
    if not (which["yes"] or arguments["peer"]):
        ask_first(
            "drain these peers?" if arguments["all"] is None else "drain all peers?"
        )
    is_shutdown = bool(wait) and shuts
    print_lines(
        ask(
            control,
            "drain",
            **arguments,
            text=text,
            wait=wait,
            shutdown=is_shutdown or None,
        )
    )
    if wait:
        _follow(control, wait)


@click.command("undrain")
@_which
@click.pass_obj
def undrain(control: Place, /, **which: Any) -> None:  # noqa: ANN401  # as above
    """Put drained PEERs, a group, a range or all in service again.

    Sessions that drain has shut down come up again.
    """
    print_lines(ask(control, "undrain", **_arguments(which)))


@click.command("drain", cls=ShowCommand)
@output_option
@click.pass_obj
def show_drain(control: Place, output: str) -> None:
    """List drained peers, and what still uses their sessions.

    BEST PATHS counts prefixes whose best path is the peer's; MOVABLE those of them that
    have a path elsewhere, which become 0.
    """
    print_rows(ask(control, "show-drain"), output, DRAINED, "no peer is drained")


def _arguments(which: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the request.

    Raises:
        UsageError: No peer is named, or --all goes with others.
    """
    peers, every = list(which["peers"]), which["every"]
    groups, ranges = list(which["groups"]), list(which["ranges"])
    if every and (peers or groups or ranges):
        raise click.UsageError("--all goes without PEER, --group and --range")
    if not (peers or groups or ranges or every):
        raise click.UsageError("name a PEER, or use --group, --range or --all")
    return {
        "peer": peers or None,
        "group": groups or None,
        "range": ranges or None,
        "all": every or None,
    }


def _follow(control: Place, wait: int) -> None:
    """Tell how far it is until the daemon waits no longer."""
    until, last = time.monotonic() + wait + _GRACE, ""
    while time.monotonic() < until:
        rows = list(ask(control, "show-drain"))
        line = _progress(rows)
        if line != last:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            last = line
        # Others may be drained without a limit, and are watched longer.
        if not any((row["time_left"] or wait + 1) <= wait for row in rows):
            return
        time.sleep(_POLL)
    sys.exit(EXIT_TIMED_OUT)


def _progress(rows: Sequence[Row]) -> str:
    counts = dict.fromkeys(("draining", "drained", "shut down"), 0)
    for row in rows:
        counts[row["state"]] += 1
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    best = _sum(row["best"] for row in rows)
    return f"{states or 'nothing is drained'}; best paths through them: {best}"


def _sum(values: Iterable[int | None]) -> int:
    return sum(value or 0 for value in values)
