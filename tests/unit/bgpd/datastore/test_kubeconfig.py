"""Kubeconfigs of all kinds: what they mean, and the errors of those that mean nothing."""

import base64
import copy
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.config.settings import KubernetesSettings
from bgpd.datastore.kubernetes.kubeconfig import (
    Named,
    Plugin,
    Server,
    User,
    check_token,
    choose,
)

FILE = Path("/etc/kubernetes/node.conf")
NOTHING = KubernetesSettings()
PEM = base64.b64encode(b"-----BEGIN").decode()


def a_kubeconfig(cluster: Any = None, **user: Any) -> dict[str, Any]:
    return {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://api:6443"} | (cluster or {})}
        ],
        "users": [{"name": "u", "user": user}],
    }


def chosen(
    content: dict[str, Any], over: KubernetesSettings = NOTHING
) -> tuple[Server, User]:
    return choose([Named(FILE, content)], over)


def test_paths_are_relative_to_the_folder_of_the_file() -> None:
    content = a_kubeconfig(
        {"certificate-authority": "pki/ca.crt"},
        **{
            "client-certificate": "../pki/a.crt",
            "client-key": "/abs/a.key",
            "tokenFile": "t",
        },
    )
    server, user = chosen(content)
    assert server.ca_file == "/etc/kubernetes/pki/ca.crt"
    assert user.cert_file == "/etc/kubernetes/../pki/a.crt"
    assert user.key_file == "/abs/a.key"
    assert user.token_file == "/etc/kubernetes/t"


def test_data_count_over_files() -> None:
    content = a_kubeconfig(
        {"certificate-authority": "ca", "certificate-authority-data": PEM},
        **{
            "client-certificate": "c",
            "client-certificate-data": PEM,
            "client-key": "k",
            "client-key-data": f"{PEM[:4]}\n{PEM[4:]}\n",
        },
    )
    server, user = chosen(content)
    assert (server.ca_file, server.ca_data) == ("", b"-----BEGIN")
    assert (user.cert_file, user.cert_data) == ("", b"-----BEGIN")
    assert (user.key_file, user.key_data) == ("", b"-----BEGIN")


def test_of_several_files_the_earlier_counts_name_by_name() -> None:
    first = {"users": [{"name": "u", "user": {"token": "first"}}]}
    second = a_kubeconfig(token="second")
    third = a_kubeconfig({"server": "https://third"}) | {"current-context": "other"}
    files = [
        Named(Path("/a/1"), first),
        Named(Path("/b/2"), second),
        Named(Path("/c/3"), third),
    ]
    server, user = choose(files, NOTHING)
    assert (server.url, user.token) == ("https://api:6443", "first")


def test_a_context_is_chosen_by_name() -> None:
    content = a_kubeconfig(token="t")
    content["contexts"].append({"name": "y", "context": {"cluster": "d"}})
    content["clusters"].append({"name": "d", "cluster": {"server": "http://d:8080"}})
    server, user = chosen(content, KubernetesSettings(context="y"))
    assert (server.url, user) == ("http://d:8080", User())


def test_all_that_a_cluster_and_a_user_may_say_is_read() -> None:
    content = a_kubeconfig(
        {"proxy-url": "http://proxy:3128"},
        **{
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "./helper",
                "args": ["get-token"],
                "env": [{"name": "A", "value": "b"}],
                "installHint": "get it",
            },
            "as": "reader",
            "as-groups": ["g1", "g2"],
        },
    )
    server, user = chosen(content)
    assert server.proxy == "http://proxy:3128"
    assert chosen(a_kubeconfig({"tls-server-name": "k"}))[0].tls_name == "k"
    assert user.plugin == Plugin(
        "client.authentication.k8s.io/v1",
        ("/etc/kubernetes/helper", "get-token"),
        (("A", "b"),),
        "get it",
    )
    assert user.headers == (
        ("Impersonate-User", "reader"),
        ("Impersonate-Group", "g1"),
        ("Impersonate-Group", "g2"),
    )


def test_what_is_given_beside_the_file_counts() -> None:
    content = a_kubeconfig(
        {"certificate-authority-data": PEM},
        **{"client-certificate-data": PEM, "client-key-data": PEM},
    )
    server, user = chosen(
        content,
        KubernetesSettings(server="https://b:1", cert_file="/c", key_file="/k"),
    )
    assert (server.url, server.ca_data) == ("https://b:1", b"-----BEGIN")
    assert (user.cert_file, user.cert_data, user.key_file) == ("/c", b"", "/k")
    server, _ = chosen(content, KubernetesSettings(is_insecure=True))
    assert (server.is_insecure, server.ca_data) == (True, b"")
    server, _ = chosen(content, KubernetesSettings(ca_file="/ca"))
    assert (server.ca_file, server.ca_data) == ("/ca", b"")


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "h"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "current-context: is missing; expected the name of a context"),
        ({"current-context": 5}, "current-context: expected a context's name, found 5"),
        (
            a_kubeconfig() | {"current-context": "z"},
            "contexts: 'z' is not there; found x",
        ),
        (a_kubeconfig() | {"clusters": []}, "clusters: 'c' is not there; found none"),
        (a_kubeconfig() | {"users": None}, "users: 'u' is not there; found none"),
        (a_kubeconfig() | {"users": 3}, "users: expected a list, found 3"),
        (
            a_kubeconfig() | {"contexts": [{"name": "x"}]},
            "contexts[x].context: expected a mapping, found None",
        ),
        (
            a_kubeconfig() | {"contexts": [{"name": "x", "context": {}}]},
            "contexts[x].context: cluster: expected the name of a cluster, found none",
        ),
        (
            a_kubeconfig({"server": "api:6443"}),
            "clusters[c].cluster: server: expected https://HOST:PORT, found 'api:6443'",
        ),
        (
            a_kubeconfig({"server": 443}),
            "clusters[c].cluster: server: expected text, found 443",
        ),
        (
            a_kubeconfig({"insecure-skip-tls-verify": "yes"}),
            "insecure-skip-tls-verify: expected true or false, found 'yes'",
        ),
        (
            a_kubeconfig(
                {"insecure-skip-tls-verify": True, "certificate-authority": "ca"}
            ),
            "insecure-skip-tls-verify: cannot be combined with a certificate authority",
        ),
        (
            a_kubeconfig({"certificate-authority-data": "not base64!"}),
            "certificate-authority-data: expected base64 of a PEM text",
        ),
        (
            a_kubeconfig({"proxy-url": "socks5://p:1080"}),
            "proxy-url: expected http://HOST:PORT or https://HOST:PORT, found 'socks5:",
        ),
        (
            a_kubeconfig({"proxy-url": "http://p:1", "tls-server-name": "k"}),
            "tls-server-name: cannot be combined with proxy-url",
        ),
        (
            a_kubeconfig(**{"client-certificate": "c"}),
            "users[u].user: client-key: expected a certificate and its key, or neither",
        ),
        (
            a_kubeconfig(username="a"),
            "password: expected both username and password, or neither",
        ),
        (a_kubeconfig(token=12345), "users[u].user: token: expected text, found 12345"),
        (
            a_kubeconfig(token="two words"),
            "users[u].user: token: expected a token, one word of ASCII; found several",
        ),
        (
            a_kubeconfig(**{"auth-provider": {"name": "gcp"}}),
            "auth-provider: is not supported; expected a token, a certificate or exec",
        ),
        (
            a_kubeconfig(exec=EXEC | {"apiVersion": "v0"}),
            "users[u].user.exec: apiVersion: expected client.authentication.k8s.io/v1 or",
        ),
        (a_kubeconfig(exec=EXEC | {"command": ""}), "command: expected a program"),
        (
            a_kubeconfig(exec=EXEC | {"interactiveMode": "Always"}),
            "interactiveMode: found Always, and a daemon has no terminal",
        ),
        (a_kubeconfig(exec=EXEC | {"args": [1]}), "args: expected a list of texts"),
        (a_kubeconfig(exec=EXEC | {"env": [{}]}), "env: expected a name and a value"),
        (a_kubeconfig(**{"as-groups": ["g"]}), "as: expected a user beside as-uid"),
        (a_kubeconfig(**{"as": "a\r\nb"}), "as: expected printable ASCII"),
        (
            a_kubeconfig(**{"as": "a", "as-user-extra": {"x": ["y"]}}),
            "as-user-extra: is not supported",
        ),
    ],
)
def test_an_error_says_where_what_was_found_and_what_is_expected(content, said) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        chosen(content)
    assert str(caught.value).startswith(str(FILE))


def test_a_token_is_never_in_a_text() -> None:
    for text in ("", "s3cret two", "s3cret\x00"):
        with pytest.raises(ValueError, match="expected a token") as caught:
            check_token(text, "here")
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(User(token="s3cret", key_data=b"s3cret"))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
WHOLE = a_kubeconfig(
    {"tls-server-name": "k"},
    token="t",
    exec=EXEC,
    **{"as": "a", "as-groups": ["g"], "client-key-data": PEM},
)
PLACES = [
    *((key,) for key in WHOLE),
    *(("contexts", 0, "context", key) for key in ("cluster", "user")),
    *(("clusters", 0, "cluster", key) for key in WHOLE["clusters"][0]["cluster"]),
    *(("users", 0, "user", key) for key in WHOLE["users"][0]["user"]),
    *(("users", 0, "user", "exec", key) for key in EXEC),
]


@given(st.sampled_from(PLACES), ANYTHING)
def test_whatever_stands_in_a_kubeconfig_is_read_or_is_an_error(place, value) -> None:
    content = copy.deepcopy(WHOLE)
    *path, last = place
    at: Any = content
    for part in path:
        at = at[part]
    at[last] = value
    with suppress(ValueError):
        server, user = chosen(content)
        assert isinstance(server, Server)
        assert isinstance(user, User)
