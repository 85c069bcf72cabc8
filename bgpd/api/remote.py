"""Connecting to a daemon on another machine, for ``bgpd.api.client``."""

import socket
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_MAX_TOKEN: Final = 4096  # octets
_PORTS: Final = {"http": 80, "https": 443}


def connect(
    url: str, ca_file: str, timeout: float, tls_name: str = ""
) -> socket.socket:
    """Return a connection, encrypted where the URL asks for it.

    Args:
        url: Of the daemon.
        ca_file: Certificates that sign the server's; empty for those of the system.
        timeout: Seconds to connect, and for TLS.
        tls_name: Name that its certificate has; empty is the host.

    Raises:
        OSError: It cannot be reached, or its certificate is not trusted.
    """
    scheme, host, port = _parts(url)
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        reason = error.strerror or "expected PEM certificates"
        raise OSError(0, f"{ca_file}: {reason}") from error
    sock = socket.create_connection((host, port), timeout)
    if scheme == "http":
        return sock
    try:
        return context.wrap_socket(sock, server_hostname=tls_name or host)
    except ssl.SSLCertVerificationError as error:
        sock.close()
        text = f"its certificate is not trusted: {error.verify_message}"
        raise OSError(0, f"{text}; name its CA with --ca-file") from error
    except ssl.SSLError as error:
        sock.close()
        raise OSError(
            0, f"TLS failed ({error.reason}); is it an https:// port?"
        ) from error
    except BaseException:
        sock.close()
        raise


def host_of(url: str) -> str:
    """Return host and port for the request's head.

    Raises:
        OSError: It is not a URL of HTTP.
    """
    _, host, port = _parts(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def token_of(file: str) -> str:
    """Return the token in a file; empty without one.

    Raises:
        OSError: It cannot be read.
    """
    if not file:
        return ""
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(_MAX_TOKEN + 1).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise OSError(0, f"the token in {file} is not ASCII") from error
    except OSError as error:
        raise OSError(0, f"{file}: {error.strerror}") from error
    if not text or not text.isprintable() or " " in text or len(text) > _MAX_TOKEN:
        raise OSError(0, f"there is no token in {file}")
    return text


def _parts(url: str) -> tuple[str, str, int]:
    fault = OSError(0, f"{url!r} is not a URL such as https://host:port")
    try:
        found = urlsplit(url)
        scheme, host, port = found.scheme, found.hostname, found.port
    except ValueError as error:
        raise fault from error
    if scheme not in _PORTS or not host or found.path not in ("", "/") or found.query:
        raise fault
    return scheme, host, port or _PORTS[scheme]
