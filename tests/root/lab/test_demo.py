"""The demonstration, whole: it is the promise of the README."""

import io
import os
import shutil
from pathlib import Path

import pytest

from bgpd.lab.demo import run_demo
from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.frr import Frr
from bgpd.lab.state import read_states
from tests.support.kube_apiserver import missing
from tests.support.routers import eventually, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

NEEDS_ETCD = pytest.mark.skipif(
    shutil.which("etcd") is None, reason="etcd is not installed"
)
NEEDS_API = pytest.mark.skipif(bool(missing()), reason=missing() or "there")


@pytest.mark.parametrize(
    "datastore",
    [
        pytest.param(None, id="folder"),
        pytest.param("etcd", marks=[NEEDS_ETCD, pytest.mark.etcd]),
        pytest.param("kubernetes", marks=[NEEDS_API, pytest.mark.etcd]),
    ],
)
def test_the_demonstration_proves_every_step_and_leaves_nothing(datastore):
    before = orphans()  # of a run that was killed
    out = io.StringIO()
    status = run_demo(datastore=datastore, keep=False, out=out)
    assert status == 0, out.getvalue()
    assert "7/7" in out.getvalue()
    assert "All proved" in out.getvalue()
    assert os.getpid() not in {state.owner_pid for state in read_states()}
    assert eventually(lambda: not orphans() - before)


def test_the_demonstration_needs_no_other_makers_router(monkeypatch):
    for driver in (Bird, Frr):
        monkeypatch.setattr(driver, "is_installed", lambda: False)
    out = io.StringIO()
    assert run_demo(datastore=None, keep=False, out=out) == 0, out.getvalue()
    assert "pybgpd in AS 65000 has sessions with both reflectors" in out.getvalue()


@pytest.mark.parametrize("variable", ["KUBE_APISERVER", "PATH"])
def test_without_an_api_server_it_says_how_to_get_one(variable, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(variable, str(tmp_path))
    if variable == "PATH":
        (tmp_path / "etcd").write_text("#!/bin/sh\n")
        (tmp_path / "etcd").chmod(0o755)
    out = io.StringIO()
    assert run_demo(datastore="kubernetes", keep=False, out=out) == 1
    assert ".ci/kube-apiserver" in out.getvalue()
    assert "KUBE_APISERVER" in out.getvalue()


def orphans() -> set[str]:
    """Return ids of labs that have namespaces and no record: nothing would sweep them.

    Other tests' labs come and go meanwhile, so this is to be asked again.
    """
    names = [path.name for path in Path("/run/netns").glob("pybgpd-*")]
    return {name.split("-")[1] for name in names} - {s.lab_id for s in read_states()}
