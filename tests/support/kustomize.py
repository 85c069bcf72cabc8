"""The manifests as people apply them: what kubectl makes of the overlays."""

import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tests.support.generated import ROOT

Manifest = dict[str, Any]

FOLDER: Final = ROOT / "configs" / "kubernetes"


class Overlay(NamedTuple):
    """A folder for ``kubectl apply -k``.

    Attributes:
        folder: Relative to ``configs/kubernetes``.
        namespace: Of all that it creates.
        datastore: Kind of datastore that its daemons read.
    """

    folder: str
    namespace: str
    datastore: str

    def manifests(self) -> list[Manifest]:
        return render(FOLDER / self.folder)


OVERLAYS: Final = (
    Overlay(".", "kube-system", "etcd"),
    Overlay("reflector", "kube-system", "etcd"),
    Overlay("kubernetes-datastore", "kube-system", "kubernetes"),
    Overlay("kubernetes-datastore/reflector", "kube-system", "kubernetes"),
    Overlay("operator", "calico-system", "kubernetes"),
    Overlay("operator/whole-cluster", "calico-system", "kubernetes"),
    Overlay("operator/reflector", "calico-system", "kubernetes"),
)


def kubectl() -> str:
    """Return kubectl: that of the virtual environment, or else of the system."""
    own = Path(sys.executable).parent / "kubectl"
    return str(own) if own.exists() else shutil.which("kubectl") or ""


@lru_cache
def _rendered(folder: Path) -> str:
    outcome = subprocess.run(
        [kubectl(), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def render(folder: Path) -> list[Manifest]:
    """Return the objects of a kustomization."""
    return list(yaml.safe_load_all(_rendered(folder.resolve())))
