import os
from typing import Any

import pytest

from bgpd.config.document import Document, parse_document
from bgpd.config.environment import (
    CALICO_VARIABLES,
    OPTIONS,
    overlay_environment,
    overlay_options,
    variable_name,
)
from bgpd.config.errors import ConfigError
from bgpd.config.loader import load
from bgpd.config.schema import leaves


def overlaid(text: str = "", **environment: str) -> Document:
    document = parse_document(text, "f")
    overlay_environment(document, environment)
    return document


def test_calicos_variables_are_understood() -> None:
    document = overlaid(
        NODENAME="n1",
        CALICO_ROUTER_ID="hash",
        ETCD_ENDPOINTS="https://a:2379, https://b:2379",
        ETCD_CA_CERT_FILE="/ca",
        ETCD_CERT_FILE="/cert",
        ETCD_KEY_FILE="/key",
        ETCD_USERNAME="u",
        ETCD_PASSWORD="0123",
        BGP_LOGSEVERITYSCREEN="Fatal",
    )
    assert document.data == {
        "node": {"name": "n1"},
        "bgp": {"router_id": "hash"},
        "log": {"level": "error"},
        "datastore": {
            "endpoints": ["https://a:2379", "https://b:2379"],
            "ca_file": "/ca",
            "cert_file": "/cert",
            "key_file": "/key",
            "username": "u",
            "password": "0123",
            "type": "etcd",
        },
    }


def test_the_name_with_calico_before_it_counts_where_the_plain_one_is_empty() -> None:
    document = overlaid(ETCD_USERNAME="", CALICO_ETCD_USERNAME="c")
    assert document.data["datastore"] == {"username": "c"}


@pytest.mark.parametrize(
    ("type_", "expected"),
    [("etcdv3", "etcd"), ("none", "none"), ("kubernetes", "kubernetes")],
)
def test_datastore_type_is_translated(type_: str, expected: str) -> None:
    assert overlaid(DATASTORE_TYPE=type_).data["datastore"] == {"type": expected}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"DATASTORE_TYPE": ""}, {"type": "kubernetes"}),
        (
            {"DATASTORE_TYPE": "", "ETCD_ENDPOINTS": "http://a:1"},
            {"type": "etcd", "endpoints": ["http://a:1"]},
        ),
        ({"DATASTORE_TYPE": "Kubernetes"}, {"type": "kubernetes"}),
    ],
)
def test_without_etcd_calicos_datastore_is_kubernetes(variables, expected) -> None:
    assert overlaid(**variables).data["datastore"] == expected


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("projectcalico.org/v3", "v3"),
        ("ProjectCalico.org/V3", "v3"),
        ("crd.projectcalico.org/v1", "v1"),
    ],
)
def test_the_api_group_is_named_as_calico_names_it(text, group) -> None:
    assert overlaid(CALICO_API_GROUP=text).data["datastore"] == {"api_group": group}


def test_credentials_of_the_api_are_taken_from_calicos_variables() -> None:
    document = overlaid(
        KUBECONFIG="/a:/b",
        K8S_CURRENT_CONTEXT="c",
        K8S_API_ENDPOINT="https://10.0.0.1:6443",
        K8S_CA_FILE="/ca",
        K8S_CERT_FILE="/cert",
        K8S_KEY_FILE="/key",
        K8S_INSECURE_SKIP_TLS_VERIFY="true",
    )
    assert document.data["kubernetes"] == {
        "kubeconfig": "/a:/b",
        "context": "c",
        "server": "https://10.0.0.1:6443",
        "ca_file": "/ca",
        "cert_file": "/cert",
        "key_file": "/key",
        "insecure_skip_tls_verify": True,
    }


def test_the_name_with_calicos_prefix_counts_as_in_calico() -> None:
    document = overlaid(
        KUBECONFIG="/plain",
        CALICO_KUBECONFIG="/prefixed",
        CALICO_DATASTORE_TYPE="kubernetes",
        DATASTORE_TYPE="etcdv3",
    )
    assert document.data["kubernetes"] == {"kubeconfig": "/prefixed"}
    assert document.data["datastore"] == {"type": "kubernetes"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("T", True), ("TRUE", True), ("0", False), ("f", False)],
)
def test_a_switch_is_read_as_go_reads_it(text, value) -> None:
    assert overlaid(USE_POD_CIDR=text).data["calico"] == {"pod_cidrs": value}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "DATASTORE_TYPE",
            "etcdv2",
            "datastore.type: expected kubernetes, etcdv3 or none, found 'etcdv2'",
        ),
        (
            "CALICO_API_GROUP",
            "projectcalico.org/v4",
            (
                "datastore.api_group: expected crd.projectcalico.org/v1 or "
                "projectcalico.org/v3, found 'projectcalico.org/v4'"
            ),
        ),
        (
            "K8S_INSECURE_SKIP_TLS_VERIFY",
            "maybe",
            "kubernetes.insecure_skip_tls_verify: expected true or false, found 'maybe'",
        ),
        ("USE_POD_CIDR", "2", "calico.pod_cidrs: expected true or false, found '2'"),
        (
            "K8S_API_ENDPOINT",
            "10.0.0.1:6443",
            "kubernetes.server: expected https://HOST:PORT, found '10.0.0.1:6443'",
        ),
        (
            "K8S_API_ENDPOINT",
            "https://10.0.0.1:99999",
            "kubernetes.server: expected https://HOST:PORT, found 'https://10.0.0.1:99999'",
        ),
        (
            "NAMESPACE",
            "calico-system/secrets",
            (
                "kubernetes.namespace: expected a namespace such as kube-system or "
                "calico-system, found 'calico-system/secrets'"
            ),
        ),
    ],
)
def test_a_bad_value_is_named_with_what_is_expected(name, text, said) -> None:
    given = {"DATASTORE_TYPE": "kubernetes", "NODENAME": "n1", name: text}
    with pytest.raises(ConfigError) as caught:
        load(None, environment=given)
    assert str(caught.value) == f"environment variable {name}: {said}"


def test_an_etcd_behind_srv_records_is_refused_unless_it_is_named() -> None:
    (problem,) = overlaid(ETCD_DISCOVERY_SRV="example.org").problems
    assert str(problem) == (
        "environment variable ETCD_DISCOVERY_SRV: datastore.endpoints: "
        "SRV records are not supported; expected ETCD_ENDPOINTS"
    )
    named = overlaid(ETCD_DISCOVERY_SRV="example.org", ETCD_ENDPOINTS="http://a:1")
    assert not named.problems


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("K8S_CERT_FILE", "kubernetes.key_file: set both cert_file and key_file"),
        ("K8S_KEY_FILE", "kubernetes.cert_file: set both cert_file and key_file"),
    ],
)
def test_a_certificate_without_its_key_is_an_error(name: str, said: str) -> None:
    given = {"DATASTORE_TYPE": "kubernetes", "NODENAME": "n1", name: "/pem"}
    with pytest.raises(ConfigError, match=said):
        load(None, environment=given)


def test_a_path_alone_means_a_folder() -> None:
    document = overlaid(PYBGPD_DATASTORE_PATH="/manifests")
    assert document.data["datastore"] == {"path": "/manifests", "type": "folder"}


def test_a_configured_type_is_kept() -> None:
    document = overlaid("datastore: {type: none}", ETCD_ENDPOINTS="http://a:1")
    assert document.data["datastore"] == {"type": "none", "endpoints": ["http://a:1"]}


def test_our_variables_are_read_by_the_type_of_their_key() -> None:
    document = overlaid(
        PYBGPD_BGP_LISTEN_PORT="1179",
        PYBGPD_BGP_LISTEN_ADDRESSES="127.0.0.1, ::1",
        PYBGPD_ROUTES_LEARN_PROTOCOLS="3,4",
        PYBGPD_NODE_NAME="42",
        PYBGPD_BGP_AS="1.10",
        PYBGPD_ROUTES_CLUSTER="on",
    )
    assert document.data == {
        "bgp": {
            "listen": {"port": 1179, "addresses": ["127.0.0.1", "::1"]},
            "as": "1.10",
        },
        "routes": {"learn": {"protocols": [3, 4]}, "cluster": "on"},
        "node": {"name": "42"},
    }


def test_priority_rises_from_file_over_calico_over_ours_to_options() -> None:
    text = "node: {name: file}\nbgp: {as: 1, router_id: 1.1.1.1}\n"
    document = parse_document(text, "f")
    overlay_environment(
        document,
        {"NODENAME": "calico", "PYBGPD_NODE_NAME": "ours", "PYBGPD_BGP_AS": "2"},
    )
    overlay_options(document, {"as": 3})
    assert document.data == {
        "node": {"name": "ours"},
        "bgp": {"as": 3, "router_id": "1.1.1.1"},
    }
    assert str(document.origin_of(("bgp", "as"))) == "option --as"


def test_an_unknown_pybgpd_variable_is_a_problem() -> None:
    (problem,) = overlaid(PYBGPD_FIB_TABEL="1", HOME="/", PYTHONPATH="x").problems
    assert str(problem) == (
        "environment variable PYBGPD_FIB_TABEL: unknown variable; "
        "did you mean PYBGPD_FIB_TABLE?"
    )


def test_the_variable_of_the_clients_means_the_same_here() -> None:
    document = overlaid(PYBGPD_CONTROL="/run/a.sock")
    assert document.data["control"] == {"path": "/run/a.sock"}
    both = overlaid(PYBGPD_CONTROL="/run/a.sock", PYBGPD_CONTROL_PATH="/run/b.sock")
    assert both.data["control"] == {"path": "/run/b.sock"}
    assert not document.problems + both.problems


@pytest.mark.parametrize(
    "name",
    [
        "PYBGPD_COMPILE",
        "PYBGPD_SERVICE_HOST",
        "PYBGPD_SERVICE_PORT",
        "PYBGPD_SERVICE_PORT_BGP",
        "PYBGPD_PORT",
        "PYBGPD_PORT_179_TCP",
        "PYBGPD_PORT_179_TCP_PROTO",
        "PYBGPD_PORT_179_TCP_PORT",
        "PYBGPD_PORT_179_TCP_ADDR",
        "PYBGPD_REFLECTOR_SERVICE_HOST",
        "PYBGPD_REFLECTOR_SERVICE_PORT_METRICS",
        "PYBGPD_REFLECTOR_PORT",
        "PYBGPD_REFLECTOR_PORT_9179_TCP_ADDR",
    ],
)
def test_variables_that_others_set_are_left_alone(name: str) -> None:
    # Kubernetes sets these for a Service named pybgpd, or pybgpd-reflector.
    document = overlaid(**{name: "tcp://10.96.0.10:179"})
    assert not document.problems
    assert not document.data


def test_a_key_that_looks_like_such_a_variable_is_a_key() -> None:
    document = overlaid(PYBGPD_BGP_LISTEN_PORT="1790")
    assert document.data == {"bgp": {"listen": {"port": 1790}}}


def test_clients_become_ranges_of_reflector_clients() -> None:
    document = parse_document("ranges: [{prefix: 10.0.0.0/8}]", "f")
    overlay_options(document, {"as": 64512, "clients": ("::/0", "127.0.0.0/8")})
    ranges: Any = document.data["ranges"]
    _, first, second = ranges
    assert first == {
        "prefix": "::/0",
        "as": 64512,
        "client": True,
        "families": ["ipv4-unicast", "ipv6-unicast"],
    }
    assert second["prefix"] == "127.0.0.0/8"
    assert str(document.origin_of(("ranges", 2))) == "option --clients"


def test_options_may_be_text_as_the_command_line_gives_it() -> None:
    document = parse_document("", "f")
    overlay_options(document, {"as": "1.10", "port": "179", "listen": "::1"})
    assert document.data == {
        "bgp": {"as": "1.10", "listen": {"port": 179, "addresses": ["::1"]}}
    }


def test_options_that_are_not_given_set_nothing() -> None:
    document = parse_document("", "f")
    overlay_options(document, dict.fromkeys(OPTIONS) | {"clients": ()})
    assert document.data == {}


def test_clients_beside_ranges_that_are_not_a_list_are_a_problem() -> None:
    document = parse_document("ranges: 5", "f")
    overlay_options(document, {"clients": "10.0.0.0/8"})
    assert [str(each) for each in document.problems] == [
        "option --clients: ranges: ranges must be a list"
    ]


def test_variables_and_options_name_keys_that_exist() -> None:
    known = {leaf.path for leaf in leaves()}
    assert {each.path for each in CALICO_VARIABLES} <= known
    assert set(OPTIONS.values()) <= known
    names = [variable_name(leaf) for leaf in leaves()]
    assert len(names) == len(set(names))


def test_an_unknown_variable_of_the_real_environment_is_a_problem_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYBGPD_NO_SUCH_KEY", "1")
    document = parse_document("", "f")
    overlay_environment(document, os.environ)
    assert any("PYBGPD_NO_SUCH_KEY" in str(each) for each in document.problems)
