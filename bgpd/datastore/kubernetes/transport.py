"""Connections to Kubernetes' API: to a server of another name, and with failures that name it."""

from httpx2 import AsyncHTTPTransport, ConnectError, ConnectTimeout, Request, Response


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
            text = str(error) or "no answer in time"
            where = f"{request.url.scheme}://{request.url.netloc.decode()}"
            raise ConnectError(f"{where}: {text}", request=request) from error
