"""``--version``, alike in all programs."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def version_option(program: str) -> Callable[[_Command], _Command]:
    """Return the option that prints version and build of a program, and exits."""

    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  # click's interface
        if value:
            from bgpd.runtime.build import version_line  # noqa: PLC0415  # for this alone

            click.echo(version_line(program))
            ctx.exit()

    return click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version and exit.",
    )
