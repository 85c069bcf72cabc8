"""``pybgpd init``: writes a role's first file, and says what to do next."""

import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bgpd.cli.first_file import (
    EXAMPLE,
    Facts,
    first_file,
    network_around,
    own_address,
    routing_table,
)


def write_first_file(
    role: str, file: str, options: Mapping[str, Any], *, is_forced: bool
) -> None:
    """Write the file of a role; ``-`` is standard output.

    Args:
        role: One of ``ROLES``.
        file: Where to; it is not replaced unless that is forced.
        options: Of the command line: ``address``, ``asn``, ``peers``, ``remote_as``, ``clients``.
        is_forced: Replace the file.

    Raises:
        OSError: It is there, or cannot be written.
    """
    address = options["address"] or own_address() or EXAMPLE
    facts = Facts(
        address=address,
        network=options["clients"] or network_around(address, routing_table()),
        node=platform.node().lower() or "node-1",
        asn=int(options["asn"]),
        remote_as=int(options["remote_as"]),
        peers=options["peers"],
    )
    text = first_file(role, facts)
    if file == "-":
        sys.stdout.write(text)
        return
    path = Path(file)
    try:
        with path.open("w" if is_forced else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        reason = "is there already; --force replaces it"
        raise FileExistsError(error.errno, reason) from error
    click.echo(f"wrote {path}")
    if address == EXAMPLE:
        click.echo(f"{EXAMPLE} is an example: this machine has no address; edit it")
    click.echo(f"next: pybgpd check {shlex.quote(file)}")
    click.echo(f"      pybgpd doctor --config {shlex.quote(file)}")
