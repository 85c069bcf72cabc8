"""``pybgpd``: run a node, run a reflector, check a configuration, show the demo.

Heavy modules are imported by the command that needs them: a reflector started from the
command line alone never loads the models of configuration files.
"""

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import click

from bgpd.cli.lab import lab
from bgpd.cli.parameters import (
    ADDRESS,
    AS_NUMBER,
    DURATION,
    IDENTIFIER,
    PORT,
    PREFIX,
)
from bgpd.cli.reflector_options import server_options, server_settings
from bgpd.cli.version_option import version_option

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_CONFIG: Final = 78  # EX_CONFIG of sysexits.h: a supervisor need not try again
MAX_CLIENTS: Final = 65535

ON_OFF: Final = click.Choice(["on", "off"])
LOG_LEVELS: Final = click.Choice(["debug", "info", "warning", "error"])
LOG_FORMATS: Final = click.Choice(["text", "json"])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@version_option("pybgpd")
def main() -> None:
    """A BGP speaker and route reflector for Calico-style clusters."""


main.add_command(lab)


@main.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file; without it, defaults and environment variables apply.",
)
@click.option("--node-name", help="This node's name in the datastore.")
@click.option("--as", "as_", type=AS_NUMBER, help="Our AS number.")
@click.option("--router-id", type=IDENTIFIER, help="BGP identifier.")
@click.option(
    "--cluster-id",
    type=IDENTIFIER,
    help="Cluster ID (RFC 4456); defaults to the router ID.",
)
@click.option(
    "--listen",
    type=ADDRESS,
    multiple=True,
    help="Address to listen on; repeat the option for more.",
)
@click.option("--port", type=PORT, help="TCP port to listen on.")
@click.option(
    "--clients",
    type=PREFIX,
    multiple=True,
    help="Any peer that connects from this prefix becomes a client; repeat the "
    "option for more.",
)
@click.option("--fib", type=ON_OFF, help="Whether to program routes into the kernel.")
@click.option("--control", type=click.Path(), help="Unix socket for pybgpctl.")
@click.option(
    "--metrics", help="ADDRESS:PORT of the HTTP server for metrics and health."
)
@click.option("--log-level", type=LOG_LEVELS, help="Lowest severity to log.")
@click.option(
    "--log-format", type=LOG_FORMATS, help="Log lines as text or as JSON objects."
)
def run(config: Path | None, **options: object) -> None:
    """Run the daemon in the foreground.

    Reads CONFIG, then environment variables (PYBGPD_* and Calico's), then options; later
    ones override earlier ones. On SIGHUP, or when one of the files changes, the daemon
    reloads and applies only the differences. On SIGTERM it stops and leaves the kernel's
    routes in place for the next start.
    """
    from bgpd.config.errors import ConfigError  # noqa: PLC0415
    from bgpd.config.reading import Source  # noqa: PLC0415

    given = {
        name.rstrip("_").replace("_", "-"): value for name, value in options.items()
    }
    try:
        source = Source(config, given)
        loaded = source.load()
    except ConfigError as error:
        _fail(str(error), EXIT_CONFIG)
    _run_daemon(loaded.settings, source, loaded.files)


@main.command()
@click.option(
    "--listen",
    type=ADDRESS,
    multiple=True,
    default=("0.0.0.0",),  # noqa: S104
    show_default=True,
    help="Address to listen on; repeat the option for more.",
)
@click.option("--port", type=PORT, default=179, show_default=True)
@click.option("--as", "asn", type=AS_NUMBER, required=True, help="Our AS number.")
@click.option("--router-id", type=IDENTIFIER, required=True, help="BGP identifier.")
@click.option(
    "--clients",
    type=PREFIX,
    multiple=True,
    required=True,
    help="Any peer that connects from this prefix becomes a client; repeat the "
    "option for more.",
)
@click.option(
    "--cluster-id",
    type=IDENTIFIER,
    help="Cluster ID (RFC 4456); defaults to the router ID.",
)
@click.option(
    "--fib",
    type=ON_OFF,
    default="off",
    show_default=True,
    help="Whether to program routes into the kernel.",
)
@click.option(
    "--control",
    type=click.Path(),
    help="Unix socket for pybgpctl; without it there is none.",
)
@click.option(
    "--hold-time",
    type=click.IntRange(0, 65535),
    default=90,
    show_default=True,
    help="Hold time to offer, in seconds.",
)
@server_options
@click.option("--log-level", type=LOG_LEVELS, default="info", show_default=True)
@click.option(
    "--log-format",
    type=LOG_FORMATS,
    default="text",
    show_default=True,
    help="Log lines as text or as JSON objects.",
)
def reflector(**options: Any) -> None:  # noqa: ANN401  # one dictionary of click's values
    """Run a route reflector without a configuration file.

    Any peer that connects from a --clients prefix becomes an iBGP client for IPv4 and IPv6
    unicast. The daemon stays in the foreground.
    """
    if options["hold_time"] in (1, 2):
        _fail("--hold-time must be 0 or at least 3 seconds (RFC 4271 4.2)", EXIT_USAGE)
    metrics, api = server_settings(options)
    from bgpd.config.reflector_preset import reflector_settings  # noqa: PLC0415

    settings = reflector_settings(
        listen=options["listen"],
        port=options["port"],
        asn=int(options["asn"]),
        router_id=options["router_id"],
        cluster_id=options["cluster_id"] or "",
        clients=options["clients"],
        has_fib=options["fib"] == "on",
        control_path=options["control"] or "",
        hold_time=options["hold_time"],
        log_level=options["log_level"],
        log_format=options["log_format"],
        metrics=metrics,
        api=api,
        max_clients=MAX_CLIENTS,
    )
    _run_daemon(settings, None, (), must_listen=True)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check(file: Path) -> None:
    """Check a configuration file and summarize its effect."""
    from bgpd.config.check import check as check_file  # noqa: PLC0415
    from bgpd.kernel.former_places import moves_at_next_start  # noqa: PLC0415

    report = check_file(file)
    moves = () if report.settings is None else moves_at_next_start(report.settings)
    for line in (*moves, *report.lines):
        click.echo(line, err=not report.is_valid)
    sys.exit(0 if report.is_valid else EXIT_FAILED)


@main.command()
@click.argument(
    "role",
    metavar="ROLE",
    type=click.Choice(["node", "reflector", "gateway", "mesh", "client"]),
)
@click.argument("file", type=click.Path(allow_dash=True), default="pybgpd.yaml")
@click.option(
    "--address",
    type=IDENTIFIER,
    help="Our IPv4 address; defaults to the one that the default route uses.",
)
@click.option(
    "--as",
    "asn",
    type=AS_NUMBER,
    default="64512",
    show_default=True,
    help="Our AS number.",
)
@click.option(
    "--peer",
    "peers",
    type=ADDRESS,
    multiple=True,
    help="Address of a neighbour; repeat the option for more.",
)
@click.option(
    "--remote-as",
    type=AS_NUMBER,
    default="65001",
    show_default=True,
    help="AS number of a gateway's neighbours.",
)
@click.option(
    "--clients",
    type=PREFIX,
    help="Network of a reflector's clients; defaults to the one around our address.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def init(role: str, file: str, *, force: bool, **options: Any) -> None:  # noqa: ANN401  # click's values
    """Write a commented configuration for ROLE to FILE, with this machine's values.

    FILE is pybgpd.yaml by default, and - is standard output.

    \b
    node       a node of a Calico cluster, whose datastore says the rest
    reflector  a route reflector; who connects from its network is a client
    gateway    sessions with routers of another AS, and policies for them
    mesh       one machine of a full mesh
    client     a client of route reflectors
    """  # noqa: D301  # click wants the character itself, to keep the lines below it
    from bgpd.cli.init_command import write_first_file  # noqa: PLC0415

    if role == "gateway" and int(options["asn"]) == int(options["remote_as"]):
        raise click.UsageError(
            f"a gateway's neighbours have an AS other than ours: {options['asn']} is both; "
            "give --as or --remote-as"
        )
    try:
        write_first_file(role, file, options, is_forced=force)
    except OSError as error:
        _fail(f"{file}: {error.strerror or error}")


@main.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Its configuration; defaults to /etc/pybgpd/pybgpd.yaml, or to the environment.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="Form of the report.",
)
def doctor(config: Path | None, output: str) -> None:
    """Examine whether this machine can run the daemon, and say what to change.

    Looks at the kernel, privileges, settings, limits, ports, other daemons, routes, addresses,
    the datastore and the clock, and changes nothing. Exits with 1 if there is a fault.
    """
    import os  # noqa: PLC0415

    from bgpd.cli.doctor.findings import Verdict, has_late_checks  # noqa: PLC0415
    from bgpd.cli.doctor.report import (  # noqa: PLC0415
        as_json,
        as_lines,
        as_yaml,
        examine,
    )

    findings = examine(config, os.environ)
    if output != "text":
        click.echo(as_json(findings) if output == "json" else as_yaml(findings))
    else:
        for line in as_lines(findings):
            click.echo(line)
    has_fault = any(each.verdict is Verdict.FAULT for each in findings)
    code = EXIT_FAILED if has_fault else 0
    if has_late_checks():  # which would hold the end up
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


@main.command()
@click.option(
    "--bird-ready", is_flag=True, help="Check that the IPv4 sessions are established."
)
@click.option(
    "--bird6-ready", is_flag=True, help="Check that the IPv6 sessions are established."
)
@click.option("--bird-live", is_flag=True, help="Check that the IPv4 socket answers.")
@click.option("--bird6-live", is_flag=True, help="Check that the IPv6 socket answers.")
@click.option(
    "--threshold-time",
    type=DURATION,
    default="30s",
    show_default=True,
    help="How long after the node's start every session must be up; later, one is "
    "enough.",
)
@click.option(
    "--socket-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of bird.ctl and bird6.ctl; defaults to those where Calico's tools "
    "look.",
)
@click.option(
    "--nodename-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File whose age is the node's age; defaults to the one that Calico's tools "
    "use.",
)
def health(
    *,
    threshold_time: float,
    socket_dir: Path | None,
    nodename_file: Path | None,
    **wanted: bool,
) -> None:
    """Probe the daemon as calico-node does; exit with 0, or with 1 and the reason.

    Queries the daemon that listens on the sockets bird.ctl and bird6.ctl.
    """
    from bgpd.cli import health as probe  # noqa: PLC0415

    around = probe.Surroundings()
    if socket_dir is not None:
        around = around._replace(socket_folders=(socket_dir,))
    if nodename_file is not None:
        around = around._replace(node_name_file=nodename_file)
    if not any(wanted.values()):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in wanted)
        _fail(f"must specify at least one of {names}", EXIT_USAGE)
    checks: list[Callable[[], None]] = []
    for family in (probe.IPV4, probe.IPV6):
        if wanted[f"{family.daemon}_live"]:
            checks.append(partial(probe.check_live, family, around))
        if wanted[f"{family.daemon}_ready"]:
            checks.append(partial(probe.check_ready, family, around, threshold_time))
    if reason := next(probe.failures(checks), ""):
        click.echo(reason)
        sys.exit(EXIT_FAILED)


@main.command()
@click.option("--etcd", is_flag=True, help="Use a real etcd-server as the datastore.")
@click.option(
    "--kubernetes",
    is_flag=True,
    help="Use a real Kubernetes API server as the datastore.",
)
@click.option("--keep", is_flag=True, help="Keep the lab running at the end.")
def demo(*, etcd: bool, kubernetes: bool, keep: bool) -> None:
    """Demonstrate a cluster of four nodes that starts, moves to reflectors and recovers from failures.

    Needs root: it creates network namespaces, and removes them at the end.
    """
    from importlib.util import find_spec  # noqa: PLC0415

    if find_spec("rich") is None:
        _fail("the demo needs more than the daemon: pip install 'pybgpd[lab]'")
    from bgpd.lab.demo import run_demo  # noqa: PLC0415

    if etcd and kubernetes:
        _fail("--etcd and --kubernetes exclude each other", EXIT_USAGE)
    kind: Literal["etcd", "kubernetes"] = "etcd" if etcd else "kubernetes"
    datastore = kind if etcd or kubernetes else None
    sys.exit(run_demo(datastore=datastore, keep=keep, out=sys.stdout))


def _run_daemon(
    settings: Any,  # noqa: ANN401  # DaemonSettings, not imported for --help's sake
    source: Any,  # noqa: ANN401  # likewise, Source or None
    files: tuple[Path, ...],
    *,
    must_listen: bool = False,
) -> None:
    from bgpd.daemon.errors import (  # noqa: PLC0415
        MisconfigurationError,
        StartError,
    )
    from bgpd.daemon.startup_claim import claim_startup  # noqa: PLC0415

    try:
        startup_claim = claim_startup(settings)  # before what takes longer to load
    except MisconfigurationError as error:
        _fail(str(error), EXIT_CONFIG)
    except StartError as error:
        _fail(str(error))
    from bgpd.daemon.daemon import Daemon  # noqa: PLC0415
    from bgpd.daemon.sd_notify import of_this_process  # noqa: PLC0415
    from bgpd.daemon.service_manager import service_manager_tasks  # noqa: PLC0415
    from bgpd.runtime.event_loop import run as run_loop  # noqa: PLC0415
    from bgpd.runtime.log_setup import (  # noqa: PLC0415
        catch_output,
        say_last,
        set_up_logging,
    )
    from fib.errors import FibError  # noqa: PLC0415

    set_up_logging(settings.log)
    catch_output()
    manager = of_this_process()

    async def work() -> int:
        daemon = Daemon(
            settings,
            source,
            files,
            must_listen=must_listen,
            startup_claim=startup_claim,
        )
        async with service_manager_tasks(daemon, manager):
            return await daemon.run()

    try:
        code = run_loop(work())
    except MisconfigurationError as error:
        say_last(str(error))
        code = EXIT_CONFIG
    except (StartError, FibError, OSError) as error:
        say_last(str(error))  # not by click: the reader may be stuck
        code = EXIT_FAILED
    except KeyboardInterrupt:
        code = 0
    logging.shutdown()
    sys.exit(code)


def _fail(text: str, code: int = EXIT_FAILED) -> NoReturn:
    click.echo(f"pybgpd: {text}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
