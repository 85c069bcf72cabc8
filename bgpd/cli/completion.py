"""What a shell completes beside commands and options: peers, groups, ranges and prefixes of the daemon.

The daemon has half a second to name them: a shell that waits is worse than one that
completes nothing. Whatever goes wrong, nothing is printed.
"""

from collections.abc import Callable, Iterator
from typing import Final

import click

from bgpd.api.client import Place, Remote, UnreachableError, call
from bgpd.api.protocol import ControlError
from bgpd.cli.layout import Row

_TIMEOUT: Final = 0.5  # seconds for each piece of an answer
_MOST_PREFIXES: Final = 50
_IPV4_OCTETS: Final = 4

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _of_peers(*keys: str) -> Completer:
    """Return what completes values of these keys of peers."""

    def complete(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
        rows = _rows(ctx, "show-peers")
        found = {row[key] for row in rows for key in keys if row.get(key)}
        return sorted(value for value in found if value.startswith(typed))

    return complete


complete_peers: Final = _of_peers("name", "address", "remote_node")
complete_nodes: Final = _of_peers("remote_node")
complete_groups: Final = _of_peers("group")
complete_ranges: Final = _of_peers("range")


def complete_prefixes(ctx: click.Context, _: click.Parameter, typed: str) -> list[str]:
    """Return prefixes that begin as typed, once an octet or a group is complete."""
    cover = _cover(typed)
    if not cover:
        return []
    arguments = {"prefix": cover, "longer": True, "best": True, "limit": _MOST_PREFIXES}
    found = dict.fromkeys(row["prefix"] for row in _rows(ctx, "show-routes", arguments))
    return [prefix for prefix in found if prefix.startswith(typed)]


def _cover(typed: str) -> str:
    """Return the prefix of what is typed completely; nothing without."""
    if ":" in typed:
        groups = typed.partition("::")[0].split(":")
        whole = groups if "::" in typed else groups[:-1]
        return f"{':'.join(whole)}::/{16 * len(whole)}" if all(whole) and whole else ""
    octets = typed.partition("/")[0].split(".")[:-1]
    if not octets:
        return ""
    filled = [*octets, *["0"] * (_IPV4_OCTETS - len(octets))]
    return f"{'.'.join(filled)}/{8 * len(octets)}"


def _rows(
    ctx: click.Context, command: str, arguments: Row | None = None
) -> Iterator[Row]:
    try:
        for data in call(_place(ctx), command, arguments, _TIMEOUT):
            yield from [data] if isinstance(data, dict) else data
    except (ControlError, UnreachableError):
        return


def _place(ctx: click.Context) -> Place:
    """Return the daemon that the command line names."""
    given = ctx.find_root().params
    if given.get("url"):
        return Remote(
            *(given[name] for name in ("url", "token_file", "ca_file", "tls_name"))
        )
    return str(given["control"])
