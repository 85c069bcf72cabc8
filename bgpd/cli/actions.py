"""Commands that change something: reset, disable and enable peers, and stop the daemon.

Peers are named one by one, or as a group, a range or all. What was not named one by one is listed
and has to be confirmed, by an answer on a terminal or by ``--yes``.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from bgpd.api.client import Place
from bgpd.cli.completion import (
    complete_groups,
    complete_nodes,
    complete_peers,
    complete_ranges,
)
from bgpd.cli.layout import Row
from bgpd.cli.request import RejectedRequestError, ask, print_lines

_SHOWN_NAMES: Final = 20  # of the peers that are listed before a question
_KINDS: Final = {"group": "groups", "range": "ranges", "remote_node": "nodes"}
"""What peers are chosen by: key of a row, and the option's values."""
_EVERY_PEER: Final = ("all", "*")

_Command = TypeVar("_Command", bound=Callable[..., Any])

_yes = click.option("--yes", is_flag=True, help="Do not ask.")


def _which_peers(command: _Command) -> _Command:
    """Add what names peers to a command."""
    for decorate in (
        _yes,
        click.option("--list", is_flag=True, help="Only list the peers it is about."),
        click.option("--all", "every", is_flag=True, help="All peers."),
        click.option(
            "--range",
            "ranges",
            multiple=True,
            metavar="RANGE",
            shell_complete=complete_ranges,
            help="All dynamic neighbours of this range.",
        ),
        click.option(
            "--node",
            "nodes",
            multiple=True,
            shell_complete=complete_nodes,
            help="All peers that are this node of the cluster.",
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


@click.command()
@_which_peers
@click.option(
    "--soft-in",
    is_flag=True,
    help="Re-evaluate the routes received (soft inbound reset).",
)
@click.option(
    "--soft-out",
    is_flag=True,
    help="Advertise all routes again (soft outbound reset).",
)
@click.option(
    "--hard", is_flag=True, help="Close the session and drop its routes at once."
)
@click.pass_obj
def reset(
    control: Place,
    /,
    *,
    soft_in: bool,
    soft_out: bool,
    hard: bool,
    **which: Any,  # noqa: ANN401  # click's values
) -> None:
    """Reset PEERs (names or addresses), a group, a range, or all.

    Without options, closes the session and opens it again; if both sides negotiated
    graceful restart, the routes stay in use meanwhile. The soft options leave the
    session up.
    """
    kinds = {"soft-in": soft_in, "soft-out": soft_out, "hard": hard}
    chosen = [name for name, is_chosen in kinds.items() if is_chosen]
    if len(chosen) > 1:
        options = ", ".join(f"--{name}" for name in chosen)
        raise click.UsageError(f"use only one of these options: {options}")
    kind = chosen[0] if chosen else None
    _act(control, "reset", which, kind=kind)


@click.command("disable-peer")
@_which_peers
@click.option("--text", help="Message for the operator of the peer (RFC 9003).")
@click.pass_obj
def disable_peer(control: Place, /, text: str | None, **which: Any) -> None:  # noqa: ANN401  # click's values
    """Keep PEERs down until enable-peer or the next start of the daemon."""
    _act(control, "disable-peer", which, text=text)


@click.command("enable-peer")
@_which_peers
@click.pass_obj
def enable_peer(control: Place, /, **which: Any) -> None:  # noqa: ANN401  # as above
    """Let disabled PEERs come up again."""
    _act(control, "enable-peer", which)


@click.command()
@click.option("--flush", is_flag=True, help="Also remove our routes from the kernel.")
@click.option("--text", help="Message for the operators of the peers (RFC 9003).")
@_yes
@click.pass_obj
def shutdown(control: Place, text: str | None, *, flush: bool, yes: bool) -> None:
    """Stop the daemon for good.

    Peers drop our routes at once, even with graceful restart. To restart the daemon
    without losing traffic, stop it with SIGTERM instead; to keep one peer down, use
    disable-peer.
    """
    if not yes:
        ask_first("stop the whole daemon? peers drop its routes")
    print_lines(ask(control, "shutdown", flush=flush, text=text))


def _act(
    control: Place,
    command: str,
    which: dict[str, Any],
    **arguments: str | None,
) -> None:
    """Run a command for each peer; one that the daemon rejects does not stop the others.

    Raises:
        UsageError: No peer was named, or a question was not answered.
    """
    names = _names(control, command, which)
    is_named = not (which["every"] or any(which[kind] for kind in _KINDS.values()))
    if which["list"]:
        for name in names:
            sys.stdout.write(f"{name}\n")
        return
    if not is_named and not which["yes"]:
        shown = ", ".join(names[:_SHOWN_NAMES])
        more = len(names) - _SHOWN_NAMES
        shown += f" and {more} more" if more > 0 else ""
        ask_first(f"{command} {len(names)} peers: {shown}?")
    is_rejected = False
    for name in names:
        try:
            print_lines(ask(control, command, peer=name, **arguments))
        except RejectedRequestError as error:
            error.show()
            is_rejected = True
    if is_rejected:
        sys.exit(RejectedRequestError.exit_code)


def _names(control: Place, command: str, which: dict[str, Any]) -> list[str]:
    """Return the names of the peers that the options mean, each once.

    Raises:
        UsageError: They mean none.
    """
    peers: Sequence[str] = which["peers"]
    kinds = {key: which[kind] for key, kind in _KINDS.items()}
    every, has_kind = which["every"], any(kinds.values())
    if every and (peers or has_kind):
        raise click.UsageError("--all goes without PEER, --group, --range and --node")
    if not (peers or has_kind or every):
        raise click.UsageError("name a PEER, or use --group, --range, --node or --all")
    if has_kind or every or not set(peers).isdisjoint(_EVERY_PEER):
        rows = list(ask(control, "show-peers"))
        known = {row[key] for row in rows for key in ("name", "address")}
        for word in peers:
            if word in _EVERY_PEER and word not in known:
                raise click.UsageError(f"to {command} all peers, use --all")
        chosen = list(_chosen(rows, kinds, is_all=every))
        if not (peers or chosen):
            raise click.UsageError("there are no such peers")
        return list(dict.fromkeys([*peers, *chosen]))
    return list(dict.fromkeys(peers))


def _chosen(
    rows: Sequence[Row], kinds: Mapping[str, Sequence[str]], *, is_all: bool
) -> Iterator[str]:
    """Yield the names of peers of groups, ranges and nodes.

    Raises:
        UsageError: A group, range or node has no peers.
    """
    for key, wanted in kinds.items():
        option = f"--{key.removeprefix('remote_')}"
        known = sorted({row[key] for row in rows if row.get(key)})
        for name in wanted:
            if name not in known:
                raise click.UsageError(
                    f"{option} {name} has no peers; some have: {', '.join(known) or 'none'}"
                )
    for row in rows:
        if is_all or any(row.get(key) in wanted for key, wanted in kinds.items()):
            yield row["name"]


def ask_first(question: str) -> None:
    """Ask on a terminal.

    Raises:
        UsageError: There is no terminal.
        Abort: The answer is no.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} (no terminal to ask on: use --yes)")
    click.confirm(question, abort=True, err=True)
