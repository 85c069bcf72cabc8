"""Options by which a command asks the daemons of many machines in place of one.

What asks them is loaded if one of the options is there (``bgpd.cli.fleet``).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from bgpd.api.client import Place, Remote

PODS, NODES = "pods", "nodes"
_DEFAULT_PORT: Final = 9180
_DEFAULT_SELECTOR: Final = "k8s-app in (pybgpd, pybgpd-reflector)"
_SUBORDINATE: Final = ("kubeconfig", "context", "namespace", "selector", "api_port")

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Cluster(NamedTuple):
    """Which daemons of a Kubernetes cluster are asked.

    Attributes:
        source: ``PODS`` or ``NODES``: whose addresses.
        kubeconfig: File; empty is the one of the home folder, or a pod's credentials.
        context: Of the kubeconfig; empty is its current one.
        namespace: Of pods; empty is every one.
        selector: Labels of pods or nodes.
        port: Where the daemons' API listens.
        api: Token, certificates and name of the daemons' API; without a URL.
    """

    source: str
    kubeconfig: str
    context: str
    namespace: str
    selector: str
    port: int
    api: Remote


class Fleet(NamedTuple):
    """The machines that are asked: those of a file, or of a cluster.

    Attributes:
        file: ``None`` for a cluster.
        cluster: ``None`` for a file.
        api: Token, certificates and name for those of a file that name none.
    """

    file: Path | None
    cluster: Cluster | None
    api: Remote


class Node(NamedTuple):
    """One machine.

    Attributes:
        name: For people.
        place: Where its daemon answers; ``None`` if that is unknown.
        problem: Why not.
    """

    name: str
    place: Place | None
    problem: str = ""


def fleet_options(command: _Function) -> _Function:
    """Add the options; their values are taken by ``take_fleet``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: Final = (
    click.option(
        "--from",
        "file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Ask the nodes of FILE: YAML, or a NAME and a URL or PATH in each line.",
    ),
    click.option(
        "--kubernetes",
        is_flag=False,
        flag_value=PODS,
        type=click.Choice((PODS, NODES)),
        metavar="[pods|nodes]",
        help="Ask the daemons of a Kubernetes cluster: its pods, or on each of its nodes.",
    ),
    click.option(
        "--kubeconfig",
        metavar="FILE",
        envvar="KUBECONFIG",
        show_envvar=True,
        help="With --kubernetes: who reads the cluster's pods or nodes, and where.",
    ),
    click.option("--context", help="With --kubernetes: of the kubeconfig."),
    click.option("--namespace", help="With --kubernetes: of the pods; else every one."),
    click.option(
        "--selector",
        metavar="LABELS",
        help=f"With --kubernetes: of the pods ({_DEFAULT_SELECTOR}) or nodes (all).",
    ),
    click.option(
        "--api-port",
        type=click.IntRange(1, 65535),
        help=f"With --kubernetes: where the daemons' API listens ({_DEFAULT_PORT}).",
    ),
)


def take_fleet(control: Place, wanted: dict[str, Any]) -> Fleet | None:
    """Take the options' values out of a command's; ``None`` if one daemon is asked.

    Raises:
        UsageError: One of them needs another one, or excludes it.
    """
    file, source = wanted.pop("file"), wanted.pop("kubernetes")
    values = {name: wanted.pop(name) for name in _SUBORDINATE}
    if file is not None and source is not None:
        raise click.UsageError("--from and --kubernetes exclude each other")
    context = click.get_current_context()
    if source is None:
        for name, value in values.items():
            if value is not None and not _is_of_environment(context, name):
                option = f"--{name.replace('_', '-')}"
                raise click.UsageError(f"{option} goes with --kubernetes")
    if file is None and source is None:
        return None
    if isinstance(control, Remote):
        raise click.UsageError("--url names one daemon, --from and --kubernetes many")
    given = context.find_root().params
    api = Remote("", given["token_file"], given["ca_file"], given["tls_name"])
    return Fleet(file, _cluster(source, values, api) if source else None, api)


def _cluster(source: str, values: dict[str, Any], api: Remote) -> Cluster:
    if source == NODES and values["namespace"] is not None:
        raise click.UsageError("nodes have no --namespace")
    default = _DEFAULT_SELECTOR if source == PODS else ""
    selector = values["selector"]
    return Cluster(
        source,
        values["kubeconfig"] or "",
        values["context"] or "",
        values["namespace"] or "",
        default if selector is None else selector,
        values["api_port"] or _DEFAULT_PORT,
        api,
    )


def _is_of_environment(context: click.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "ENVIRONMENT"
