"""Where Kubernetes' API is, and by whose right it is read.

``KUBECONFIG`` first, then a server that is given by itself, else what every pod finds in its
file system; without any there is no API and nothing of a client is imported.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bgpd.config.settings import KubernetesSettings
from bgpd.datastore.kubernetes.client import ApiClient, make_client
from bgpd.datastore.kubernetes.kubeconfig import (
    Named,
    Server,
    User,
    choose,
    with_settings,
)
from bgpd.datastore.model import DatastoreError
from bgpd.texts.errors import text_of
from bgpd.texts.files import read_text
from bgpd.texts.limits import KUBECONFIG, TextError
from bgpd.texts.tree import plain
from bgpd.texts.yaml_text import CORE, compose

if TYPE_CHECKING:
    import ssl

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
_HOME_FILE: Final = Path(".kube") / "config"
_NOTHING: Final = KubernetesSettings()
READ_AGAIN: Final = 1.0
"""Seconds after which files are read again. A dozen clients are opened at once at the start,
and to parse a kubeconfig and certificates for each would take a fifth of all the time."""


@dataclass(frozen=True, slots=True)
class ApiStatus:
    """What is known of the API at one moment.

    Attributes:
        source: Where the credentials are from; empty where the features are inert.
        is_connected: Everything wanted was read and is watched.
        last_error: Why it is not, or was not last; why the features are inert.
    """

    source: str = ""
    is_connected: bool = False
    last_error: str = ""


class _Credentials(NamedTuple):
    """What the files said, and when; monotonic seconds."""

    server: Server
    user: User
    context: "ssl.SSLContext"
    read_at: float


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials that were found.

    Attributes:
        kubeconfig: The file, or several separated by colons; empty for those of a pod.
        account: Folder of a pod's service account; ``None`` for a server that is given by
            itself.
        over: What was given beside them, and counts in their place.
    """

    kubeconfig: str = ""
    account: Path | None = SERVICE_ACCOUNT
    over: KubernetesSettings = _NOTHING
    _last: list[_Credentials] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __str__(self) -> str:
        """Return where they are, for people."""
        if self.kubeconfig:
            return self.kubeconfig
        if self.account is None:
            return self.over.server
        return f"service account in {self.account}"

    def connect(self) -> ApiClient:
        """Return a client with the settings of the files, at most a second old; it sends nothing yet.

        Raises:
            DatastoreError: The credentials cannot be used.
        """
        try:
            server, user, context, _ = self._credentials()
            return make_client(server, user, context)
        except Exception as error:
            # A file of any content: any error of a library says enough.
            text = text_of(error)
            name = str(self)
            text = text if text.startswith(name) else f"{name}: {text}"
            raise DatastoreError(text) from error

    def _credentials(self) -> _Credentials:
        from bgpd.datastore.kubernetes.tls import (  # noqa: PLC0415  # with credentials alone
            tls_context,
        )

        now = time.monotonic()
        if not self._last or now > self._last[0].read_at + READ_AGAIN:
            server, user = self._read()
            context = tls_context(server, user)
            self._last[:] = [_Credentials(server, user, context, now)]
        return self._last[0]

    def _read(self) -> tuple[Server, User]:
        if self.kubeconfig:
            return choose(_read_kubeconfigs(self.kubeconfig), self.over)
        if self.account is None:
            return with_settings(Server(""), User(), self.over)
        token, ca_file = self.account / "token", self.account / "ca.crt"
        server = Server(_service_url(os.environ), str(ca_file))
        return with_settings(server, User(token_file=str(token)), self.over)


def _service_url(environment: Mapping[str, str]) -> str:
    """Return the API server's address from a pod's environment.

    Raises:
        ValueError: A variable is missing or malformed.
    """
    host, port = environment.get(_HOST, ""), environment.get(_PORT, "")
    for name, value in ((_HOST, host), (_PORT, port)):
        if not value:
            raise ValueError(f"environment variable {name} is not set")
    if not (port.isascii() and port.isdigit()):
        text = f"expected a port, found {port[:40]!r}"
        raise ValueError(f"environment variable {_PORT}: {text}")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _read_kubeconfigs(names: str) -> list[Named]:
    """Return what kubeconfigs say, by rank.

    Raises:
        OSError: One cannot be read, or none is there.
        ValueError: One of them is none.
    """
    files = [Path(name).expanduser() for name in _split(names)]
    found = []
    for file in files:
        try:
            found.append(Named(file, _read_kubeconfig(file)))
        except FileNotFoundError:
            if len(files) == 1:
                raise OSError(f"{file}: the file does not exist") from None
        except OSError as error:
            raise OSError(f"{file}: {error.strerror or error}") from error
        except TextError as error:
            raise ValueError(f"{file}: {error}") from error
    if not found:
        raise OSError(f"{names}: none of these files exists")
    return found


def _read_kubeconfig(file: Path) -> dict[str, Any]:
    root = compose(read_text(file, KUBECONFIG.octets), KUBECONFIG, CORE)
    content = None if root is None else plain(root)
    if not isinstance(content, dict):
        raise TextError("expected a kubeconfig, found no mapping")
    return content


def _split(names: str) -> list[str]:
    """Return the files of a list, each once."""
    return list(dict.fromkeys(name for name in names.split(os.pathsep) if name))


def find_access(
    settings: KubernetesSettings,
    environment: Mapping[str, str],
    account: Path = SERVICE_ACCOUNT,
    *,
    is_datastore: bool = False,
) -> Access | None:
    """Return the credentials there are; ``None`` without any.

    Args:
        settings: What was configured.
        environment: Of the process.
        account: Folder of a pod's service account.
        is_datastore: The API is the datastore: as Calico does, the kubeconfig of the home
            folder counts, too. For passwords and services alone it does not: it may hold an
            administrator's credentials.
    """
    if _split(settings.kubeconfig):
        return Access(settings.kubeconfig, over=settings)
    is_pod = bool(environment.get(_HOST)) and (account / "token").exists()
    if settings.server and not is_pod:
        return Access(account=None, over=settings)
    home = environment.get("HOME", "")
    if is_datastore and home and not settings.server:
        file = Path(home) / _HOME_FILE
        if file.exists():
            return Access(str(file), over=settings)
    return Access(account=account, over=settings) if is_pod else None


def why_none(environment: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> str:
    """Return where credentials could be, and why there are none."""
    looked = [
        "kubernetes.kubeconfig (KUBECONFIG) and kubernetes.server (K8S_API_ENDPOINT) are empty"
    ]
    home = environment.get("HOME", "")
    looked.append(
        f"there is no {Path(home) / _HOME_FILE}" if home else "HOME is not set"
    )
    if not environment.get(_HOST):
        looked.append(f"{_HOST} is not set, so this is not a pod")
    else:
        looked.append(f"there is no {account / 'token'}, a pod's service account")
    return "; ".join(looked)
