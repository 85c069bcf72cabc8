"""Connections to Kubernetes' API: to a server of another name, and with failures that name it."""

from ssl import SSLCertVerificationError
from typing import Final

from httpx2 import AsyncHTTPTransport, ConnectError, ConnectTimeout, Request, Response

from bgpd.datastore.connect_faults import certificate_fault, socket_fault

_DEPTH: Final = 10  # errors inside of one another


class NamingTransport(AsyncHTTPTransport):
    """The library's transport, whose failures to connect do not say where to.

    Attributes:
        tls_name: That the server's certificate must have; empty is the host in the URL.
    """

    tls_name = ""

    async def handle_async_request(self, request: Request) -> Response:
        """Send a request.

        Raises:
            ConnectError: There is no connection; the text names the server.
        """
        if self.tls_name:
            request.extensions["sni_hostname"] = self.tls_name
        try:
            return await super().handle_async_request(request)
        except (ConnectError, ConnectTimeout) as error:
            host = self.tls_name or request.url.host
            where = f"{request.url.scheme}://{request.url.netloc.decode()}"
            text = _reason(error, host)
            raise ConnectError(f"{where}: {text}", request=request) from error


def _reason(error: BaseException, host: str) -> str:
    """Return what the system or OpenSSL says, which the library wraps up to four times."""
    cause, at = None, error
    for _ in range(_DEPTH):
        if isinstance(at, OSError):
            cause = at  # the innermost one knows its number
        inner = at.exceptions[0] if isinstance(at, BaseExceptionGroup) else None
        below = inner or at.__cause__ or at.__context__
        if below is None:
            break
        at = below
    if isinstance(cause, SSLCertVerificationError):
        return certificate_fault(cause, "the API", host, "the CA of the credentials")
    if cause is not None:
        return socket_fault(cause)
    return str(error) or "no answer in time"
