"""Files for Prometheus and Grafana: each expression parses, each metric exists, each alert fires."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bgpd.api.figures import (
    DatastoreFigures,
    Figures,
    MrtFigures,
    PeerFigures,
    PeerTableFigures,
    RangeFigures,
    ReloadFigures,
    StageTimes,
    TableFigures,
)
from bgpd.api.metrics import ROWS, render
from bgpd.api.process_metrics import PROCESS_ROWS
from bgpd.pipeline.propagation import BOUNDS
from fib.routes import FibCounts
from tests.support.generated import ROOT
from tests.support.kustomize import kubectl

FOLDER = ROOT / "configs" / "monitoring"
METRIC = re.compile(r"\b(?:pybgpd|process|python)_[a-z_0-9]+\b")
KNOWN = {row.full_name for row in ROWS} | {name for name, *_ in PROCESS_ROWS}
BUCKETS = {f"{row.name}_bucket" for row in ROWS if row.is_histogram}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)


def promtool(*words: str | Path, text: str = "") -> str:
    """Run promtool below ``configs/monitoring``, and return what it says if it objects."""
    outcome = subprocess.run(
        ["promtool", *map(str, words)],
        cwd=FOLDER,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    shown = outcome.stdout + outcome.stderr
    return shown if outcome.returncode else ""


def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    text = (FOLDER / "dashboard.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def expressions() -> list[str]:
    found = [
        target["expr"]
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]
    return [
        each.replace("$__rate_interval", "5m")
        .replace("$instance", ".*")
        .replace("$peer", ".*")
        for each in found
    ]


@needs_promtool
def test_alerts_and_the_scrape_configuration_are_sound() -> None:
    assert not promtool("check", "rules", "alerts.yaml")
    assert not promtool("check", "config", "prometheus.yaml")


@needs_promtool
def test_each_alert_fires_when_it_must_and_not_otherwise() -> None:
    assert not promtool("test", "rules", "alerts.test.yaml")
    text = (FOLDER / "alerts.test.yaml").read_text(encoding="utf-8")
    tests = yaml.safe_load(text)["tests"]
    alerts = [
        (rule["alertname"], bool(rule["exp_alerts"]))
        for each in tests
        for rule in each["alert_rule_test"]
    ]
    names = [rule["alert"] for rule in rules()]
    assert sorted(alerts) == sorted(
        (n, fires) for n in names for fires in (True, False)
    )


def test_each_alert_leads_to_a_heading_of_the_documentation() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        notes = rule["annotations"]
        assert notes["summary"]
        assert notes["description"].endswith(".")
        page, _, anchor = notes["runbook"].partition("#")
        headings = re.findall(
            r"^#+ (.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE
        )
        assert anchor in {re.sub(r"\W+", "-", each.lower()) for each in headings}


def test_all_metrics_that_the_files_name_exist() -> None:
    for name in ("alerts.yaml", "alerts.test.yaml", "dashboard.json"):
        text = (FOLDER / name).read_text(encoding="utf-8")
        named = set(METRIC.findall(text))
        assert len(named) > 20
        assert named - KNOWN - BUCKETS == set()


@needs_promtool
def test_each_expression_of_the_dashboard_parses(tmp_path: Path) -> None:
    found = expressions()
    assert len(found) > 30
    recorded = [
        {"record": f"dashboard:{number}", "expr": expr}
        for number, expr in enumerate(found)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": recorded}]}))
    assert not promtool("check", "rules", file)


def test_the_dashboard_has_the_form_that_grafana_reads() -> None:
    content = dashboard()
    assert content["uid"] == content["title"] == "pybgpd"
    names = {each["name"] for each in content["templating"]["list"]}
    assert names == {"datasource", "instance", "peer"}
    panels = content["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = {panel["title"] for panel in panels if panel["type"] == "row"}
    assert titles == {
        "Sessions",
        "Prefixes",
        "Churn and propagation",
        "Kernel",
        "Datastore and configuration",
        "Event loop and process",
    }
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["type"] in ("row", "stat", "timeseries", "table")
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & covered
        covered |= cells
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] == "${datasource}"
        refs = [target["refId"] for target in panel["targets"]]
        assert refs == sorted(set(refs))
        used = set(re.findall(r"\$(?:\{)?(\w+)", json.dumps(panel)))
        assert used <= names | {"__rate_interval"}


@needs_promtool
def test_promtool_finds_nothing_to_better_in_the_metrics() -> None:
    table = PeerTableFigures("ipv4-unicast", 7, 5, 2, 1, 1, 10, 20, 3, 30, 4, 1)
    peer = PeerFigures(
        *("a", "192.0.2.1", "established", True, 1, 1, 2, 2, (table,)),
        established_at=1.5,
        notifications_sent={"cease": 1},
        notifications_received={"other": 1},
        lacks_import_policy=True,
        drained_since=1.5,
        is_bfd_up=True,
        bfd_failures=1,
    )
    figures = Figures(
        *("1", 1.0, {"established": 1}, (peer,)),
        (
            TableFigures(
                *("ipv4-unicast", 1, 1, 1, 1, 1, 1, 0),
                bounds=BOUNDS,
                stages=(StageTimes("sent", [1] * (len(BOUNDS) + 1), 70.5),),
            ),
        ),
        object_warnings=(("a", "b"),),
        contained_faults={"planner": 1},
        fib=FibCounts(wanted=1),
        datastore=DatastoreFigures(
            "kubernetes", True, 1, 1, 1, 0.0, 0.0, 1, True, 1, 1.0
        ),
        held={"Nodes": 1},
        reload=ReloadFigures(is_successful=True, success_time=1.0, pending_keys=0),
        ranges=(RangeFigures("r", "10.0.0.0/8", 1, 2),),
        mrt=(MrtFigures("rib", 1, 2, 3, 4),),
    )
    text = b"".join(render(figures)).decode()
    assert {name for name in KNOWN if f"# TYPE {name} " not in text} == set()
    assert not promtool("check", "metrics", text=text)


# -- Kubernetes -----------------------------------------------------------------------------


def documents(name: str) -> list[dict[str, Any]]:
    return [*yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))]


@pytest.mark.parametrize("overlay", ["", "reflector", "kubernetes-datastore"])
def test_the_component_lets_monitors_reach_the_pods(
    overlay: str, tmp_path: Path
) -> None:
    if not kubectl():
        pytest.skip("kubectl is not installed")
    shutil.copytree(ROOT / "configs" / "kubernetes", tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes" / overlay
    file = folder / "kustomization.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    up = "../" * overlay.count("/") + ("../" if overlay else "")
    content["components"].append(f"{up}components/metrics")
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    made = subprocess.run(
        [kubectl(), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    (workload,) = [
        each
        for each in yaml.safe_load_all(made.stdout)
        if each["kind"] in ("DaemonSet", "Deployment")
    ]
    template = workload["spec"]["template"]
    (container,) = template["spec"]["containers"]
    (port,) = [each for each in container["ports"] if each["name"] == "metrics"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    listen = environment["PYBGPD_METRICS_LISTEN"]
    assert listen == f"0.0.0.0:{port['containerPort']}"
    probe = container["livenessProbe"]["httpGet"]
    assert (probe["host"], probe["port"]) == ("127.0.0.1", port["containerPort"])
    (monitor,) = documents("podmonitor.yaml")
    (rule,) = monitor["spec"]["selector"]["matchExpressions"]
    assert template["metadata"]["labels"][rule["key"]] in rule["values"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == port["name"]


# The parts of the operator's schema (monitoring.coreos.com/v1) that the files use.
ENDPOINT = {"port": str, "path": str, "interval": str, "relabelings": list}
RELABELING = {"targetLabel": str, "replacement": str, "sourceLabels": list}


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("podmonitor.yaml", "PodMonitor", "podMetricsEndpoints"),
        ("servicemonitor.yaml", "ServiceMonitor", "endpoints"),
    ],
)
def test_monitors_have_the_fields_of_the_operator_s_schema(
    name: str, kind: str, key: str
) -> None:
    *others, monitor = documents(name)
    assert (monitor["apiVersion"], monitor["kind"]) == (
        "monitoring.coreos.com/v1",
        kind,
    )
    spec = monitor["spec"]
    assert set(spec) <= {"jobLabel", "selector", key}
    assert set(spec["selector"]) <= {"matchLabels", "matchExpressions"}
    for endpoint in spec[key]:
        for field, value in endpoint.items():
            assert isinstance(value, ENDPOINT[field])
        assert re.fullmatch(r"\d+[sm]", endpoint["interval"])
        for relabeling in endpoint["relabelings"]:
            for field, value in relabeling.items():
                assert isinstance(value, RELABELING[field])
    for service in others:
        assert service["metadata"]["labels"] == spec["selector"]["matchLabels"]
        assert service["spec"]["ports"][0]["name"] == spec[key][0]["port"]
