"""TLS towards etcd: its files, and which of them is at fault."""

import ssl
from typing import Final, Protocol

from bgpd.datastore.model import DatastoreError
from bgpd.texts.files import read_octets
from bgpd.texts.limits import CERTIFICATE_OCTETS

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_TRUSTED: Final = b"-----BEGIN TRUSTED CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"
_ENCRYPTED: Final = b"ENCRYPTED"


class TlsFileError(DatastoreError):
    """A file is at fault; the text names its key and what it lacks."""


class TlsFiles(Protocol):
    """Names of PEM files; empty for none."""

    @property
    def ca_file(self) -> str:
        """Certificates that servers are checked against; without it the system's count."""

    @property
    def cert_file(self) -> str:
        """The client's certificate chain."""

    @property
    def key_file(self) -> str:
        """Its key; without it the certificate's file has that, too."""


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context of the files as they are now, so that renewed ones are used.

    Raises:
        TlsFileError: One of them is at fault.
    """
    _check("ca_file", files.ca_file, _CERTIFICATE, _TRUSTED)
    _check("cert_file", files.cert_file, _CERTIFICATE)
    key, key_file = "key_file", files.key_file
    if files.cert_file and not key_file:
        key, key_file = "cert_file", files.cert_file
    octets = _check(key, key_file, _KEY)
    if _ENCRYPTED in octets:
        # OpenSSL would ask for the password on the terminal.
        raise _fault(
            key, key_file, "the key is encrypted; expected one without a password"
        )
    try:
        context = ssl.create_default_context(cafile=files.ca_file or None)
    except (OSError, ValueError) as error:
        raise _fault("ca_file", files.ca_file, "has a damaged certificate") from error
    if files.cert_file:
        _present(context, files.cert_file, key, key_file)
    context.set_alpn_protocols(["h2"])
    return context


def _present(context: ssl.SSLContext, cert_file: str, key: str, key_file: str) -> None:
    try:
        context.load_cert_chain(cert_file, key_file, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"does not belong to datastore.cert_file {cert_file}"
            raise _fault(key, key_file, text) from error
        # The certificate alone shows which of the two is damaged.
        try:
            ssl.create_default_context(cafile=cert_file)
        except (OSError, ValueError):
            text = "has a damaged certificate"
            raise _fault("cert_file", cert_file, text) from error
        raise _fault(key, key_file, "has a damaged private key") from error
    except (OSError, ValueError) as error:
        raise _fault(key, key_file, str(error)) from error


def _check(key: str, file: str, *marks: bytes) -> bytes:
    """Return the octets of a file that has one of the marks of PEM; none where none is named.

    Raises:
        TlsFileError: It cannot be read, or has none of them.
    """
    if not file:
        return b""
    try:
        octets = read_octets(file, CERTIFICATE_OCTETS)
    except FileNotFoundError as error:
        raise _fault(key, file, "there is no such file") from error
    except OSError as error:
        raise _fault(key, file, error.strerror or str(error)) from error
    except ValueError as error:
        raise _fault(key, file, str(error)) from error
    if not any(mark in octets for mark in marks):
        what = "private key" if marks == (_KEY,) else "certificate"
        raise _fault(key, file, f"has no {what} in PEM form")
    return octets


def _fault(key: str, file: str, text: str) -> TlsFileError:
    return TlsFileError(f"datastore.{key} {file}: {text}")
