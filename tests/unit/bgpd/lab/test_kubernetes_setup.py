"""What a lab gives a bare API server."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest
import yaml

from bgpd.calico.kubernetes_objects import GROUP_V1, GROUP_V3
from bgpd.datastore.kubernetes.stored_objects import KINDS
from bgpd.lab.kubernetes_setup import definitions, rights
from tests.support.generated import ROOT


def granted(objects: Iterable[dict[str, Any]], kind: str) -> set[tuple[str, ...]]:
    """Return group, resource and verb of all that a kind of role grants."""
    return {
        found
        for each in objects
        if each["kind"] == kind
        for rule in each["rules"]
        for found in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def test_the_daemons_of_a_lab_have_the_rights_of_the_manifests() -> None:
    folder = ROOT / "configs" / "kubernetes"
    files = "base/node/rbac.yaml", "components/kubernetes/datastore-role.yaml"
    theirs = [
        each
        for file in files
        for each in yaml.safe_load_all((folder / file).read_text())
    ]
    ours = [each.content for each in rights()]
    for kind in ("ClusterRole", "Role"):
        assert granted(ours, kind) == granted(theirs, kind)


@pytest.mark.parametrize("group", [GROUP_V1, GROUP_V3])
def test_every_kind_is_defined_in_its_group(group: str) -> None:
    found = [each.content for each in definitions(group)]
    assert {each["spec"]["names"]["plural"] for each in found} == {*KINDS.values()}
    assert {each["spec"]["group"] for each in found} == {
        group.split("/", maxsplit=1)[0]
    }
