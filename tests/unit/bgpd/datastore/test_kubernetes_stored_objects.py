"""What a writer stores in Kubernetes' API is what Calico's client would, and reads back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.calico.kubernetes_objects import GROUP_V1, GROUP_V3, item_of
from bgpd.datastore import manifests
from bgpd.datastore.kubernetes.stored_objects import stored
from bgpd.datastore.manifests import ManifestError
from tests.support import calico_cases
from tests.support.kubernetes_objects import (
    block_affinity,
    custom_resource,
    kubernetes_node,
)

VERSION = {"apiVersion": GROUP_V3}


def an_object(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return VERSION | calico_cases.an_object(kind, name, **spec)


def a_node(name: str, addr: str = "", **bgp: Any) -> dict[str, Any]:
    return VERSION | calico_cases.a_node(name, addr, **bgp)


GROUPS = st.sampled_from([GROUP_V1, GROUP_V3])
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(categories=["L", "N", "P"]), max_size=20)
LABELS = st.dictionaries(NAMES, TEXTS, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    name=NAMES,
    group=GROUPS,
    labels=LABELS,
    bgp=st.fixed_dictionaries(
        {},
        optional={
            "asNumber": st.integers(1, 2**32 - 1) | st.just("64512.7"),
            "ipv6Address": st.just("fd00::1/64"),
            "routeReflectorClusterID": st.just("244.0.0.1"),
            "ipv4IPIPTunnelAddr": st.just("10.244.1.0"),
        },
    ),
)
def test_a_node_is_kubernetes_own_with_annotations(
    name: str, group: str, labels: dict[str, str], bgp: dict[str, Any]
) -> None:
    node = a_node(name, "10.0.0.1", labels=labels, **bgp)
    found = stored(node, group)
    assert found.path == f"api/v1/nodes/{name}"
    assert item_of("Node", found.content) == item_of("Node", kubernetes_node(node))


@given(name=NAMES, group=GROUPS, spec=st.dictionaries(NAMES, JSON, max_size=4))
def test_a_resource_keeps_its_spec(name: str, group: str, spec: dict[str, Any]) -> None:
    peer = an_object("BGPPeer", name) | {"spec": spec}
    found = stored(peer, group)
    assert found.path == f"apis/{group}/bgppeers/{name}"
    assert found.content["apiVersion"] == group
    meant = item_of("BGPPeer", custom_resource(peer, group))
    assert item_of("BGPPeer", found.content) == meant
    assert meant.key == manifests.key_of(peer)


@given(
    node=NAMES,
    group=GROUPS,
    cidr=st.sampled_from(["10.244.1.0/26", "fd00:1::/122", "10.0.0.1/32"]),
    state=st.sampled_from(["confirmed", "pending", ""]),
    deleted=st.sampled_from([None, "true", "false", True, False]),
)
def test_an_affinity_has_the_name_and_the_labels_of_calicos_client(
    node: str, group: str, cidr: str, state: str, deleted: object
) -> None:
    spec = {"node": node, "cidr": cidr, "state": state}
    if deleted is not None:
        spec["deleted"] = deleted  # type: ignore[assignment]
    found = stored(an_object("BlockAffinity", "any", **spec), group)
    meant = block_affinity(node, cidr, state, group)
    assert found.name == meant["metadata"]["name"]
    labels = found.content["metadata"]["labels"]
    assert labels["projectcalico.org/ip-version"] == ("6" if ":" in cidr else "4")
    assert labels["projectcalico.org/affinity-type"] == "host"
    assert len(labels["projectcalico.org/hostname-hash"]) == 52
    assert type(found.content["spec"]["deleted"]) is (
        str if group == GROUP_V1 else bool
    )
    key, value, warnings = item_of("BlockAffinity", found.content)
    assert (key, warnings) == (item_of("BlockAffinity", meant).key, ())
    if str(deleted).lower() == "true":
        assert value is None
    else:
        assert json.loads(value or b"") == {"state": state, "deleted": False}


def test_the_metadata_of_users_stands_where_each_group_has_it() -> None:
    peer = an_object("BGPPeer", "rr", peerIP="10.0.0.1")
    peer["metadata"]["labels"] = {"a": "b"}
    one, three = (stored(peer, g).content["metadata"] for g in (GROUP_V1, GROUP_V3))
    assert three == {"name": "rr", "labels": {"a": "b"}}
    (text,) = one["annotations"].values()
    assert json.loads(text)["labels"] == {"a": "b"}
    assert "labels" not in one


def test_pod_cidrs_and_a_block_go_where_they_belong() -> None:
    node = a_node("n1") | {"status": {"podCIDRs": ["10.9.0.0/24", "fd09::/64"]}}
    assert stored(node, GROUP_V1).content["spec"]["podCIDR"] == "10.9.0.0/24"
    block = an_object("IPAMBlock", "x", cidr="10.244.1.0/26", affinity="host:n1")
    found = stored(block, GROUP_V1)
    assert found.path == f"apis/{GROUP_V1}/ipamblocks/10-244-1-0-26"


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"kind": "BGPPeer", "apiVersion": "v1"},
        an_object("BGPPeer", ""),
        an_object("BlockAffinity", "x", node="n1", cidr="10.0.0.1/24"),
        an_object("Kangaroo", "x"),
        an_object("FelixConfiguration", "default"),
    ],
)
def test_what_the_api_does_not_keep_is_rejected(bad: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        stored(bad, GROUP_V1)
