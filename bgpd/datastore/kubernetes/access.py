"""Where Kubernetes' API is, and by whose right it is read.

``KUBECONFIG`` first, else what every pod finds in its file system; without either there is no
API and nothing of a client is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bgpd.datastore.kubernetes.client import ApiClient, make_client
from bgpd.datastore.model import DatastoreError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST: Final = "KUBERNETES_SERVICE_HOST"


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
    """

    kubeconfig: str = ""
    account: Path = SERVICE_ACCOUNT

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
                config = KubeConfig.from_file(self.kubeconfig).get()
            else:
                config = KubeConfig.from_service_account(self.account).get()
            if config is None:
                raise ValueError("there is no current context")  # noqa: TRY301  # as the rest
            return make_client(config)
        except Exception as error:
            # A file of any content: whatever the library stumbles over says enough.
            text = str(error) or type(error).__name__
            raise DatastoreError(f"{self}: {text}") from error


def find_access(
    kubeconfig: str, environment: Mapping[str, str], account: Path = SERVICE_ACCOUNT
) -> Access | None:
    """Return the credentials there are; ``None`` without any."""
    if kubeconfig:
        return Access(kubeconfig)
    if environment.get(_HOST) and (account / "token").exists():
        return Access(account=account)
    return None
