"""Where Kubernetes' API is, and by whose right it is read.

``KUBECONFIG`` first, else what every pod finds in its file system; without either there is no
API and nothing of a client is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bgpd.config.settings import KubernetesSettings
from bgpd.datastore.kubernetes.client import ApiClient, make_client
from bgpd.datastore.model import DatastoreError
from bgpd.texts.files import check_regular, read_text
from bgpd.texts.limits import CERTIFICATE_OCTETS, KUBECONFIG
from bgpd.texts.tree import plain
from bgpd.texts.yaml_text import CORE, compose

if TYPE_CHECKING:
    from lightkube import SingleConfig

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST: Final = "KUBERNETES_SERVICE_HOST"
_NOTHING: Final = KubernetesSettings()


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


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials that were found.

    Attributes:
        kubeconfig: The file; empty for those of a pod.
        account: Folder of a pod's service account.
        over: What was given beside them, and counts in their place.
    """

    kubeconfig: str = ""
    account: Path = SERVICE_ACCOUNT
    over: KubernetesSettings = _NOTHING

    def __str__(self) -> str:
        """Return where they are, for people."""
        return self.kubeconfig or f"service account in {self.account}"

    def connect(self) -> ApiClient:
        """Return a client by what the files say now; nothing is asked yet.

        Raises:
            DatastoreError: The credentials cannot be used.
        """
        from lightkube import KubeConfig  # noqa: PLC0415  # 0.1 s, 11 MB

        try:
            if self.kubeconfig:
                file = Path(self.kubeconfig).expanduser()
                known = KubeConfig.from_dict(_read_kubeconfig(file), file)
                config = known.get(self.over.context or None)
            else:
                for name in ("token", "namespace"):
                    check_regular(self.account / name, CERTIFICATE_OCTETS)
                config = KubeConfig.from_service_account(self.account).get()
            if config is None:
                raise ValueError("current-context is missing")  # noqa: TRY301  # as the rest
            config = _with_overrides(config, self.over)
            _check_files(config)
            return make_client(config)
        except Exception as error:
            # A file of any content: any error of the library says enough.
            text = str(error) or type(error).__name__
            raise DatastoreError(f"{self}: {text}") from error


def _read_kubeconfig(file: Path) -> dict[str, Any]:
    """Return what a kubeconfig says.

    Raises:
        OSError: It cannot be read.
        ValueError: It is none.
    """
    root = compose(read_text(file, KUBECONFIG.octets), KUBECONFIG, CORE)
    content = None if root is None else plain(root)
    if not isinstance(content, dict):
        raise TypeError("is not a mapping")
    for section in ("clusters", "contexts"):
        if not isinstance(content.get(section), list):
            raise TypeError(f"{section} is not a list")
    return content


def _check_files(config: "SingleConfig") -> None:
    """Refuse what OpenSSL and the client would open and read without end.

    Raises:
        OSError: A file is missing, or none.
        ValueError: A file is too large.
    """
    user = config.user
    names = [config.cluster.certificate_auth]
    if user is not None:
        names += [user.client_cert, user.client_key, user.token_file]
    for name in filter(None, names):
        file = Path(config.abs_file(name))
        try:
            check_regular(file, CERTIFICATE_OCTETS)
        except OSError as error:
            raise OSError(f"{file}: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error


def _with_overrides(config: "SingleConfig", over: KubernetesSettings) -> "SingleConfig":
    """Put what was given beside the credentials in its place in them."""
    from lightkube.config.models import User  # noqa: PLC0415  # with credentials alone

    cluster, user = config.cluster, config.user or User()
    if over.server:
        cluster.server = over.server
    if over.ca_file:
        cluster.certificate_auth, cluster.certificate_auth_data = over.ca_file, None
    if over.is_insecure:
        cluster.insecure = True
    if over.cert_file:
        user.client_cert, user.client_cert_data = over.cert_file, None
        user.client_key, user.client_key_data = over.key_file, None
    return config._replace(user=user)


def find_access(
    settings: KubernetesSettings,
    environment: Mapping[str, str],
    account: Path = SERVICE_ACCOUNT,
) -> Access | None:
    """Return the credentials there are; ``None`` without any."""
    if settings.kubeconfig:
        names = [name for name in settings.kubeconfig.split(":") if name]
        found = (name for name in names if Path(name).expanduser().exists())
        return Access(next(found, settings.kubeconfig), over=settings)
    if environment.get(_HOST) and (account / "token").exists():
        return Access(account=account, over=settings)
    return None
