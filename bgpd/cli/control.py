"""``pybgpctl``: look at a running daemon, and tell it what to do."""

import sys
from typing import Any, Final

import click

from bgpd import __version__
from bgpd.api.protocol import DEFAULT_PATH, PATH_VARIABLE, SHORT_PATH_VARIABLE
from bgpd.cli.calico import calico
from bgpd.cli.details import peer_page, route_page, status_page
from bgpd.cli.request import ask, output_option, print_lines, print_page, print_rows
from bgpd.cli.tables import (
    FIB,
    GROUPS,
    PEERS,
    ROUTE_LEGEND,
    ROUTES,
    TOLD,
)

_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 88}

_family = click.option(
    "--family",
    type=click.Choice(["ipv4", "ipv6"]),
    help="Only this address family.",
)
_limit = click.option(
    "--limit", type=click.IntRange(min=1), help="At most so many rows."
)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  # click's interface
    if value:
        click.echo(f"pybgpctl {__version__}")
        ctx.exit()


@click.group(context_settings=_CONTEXT)
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
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(ctx: click.Context, control: str) -> None:
    """Look at a running pybgpd, and tell it what to do.

    Start with "pybgpctl show status". Every "show" takes "-o json" for programs.

    Exit codes: 0 all is well, 1 the daemon says no, 2 wrong usage, 3 no daemon to
    talk to.
    """
    ctx.obj = control


main.add_command(calico)


@main.group()
def show() -> None:
    """Show peers, routes, kernel routes, groups or the daemon's state."""


@show.command("peers")
@click.argument("peer", required=False)
@output_option
@click.pass_obj
def show_peers(control: str, peer: str | None, output: str) -> None:
    """List the sessions, or show all about one PEER (a name or an address)."""
    answer = ask(control, "show-peers", peer=peer)
    if peer is not None:
        print_page(answer, output, peer_page)
    else:
        print_rows(answer, output, PEERS, "no peers")


@show.command("routes")
@_family
@click.option("--prefix", help="Only this prefix.")
@click.option("--longer", is_flag=True, help="Also what lies inside --prefix.")
@click.option("--peer", help="Only routes that compete and come from this peer.")
@click.option(
    "--received-from",
    metavar="PEER",
    help="All that a peer told us, refused routes too, with the reason.",
)
@click.option(
    "--advertised-to", metavar="PEER", help="What a peer is told, as it sees it."
)
@click.option("--best", is_flag=True, help="Only selected routes.")
@_limit
@output_option
@click.pass_obj
def show_routes(control: str, /, output: str, **wanted: Any) -> None:  # noqa: ANN401  # click's values go to the daemon as they are
    """List routes, in the order of their prefixes.

    \b
    The first column says what a route is:
      *  selected                    !  its next hop is unreachable
      =  used with others (ECMP)     s  stale: the session is gone, the route waits
      x  refused by a check or by import policy

    A family's rows stream; a table of a million routes needs no memory here.
    """  # noqa: D301  # click wants the character itself, to keep the lines below it
    is_told = wanted["advertised_to"] is not None
    answer = ask(control, "show-routes", **wanted)
    print_rows(answer, output, TOLD if is_told else ROUTES, "no such routes")
    if output == "table" and sys.stdout.isatty() and not is_told:
        click.echo(ROUTE_LEGEND)


@show.command("route")
@click.argument("prefix")
@click.option(
    "--lpm", is_flag=True, help="The most specific route that contains PREFIX."
)
@output_option
@click.pass_obj
def show_route(control: str, prefix: str, *, lpm: bool, output: str) -> None:
    """Explain why PREFIX goes where it goes.

    Each path with its attributes and why it won or lost, what was refused and why, who
    is told and how, what the kernel has. An address finds the route that it takes.
    """
    answer = ask(control, "show-route", prefix=prefix, lpm=lpm)
    print_page(answer, output, route_page)


@show.command("fib")
@_family
@click.option("--prefix", help="Only this prefix.")
@click.option(
    "--state",
    type=click.Choice(["installed", "pending", "failed", "conflict", "stale"]),
    help="Only routes in this state.",
)
@_limit
@output_option
@click.pass_obj
def show_fib(control: str, /, output: str, **wanted: Any) -> None:  # noqa: ANN401  # as show_routes
    """List our routes in the kernel's table, with errors."""
    print_rows(ask(control, "show-fib", **wanted), output, FIB, "no kernel routes")


@show.command("groups")
@_family
@output_option
@click.pass_obj
def show_groups(control: str, family: str | None, output: str) -> None:
    """List update groups: peers that are told the same, and who is behind."""
    answer = ask(control, "show-groups", family=family)
    print_rows(answer, output, GROUPS, "nobody is told anything")


@show.command("status")
@output_option
@click.pass_obj
def show_status(control: str, output: str) -> None:
    """Show the daemon's state: identity, peers, tables, kernel, datastore, warnings."""
    print_page(ask(control, "show-status"), output, status_page)


@main.command()
@click.argument("peer")
@click.option("--soft-in", is_flag=True, help="Judge its routes again.")
@click.option("--soft-out", is_flag=True, help="Send it our routes again.")
@click.option("--hard", is_flag=True, help="End the session and drop its routes.")
@click.pass_obj
def reset(control: str, /, peer: str, **kinds: bool) -> None:
    """Reset PEER (a name or an address).

    Without an option the session ends and comes up again; where graceful restart was
    agreed on, routes stay meanwhile. The soft kinds leave the session alone.
    """
    chosen = [name.replace("_", "-") for name, is_chosen in kinds.items() if is_chosen]
    if len(chosen) > 1:
        options = ", ".join(f"--{name}" for name in chosen)
        raise click.UsageError(f"one of these at a time: {options}")
    kind = chosen[0] if chosen else None
    print_lines(ask(control, "reset", peer=peer, kind=kind))


@main.command()
@click.pass_obj
def reload(control: str) -> None:
    """Read the configuration again; print what changes."""
    print_lines(ask(control, "reload"))


@main.command("shutdown-peer")
@click.argument("peer")
@click.option("--text", help="Told to the peer's operator (RFC 9003).")
@click.pass_obj
def shutdown_peer(control: str, peer: str, text: str | None) -> None:
    """Take PEER down until enable-peer, or until the daemon starts again."""
    print_lines(ask(control, "disable-peer", peer=peer, text=text))


@main.command("enable-peer")
@click.argument("peer")
@click.pass_obj
def enable_peer(control: str, peer: str) -> None:
    """Let PEER come up again after shutdown-peer."""
    print_lines(ask(control, "enable-peer", peer=peer))


@main.command()
@click.option("--flush", is_flag=True, help="Remove our routes from the kernel, too.")
@click.option("--text", help="Told to the peers' operators (RFC 9003).")
@click.pass_obj
def shutdown(control: str, text: str | None, *, flush: bool) -> None:
    """End the daemon for good.

    Peers drop our routes at once, also where graceful restart was agreed on. To start it
    anew without loss, end it with SIGTERM instead, which leaves everything in place.
    """
    print_lines(ask(control, "shutdown", flush=flush, text=text))


if __name__ == "__main__":
    main()
