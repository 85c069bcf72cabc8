"""``pybgpctl``: query and control a running daemon."""

import sys
from typing import Any, Final

import click

from bgpd.api.client import Place, Remote
from bgpd.api.protocol import DEFAULT_PATH, PATH_VARIABLE, SHORT_PATH_VARIABLE
from bgpd.cli.actions import disable_peer, enable_peer, reset, shutdown
from bgpd.cli.calico import calico
from bgpd.cli.capture import capture
from bgpd.cli.completion import (
    complete_groups,
    complete_nodes,
    complete_peers,
    complete_prefixes,
    complete_ranges,
)
from bgpd.cli.drain import drain, show_drain, undrain
from bgpd.cli.dump import dump
from bgpd.cli.errors import errors
from bgpd.cli.events import events, history
from bgpd.cli.fleet_options import Fleet, fleet_options, take_fleet
from bgpd.cli.foreign_words import MAIN_PHRASES, SHOW_PHRASES
from bgpd.cli.plan import apply, confirm, plan, rollback
from bgpd.cli.request import ask, output_option, print_lines, print_page, print_rows
from bgpd.cli.show_command import ShowCommand
from bgpd.cli.tables import (
    ADVERTISED,
    BFD,
    COUNTS,
    COUNTS_BY,
    FIB,
    GONE_PEERS,
    GROUPS,
    MEMORY,
    PEERS,
    ROUTE_LEGEND,
    ROUTES,
)
from bgpd.cli.terminal import current_terminal
from bgpd.cli.version_option import version_option
from bgpd.cli.words import WordGroup

_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 88}

_family = click.option(
    "--family",
    type=click.Choice(["ipv4", "ipv6"]),
    help="Show only this address family.",
)
_prefix = click.option(
    "--prefix", shell_complete=complete_prefixes, help="Show only this prefix."
)
_longer = click.option(
    "--longer", is_flag=True, help="Include more specific routes inside --prefix."
)
_limit = click.option(
    "--limit", type=click.IntRange(min=1), help="Show at most this many rows."
)


class MainGroup(WordGroup):
    """The commands of ``pybgpctl``."""

    phrases = MAIN_PHRASES
    spelled_out = ("shutdown",)


class ShowGroup(WordGroup):
    """The commands that show something."""

    phrases = SHOW_PHRASES
    command_class = ShowCommand


@click.group(cls=MainGroup, context_settings=_CONTEXT)
@click.option(
    "--control",
    metavar="PATH",
    envvar=[PATH_VARIABLE, SHORT_PATH_VARIABLE],
    default=DEFAULT_PATH,
    show_default=True,
    show_envvar=True,
    help="The daemon's control socket.",
)
@click.option(
    "--url",
    metavar="URL",
    envvar="PYBGPD_URL",
    show_envvar=True,
    help="A daemon on another machine, https://HOST:PORT, instead of a control socket.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    envvar="PYBGPD_TOKEN_FILE",
    default="",
    show_envvar=True,
    help="File with the token that --url needs.",
)
@click.option(
    "--ca-file",
    metavar="FILE",
    envvar="PYBGPD_CA_FILE",
    default="",
    show_envvar=True,
    help="Certificates (PEM) that sign the one of --url; else those of the system.",
)
@click.option(
    "--tls-name",
    metavar="NAME",
    envvar="PYBGPD_TLS_NAME",
    default="",
    show_envvar=True,
    help="Name in the certificate of --url, if it is not the URL's host.",
)
@version_option("pybgpctl")
@click.pass_context
def main(ctx: click.Context, /, control: str, url: str | None, **remote: str) -> None:
    """Query and control a running pybgpd.

    Start with "pybgpctl show status". Every "show" command accepts "-o json" and
    "--watch". Words can be shortened ("sh pe"); many of birdc, vtysh and gobgp work too.

    Exit codes: 0 success, 1 the daemon reported an error, 2 usage error, 3 cannot
    reach the daemon.
    """
    ctx.obj = control if url is None else Remote(url, **remote)


main.add_command(calico)
for _command in (
    reset,
    disable_peer,
    enable_peer,
    drain,
    undrain,
    shutdown,
    plan,
    apply,
    confirm,
    rollback,
):
    main.add_command(_command)
main.add_command(events)
main.add_command(history)
main.add_command(capture)
main.add_command(dump)


@main.group(cls=ShowGroup)
def show() -> None:
    """Show peers, routes, kernel routes, update groups or the daemon's state."""


show.add_command(show_drain)


@show.command("peers")
@click.argument("peer", required=False, shell_complete=complete_peers)
@click.option(
    "--state",
    type=click.Choice(
        ["idle", "connect", "active", "opensent", "openconfirm", "established"]
    ),
    multiple=True,
    help="List only sessions in this state.",
)
@click.option(
    "--down", is_flag=True, help="List only sessions that are not Established."
)
@click.option(
    "--group",
    multiple=True,
    shell_complete=complete_groups,
    help="List only peers of this peer group.",
)
@click.option(
    "--range",
    multiple=True,
    shell_complete=complete_ranges,
    help="List only dynamic neighbours of this range.",
)
@click.option(
    "--node",
    multiple=True,
    shell_complete=complete_nodes,
    help="List only peers that are this node of the cluster.",
)
@click.option(
    "--sort",
    type=click.Choice(["name", "address", "state", "uptime", "received", "flaps"]),
    help="Sort by this; numbers and times begin with the largest.",
)
@click.option(
    "--gone",
    is_flag=True,
    help="List dynamic neighbours that had a session and are gone.",
)
@fleet_options
@output_option
@click.pass_obj
def show_peers(  # click's values
    control: Place,
    /,
    peer: str | None,
    output: str,
    **wanted: Any,  # noqa: ANN401  # as show_routes
) -> None:
    """List all sessions, or show one PEER (a name, an address or a node) in detail.

    With --from or --kubernetes, lists those of many nodes; a node that does not answer is
    a row with the reason, and the exit code is 5.
    """
    fleet = take_fleet(control, wanted)
    if wanted.pop("gone"):
        if peer is not None or fleet is not None:
            raise click.UsageError("--gone goes with --range alone")
        _print_gone(control, output, **wanted)
        return
    if fleet is not None and peer is not None:
        raise click.UsageError(
            "one PEER in detail goes without --from and --kubernetes"
        )
    if fleet is not None:
        _print_fleet(fleet, "show-peers", output, **wanted)
    elif peer is None:
        print_rows(ask(control, "show-peers", **wanted), output, PEERS, "no peers")
    else:
        given = [f"--{name}" for name, value in wanted.items() if value]
        if given:
            options = ", ".join(given)
            raise click.UsageError(f"one PEER in detail goes without {options}")
        from bgpd.cli.details import peer_page  # noqa: PLC0415  # pages alone

        print_page(ask(control, "show-peer", peer=peer), output, peer_page)


def _print_gone(control: Place, output: str, **wanted: Any) -> None:  # noqa: ANN401  # as show_routes
    ranges = wanted.pop("range")
    if any(wanted.values()):
        raise click.UsageError("--gone goes with --range alone")
    answer = ask(control, "show-gone-peers", range=ranges)
    print_rows(answer, output, GONE_PEERS, "no dynamic neighbours are gone")


def _print_fleet(fleet: Fleet, command: str, output: str, **wanted: Any) -> None:  # noqa: ANN401  # as show_routes
    from bgpd.cli.fleet import (  # noqa: PLC0415  # threads take 10 ms
        FLEET_PEERS,
        FLEET_STATUS,
        print_fleet,
    )

    columns = FLEET_PEERS if command == "show-peers" else FLEET_STATUS
    print_fleet(fleet, command, output, columns, **wanted)


@show.command("routes")
@_family
@_prefix
@_longer
@click.option(
    "--peer",
    multiple=True,
    shell_complete=complete_peers,
    help="Show only accepted routes from this peer.",
)
@click.option(
    "--received-from",
    metavar="PEER",
    shell_complete=complete_peers,
    multiple=True,
    help="Show all routes received from PEER; for filtered ones, with the reason.",
)
@click.option(
    "--advertised-to",
    metavar="PEER",
    shell_complete=complete_peers,
    multiple=True,
    help="Show the routes advertised to PEER, as PEER sees them.",
)
@click.option(
    "--filtered", is_flag=True, help="Show only filtered routes, of all peers."
)
@click.option("--best", is_flag=True, help="Show only best routes.")
@click.option(
    "--state",
    type=click.Choice(["selected", "multipath", "filtered", "stale", "unreachable"]),
    multiple=True,
    help="Show only routes in this state.",
)
@click.option(
    "--community",
    multiple=True,
    metavar="COMMUNITY",
    help="Show only routes with this community; 65000:* and 65000:1-99 are patterns.",
)
@click.option(
    "--large-community",
    multiple=True,
    metavar="COMMUNITY",
    help="Show only routes with this large community, or one of such a pattern.",
)
@click.option(
    "--ext-community",
    multiple=True,
    metavar="COMMUNITY",
    help="Show only routes with this extended community, such as rt:65000:1 or rt:65000:*.",
)
@click.option(
    "--as-path",
    metavar="EXPRESSION",
    help="Show only routes whose AS path matches, as '_65001$' or '^65001_65002'.",
)
@click.option(
    "--origin-as",
    multiple=True,
    metavar="AS",
    help="Show only routes that this AS originated.",
)
@click.option(
    "--next-hop",
    multiple=True,
    metavar="ADDRESS",
    help="Show only routes with this next hop, or one within a prefix.",
)
@click.option("--count", is_flag=True, help="Show how many there are, by family.")
@click.option(
    "--count-by",
    type=click.Choice(
        ["community", "large-community", "origin-as", "next-hop", "peer"]
    ),
    help="Show how many there are of each, the most frequent first.",
)
@_limit
@output_option
@click.pass_obj
def show_routes(control: Place, /, output: str, **wanted: Any) -> None:  # noqa: ANN401  # click's values go to the daemon as they are
    """List or count routes, sorted by prefix.

    \b
    The first column shows the status of a route:
      *  selected                    !  next hop unreachable
      =  multipath (ECMP)             s  stale: the session is down, and the route is kept
      x  filtered by a check or by import policy

    Options of different kinds all have to apply. Several communities must all be there;
    of several peers, states, origin ASes or next hops, one is enough.

    Rows are streamed, so pybgpctl needs little memory even for a million routes.
    """  # noqa: D301  # click wants the character itself, to keep the lines below it
    if wanted.pop("filtered"):
        wanted["state"] = (*wanted["state"], "filtered")
    by = wanted.pop("count_by")
    if wanted.pop("count") or by is not None:
        counts = ask(control, "count-routes", by=by, **wanted)
        columns = COUNTS if by is None else COUNTS_BY
        print_rows(counts, output, columns, "no matching routes")
        return
    is_advertised = bool(wanted["advertised_to"])
    print_rows(
        ask(control, "show-routes", **wanted),
        output,
        ADVERTISED if is_advertised else ROUTES,
        "no matching routes",
    )
    if output in ("table", "wide") and current_terminal().is_able and not is_advertised:
        sys.stdout.write(f"{ROUTE_LEGEND}\n")


@show.command("route")
@click.argument("prefix", shell_complete=complete_prefixes)
@click.option(
    "--lpm", is_flag=True, help="Find the most specific route that covers PREFIX."
)
@output_option
@click.pass_obj
def show_route(control: Place, prefix: str, *, lpm: bool, output: str) -> None:
    """Show the best path for PREFIX and why it was chosen.

    Lists each path with its attributes and why it won or lost, filtered paths and why,
    the peers that receive the route and in which form, and the route in the kernel.
    For an address, shows the route that packets to it take.
    """
    from bgpd.cli.details import route_page  # noqa: PLC0415  # pages alone

    answer = ask(control, "show-route", prefix=prefix, lpm=lpm)
    print_page(answer, output, route_page)


@show.command("fib")
@_family
@_prefix
@_longer
@click.option(
    "--state",
    type=click.Choice(["installed", "pending", "failed", "conflict", "stale"]),
    help="Show only routes in this state.",
)
@_limit
@output_option
@click.pass_obj
def show_fib(control: Place, /, output: str, **wanted: Any) -> None:  # noqa: ANN401  # as show_routes
    """List our routes in the kernel's table, sorted by prefix, with any errors."""
    print_rows(ask(control, "show-fib", **wanted), output, FIB, "no kernel routes")


@show.command("groups")
@_family
@output_option
@click.pass_obj
def show_groups(control: Place, family: str | None, output: str) -> None:
    """List update groups (peers that receive the same routes) and their slow peers."""
    answer = ask(control, "show-groups", family=family)
    print_rows(answer, output, GROUPS, "no update groups")


@show.command("memory")
@output_option
@click.pass_obj
def show_memory(control: Place, output: str) -> None:
    """Show what takes how much memory: tables, peers, the journal, the whole process.

    Large tables are estimated from a sample. What is listed as other is Python itself,
    code, and room that the allocator keeps.
    """
    print_rows(ask(control, "show-memory"), output, MEMORY, "nothing is counted")


show.add_command(errors)


@show.command("bfd")
@output_option
@click.pass_obj
def show_bfd(control: Place, output: str) -> None:
    """List BFD sessions: state, intervals, packets, failures."""
    print_rows(ask(control, "show-bfd"), output, BFD, "no peer has BFD")


@show.command("status")
@fleet_options
@output_option
@click.pass_obj
def show_status(control: Place, /, output: str, **wanted: Any) -> None:  # noqa: ANN401  # as show_routes
    """Show the state of the daemon: identity, peers, tables, kernel, datastore, warnings.

    With --from or --kubernetes, lists many nodes; a node that does not answer is a row
    with the reason, and the exit code is 5.
    """
    fleet = take_fleet(control, wanted)
    if fleet is not None:
        _print_fleet(fleet, "show-status", output)
        return
    from bgpd.cli.details import status_page  # noqa: PLC0415  # pages alone

    print_page(ask(control, "show-status"), output, status_page)


@main.command()
@click.option(
    "--allow-reset",
    is_flag=True,
    help="Also make changes that end sessions, whatever reload.resets says.",
)
@click.pass_obj
def reload(control: Place, *, allow_reset: bool) -> None:
    """Reload the configuration and print what changes."""
    print_lines(ask(control, "reload", allow_reset=allow_reset))


if __name__ == "__main__":
    main()
