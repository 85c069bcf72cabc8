"""TLS towards Kubernetes' API, by what a kubeconfig says."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bgpd.datastore.kubernetes.kubeconfig import Server, User
from bgpd.texts.files import read_octets
from bgpd.texts.limits import CERTIFICATE_OCTETS

_IN_MEMORY: Final = os.MFD_CLOEXEC


def tls_context(server: Server, user: User) -> ssl.SSLContext:
    """Return a context that trusts the given certificates, as Go's library does.

    Any certificate of a CA file is trusted, whether or not it signed itself. Without a CA
    file, the system's count.

    Raises:
        OSError: A file is missing, or none.
        ValueError: A certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if server.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif server.ca_data or server.ca_file:
        place = server.ca_file or "certificate-authority-data"
        octets = server.ca_data or _read(server.ca_file)
        try:
            context.load_verify_locations(cadata=octets.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"{place}: expected PEM certificates") from error
    else:
        context.load_default_certs()
    if user.cert_data or user.cert_file:
        _present(context, user)
    return context


def _present(context: ssl.SSLContext, user: User) -> None:
    """Load a client's certificate and key; without a question for a pass phrase."""
    place = user.cert_file or "client-certificate-data"
    key_place = user.key_file or "client-key-data"
    with (
        _as_file(user.cert_data or _read(user.cert_file)) as cert,
        _as_file(user.key_data or _read(user.key_file)) as key,
    ):
        try:
            context.load_cert_chain(cert, key, password=lambda: b"")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                text = f"{key_place}: does not belong to {place}"
                raise ValueError(text) from error
            text = "expected a PEM certificate and its key, without a pass phrase"
            raise ValueError(f"{place}, {key_place}: {text}") from error


def _read(file: str) -> bytes:
    try:
        return read_octets(Path(file).expanduser(), CERTIFICATE_OCTETS)
    except OSError as error:
        raise OSError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


@contextmanager
def _as_file(octets: bytes) -> Iterator[str]:
    """Give octets a path, in memory alone: keys reach no disk, and none needs to be writable."""
    descriptor = os.memfd_create("pem", _IN_MEMORY)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as writer:
            writer.write(octets)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
