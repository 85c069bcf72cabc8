"""The servers of a reflector that is described on the command line alone: metrics and API."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bgpd.cli.parameters import SOCKET_ADDRESS

if TYPE_CHECKING:
    from bgpd.config.settings import ApiSettings, MetricsSettings

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--metrics",
        type=SOCKET_ADDRESS,
        metavar="ADDRESS:PORT",
        help="Where the HTTP server for metrics and health listens; without it there is "
        "none.",
    ),
    click.option(
        "--api",
        type=SOCKET_ADDRESS,
        metavar="ADDRESS:PORT",
        help="Where the API listens; beyond the loopback it needs TLS and a token.",
    ),
    click.option(
        "--api-cert-file", metavar="FILE", help="Certificate of the API (PEM)."
    ),
    click.option("--api-key-file", metavar="FILE", help="Its private key (PEM)."),
    click.option(
        "--api-read-token-file", metavar="FILE", help="Token that permits reading."
    ),
    click.option(
        "--api-full-token-file", metavar="FILE", help="Token that permits everything."
    ),
)


def server_options(command: _Function) -> _Function:
    """Add the options of the servers."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def server_settings(
    options: dict[str, Any],
) -> "tuple[MetricsSettings, ApiSettings]":
    """Return where the servers listen.

    Args:
        options: The command's; ``server_options`` are among them.

    Raises:
        UsageError: An option is missing, or needs ``--api``.
    """
    from bgpd.config.settings import (  # noqa: PLC0415  # by the command
        ApiSettings,
        MetricsSettings,
    )

    files: dict[str, Any] = {
        name: options[f"api_{name}"] or ""
        for name in ("cert_file", "key_file", "read_token_file", "full_token_file")
    }
    api = replace(ApiSettings(*_split(options["api"])), **files)
    _check_api(api, files)
    return MetricsSettings(*_split(options["metrics"])), api


def _check_api(api: "ApiSettings", files: dict[str, str]) -> None:
    if not api.address:
        for name, value in files.items():
            if value:
                raise click.UsageError(f"{_option(name)} goes with --api")
        return
    from bgpd.config.api_guard import missing_of_api  # noqa: PLC0415  # with an API

    for name, problem in missing_of_api(api):
        raise click.UsageError(f"{_option(name)}: {problem}")


def _option(name: str) -> str:
    return f"--api-{name.replace('_', '-')}"


def _split(text: str | None) -> tuple[str, int]:
    host, _, port = (text or ":0").rpartition(":")
    return host.strip("[]"), int(port)
