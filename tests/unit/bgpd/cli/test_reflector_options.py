"""Where the servers of ``pybgpd reflector`` listen."""

from typing import Any

import click
import pytest

from bgpd.cli.reflector_options import server_options, server_settings
from bgpd.config.settings import ApiSettings, MetricsSettings
from tests.support.cases import cases


def settings_of(*words: str) -> tuple[MetricsSettings, ApiSettings]:
    found: list[tuple[MetricsSettings, ApiSettings]] = []

    @click.command()
    @server_options
    def command(**options: Any) -> None:
        found.append(server_settings(options))

    command.main(list(words), standalone_mode=False)
    return found[0]


def test_without_options_there_are_no_servers() -> None:
    assert settings_of() == (MetricsSettings(), ApiSettings())


def test_servers_listen_where_the_options_say() -> None:
    words = ("--metrics", "[::1]:9179", "--api", "192.0.2.1:09180")
    files = ("--api-cert-file", "c", "--api-key-file", "k")
    assert settings_of(*words, *files, "--api-read-token-file", "t") == (
        MetricsSettings("::1", 9179),
        ApiSettings("192.0.2.1", 9180, "c", "k", "t"),
    )
    assert settings_of("--api", "127.0.0.1:0")[1] == ApiSettings("127.0.0.1")


@cases(
    ("words", "problem"),
    [
        (("--metrics", "9179"), "'9179' is not ADDRESS:PORT; expected one such as"),
        (("--metrics", ":9179"), "0.0.0.0:9179 and [::]:9179 are any address"),
        (("--metrics", "*:9179"), "'*:9179' has no address before the port"),
        (("--metrics", "host:9179"), "'host' is not an IP address"),
        (("--api", "127.0.0.1:65536"), "is not ADDRESS:PORT"),
        (("--api", "127.0.0.1:-1"), "is not ADDRESS:PORT"),
        (("--api-cert-file", "c"), "--api-cert-file goes with --api"),
        (("--api", "127.0.0.1:1", "--api-cert-file", "c"), "--api-key-file: set both"),
        (("--api", "192.0.2.1:1"), "--api-cert-file: an address that is not of the"),
        (
            ("--api", "[fd00::1]:1", "--api-cert-file", "c", "--api-key-file", "k"),
            "--api-read-token-file: an address that is not of the loopback needs",
        ),
    ],
)
def test_an_address_that_cannot_be_is_a_usage_error(
    words: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(click.UsageError) as caught:
        settings_of(*words)
    assert problem in caught.value.format_message()
