"""Real Prometheus scrapes a live daemon, and answers what the dashboard asks for."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.generated import ROOT
from tests.support.page_scene import Scene, a_node, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("prometheus") is None, reason="prometheus is not installed"
    ),
]

# What this daemon has nothing to say about: it has no kernel, no datastore, no range and no limit,
# and nothing has failed in it.
ABSENT = {
    "pybgpd_contained_faults_total",
    "pybgpd_datastore_disconnected_seconds",
    "pybgpd_datastore_lag_revisions",
    "pybgpd_fib_drifts_total",
    "pybgpd_fib_repairs_total",
    "pybgpd_fib_routes",
    "pybgpd_fib_written_total",
    "pybgpd_held_objects",
    "pybgpd_peer_flaps_total",
    "pybgpd_peer_max_prefixes",
    "pybgpd_peer_max_received",
    "pybgpd_peer_notifications_received_total",
    "pybgpd_propagation_seconds_bucket",
    "pybgpd_peer_notifications_sent_total",
    "pybgpd_range_max_peers",
    "pybgpd_range_peers",
}
STARTING = 503
METRIC = re.compile(r"pybgpd_\w+")
DASHBOARD = ROOT / "configs" / "monitoring" / "dashboard.json"


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """Run Prometheus; give its address."""
    scrape = {
        "job_name": "pybgpd",
        "scrape_interval": "1s",
        "static_configs": [{"targets": [target]}],
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump({"scrape_configs": [scrape]}), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait(10)


def results(url: str, expression: str) -> list[Any]:
    """Return what Prometheus knows of an expression; nothing while it starts.

    Raises:
        urllib.error.HTTPError: Prometheus cannot parse it.
    """
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=5) as answer:  # noqa: S310  # our own
            found: list[Any] = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        if error.code != STARTING:
            raise
        return []
    except (ConnectionError, urllib.error.URLError):
        return []
    return found


def test_each_query_of_the_dashboard_is_answered_from_a_live_daemon(
    tmp_path: Path,
) -> None:
    with Scene(tmp_path, a_node()) as scene:
        scene.connect(*(name for name in scene.around if name != "node-3"))
        scene.furnish("node-3")
        target = scene.url.removeprefix("http://").removesuffix("/")
        with prometheus(tmp_path, target) as url:
            scene.daemon.until(lambda: results(url, "rate(pybgpd_peer_up[10s])"), 30)
            content = json.loads(DASHBOARD.read_text(encoding="utf-8"))
            empty: set[str] = set()
            instance = target.replace(".", "[.]")
            for panel in content["panels"]:
                for query in panel.get("targets", ()):
                    expression = (
                        query["expr"]
                        .replace("$__rate_interval", "10s")
                        .replace("$instance", instance)
                        .replace("$peer", ".*")
                    )
                    if not results(url, expression):
                        empty.add(query["expr"])
    assert [each for each in empty if not ABSENT & set(METRIC.findall(each))] == []
