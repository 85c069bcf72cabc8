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
from tests.support.routers import eventually, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

NEEDS_ETCD = pytest.mark.skipif(
    shutil.which("etcd") is None, reason="etcd is not installed"
)


@pytest.mark.parametrize(
    "etcd",
    [
        pytest.param(False, id="folder"),
        pytest.param(True, id="etcd", marks=[NEEDS_ETCD, pytest.mark.etcd]),
    ],
)
def test_the_demonstration_proves_every_step_and_leaves_nothing(etcd):
    before = orphans()  # of a run that was killed
    out = io.StringIO()
    status = run_demo(etcd=etcd, keep=False, out=out)
    assert status == 0, out.getvalue()
    assert "7/7" in out.getvalue()
    assert "All proved" in out.getvalue()
    assert os.getpid() not in {state.owner_pid for state in read_states()}
    assert eventually(lambda: not orphans() - before)


def test_the_demonstration_needs_no_other_makers_router(monkeypatch):
    for driver in (Bird, Frr):
        monkeypatch.setattr(driver, "is_installed", lambda: False)
    out = io.StringIO()
    assert run_demo(etcd=False, keep=False, out=out) == 0, out.getvalue()
    assert "pybgpd in AS 65000 has sessions with both reflectors" in out.getvalue()


def orphans() -> set[str]:
    """Return ids of labs that have namespaces and no record: nothing would sweep them.

    Other tests' labs come and go meanwhile, so this is to be asked again.
    """
    names = [path.name for path in Path("/run/netns").glob("pybgpd-*")]
    return {name.split("-")[1] for name in names} - {s.lab_id for s in read_states()}
