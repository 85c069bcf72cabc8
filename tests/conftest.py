"""Profiles of hypothesis, skips with their reason, and the list of proven RFC clauses."""

import gc
import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from rib.attributes import PlainAttributes, SplicedAttributes

settings.register_profile("dev", max_examples=40, deadline=None)
settings.register_profile(
    "ci",
    max_examples=300,
    deadline=None,
    derandomize=True,  # a run of the same tree gives the same result
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is not a fault
)
settings.register_profile("soak", max_examples=20_000, deadline=None)
settings.register_profile(
    "quick",  # for mutants and coverage: what fails need not be understood
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev")
)

# Before the lab's drivers look: .ci/peers unpacks BIRD 3, which cannot be installed here.
_CLIENTS_OF_KUBERNETES = ("test_kubernetes", "test_needed_nodes", "test_datastore_move")
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("BIRD3_FOLDER", str(_CACHE / "pybgpd-tests/peers/trixie/bird3"))


@pytest.fixture(params=["as decoded", "slow twin"])
def either_twin(request: pytest.FixtureRequest, monkeypatch) -> None:
    """Run a test twice: with attributes as peers' are, and with none that count as usual.

    For tests of what has a short cut for plain or spliced attributes; ask for it with
    ``pytest.mark.usefixtures``.
    """
    if request.param == "slow twin":
        monkeypatch.setattr(PlainAttributes, "is_plain", False)
        monkeypatch.setattr(SplicedAttributes, "is_spliced", False)


def _reason_against_root() -> str:
    """Return why network namespaces cannot be made here; empty where they can."""
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    if shutil.which("ip") is None:
        return "needs the command ip (iproute2)"
    probe = ("unshare", "--net", "ip", "link", "set", "lo", "up")
    outcome = subprocess.run(probe, capture_output=True, text=True, check=False)
    if outcome.returncode:
        return f"needs network namespaces: {outcome.stderr.strip()}"
    return ""


def _reason_against_etcd() -> str:
    return "" if shutil.which("etcd") else "needs etcd (etcd-server)"


# What waits for other processes; a busy machine can starve one of them.
_BESIDE_PROCESSES = frozenset({"slow", "root", "interop", "etcd"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here; each skip says what is missing.

    A test beside other processes runs a second time where it fails. The summary
    names each one that needed it (``RERUN``): it still has a fault, in the test
    or in what it tests.
    """
    marks = {mark.name for item in items for mark in item.iter_markers()}
    against_root = _reason_against_root() if marks & {"root", "interop"} else ""
    against = {
        "root": against_root,
        "interop": against_root,
        "etcd": _reason_against_etcd() if "etcd" in marks else "",
    }
    for item in items:
        if any(mark.name in _BESIDE_PROCESSES for mark in item.iter_markers()):
            item.add_marker(pytest.mark.flaky(reruns=1))
        for name, reason in against.items():
            if reason and item.get_closest_marker(name) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Collect what a client of the Kubernetes API left, before another test is blamed for it.

    httpx2 leaves the socket of a handshake that was cut or cancelled to the collector.
    """
    yield
    if item.path.name.startswith(_CLIENTS_OF_KUBERNETES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Say which worker runs which test, where groups of them stay together."""
    if config.option.dist != "loadgroup":
        return None
    from tests.support.scheduling import Scheduling  # noqa: PLC0415 - needs pytest-xdist

    return Scheduling(config, log, by_file="not slow" in config.option.markexpr)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the clauses that tests prove to the file ``RFC_MATRIX_JSON`` names.

    What was made so far stays: modules, and thousands of tests. The collector looks at it no
    more, which many tests call, and which would take a third of a second each time.
    """
    gc.collect()
    gc.freeze()
    # To look for cycles among what goes by itself took a fourteenth of the time of fast tests.
    gc.set_threshold(50_000, 20, 50)
    if (target := os.environ.get("RFC_MATRIX_JSON")) is None:
        return
    rows = sorted(
        [*map(str, mark.args), item.nodeid]
        for item in session.items
        for mark in item.iter_markers("rfc")
    )
    Path(target).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
