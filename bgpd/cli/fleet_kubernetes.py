"""The daemons of a Kubernetes cluster, found by its API: pods by their labels, or all nodes.

What cannot be asked is found as well, with the reason: a pod that has no address yet is a machine
whose routes are not seen.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import click

from bgpd.cli.fleet_options import PODS, Cluster, Node
from bgpd.cli.request import EXIT_UNREACHABLE
from bgpd.config.settings import KubernetesSettings
from bgpd.datastore.kubernetes.access import Access, find_access, why_none
from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.query import Query
from bgpd.datastore.model import DatastoreError
from bgpd.texts.errors import text_of
from rib.nlri import format_address, parse_address

_MOST_NODES: Final = 20_000  # of a cluster
_TIME: Final = 60.0  # seconds for the whole list
_OVER: Final = ("Succeeded", "Failed")  # phases of pods that are not started again

_Object = dict[str, Any]


class ClusterError(click.ClickException):
    """The cluster does not name its nodes.

    Args:
        text: Why.
    """

    exit_code = EXIT_UNREACHABLE

    def __init__(self, text: str) -> None:
        super().__init__(f"pybgpctl: --kubernetes: {text}")

    def show(self, _file: Any = None) -> None:  # noqa: ANN401  # click's
        """Print it."""
        click.echo(self.format_message(), err=True)


def find_nodes(cluster: Cluster) -> list[Node]:
    """Return the cluster's nodes by name, those that cannot be asked too.

    Raises:
        ClusterError: The API does not answer or refuses, or there are no nodes.
    """
    settings = KubernetesSettings(
        kubeconfig=cluster.kubeconfig, context=cluster.context
    )
    access = find_access(settings, os.environ, is_datastore=True)
    if access is None:
        raise ClusterError(f"no credentials: {why_none(os.environ)}")
    query = query_of(cluster)
    try:
        objects = asyncio.run(_list(access, query))
    except TimeoutError as error:
        raise ClusterError(f"{access}: no whole list within {_TIME:g} s") from error
    except (ApiError, DatastoreError, OSError) as error:
        raise ClusterError(text_of(error)) from error
    is_pods = cluster.source == PODS
    if is_pods:
        objects = [each for each in objects if _status(each).get("phase") not in _OVER]
    if not objects:
        what = f" with labels {cluster.selector}" if cluster.selector else ""
        where = f" in namespace {cluster.namespace}" if cluster.namespace else ""
        raise ClusterError(f"there are no {cluster.source}{what}{where}")
    named = list(named_pods(objects)) if is_pods else list(_named_nodes(objects))
    return [_node(cluster, *each) for each in sorted(named)]


def query_of(cluster: Cluster) -> Query:
    """Return the request to the API."""
    path = "/api/v1/nodes"
    if cluster.source == PODS:
        inside = f"/namespaces/{cluster.namespace}" if cluster.namespace else ""
        path = f"/api/v1{inside}/pods"
    kind = "Pod" if cluster.source == PODS else "Node"
    return Query(kind, path, label_selector=cluster.selector)


async def _list(access: Access, query: Query) -> list[_Object]:
    found: list[_Object] = []
    async with asyncio.timeout(_TIME), access.connect() as client:
        async for piece in client.pieces(query):
            found += map(dict, piece.objects)
            if len(found) > _MOST_NODES:
                raise ApiError(f"there are over {_MOST_NODES} of {query.path}")
    return found


def named_pods(objects: list[_Object]) -> Iterator[tuple[str, str, str]]:
    """Yield name, address and problem of pods: the node's name if one of them is there."""
    on_nodes = Counter(_text(each.get("spec"), "nodeName") for each in objects)
    for each in objects:
        node = _text(each.get("spec"), "nodeName")
        pod = _text(each.get("metadata"), "name")
        name = node if node and on_nodes[node] == 1 else pod
        status = _status(each)
        phase = _text(status, "phase") or "unknown"
        yield name, _text(status, "podIP"), f"pod {pod} is {phase}: it has no address"


def _named_nodes(objects: list[_Object]) -> Iterator[tuple[str, str, str]]:
    for each in objects:
        addresses = _status(each).get("addresses")
        rows = addresses if isinstance(addresses, list) else []
        found = [
            _text(row, "address") for row in rows if _text(row, "type") == "InternalIP"
        ]
        name = _text(each.get("metadata"), "name")
        yield name, next(iter(found), ""), "the node has no InternalIP"


def _node(cluster: Cluster, name: str, address: str, problem: str) -> Node:
    if not address:
        return Node(name, None, problem)
    try:
        octets = parse_address(address)
    except ValueError:
        return Node(name, None, f"{address[:64]!r} is not an IP address")
    text = format_address(octets)
    host = f"[{text}]" if ":" in text else text
    return Node(name, cluster.api._replace(url=f"https://{host}:{cluster.port}"))


def _status(content: _Object) -> _Object:
    found = content.get("status")
    return found if isinstance(found, dict) else {}


def _text(content: object, key: str) -> str:
    """Return a text of an object; empty without one."""
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, str) and value.isprintable() else ""
