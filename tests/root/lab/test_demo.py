"""The demonstration, whole: it is the promise of the README."""

import io
import shutil
import time
from pathlib import Path

import pytest

from bgpd.lab.demo import run_demo
from bgpd.lab.state import read_states
from tests.support.routers import needs_root

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
    before = {state.lab_id for state in read_states()}
    out = io.StringIO()
    start = time.monotonic()
    status = run_demo(etcd=etcd, keep=False, out=out)
    assert status == 0, out.getvalue()
    assert "7/7" in out.getvalue()
    assert "All proved" in out.getvalue()
    assert time.monotonic() - start < 60
    left = {state.lab_id for state in read_states()} - before
    assert not [name for lab_id in left for name in _namespaces(lab_id)]


def _namespaces(lab_id: str) -> list[Path]:
    return list(Path("/run/netns").glob(f"pybgpd-{lab_id}-*"))
