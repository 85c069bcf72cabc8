"""What kubeconfig files say together: one server, and who asks it. Pure.

Whatever kubectl and Calico follow is followed or refused, so that no setting is silently
ignored: an unused proxy, or a user who is not impersonated, would be noticed much later.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from bgpd.config.server_urls import server_url_problem
from bgpd.config.settings import KubernetesSettings

# Theory
# ------
# `KUBECONFIG` may name several files. They are merged: of two entries with the same name, and of
# two current contexts, the one in the earlier file counts. A relative path in a file is relative
# to that file's folder. A context names a cluster and a user.
#
# Where a value is given in the file (`...-data`) and as a path, the former counts. What Calico's
# variables say (K8S_API_ENDPOINT and so on) counts over all files; to skip the server's check
# there drops a CA of the file, which would be a contradiction within one file.

_T = TypeVar("_T", str, bool, list[Any], dict[str, Any])
_MAX_NAMES: Final = 10  # of a message
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class Named(NamedTuple):
    """A file's content, and the file."""

    file: Path
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """Where the API is.

    Attributes:
        url: ``https://HOST:PORT``, maybe with a path.
        ca_file: PEM file of certificates to trust; empty for none.
        ca_data: The same as PEM text.
        is_insecure: Its certificate is not checked.
        tls_name: The name that its certificate must have; empty is the host in the URL.
        proxy: URL of an HTTP proxy; empty for none.
    """

    url: str
    ca_file: str = ""
    ca_data: bytes = b""
    is_insecure: bool = False
    tls_name: str = ""
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A program that prints a token.

    Attributes:
        version: Of the interface that it speaks.
        command: The program and its arguments.
        environment: To set beside ours.
        hint: What its kubeconfig says for those who have not installed it.
    """

    version: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks.

    Attributes:
        token: Empty for none.
        token_file: File with a token that changes; counts over ``token``.
        username: Of HTTP's basic authentication.
        password: Of ``username``.
        cert_file: PEM file; empty for none.
        cert_data: The same as PEM text; counts over the file.
        key_file: PEM file of the certificate's key.
        key_data: Likewise.
        plugin: Makes tokens, where none is given.
        headers: To send with each request.
    """

    token: str = field(default="", repr=False)
    token_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    cert_file: str = ""
    cert_data: bytes = field(default=b"", repr=False)
    key_file: str = ""
    key_data: bytes = field(default=b"", repr=False)
    plugin: Plugin | None = None
    headers: tuple[tuple[str, str], ...] = ()


class _Entry:
    """One entry of a list of a kubeconfig; every error names the place in it."""

    def __init__(self, file: Path, place: str, content: Mapping[str, Any]) -> None:
        self._file = file
        self.place = place
        self._content = content

    def error(self, key: str, text: str) -> ValueError:
        return ValueError(f"{self._file}: {self.place}: {key}: {text}")

    def get(self, key: str, kind: type[_T], expected: str) -> _T:
        value = self._content.get(key)
        if value is None:
            return kind()
        if not isinstance(value, kind):
            raise self.error(key, f"expected {expected}, found {_shown(value)}")
        return value

    def text(self, key: str) -> str:
        return self.get(key, str, "text")

    def path(self, key: str) -> str:
        text = self.text(key)
        return str(self._file.parent / text) if text else ""

    def octets(self, key: str) -> bytes:
        text = "".join(self.text(key).split())
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise self.error(key, "expected base64 of a PEM text") from None

    def program(self, key: str) -> str:
        """Return a program: a path with a folder is relative to the file, as for kubectl."""
        text = self.text(key)
        return self.path(key) if "/" in text else text

    def inner(self, key: str) -> "_Entry | None":
        content = self.get(key, dict, "a mapping")
        return _Entry(self._file, f"{self.place}.{key}", content) if content else None


def choose(files: Sequence[Named], over: KubernetesSettings) -> tuple[Server, User]:
    """Return the server and the user of the context that counts.

    Args:
        files: By rank; at least one.
        over: What was given beside them.

    Raises:
        ValueError: Something is missing, malformed or not supported; the text says what
            was found, where, and what is expected.
    """
    name = over.context or _current_context(files)
    context = _find(files, "contexts", "context", name)
    cluster_name = context.text("cluster")
    if not cluster_name and not over.server:
        raise context.error("cluster", "expected the name of a cluster, found none")
    server = Server("")
    if cluster_name:
        cluster = _find(files, "clusters", "cluster", cluster_name)
        server = _server(cluster, over)
    user = User()
    if user_name := context.text("user"):
        user = _user(_find(files, "users", "user", user_name))
    return with_settings(server, user, over)


def with_settings(
    server: Server, user: User, over: KubernetesSettings
) -> tuple[Server, User]:
    """Put what was given beside the credentials in its place in them.

    Raises:
        ValueError: There is no server, or none that can be asked.
    """
    if over.server:
        server = replace(server, url=over.server)
    if over.ca_file:
        server = replace(server, ca_file=over.ca_file, ca_data=b"")
    if over.is_insecure:
        server = replace(server, is_insecure=True, ca_file="", ca_data=b"")
    if over.cert_file:
        user = replace(
            user,
            cert_file=over.cert_file,
            cert_data=b"",
            key_file=over.key_file,
            key_data=b"",
        )
    if problem := server_url_problem(server.url):
        raise ValueError(f"server: {problem}")
    return server, user


def check_token(text: str, place: str) -> str:
    """Return a token without the white space around it.

    Raises:
        ValueError: It is empty or cannot be sent; the text does not have it.
    """
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        found = "nothing" if not token else "several words, or other characters"
        raise ValueError(f"{place}: expected a token, one word of ASCII; found {found}")
    return token


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _current_context(files: Sequence[Named]) -> str:
    for file, content in files:
        name = content.get("current-context") or ""
        if not isinstance(name, str):
            text = f"expected a context's name, found {_shown(name)}"
            raise ValueError(f"{file}: current-context: {text}")  # noqa: TRY004  # as the rest
        if name:
            return name
    where = _where(files)
    text = "is missing; expected the name of a context, or kubernetes.context"
    raise ValueError(f"{where}: current-context: {text} (K8S_CURRENT_CONTEXT)")


def _where(files: Sequence[Named]) -> str:
    return ":".join(str(file) for file, _ in files)


def _find(files: Sequence[Named], section: str, key: str, name: str) -> _Entry:
    names = []
    for file, content in files:
        entries = content.get(section)
        if entries is None:
            continue
        if not isinstance(entries, list):
            text = f"expected a list, found {_shown(entries)}"
            raise ValueError(f"{file}: {section}: {text}")  # noqa: TRY004  # as the rest
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                continue
            if entry["name"] == name:
                place = f"{section}[{name}].{key}"
                return _Entry(file, place, _mapping(file, place, entry.get(key)))
            names.append(entry["name"])
    others = ", ".join(names[:_MAX_NAMES]) or "none"
    more = ", ..." if len(names) > _MAX_NAMES else ""
    raise ValueError(
        f"{_where(files)}: {section}: {name!r} is not there; found {others}{more}"
    )


def _mapping(file: Path, place: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        text = f"expected a mapping, found {_shown(value)}"
        raise ValueError(f"{file}: {place}: {text}")  # noqa: TRY004  # as the rest
    return value


def _server(entry: _Entry, over: KubernetesSettings) -> Server:
    ca_data = entry.octets("certificate-authority-data")
    ca_file = "" if ca_data else entry.path("certificate-authority")
    key = "insecure-skip-tls-verify"
    is_insecure = bool(entry.get(key, bool, "true or false"))
    if is_insecure and (ca_data or ca_file) and not over.is_insecure:
        raise entry.error(key, "cannot be combined with a certificate authority")
    url = entry.text("server")
    if not over.server and (problem := server_url_problem(url)):
        raise entry.error("server", problem)
    proxy = entry.text("proxy-url")
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        text = f"expected http://HOST:PORT or https://HOST:PORT, found {_shown(proxy)}"
        raise entry.error("proxy-url", text)
    tls_name = entry.text("tls-server-name")
    if tls_name and proxy:
        raise entry.error("tls-server-name", "cannot be combined with proxy-url")
    return Server(url, ca_file, ca_data, is_insecure, tls_name, proxy)


def _user(entry: _Entry) -> User:
    provider = entry.inner("auth-provider")
    if provider is not None:
        text = "is not supported; expected a token, a certificate or exec"
        raise entry.error("auth-provider", text)
    cert_data, key_data = (
        entry.octets("client-certificate-data"),
        entry.octets("client-key-data"),
    )
    cert_file = "" if cert_data else entry.path("client-certificate")
    key_file = "" if key_data else entry.path("client-key")
    if bool(cert_data or cert_file) != bool(key_data or key_file):
        missing = "client-key" if cert_data or cert_file else "client-certificate"
        raise entry.error(missing, "expected a certificate and its key, or neither")
    token_file = entry.path("tokenFile")
    token = entry.text("token")
    if token and not token_file:
        token = check_token(token, f"{entry.error('token', '')}".rstrip(": "))
    username, password = entry.text("username"), entry.text("password")
    if bool(username) != bool(password):
        missing = "password" if username else "username"
        raise entry.error(missing, "expected both username and password, or neither")
    plugin = entry.inner("exec")
    return User(
        token,
        token_file,
        username,
        password,
        cert_file,
        cert_data,
        key_file,
        key_data,
        None if plugin is None else _plugin(plugin),
        tuple(_impersonation(entry)),
    )


_PLUGIN_VERSIONS: Final = (
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
)


def _plugin(entry: _Entry) -> Plugin:
    version = entry.text("apiVersion")
    if version not in _PLUGIN_VERSIONS:
        known = " or ".join(_PLUGIN_VERSIONS)
        raise entry.error("apiVersion", f"expected {known}, found {_shown(version)}")
    program = entry.program("command")
    if not program:
        raise entry.error("command", "expected a program, found none")
    if entry.text("interactiveMode") == "Always":
        text = (
            "found Always, and a daemon has no terminal; expected Never or IfAvailable"
        )
        raise entry.error("interactiveMode", text)
    words = entry.get("args", list, "a list")
    if not all(isinstance(word, str) for word in words):
        raise entry.error("args", "expected a list of texts")
    environment = [_pair(entry, each) for each in entry.get("env", list, "a list")]
    hint = entry.text("installHint")
    return Plugin(version, (program, *words), tuple(environment), hint)


def _pair(entry: _Entry, value: object) -> tuple[str, str]:
    pair = value if isinstance(value, dict) else {}
    name, text = pair.get("name"), pair.get("value")
    if not isinstance(name, str) or not isinstance(text, str):
        raise entry.error("env", f"expected a name and a value, found {_shown(value)}")
    return name, text


def _impersonation(entry: _Entry) -> list[tuple[str, str]]:
    """Return the headers that make a request another user's."""
    headers = []
    if name := entry.text("as"):
        headers.append(("Impersonate-User", name))
    if uid := entry.text("as-uid"):
        headers.append(("Impersonate-Uid", uid))
    for group in entry.get("as-groups", list, "a list"):
        if not isinstance(group, str):
            raise entry.error("as-groups", "expected a list of texts")
        headers.append(("Impersonate-Group", group))
    if entry.get("as-user-extra", dict, "a mapping"):
        raise entry.error("as-user-extra", "is not supported")
    for key, value in headers:
        if not (value.isascii() and value.isprintable()):
            raise entry.error("as", f"expected printable ASCII for {key}")
    if headers and not name:
        raise entry.error("as", "expected a user beside as-uid or as-groups")
    return headers
