"""``pybgpd``: help, ``check``, and options that cannot be."""

import resource
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpd.cli.daemon import main
from bgpd.runtime.event_loop import raise_file_limit

CONFIGS = sorted((Path(__file__).parents[4] / "configs").glob("*.yaml"))
REFLECTOR = ["reflector", "--as", "64512", "--router-id", "10.0.0.1"]
REFLECTOR += ["--clients", "10.0.0.0/8"]


@pytest.mark.parametrize("command", ["run", "reflector", "check", "demo"])
def test_every_command_tells_what_it_does(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: main {command}")
    described = [line for line in result.output.splitlines() if line.startswith("  ")]
    assert len(described) >= 2
    assert command in CliRunner().invoke(main, ["-h"]).output


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_check_takes_every_example(file: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(file)], env={"NODENAME": ""})
    assert result.exit_code == 0, result.output
    assert result.output


def test_check_tells_every_error_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "bgp:\n  as: 64512\n  router_id: 10.0.0.1\ncolour: blue\n"
        "peers:\n  - address: 10.0.0.300\n    as: 64512\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 1
    assert f"{file}:4:1: colour: unknown key" in result.stderr
    assert f"{file}:6:" in result.stderr
    assert "2 problems" in result.stderr


def test_check_of_no_file_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(tmp_path / "none.yaml")])
    assert result.exit_code == 1
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--as", "0"], "AS number"),
        (["--as", "4294967296"], "AS number"),
        (["--as", "x"], "'x' is not an AS number"),
        (["--as", "1.70000"], "AS number"),
        (["--as", ".5"], "AS number"),
        (["--router-id", "0.0.0.0"], "BGP identifier"),
        (["--router-id", "2001:db8::1"], "BGP identifier"),
        (["--clients", "10.0.0.1/8"], "host bits"),
        (["--listen", "localhost"], "localhost"),
        (["--port", "0"], "1<=x<=65535"),
        (["--hold-time", "2"], "RFC 4271"),
        (["--fib", "maybe"], "maybe"),
    ],
)
def test_options_that_cannot_be_are_usage_errors(options: list[str], text: str) -> None:
    result = CliRunner().invoke(main, [*REFLECTOR, *options])
    assert result.exit_code == 2
    assert text in result.stderr


def test_the_file_limit_is_raised_to_what_is_allowed() -> None:

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
