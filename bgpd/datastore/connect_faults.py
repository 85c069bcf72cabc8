"""Why a server cannot be reached, in words for its operator. Pure.

Errors of sockets and of OpenSSL name numbers and lines of source code; what helps is which side is at
fault, and the key to look at.
"""

import errno
import re
import socket
import ssl
from types import MappingProxyType
from typing import Final

_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_REASONS: Final = MappingProxyType(
    {
        errno.ECONNREFUSED: "nothing listens there",
        errno.EHOSTUNREACH: "there is no route to it",
        errno.ENETUNREACH: "there is no route to it",
        errno.ETIMEDOUT: "no answer",
        errno.ECONNRESET: "it closed the connection",
        errno.EPIPE: "it closed the connection",
        errno.EACCES: "this machine's firewall forbids it",
        errno.EPERM: "this machine's firewall forbids it",
    }
)
_CLOCK: Final = "; is this machine's clock right?"
# OpenSSL's X509_V_ERR_*: who signed it, 18 to 21; for whom it is, 62 and 64.
_NOT_SIGNED: Final = frozenset({2, 18, 19, 20, 21, 24, 26})
_OTHER_NAME: Final = frozenset({62, 64})
_NOT_YET: Final = 9
_EXPIRED: Final = 10


def socket_fault(error: OSError) -> str:
    """Return why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is rejected: {error.verify_message}"
    if isinstance(error, ssl.SSLError):  # whose numbers are not those of the system
        return f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror):
        return "its name has no address"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer"
    # Of several addresses asyncio tells all the errors, in one text.
    numbers = {int(number) for number in _ERRNO.findall(str(error))}
    numbers |= {error.errno} if error.errno else set()
    texts = {_REASONS.get(number, "") for number in numbers}
    if len(texts) == 1 and (text := texts.pop()):
        return text
    if len(texts) > 1 and all(texts):
        return ", or ".join(sorted(texts))
    return error.strerror or str(error) or type(error).__name__


def certificate_fault(
    error: ssl.SSLCertVerificationError, server: str, host: str, authority: str
) -> str:
    """Return what is wrong with a server's certificate.

    Args:
        error: OpenSSL's.
        server: Such as ``etcd``.
        host: The name that it must be for.
        authority: Who was to have signed it, such as ``datastore.ca_file /etc/ca.pem``.
    """
    code = error.verify_code
    if code in _NOT_SIGNED:
        return f"{server}'s certificate is not signed by {authority}"
    if code in _OTHER_NAME:
        return f"{server}'s certificate is not valid for {host}"
    if code == _EXPIRED:
        return f"{server}'s certificate has expired{_CLOCK}"
    if code == _NOT_YET:
        return f"{server}'s certificate is not valid yet{_CLOCK}"
    return f"{server}'s certificate is rejected: {error.verify_message}"


def alert_fault(error: ssl.SSLError, server: str, certificate: str) -> str:
    """Return why a server ended the TLS handshake, as its alert says; empty if it does not.

    Args:
        error: OpenSSL's.
        server: Such as ``etcd``.
        certificate: What we presented, such as ``datastore.cert_file /etc/c.pem``; empty for
            nothing.
    """
    reason = error.reason or ""
    if "ALERT" not in reason:
        return ""
    if "CERTIFICATE" not in reason and "UNKNOWN_CA" not in reason:
        alert = reason.partition("ALERT_")[2].lower().replace("_", " ")
        return f"{server} rejects the TLS connection: {alert}"
    if not certificate or "CERTIFICATE_REQUIRED" in reason:
        return (
            f"{server} wants a client certificate: expected datastore.cert_file and "
            "datastore.key_file"
        )
    if "EXPIRED" in reason:
        return f"{server} rejects {certificate}: it has expired"
    return f"{server} rejects {certificate}: signed by no authority that it trusts"
