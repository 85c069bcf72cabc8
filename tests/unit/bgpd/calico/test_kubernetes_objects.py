import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.calico.case import load_case, show_plan
from bgpd.calico.keys import affinity_key, resource_key
from bgpd.calico.kubernetes_objects import (
    ANNOTATION,
    GROUP_V1,
    GROUP_V3,
    RESOURCES,
    ConversionError,
    item_of,
)
from bgpd.calico.probe import show_probes
from tests.support.calico_cases import a_case, a_node, sessions, settings, warned
from tests.support.generated import ROOT
from tests.support.kubernetes_objects import (
    NOISE,
    block_affinity,
    custom_resource,
    kubernetes_node,
)

GROUPS = (GROUP_V1, GROUP_V3)
CASES = ROOT.parent / "shared" / "calico-conformance" / "cases"
FILES = sorted(CASES.glob("*.json")) if CASES.is_dir() else []


def value_of(item):
    """Return what etcd would hold, read."""
    assert item.value is not None
    return json.loads(item.value)


def through_the_api(content, group, *, calico_labels=False):
    """Return a case whose objects went through Kubernetes' API and back."""
    uses_pod_cidrs = content.get("env", {}).get("USE_POD_CIDR") == "true"
    resources = []
    for resource in content.get("resources", []):
        kind = resource["kind"]
        if kind == "Node":
            made = kubernetes_node(resource, calico_labels=calico_labels)
        elif kind in RESOURCES:
            made = custom_resource(resource, group)
        else:
            continue  # nothing that BGP reads
        key, value, _ = item_of(kind, made, uses_pod_cidrs=uses_pod_cidrs)
        assert key == resource_key(kind, resource["metadata"]["name"])
        assert value is not None
        resources.append(json.loads(value))
    affinities = []
    for affinity in content.get("affinities", []):
        made = block_affinity(
            content["node"], affinity["cidr"], affinity["state"], group
        )
        key, value, _ = item_of("BlockAffinity", made)
        assert key == affinity_key(content["node"], affinity["cidr"])
        assert value is not None
        affinities.append(affinity | {"state": json.loads(value)["state"]})
    return content | {"resources": resources, "affinities": affinities}


@pytest.mark.skipif(not FILES, reason="calico-conformance is not beside the checkout")
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file).stem)
def test_a_case_means_the_same_through_the_api(file, group) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    for calico_labels in (False, True):
        other = through_the_api(content, group, calico_labels=calico_labels)
        ours, theirs = load_case(content), load_case(other)
        assert show_plan(theirs) == show_plan(ours)
        assert show_probes(theirs) == show_probes(ours)


class TestNodes:
    def node(self, own_labels=None, /, **annotations):
        made = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": "n1",
                "labels": own_labels or {},
                "annotations": {ANNOTATION + k: v for k, v in annotations.items()},
                **NOISE,
            },
        }
        item = item_of("Node", made)
        assert item.key == resource_key("Node", "n1")
        return value_of(item), item.warnings

    def test_each_annotation_is_a_field(self) -> None:
        found, warnings = self.node(
            IPv4Address="10.0.0.1/24",
            IPv6Address="fd00::1/64",
            ASNumber="64512",
            RouteReflectorClusterID="10.0.0.9",
            IPv4IPIPTunnelAddr="10.244.0.1",
            IPv4WireguardInterfaceAddr="10.244.0.2",
            IPv6WireguardInterfaceAddr="fd00:244::2",
        )
        assert found["spec"] == {
            "bgp": {
                "ipv4Address": "10.0.0.1/24",
                "ipv6Address": "fd00::1/64",
                "asNumber": "64512",
                "routeReflectorClusterID": "10.0.0.9",
                "ipv4IPIPTunnelAddr": "10.244.0.1",
            },
            "wireguard": {
                "interfaceIPv4Address": "10.244.0.2",
                "interfaceIPv6Address": "fd00:244::2",
            },
        }
        assert not warnings

    @pytest.mark.parametrize("annotations", [{}, {"IPv4Address": ""}])
    def test_one_without_annotations_takes_no_part_in_bgp(self, annotations) -> None:
        found, _ = self.node(**annotations)
        assert "bgp" not in found["spec"]

    def test_labels_of_kubernetes_win_over_those_of_calico(self) -> None:
        given = json.dumps({"a": "calico", "b": "calico"})
        found, warnings = self.node({"a": "kube"}, labels=given)
        assert found["metadata"]["labels"] == {"a": "kube", "b": "calico"}
        assert not warnings

    @pytest.mark.parametrize("text", ["{", "[]", '"x"', "null", "[" * 100_000])
    def test_labels_that_are_not_a_map_are_skipped_with_a_warning(self, text) -> None:
        found, (warning,) = self.node({"a": "kube"}, labels=text)
        assert found["metadata"]["labels"] == {"a": "kube"}
        assert warning.startswith("annotation projectcalico.org/labels: ")

    def test_a_heartbeat_changes_nothing(self) -> None:
        made = kubernetes_node(a_node("n1", "10.0.0.1", labels={"a": "b"}))
        before = item_of("Node", made)
        made["metadata"] |= {"resourceVersion": "999", "managedFields": []}
        made["status"] = {"images": ["x"] * 50}
        assert item_of("Node", made) == before

    @pytest.mark.parametrize(
        ("given", "asn"), [("64512", 64512), ("1.10", 65546), ("4294967295", 2**32 - 1)]
    )
    def test_as_numbers_are_text_and_may_be_dotted(self, given, asn) -> None:
        other = a_node("n2", "10.0.0.2")
        other["spec"]["bgp"]["asNumber"] = given
        case = through_the_api(
            {
                "node": "n1",
                "compat": "3.34",
                "resources": [settings(), a_node("n1", "10.0.0.1"), other],
            },
            GROUP_V1,
        )
        (session,) = sessions(load_case(case)).values()
        assert session["remote_as"] == asn

    @pytest.mark.parametrize("given", ["abc", "-1", "4294967296", "1.70000", "64512 "])
    def test_an_as_number_that_is_none_is_a_warning_of_its_node(self, given) -> None:
        found, _ = self.node(IPv4Address="10.0.0.1/24", ASNumber=given)
        case = a_case(settings(), found)
        assert "spec.bgp.asNumber" in warned(case)["nodes/n1"]

    @pytest.mark.parametrize(
        ("cidrs", "tunnel"),
        [
            (["10.244.3.0/24"], "10.244.3.1"),
            (["10.244.3.0/24", "fd00:244::/64"], "10.244.3.1"),
            (["fd00:244::/64", "10.244.3.0/24"], ""),
            (["10.244.3.255/32"], "10.244.3.0"),
            (["x"], ""),
        ],
    )
    def test_with_pod_cidrs_the_tunnel_has_the_first_address(
        self, cidrs, tunnel
    ) -> None:
        given = a_node("n1", "10.0.0.1", ipv4IPIPTunnelAddr="10.9.9.9")
        made = kubernetes_node(given | {"status": {"podCIDRs": cidrs}})
        item = item_of("Node", made, uses_pod_cidrs=True)
        found = value_of(item)
        assert found["spec"]["bgp"].get("ipv4IPIPTunnelAddr", "") == tunnel
        assert found["status"] == {"podCIDRs": cidrs}
        assert bool(item.warnings) is (cidrs == ["x"])

    def test_a_node_without_pod_cidrs_yet_keeps_its_annotation(self) -> None:
        made = kubernetes_node(a_node("n1", "10.0.0.1", ipv4IPIPTunnelAddr="10.9.9.9"))
        item = item_of("Node", made, uses_pod_cidrs=True)
        assert value_of(item)["spec"]["bgp"]["ipv4IPIPTunnelAddr"] == "10.9.9.9"


class TestAffinities:
    @pytest.mark.parametrize("group", GROUPS)
    @pytest.mark.parametrize("state", ["confirmed", "pending", "pendingDeletion", ""])
    def test_key_and_state(self, group, state) -> None:
        made = block_affinity("n1", "10.244.0.0/26", state, group, type="host")
        item = item_of("BlockAffinity", made)
        assert item.key == "/calico/ipam/v2/host/n1/ipv4/block/10.244.0.0-26"
        assert value_of(item) == {"state": state, "deleted": False}

    @pytest.mark.parametrize("value", ["true", "1", "t", "T", "TRUE", "True", True])
    def test_one_that_is_being_deleted_does_not_count(self, value) -> None:
        made = block_affinity("n1", "fd00::/122", "confirmed", GROUP_V1, deleted=value)
        assert item_of("BlockAffinity", made) == (
            "/calico/ipam/v2/host/n1/ipv6/block/fd00::-122",
            None,
            (),
        )

    @pytest.mark.parametrize(
        "value", ["false", "0", "f", "F", "FALSE", "", False, None]
    )
    def test_one_that_is_not_counts(self, value) -> None:
        made = block_affinity("n1", "10.0.0.0/26", "confirmed", GROUP_V1, deleted=value)
        assert item_of("BlockAffinity", made).value is not None

    @pytest.mark.parametrize(
        ("kind", "counts"), [("host", True), ("", True), ("virtual", False)]
    )
    def test_blocks_of_load_balancers_do_not_belong_to_nodes(
        self, kind, counts
    ) -> None:
        made = block_affinity("n1", "10.0.0.0/26", "confirmed", GROUP_V3, type=kind)
        assert (item_of("BlockAffinity", made).value is not None) is counts

    @pytest.mark.parametrize(
        ("spec", "text"),
        [
            ({"deleted": "x"}, 'spec.deleted is \'x\'; "true" or "false" is expected'),
            ({"deleted": 1}, "spec.deleted is 1"),
            ({"cidr": "10.0.0.1/26"}, "spec.cidr is '10.0.0.1/26'; a prefix without"),
            ({"cidr": None}, "spec.cidr is None"),
            ({"cidr": 7}, "spec.cidr is 7"),
            ({"node": ""}, "spec.node is ''"),
            ({"node": ["n"]}, "spec.node is ['n']"),
            ({"node": "a/b"}, "spec.node 'a/b' is not the name of an object"),
        ],
    )
    def test_the_error_says_what_is_wrong(self, spec, text) -> None:
        made = block_affinity("n1", "10.0.0.0/26", "confirmed", GROUP_V1) | {}
        made["spec"] |= spec
        with pytest.raises(ConversionError) as raised:
            item_of("BlockAffinity", made)
        assert text in str(raised.value)


def test_metadata_of_the_client_is_of_no_account() -> None:
    pool = {"kind": "IPPool", "metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/8"}}
    by_group = {item_of("IPPool", custom_resource(pool, group)) for group in GROUPS}
    assert len(by_group) == 1
    made = custom_resource(pool, GROUP_V1)
    made["metadata"]["annotations"][f"{ANNOTATION}metadata"] = "{ no JSON"
    assert {item_of("IPPool", made)} == by_group


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("metadata", "spec", "name", "annotations", "cidr", "x")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(("Node", *RESOURCES)), st.dictionaries(st.text(), JSON) | JSON)
def test_any_object_is_converted_or_rejected_with_a_reason(kind, content) -> None:
    if not isinstance(content, dict):
        return
    try:
        key, value, _ = item_of(kind, content, uses_pod_cidrs=True)
    except ConversionError as error:
        assert str(error)  # noqa: PT017  # both ways out are right
    else:
        assert key.startswith("/calico/")
        assert value is None or json.loads(value)
