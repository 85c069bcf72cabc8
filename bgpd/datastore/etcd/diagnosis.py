"""Why a member of etcd did not serve us, where its end of the connection says nothing.

A server that wants a certificate, speaks TLS where none is expected, or the reverse, closes the connection,
and the library above reports only that. One more connection, without the library, shows which it was.
"""

import asyncio
import contextlib
import ssl
from typing import Final

from grpclib.const import Status as GrpcStatus
from grpclib.exceptions import GRPCError, StreamTerminatedError

from bgpd.datastore.connect_faults import alert_fault, certificate_fault, socket_fault
from bgpd.datastore.etcd.client import EtcdSettings, split_endpoint
from bgpd.datastore.etcd.tls_files import TlsFileError, tls_context
from bgpd.datastore.model import DatastoreError

_TIME: Final = 2.0  # seconds for each connection
_SILENCE: Final = 0.5  # seconds in which an alert comes, once our half is done
_CLOSED: Final = "it closed the connection"
_REQUEST: Final = b"GET /version HTTP/1.0\r\n\r\n"
# What servers say of rights, in words for who set the keys.
_REFUSALS: Final = {
    "user name is empty": "etcd wants a user: expected datastore.username and password",
    "authentication failed": "etcd rejects datastore.username and its password",
    "permission denied": "etcd denies this user the right to read /calico: grant it a role",
}


async def explained(
    endpoint: str, settings: EtcdSettings, error: DatastoreError
) -> str:
    """Return why an endpoint does not serve us; takes up to ``_TIME`` seconds a connection.

    Args:
        endpoint: As configured.
        settings: With which it was tried.
        error: What came of it.
    """
    cause = None if isinstance(error, TlsFileError) else error.__cause__
    if isinstance(cause, GRPCError):
        return _of_status(cause, str(error))
    host, _, is_tls = split_endpoint(endpoint, is_tls=settings.has_tls_files)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return certificate_fault(cause, "etcd", host, _authority(settings))
    is_unclear = isinstance(
        cause, ssl.SSLError | StreamTerminatedError | ConnectionError
    ) and not isinstance(cause, ConnectionRefusedError)
    if not is_unclear:
        return str(error)
    if is_tls:
        return await _why_not_tls(endpoint, settings)
    return await _why_not_plain(endpoint, settings)


def _of_status(error: GRPCError, text: str) -> str:
    said = error.message or ""
    for part, reason in _REFUSALS.items():
        if part in said:
            return reason
    if error.status is GrpcStatus.UNAVAILABLE:
        return f"etcd cannot serve: {said.removeprefix('etcdserver: ')}"
    return text


def _authority(settings: EtcdSettings) -> str:
    if settings.ca_file:
        return f"datastore.ca_file {settings.ca_file}"
    return "an authority that this system trusts; is datastore.ca_file missing?"


async def _why_not_tls(endpoint: str, settings: EtcdSettings) -> str:
    host, port, _ = split_endpoint(endpoint, is_tls=True)
    certificate = f"datastore.cert_file {settings.cert_file}"
    try:
        await _try(host, port, tls_context(settings))
    except ssl.SSLCertVerificationError as error:
        return certificate_fault(error, "etcd", host, _authority(settings))
    except ssl.SSLError as error:
        shown = certificate if settings.cert_file else ""
        if reason := alert_fault(error, "etcd", shown):
            return reason
    except ConnectionRefusedError as error:
        return socket_fault(error)
    except (OSError, DatastoreError):
        pass  # the next attempt shows what it is
    else:
        return _CLOSED
    with contextlib.suppress(OSError):
        if (await _try(host, port, None, _REQUEST)).startswith(b"HTTP/"):
            return "it speaks no TLS there: expected http:// in datastore.endpoints"
    return f"{_CLOSED} in the TLS handshake"


async def _why_not_plain(endpoint: str, settings: EtcdSettings) -> str:
    host, port, _ = split_endpoint(endpoint, is_tls=settings.has_tls_files)
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    try:
        await _try(host, port, anyone)
    except ssl.SSLError as error:
        is_tls = "ALERT" in (error.reason or "")  # it understood us
    except OSError as error:
        return (
            socket_fault(error)
            if isinstance(error, ConnectionRefusedError)
            else _CLOSED
        )
    else:
        is_tls = True
    if is_tls:
        return "it speaks TLS there: expected https:// in datastore.endpoints"
    return _CLOSED


async def _try(
    host: str, port: int, context: ssl.SSLContext | None, request: bytes = b""
) -> bytes:
    """Connect, send a request, and return the first octets of an answer, if any comes.

    Raises:
        OSError: There is no connection, or it ends with an alert of TLS.
    """
    async with asyncio.timeout(_TIME):
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(request)
        async with asyncio.timeout(_SILENCE):
            return await reader.read(64)
    except TimeoutError:
        return b""
    finally:
        writer.transport.abort()
