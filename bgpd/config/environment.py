"""Settings from environment variables and command-line options. Pure.

Priority rises from the file over Calico's variables and ``PYBGPD_*`` to options, as
``overlay`` is called. ``PYBGPD_<SECTION>_<KEY>`` exists for every key that stands once,
such as ``PYBGPD_BGP_LISTEN_PORT``; a list is written with commas. ``PYBGPD_CONTROL`` is short for
``PYBGPD_CONTROL_PATH``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bgpd.config.document import Document, format_path, parse_scalar
from bgpd.config.errors import ConfigProblem, Origin
from bgpd.config.schema import Leaf, leaves, takes_text
from bgpd.config.validation import nearest

PREFIX: Final = "PYBGPD_"
_SHORT: Final = MappingProxyType({"PYBGPD_CONTROL": "PYBGPD_CONTROL_PATH"})
# Not meant for the daemon: variables of the build and of pybgpctl, and those that Kubernetes sets in each
# container for a Service whose name begins with "pybgpd".
_FOREIGN: Final = re.compile(
    r"PYBGPD_COMPILE|PYBGPD_(URL|TOKEN_FILE|CA_FILE)"
    r"|PYBGPD(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?"
    r"|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

_LOG_LEVELS: Final = MappingProxyType(
    {
        "trace": "debug",
        "debug": "debug",
        "info": "info",
        "warning": "warning",
        "error": "error",
        "fatal": "error",
        "panic": "error",
    }
)
_DATASTORE_TYPES: Final = MappingProxyType(
    {
        "etcdv3": "etcd",
        "kubernetes": "kubernetes",
        "etcd": "etcd",
        "folder": "folder",
        "none": "none",
    }
)
_API_GROUPS: Final = MappingProxyType(
    {
        "crd.projectcalico.org/v1": "v1",
        "projectcalico.org/v3": "v3",
        "v1": "v1",
        "v3": "v3",
        "auto": "auto",
    }
)
# As Go's library reads a switch.
_SWITCHES: Final = MappingProxyType(
    {
        **dict.fromkeys(("1", "t", "true", "on", "yes"), True),
        **dict.fromkeys(("0", "f", "false", "off", "no"), False),
    }
)


def _plain(text: str) -> object:
    return text


def _comma_list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _log_level(text: str) -> object:
    return _LOG_LEVELS.get(text.lower(), text)


def _one_of(known: Mapping[str, object], text: str, *, expected: str) -> object:
    """Return what a word means.

    Raises:
        ValueError: It is none of them.
    """
    value = known.get(text.strip().lower())
    if value is None:
        raise ValueError(f"expected {expected}, found {text[:60]!r}")
    return value


def _switch(text: str) -> object:
    return _one_of(_SWITCHES, text, expected="true or false")


def _api_group(text: str) -> object:
    # Calico takes v1 for anything it does not know; after a typing error it reads nothing.
    expected = "crd.projectcalico.org/v1 or projectcalico.org/v3"
    return _one_of(_API_GROUPS, text, expected=expected)


def _datastore_type(text: str) -> object:
    return _one_of(_DATASTORE_TYPES, text, expected="kubernetes, etcdv3 or none")


@dataclass(frozen=True, slots=True)
class CalicoVariable:
    """A variable of Calico's manifests, and the key it sets.

    Attributes:
        names: The first that is set and not empty counts.
        path: The key.
        convert: Its text to the key's value; raises ``ValueError`` with what was expected.
    """

    names: tuple[str, ...]
    path: tuple[str, ...]
    convert: Callable[[str], object] = _plain


def _client(name: str) -> tuple[str, ...]:
    """Return the names of a variable of Calico's clients: that with their prefix counts."""
    return f"CALICO_{name}", name


CALICO_VARIABLES: Final = (
    CalicoVariable(("NODENAME",), ("node", "name")),
    CalicoVariable(("CALICO_ROUTER_ID",), ("bgp", "router_id")),
    CalicoVariable(("BGP_LOGSEVERITYSCREEN",), ("log", "level"), _log_level),
    CalicoVariable(_client("ETCD_ENDPOINTS"), ("datastore", "endpoints"), _comma_list),
    CalicoVariable(_client("ETCD_CA_CERT_FILE"), ("datastore", "ca_file")),
    CalicoVariable(_client("ETCD_CERT_FILE"), ("datastore", "cert_file")),
    CalicoVariable(_client("ETCD_KEY_FILE"), ("datastore", "key_file")),
    CalicoVariable(_client("ETCD_USERNAME"), ("datastore", "username")),
    CalicoVariable(_client("ETCD_PASSWORD"), ("datastore", "password")),
    CalicoVariable(_client("KUBECONFIG"), ("kubernetes", "kubeconfig")),
    CalicoVariable(_client("K8S_CURRENT_CONTEXT"), ("kubernetes", "context")),
    CalicoVariable(_client("K8S_API_ENDPOINT"), ("kubernetes", "server")),
    CalicoVariable(_client("K8S_CA_FILE"), ("kubernetes", "ca_file")),
    CalicoVariable(_client("K8S_CERT_FILE"), ("kubernetes", "cert_file")),
    CalicoVariable(_client("K8S_KEY_FILE"), ("kubernetes", "key_file")),
    CalicoVariable(
        _client("K8S_INSECURE_SKIP_TLS_VERIFY"),
        ("kubernetes", "insecure_skip_tls_verify"),
        _switch,
    ),
    CalicoVariable(("NAMESPACE",), ("kubernetes", "namespace")),
    CalicoVariable(("CALICO_K8S_NODE_REF",), ("kubernetes", "node_name")),
    CalicoVariable(
        ("CALICO_ENDPOINT_STATUS_PATH_PREFIX",), ("kubernetes", "endpoint_status")
    ),
    CalicoVariable(
        ("CALICO_ADVERTISE_CLUSTER_IPS",), ("calico", "cluster_ips"), _comma_list
    ),
    CalicoVariable(_client("USE_POD_CIDR"), ("calico", "pod_cidrs"), _switch),
    CalicoVariable(("CALICO_API_GROUP",), ("datastore", "api_group"), _api_group),
    CalicoVariable(_client("DATASTORE_TYPE"), ("datastore", "type"), _datastore_type),
)

OPTIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "node-name": ("node", "name"),
        "as": ("bgp", "as"),
        "router-id": ("bgp", "router_id"),
        "cluster-id": ("bgp", "cluster_id"),
        "listen": ("bgp", "listen", "addresses"),
        "port": ("bgp", "listen", "port"),
        "fib": ("fib", "mode"),
        "control": ("control", "path"),
        "log-level": ("log", "level"),
        "log-format": ("log", "format"),
        "metrics": ("metrics", "listen"),
    }
)
"""Command-line options and the keys they set; ``clients`` is made a range by ``overlay``."""


def variable_name(leaf: Leaf) -> str:
    """Return the environment variable of a key."""
    return PREFIX + "_".join(leaf.path).upper()


def overlay_environment(document: Document, environment: Mapping[str, str]) -> None:
    """Override the file with variables, ``PYBGPD_*`` over Calico's."""
    for variable in CALICO_VARIABLES:
        for name in variable.names:
            if text := environment.get(name):
                _put(document, variable, name, text)
                break
    known = {variable_name(leaf): leaf for leaf in leaves()}
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        if _SHORT.get(name, "") in environment:
            continue  # the long name counts
        origin = Origin(f"environment variable {name}")
        leaf = known.get(_SHORT.get(name, name))
        if leaf is None and _FOREIGN.fullmatch(name):
            continue
        if leaf is None:
            # Without what all have in common, which makes any two of them similar.
            names = {each.removeprefix(PREFIX): each for each in known}
            near = nearest(name.removeprefix(PREFIX), names)
            hint = f"; did you mean {names[near]}?" if near else ""
            document.problems.append(
                ConfigProblem(origin, "", f"unknown variable{hint}")
            )
            continue
        items = [_typed(leaf, item) for item in _comma_list(text)]
        value = items if leaf.is_list else _typed(leaf, text)
        document.put(leaf.path, value, origin)
    is_calico = not environment.keys().isdisjoint(_client("DATASTORE_TYPE"))
    _infer_datastore(document, is_calico=is_calico)
    _check_discovery(document, environment)


def _check_discovery(document: Document, environment: Mapping[str, str]) -> None:
    """Refuse an etcd that is to be found by SRV records, unless it is named otherwise."""
    section = document.data.get("datastore", {})
    has_endpoints = isinstance(section, dict) and bool(section.get("endpoints"))
    for name in _client("ETCD_DISCOVERY_SRV"):
        if environment.get(name) and not has_endpoints:
            text = "SRV records are not supported; expected ETCD_ENDPOINTS"
            origin = Origin(f"environment variable {name}")
            document.problems.append(ConfigProblem(origin, "datastore.endpoints", text))


def _put(document: Document, variable: CalicoVariable, name: str, text: str) -> None:
    origin = Origin(f"environment variable {name}")
    try:
        document.put(variable.path, variable.convert(text), origin)
    except ValueError as error:
        key = format_path(variable.path)
        document.problems.append(ConfigProblem(origin, key, str(error)))


def overlay_options(document: Document, options: Mapping[str, object]) -> None:
    """Override everything with command-line options.

    Args:
        document: What file and environment say.
        options: Values by the names in ``OPTIONS``, and ``clients``: prefixes whose
            hosts are route-reflector clients. ``None`` and empty values are not set.
    """
    known = {leaf.path: leaf for leaf in leaves()}
    for name, value in options.items():
        if value is None or value == ():
            continue
        origin = Origin(f"option --{name}")
        if name == "clients":
            _add_clients(document, value, origin)
            continue
        path = OPTIONS[name]
        if isinstance(value, str):
            value = _typed(known[path], value)  # noqa: PLW2901 - the same, typed
        is_list = path == ("bgp", "listen", "addresses")
        document.put(path, _as_list(value) if is_list else value, origin)


def _typed(leaf: Leaf, text: str) -> object:
    """Read a number or boolean as the file would; text keys keep their text."""
    value = parse_scalar(text)
    # No key takes a fraction: 1.10 is an AS number (RFC 5396).
    is_text = isinstance(value, float) or takes_text(leaf.field.annotation)
    return text if is_text else value


def _infer_datastore(document: Document, *, is_calico: bool) -> None:
    """Choose the type that the given values are for, if none is given.

    Args:
        document: What file and environment say.
        is_calico: ``DATASTORE_TYPE`` is there, and empty: then it is Kubernetes where no
            etcd is given, as in Calico.
    """
    section = document.data.get("datastore", {})
    if not isinstance(section, dict) or "type" in section:
        return
    for key, kind in (("endpoints", "etcd"), ("path", "folder")):
        if section.get(key):
            origin = document.origin_of(("datastore", key))
            document.put(("datastore", "type"), kind, origin)
            return
    if is_calico:
        origin = Origin("environment variable DATASTORE_TYPE")
        document.put(("datastore", "type"), "kubernetes", origin)


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _add_clients(document: Document, value: object, origin: Origin) -> None:
    ranges = document.data.setdefault("ranges", [])
    if not isinstance(ranges, list):
        text = "ranges must be a list"
        document.problems.append(ConfigProblem(origin, format_path(("ranges",)), text))
        return
    bgp = document.data.get("bgp")
    own_as = bgp.get("as") if isinstance(bgp, dict) else None
    for prefix in _as_list(value):
        document.others[("ranges", len(ranges))] = origin
        ranges.append(
            {
                "prefix": prefix,
                "as": own_as,
                "client": True,
                "families": ["ipv4-unicast", "ipv6-unicast"],
            }
        )
